"""One scene, streamed: windows in, classes out, strip by strip from the first row to the last.

Only the rows that later windows still touch are in memory, so it depends on a scene's width and never on its height.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from seepseg.classes import IGNORE
from seepseg.config import Head, Predict
from seepseg.data.scaling import Limits, MeasuredScaling
from seepseg.inference.decode import background_bound, most_probable
from seepseg.inference.predictor import Predictor, Turn, at_once, averaged
from seepseg.inference.windows import Grid, grid, weights
from seepseg.machine.ahead import ahead, in_streams
from seepseg.models.head import out_channels, probabilities
from seepseg.runs.fit import Fit


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

    @property
    def chunk(self) -> int:
        """As of a `RowSource`; all rows are there."""
        return self.height

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

    @property
    def chunk(self) -> int:
        """How many rows are best read at once."""

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
    """Finished rows.

    Attributes:
        start: the first one.
        rows: their pixels.
        classes: (n, W) class indices, 255 = no data.
        where: places in the raveled rows of m pixels, every pixel of foreground among them.
        pixels: probabilities (m, K) there.
        probabilities: (n, W, K) of all pixels, 0 where no window has a valid one; None if they were not asked for.
    """

    start: int
    rows: Rows
    classes: NDArray[np.uint8]
    where: Tensor
    pixels: Tensor
    probabilities: Tensor | None


def whole_strip(rows: Rows, classes: NDArray[np.uint8], probabilities: Tensor) -> Strip:
    """A whole image with its classes (H, W) and probabilities (H, W, K) as one strip."""
    where = torch.from_numpy(np.flatnonzero((classes > 0) & (classes != IGNORE))).to(probabilities.device)
    return Strip(0, rows, classes, where, probabilities.reshape(-1, probabilities.shape[2])[where], probabilities)


Pass = tuple[Member, Turn]
"""A network of an ensemble, and how its images are turned."""


class _Task(NamedTuple):
    """Windows that go through a network at once.

    Attributes:
        line: number of their row of windows.
        rows: the rows they see.
        images: their network input, by network and first column, kept for further turns.
        number: of the pass.
        columns: numbers of their columns of windows; none where no window holds a valid pixel.
        last: no more of them in this line and pass.
    """

    line: int
    rows: Rows
    images: dict[tuple[Predictor, int], Tensor]
    number: int
    columns: Sequence[int]
    last: bool


@torch.inference_mode()
def stream(
    source: RowSource,
    members: Sequence[Member],
    n_classes: int,
    config: Predict,
    fit: Fit | None = None,
    *,
    every_pixel: bool = False,
) -> Generator[Strip]:
    """The strips of a scene in order; with `every_pixel`, they hold the probabilities of all pixels.

    Windows of one network are blended as logits, as MONAI and nnU-Net do; probabilities are averaged over test-time
    turns and members. Windows without a valid pixel are not computed.

    Raises:
        DataError: the network gives NaN.
    """
    plan = grid(source.height, source.width, config.window, config.overlap)
    passes = [(member, turn) for member in members for turn in member.predictor.turns]
    heads = [member.predictor.head for member, _ in passes]
    device = members[0].predictor.device
    down, across = (
        [torch.from_numpy(w).to(device) for w in weights(*axis, config.overlap)]
        for axis in ((plan.rows, plan.height, source.height), (plan.columns, plan.width, source.width))
    )
    ends = (*plan.rows[1:], source.height)
    rings = _rings(heads, n_classes, plan.height, source.width, device)
    # A single pass leaves unfinished rows in its ring. Several take turns in one memory, and carry theirs over.
    carries = [(0, ring[:0]) for ring in rings]
    bound = background_bound(heads[0], n_classes, config.threshold, fit)
    mean: Tensor | None = None
    for task, logits in _computed(_tasks(source, plan, passes, config, device), plan, passes, device):
        # numba takes part of a second to import; the first windows are being computed meanwhile.
        from seepseg.inference.ring import add, find, put, rows_of, take

        ring, head, start, end = rings[task.number], heads[task.number], plan.rows[task.line], ends[task.line]
        for i, window in zip(task.columns, logits, strict=True):
            add(ring, start, plan.columns[i], window, down[task.line], across[i])
        if not task.last:
            continue
        rows = task.rows.read(0, end - start)
        valid = torch.from_numpy(rows.valid).to(device)
        if len(passes) == 1:
            mean = _probabilities(rows_of(ring, start, end), head) if every_pixel else None
            where, open_logits = find(ring, start, valid, bound)
            pixels = _probabilities(open_logits, head)
        else:
            share = _probabilities(take(ring, start, end), head).div_(len(passes))
            mean = share if mean is None else mean.add_(share)
            carries[task.number] = end, take(ring, end, start + plan.height)
            following = (task.number + 1) % len(passes)
            put(rings[following], *carries[following])
            if following:
                continue
            where = (valid & ~(mean[..., 0] > bound.background)).ravel().nonzero()[:, 0]
            pixels = mean.view(-1, n_classes)[where]
        classes = (~valid).to(torch.uint8) * IGNORE
        classes.view(-1)[where] = most_probable(pixels.T[None, :, :, None], config.threshold, fit)[0, :, 0]
        yield Strip(start, rows, classes.cpu().numpy(), where, pixels, mean)
        mean = None


def _tasks(
    source: RowSource, plan: Grid, passes: Sequence[Pass], config: Predict, device: torch.device
) -> Iterator[_Task]:
    size = at_once(config.batch_size, plan.height * plan.width, device)
    for line, rows in enumerate(ahead(_lines(source, plan))):
        columns = [i for i, x in enumerate(plan.columns) if rows.valid[:, x : x + plan.width].any()]
        blocks = [columns[k : k + size] for k in range(0, len(columns), size)] or [[]]
        images: dict[tuple[Predictor, int], Tensor] = {}
        for number in range(len(passes)):
            for block in blocks:
                yield _Task(line, rows, images, number, block, block is blocks[-1])


def _lines(source: RowSource, plan: Grid) -> Iterator[Rows]:
    """The rows that each row of windows sees; every row of the scene is read once, as many at once as it likes."""
    rows, first, stop = None, 0, 0
    for start in plan.rows:
        parts = [rows.read(start - first, stop - first)] if rows else []
        while stop < start + plan.height:
            until = min(source.height, stop + source.chunk)
            parts.append(source.read(stop, until))
            stop = until
        if len(parts) > 1:
            rows = Rows(np.concatenate([p.raw for p in parts], axis=1), np.concatenate([p.valid for p in parts]))
        else:
            rows = parts[0]
        parts.clear()  # or they would stay in memory as long as these rows wait
        first = start
        yield rows.read(0, plan.height)


def _computed(
    tasks: Iterator[_Task], plan: Grid, passes: Sequence[Pass], device: torch.device
) -> Iterator[tuple[_Task, Tensor]]:
    """The tasks in order, with the logits (N, h, w, C) of their windows."""

    def image(task: _Task) -> Tensor:
        """Network input (N, C', h, w), made once for all turns; pinned, so that a GPU takes it while it computes."""
        member, turn = passes[task.number]
        turns = member.predictor.turns
        key = member.predictor, task.columns[0] if task.columns else 0
        planes = task.images.pop(key, None)
        if planes is None:
            windows = [member.image(_cut(task.rows, plan, i)) for i in task.columns]
            planes = torch.from_numpy(np.stack(windows)) if windows else torch.zeros(0)
            planes = planes.pin_memory() if device.type == "cuda" else planes
        if turn != turns[-1]:
            task.images[key] = planes
        return planes

    def logits(task: _Task, planes: Tensor) -> Tensor:
        member, turn = passes[task.number]
        return member.predictor.logits(planes, turn).permute(0, 2, 3, 1) if task.columns else planes

    if device.type == "cpu":
        return in_streams(lambda task: logits(task, image(task)), tasks, device)
    return ((task, logits(task, planes)) for task, planes in ahead((task, image(task)) for task in tasks))


def _cut(rows: Rows, plan: Grid, column: int) -> Rows:
    """One window of the rows it sees."""
    across = slice(plan.columns[column], plan.columns[column] + plan.width)
    return Rows(rows.raw[:, :, across], rows.valid[:, across])


def _rings(heads: Sequence[Head], n_classes: int, height: int, width: int, device: torch.device) -> list[Tensor]:
    """A ring (height, W, C) for each head, all in the same memory."""
    channels = [out_channels(head, n_classes) for head in heads]
    memory = torch.zeros(height * width * max(channels), device=device)
    return [memory[: height * width * c].view(height, width, c) for c in channels]


def _probabilities(logits: Tensor, head: Head) -> Tensor:
    """Probabilities (…, K) of logits (…, C); some at a time, because it takes memory on the way."""
    parts = torch.split(logits.reshape(-1, logits.shape[-1]), 2**18)
    planes = torch.cat([probabilities(part.T[None, :, :, None], head)[0, :, :, 0].T for part in parts])
    return planes.view(*logits.shape[:-1], planes.shape[1])


def mean_probabilities(members: Sequence[Member], images: Sequence[Rows]) -> Tensor:
    """Probabilities (N, K, h, w) of images of one size, averaged over the members.

    They are scaled here, one batch at a time, because some scalings depend on the window.
    """
    answers = [m.predictor.probabilities(torch.from_numpy(np.stack([m.image(i) for i in images]))) for m in members]
    return averaged(answers)
