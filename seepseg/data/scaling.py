"""Scaling of raw pixels: raw → [0, 1] between two limits → standardised with the training set's mean and spread."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import groupby
from operator import itemgetter
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from seepseg.config import Scaling
from seepseg.errors import DataError

Limits = tuple[tuple[float, ...], tuple[float, ...]]
"""Lower and upper limit of each band, in the units of the input kind."""

Image = tuple[str, NDArray[np.generic], NDArray[np.bool_]]
"""Group, raw pixels (C, H, W) and validity (H, W)."""

BINS = 64

FLAT = 0.02
"""The smallest local spread, in units of the scaled range, so that flat areas are not amplified to noise."""

SAMPLE = 4_000_000
"""The most pixels a percentile is measured on: its error is then far below one grey level of 8 bits."""

PER_SCENE = 64
"""Tiles that a scene is assumed to have when its share of `SAMPLE` is set."""


@dataclass(frozen=True)
class MeasuredScaling:
    """What training measured; stored in the checkpoint and used by inference.

    Attributes:
        config: kind, basis and range.
        limits: the limits of the training set; None where each scene or tile has its own.
        mean, std: of the scaled valid training pixels, per band; 0 and 1 without standardisation.
        shares: per band, the shares of the scaled training pixels in `BINS` equal bins of [0, 1].
        usual: the largest `distance` of a training scene from the whole training set.
        dtypes: number formats of the training images ("uint16").
    """

    config: Scaling
    limits: Limits | None
    mean: tuple[float, ...]
    std: tuple[float, ...]
    shares: tuple[tuple[float, ...], ...] = ()
    usual: float = 0.0
    dtypes: tuple[str, ...] = ()

    def drift(self, raw: NDArray[np.generic], limits: Limits | None) -> float | None:
        """`distance` of raw valid pixels (C, n) from the training set; None where it was not measured, or n = 0."""
        if not self.shares or not raw.shape[1]:
            return None
        values = transform(raw, self.config.kind)
        unit = _unit(values, self.limits or limits or measure([values], self.config))
        return distance(_shares(_counts(unit)), np.array(self.shares))

    def to_unit(
        self, raw: NDArray[np.generic], valid: NDArray[np.bool_], scene: Limits | None = None
    ) -> NDArray[np.float32]:
        """Raw pixels (C, H, W) as float32 in [0, 1]; invalid pixels are 0.

        `scene` gives the limits for basis scene; other bases do not read it.
        """
        values = transform(raw, self.config.kind)
        limits = self.limits or (scene if self.config.basis == "scene" else None)
        unit = _unit(values, limits or measure([values[:, valid]], self.config))
        # In place, here and below: strips of wide scenes are large.
        unit[:, ~(valid & np.isfinite(unit).all(0))] = 0
        return unit

    def standardise(self, unit: NDArray[np.float32], valid: NDArray[np.bool_]) -> NDArray[np.float32]:
        """Scaled pixels (C, H, W) less the mean, over the spread; invalid pixels are 0.

        With `local`, (2·C, H, W): the bands against their surroundings, then the mean of the surroundings.
        """
        mean, std = (np.array(v, np.float32)[:, None, None] for v in (self.mean, self.std))
        if self.config.local is None:
            planes = unit - mean
            planes /= std
        else:
            around, spread = surroundings(unit, valid, self.config.local)
            planes = np.concatenate([(unit - around) / spread, (around - mean) / std])
        planes[:, ~valid] = 0
        return planes

    def to_plain(self) -> dict[str, Any]:
        """Plain types, for the checkpoint."""
        return vars(self) | {"config": self.config.model_dump(mode="json")}

    @classmethod
    def from_plain(cls, plain: dict[str, Any]) -> MeasuredScaling:
        """The scaling that `to_plain` wrote."""
        return cls(**plain | {"config": Scaling(**plain["config"])})


def transform(raw: NDArray[np.generic], kind: str) -> NDArray[np.float32]:
    """Raw pixels as float32: DN and dB as they are, linear backscatter as 10·log10, clipped at −80 dB."""
    values = raw.astype(np.float32)
    if kind == "linear":
        with np.errstate(invalid="ignore"):
            return np.asarray(10 * np.log10(np.maximum(values, 1e-8)), dtype=np.float32)
    return values


def scale_doubts(kind: str, bands: Sequence[str], images: Iterable[Image]) -> list[str]:
    """What speaks against the pixels of images (C, H, W) being of a kind: a line for each of the bands (C), at most.

    Decibels of the sea are below 0, and linear backscatter is not, but for some of what is no more than noise. Exact
    zeros speak for neither: where there are many, they are the border of a scene, and have a line of their own.
    """
    if kind == "dn":  # before an image is read
        return []
    pixels = np.concatenate([thin(raw[:, valid], 20_000) for _, raw, valid in images], axis=1)
    measured = {name: values for name, values in zip(bands, pixels, strict=True) if name != "incidence"}
    if not measured or not pixels.size:
        return []
    above = {name: float((values[values != 0] > 0).mean()) for name, values in measured.items() if values.any()}
    # A band without a name may be the incidence, which is above 0 in any case: only all of them together say something.
    unnamed = min((share for name, share in above.items() if name.isdecimal()), default=0)
    lines = []
    for name, share in above.items():
        band = f"band {name}, zeros apart, is"
        if kind == "linear" and share < 0.1:
            lines.append(f"{1 - share:.0%} of {band} below 0, as decibels are: set data.scaling.kind=db if it is")
        if kind == "db" and (unnamed if name.isdecimal() else share) > 0.9:
            lines.append(f"{share:.0%} of {band} above 0, as linear backscatter is: set data.scaling.kind")
    if (zeros := float(np.all([values == 0 for values in measured.values()], axis=0).mean())) > 0.5:
        lines.append(f"{zeros:.0%} of pixels are exactly 0: set data.nodata=0 if they are a border without data")
    return lines


def thin(pixels: NDArray[Any], share: int) -> NDArray[Any]:
    """Every k-th pixel of (C, n), so that at most `share` remain."""
    return pixels[:, :: max(1, -(-pixels.shape[1] // max(1, share)))]


def measure(parts: Iterable[NDArray[np.float32]], config: Scaling) -> Limits:
    """Percentile limits per band over parts (C, n) of valid, transformed pixels.

    Equal limits (a constant tile) are set one unit apart, so that it becomes 0 and not NaN.
    """
    pixels = np.concatenate([p[:, np.isfinite(p).all(0)] for p in parts], axis=1)
    if config.basis == "fixed":
        low, high = (np.full(len(pixels), v) for v in config.range)
    elif pixels.shape[1]:
        low, high = np.percentile(pixels, config.range, axis=1)
    else:
        low, high = np.zeros(len(pixels)), np.ones(len(pixels))
    high = np.where(high > low, high, low + 1)
    return tuple(low.tolist()), tuple(high.tolist())


def measure_scaling(
    config: Scaling, images: Iterable[Image], n_images: int, by_scene: Mapping[str, Limits]
) -> MeasuredScaling:
    """The scaling of a training set.

    Args:
        config: what to measure.
        images: group, raw pixels (C, H, W) and validity (H, W) of every training tile; read once.
        n_images: how many there are; each gives an equal share of the pixels measured.
        by_scene: for basis scene, the limits of each group; empty otherwise.

    Raises:
        DataError: no image holds a valid pixel.
    """
    dtypes: set[str] = set()

    def noted() -> Iterator[Image]:
        for group, raw, valid in images:
            dtypes.add(raw.dtype.name)
            yield group, raw, valid

    parts = [(group, p) for group, p in _valid_pixels(config, noted(), n_images) if p.shape[1]]
    if not parts:
        raise DataError("no valid pixel in the training tiles", "data", "check data.nodata")
    overall = measure([p for _, p in parts], config)
    limits = overall if config.basis in ("fixed", "dataset") else None
    scaled = [(group, _unit(p, limits or by_scene.get(group) or measure([p], config))) for group, p in parts]
    counts: dict[str, NDArray[np.float64]] = {}
    for group, unit in scaled:
        counts[group] = counts.get(group, 0) + _counts(unit)
    shares = _shares(sum(counts.values(), np.zeros((len(overall[0]), BINS))))
    usual = max(distance(_shares(c), shares) for c in counts.values())
    mean, std = (0.0,) * len(shares), (1.0,) * len(shares)
    if config.standardise:
        pixels = np.concatenate([unit for _, unit in scaled], axis=1).astype(np.float64)
        mean, std = tuple(pixels.mean(1).tolist()), tuple(np.maximum(pixels.std(1), 1e-6).tolist())
    return MeasuredScaling(config, limits, mean, std, tuple(map(tuple, shares.tolist())), usual, tuple(sorted(dtypes)))


def distance(one: NDArray[np.float64], other: NDArray[np.float64]) -> float:
    """Wasserstein-1 distance of two histograms (C, BINS) of shares over [0, 1], the largest over the bands.

    It is how far, on average, scaled pixels must move to turn one into the other: 0.1 is a tenth of the range.
    """
    return float(np.abs(np.cumsum(one - other, axis=1)).sum(1).max() / BINS)


def group_limits(config: Scaling, images: Iterable[Image]) -> dict[str, Limits]:
    """The limits of every scene among images (group, raw (C, H, W), valid (H, W)), for basis scene."""
    return _by_group(config, _valid_pixels(config, images, PER_SCENE))


def surroundings(
    unit: NDArray[np.float32], valid: NDArray[np.bool_], side: int
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Mean and spread (C, H, W) of the valid pixels in the square of `side` pixels around each pixel of (C, H, W).

    Squares are cut at the border of the image. The minimum spread is `FLAT`; where nothing is valid, mean 0, spread 1.
    """
    whole = bool(valid.all())
    planes = unit if whole else unit * valid
    inside = _whole_count(valid.shape, side) if whole else _box_sum(valid.astype(np.float32), side)
    count = np.maximum(inside, 1)
    mean, variance = (np.stack([_box_sum(p, side) for p in of]) for of in (planes, planes**2))
    mean /= count
    variance /= count
    variance -= mean**2
    if not whole:
        nothing = inside <= 0.5
        mean[:, nothing], variance[:, nothing] = 0, 1
    return mean, np.sqrt(np.maximum(variance, np.float32(FLAT**2)))


def _box_sum(plane: NDArray[np.float32], side: int) -> NDArray[np.float32]:
    """Sum (H, W) over the square of `side` pixels around each pixel, nothing beyond the border."""
    total = cv2.boxFilter(plane, cv2.CV_32F, (side, side), normalize=False, borderType=cv2.BORDER_CONSTANT)
    return np.asarray(total, np.float32)


@lru_cache(maxsize=8)
def _whole_count(shape: tuple[int, int], side: int) -> NDArray[np.float32]:
    """Pixels (H, W) in the square around each pixel of a plane that is valid all over."""
    return _box_sum(np.ones(shape, np.float32), side)


def _counts(unit: NDArray[np.float32]) -> NDArray[np.float64]:
    """Pixels of scaled (C, n) in each of `BINS` bins, (C, BINS)."""
    bins = np.minimum((unit * BINS).astype(np.int64), BINS - 1)
    return np.stack([np.bincount(b, minlength=BINS) for b in bins]).astype(np.float64)


def _shares(counts: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(counts / np.maximum(counts.sum(1, keepdims=True), 1))


def _by_group(config: Scaling, parts: Iterable[tuple[str, NDArray[np.float32]]]) -> dict[str, Limits]:
    # Tiles of a scene come one after the other: one scene at a time is in memory.
    scenes = groupby(parts, key=itemgetter(0))
    return {group: measure([pixels for _, pixels in of], config) for group, of in scenes}


def _valid_pixels(config: Scaling, images: Iterable[Image], n_images: int) -> Iterator[tuple[str, NDArray[np.float32]]]:
    for group, raw, valid in images:
        yield group, transform(thin(raw[:, valid], SAMPLE // n_images), config.kind)


def _unit(values: NDArray[np.float32], limits: Limits) -> NDArray[np.float32]:
    """Transformed pixels (C, …) between the limits as [0, 1]."""
    shape = (-1,) + (1,) * (values.ndim - 1)
    low, high = (np.array(v, np.float32).reshape(shape) for v in limits)
    with np.errstate(invalid="ignore"):
        unit: NDArray[np.float32] = values - low
        unit /= high - low
        return np.clip(unit, 0, 1, out=unit)
