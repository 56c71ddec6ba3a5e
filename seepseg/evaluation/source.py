"""What is scored: labelled tiles, as the run that is to predict them reads them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from seepseg.classes import ClassTable
from seepseg.config import Config, Predict, Runtime
from seepseg.data.catalog import Catalog
from seepseg.data.dataset import Draw, TileDataset
from seepseg.data.loader import in_batches, load_batches
from seepseg.data.scaling import Limits, group_limits
from seepseg.data.source import images_of, source_of, with_counts
from seepseg.data.splits import part
from seepseg.errors import ConfigError, DataError, listed
from seepseg.inference.predictor import Predictor, load_predictor
from seepseg.inference.scene_objects import object_stage
from seepseg.inference.score import Sums, TileResult, score
from seepseg.machine.ahead import ahead
from seepseg.objects.classifier import ObjectClassifier
from seepseg.runs.checkpoint import Checkpoint, load_checkpoint
from seepseg.runs.fit import Fit
from seepseg.runs.folder import RunFolder, folds_of


@dataclass(frozen=True)
class Source:
    """Labelled tiles and the network that predicts them.

    Attributes:
        name: of the run or fold.
        config: its recipe.
        classes: its class table.
        catalog: the tiles, their classes counted.
        dataset: the same tiles as network input.
        predictor: loads the network; called when its turn comes, so that one at a time is held.
        fit: what decoding was fitted to be; use it through `runs.fit.fit_for` only.
        objects: what decides the classes of whole objects.
        epoch: epochs the network was trained for.
    """

    name: str
    config: Config
    classes: ClassTable
    catalog: Catalog
    dataset: TileDataset
    predictor: Callable[[], Predictor]
    fit: Fit | None
    objects: ObjectClassifier | None
    epoch: int

    @property
    def ids(self) -> tuple[str, ...]:
        """Ids of the tiles."""
        return tuple(t.id for t in self.catalog.tiles)

    def score(
        self, config: Predict, fit: Fit | None, workers: int, on_tile: Callable[[TileResult], None], every: int = 1
    ) -> Sums:
        """Sums over the tiles (every k-th of them), in the order of the catalog; `on_tile` sees each in passing."""
        draws = [Draw(i) for i in range(0, len(self.dataset), every)]
        loader = load_batches(self.dataset, in_batches(draws, config.batch_size, drop_last=False), workers)
        # Without workers of its own, the next batch is read in a thread while the network is at this one.
        batches = enumerate(loader if workers else ahead(loader))
        config = fit.onto(config) if fit else config
        config, decide = object_stage(self.objects, self.dataset, config)
        return score(self.predictor(), batches, len(self.classes), config, on_tile=on_tile, fit=fit, decide=decide)


def open_source(
    checkpoint: Checkpoint,
    folder: RunFolder,
    runtime: Runtime,
    *,
    split: str,
    data_root: Path | None = None,
    tta: str = "none",
    load: Callable[[], Checkpoint] | None = None,
) -> Source:
    """The tiles of one split (val, test, train, all), or all labelled tiles of another root, and who predicts them.

    Args:
        load: reads the checkpoint again when the network is wanted, instead of holding it until then.

    Raises:
        ConfigError: the split is empty or the run has no splits.csv.
        DataError: no labelled tile, or a damaged file.
    """
    data = checkpoint.config.data
    if data_root is not None:
        data = data.model_copy(update={"root": data_root})
    source = source_of(data)
    everything = source.catalog()
    catalog = with_counts(source, _chosen(everything, folder, split, data_root))
    limits: dict[str, Limits] = {}
    if data.scaling.basis == "scene":
        # Limits are of the whole scene, whichever of its tiles are scored.
        scenes = set(catalog.groups())
        images = images_of(source, [t for t in everything.tiles if t.group in scenes])
        limits = group_limits(data.scaling, images)
    read = load or (lambda: checkpoint)
    margin = checkpoint.config.predict.margin
    return Source(
        folder.root.name,
        checkpoint.config.model_copy(update={"data": data}),
        checkpoint.classes,
        catalog,
        TileDataset(catalog, source, checkpoint.scaling, limits, margin=margin, one_pass=True),
        lambda: load_predictor(read(), runtime, tta, folder.root),
        Fit.from_plain(checkpoint.decoding),
        ObjectClassifier.from_plain(checkpoint.objects, folder.root),
        checkpoint.epoch,
    )


def open_folds(run: Path, runtime: Runtime, *, tta: bool = False) -> list[Source]:
    """Each fold of a run with the tiles it has not seen, predicted by its last weights.

    Raises:
        ConfigError: no folds, folds that are missing or of different length, or two that hold out one tile.
    """
    folders = folds_of(run)
    if not folders:
        raise ConfigError("holds no folds", run, "train with --all-folds, or choose another --split")
    sources = []
    for folder in folders:
        checkpoint = load_checkpoint(folder.last)
        turns = checkpoint.config.predict.tta if tta else "none"
        read = partial(load_checkpoint, folder.last)
        sources.append(open_source(checkpoint, folder, runtime, split="val", tta=turns, load=read))
    _check_folds(sources, run)
    return sources


def _check_folds(sources: list[Source], run: Path) -> None:
    first = sources[0]
    wanted = first.config.data.split.folds
    if wanted != len(sources):
        there = f"{len(sources)} of {wanted} folds are there"
        raise ConfigError(there, run, "train the rest with --all-folds --resume")
    epochs = {s.epoch for s in sources}
    if len(epochs) > 1 and not first.config.train.early_stopping:
        shown = ", ".join(f"{s.name} {s.epoch}" for s in sources)
        raise ConfigError(
            f"the folds were trained for different epochs ({shown})", run, "finish them with `seepseg train … --resume`"
        )
    if any(s.classes != first.classes for s in sources):
        raise ConfigError("the folds have different class tables", run, "train all folds with one config")
    ids = [i for s in sources for i in s.ids]
    twice = sorted({i for i in ids if ids.count(i) > 1}) if len(set(ids)) < len(ids) else []
    if twice:
        raise ConfigError(
            f"{len(twice)} tiles are held out by two folds ({listed(twice)})", run, "train all folds with one seed"
        )


def _chosen(catalog: Catalog, folder: RunFolder, split: str, data_root: Path | None) -> Catalog:
    labelled = catalog.subset([t.id for t in catalog.tiles if t.labelled])
    if not len(labelled):
        raise DataError("no labelled tile", data_root or "data.root", "evaluation needs masks")
    if data_root is not None or split == "all":
        return labelled
    if not folder.splits.exists():
        raise ConfigError(
            f"no splits.csv, so the {split} part is not known", folder.root, "give the run folder, or --data ROOT"
        )
    ids = part(folder.read_splits(), split)
    if not ids:
        raise ConfigError(f"the {split} part is empty", folder.splits, "choose another --split")
    gone = sorted(set(ids) - {t.id for t in labelled.tiles})
    if gone:
        raise DataError(f"{len(gone)} tiles of the split are gone ({listed(gone)})", "data.root", "restore them")
    return labelled.subset(ids)
