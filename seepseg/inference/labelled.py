"""Labelled tiles through the network of a run: what scoring, fitting, suspects and the object classifier share."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from seepseg.classes import ClassTable
from seepseg.config import Config, Predict, Runtime
from seepseg.data.catalog import Catalog
from seepseg.data.dataset import Draw, TileDataset, margin_of
from seepseg.data.loader import Batch, in_batches, load_batches
from seepseg.data.scaling import MeasuredScaling
from seepseg.data.scan import with_counts
from seepseg.data.source import at_root, scene_limits, source_of
from seepseg.errors import ConfigError, DataError, listed
from seepseg.inference.predictor import load_predictor
from seepseg.inference.scene_objects import Note, object_stage, unnoted
from seepseg.inference.score import Answer, Decoding, Network, Sums, TileResult, answers, score
from seepseg.inference.together import load_together
from seepseg.machine.ahead import ahead
from seepseg.machine.device import runtime_for, set_threads
from seepseg.objects.classifier import ObjectClassifier
from seepseg.runs.checkpoint import load_checkpoint
from seepseg.runs.find import find_checkpoint, find_checkpoints, folds_of, run_root
from seepseg.runs.fit import Fit
from seepseg.runs.folder import RunFolder
from seepseg.splits.parts import part


@dataclass(frozen=True)
class Labelled:
    """Labelled tiles and the checkpoint that predicts them, or the checkpoints whose probabilities are averaged.

    Attributes:
        path: the checkpoint; its network is read when it is wanted, so that one run or fold at a time is in memory.
        folder: of the run or fold.
        config: its recipe; `data` is what is read here, `runtime` what it runs with here.
        tta: test-time augmentation, a key of `TURNS`.
        classes: its class table.
        catalog: the tiles, their classes counted.
        dataset: the same tiles as network input.
        fit: the checkpoint's; use it through `fits` and `runs.fit.fit_for` only.
        objects: the classifier of whole objects, of all the checkpoints.
        epoch: epochs the network was trained for.
        others: the same tiles with each further checkpoint.
        shown: the number of the checkpoint in whose scaling objects are described; 0 is this one.
    """

    path: Path
    folder: RunFolder
    config: Config
    tta: str
    classes: ClassTable
    catalog: Catalog
    dataset: TileDataset
    fit: Fit | None
    objects: ObjectClassifier | None
    epoch: int
    others: tuple[Labelled, ...] = ()
    shown: int = 0

    @property
    def fits(self) -> list[Fit | None]:
        """The fit of each checkpoint."""
        return [each.fit for each in (self, *self.others)]

    @property
    def name(self) -> str:
        """Name of the run or fold."""
        return self.folder.root.name

    @property
    def ids(self) -> tuple[str, ...]:
        """Ids of the tiles."""
        return tuple(t.id for t in self.catalog.tiles)

    @property
    def per_tile(self) -> bool:
        """Whether tiles are scored one by one, as salt is."""
        return self.dataset.source.per_tile

    def answers(self, config: Predict) -> Iterator[Answer]:
        """The tiles in the order of the catalog, each decoded on its own."""
        return self._answers(Decoding(config))

    def decided(self, config: Predict, fit: Fit) -> Iterator[Answer]:
        """The tiles in the order of the catalog, decoded with a fit, whole objects by the classifier if it may."""
        decoding = self._decoding(config, fit)
        return decoding.decide(self._answers(decoding))

    def score(
        self,
        config: Predict,
        fit: Fit | None,
        on_tile: Callable[[TileResult], None],
        every: int = 1,
        note: Note = unnoted,
    ) -> Sums:
        """Sums over the tiles (every k-th of them), in the order of the catalog; `on_tile` sees each in passing.

        Where the classifier knows a place, `note` hears of each scene.
        """
        own, *others = self._networks(every)
        batches, decoding = enumerate(own.batches), self._decoding(config, fit, note)
        return score(own.predictor, batches, len(self.classes), decoding, on_tile=on_tile, others=others)

    def _answers(self, decoding: Decoding) -> Iterator[Answer]:
        own, *others = self._networks()
        return answers(own.predictor, enumerate(own.batches), decoding, others=others)

    def _decoding(self, config: Predict, fit: Fit | None, note: Note = unnoted) -> Decoding:
        described = (self, *self.others)[self.shown].dataset
        return object_stage(self.objects, described, fit.onto(config) if fit else config, fit, note)

    def _networks(self, every: int = 1) -> list[Network]:
        """The networks, freshly read, with the batches of each."""
        return [
            Network(load_predictor(load_checkpoint(p.path), p.config.runtime, p.tta, p.path), p._batches(every))
            for p in (self, *self.others)
        ]

    def _batches(self, every: int) -> Iterator[Batch]:
        draws = [Draw(i) for i in range(0, len(self.dataset), every)]
        size, workers = self.config.predict.batch_size, self.config.runtime.workers
        batches = load_batches(self.dataset, in_batches(draws, size, drop_last=False), workers)
        # Without workers of its own, the next batch is read in a thread while the network is at this one.
        return batches if workers else ahead(batches)


def open_parts(
    run: Path, split: str, device: str | None, *, data_root: Path | None = None, tta: bool = False
) -> list[Labelled]:
    """The tiles to score and who predicts them: each fold of a run for the split "oof", else the run alone.

    On tiles that none of them was trained on, a run of folds is the ensemble that predicts: those of another root, and
    a test part that all folds share.

    Raises:
        ConfigError: as `open_folds`, `open_ensemble` and `open_labelled`, or a split of which folds have trained.
        DataError: no labelled tile, or a damaged file.
    """
    unseen = data_root is not None or split == "test"
    paths = find_checkpoints(run) if split == "oof" or (unseen and folds_of(run)) else [find_checkpoint(run)]
    runtime = runtime_for(load_checkpoint(paths[0]).config.runtime, device)
    set_threads(runtime)
    if split == "oof":
        return open_folds(run, runtime, tta=tta)
    return [open_ensemble(paths, runtime, split, data_root=data_root, tta=tta)]


def open_labelled(
    path: Path, runtime: Runtime, split: str, *, data_root: Path | None = None, tta: bool = False
) -> Labelled:
    """The tiles of one split of a run (val, test, train, all), or all labelled tiles of another root, to be predicted.

    Args:
        path: the checkpoint, in its run folder where the split is to be known.
        tta: with the test-time augmentation of the config.

    Raises:
        ConfigError: the split is empty or the run has no splits.csv.
        DataError: no labelled tile, or a damaged file.
    """
    return open_ensemble([path], runtime, split, data_root=data_root, tta=tta)


def open_ensemble(
    paths: Sequence[Path], runtime: Runtime, split: str, *, data_root: Path | None = None, tta: bool = False
) -> Labelled:
    """As `open_labelled`, predicted and decoded as `predict` does it with several checkpoints, the folds of one run.

    Raises:
        ConfigError: as `open_labelled`; the checkpoints cannot be averaged, or have different tiles in the split; for
            another root, the recipe has absolute paths.
        DataError: no labelled tile, or a damaged file.
    """
    # Fits are averaged where they are used, without those that have seen a tile.
    joined, folders = load_together(paths, fitted=False), [RunFolder(run_root(path)) for path in paths]
    first = joined.checkpoints[0]
    config = first.config.model_copy(update={"runtime": runtime})
    if data_root is not None:
        config = config.model_copy(update={"data": at_root(config.data, data_root)})
    data = config.data
    source = source_of(data)
    everything = source.catalog()
    catalog = with_counts(source, _chosen(everything, folders, "all" if data_root else split, data.root))
    scenes = set(catalog.groups())
    # A margin that one of them cannot have, none has, so that they see the same pixels.
    margin = min(margin_of(c.scaling.config, config.predict.margin, catalog.tiles) for c in joined.checkpoints)

    def dataset(scaling: MeasuredScaling) -> TileDataset:
        limits = scene_limits(source, scaling.config, everything, scenes)
        return TileDataset(catalog, source, scaling, limits, margin=margin, one_pass=True)

    own, *others = (
        Labelled(
            path=path,
            folder=folder,
            config=config,
            tta=config.predict.tta if tta else "none",
            classes=checkpoint.classes,
            catalog=catalog,
            dataset=dataset(checkpoint.scaling),
            fit=Fit.from_plain(checkpoint.decoding),
            objects=joined.objects,
            epoch=checkpoint.epoch,
        )
        for path, folder, checkpoint in zip(paths, folders, joined.checkpoints, strict=True)
    )
    return replace(own, others=tuple(others), shown=joined.shown)


def open_folds(run: Path, runtime: Runtime, *, tta: bool = False) -> list[Labelled]:
    """Each fold of a run with the tiles it has not seen, predicted by its last weights.

    Raises:
        ConfigError: no folds, folds that are missing or of different length, or two that hold out one tile.
    """
    folders = folds_of(run)
    if not folders:
        raise ConfigError("holds no folds", run, "train with --all-folds, or choose another --split")
    folds = [open_labelled(folder.last, runtime, "val", tta=tta) for folder in folders]
    _check_folds(folds, run)
    return folds


def _check_folds(folds: list[Labelled], run: Path) -> None:
    first = folds[0]
    count = first.config.data.split.folds
    if count != len(folds):
        raise ConfigError(f"{len(folds)} of {count} folds are there", run, "train the rest with --all-folds --resume")
    if len({f.epoch for f in folds}) > 1 and not first.config.train.early_stopping:
        epochs = ", ".join(f"{f.name} {f.epoch}" for f in folds)
        raise ConfigError(
            f"the folds were trained for different epochs ({epochs})",
            run,
            "finish them with `seepseg train … --resume`",
        )
    if any(f.classes != first.classes for f in folds):
        raise ConfigError("the folds have different class tables", run, "train all folds with one config")
    counts = Counter(i for f in folds for i in f.ids)
    twice = sorted(i for i, n in counts.items() if n > 1)
    if twice:
        raise ConfigError(
            f"{len(twice)} tiles are held out by two folds ({listed(twice)})", run, "train all folds with one seed"
        )


def _chosen(catalog: Catalog, folders: Sequence[RunFolder], split: str, root: Path) -> Catalog:
    labelled = catalog.subset([t.id for t in catalog.tiles if t.labelled])
    if not len(labelled):
        raise DataError("no labelled tile", root, "evaluation needs masks")
    if split == "all":
        return labelled
    parts = [_part(folder, split) for folder in folders]
    if any(set(ids) != set(parts[0]) for ids in parts):
        advice = "score each fold with --fold, or all with --split oof"
        raise ConfigError(f"the folds have different {split} parts", folders[0].root.parent, advice)
    gone = sorted(set(parts[0]) - {t.id for t in labelled.tiles})
    if gone:
        raise DataError(f"{len(gone)} tiles of the split are gone ({listed(gone)})", root, "restore them")
    return labelled.subset(parts[0])


def _part(folder: RunFolder, split: str) -> list[str]:
    """Ids of the tiles of a part; ConfigError where there are none."""
    if not folder.splits.exists():
        advice = "give the run folder (eval: or --data ROOT)"
        raise ConfigError(f"no splits.csv, so the {split} part is not known", folder.root, advice)
    ids = part(folder.read_splits(), split)
    if not ids:
        raise ConfigError(f"the {split} part is empty", folder.splits, "choose another --split")
    return ids
