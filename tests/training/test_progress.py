from __future__ import annotations

from pathlib import Path

import pytest

from seepseg.config import Config
from seepseg.training.progress import Progress, finished, out_of_patience, stage_over, stages_of
from tests.conftest import tiny_config


def staged(*lengths: int, patience: int | None = None) -> Config:
    stages = [{"epochs": n} for n in lengths]
    return tiny_config(Path("data"), stages=stages, train={"early_stopping": patience})


def test_without_stages_the_top_level_is_the_one_stage() -> None:
    config = tiny_config(Path("data"), train={"epochs": 7}, optim={"lr": 0.5})
    (stage,) = stages_of(config)
    assert (stage.epochs, stage.loss, stage.optim.lr, stage.schedule) == (7, config.loss, 0.5, config.schedule)
    assert not finished(config, Progress(epoch=6))
    assert finished(config, Progress(epoch=7))


def test_what_is_no_progress_is_no_answer() -> None:
    progress = Progress(epoch=2, step=9, rows=[{"epoch": 1.0}])
    assert Progress.from_plain(vars(progress)) == progress
    wrong: list[tuple[str, object]] = [("epoch", "2"), ("step", -1), ("stage", True), ("x", 1)]
    wrong += [("rows", value) for value in ([1], {}, ())] + [("best", value) for value in ("x", "", 0, False)]
    wrong += [("val_losses", value) for value in ([1], {})]
    for name, value in wrong:
        with pytest.raises(ValueError, match="progress|scores|rows"):
            Progress.from_plain(vars(progress) | {name: value})
    for tree in ({}, {"epoch": 2}, [("epoch", 2)], None):
        with pytest.raises(ValueError, match="progress of other names"):
            Progress.from_plain(tree)


@pytest.mark.parametrize(
    ("epoch", "stage", "begun", "over", "end"),
    [
        (2, 0, 0, False, False),
        (3, 0, 0, True, False),  # the first stage has three epochs
        (3, 1, 3, False, False),  # and at the border the second has none yet
        (5, 1, 3, True, True),
    ],
)
def test_when_stages_of_three_and_two_epochs_are_over(
    epoch: int, stage: int, begun: int, over: bool, end: bool
) -> None:
    config, progress = staged(3, 2), Progress(epoch=epoch, stage=stage, stage_epoch=begun)
    assert (stage_over(config, progress), finished(config, progress)) == (over, end)


def test_patience_begins_anew_with_a_stage() -> None:
    config = staged(9, 9, patience=2)
    progress = Progress(epoch=4, best_epoch=2, val_losses=[1.0], step=40)
    assert out_of_patience(config, progress)
    assert stage_over(config, progress)
    assert not finished(config, progress)
    progress.begin_next_stage()
    assert vars(progress) | {"stage": 1, "stage_epoch": 4, "stage_step": 40, "val_losses": []} == vars(progress)
    assert not out_of_patience(config, progress)
    progress.epoch = 6
    assert finished(config, progress)


def test_a_stage_that_ends_where_patience_would_was_whole() -> None:
    config = staged(4, patience=2)
    progress = Progress(epoch=4, best_epoch=2)
    assert finished(config, progress)
    assert not out_of_patience(config, progress)
