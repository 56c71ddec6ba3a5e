from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from seepseg.config import Config
from seepseg.data.loader import Batch
from seepseg.errors import ResourceError
from seepseg.runs.checkpoint import load_checkpoint, save_checkpoint
from seepseg.runs.folder import RunFolder
from seepseg.training.guard import StopSignal
from seepseg.training.loop import Trainer
from seepseg.training.run import assemble, prepare, train
from tests.conftest import tiny_config


def trainer_of(config: Config) -> Trainer:
    return assemble(config, prepare(config, None), torch.device("cpu"))


def trained(config: Config, steps: int) -> Trainer:
    trainer = trainer_of(config)
    for batch in trainer.first_batches(steps):
        trainer.step(batch)
        trainer.progress.batch += 1
    return trainer


def quiet(line: str) -> None:
    pass


def test_panels_show_the_tiles_with_the_most_classes(tiny: Config) -> None:
    trainer = trainer_of(tiny)
    panels = trainer.panels()
    assert len(panels) == 4
    held = {t.id: sum(p > 0 for p in (t.pixels or ())[1:]) for t in trainer.val.catalog.tiles}
    assert sorted((held[name] for name in panels), reverse=True) == sorted(held.values(), reverse=True)[:4]
    for picture in panels.values():
        assert picture.dtype == np.uint8
        assert picture.shape[2] == 3


@pytest.mark.parametrize(
    ("source", "monitor", "key"),
    [
        ("seep", "auto", "val/dice/macro"),
        ("salt", "auto", "val/tgs_score"),
        ("salt", "foreground_dice", "val/dice/foreground"),
    ],
)
def test_best_is_what_the_task_is_judged_by(
    seep_root: Path, salt_root: Path, tmp_path: Path, source: str, monitor: str, key: str
) -> None:
    train_node = {"epochs": 1, "batch_size": 8, "panels_every": 0, "monitor": monitor}
    salt = {"source": "tgs", "root": str(salt_root), "split": {"by": "random"}}
    config = (
        tiny_config(seep_root, train=train_node)
        if source == "seep"
        else tiny_config(salt_root, data=salt, train=train_node)
    )
    folder = RunFolder(tmp_path / "run")
    best = train(config, folder, tell=quiet)
    assert best.score == folder.read_metrics()[0][key]


def test_a_step_at_the_same_place_gives_the_same_weights(tiny: Config) -> None:
    one, other = trained(tiny, 3), trained(tiny, 3)
    torch.rand(100)  # random state of the process takes no part
    for trainer in (one, other):
        (batch,) = trainer.first_batches(1)
        trainer.step(batch)
    assert all(torch.equal(a, b) for a, b in zip(one.model.parameters(), other.model.parameters(), strict=True))


def test_a_checkpoint_amid_an_epoch_goes_on_with_the_next_batch(tiny: Config, tmp_path: Path) -> None:
    one = trained(tiny, 3)
    save_checkpoint(tmp_path / "c.pt", one.checkpoint())
    other = trainer_of(tiny)
    other.restore(load_checkpoint(tmp_path / "c.pt"), "c.pt")
    assert vars(other.progress) == vars(one.progress)
    assert (other.progress.batch, other.progress.step) == (3, 3)
    ours, theirs = (list(t.first_batches(2)) for t in (one, other))
    assert [b.ids for b in ours] == [b.ids for b in theirs]
    assert all(torch.equal(a.image, b.image) for a, b in zip(ours, theirs, strict=True))
    assert other.sums.matrix.tolist() == one.sums.matrix.tolist()
    assert other.sums.floats == one.sums.floats


def test_what_predicts_does_not_carry_what_resumes(tiny: Config) -> None:
    trainer = trained(tiny, 1)
    assert trainer.checkpoint(resumable=False).training == {}
    assert "optimizer" in trainer.checkpoint().training


def test_it_stops_early_when_nothing_gets_better(seep_root: Path, tmp_path: Path) -> None:
    # A rate of 1e-12 leaves the score where epoch 1 had it; two epochs without a better one end the run after the
    # third.
    config = tiny_config(
        seep_root,
        optim={"name": "sgd", "lr": 1e-12, "momentum": 0.0},
        model={"name": "unet", "channels": [8, 16], "num_res_units": 0, "head": "sigmoid", "norm": "group"},
        train={"epochs": 9, "batch_size": 32, "panels_every": 0, "early_stopping": 2},
    )
    lines: list[str] = []
    folder = RunFolder(tmp_path / "run")
    best = train(config, folder, tell=lines.append)
    assert [row["epoch"] for row in folder.read_metrics()] == [1, 2, 3]
    assert best.epoch == 1  # the earlier wins a tie
    assert lines[-1] == "stopped early: no better score for 2 epochs"


def test_memory_that_gives_out_halves_the_advised_batch(
    tiny: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(self: Trainer, batch: Batch) -> float:
        raise torch.OutOfMemoryError

    monkeypatch.setattr(Trainer, "step", full)
    nothing: Callable[[int, int], None] = lambda done, of: None  # noqa: E731 - one line is enough
    with pytest.raises(ResourceError, match=r"out of memory with a batch of 8 in device cpu: set train.batch_size=4"):
        trainer_of(tiny).fit(RunFolder(tmp_path), StopSignal(), quiet, nothing)


def test_weights_far_off_are_pulled_back_by_clipping(seep_root: Path) -> None:
    # Plain SGD with rate 1 moves the weights by the gradient, whose norm is clipped to 0.5.
    sgd = {"name": "sgd", "lr": 1.0, "momentum": 0.0, "weight_decay": 0.0, "clip_norm": 0.5}
    trainer = trainer_of(
        tiny_config(seep_root, optim=sgd, loss={"name": "dice_bce", "bce_weight": 100.0}, schedule="constant")
    )
    before = [p.detach().clone() for p in trainer.model.parameters()]
    (batch,) = trainer.first_batches(1)
    trainer.step(batch)
    moved = torch.cat([(p - b).flatten() for p, b in zip(trainer.model.parameters(), before, strict=True)])
    assert moved.norm().item() == pytest.approx(0.5, rel=1e-3)
