"""What torch saved, whoever did: plain types and tensors, no more of them than the file holds, and nothing runs."""

from __future__ import annotations

import io
import os
import warnings
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from seepseg.archives.members import packed
from seepseg.errors import DataError
from seepseg.io.files import open_regular

MOST = 2**35
"""Bytes of a file that is read; a large network with its optimiser has 1 GB."""


def read_file(path: Path) -> bytes:
    """The content of a regular file of at most `MOST` bytes; DataError of any other."""
    with open_regular(path) as stream:
        if os.fstat(stream.fileno()).st_size > MOST:
            raise DataError(f"is over {MOST >> 30} GiB", path, "give a file of weights")
        return stream.read()


def load_saved(content: bytes) -> Any:
    """The tree in the content of a file that `torch.save` wrote, on the CPU.

    Raises:
        Exception: of any kind, where it is none, is packed so that it would grow, or holds more than plain types and
            tensors.
    """
    if content.startswith(b"PK") and packed(io.BytesIO(content)):
        raise ValueError("its tensors are compressed, which torch never does")
    with warnings.catch_warnings(action="ignore"):  # of forms that are refused
        return torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)


def is_state(value: object) -> bool:
    """Whether a value is a state dict: dense tensors with their numbers, by name."""
    return isinstance(value, dict) and all(isinstance(k, str) and _dense(v) for k, v in value.items())


def _dense(value: object) -> bool:
    return isinstance(value, Tensor) and value.layout == torch.strided and not value.is_quantized and not value.is_meta
