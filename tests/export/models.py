"""Networks to export: small, untrained, with the statistics that training would leave."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from seepseg.config import parse
from seepseg.data.scaling import Limits, MeasuredScaling
from seepseg.export.graph import Form, Graph
from seepseg.export.parity import Sample
from seepseg.inference.predictor import load_predictor
from seepseg.inference.stream import Member, Rows
from seepseg.models.build import build_model
from seepseg.runs.checkpoint import Checkpoint

NETWORKS: dict[str, dict[str, Any]] = {
    "unet": {"channels": [8, 16, 32], "num_res_units": 1},
    "basic_unet": {"features": [8, 8, 16, 16, 16, 8]},
    "attention_unet": {"channels": [8, 16, 32]},
    "segresnet": {"init_filters": 8},
    "resunet_scse": {"width": 0.25, "decoder": 8},
    "effunet_scse": {"decoder": 8, "stride": 16},
    "xception_resunet": {"width": 0.25, "middle_blocks": 1, "decoder": 4},
    "preact_resunet": {"channels": [4, 8, 16]},
    "deeplabv3plus": {"encoder": "resnet34", "width": 0.25, "decoder": 8},
}
LOSSES = {"softmax": "dice_ce", "sigmoid": "dice_bce", "binary": "dice_bce", "two_head": "two_head"}
LIMITS: Limits = ((1000.0,), (50000.0,))
SIDE = 48


def checkpoint_of(name: str = "unet", head: str = "softmax", seed: int = 0, **data: Any) -> Checkpoint:
    """A network of uint16 pixels, scaled from 1000–50000; `input` and keys of `data` as in configs."""
    given = {"input": data.pop("input")} if "input" in data else {}
    classes = "seep_binary" if head == "binary" else "seep"
    tree = {
        "data": {"source": "seep", "root": "seep", "classes": classes} | data,
        "model": {"name": name, "head": head} | NETWORKS[name] | given,
        "loss": LOSSES[head],
        "runtime": {"device": "cpu", "amp": "off"},
    }
    config = parse(tree, "test")
    bands, per_scene = len(config.data.bands or [1]), config.data.scaling.basis in ("scene", "tile")
    limits = None if per_scene else (LIMITS[0] * bands, LIMITS[1] * bands)
    scaling = MeasuredScaling(config.data.scaling, limits, (0.4,) * bands, (0.2,) * bands, dtypes=("uint16",))
    torch.manual_seed(seed)
    model = build_model(config.model, config.data.n_channels, len(config.data.class_table())).train()
    with torch.no_grad():
        for _ in range(4):
            model(torch.randn(4, config.data.n_channels, SIDE, SIDE))
    return Checkpoint(config, config.data.class_table(), scaling, model.state_dict())


def graph_of(*checkpoints: Checkpoint, form: Form | None = None, **decoding: Any) -> Graph:
    return Graph(checkpoints, checkpoints, form or Form((SIDE, SIDE)), **decoding).eval()


def members_of(*checkpoints: Checkpoint) -> list[Member]:
    return [Member(load_predictor(c, c.config.runtime, "none", "test"), c.scaling) for c in checkpoints]


def images(count: int = 3, bands: int = 1, side: int = SIDE) -> list[Rows]:
    """Images of uint16 noise with a slope, and zeros, which are no data, along the left side of the second."""
    rng = np.random.default_rng(0)
    out = []
    for number in range(count):
        level = 0.3 + 0.6 * np.linspace(0, 1, side)[:, None]
        raw = (rng.gamma(4, 0.25, (bands, side, side)) * level * 30_000).clip(1, 65535).astype(np.uint16)
        raw[:, :, : 5 * (number == 1)] = 0
        out.append(Rows(raw, (raw != 0).all(0)))
    return out


def sample_of(rows: Sequence[Rows], limits: Limits | None = None) -> Sample:
    return Sample(list(rows), [limits] * len(rows))
