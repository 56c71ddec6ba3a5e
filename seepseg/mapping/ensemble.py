"""One network or several, averaged, with the data they read and the decoding they share."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import seepseg
from seepseg.classes import ClassTable
from seepseg.config import Predict, Runtime, plain
from seepseg.data.scaling import Limits
from seepseg.data.source import Source, source_of
from seepseg.errors import ConfigError
from seepseg.inference.predictor import load_predictor
from seepseg.inference.stream import Member
from seepseg.objects.classifier import ObjectClassifier, together
from seepseg.runs.checkpoint import Checkpoint, checkpoint_digest, load_checkpoint
from seepseg.runs.fit import Fit, mean_fit

FAR = 0.1
"""A share of the scaled range: a scene farther than this from the training set, and more than twice as far as any
training scene, gets a warning, because the network has not seen such pixels."""

FAR_TILES = 0.25
"""The same for tiles: a few of them show much less variety than a scene does."""


@dataclass(frozen=True)
class Ensemble:
    """Networks whose probabilities are averaged.

    Attributes:
        members: the networks, each with its scaling.
        classes: their class table.
        source: how their inputs are read and placed.
        config: windows, batches and decoding, of the first member.
        tags: provenance for the outputs: version, digests of weights and config.
        fit: the mean of the members' fits; its threshold and minimum size are in `config` already.
        objects: the classifier of whole objects, where the members have one.
        shown: the number of the member whose scaling objects are described in.
    """

    members: tuple[Member, ...]
    classes: ClassTable
    source: Source
    config: Predict
    tags: dict[str, str]
    fit: Fit | None = None
    objects: ObjectClassifier | None = None
    shown: int = 0

    @property
    def by_scene(self) -> bool:
        """Whether a member scales each scene by its own limits."""
        return any(m.scaling.config.basis == "scene" for m in self.members)

    @property
    def halved(self) -> list[str]:
        """A warning where fewer windows than a batch fit into memory."""
        rooms = [m.predictor.room for m in self.members if m.predictor.room]
        return [f"out of memory: windows went through the network {min(rooms)} at a time"] if rooms else []

    def with_limits(self, limits: Sequence[Limits | None]) -> tuple[Member, ...]:
        """The members, each with its limits of one scene."""
        return tuple(replace(m, limits=own) for m, own in zip(self.members, limits, strict=True))

    def unlike(
        self, dtype: np.dtype[Any], sample: NDArray[np.generic], limits: Sequence[Limits | None], far: float = FAR
    ) -> tuple[float | None, list[str]]:
        """How far raw valid pixels (C, n) lie from the training set, and what to warn of.

        The distance is a share of the scaled range, the largest over the members; None where it is not known.
        """
        warnings = []
        trained = sorted({name for m in self.members for name in m.scaling.dtypes})
        if trained and dtype.name not in trained:
            warnings.append(f"pixels are {dtype.name}, those of the training tiles {' and '.join(trained)}")
        distances = [
            (drift, m.scaling.usual)
            for m, own in zip(self.members, limits, strict=True)
            if (drift := m.scaling.drift(sample, own)) is not None
        ]
        if not distances:
            return None, warnings
        distance, usual = max(distances)
        if distance > max(far, 2 * usual):
            warnings.append(
                f"pixel values lie {distance:.2f} of the scaled range from the training set (its own scenes: up to "
                f"{usual:.2f}); check calibration and units, docs/howto-sentinel1.md"
            )
        return distance, warnings


def load_ensemble(
    paths: Sequence[Path], runtime: Runtime, config: Predict | None = None, *, tta: bool, fitted: bool = True
) -> Ensemble:
    """The networks of some checkpoints on one device.

    Args:
        paths: checkpoint files.
        runtime: device, threads, number format.
        config: windows and decoding instead of the first checkpoint's own.
        tta: average over the flips that the config names.
        fitted: decode with the fit of the checkpoints, where they hold one.

    Raises:
        ConfigError: they differ in classes, bands or no-data value, only some hold a fit, or those with an object
            classifier differ in scaling.
        CheckpointError: a file is damaged.
    """
    checkpoints = [load_checkpoint(path) for path in paths]
    first = checkpoints[0]
    for path, other in zip(paths, checkpoints, strict=True):
        if _reads(other) != _reads(first):
            raise ConfigError(
                f"classes, bands or no-data value differ from those of {paths[0]}",
                path,
                "only runs on the same kind of data can be averaged",
            )
    config = config or first.config.predict
    fit = mean_fit([Fit.from_plain(c.decoding) for c in checkpoints], paths) if fitted else None
    turns = config.tta if tta else "none"
    members = tuple(
        Member(load_predictor(c, runtime, turns, path), c.scaling) for path, c in zip(paths, checkpoints, strict=True)
    )
    recipe = json.dumps([plain(c.config) for c in checkpoints], sort_keys=True)
    tags = {
        "SEEPSEG_VERSION": seepseg.__version__,
        "SEEPSEG_MODEL": " ".join(checkpoint_digest(path)[:16] for path in paths),
        "SEEPSEG_CONFIG": hashlib.sha256(recipe.encode()).hexdigest()[:16],
    }
    objects = together([ObjectClassifier.from_plain(c.objects, p) for c, p in zip(checkpoints, paths, strict=True)])
    config = fit.onto(config) if fit else config
    shown = _first_with_objects(checkpoints, paths)
    return Ensemble(members, first.classes, source_of(first.config.data), config, tags, fit, objects, shown)


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
