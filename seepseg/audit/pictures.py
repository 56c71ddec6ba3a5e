"""Pictures of a data set: its scenes put together, tiles with problems, look-alikes, examples."""

from __future__ import annotations

import numpy as np

from seepseg.audit.inspection import KINDS, SMALL, Look
from seepseg.audit.tables import Findings
from seepseg.classes import IGNORE
from seepseg.data.mosaic import Cell, assemble
from seepseg.data.source import read_pixels, source_of
from seepseg.figures import stretch
from seepseg.pages.pictures import Group, Picture

PICTURED = 24
"""Tiles with problems, look-alikes and examples that are shown, of each."""


def pictures(data: Findings) -> list[Group]:
    """Groups of pictures for the gallery of the page; scenes where `data.grid` knows them, else examples."""
    by_id = {look.tile.id: look for look in data.looks}
    odd: dict[str, str] = {}
    for kind in KINDS:
        of_kind = [p for p in data.problems if p.kind == kind and p.tile in by_id]
        for p in of_kind[: PICTURED // 6]:
            odd.setdefault(p.tile, f"{p.tile} · {p.kind} · {p.name} {p.detail}".strip())
    twins = [
        _picture(data, by_id[name], f"{name} · {pair.kind} {number}, {pair.similarity:.3f}")
        for number, pair in enumerate(data.pairs[: PICTURED // 2], 1)
        for name in (pair.tile, pair.other)
    ]
    maps = _maps(data)
    return [
        Group("Scenes", "Tiles of one scene put together, made small; grey cells are missing.", maps),
        Group(
            "Tiles with label problems",
            "The largest of each kind.",
            [_picture(data, by_id[tile], caption) for tile, caption in odd.items()],
        ),
        Group("Duplicates and look-alikes", "Two by two.", twins),
        Group("Examples", "From no foreground to the most, at even steps.", [] if maps else _examples(data)),
    ]


def _maps(data: Findings) -> list[Picture]:
    scenes: dict[str, dict[Cell, Look]] = {}
    for look in data.looks:
        if look.tile.cell is not None:
            scenes.setdefault(look.tile.group, {})[look.tile.cell] = look
    pictures = []
    for scene, cells in sorted(scenes.items()):
        stack = np.stack([look.small for look in cells.values()])
        # One stretch for the whole scene, so that its tiles join.
        gray = stretch(stack.reshape(-1, SMALL), np.isfinite(stack).reshape(-1, SMALL)).reshape(stack.shape)
        image = assemble(dict(zip(cells, gray, strict=True)), missing=128)
        truth = assemble({cell: look.small_mask for cell, look in cells.items()}, missing=IGNORE)
        pictures.append(Picture(f"{scene} · {len(cells)} tiles", image, truth))
    return pictures


def _examples(data: Findings) -> list[Picture]:
    labelled = [look for look in data.looks if look.tile.labelled and not look.constant]
    ranked = sorted(labelled, key=lambda look: (sum((look.tile.pixels or ())[1:]), look.tile.id))
    if not ranked:
        return []
    steps = np.unique(np.linspace(0, len(ranked) - 1, PICTURED).round().astype(int))
    return [_picture(data, ranked[i], ranked[i].tile.id) for i in steps]


def _picture(data: Findings, look: Look, caption: str) -> Picture:
    source = source_of(data.recipe.data)
    raw, valid = read_pixels(source, look.tile.image)
    labels = source.labels(look.tile, look.shape)
    truth = np.full(look.shape, IGNORE, np.uint8)
    if labels is not None:
        indices, _ = source.classes.indices_and_unknown(labels.known(source.classes))
        truth = np.where(labels.ignored, truth, indices)
    return Picture(caption, stretch(raw[0], valid), truth)
