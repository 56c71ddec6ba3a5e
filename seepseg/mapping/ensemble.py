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
from seepseg.inference.predictor import load_predictor
from seepseg.inference.stream import Member
from seepseg.inference.together import load_together
from seepseg.objects.classifier import ObjectClassifier
from seepseg.runs.checkpoint import checkpoint_digest
from seepseg.runs.fit import Fit

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
        ConfigError: they cannot be averaged, see `load_together`.
        CheckpointError: a file is damaged.
    """
    joined = load_together(paths, fitted=fitted)
    checkpoints, fit = joined.checkpoints, joined.fit
    first = checkpoints[0]
    config = config or first.config.predict
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
    config = fit.onto(config) if fit else config
    return Ensemble(
        members, first.classes, source_of(first.config.data), config, tags, fit, joined.objects, joined.shown
    )
