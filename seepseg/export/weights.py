"""The weights of a run as safetensors beside a YAML file that says what they belong to, and both read back."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path, PurePath
from typing import Any

import torch

import seepseg
from seepseg.classes import ClassTable, SegClass
from seepseg.config import as_yaml, parse, plain
from seepseg.config.document import MAX_YAML, parse_yaml
from seepseg.data.scaling import MeasuredScaling
from seepseg.errors import CheckpointError
from seepseg.export.extra import needed
from seepseg.io.atomic import write_bytes, write_text
from seepseg.io.documents import read_text
from seepseg.io.files import local_path
from seepseg.runs.checkpoint import Checkpoint

WEIGHTS, CONFIG = "model.safetensors", "config.yaml"


def write_weights(checkpoints: Sequence[Checkpoint], out: Path) -> None:
    """Write the weights that predict, those of network k with names that begin `k.`, and `CONFIG`.

    Raises:
        ConfigError: safetensors is not installed.
        ResourceError: the disk is full, or fails.
    """
    save = needed("safetensors.torch").save
    tensors = {
        f"{k}.{name}": tensor.detach().contiguous().clone()
        for k, checkpoint in enumerate(checkpoints)
        for name, tensor in (checkpoint.ema or checkpoint.weights).items()
    }
    write_bytes(out / WEIGHTS, [save(tensors, metadata={"format": "pt"})])


def write_config(checkpoints: Sequence[Checkpoint], out: Path) -> None:
    """Write `CONFIG`: class table, and config, scaling and decoding of each network.

    Folders are left out of paths, and the names of tiles.
    """
    first = checkpoints[0]
    tree = {
        "seepseg": seepseg.__version__,
        "classes": asdict(first.classes),
        "networks": [
            {
                "config": _without_folders(plain(c.config)),
                "scaling": c.scaling.to_plain(),
                # Which tiles it was fitted on matters where those are scored, which is not here.
                "decoding": c.decoding and c.decoding | {"tiles": []},
                "epoch": c.epoch,
            }
            for c in checkpoints
        ],
    }
    write_text(out / CONFIG, as_yaml(_lists(tree)))


def read_weights(folder: str | os.PathLike[str]) -> list[Checkpoint]:
    """The checkpoints that were exported into a folder: what `write_weights` and `write_config` wrote.

    Raises:
        CheckpointError: a file is missing or damaged.
        ConfigError: safetensors is not installed.
    """
    load_file, folder = needed("safetensors.torch").load_file, local_path(os.fspath(folder))
    try:
        tree = parse_yaml(read_text(folder / CONFIG, MAX_YAML), folder / CONFIG)
        tensors: Mapping[str, torch.Tensor] = load_file(folder / WEIGHTS)
        table = tree["classes"]
        classes = ClassTable(
            tuple(SegClass(**_tuples(c)) for c in table["foreground"]),
            tuple(table["background_values"]),
            tuple(table["ignore_values"]),
        )
        return [
            Checkpoint(
                config=parse(network["config"], folder / CONFIG),
                classes=classes,
                scaling=MeasuredScaling.from_plain(_tuples(network["scaling"])),
                weights={name.partition(".")[2]: t for name, t in tensors.items() if name.startswith(f"{k}.")},
                decoding=network["decoding"],
                epoch=network["epoch"],
            )
            for k, network in enumerate(tree["networks"])
        ]
    except Exception as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise CheckpointError(f"not an export with weights ({reason})", folder, "export again") from None


def _without_folders(value: Any) -> Any:
    """A tree with the last part of each absolute path: where files lay is nobody else's business, and of no use."""
    if isinstance(value, dict):
        return {key: _without_folders(v) for key, v in value.items()}
    if isinstance(value, list):
        return [_without_folders(v) for v in value]
    return PurePath(value).name if isinstance(value, str) and PurePath(value).is_absolute() else value


def _lists(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _lists(v) for key, v in value.items()}
    return [_lists(v) for v in value] if isinstance(value, (list, tuple)) else value


def _tuples(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _tuples(v) for key, v in value.items()}
    return tuple(_tuples(v) for v in value) if isinstance(value, list) else value
