"""Doors of images and rasters."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import tifffile
from PIL import Image

from doors.door import Files, each, taken
from seepseg.classes import SALT, SEEP
from seepseg.evaluation.rasters import evaluate_rasters
from seepseg.geo.depth import radii
from seepseg.geo.frame import Frame, laea
from seepseg.io.image import inspect_image, open_image, read_image

LAYOUTS: tuple[dict[str, object], ...] = (
    {}, {"compression": "deflate", "predictor": 2}, {"compression": "lzw"},
    {"compression": "packbits", "rowsperstrip": 5}, {"tile": (16, 16), "compression": "zstd"},
    {"bigtiff": True}, {"byteorder": ">"},
)  # fmt: skip
PAM = b"""<PAMDataset><SRS>EPSG:32616</SRS><GeoTransform>5,1,0,3,0,-1</GeoTransform><PAMRasterBand band="1">
<NoDataValue>7</NoDataValue><Description>vv</Description><Scale>1</Scale></PAMRasterBand><Metadata><MDI key="A">1</MDI>
</Metadata><Metadata domain="RPC"><MDI key="LINE_OFF">1</MDI></Metadata><GCPList Projection="EPSG:4326"><GCP Pixel="1"
Line="2" X="3" Y="4"/></GCPList></PAMDataset>"""


def images(folder: Path) -> list[Files]:
    """TIFF in several layouts, PNG and JPEG, each alone, with a mask, and with an .aux.xml."""
    path, pixels, sets = folder / "a.tif", np.arange(40 * 33, dtype=np.uint16).reshape(40, 33), list[Files]()
    for layout in LAYOUTS:
        tifffile.imwrite(path, pixels, **layout)
        sets.append(taken(folder, "a.tif"))
    pictures = (("PNG", pixels), ("JPEG", pixels // 6), ("PNG", np.dstack([pixels // 6] * 3)))
    for kind, array in pictures:
        Image.fromarray(array if array.max() > 255 else array.astype(np.uint8)).save(path, kind)
        sets.append(taken(folder, "a.tif"))
    Image.fromarray((pixels // 6).astype(np.uint8)).convert("P").save(path, "PNG")
    sets.append(taken(folder, "a.tif"))
    write_geotiff(folder / "a.tif", count=1, A="1")
    sets.append(taken(folder, "a.tif"))
    tifffile.imwrite(folder / "m", pixels % 2 == 0, photometric="minisblack", compression="deflate")
    mask = (folder / "m").read_bytes()
    tifffile.imwrite(path, pixels)
    return [
        *sets,
        {"a.tif": path.read_bytes(), "a.tif.msk": mask, "a.tif.aux.xml": PAM},
        {"a.tif": sets[0]["a.tif"], "a.tif.aux.xml": PAM},
    ]


def open_images(folder: Path) -> None:
    """The pixels, read as of a tile and as of a scene."""
    path = folder / "a.tif"
    inspect_image(path)
    read_image(path)
    with open_image(path) as image:
        for row in range(0, image.height, 512):
            image.rows(row, min(row + 512, image.height))


def write_geotiff(path: Path, count: int = 2, **tags: str) -> None:
    """Bands with a place, names and tags."""
    import rasterio

    place = rasterio.transform.from_origin(-96, 31, 1, 1)
    with rasterio.open(
        path, "w", driver="GTiff", count=count, dtype="float32", height=4, width=5, crs="EPSG:4326", transform=place
    ) as raster:
        raster.write(np.full((count, 4, 5), 3, np.float32))
        raster.descriptions = ("u10", "v10")[:count]
        raster.update_tags(**tags)


def bathymetry(folder: Path) -> list[Files]:
    """Elevations with a place, in a GeoTIFF and in a PNG with an .aux.xml."""
    write_geotiff(folder / "d.tif")
    return [taken(folder)]


def open_bathymetry(folder: Path) -> None:
    """Radii of zones by it."""
    radii(folder / "d.tif", Frame(laea(-94, 29), 100.0), np.zeros((2, 2)), 2000.0)


def rasters(folder: Path) -> list[Files]:
    """Predictions and truth as another tool writes them: TIFF and PNG."""
    labels, sets = np.arange(64, dtype=np.uint8).reshape(8, 8) % 2, list[Files]()
    for ending in (".tif", ".png"):
        for name in ("p/a_class", "t/a_mask"):
            path = folder / f"{name}{ending}"
            path.parent.mkdir(exist_ok=True)
            tifffile.imwrite(path, labels) if ending == ".tif" else Image.fromarray(labels).save(path)
        sets.append(taken(folder))
        shutil.rmtree(folder / "p")
        shutil.rmtree(folder / "t")
    return sets


def open_rasters(folder: Path) -> None:
    """Scores of predictions."""
    for classes in (SEEP, SALT):
        each(lambda classes=classes: evaluate_rasters(folder / "p", folder / "t", classes))
