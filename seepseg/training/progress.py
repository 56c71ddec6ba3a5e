"""Where a run stands: epochs, steps and stages, and when each of them is over."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import Any

from seepseg.config import Config, Stage

Row = dict[str, float]
"""The numbers of one epoch, by name."""


@dataclass
class Progress:
    """Where a run stands: all that resuming needs apart from weights, optimiser and loss scaler.

    There is no random state: order, augmentation and dropout are functions of seed, epoch and step.

    Attributes:
        epoch: epochs finished, over all stages.
        batch: batches done of the next one.
        step: steps of the optimiser, over all stages.
        skipped: batches without a labelled pixel.
        best, best_epoch: the highest monitored score so far, over all stages, and the epoch that reached it.
        val_losses: of the current stage, for the plateau schedule.
        rows: the rows of metrics.csv.
        stage: number of the current stage, from 0.
        stage_epoch, stage_step: epochs and steps that were done when it began.
    """

    epoch: int = 0
    batch: int = 0
    step: int = 0
    skipped: int = 0
    best: float | None = None
    best_epoch: int = 0
    val_losses: list[float] = field(default_factory=list)
    rows: list[Row] = field(default_factory=list)
    stage: int = 0
    stage_epoch: int = 0
    stage_step: int = 0

    @classmethod
    def from_plain(cls, tree: Any) -> Progress:
        """The progress that a checkpoint holds; ValueError or TypeError where it holds none."""
        if not isinstance(tree, dict) or tree.keys() != {f.name for f in fields(cls)}:
            raise ValueError("progress of other names")
        progress = cls(**tree)
        counts = [v for k, v in tree.items() if k not in ("best", "val_losses", "rows")]
        if any(type(count) is not int or count < 0 for count in counts):
            raise ValueError("progress that is no number")
        losses, rows, best = progress.val_losses, progress.rows, [] if progress.best is None else [progress.best]
        if type(losses) is not list or any(type(score) is not float for score in (*losses, *best)):
            raise ValueError("scores that are no numbers")
        if type(rows) is not list or any(type(row) is not dict for row in rows):
            raise ValueError("rows that are no tables")
        return progress

    def begin_next_stage(self) -> None:
        """Begin the next stage here."""
        self.stage += 1
        self.stage_epoch, self.stage_step = self.epoch, self.step
        self.val_losses = []


def stages_of(config: Config) -> list[Stage]:
    """The stages of a config; without any, the one its top level describes."""
    whole = Stage(epochs=config.train.epochs, loss=config.loss, optim=config.optim, schedule=config.schedule)
    return config.stages or [whole]


def out_of_patience(config: Config, progress: Progress) -> bool:
    """Whether the stage has had `train.early_stopping` epochs without a better score, and has some of its own left."""
    patience = config.train.early_stopping
    waited = progress.epoch - max(progress.best_epoch, progress.stage_epoch)
    return patience is not None and waited >= patience and not _full(config, progress)


def stage_over(config: Config, progress: Progress) -> bool:
    """Whether the current stage has had its epochs, or is out of patience."""
    return _full(config, progress) or out_of_patience(config, progress)


def _full(config: Config, progress: Progress) -> bool:
    return progress.epoch - progress.stage_epoch >= stages_of(config)[progress.stage].epochs


def finished(config: Config, progress: Progress) -> bool:
    """Whether the last stage is over."""
    return progress.stage == len(stages_of(config)) - 1 and stage_over(config, progress)
