from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from seepseg.config import BceLoss, Config, LovaszHingeLoss, Optim, PlateauSchedule, dump, load, parse
from seepseg.errors import ConfigError

SALT: dict[str, Any] = {"data": {"source": "tgs", "root": "salt"}, "model": {"name": "unet", "head": "binary"}}
TWO = [{"loss": "bce", "epochs": 80}, {"loss": "lovasz_hinge", "epochs": 70}]


def staged(*stages: dict[str, Any], **more: Any) -> Config:
    return parse(SALT | {"stages": list(stages)} | more, "test")


def test_what_a_stage_leaves_out_it_takes_from_the_top_level() -> None:
    config = staged(
        {"epochs": 1},
        {"epochs": 2, "optim": {"lr": 0.5}, "loss": {"class_weights": [2.0]}},
        {"epochs": 3, "optim": "adam", "schedule": {"name": "plateau", "patience": 3}},
        loss="bce",
        optim={"name": "sgd", "lr": 0.1, "weight_decay": 0.5},
        schedule="one_cycle",
    )
    first, second, third = config.stages
    assert (first.loss, first.optim, first.schedule) == (config.loss, config.optim, config.schedule)
    # The same optimiser with another rate keeps its weight decay; another one has its own defaults.
    assert second.optim == Optim(name="sgd", lr=0.5, weight_decay=0.5)
    assert second.loss == BceLoss(class_weights=[2.0])
    assert third.optim == Optim(name="adam")
    assert third.schedule == PlateauSchedule(patience=3)


def test_the_length_is_what_the_stages_add_up_to() -> None:
    assert staged(*TWO).train.epochs == staged(*TWO, train={"epochs": None}).train.epochs == 150
    with pytest.raises(ConfigError) as caught:
        staged(*TWO, train={"epochs": 150})
    assert "train.epochs does not go with stages, whose own epochs add up to 150: leave it out" in str(caught.value)


def test_a_resolved_recipe_reads_back_the_same(tmp_path: Path) -> None:
    path = tmp_path / "c.yaml"
    path.write_text(dump(staged(*TWO, train={"batch_size": 4})))
    assert load(path) == staged(*TWO, train={"batch_size": 4})
    changed = load(path, ["stages.1.epochs=5", "stages.1.loss.elu=true"])
    assert (changed.train.epochs, changed.train.batch_size) == (85, 4)
    assert changed.stages[1].loss == LovaszHingeLoss(elu=True)


@pytest.mark.parametrize(
    ("stages", "message"),
    [
        ([{"epochs": 1}, {"epochs": 1, "loss": "ce"}], "stages.1.loss ce does not go with model.head binary"),
        ([{"epochs": 1, "loss": {"name": "bce", "class_weights": [1, 2]}}],
         "stages.0.loss.class_weights has 2 numbers for 1 classes"),
        ([{"epochs": 1, "losss": "bce"}], "unknown key stages.0.losss (did you mean loss?)"),
        ([{"loss": "bce"}], "missing key stages.0.epochs"),
        ([{"epochs": 0}], "stages.0.epochs: input should be greater than or equal to 1"),
        ([{"epochs": 1, "loss": "bce", "optim": {"lr": 1e-3}, "schedule": {"name": "plateau", "min_lr": 0.01}}],
         "stages.0.schedule.min_lr 0.01 is above optim.lr 0.001: set it lower"),
        ([3], "stages.0: input should be a valid dictionary"),
    ],
)  # fmt: skip
def test_mistakes_are_told_with_their_stage(stages: list[Any], message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse(SALT | {"loss": "bce", "stages": stages}, "test")
    assert message in str(caught.value)


def test_a_loss_at_the_top_that_no_stage_uses_is_not_judged() -> None:
    # The default, dice_ce, would not go with a binary head.
    assert staged(*TWO).loss.name == "dice_ce"
    with pytest.raises(ConfigError, match="loss dice_ce does not go with model.head binary"):
        parse(SALT, "test")


def test_an_item_that_is_not_there_is_told(tmp_path: Path) -> None:
    path = tmp_path / "c.yaml"
    path.write_text(dump(staged(*TWO)))
    with pytest.raises(ConfigError, match=r"no item 2 in a list of 2 in -s stages.2.epochs=5: count items from 0"):
        load(path, ["stages.2.epochs=5"])
