"""Checkpoints whose probabilities are averaged: whether they may be, and the decoding they share."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from seepseg.errors import ConfigError
from seepseg.objects.classifier import ObjectClassifier, together
from seepseg.runs.checkpoint import Checkpoint, load_checkpoint
from seepseg.runs.fit import Fit, mean_fit


@dataclass(frozen=True)
class Together:
    """The checkpoints of an ensemble; windows, flips and decoding are those of the first one's config.

    Attributes:
        checkpoints: in the order in which they are averaged.
        fit: the mean of their fits.
        objects: the classifier of whole objects, where some have one.
        shown: the number of the checkpoint whose scaling objects are described in.
    """

    checkpoints: tuple[Checkpoint, ...]
    fit: Fit | None
    objects: ObjectClassifier | None
    shown: int


def load_together(paths: Sequence[Path], *, fitted: bool = True) -> Together:
    """The checkpoints of some files; without their fits unless they are to be decoded as `fitted`.

    Raises:
        ConfigError: they differ in classes, bands or no-data value, only some hold a fit, or those with an object
            classifier differ in scaling.
        CheckpointError: a file is damaged.
    """
    checkpoints = tuple(load_checkpoint(path) for path in paths)
    for path, other in zip(paths, checkpoints, strict=True):
        if _reads(other) != _reads(checkpoints[0]):
            raise ConfigError(
                f"classes, bands or no-data value differ from those of {paths[0]}",
                path,
                "only runs on the same kind of data can be averaged",
            )
    fit = mean_fit([Fit.from_plain(c.decoding) for c in checkpoints], paths) if fitted else None
    objects = together([ObjectClassifier.from_plain(c.objects, p) for c, p in zip(checkpoints, paths, strict=True)])
    return Together(checkpoints, fit, objects, _first_with_objects(checkpoints, paths))


def _reads(checkpoint: Checkpoint) -> tuple[object, ...]:
    data = checkpoint.config.data
    # A product is read once, as linear or in dB.
    return checkpoint.classes, data.bands, data.page, data.nodata, data.names and data.scaling.kind


def _units(checkpoint: Checkpoint) -> tuple[object, ...]:
    scaling = checkpoint.scaling.config
    return scaling.kind, scaling.basis, scaling.range


def _first_with_objects(checkpoints: Sequence[Checkpoint], paths: Sequence[Path]) -> int:
    """The number of the first checkpoint with an object classifier; 0 if none has one."""
    first, *others = [i for i, c in enumerate(checkpoints) if c.objects] or [0]
    for other in others:
        # An object is described once for all classifiers, so they must expect the same units.
        if _units(checkpoints[other]) != _units(checkpoints[first]):
            raise ConfigError(
                f"its object classifier was trained with another data.scaling than that of {paths[first]}",
                paths[other],
                "predict with one of the two, or with runs of one data.scaling",
            )
    return first
