"""One scene, streamed: windows in, blended probabilities out, strip by strip from the first row to the last.

Only the rows that later windows still touch are in memory, so it depends on a scene's width and never on its height.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from seepseg.config import Predict
from seepseg.data.scaling import Limits, MeasuredScaling
from seepseg.inference.predictor import Predictor
from seepseg.inference.windows import Grid, grid, weights
from seepseg.machine.ahead import ahead


class Rows(NamedTuple):
    """Some rows of a scene, or all: raw pixels (C, n, W) and where they are valid (n, W)."""

    raw: NDArray[np.generic]
    valid: NDArray[np.bool_]

    @property
    def height(self) -> int:
        """How many rows."""
        return len(self.valid)

    @property
    def width(self) -> int:
        """How many columns."""
        return int(self.valid.shape[1])

    def read(self, start: int, stop: int) -> Rows:
        """Rows `start` … `stop` − 1 of these."""
        return Rows(self.raw[:, start:stop], self.valid[start:stop])


class RowSource(Protocol):
    """What the engine needs of a scene."""

    @property
    def height(self) -> int:
        """How many rows."""

    @property
    def width(self) -> int:
        """How many columns."""

    def read(self, start: int, stop: int) -> Rows:
        """Rows `start` … `stop` − 1; called in order from one thread."""


@dataclass(frozen=True)
class Member:
    """One network of an ensemble, and how its pixels are scaled; `limits` are those of one scene."""

    predictor: Predictor
    scaling: MeasuredScaling
    limits: Limits | None = None

    def image(self, rows: Rows) -> NDArray[np.float32]:
        """Network input (C', H, W) of raw pixels."""
        unit = self.scaling.to_unit(rows.raw, rows.valid, self.limits)
        return self.scaling.standardise(unit, rows.valid)


class Strip(NamedTuple):
    """Finished rows: the first one, their pixels, and probabilities (n, W, K) on the predictor's device."""

    start: int
    rows: Rows
    probabilities: Tensor


@torch.inference_mode()
def stream(source: RowSource, members: Sequence[Member], n_classes: int, config: Predict) -> Iterator[Strip]:
    """The strips of a scene in order; the probabilities of the members are averaged.

    The tensor of a strip is overwritten when the next strip is computed. Windows without a valid pixel are not
    computed; their probabilities are 0.
    """
    plan = grid(source.height, source.width, config.window, config.overlap)
    across = weights(plan.columns, plan.width, source.width, config.overlap)
    device = members[0].predictor.device
    total = torch.zeros(plan.height, source.width, n_classes, device=device)
    ends = (*plan.rows[1:], source.height)
    downs = weights(plan.rows, plan.height, source.height, config.overlap)
    for start, end, down, band in zip(plan.rows, ends, downs, ahead(_bands(source, plan)), strict=True):
        columns = [i for i, x in enumerate(plan.columns) if band.valid[:, x : x + plan.width].any()]
        for block in _blocks(columns, config.batch_size):
            mean = mean_probabilities(members, [_cut(band, plan, i) for i in block])
            for i, window in zip(block, mean, strict=True):
                weight = torch.from_numpy(np.outer(down, across[i])).to(device)
                x = plan.columns[i]
                total[:, x : x + plan.width].addcmul_(window.permute(1, 2, 0), weight.unsqueeze(2))
        done = end - start
        yield Strip(start, band.read(0, done), total[:done])
        _move_up(total, done)


def _move_up(total: Tensor, done: int) -> None:
    """Shift rows up by `done` and set the freed ones to 0; block by block, so that no second copy is needed."""
    for start in range(0, len(total) - done, done):
        block = total[start + done : start + 2 * done]
        total[start : start + len(block)] = block
    total[len(total) - done :] = 0


def _bands(source: RowSource, plan: Grid) -> Iterator[Rows]:
    """The rows that each row of windows sees; every row of the scene is read once."""
    band = source.read(0, plan.height)
    yield band
    for before, start in pairwise(plan.rows):
        new = source.read(before + plan.height, start + plan.height)
        old = band.read(start - before, plan.height)
        band = Rows(np.concatenate([old.raw, new.raw], axis=1), np.concatenate([old.valid, new.valid]))
        yield band


def _cut(band: Rows, plan: Grid, column: int) -> Rows:
    """One window of a band."""
    across = slice(plan.columns[column], plan.columns[column] + plan.width)
    return Rows(band.raw[:, :, across], band.valid[:, across])


def mean_probabilities(members: Sequence[Member], images: Sequence[Rows]) -> Tensor:
    """Probabilities (N, K, h, w) of images of one size, averaged over the members.

    They are scaled here, one batch at a time: the scaled strip of a wide scene would be large, and some scalings depend
    on the window.
    """
    answers = [m.predictor.probabilities(torch.from_numpy(np.stack([m.image(i) for i in images]))) for m in members]
    return sum(answers[1:], answers[0]) / len(answers)


def _blocks(columns: Sequence[int], size: int) -> Iterator[Sequence[int]]:
    """Columns in as few batches as `size` allows, of nearly equal length."""
    count = -(-len(columns) // size)
    for k in range(count):
        yield columns[k * len(columns) // count : (k + 1) * len(columns) // count]
