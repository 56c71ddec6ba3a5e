"""Doors of archives, checkpoints and weights."""

from __future__ import annotations

import hashlib
import io
import os
import random
import shutil
import zipfile
from pathlib import Path

import torch
from damage import bytes_damaged, tree_damaged

from doors.door import Files, taken
from seepseg.archives.unpacked import unpacked
from seepseg.classes import SEEP
from seepseg.config import Scaling, parse
from seepseg.data.scaling import MeasuredScaling
from seepseg.export.weights import write_config, write_weights
from seepseg.models.build import build_model
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
    body = whole[:-TRAILER]
    tree, buffer = torch.load(io.BytesIO(body), weights_only=True), io.BytesIO()
    try:
        torch.save(tree_damaged(tree, rng, canary, ODD_LEAVES), buffer)
    except (RecursionError, NotImplementedError, RuntimeError):  # more than torch can save
        buffer = io.BytesIO()
    body = buffer.getvalue() if rng.random() < 0.6 else body
    if not body or body == whole[:-TRAILER]:
        body = bytes_damaged(whole[:-TRAILER], rng, canary)
    return body + b"seepseg-sha256:" + hashlib.sha256(body).digest()


def encoder(folder: Path) -> list[Files]:
    """The state dict of a small ResNet."""
    torch.save(_resnet().state_dict(), folder / "e.pth")
    return [taken(folder)]


def open_encoder(folder: Path) -> None:
    """Compared with a network that has a ResNet."""
    load_encoder_weights(_resnet(), folder / "e.pth")


_NETWORK: list[torch.nn.Module] = []


def _resnet() -> torch.nn.Module:
    if not _NETWORK:
        from monai.networks.nets.resnet import ResNet

        _NETWORK.append(ResNet("basic", [1, 1, 1, 1], [2, 2, 2, 2], spatial_dims=2, n_input_channels=3, conv1_t_size=3))
    return _NETWORK[0]


def exported(folder: Path) -> list[Files]:
    """What was exported with weights."""
    write_weights([checkpoint()], folder)
    write_config([checkpoint()], folder)
    return [taken(folder)]
