"""Windows of images, and what stays open for them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image as Picture

from seepseg.config import TilesData
from seepseg.machine import kept
from seepseg.scenes.images import opened, read_window


@pytest.mark.parametrize(("suffix", "again"), [("png", 2), ("tif", 1)])
def test_decoded_pictures_stay_open_up_to_so_many_bytes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, suffix: str, again: int
) -> None:
    # 6 × 8 pixels of a byte, and one of alpha: three take 288 bytes, one too many.
    monkeypatch.setattr(kept, "BYTES", 287)
    monkeypatch.setattr(kept, "_KEPT", {})
    pixels, data, counts = np.arange(48, dtype=np.uint8).reshape(6, 8), TilesData(root=tmp_path, classes="salt"), {}
    for name in "abca":
        path = tmp_path / f"{name}.{suffix}"
        if not path.exists():
            Picture.fromarray(pixels).save(path) if suffix == "png" else tifffile.imwrite(path, pixels)

        def count(path: Path = path, name: str = name):  # type: ignore[no-untyped-def]
            counts[name] = counts.get(name, 0) + 1
            return opened(data, path)

        read, _ = read_window(path, (4, 6, 4, 4), "", count)
        assert np.array_equal(read.raw[0, :2, :2], pixels[4:, 6:])
        assert read.valid.sum() == 4
    assert counts == {"a": again, "b": 1, "c": 1}
