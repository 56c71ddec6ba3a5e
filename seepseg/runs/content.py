"""What a checkpoint must hold, part by part: a right sum says who wrote last, not that it is what seepseg writes."""

from __future__ import annotations

import math
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from pydantic import TypeAdapter

from seepseg.classes import ClassTable
from seepseg.config import Config
from seepseg.data.scaling import MeasuredScaling
from seepseg.errors import ConfigError
from seepseg.models.saved import is_state
from seepseg.objects.classifier import ObjectClassifier
from seepseg.runs.fit import Fit


def class_table(tree: Any) -> ClassTable:
    """The class table; ValueError or ConfigError where it is none."""
    table = TypeAdapter(ClassTable).validate_python(tree)
    _ = table.colors
    return table


def scaling(tree: Any, config: Config) -> MeasuredScaling:
    """The scaling; ValueError where it is none, or not of as many bands as the config's."""
    measured = TypeAdapter(MeasuredScaling).validate_python(tree)
    bands = len(config.data.bands or (1,))
    parts = [measured.mean, measured.std, *(measured.limits or ()), *([measured.shares] if measured.shares else [])]
    if any(len(part) != bands for part in parts):
        raise ValueError(f"scaling of {len(measured.mean)} bands, the config has {bands}")
    numbers = [*measured.mean, *measured.std, *(v for limit in measured.limits or () for v in limit), measured.usual]
    if not all(map(math.isfinite, numbers)) or min(measured.std) <= 0:
        raise ValueError("scaling by what is no number")
    return measured


def states(tree: Mapping[str, Any]) -> dict[str, Any]:
    """Weights and their averages; ValueError where they are no tensors by name."""
    if not is_state(tree["weights"]) or not (tree["ema"] is None or is_state(tree["ema"])):
        raise ValueError("weights that are no tensors by name")
    return {name: tree[name] for name in ("weights", "ema")}


def numbers(tree: Mapping[str, Any]) -> dict[str, Any]:
    """Score and epoch; ValueError where they are none."""
    score, epoch = tree["score"], tree["epoch"]
    sound = score is None or (type(score) in (int, float) and math.isfinite(score))
    if not sound or type(epoch) is not int or epoch < 0:
        raise ValueError(f"score {score!r} at epoch {epoch!r}"[:80])
    return {"score": score, "epoch": epoch}


def fitted(tree: Mapping[str, Any], config: Config, classes: int, where: object) -> dict[str, Any]:
    """Fit and object classifier in plain types, once they can be used; errors of any kind where they cannot."""
    if not all(isinstance(tree[name], dict) for name in ("decoding", "objects", "training")):
        raise ValueError("a part that is no table")
    fit = Fit.from_plain(tree["decoding"])
    if fit:
        TypeAdapter(Fit).validate_python(vars(fit))
        if fit.head != config.model.head or len(fit.offsets) not in (0, classes - 1) or not fit.temperature > 0:
            raise ValueError("a fit of another head or other classes")
        _ = fit.grades
    with suppress(ConfigError):  # of other features than this version computes: said where it is used
        if objects := ObjectClassifier.from_plain(tree["objects"], where):
            objects.check(classes)
    return {name: tree[name] for name in ("decoding", "objects", "training")}
