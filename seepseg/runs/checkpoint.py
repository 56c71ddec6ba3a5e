"""Checkpoints: one file that is enough to predict or to resume training, and that shows when it is damaged."""

from __future__ import annotations

import hashlib
import io
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch

from seepseg.classes import ClassTable
from seepseg.config import Config, parse, plain
from seepseg.data.scaling import MeasuredScaling
from seepseg.errors import CheckpointError, ConfigError, DataError
from seepseg.io.atomic import write_bytes
from seepseg.models.saved import load_saved, read_file
from seepseg.runs import content as content_of

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
        training: optimiser, progress, gradient scale and sums: what resuming needs, in plain types and tensors.
        score: the best monitored score up to here, which of best.pt is its own; None before the first validation.
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
        content = read_file(path)
    except DataError as error:
        what = error.what if path.exists() else "no such checkpoint"
        raise CheckpointError(what, path, "give a run folder or a readable .pt file") from None
    body, trailer = content[:-_TRAILER], content[-_TRAILER:]
    if not trailer.startswith(_MAGIC):
        raise CheckpointError("not a seepseg checkpoint, or cut short", path, "train again or restore the file")
    if hashlib.sha256(body).digest() != trailer[len(_MAGIC) :]:
        raise CheckpointError("damaged: the SHA-256 does not match", path, "restore the file from a copy")
    try:
        # A checkpoint is data and never runs code.
        tree = load_saved(body)
        schema = tree["schema"]
        if type(schema) is not int:
            raise TypeError("its schema is no number")
    except Exception as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0][:120]
        raise CheckpointError(f"not a seepseg checkpoint ({reason})", path, "give a .pt that seepseg wrote") from None
    if schema != SCHEMA:
        raise CheckpointError(
            f"written with checkpoint schema {schema}, this seepseg reads {SCHEMA}",
            path,
            "use the seepseg version that wrote it",
        )
    try:
        config = _config(tree["config"], path)
        classes = content_of.class_table(tree["classes"])
        return Checkpoint(
            config,
            classes,
            content_of.scaling(tree["scaling"], config),
            **content_of.states(tree),
            **content_of.fitted(tree, config, len(classes), path),
            **content_of.numbers(tree),
        )
    except CheckpointError:
        raise
    except Exception as error:
        reason = " ".join(str(error).split())[:120] or type(error).__name__
        raise CheckpointError(
            f"its content is not what seepseg writes ({reason})", path, "restore the file from a copy"
        ) from None


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
        here, there = (_shape(state.get(name)) for state in (own, weights))
        if here == there and own[name].dtype != weights[name].dtype:
            here, there = (f"{str(state[name].dtype).removeprefix('torch.')} {here}" for state in (own, weights))
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
        what = " ".join(f"its config is not readable here ({error.what})".split())
        raise CheckpointError(what, path, "use the seepseg version that wrote it") from None


def _shape(tensor: torch.Tensor | None) -> str:
    return "nothing" if tensor is None else str(tuple(tensor.shape))
