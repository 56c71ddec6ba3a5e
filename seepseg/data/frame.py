"""Where tiles of several scenes lie in common: the shifts of scenes in one frame of pixels, and blocks of ground."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from itertools import groupby

import numpy as np

from seepseg.config import TileFolders
from seepseg.data.catalog import Catalog, Tile
from seepseg.data.source import Source, read_pixels
from seepseg.errors import ConfigError, DataError, listed
from seepseg.geo.frame import read_shifts
from seepseg.geo.place import place_of
from seepseg.io.image import Pixels
from seepseg.scenes.blocks import frame_blocks, tile_blocks
from seepseg.scenes.frame import scene_shifts
from seepseg.scenes.images import opened
from seepseg.scenes.mosaic import Cell


def with_blocks(source: Source, catalog: Catalog) -> Catalog:
    """The catalog with the blocks of its tiles, where the split is by them, and a warning of scenes without a place.

    Tiles of such scenes have no blocks. Windows of scenes come with theirs from the source.

    Raises:
        DataError: some tiles have no georeference, or are no cell of a scene, or one cannot be read.
        ConfigError: tiles are larger than blocks, or no two scenes can be tied.
    """
    data = source.data
    if not isinstance(data, TileFolders) or data.split.by != "blocks":
        return catalog
    tiles = catalog.tiles
    with opened(data, tiles[0].image) as first:
        on_ground, shape = place_of(first.georeference).crs is not None, (first.height, first.width)
    if on_ground:
        blocks = tile_blocks(data.split, [t.image for t in tiles], partial(opened, data))
        return replace(catalog, tiles=tuple(replace(t, blocks=b) for t, b in zip(tiles, blocks, strict=True)))
    if odd := next((t for t in tiles if t.cell is None), None):
        what = "has no georeference and is no cell of a scene, so its block is not known"
        raise DataError(what, odd.image, "set data.name_pattern and data.grid, or data.split.by=group")
    shifts = frame_shifts(source, catalog)
    placed = [(t, np.array(t.cell) * shape + shift) for t in tiles if (shift := shifts[t.group]) is not None]
    blocks = frame_blocks(data.split, np.array([[*corner, *shape] for _, corner in placed], np.float64))
    own = {t.id: b for (t, _), b in zip(placed, blocks, strict=True)}
    loose = sorted(scene for scene, shift in shifts.items() if shift is None)
    more = [
        f"{len(loose)} of {len(shifts)} scenes share too few bright points with the others ({listed(loose)}), so their "
        f"{len(tiles) - len(placed)} tiles are unused; give their shifts in data.shifts"
    ]
    return replace(
        catalog,
        tiles=tuple(replace(t, blocks=own.get(t.id)) for t in tiles),
        warnings=(*catalog.warnings, *(more if loose else ())),
    )


def frame_shifts(source: Source, catalog: Catalog) -> dict[str, tuple[float, float] | None]:
    """Rows and columns to add to those of each scene of tiles, so that all lie in one frame, as `data.shifts` says.

    None for a scene that no bright points tie to the others; whole pixels where they do.

    Raises:
        ConfigError: a table that is none, or lacks a scene; no two scenes can be tied.
        DataError: a tile cannot be read.
    """
    data, scenes = source.data, catalog.groups()
    given = data.shifts if isinstance(data, TileFolders) else None
    if given is None or len(scenes) == 1:
        return dict.fromkeys(scenes, (0.0, 0.0))
    if given != "found":
        table = read_shifts(given)
        if missing := [scene for scene in scenes if scene not in table]:
            raise ConfigError(f"no shift of {listed(missing)}", given, "give a row for each scene, with 0, 0 for none")
        return {scene: (table[scene][1], table[scene][0]) for scene in scenes}
    tiles = {scene: list(members) for scene, members in groupby(catalog.tiles, key=lambda tile: tile.group)}
    shifts = scene_shifts({scene: partial(_read, source, members) for scene, members in tiles.items()})
    if not any(shifts.values()):
        fix = "give a CSV of scene, column and row, or null where the same row and column is the same ground in all"
        raise ConfigError(f"no two of {len(scenes)} scenes share enough bright points", "data.shifts", fix)
    return {scene: shift and (float(round(shift[0])), float(round(shift[1]))) for scene, shift in shifts.items()}


def _read(source: Source, tiles: list[Tile]) -> Mapping[Cell, Pixels]:
    return {tile.cell or (0, 0): read_pixels(source, tile) for tile in tiles}
