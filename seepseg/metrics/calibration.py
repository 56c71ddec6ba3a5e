"""Calibration: how far probabilities agree with frequencies, and the one temperature that corrects them."""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from seepseg.classes import IGNORE
from seepseg.config import Head
from seepseg.metrics.counts import Counts

BINS = 15
UNIT = 2**24
"""Confidences are summed in whole 2⁻²⁴, so that the order and the sharding of tiles do not matter."""

LIMITS = (0.05, 20.0)
"""Temperatures tried; the lower one is the result where a sample holds no mistake at all."""

Array = TypeVar("Array", NDArray[np.float32], NDArray[np.float64], Tensor)
Ints = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Reliability(Counts):
    """Histogram of pixels by confidence in B bins of equal width.

    Attributes:
        pixels: (B) how many.
        confidence: (B) sum of their confidences, in units of 2⁻²⁴.
        correct: (B) how many of them came true.
    """

    pixels: Ints
    confidence: Ints
    correct: Ints

    @classmethod
    def empty(cls, bins: int = BINS) -> Reliability:
        """A histogram of no pixels."""
        return cls(*np.zeros((3, bins), np.int64))

    def curve(self) -> list[tuple[float, float, int]]:
        """Mean confidence, share that came true, and pixels, of each bin that holds any."""
        rows = zip(self.confidence.tolist(), self.correct.tolist(), self.pixels.tolist(), strict=True)
        return [(c / UNIT / n, right / n, n) for c, right, n in rows if n]

    def expected_error(self) -> float | None:
        """Expected calibration error Σ n_b/N · |share that came true − mean confidence|; None without pixels."""
        total = int(self.pixels.sum())
        gaps = np.abs(self.correct - self.confidence / UNIT)
        return float(gaps.sum() / total) if total else None


def reliability(confidence: NDArray[np.floating], correct: NDArray[np.bool_], bins: int = BINS) -> Reliability:
    """Histogram of confidences (…) in 0–1 and whether each came true (…)."""
    units = np.rint(confidence.ravel().astype(np.float64).clip(0, 1) * UNIT).astype(np.int64)
    which = np.minimum(units * bins // UNIT, bins - 1)
    right = which[correct.ravel()]
    # Sums of whole numbers below 2⁵³ are exact in the float64 that bincount adds in.
    sums = np.bincount(which, weights=units, minlength=bins).astype(np.int64)
    return Reliability(np.bincount(which, minlength=bins), sums, np.bincount(right, minlength=bins))


def top_label(
    probabilities: NDArray[np.floating], truth: NDArray[np.uint8]
) -> tuple[NDArray[np.floating], NDArray[np.bool_]]:
    """Probability of the top class, the most probable one, and whether it is the true one, of the pixels that count.

    Most pixels are plain background, so errors are smaller here than in `foreground`.

    Args:
        probabilities: (K, H, W), background first.
        truth: (H, W) class indices, 255 = ignore.
    """
    counted = truth != IGNORE
    highest, label = probabilities[0].copy(), np.zeros(truth.shape, np.intp)
    # Where background is above one half, as it is nearly everywhere, no other class can win.
    rest = probabilities[0] < 0.501
    others = probabilities[:, rest]
    highest[rest], label[rest] = others.max(0), others.argmax(0)
    return highest[counted], (label == truth)[counted]


def foreground(
    probabilities: NDArray[np.floating], truth: NDArray[np.uint8]
) -> tuple[NDArray[np.floating], NDArray[np.bool_]]:
    """Probability 1 − P(background) and whether the pixel is foreground, of the pixels that count."""
    counted = truth != IGNORE
    return 1 - probabilities[0, counted], truth[counted] > 0


@dataclass(frozen=True, eq=False)
class PixelSample:
    """A random sample of pixels that stays the same however tiles are ordered or spread over processes.

    Every pixel gets a random key from its tile's id; the `room` smallest keys of all are kept.

    Attributes:
        room: how many pixels to keep.
        probabilities: (N, K), background first.
        labels: (N) class indices.
        keys: (N) ascending.
    """

    room: int
    probabilities: NDArray[np.float32]
    labels: NDArray[np.uint8]
    keys: NDArray[np.float64]

    @classmethod
    def empty(cls, n_classes: int, room: int = 200_000) -> PixelSample:
        """A sample of nothing."""
        return cls(room, np.zeros((0, n_classes), np.float32), np.zeros(0, np.uint8), np.zeros(0))

    def __add__(self, other: PixelSample) -> PixelSample:
        keys = np.concatenate([self.keys, other.keys])
        order = np.argsort(keys, kind="stable")[: self.room]
        probabilities = np.concatenate([self.probabilities, other.probabilities])[order]
        return PixelSample(self.room, probabilities, np.concatenate([self.labels, other.labels])[order], keys[order])


def sample_pixels(
    probabilities: NDArray[np.float32], truth: NDArray[np.uint8], tile: str, room: int = 200_000
) -> PixelSample:
    """The sample of one tile: probabilities (K, H, W), truth (H, W) with 255 = ignore."""
    counted = np.flatnonzero(truth != IGNORE)
    keys = np.random.default_rng([0, zlib.crc32(tile.encode())]).random(truth.size)[counted]
    order = np.argsort(keys, kind="stable")[:room]
    chosen = counted[order]
    flat = probabilities.reshape(len(probabilities), -1)[:, chosen].T
    return PixelSample(room, np.ascontiguousarray(flat, np.float32), truth.ravel()[chosen], keys[order])


def apply_temperature(probabilities: Array, temperature: float, head: Head, axis: int = 1) -> Array:
    """Probabilities at another temperature: those of the logits divided by it (arXiv 1706.04599).

    Works on probabilities, numpy's or torch's, because averaging over flips and networks comes first. Softmax and
    binary: p^(1/T) over its sum along `axis`. Sigmoid channels are independent, so each, background too, is scaled
    against its own 1 − p. The order of classes stays, so only decisions by threshold change; but below T = 1 several
    probabilities may round to 1, so take the most probable class first.
    """
    if temperature == 1:
        return probabilities
    # Averages may round to just above 1. numpy and torch name these operations alike, but share no type.
    p: Any = probabilities.clip(0, 1)
    scaled = p ** (1 / temperature)
    whole = scaled + (1 - p) ** (1 / temperature) if head == "sigmoid" else scaled.sum(axis=axis, keepdims=True)
    out: Array = scaled / whole
    return out


def negative_log_likelihood(
    probabilities: NDArray[np.floating], labels: NDArray[np.uint8], temperature: float, head: Head
) -> float:
    """Mean −log of the probability (N, K) that a head gives to the labels (N) at a temperature.

    Sigmoid: the mean over pixels of the sum of the K − 1 channels' binary terms.
    """
    p = probabilities.astype(np.float64)
    # Small probabilities are as exact as large ones; but of 1 − p, where float32 rounded p to 1, no more is known than
    # that it is below 1e-7: of sigmoid channels, and of the background of the binary and the two-head network.
    if head == "sigmoid":
        p = p[:, 1:]
        logs = (np.log(np.maximum(p, 1e-30)) - np.log(np.maximum(1 - p, 1e-7))) / temperature
        truth = labels[:, None] == np.arange(1, p.shape[1] + 1)
        return float(np.logaddexp(0, np.where(truth, -logs, logs)).sum(1).mean())
    minimum = np.full(p.shape[1], 1e-30)
    if head != "softmax":
        minimum[0] = 1e-7
    logs = np.log(np.maximum(p, minimum)) / temperature
    of_label = np.take_along_axis(logs, labels[:, None].astype(np.intp), 1)[:, 0]
    return float((np.logaddexp.reduce(logs, axis=1) - of_label).mean())


def fit_temperature(probabilities: NDArray[np.floating], labels: NDArray[np.uint8], head: Head) -> float:
    """The temperature of minimum negative log-likelihood for probabilities (N, K) and labels (N); 1 without pixels.

    Above 1 the network was overconfident. Stays within `LIMITS`.
    """
    if not len(labels):
        return 1.0
    from scipy.optimize import minimize_scalar

    best = minimize_scalar(
        lambda log_t: negative_log_likelihood(probabilities, labels, float(np.exp(log_t)), head),
        bounds=(np.log(LIMITS[0]), np.log(LIMITS[1])),
        method="bounded",
    )
    return float(np.exp(best.x))
