"""A network that says what its pixels are, so that tests know the answer."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from seepseg.classes import SALT
from seepseg.config import Config, Predict, Scaling, parse
from seepseg.data.scaling import MeasuredScaling
from seepseg.data.source import source_of
from seepseg.inference.predictor import Predictor
from seepseg.inference.stream import Member
from seepseg.mapping.ensemble import Ensemble

# Raw 0–200 becomes 0–1, then (x − 0.5) / 0.5: above 100 is foreground.
SCALING = MeasuredScaling(Scaling(basis="fixed", range=(0, 200)), ((0.0,), (200.0,)), (0.5,), (0.5,))
# The same input for the network from other units: pixels are half as bright in [0, 1].
WIDER = MeasuredScaling(Scaling(basis="fixed", range=(0, 400)), ((0.0,), (400.0,)), (0.25,), (0.25,))
SIZES = [(1, 1), (7, 7), (101, 101), (300, 37)]


class Echo(nn.Module):
    """One logit, which is the standardised pixel: foreground where it is above 0."""

    def forward(self, images: Tensor) -> Tensor:
        return images


def recipe(**data: object) -> Config:
    tree: dict[str, Any] = {
        "data": {"source": "seep", "root": "x", "classes": "salt"} | data,
        "model": {"name": "unet", "head": "binary"},
        "loss": "bce",
        "runtime": {"amp": "off", "device": "cpu"},
    }
    return parse(tree, "test")


def toy(config: Config | None = None, scaling: MeasuredScaling = SCALING, decoding: Predict | None = None) -> Ensemble:
    """An ensemble of one `Echo`."""
    config = config or recipe()
    member = Member(Predictor(Echo(), config, torch.device("cpu")), scaling)
    return Ensemble((member,), SALT, source_of(config.data), decoding or Predict(window=64), {"SEEPSEG_MODEL": "toy"})


def pair(first: MeasuredScaling, second: MeasuredScaling, config: Config | None = None) -> Ensemble:
    """An ensemble of two, which scale their own way."""
    ensemble = toy(config, first)
    return replace(ensemble, members=(*ensemble.members, *toy(config, second).members))


def picture(shape: tuple[int, int]) -> NDArray[np.uint16]:
    """Pixels from 1 to 200 in no order."""
    return np.random.default_rng(0).integers(1, 201, shape).astype(np.uint16)


def files(folder: Path) -> dict[str, bytes]:
    """Every file below a folder with its bytes, the books of the batch aside."""
    return {
        p.relative_to(folder).as_posix(): p.read_bytes()
        for p in sorted(folder.rglob("*"))
        if p.is_file() and not p.name.startswith(("manifest", "failures", ".lock"))
    }
