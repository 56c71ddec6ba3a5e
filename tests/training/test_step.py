from __future__ import annotations

from itertools import islice
from pathlib import Path

import numpy as np
import pytest
import torch

from seepseg.classes import IGNORE
from seepseg.config import Config
from seepseg.training.epoch import train_batches
from seepseg.training.step import count, train_step
from tests.conftest import tiny_config
from tests.training.trainers import trained, trainer_of


def test_a_step_at_the_same_place_gives_the_same_weights(tiny: Config) -> None:
    one, other = trained(tiny, 3), trained(tiny, 3)
    torch.rand(100)  # random state of the process takes no part
    for trainer in (one, other):
        (batch,) = islice(train_batches(trainer), 1)
        train_step(trainer, batch)
    assert all(torch.equal(a, b) for a, b in zip(one.model.parameters(), other.model.parameters(), strict=True))


def test_weights_far_off_are_pulled_back_by_clipping(seep_root: Path) -> None:
    # The first step of SGD with Nesterov momentum .9 and rate 1 moves the weights by 1.9 gradients, clipped to 0.5.
    sgd = {"name": "sgd", "lr": 1.0, "weight_decay": 0.0, "clip_norm": 0.5}
    trainer = trainer_of(
        tiny_config(seep_root, optim=sgd, loss={"name": "dice_bce", "bce_weight": 100.0}, schedule="constant")
    )
    before = [p.detach().clone() for p in trainer.model.parameters()]
    (batch,) = islice(train_batches(trainer), 1)
    train_step(trainer, batch)
    moved = torch.cat([(p - b).flatten() for p, b in zip(trainer.model.parameters(), before, strict=True)])
    assert moved.norm().item() == pytest.approx(1.9 * 0.5, rel=1e-3)


def test_a_tile_without_a_label_does_not_count_in_the_mean_loss(tiny: Config) -> None:
    trainer = trained(tiny, 3)
    (batch,) = islice(train_batches(trainer), 1)
    batch.mask[0] = IGNORE
    loss = train_step(trainer, batch)
    entry = trainer.sums.floats[trainer.progress.batch]
    assert (entry["tiles"], entry["loss"]) == ([7.0], [pytest.approx(7 * loss)])  # of eight


@pytest.mark.parametrize(("threshold", "foreground"), [(None, 0), (0.3, 16)])
def test_training_is_scored_with_the_threshold_of_validation(
    threshold: float | None, foreground: int, seep_root: Path
) -> None:
    model = {"name": "unet", "channels": [8, 16], "num_res_units": 0, "head": "softmax"}
    config = tiny_config(seep_root, model=model, loss="dice_ce", predict={"threshold": threshold})
    trainer = trainer_of(config)
    k = len(trainer.data.classes)
    # Foreground .4 everywhere: not the most probable, but above .3.
    likely = torch.full((1, k, 4, 4), 0.4 / (k - 1))
    likely[:, 0] = 0.6
    count(trainer, likely.log(), torch.ones(1, 4, 4, dtype=torch.long), {})
    assert trainer.sums.matrix[1, 1:].sum() == foreground
    assert np.sum(trainer.sums.matrix) == 16
