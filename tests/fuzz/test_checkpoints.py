"""Checkpoints that would run something, in every form that torch has had; `scripts/fuzz/checkpoints.py` opens more."""

from __future__ import annotations

import importlib.util
import warnings
from pathlib import Path
from types import ModuleType

import pytest

from seepseg.errors import CheckpointError
from seepseg.runs.checkpoint import load_checkpoint


@pytest.fixture(scope="module")
def script() -> ModuleType:
    path = Path(__file__).parents[2] / "scripts" / "fuzz" / "checkpoints.py"
    spec = importlib.util.spec_from_file_location("fuzz_checkpoints", path)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_what_runs_where_pickles_are_obeyed_is_refused_in_one_line_and_in_silence(
    script: ModuleType, tmp_path: Path
) -> None:
    with warnings.catch_warnings(action="error", category=UserWarning):
        opened, refused, ran = script.attack_all(tmp_path, slice(0, None, 4))
    # 5 calls, each by 5 ways of pickles to call, in 8 files, at 2 doors; and in an array.
    assert opened == refused == 5 * (5 * 8 * 2 + 1)
    assert ran == 0


def test_a_flipped_bit_is_refused_wherever_it_is(script: ModuleType, tmp_path: Path) -> None:
    path = tmp_path / "c.pt"
    script.example(path)
    content = path.read_bytes()
    load_checkpoint(path)
    for number, spoilt in enumerate(script.flipped(content, 100, 0)):
        assert sum((a ^ b).bit_count() for a, b in zip(content, spoilt, strict=True)) == 1
        assert spoilt[: len(content) * number // 100] == content[: len(content) * number // 100]
        path.write_bytes(spoilt)
        with pytest.raises(CheckpointError):
            load_checkpoint(path)
