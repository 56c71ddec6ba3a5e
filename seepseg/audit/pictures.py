"""Pictures of a data set: its scenes put together, tiles with problems, look-alikes, examples."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from seepseg.audit.inspection import KINDS, SMALL, TileFacts
from seepseg.audit.tables import DatasetFacts
from seepseg.classes import IGNORE
from seepseg.data.catalog import Catalog, Tile
from seepseg.data.source import Source, read_pixels, source_of
from seepseg.figures.pictures import beside, overlay, rgb, stretch, thinned
from seepseg.pages.pictures import Group, Picture
from seepseg.scenes.mosaic import Cell, assemble

PICTURED = 24
"""The most tiles shown of each: with problems, look-alikes, examples."""

SHEET = 8
"""Tiles of a sheet of examples."""

SHEET_SIDE = 512
"""Larger tiles are reduced to this many pixels a side on a sheet."""

SHEET_PARTS = ("image", "mask over it") * 2
"""What a row of a sheet shows, from the left: two tiles."""


def pictures(data: DatasetFacts) -> list[Group]:
    """Groups of pictures for the gallery of the page; scenes where tiles are cells of a grid, else examples."""
    source = source_of(data.recipe.data)
    tiles = {t.tile.id: t.tile for t in data.tiles}
    problems: dict[str, str] = {}
    for kind in KINDS:
        of_kind = [p for p in data.problems if p.kind == kind and p.tile in tiles]
        for p in of_kind[: PICTURED // 6]:
            problems.setdefault(p.tile, f"{p.tile} · {p.kind} · {p.name} {p.detail}".strip())
    twins = [
        _picture(source, tiles[name], f"{name} · {pair.kind} {number}, {pair.similarity:.3f}")
        for number, pair in enumerate(data.pairs[: PICTURED // 2], 1)
        for name in (pair.tile, pair.other)
    ]
    maps = _maps(data.tiles)
    varied = [t.tile for t in data.tiles if t.tile.labelled and not t.constant]
    examples = [] if maps else [_picture(source, tile, tile.id) for tile in _spread(varied, PICTURED)]
    return [
        Group("Scenes", "Tiles of one scene put together, made small; grey cells are missing.", maps),
        Group(
            "Tiles with label problems",
            "The largest of each kind.",
            [_picture(source, tiles[name], caption) for name, caption in problems.items()],
        ),
        Group("Duplicates and look-alikes", "Two by two.", twins),
        Group("Examples", "From no foreground to the most, at even steps.", examples),
    ]


def example_rows(catalog: Catalog, source: Source) -> list[tuple[str, NDArray[np.uint8]]]:
    """Titled rows of `SHEET_PARTS`: for each class the tile with most of it, then tiles from most foreground to none.

    The catalog's classes are counted.
    """
    most = [catalog.tiles[int(column.argmax())] for column in catalog.pixels()[:, 1:].T if column.any()]
    labelled = [tile for tile in catalog.tiles if tile.labelled] or catalog.tiles
    chosen = list(dict.fromkeys([*most, *reversed(_spread(labelled, SHEET))]))[:SHEET]
    rows = []
    for start in range(0, len(chosen), 2):
        pair = [_picture(source, tile, tile.id) for tile in chosen[start : start + 2]]
        parts = []
        for picture in pair:
            gray, (truth,) = thinned(picture.gray, [picture.truth], SHEET_SIDE)
            parts += [rgb(gray), overlay(gray, truth, source.classes)]
        parts += [np.full_like(parts[0], 255)] * (len(SHEET_PARTS) - len(parts))
        rows.append((" · ".join(picture.caption for picture in pair), beside(parts)))
    return rows


def _maps(tiles: Sequence[TileFacts]) -> list[Picture]:
    scenes: dict[str, dict[Cell, TileFacts]] = {}
    for one in tiles:
        if one.tile.cell is not None:
            scenes.setdefault(one.tile.group, {})[one.tile.cell] = one
    pictures = []
    for scene, cells in sorted(scenes.items()):
        stack = np.stack([one.small for one in cells.values()])
        # One stretch for the whole scene, so that its tiles join.
        gray = stretch(stack.reshape(-1, SMALL), np.isfinite(stack).reshape(-1, SMALL)).reshape(stack.shape)
        image = assemble(dict(zip(cells, gray, strict=True)), missing=128)
        truth = assemble({cell: one.small_mask for cell, one in cells.items()}, missing=IGNORE)
        pictures.append(Picture(f"{scene} · {len(cells)} tiles", image, truth))
    return pictures


def _spread(tiles: Sequence[Tile], count: int) -> list[Tile]:
    """So many of the tiles, or fewer, from no foreground to the most at even steps."""
    ranked = sorted(tiles, key=lambda tile: (sum((tile.pixels or ())[1:]), tile.id))
    return [ranked[i] for i in np.unique(np.linspace(0, len(ranked) - 1, count).round().astype(int))] if ranked else []


def _picture(source: Source, tile: Tile, caption: str) -> Picture:
    raw, valid = read_pixels(source, tile)
    labels = source.labels(tile, valid.shape)
    truth = np.full(valid.shape, IGNORE, np.uint8)
    if labels is not None:
        indices, _ = source.classes.indices_and_unknown(labels.values)
        truth = np.where(labels.ignored, truth, indices)
    return Picture(caption, stretch(raw[0], valid), truth)
