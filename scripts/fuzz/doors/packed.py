"""Doors of archives, checkpoints and weights."""

from __future__ import annotations

import hashlib
import io
import os
import random
import shutil
import zipfile
from functools import cache
from pathlib import Path

import torch
from damage import bytes_damaged, tree_damaged
from monai.networks.nets.resnet import ResNet

from doors.door import Files, taken
from seepseg.archives.unpacked import unpacked
from seepseg.classes import SEEP
from seepseg.config import Scaling, parse
from seepseg.data.scaling import MeasuredScaling
from seepseg.export.weights import write_config, write_weights
from seepseg.models.build import build_model
from seepseg.models.efficientnet import EfficientNetLite
from seepseg.models.encoder_weights import load_encoder_weights
from seepseg.runs.checkpoint import Checkpoint, save_checkpoint


def archives(folder: Path) -> list[Files]:
    """A ZIP of a folder, one with an archive in it."""
    inner = io.BytesIO()
    with zipfile.ZipFile(inner, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("train/images/a.png", b"x" * 500)
    with zipfile.ZipFile(folder / "a.zip", "w") as archive:
        archive.writestr("train.zip", inner.getvalue())
        archive.writestr("depths.csv", b"id,z\na,1\n")
    return [{"a.zip": inner.getvalue()}, taken(folder)]


def open_archives(folder: Path) -> None:
    """Unpacked into a cache in the folder."""
    os.environ["SEEPSEG_CACHE"] = str(folder / "cache")
    try:
        unpacked(folder / "a.zip")
    finally:
        shutil.rmtree(folder / "cache", ignore_errors=True)
        left = [p.name for p in folder.parent.iterdir()] + [p.name for p in folder.iterdir()]
        assert set(left) <= {"case", "a.zip", "canaries", "tmp", "kept"}, f"unpacked outside: {left}"


def checkpoint() -> Checkpoint:
    """That of a small network."""
    tree = {
        "data": {"source": "seep", "root": "x", "split": {"val_fraction": 0.25}},
        "model": {"name": "unet", "channels": [8, 16, 32]},
        "loss": "dice_ce",
    }
    config = parse(tree, "test")
    weights = build_model(config.model, 1, len(SEEP)).state_dict()
    few = dict(list(weights.items())[:6])
    fit = {
        "head": config.model.head,
        "temperature": 1.0,
        "threshold": 0.5,
        "offsets": [],
        "min_pixels": 0,
        "split": "val",
        "tiles": ["a"],
    }
    scaling = MeasuredScaling(Scaling(), ((1.0,), (2.0,)), (0.5,), (0.25,))
    return Checkpoint(config, SEEP, scaling, few, None, fit, {"step": 7, "rows": [{"b": 1.5}]}, 0.25, 4)


def checkpoints(folder: Path) -> list[Files]:
    """A checkpoint."""
    save_checkpoint(folder / "c.pt", checkpoint())
    return [taken(folder)]


TRAILER = len(b"seepseg-sha256:") + 32
ODD_LEAVES = (
    torch.zeros(2), torch.zeros(0), torch.tensor(float("nan")), torch.eye(2).to_sparse(), torch.zeros(2, device="meta"),
    (1, 2), 2**70, -0.0,
)  # fmt: skip


def resealed(whole: bytes, rng: random.Random, canary: str) -> bytes:
    """A checkpoint with other content and a right trailer, as an attacker gives it."""
    body = repacked(whole[:-TRAILER], rng, canary)
    return body + b"seepseg-sha256:" + hashlib.sha256(body).digest()


def repacked(body: bytes, rng: random.Random, canary: str) -> bytes:
    """What `torch.save` wrote, with other content in it or other bytes."""
    tree, buffer = torch.load(io.BytesIO(body), weights_only=True), io.BytesIO()
    try:
        torch.save(tree_damaged(tree, rng, canary, ODD_LEAVES), buffer)
    except (RecursionError, NotImplementedError, RuntimeError):  # more than torch can save
        buffer = io.BytesIO()
    changed = buffer.getvalue() if rng.random() < 0.6 else body
    return changed if changed and changed != body else bytes_damaged(body, rng, canary)


@cache
def encoder(name: str) -> torch.nn.Module:
    """A small network of each kind that weights are loaded into, by the name of their file."""
    if name == "lite.pth":
        return EfficientNetLite(3, 16)
    return ResNet("basic", [1, 1, 1, 1], [2, 2, 2, 2], spatial_dims=2, n_input_channels=3, conv1_t_size=3)


def encoders(folder: Path) -> list[Files]:
    """State dicts, one of a ResNet and one of an EfficientNet."""
    for name in ("resnet.pth", "lite.pth"):
        torch.save(encoder(name).state_dict(), folder / name)
    return [taken(folder, "resnet.pth"), taken(folder, "lite.pth")]


def open_encoder(folder: Path) -> None:
    """Compared with the network that the file was of."""
    (path,) = folder.glob("*.pth")
    load_encoder_weights(encoder(path.name), path)


def exported(folder: Path) -> list[Files]:
    """What was exported with weights."""
    write_weights([checkpoint()], folder)
    write_config([checkpoint()], folder)
    return [taken(folder)]
