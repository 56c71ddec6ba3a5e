"""The networks of a run as one torch module: raw pixels in, probabilities and classes out.

It does what `seepseg predict` does with one window, in operations that ONNX has as well, at one fixed size.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from seepseg.classes import IGNORE
from seepseg.config import Head
from seepseg.data.scaling import FLAT, Limits, MeasuredScaling
from seepseg.metrics.calibration import apply_temperature
from seepseg.models.build import build_model
from seepseg.models.head import with_softmax
from seepseg.runs.checkpoint import Checkpoint, load_weights
from seepseg.runs.fit import Fit

DEEPNESS = 255.0
"""What the Deepness plugin of QGIS divides pixels by, whatever their type."""


@dataclass(frozen=True)
class Form:
    """What a graph takes and gives.

    Attributes:
        size: height and width of its images.
        limits: of scaling by scene, for all images; None where images come with their own, or need none.
        deepness: made for that plugin: pixels divided by 255 in, one output, whose channels add up to 1.
        pixel_size: metres, for the plugin; None where it is not known.
    """

    size: tuple[int, int]
    limits: Limits | None = None
    deepness: bool = False
    pixel_size: float | None = None


class Graph(nn.Module):
    """Raw pixels to probabilities and classes, by one network or the mean of several.

    Args:
        checkpoints: the networks.
        names: of their files, for errors.
        threshold: of foreground; None where the most probable class wins.
        fit: gives temperature and class offsets.
    """

    def __init__(
        self,
        checkpoints: Sequence[Checkpoint],
        names: Sequence[object],
        form: Form,
        threshold: float | None = None,
        fit: Fit | None = None,
    ) -> None:
        super().__init__()
        first = checkpoints[0]
        self.form, self.threshold, self.fit = form, threshold, fit
        nodata = first.config.data.nodata
        self.nodata = nodata if isinstance(nodata, float) else None
        self.whole_numbers = bool(first.scaling.dtypes) and not any("float" in name for name in first.scaling.dtypes)
        self.members = nn.ModuleList(_Member(*of, form.limits) for of in zip(checkpoints, names, strict=True))

    @property
    def takes_limits(self) -> bool:
        """Whether images come with the limits of their scene, (N, 2, C): the lower ones, then the upper ones."""
        return any(member.basis == "scene" and member.low is None for member in self.members)

    def forward(self, image: Tensor, limits: Tensor | None = None) -> tuple[Tensor, ...]:
        """Probabilities (N, K, H, W) and classes (N, H, W) uint8, 255 = no data, of raw pixels (N, C, H, W) float32.

        For Deepness, the first alone. A pixel is no data where a band is not finite or has the no-data value.
        """
        if self.form.deepness:
            image = image * DEEPNESS
            image = image.round() if self.whole_numbers else image
        valid = torch.isfinite(image).all(1, keepdim=True)
        if self.nodata is not None:
            # Deepness divides by 255: a value of floats comes back in its last bits.
            near = abs(self.nodata) * 1e-6 if self.form.deepness else 0.0
            valid = valid & ((image - self.nodata).abs() > near).all(1, keepdim=True)
        answers = [member(image, valid, limits) for member in self.members]
        mean = sum(answers[1:], answers[0]) / len(answers)
        fit = self.fit
        calibrated = apply_temperature(mean, fit.temperature, fit.head) if fit else mean
        if self.form.deepness:
            return (self.shares(mean, calibrated, valid),)
        if self.threshold is None:
            classes = mean.argmax(1)
        else:
            classes = (self._class(mean) + 1) * (1 - calibrated[:, 0] >= self.threshold)
        return calibrated, torch.where(valid[:, 0], classes, IGNORE).to(torch.uint8)

    def _class(self, mean: Tensor) -> Tensor:
        """The most probable foreground class (N, H, W), from 0, the offsets of the fit added."""
        foreground = mean[:, 1:]
        if self.fit and self.fit.offsets:
            foreground = foreground * torch.tensor(self.fit.offsets).exp()[:, None, None]
        return foreground.argmax(1)

    def shares(self, mean: Tensor, calibrated: Tensor, valid: Tensor) -> Tensor:
        """Shares (N, K, H, W) that add up to 1, the largest that of the class which is decoded.

        Without a threshold, the probabilities over their sum. With threshold t, foreground and background share the
        pixel by odds of f/(1 − f) · (1 − t)/t, f = 1 − P(background), and all of foreground is the best class's: the
        largest of several would else be less than that of background long after their sum has reached t.
        """
        background = torch.zeros_like(mean)
        background[:, 0] = 1
        if self.threshold is None:
            return torch.where(valid, calibrated / calibrated.sum(1, keepdim=True), background)
        t = min(max(self.threshold, 1e-6), 1 - 1e-6)
        foreground = (1 - calibrated[:, :1]).clamp(0, 1) * (1 - t)
        share = foreground / (foreground + calibrated[:, :1].clamp(0, 1) * t)
        best = torch.arange(mean.shape[1] - 1)[:, None, None] == self._class(mean)[:, None]
        return torch.where(valid, torch.cat([1 - share, share * best], 1), background)


class _Member(nn.Module):
    """One network with its scaling and head: raw pixels to probabilities."""

    low: Tensor | None
    high: Tensor | None
    mean: Tensor
    std: Tensor

    def __init__(self, checkpoint: Checkpoint, name: object, limits: Limits | None) -> None:
        super().__init__()
        config, scaling = checkpoint.config, checkpoint.scaling
        self.head: Head = config.model.head
        self.kind, self.basis, self.range, self.local = _choices(scaling)
        self.network = build_model(config.model, config.data.n_channels, len(checkpoint.classes))
        load_weights(self.network, checkpoint.ema or checkpoint.weights, name)
        limits = scaling.limits or (limits if self.basis == "scene" else None)
        for key, values in (("low", limits and limits[0]), ("high", limits and limits[1])):
            self.register_buffer(key, _planes(values) if values else None)
        self.register_buffer("mean", _planes(scaling.mean))
        self.register_buffer("std", _planes(scaling.std))

    def forward(self, image: Tensor, valid: Tensor, limits: Tensor | None) -> Tensor:
        values = 10 * torch.log10(image.clamp_min(1e-8)) if self.kind == "linear" else image
        if self.low is not None and self.high is not None:
            low, high = self.low, self.high
        elif self.basis == "tile":
            low, high = _percentiles(values, valid, self.range)
        else:
            assert limits is not None
            low, high = limits[:, 0, :, None, None], limits[:, 1, :, None, None]
        unit = ((values - low) / (high - low)).clamp(0, 1)
        unit = torch.where(valid, unit, 0)
        if self.local is None:
            planes = (unit - self.mean) / self.std
        else:
            around, spread = _surroundings(unit, valid, self.local)
            planes = torch.cat([(unit - around) / spread, (around - self.mean) / self.std], 1)
        logits = self.network(torch.where(valid, planes, 0))
        return with_softmax(logits, self.head, lambda channels: torch.softmax(channels, 1))


def _choices(scaling: MeasuredScaling) -> tuple[str, str, tuple[float, float], int | None]:
    config = scaling.config
    return config.kind, config.basis, config.range, config.local


def _planes(values: Sequence[float]) -> Tensor:
    return torch.tensor(values, dtype=torch.float32)[:, None, None]


def _percentiles(values: Tensor, valid: Tensor, range: tuple[float, float]) -> tuple[Tensor, Tensor]:
    """The limits (N, C, 1, 1) of `data.scaling.measure` over the valid pixels of each image."""
    # Valid pixels first, in order; a k-th of them may lie between two.
    ordered = torch.where(valid, values, torch.inf).flatten(2).sort(2).values
    count = valid.flatten(1).sum(1)[:, None, None]

    def at(percent: float) -> Tensor:
        place = (count - 1).clamp_min(0).double() * (percent / 100)
        below = place.floor()
        first = ordered.gather(2, below.long().expand(-1, values.shape[1], -1))
        second = ordered.gather(2, place.ceil().long().expand(-1, values.shape[1], -1))
        return (first + (second - first) * (place - below).float())[..., None]

    some = count[..., None] > 0
    low, high = torch.where(some, at(range[0]), 0), torch.where(some, at(range[1]), 1)
    return low, torch.where(high > low, high, low + 1)


def _surroundings(unit: Tensor, valid: Tensor, side: int) -> tuple[Tensor, Tensor]:
    """`data.scaling.surroundings` of images (N, C, H, W)."""
    inside = _box_sum(valid.float(), side)
    count = inside.clamp_min(1)
    mean = _box_sum(unit, side) / count
    variance = _box_sum(unit**2, side) / count - mean**2
    nothing = inside <= 0.5
    mean, variance = torch.where(nothing, 0, mean), torch.where(nothing, 1, variance)
    return mean, variance.clamp_min(FLAT**2).sqrt()


def _box_sum(planes: Tensor, side: int) -> Tensor:
    """Sum over the square of `side` pixels around each pixel, nothing beyond the border, rounded once as in OpenCV."""
    total = planes.double()
    for axis in (2, 3):
        size, reach = planes.shape[axis], side // 2
        place = torch.arange(size)
        before = functional.pad(total.cumsum(axis), (1, 0) if axis == 3 else (0, 0, 1, 0))
        first, last = (place - reach).clamp_min(0), (place + reach + 1).clamp_max(size)
        total = before.index_select(axis, last) - before.index_select(axis, first)
    return total.float()
