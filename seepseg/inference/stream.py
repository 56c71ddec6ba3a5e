"""One scene, streamed: windows in, blended probabilities out, strip by strip from the first row to the last.

Only the rows that later windows still touch are held, so memory depends on a scene's width and never on its height.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from seepseg.config import Predict
from seepseg.data.scaling import FittedScaling, Limits
from seepseg.inference.ahead import ahead
from seepseg.inference.blend import weights
from seepseg.inference.predictor import Predictor
from seepseg.inference.windows import Grid, grid


class Rows(NamedTuple):
    """Some rows of a scene: raw pixels (C, n, W) and where they are valid (n, W)."""

    raw: NDArray[np.generic]
    valid: NDArray[np.bool_]


class RowSource(Protocol):
    """What the engine asks of a scene."""

    height: int
    width: int

    def read(self, start: int, stop: int) -> Rows:
        """Rows `start` … `stop` − 1; called in order from one thread."""


@dataclass(frozen=True)
class Member:
    """One network of an ensemble, and how it wants its pixels."""

    predictor: Predictor
    scaling: FittedScaling
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


class _Band(NamedTuple):
    """The rows that one row of windows sees, and the images of the members that scale pixel by pixel."""

    rows: Rows
    images: list[NDArray[np.float32] | None]


@torch.inference_mode()
def stream(source: RowSource, members: Sequence[Member], n_classes: int, config: Predict) -> Iterator[Strip]:
    """The strips of a scene in order; the probabilities of the members are averaged.

    The tensor of a strip is overwritten when the next one is asked for. Windows without a valid pixel are not computed;
    their probabilities are 0.
    """
    plan = grid(source.height, source.width, config.window, config.overlap)
    across = weights(config.blend, plan.columns, plan.width, source.width, config.overlap)
    device = members[0].predictor.device
    total = torch.zeros(plan.height, source.width, n_classes, device=device)
    ends = (*plan.rows[1:], source.height)
    downs = weights(config.blend, plan.rows, plan.height, source.height, config.overlap)
    for start, end, down, band in zip(plan.rows, ends, downs, ahead(_bands(source, members, plan)), strict=True):
        columns = [i for i, x in enumerate(plan.columns) if band.rows.valid[:, x : x + plan.width].any()]
        for block in _blocks(columns, config.batch_size):
            answers = [_forward(m, i, band.rows, plan, block) for m, i in zip(members, band.images, strict=True)]
            likely = sum(answers[1:], answers[0]) / len(answers)
            for i, window in zip(block, likely, strict=True):
                weight = torch.from_numpy(np.outer(down, across[i])).to(device)
                x = plan.columns[i]
                total[:, x : x + plan.width].addcmul_(window.permute(1, 2, 0), weight.unsqueeze(2))
        done = end - start
        yield Strip(start, Rows(band.rows.raw[:, :done], band.rows.valid[:done]), total[:done])
        total[: plan.height - done] = total[done:].clone()
        total[plan.height - done :] = 0


def _bands(source: RowSource, members: Sequence[Member], plan: Grid) -> Iterator[_Band]:
    """What each row of windows sees; every row of the scene is read once."""
    held: Rows | None = None
    last = 0
    for start in plan.rows:
        stop = start + plan.height
        if held is None:
            held = source.read(start, stop)
        else:
            new = source.read(last, stop)
            kept = start - (last - plan.height)
            held = Rows(
                np.concatenate([held.raw[:, kept:], new.raw], axis=1), np.concatenate([held.valid[kept:], new.valid])
            )
        last = stop
        yield _Band(held, [m.image(held) if m.scaling.by_pixel else None for m in members])


def _forward(
    member: Member, image: NDArray[np.float32] | None, rows: Rows, plan: Grid, columns: Sequence[int]
) -> Tensor:
    """Probabilities (N, K, h, w) of the windows in some columns."""
    cut = [slice(plan.columns[i], plan.columns[i] + plan.width) for i in columns]
    if image is None:
        windows = [member.image(Rows(rows.raw[:, :, c], rows.valid[:, c])) for c in cut]
    else:
        windows = [image[:, :, c] for c in cut]
    return member.predictor.probabilities(torch.from_numpy(np.stack(windows)))


def _blocks(columns: Sequence[int], size: int) -> Iterator[Sequence[int]]:
    """Columns in as few batches as `size` allows, of nearly equal length."""
    count = -(-len(columns) // size)
    for k in range(count):
        yield columns[k * len(columns) // count : (k + 1) * len(columns) // count]
