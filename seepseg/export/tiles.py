"""Windows of whole scenes as tile files with masks, a table, and the config that trains on them as on the scenes."""

from __future__ import annotations

import hashlib
import json
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd
from rasterio.control import GroundControlPoint
from rasterio.crs import CRS
from rasterio.transform import Affine

from seepseg.classes import ClassTable
from seepseg.config import Config, DataNode, Split, TilesData, dump
from seepseg.data.catalog import Catalog, Tile
from seepseg.data.scenes import ScenesSource
from seepseg.data.source import read_pixels
from seepseg.errors import ConfigError
from seepseg.geo.identity import identity_of
from seepseg.io.atomic import atomic_path, remove_leftovers, write_text
from seepseg.io.documents import parse_json
from seepseg.io.image import Pixels
from seepseg.io.images import write_png
from seepseg.io.raster import Georeference, create_raster, gdal
from seepseg.io.table import csv_text
from seepseg.machine.progress import Tick, silent
from seepseg.runs.folder import LOCK, folder_lock
from seepseg.scenes.images import inspected
from seepseg.splits.parts import UNUSED

TABLE, RECIPE, STARTED = "tiles.csv", "tiles.yaml", ".unfinished.json"
PATTERN = r"^(?P<group>.+)_r(?P<row>\d+)c(?P<column>\d+)$"
"""How the files of windows are called: their scene, row and column."""


def write_tiles(
    config: Config,
    source: ScenesSource,
    catalog: Catalog,
    splits: pd.DataFrame | None,
    out: Path,
    *,
    overwrite: bool = False,
    tick: Tick = silent,
) -> None:
    """Write labelled windows into a folder: images, masks, `TABLE` and `RECIPE`, these two last.

    A folder in which the same was begun is finished.

    Args:
        config: the recipe of the scenes.
        catalog: the windows.
        splits: what `make_splits` says of them; None where they are not divided.
        overwrite: write anew into a folder that holds something; tiles in it are removed.

    Raises:
        ConfigError: the folder is not empty, or not writable.
        DataError: a scene or mask is damaged.
        ResourceError: the disk is full, or fails.
        LockedError: another process writes there.
    """
    with folder_lock(out, keep=False):
        _write_tiles(config, source, catalog, splits, out, overwrite, tick)


def _write_tiles(
    config: Config,
    source: ScenesSource,
    catalog: Catalog,
    splits: pd.DataFrame | None,
    out: Path,
    overwrite: bool,
    tick: Tick,
) -> None:
    _begin(out, _state(config, catalog), overwrite=overwrite)
    values, ignore = source.classes, ignore_value(source.classes)
    known = {group: inspected(config.data, source.scenes[group].path).nodata for group in catalog.groups()}
    rows = list[dict[str, str]]()
    for done, tile in enumerate(catalog.tiles, 1):
        name = f"{tile.group}/{tile.group}_{tile.id.rpartition('/')[2]}"
        row = {"image": f"images/{name}.tif", "mask": f"masks/{name}{_suffix(values, ignore)}"}
        rows.append({**row, "id": tile.id, "scene": tile.group})
        if not all((out / file).is_file() for file in row.values()):
            pixels = read_pixels(source, tile)
            _write_mask(out / row["mask"], source, tile, pixels.valid.shape, ignore)
            place, tags = _place(source, tile)
            nodata = config.data.nodata if isinstance(config.data.nodata, float) else known[tile.group]
            _write_image(out / row["image"], pixels, place, nodata, config.data.names, tags)
        tick(done, len(catalog))
    table, split = pd.DataFrame(rows), config.data.split
    if splits is not None and not (split.folds and split.by == "blocks"):
        column: Literal["fold", "split"] = "fold" if split.folds else "split"
        table[column] = splits[column].to_numpy()
        sides = splits[splits[column] != UNUSED].groupby("group")[column].nunique()
        split = Split(
            by="file", folds=split.folds, allow_missing_classes=split.allow_missing_classes,
            allow_leak=bool((sides > 1).any()),
        )  # fmt: skip
    write_text(out / RECIPE, dump(config.model_copy(update={"data": _as_tiles(source, split, out, ignore)})))
    write_text(out / TABLE, csv_text(table))
    (out / STARTED).unlink()


def ignore_value(classes: ClassTable) -> int:
    """The label value that is ignored: the table's own, or else one that it does not name."""
    free = (value for value in (255, *range(65535, 255, -1)) if not classes.has(value))
    return classes.ignore_values[0] if classes.ignore_values else next(free)


def _state(config: Config, catalog: Catalog) -> str:
    """What changes when other files would be written."""
    stats = {path: path.stat() for tile in catalog.tiles for path in tile.files}
    files = sorted((str(path), stat.st_size, stat.st_mtime_ns) for path, stat in stats.items())
    text = json.dumps([config.data.model_dump_json(), config.seed, files])
    return hashlib.sha256(text.encode()).hexdigest()


def _begin(out: Path, state: str, *, overwrite: bool) -> None:
    """Mark a folder as unfinished; of one that is not, and of other data, tiles are removed, if that is asked for."""
    remove_leftovers(out)
    if any(path.name != LOCK for path in out.iterdir()):
        with suppress(OSError, ValueError):
            if parse_json((out / STARTED).read_text()) == state and not overwrite:
                for folder in (*out.glob("images/*"), *out.glob("masks/*")):
                    remove_leftovers(folder)
                return
        if not overwrite:
            raise ConfigError("is not empty", out, "choose another folder, or give --overwrite")
        tiles = [*out.glob("images/*/*_r*c*.tif"), *out.glob("masks/*/*_r*c*.tif"), *out.glob("masks/*/*_r*c*.png")]
        for file in (out / TABLE, out / RECIPE, *tiles):
            file.unlink(missing_ok=True)
    write_text(out / STARTED, json.dumps(state))


def _as_tiles(source: ScenesSource, split: Split, out: Path, ignore: int) -> TilesData:
    """The config of the tiles."""
    data = source.data
    kept = data.model_dump(include=set(DataNode.model_fields) - {"root", "split", "page", "bands", "ignore_values"})
    numbers = None if data.bands is None or len(data.bands) == 1 else [*range(1, len(data.bands) + 1)]
    return TilesData(
        **kept,
        root=out,
        table=Path(TABLE),
        name_pattern=PATTERN,
        split=split,
        bands=data.bands if data.names else numbers,
        ignore_values=list(data.ignore_values or ([] if source.classes.soft else [ignore])),
        empty=data.empty,
        pixel_size=source.pixel_size,
    )


def _suffix(classes: ClassTable, ignore: int) -> str:
    """Of masks: PNG for values of 8 bits."""
    highest = max(ignore, *classes.background_values, *(v for c in classes.foreground for v in c.values))
    return ".tif" if classes.soft or highest > 255 else ".png"


def _write_mask(path: Path, source: ScenesSource, tile: Tile, shape: tuple[int, ...], ignore: int) -> None:
    """Label values of a window, `ignore` where they count nowhere; of soft masks in float32, NaN there."""
    labels = source.labels(tile, (shape[0], shape[1]))
    assert labels
    if source.classes.soft:
        values = np.where(labels.ignored, np.nan, labels.values).astype(np.float32)
    else:
        values = np.where(labels.ignored, ignore, labels.values).astype(np.uint16)
    if path.suffix == ".png":
        write_png(path, values.astype(np.uint8))
    else:
        _write_image(path, Pixels(values[None], np.ones(values.shape, bool)), Georeference(), None, [], {})


def _place(source: ScenesSource, tile: Tile) -> tuple[Georeference, dict[str, str]]:
    """Where a window lies, and tags of when and by what it was taken."""
    assert tile.window
    own, (row, column, *_) = source.scenes[tile.group].georeference, tile.window
    transform = own.transform
    if transform:
        a, b, c, d, e, f = transform
        transform = (a, b, c + a * column + b * row, d, e, f + d * column + e * row)
    points = tuple((down - row, right - column, x, y, z) for down, right, x, y, z in own.gcps)
    shift = {"LINE_OFF": row, "SAMP_OFF": column}
    rpcs = {key: str(float(text) - shift[key]) if key in shift else text for key, text in own.rpcs.items()}
    tags = identity_of(own.tags, tile.group, {}).tags
    return replace(own, transform=transform, gcps=points, rpcs=rpcs), tags


def _write_image(
    path: Path, pixels: Pixels, place: Georeference, nodata: float | None, names: list[str], tags: dict[str, str]
) -> None:
    """Write pixels as a GeoTIFF; what is not valid has the no-data value or, where valid pixels have it, a mask."""
    raw, valid = pixels
    if raw.dtype.kind == "f":
        nodata = float("nan")
    elif nodata is not None and not np.iinfo(raw.dtype).min <= nodata <= np.iinfo(raw.dtype).max:
        nodata = None  # of other files of the same config
    if valid.all() or nodata is None or (raw[:, valid] == nodata).any():
        nodata = None
    profile: dict[str, Any] = {"crs": CRS.from_wkt(place.crs_wkt)} if place.crs_wkt else {}
    profile |= {"transform": Affine(*place.transform)} if place.transform else {}
    predictor = 3 if raw.dtype.kind == "f" else 2
    with (
        atomic_path(path) as temporary,
        gdal(GDAL_TIFF_INTERNAL_MASK="YES"),
        create_raster(
            temporary, count=len(raw), height=raw.shape[1], width=raw.shape[2],
            dtype=raw.dtype.name, nodata=nodata, compress="deflate", predictor=predictor, **profile,
        ) as target,
    ):  # fmt: skip
        if place.gcps and not place.transform:
            wkt = place.gcps_crs_wkt
            target.gcps = ([GroundControlPoint(*point) for point in place.gcps], CRS.from_wkt(wkt) if wkt else CRS())
        if place.rpcs:
            target.update_tags(ns="RPC", **place.rpcs)
        target.update_tags(**tags)
        if names:
            target.descriptions = names
        target.write(np.where(valid, raw, raw.dtype.type(0 if nodata is None else nodata)))
        if nodata is None and not valid.all():
            target.write_mask(valid)
