"""TensorBoard and metrics.csv: how a run can be followed."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch.utils.tensorboard import SummaryWriter
from torch.utils.tensorboard.summary import hparams

from seepseg.classes import ClassTable
from seepseg.config import Config, plain
from seepseg.config.read import dotted
from seepseg.config.training import Train
from seepseg.data.dataset import Draw
from seepseg.data.loader import collate
from seepseg.data.source import source_of
from seepseg.figures.pictures import panel
from seepseg.figures.plots import confusion_picture
from seepseg.inference.decode import decode
from seepseg.inference.predictor import Predictor
from seepseg.inference.score import Sums
from seepseg.runs.tracking import Send
from seepseg.training.curves import BINS, precision_recall
from seepseg.training.progress import Progress, Row
from seepseg.training.state import Trainer

PANELS = 4
"""Validation tiles that TensorBoard shows."""


def part_row(part: str, sums: Sums, classes: ClassTable) -> Row:
    """The numbers of one part (train, val) in an epoch: every loss term, then each measure per class and as macro mean.

    Keys are `part/measure` and `part/measure/class`; an absent class has no entry. `val/tgs_score/nothing` is the TGS
    score of predicting nothing anywhere.
    """
    row: Row = {}
    per_class: dict[str, list[float | None]] = {}
    for name, value in sums.means().items():
        if isinstance(value, list):
            per_class[name] = list(value)
        else:
            row[f"{part}/{name}"] = value
    result = sums.scores()
    per_class |= {"dice": list(result.dice), "iou": list(result.iou)}
    for measure, values in per_class.items():
        present = [v for v in values if v is not None]
        if present:
            row[f"{part}/{measure}/macro"] = float(np.mean(present))
        row |= {
            f"{part}/{measure}/{name}": v for name, v in zip(classes.names[1:], values, strict=True) if v is not None
        }
    if result.foreground.dice is not None:
        row[f"{part}/dice/foreground"] = result.foreground.dice
    if result.foreground.iou is not None:
        row[f"{part}/iou/foreground"] = result.foreground.iou
    if len(classes) == 2 and sums.tgs_score is not None and part == "val":
        row["val/tgs_score"] = sums.tgs_score
        # Tiles without foreground score 1 then, all others 0.
        row["val/tgs_score/nothing"] = 1 - float(sums.tiles[1]) / sums.n_tiles
    return row


FINAL = ("val/dice/macro", "val/iou/macro", "val/dice/foreground", "val/iou/foreground", "val/tgs_score")
"""The scores of a run's last epoch that TensorBoard's page of hyper-parameters shows with its recipe."""


def numbers_of(row: Row) -> dict[str, float]:
    """The numbers of an epoch that can be drawn."""
    return {key: value for key, value in row.items() if key != "epoch" and math.isfinite(value)}


def monitored(config: Config) -> str:
    """The key of the score that decides which epoch is the best."""
    if len(config.data.class_table()) > 2:
        return "val/dice/macro"
    return "val/tgs_score" if source_of(config.data).per_tile else "val/dice/foreground"


def epoch_line(config: Config, progress: Progress, row: Row) -> str:
    """The line that reports an epoch."""
    key = monitored(config)
    stage = f"  stage {row['stage']:.0f}/{len(config.stages)}" if config.stages else ""
    nothing = row.get(f"{key}/nothing")
    reference = "" if nothing is None else f" (predicting nothing: {nothing:.4f})"
    return (
        f"epoch {progress.epoch:3d}/{config.train.epochs}{stage}  loss {row.get('train/loss', math.nan):.4f}  "
        f"val loss {row['val/loss']:.4f}  foreground Dice {row.get('val/dice/foreground', 0):.3f}"
        f"  {key.removeprefix('val/')} {row.get(key, 0):.4f}{reference}"
        f"{' *' if progress.best_epoch == progress.epoch else ''}"
        f"  {row['tiles_per_second']:.1f} tiles/s"
    )


def pictures_due(train: Train, epoch: int) -> bool:
    """Whether panels, curves and confusion matrix are drawn after an epoch."""
    return train.panels_every > 0 and (epoch % train.panels_every == 0 or epoch == train.epochs)


def tile_panels(trainer: Trainer) -> dict[str, NDArray[np.uint8]]:
    """Image, truth, prediction and error of the validation tiles with the most classes, by tile name."""
    val, config = trainer.data.val, trainer.config
    trainer.predicts.eval()
    n_classes = (val.catalog.pixels()[:, 1:] > 0).sum(1)
    indices = np.argsort(-n_classes, kind="stable")[:PANELS]
    batch = collate([val[Draw(int(i))] for i in indices])
    predictor = Predictor(trainer.predicts, config, trainer.device)
    predicted = decode(batch.within(predictor.probabilities(batch.image)), batch.valid, config.predict)
    images = batch.within(batch.image)
    return {
        name: panel(
            images[i, 0, :h, :w].numpy(),
            batch.mask[i, :h, :w].numpy().astype(np.uint8),
            predicted[i, :h, :w],
            trainer.data.classes,
        )
        for i, (name, (h, w)) in enumerate(zip(batch.ids, batch.sizes, strict=True))
    }


class Board:
    """The TensorBoard writer of a run; epochs from `epoch` on that an earlier process wrote are hidden.

    Attributes:
        send: called with all numbers it writes and their epoch.
    """

    def __init__(self, folder: Path, epoch: int) -> None:
        self._writer = SummaryWriter(str(folder), purge_step=epoch)
        self.send: Send = lambda numbers, epoch: None

    def row(self, row: Row, epoch: int) -> None:
        """Write an epoch's numbers."""
        numbers = numbers_of(row)
        for key, value in numbers.items():
            self._writer.add_scalar(key, value, epoch)
        self._writer.flush()
        self.send(numbers, epoch)

    def panels(self, panels: dict[str, NDArray[np.uint8]], epoch: int) -> None:
        """Write pictures (H, W, 3) by tile name."""
        for name, picture in panels.items():
            self._writer.add_image(f"tiles/{name}", picture, epoch, dataformats="HWC")

    def confusion(self, matrix: NDArray[np.int64], classes: ClassTable, epoch: int) -> None:
        """Draw the confusion matrix (K, K) of validation."""
        self._writer.add_image("val/confusion", confusion_picture(matrix, classes.names), epoch, dataformats="HWC")

    def curves(self, counts: NDArray[np.int64], classes: ClassTable, epoch: int) -> None:
        """Write the precision-recall curve of every class that the truth holds, from `probability_counts`."""
        for name, of_class in zip(classes.names[1:], counts, strict=True):
            if of_class[1].any():
                tp, fp, tn, fn, precision, recall = precision_recall(of_class)
                self._writer.add_pr_curve_raw(f"val/{name}", tp, fp, tn, fn, precision, recall, epoch, BINS)

    def recipe(self, config: Config, progress: Progress) -> None:
        """Write the recipe and its final scores for TensorBoard's page of hyper-parameters.

        `SummaryWriter.add_hparams` would put them into a second run of their own.
        """
        best = f"best/{monitored(config).removeprefix('val/')}"
        self._writer.add_scalar(best, progress.best, progress.epoch)
        self.send({best: progress.best or 0.0}, progress.epoch)
        final = [key for key in progress.rows[-1] if key in FINAL]
        # Without types in torch.
        untyped: Any = (self._writer, hparams)
        writer, make = untyped
        for summary in make(hyper_parameters(config), dict.fromkeys([best, *final], 0.0)):
            writer.file_writer.add_summary(summary)

    def close(self) -> None:
        """Flush and close."""
        self._writer.close()


def hyper_parameters(config: Config) -> dict[str, str | float | bool]:
    """The keys of a recipe that training depends on, dotted: without paths, the machine and prediction."""
    tree = plain(config)
    data = {
        key: tree["data"][key] for key in ("classes", "split", "scaling", "augment", "sampling") if key in tree["data"]
    }
    recipe = {k: v for k, v in tree.items() if k not in ("data", "predict", "runtime", "tracking")} | {"data": data}
    return {k: v if isinstance(v, (str, float, int)) else str(v) for k, v in dotted(recipe).items() if v is not None}
