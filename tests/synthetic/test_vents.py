from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from seepseg.geo.vector import read_vectors
from seepseg.io.raster import thinned
from seepseg.synthetic.vents import Sea, plant, write_passes

SEA = Sea(vents=5, rates=(0.2, 0.6), passes=4, side=40_000, pixel=200, wakes=0)


def test_vents_have_the_rates_asked_for_and_keep_apart() -> None:
    vents = plant(SEA, 1)
    assert sorted(vents["rate"]) == pytest.approx([0.2, 0.3, 0.4, 0.5, 0.6])
    assert vents["mapped"].to_numpy() == pytest.approx(0.9 * vents["rate"].to_numpy())
    xy = vents[["x", "y"]].to_numpy()
    apart = np.hypot(*(xy[:, None] - xy[None]).transpose(2, 0, 1))[~np.eye(5, dtype=bool)]
    assert apart.min() >= 4000


def test_the_same_seed_gives_the_same_files(tmp_path: Path) -> None:
    for name in "ab":
        write_passes(tmp_path / name, SEA, 5)
    files = sorted(p.name for p in (tmp_path / "a").iterdir())
    # Two passes of one frame and two of two: a map and a file of polygons each; manifest, vents, wind.
    assert len(files) == 6 * 2 + 3
    for name in files:
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()


def test_polygons_lie_where_the_map_has_foreground(tmp_path: Path) -> None:
    write_passes(tmp_path, Sea(vents=5, passes=1, side=40_000, pixel=200, partial=1, lookalikes=10), 2)
    shapes, table, _ = read_vectors(tmp_path / "pass0000.gpkg")
    classes = thinned(tmp_path / "pass0000_class.tif", 1)
    assert classes.shape == (200, 200)
    assert 0.15 < (classes == 255).mean() < 0.65
    assert table["area_m2"].tolist() == pytest.approx([s.area for s in shapes])
    for shape in shapes:
        inside = shape.representative_point()
        assert classes[int((3_100_000 - inside.y) / 200), int((inside.x - 400_000) / 200)] in (1, 2, 255)
