from __future__ import annotations

from itertools import islice
from pathlib import Path

import torch

from seepseg.config import Config
from seepseg.runs.checkpoint import load_checkpoint, save_checkpoint
from seepseg.training.epoch import train_batches
from seepseg.training.state import restore, to_checkpoint
from tests.training.trainers import trained, trainer_of


def test_a_checkpoint_amid_an_epoch_goes_on_with_the_next_batch(tiny: Config, tmp_path: Path) -> None:
    one = trained(tiny, 3)
    save_checkpoint(tmp_path / "c.pt", to_checkpoint(one))
    other = trainer_of(tiny)
    restore(other, load_checkpoint(tmp_path / "c.pt"), "c.pt")
    assert vars(other.progress) == vars(one.progress)
    assert (other.progress.batch, other.progress.step) == (3, 3)
    ours, theirs = (list(islice(train_batches(t), 2)) for t in (one, other))
    assert [b.ids for b in ours] == [b.ids for b in theirs]
    assert all(torch.equal(a.image, b.image) for a, b in zip(ours, theirs, strict=True))
    assert other.sums.matrix.tolist() == one.sums.matrix.tolist()
    assert other.sums.floats == one.sums.floats


def test_what_predicts_does_not_carry_what_resumes(tiny: Config) -> None:
    trainer = trained(tiny, 1)
    assert to_checkpoint(trainer, resumable=False).training == {}
    assert "optimizer" in to_checkpoint(trainer).training
