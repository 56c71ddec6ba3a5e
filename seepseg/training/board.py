"""TensorBoard and metrics.csv: what a person watches while a run goes on."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from torch.utils.tensorboard import SummaryWriter

from seepseg.classes import ClassTable
from seepseg.inference.score import Sums

Row = dict[str, float]


def part_row(part: str, sums: Sums, classes: ClassTable) -> Row:
    """One part's (train, val) numbers of an epoch: every loss term, then each measure per class and as macro mean.

    Keys are `part/measure` and `part/measure/class`; an absent class has no entry.
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
        known = [v for v in values if v is not None]
        if known:
            row[f"{part}/{measure}/macro"] = float(np.mean(known))
        row |= {
            f"{part}/{measure}/{name}": v for name, v in zip(classes.names[1:], values, strict=True) if v is not None
        }
    if result.foreground.dice is not None:
        row[f"{part}/dice/foreground"] = result.foreground.dice
    if len(classes) == 2 and sums.tgs_score is not None and part == "val":
        row[f"{part}/tgs_score"] = sums.tgs_score
    return row


class Board:
    """The TensorBoard writer of a run; epochs from `epoch` on that an earlier process wrote are hidden."""

    def __init__(self, folder: Path, epoch: int) -> None:
        self._writer = SummaryWriter(str(folder), purge_step=epoch)

    def row(self, row: Row, epoch: int) -> None:
        """Write an epoch's numbers."""
        for key, value in row.items():
            if key != "epoch" and math.isfinite(value):
                self._writer.add_scalar(key, value, epoch)
        self._writer.flush()

    def panels(self, panels: dict[str, NDArray[np.uint8]], epoch: int) -> None:
        """Write pictures (H, W, 3) by tile name."""
        for name, picture in panels.items():
            self._writer.add_image(f"tiles/{name}", picture, epoch, dataformats="HWC")

    def close(self) -> None:
        """Flush and close."""
        self._writer.close()
