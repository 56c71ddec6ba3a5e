"""Doors of Sentinel-1 products, scenes with labels, and wind."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import shapely
import tifffile

from doors.door import Files, taken
from doors.rasters import write_geotiff
from seepseg.conditions import winds
from seepseg.config import ScenesData
from seepseg.data.source import read_mask, read_pixels, source_of
from seepseg.geo.vector import write_vectors
from seepseg.sentinel1.pixels import open_scene
from seepseg.synthetic.sentinel1 import write_product


def products(folder: Path) -> list[Files]:
    """A product in a folder, in both schemas of noise."""
    sets = []
    for schema in ("azimuth", "range"):
        made = write_product(folder / schema, {"vv": np.full((24, 40), 0.01)}, schema=schema)
        made.rename(folder / schema / "p.SAFE")
        sets.append(taken(folder / schema))
    return sets


def open_products(folder: Path) -> None:
    """The product's rows."""
    with open_scene(folder / "p.SAFE", ("vv", "incidence")) as image:
        for row in range(0, min(image.height, 2000), 64):
            image.rows(row, min(row + 64, image.height))


def packed_products(folder: Path) -> list[Files]:
    """A product in a ZIP."""
    made = write_product(folder, {"vv": np.full((24, 40), 0.01)}, packed=True)
    return [{"p.zip": made.read_bytes()}]


def open_packed_products(folder: Path) -> None:
    """The product's rows."""
    os.environ["SEEPSEG_CACHE"] = str(folder / "cache")
    try:
        with open_scene(folder / "p.zip", ("vv",)) as image:
            image.rows(0, min(64, image.height))
    finally:
        shutil.rmtree(folder / "cache", ignore_errors=True)


def scenes(folder: Path) -> list[Files]:
    """A scene with polygons, an extent, a mask, and a table of when it was taken."""
    write_geotiff(folder / "a.tif")
    shapes = np.array([shapely.box(-95, 28, -93, 30), shapely.box(-93, 28, -92, 29)])
    table = pd.DataFrame({"class_name": ["oil", "oil"], "scene": ["a", "a"], "split": ["train", "val"]})
    write_vectors(folder / "labels.geojson", shapes, table, "EPSG:4326")
    (folder / "scenes.csv").write_text("scene,acquired,platform\na,2021-04-01T05:26:23Z,S1A\n")
    one = taken(folder)
    tifffile.imwrite(folder / "a_mask.tif", np.ones((4, 5), np.uint8))
    return [one, {**taken(folder, "a.tif", "a_mask.tif")}]


def open_scenes(folder: Path) -> None:
    """Its windows and their labels."""
    polygons = (folder / "labels.geojson").exists()
    more = (
        {"labels": ["labels.geojson"], "extent": ["labels.geojson"]}
        if polygons
        else {"labels": ["a_mask.tif"], "label_suffix": "_mask"}
    )
    table = folder / "scenes.csv" if polygons else None
    classes = [{"name": "oil", "values": [1]}]
    source = source_of(
        ScenesData(root=folder, images=["a.tif"], classes=classes, window=8, bands=[1], scenes=table, **more)
    )
    for tile in source.catalog().tiles[:4]:
        pixels = read_pixels(source, tile)
        read_mask(source, tile, pixels.raw.shape[1:])


def wind(folder: Path) -> list[Files]:
    """netCDF, GRIB and GeoTIFF."""
    from tests.conditions.test_winds import write_grib, write_netcdf

    write_netcdf(folder / "w")
    sets = [taken(folder)]
    write_grib(folder / "w")
    sets.append(taken(folder, "w"))
    write_geotiff(folder / "w", TIME="2021-04-01T05:00:00Z")
    return [*sets, taken(folder, "w")]


def open_wind(folder: Path) -> None:
    """The wind at a place."""
    winds._opened.cache_clear()
    winds._field.cache_clear()
    found = winds.read_winds([folder / "w"])
    found.nearest("2021-04-01T05:26:23Z")
    found.at(0, np.array([[-94.7, 28.3], [10.0, 0.0]]))
