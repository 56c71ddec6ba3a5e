"""The parts of a split, as a table: a row per tile."""

from __future__ import annotations

import pandas as pd

from seepseg.data.catalog import Catalog

PARTS = ("train", "val", "test")
UNUSED = "unused"
"""The part of tiles that would train, where the catalog says they may not, and of what a file leaves out."""

MEANS = {
    "group": "Scenes were held out as a whole. Scenes of one place on other dates may be on both sides: then the scores"
    " are of another date at a known place, not of another place.",
    "random": "Tiles were held out at random, so that neighbours of one scene are on both sides: the scores flatter,"
    " and say little about other scenes.",
    "file": "A table says which tiles were held out; the scores mean what that table means.",
    "blocks": "Blocks of ground were held out in all scenes: the scores are of other places in the same region, on"
    " dates that the networks know.",
    "extent": "Areas were held out: the scores are of other ground in the same region.",
}
"""What scores of tiles that were held out measure, by how they were divided (`data.split.by`)."""


def part(splits: pd.DataFrame, name: str) -> list[str]:
    """Ids of one part, in catalog order."""
    return [str(i) for i in splits.loc[splits["split"] == name, "id"]]


def shares(catalog: Catalog, splits: pd.DataFrame) -> pd.DataFrame:
    """Tiles, blocks or scenes (where a tile is not one) and pixels of each class in each part."""
    pixels = pd.DataFrame(catalog.pixels(), columns=list(catalog.classes.names))
    pixels["split"] = splits["split"].to_numpy()
    kind = "block" if "block" in splits else "group"
    pixels["group"] = splits[kind].to_numpy()
    by = pixels.groupby("split")
    table = by[list(catalog.classes.names)].sum()
    table.insert(0, "tiles", by.size())
    if pixels["group"].nunique() < len(catalog):
        table.insert(1, {"block": "blocks", "group": "scenes"}[kind], by["group"].nunique())
    return table.reindex([p for p in (*PARTS, UNUSED) if p in table.index])
