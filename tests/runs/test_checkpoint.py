from __future__ import annotations

import os
import pickle
import random
from pathlib import Path

import pytest
import torch

from seepseg.classes import SEEP
from seepseg.config import Scaling
from seepseg.data.scaling import MeasuredScaling
from seepseg.errors import CheckpointError
from seepseg.runs.checkpoint import SCHEMA, Checkpoint, load_checkpoint, load_weights, save_checkpoint
from tests.conftest import tiny_config


def example() -> Checkpoint:
    scaling = MeasuredScaling(Scaling(), ((1.0,), (2.0,)), (0.5,), (0.25,))
    weights = {"a": torch.arange(6.0).view(2, 3), "n": torch.tensor(3)}
    return Checkpoint(
        tiny_config(Path("x")), SEEP, scaling, weights, None, {}, {"step": 7, "rows": [{"b": 1.5}]}, 0.25, 4
    )


def test_everything_comes_back(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "c.pt"
    before = example()
    save_checkpoint(path, before)
    after = load_checkpoint(path)
    assert all(torch.equal(before.weights[k], after.weights[k]) for k in before.weights)
    for name in ("config", "classes", "scaling", "ema", "decoding", "training", "score", "epoch"):
        assert getattr(after, name) == getattr(before, name), name
    assert [p.name for p in path.parent.iterdir()] == ["c.pt"]


def test_every_flipped_bit_and_every_cut_is_noticed(tmp_path: Path) -> None:
    path, broken = tmp_path / "c.pt", tmp_path / "broken.pt"
    save_checkpoint(path, example())
    content = path.read_bytes()
    rng = random.Random(0)
    for _ in range(200):
        spoilt = bytearray(content)
        spoilt[rng.randrange(len(content))] ^= 1 << rng.randrange(8)
        broken.write_bytes(spoilt)
        with pytest.raises(CheckpointError):
            load_checkpoint(broken)
    for end in range(0, len(content), max(1, len(content) // 100)):
        broken.write_bytes(content[:end])
        with pytest.raises(CheckpointError):
            load_checkpoint(broken)


class Attack:
    """Runs a command when unpickled by anything that obeys pickles."""

    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.system, (f"touch {self.target}",)


def seal(path: Path, body: bytes) -> None:
    """Give a foreign file a valid trailer, as an attacker would."""
    import hashlib

    path.write_bytes(body + b"seepseg-sha256:" + hashlib.sha256(body).digest())


def test_a_pickle_attack_is_refused_and_nothing_runs(tmp_path: Path) -> None:
    path, proof = tmp_path / "evil.pt", tmp_path / "proof"
    torch.save({"schema": SCHEMA, "weights": Attack(proof)}, path)
    for body in (path.read_bytes(), pickle.dumps(Attack(proof), protocol=2)):
        seal(path, body)
        with pytest.raises(CheckpointError, match="not a seepseg checkpoint"):
            load_checkpoint(path)
    assert not proof.exists()


def test_another_schema_says_what_to_do(tmp_path: Path) -> None:
    path = tmp_path / "c.pt"
    torch.save({"schema": SCHEMA + 1}, path)
    seal(path, path.read_bytes())
    with pytest.raises(CheckpointError, match=f"schema {SCHEMA + 1}, this seepseg reads {SCHEMA}"):
        load_checkpoint(path)


def test_weights_that_do_not_fit_name_the_first_difference() -> None:
    model = torch.nn.Linear(2, 3)
    with pytest.raises(CheckpointError) as caught:
        load_weights(model, {"weight": torch.zeros(4, 2), "bias": torch.zeros(3)}, "run")
    assert str(caught.value).startswith(
        "weights do not match: weight is (4, 2) in the checkpoint and (3, 2) in the config"
    )
