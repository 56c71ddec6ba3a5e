#!/usr/bin/env python
"""Damages images at random and reads them: the answer must be pixels of the promised shape, or a DataError.

Bytes are flipped, overwritten, cut off, moved and repeated, more often in headers than in pixels. Prints what the
errors said; exit 1 at the first other exception, whose file is kept.
"""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import tifffile
from PIL import Image

from seepseg.errors import DataError
from seepseg.io.image import open_image, read_image

LAYOUTS: tuple[dict[str, object], ...] = (
    {},
    {"compression": "deflate", "predictor": 2},
    {"compression": "lzw"},
    {"compression": "packbits", "rowsperstrip": 5},
    {"tile": (16, 16), "compression": "zstd"},
    {"bigtiff": True},
    {"byteorder": ">"},
)


SIDES = ("", ".msk", ".aux.xml")
"""What the file that is damaged is called after: the image, its mask, what is said of it."""

PAM = b"""<PAMDataset><SRS>EPSG:32616</SRS><GeoTransform>5,1,0,3,0,-1</GeoTransform><PAMRasterBand band="1">
<NoDataValue>7</NoDataValue></PAMRasterBand><GCPList><GCP Pixel="1" Line="2" X="3" Y="4"/></GCPList></PAMDataset>"""


def by_rows(path: Path) -> np.ndarray:
    """The pixels, read as of a scene."""
    with open_image(path) as image:
        return np.concatenate([image.rows(row, min(row + 7, image.height)).raw for row in range(0, image.height, 7)], 1)


def damaged(whole: bytes, rng: random.Random) -> bytes:
    """A copy with one to four injuries."""
    data = bytearray(whole)
    for _ in range(rng.randint(1, 4)):
        # Half of the injuries hit the first bytes, where the header is.
        at = rng.randrange(min(len(data), 400) if rng.random() < 0.5 else len(data))
        match rng.randrange(5):
            case 0:
                data[at] ^= 1 << rng.randrange(8)
            case 1:
                data[at : at + 4] = rng.choice([b"\0\0\0\0", b"\xff\xff\xff\xff", rng.randbytes(4)])
            case 2:
                del data[max(at, 1) :]
            case 3:
                data[at:at] = rng.randbytes(rng.randint(1, 16))
            case _:
                data[at : at + 16] = data[:16]
    return bytes(data)


def main() -> None:
    """Parse, damage, read, exit."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=60, help="how long (default 60)")
    parser.add_argument("--seed", type=int, default=0, help="of the damage (default 0)")
    options = parser.parse_args()
    rng = random.Random(options.seed)
    readers: tuple[Callable[[Path], np.ndarray], ...] = (lambda p: read_image(p)[0].raw, by_rows)
    outcomes: Counter[str] = Counter()
    with tempfile.TemporaryDirectory() as name:
        path, sound = Path(name) / "a.tif", []
        pixels = np.arange(40 * 33, dtype=np.uint16).reshape(40, 33)
        for layout in LAYOUTS:
            tifffile.imwrite(path, pixels, **layout)
            sound.append(path.read_bytes())
        for suffix in ("PNG", "JPEG"):
            Image.fromarray(pixels if suffix == "PNG" else (pixels // 6).astype(np.uint8)).save(path, suffix)
            sound.append(path.read_bytes())
        tifffile.imwrite(path, pixels % 2 == 0, photometric="minisblack", compression="deflate")
        sides = {"": b"", ".msk": path.read_bytes(), ".aux.xml": PAM}
        end = time.monotonic() + options.seconds
        while time.monotonic() < end:
            ending, whole = rng.choice(SIDES), rng.choice(sound)
            contents = sides | {"": whole}
            contents[ending] = damaged(contents[ending], rng)
            for side, content in contents.items():
                Path(f"{path}{side}").write_bytes(content)
            try:
                outcomes[f"read, {rng.choice(readers)(path).ndim} axes"] += 1
            except DataError as error:
                outcomes[error.what] += 1
            except BaseException:
                for side, content in contents.items():
                    Path(f"fuzz.tif{side}").write_bytes(content)
                print("kept as fuzz.tif")
                raise
    for what, count in outcomes.most_common(40):
        print(f"{count:7d}  {what}")
    print(f"{sum(outcomes.values())} files: only pixels and DataError")


if __name__ == "__main__":
    sys.exit(main())
