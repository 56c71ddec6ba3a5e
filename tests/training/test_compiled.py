from __future__ import annotations

from itertools import islice
from pathlib import Path

import pytest
import torch
from torch import nn

from seepseg.config import Config
from seepseg.errors import ConfigError
from seepseg.machine.device import compiler_missing
from seepseg.training import compiled as module
from seepseg.training.compiled import kept_mode, settle
from seepseg.training.epoch import train_batches
from seepseg.training.state import Trainer, to_checkpoint
from seepseg.training.step import train_step
from tests.conftest import tiny_config
from tests.training.trainers import trained, trainer_of


def with_mode(root: Path, mode: str, epochs: int = 2) -> Config:
    return tiny_config(
        root,
        model={"name": "unet", "channels": [4, 8], "num_res_units": 0, "head": "sigmoid"},
        train={"epochs": epochs, "batch_size": 8},
        runtime={"device": "cpu", "amp": "off", "threads": 1, "compile": mode},
    )


@pytest.mark.filterwarnings("ignore::DeprecationWarning:torch")  # of its own compiler
@pytest.mark.skipif(compiler_missing(torch.device("cpu")) is not None, reason="no C++ compiler")
def test_a_compiled_run_repeats_itself_and_has_the_keys_of_any_other(seep_root: Path) -> None:
    config = with_mode(seep_root, "on")
    one, other, eager = trained(config, 2), trainer_of(config), trained(with_mode(seep_root, "off"), 2)
    before = {k: v.clone() for k, v in other.model.state_dict().items()}
    assert settle(other).startswith("compiled in")
    assert all(torch.equal(v, before[k]) for k, v in other.model.state_dict().items())
    for batch in islice(train_batches(other), 2):
        train_step(other, batch)
        other.progress.batch += 1
    a, b, c = (to_checkpoint(t) for t in (one, other, eager))
    assert list(a.weights) == list(c.weights)
    assert a.ema is not None and c.ema is not None and list(a.ema) == list(c.ema)
    assert all(torch.equal(a.weights[k], b.weights[k]) for k in a.weights)
    assert one.sums.floats[0]["loss"] == pytest.approx(eager.sums.floats[0]["loss"], rel=1e-5)
    assert compiles_no_more(one)


def compiles_no_more(trainer: Trainer) -> bool:
    """Whether a batch of another size trains without compiling again."""
    (batch,) = islice(train_batches(trainer), 1)
    batch.image, batch.mask = batch.image[:3], batch.mask[:3]
    with torch._dynamo.config.patch(error_on_recompile=True):
        return bool(train_step(trainer, batch) > 0)


def test_on_without_a_compiler_says_what_to_install(seep_root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CXX", "no-such-compiler")
    with pytest.raises(ConfigError, match=r"C\+\+ compiler \(no-such-compiler.*runtime.compile=off"):
        trainer_of(with_mode(seep_root, "on"))
    trainer = trainer_of(with_mode(seep_root, "auto", epochs=100_000))
    assert settle(trainer).startswith("not compiled: this needs a C++ compiler")


def test_a_short_run_is_not_compiled(seep_root: Path) -> None:
    trainer = trainer_of(with_mode(seep_root, "auto"))
    # 108 tiles in batches of 8, two epochs: 13 steps each.
    assert settle(trainer).startswith("not compiled: 26 steps, and it pays after some")
    assert trainer.config.runtime.compile == "off"


@pytest.mark.parametrize(
    ("fast", "line", "mode"),
    [
        # 2 s against 1 s, compiled in 80 s.
        (1.0, "compiled in 80 s: a step is 2.00 times as fast, which pays after 80 of 1300 steps", "on"),
        (2.5, "not compiled: tried in 80 s, and a step is 0.80 times as fast", "off"),
        (None, "not compiled: the compiler fails (no room)", "off"),
    ],
)
def test_a_long_run_is_compiled_where_a_trial_is_faster(
    fast: float | None, line: str, mode: str, seep_root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trainer, first = trainer_of(with_mode(seep_root, "auto", epochs=100)), [80.0]

    def seconds(trainer: Trainer, network: nn.Module) -> float:
        if network is trainer.model:
            return 2.0
        if fast is None:
            raise RuntimeError("no room\nfor more")
        return first.pop() if first else fast

    monkeypatch.setattr(module, "_seconds", seconds)
    monkeypatch.setattr(module, "compiled", lambda model, device: nn.Sequential(model))
    monkeypatch.setattr(module, "compiler_missing", lambda device: None)
    assert settle(trainer) == line
    assert trainer.config.runtime.compile == mode
    assert (trainer.parallel is trainer.model) == (mode == "off")


@pytest.mark.parametrize(("before", "after"), [("on", "on"), ("off", "off"), ("auto", "off")])
def test_a_resumed_run_keeps_its_mode(before: str, after: str, tiny: Config, seep_root: Path) -> None:
    checkpoint = to_checkpoint(trainer_of(tiny))
    checkpoint.config = with_mode(seep_root, before)
    assert kept_mode(with_mode(seep_root, "auto"), checkpoint).runtime.compile == after
    assert kept_mode(with_mode(seep_root, "auto"), None).runtime.compile == "auto"
    assert kept_mode(with_mode(seep_root, "off"), checkpoint).runtime.compile == "off"
