"""Checkpoints: one file that is enough to predict or to resume training, and that shows when it is damaged."""

from __future__ import annotations

import hashlib
import io
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch

from seepseg.classes import ClassTable, SegClass
from seepseg.config import Config, parse, plain
from seepseg.data.scaling import MeasuredScaling
from seepseg.errors import CheckpointError, ConfigError
from seepseg.io.atomic import write_bytes

SCHEMA = 1
_MAGIC = b"seepseg-sha256:"
_TRAILER = len(_MAGIC) + 32


@dataclass
class Checkpoint:
    """What a checkpoint file holds.

    Attributes:
        config: the resolved config of the run.
        classes: the class table.
        scaling: how raw pixels become network input.
        weights: state of the network, as trained.
        ema: averaged weights; the ones that predict, where there are any.
        decoding: the fit (`Fit.to_plain`; empty: decode as the config says).
        training: optimiser, schedule, step, random state and sums: what resuming needs, in plain types and tensors.
        score: the monitored score of these weights, None before the first validation.
        epoch: epochs finished.
        objects: the object classifier (`ObjectClassifier.to_plain`; empty: none was trained).
    """

    config: Config
    classes: ClassTable
    scaling: MeasuredScaling
    weights: dict[str, torch.Tensor]
    ema: dict[str, torch.Tensor] | None = None
    decoding: dict[str, Any] = field(default_factory=dict)
    training: dict[str, Any] = field(default_factory=dict)
    score: float | None = None
    epoch: int = 0
    objects: dict[str, Any] = field(default_factory=dict)


def save_checkpoint(path: Path, checkpoint: Checkpoint) -> None:
    """Write a checkpoint under a temporary name, flush it to disk, and rename it over the old one.

    The SHA-256 of the file follows its content; `torch.load` alone reads most damaged files without an error.
    """
    tree = {
        "schema": SCHEMA,
        "config": plain(checkpoint.config),
        "classes": asdict(checkpoint.classes),
        "scaling": checkpoint.scaling.to_plain(),
        "weights": checkpoint.weights,
        "ema": checkpoint.ema,
        "decoding": checkpoint.decoding,
        "objects": checkpoint.objects,
        "training": checkpoint.training,
        "score": checkpoint.score,
        "epoch": checkpoint.epoch,
    }
    buffer = io.BytesIO()
    torch.save(tree, buffer)
    content = buffer.getbuffer()
    write_bytes(path, [content, _MAGIC, hashlib.sha256(content).digest()])


def load_checkpoint(path: Path) -> Checkpoint:
    """The checkpoint in a file.

    Raises:
        CheckpointError: the file is not there, damaged, not a seepseg checkpoint, or of a newer schema.
    """
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        raise CheckpointError("no such checkpoint", path, "give a run folder or a .pt file") from None
    except OSError as error:
        raise CheckpointError(f"cannot be read ({error.strerror})", path, "give a readable .pt file") from None
    body, trailer = content[:-_TRAILER], content[-_TRAILER:]
    if not trailer.startswith(_MAGIC):
        raise CheckpointError("not a seepseg checkpoint, or cut short", path, "train again or restore the file")
    if hashlib.sha256(body).digest() != trailer[len(_MAGIC) :]:
        raise CheckpointError("damaged: the SHA-256 does not match", path, "restore the file from a copy")
    try:
        # weights_only: a checkpoint is data and never runs code.
        tree = torch.load(io.BytesIO(body), map_location="cpu", weights_only=True)
        schema = tree["schema"]
    except Exception as error:
        reason = str(error).splitlines()[0][:120]
        raise CheckpointError(f"not a seepseg checkpoint ({reason})", path, "give a .pt that seepseg wrote") from None
    if schema != SCHEMA:
        raise CheckpointError(
            f"written with checkpoint schema {schema}, this seepseg reads {SCHEMA}",
            path,
            "use the seepseg version that wrote it",
        )
    return Checkpoint(
        config=_config(tree["config"], path),
        classes=_classes(tree["classes"]),
        scaling=MeasuredScaling.from_plain(tree["scaling"]),
        **{k: tree[k] for k in ("weights", "ema", "decoding", "objects", "training", "score", "epoch")},
    )


def checkpoint_digest(path: Path) -> str:
    """The SHA-256 of a checkpoint as its trailer gives it, in hexadecimal: names its content."""
    with path.open("rb") as stream:
        stream.seek(-32, io.SEEK_END)
        return stream.read().hex()


def load_weights(model: torch.nn.Module, weights: dict[str, torch.Tensor], where: object) -> None:
    """Put weights into a network.

    Raises:
        CheckpointError: names or shapes differ; the message names the first difference with both values.
    """
    own = model.state_dict()
    for name in sorted(own.keys() | weights.keys()):
        here = tuple(own[name].shape) if name in own else "nothing"
        there = tuple(weights[name].shape) if name in weights else "nothing"
        if here != there:
            raise CheckpointError(
                f"weights do not match: {name} is {there} in the checkpoint and {here} in the config",
                where,
                "use the config the checkpoint was trained with",
            )
    model.load_state_dict(weights)


def _config(tree: dict[str, Any], path: Path) -> Config:
    try:
        return parse(tree, path)
    except ConfigError as error:
        raise CheckpointError(
            f"its config is not readable here ({error.what})", path, "use the seepseg version that wrote it"
        ) from None


def _classes(tree: dict[str, Any]) -> ClassTable:
    foreground = tuple(
        SegClass(c["name"], tuple(c["values"]), c["color"], c.get("at_least")) for c in tree["foreground"]
    )
    return ClassTable(foreground, tuple(tree["background_values"]), tuple(tree["ignore_values"]))
