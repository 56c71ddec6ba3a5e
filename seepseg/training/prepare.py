"""The data of a training: catalog, split, scaling, and a dataset for each part."""

from __future__ import annotations

from dataclasses import dataclass, replace

import pandas as pd

from seepseg.classes import ClassTable
from seepseg.config import Config
from seepseg.data.augment import build_augmentation
from seepseg.data.catalog import labelled_of
from seepseg.data.dataset import TileDataset
from seepseg.data.frame import with_blocks
from seepseg.data.scaling import MeasuredScaling, measure_scaling
from seepseg.data.scan import with_counts, with_doubts, with_overlaps
from seepseg.data.source import images_of, scene_limits, some, source_of
from seepseg.errors import DataError
from seepseg.splits.make import divided
from seepseg.splits.parts import part

MEASURED = 10_000
"""The most tiles that scaling is measured on: more would take minutes, and change nothing."""


@dataclass(frozen=True)
class TrainingData:
    """The two parts a run reads, its scaling, and the split they come from."""

    train: TileDataset
    val: TileDataset
    scaling: MeasuredScaling
    classes: ClassTable
    splits: pd.DataFrame


def prepare(
    config: Config, fold: int | None, splits: pd.DataFrame | None = None, scaling: MeasuredScaling | None = None
) -> TrainingData:
    """Catalog, split, scaling and the two datasets; those of an earlier part of the run are used again."""
    source = source_of(config.data)
    everything = source.catalog()
    catalog = with_doubts(source, with_counts(source, labelled_of(everything)))
    if splits is None:
        catalog = with_blocks(source, catalog)
        splits, more = divided(catalog, config.data.split, config.seed, fold)
        catalog = replace(catalog, warnings=(*catalog.warnings, *more))
    elif set(splits["id"]) != {t.id for t in catalog.tiles}:
        raise DataError("the tiles are not those the run began with", config.data.root, "restore them to resume")
    parts = {name: catalog.subset(part(splits, name)) for name in ("train", "val")}
    limits = scene_limits(source, config.data.scaling, everything, catalog.groups())
    if scaling is None:
        tiles = some(parts["train"].tiles, MEASURED)
        scaling = measure_scaling(config.data.scaling, images_of(source, tiles), len(tiles), limits)
    augmentation = build_augmentation(config.data.augment)
    train_set = TileDataset(with_overlaps(source, parts["train"], config.seed), source, scaling, limits, augmentation)
    val_set = TileDataset(parts["val"], source, scaling, limits, margin=config.predict.margin)
    return TrainingData(train_set, val_set, scaling, catalog.classes, splits)
