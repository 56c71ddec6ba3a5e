from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import repeat
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from seepseg.config import Config
from seepseg.data.loader import Batch
from seepseg.errors import DataError, NonFiniteLossError
from seepseg.training.find_lr import HIGHEST, LOWEST, STEPS, find_rate, smooth, steepest, sweep

NOTHING = Batch(torch.zeros(0), torch.zeros(0), torch.zeros(0), [], [])


def batches() -> Iterator[Batch]:
    return repeat(NOTHING)


def test_rates_rise_evenly_in_the_logarithm() -> None:
    rates, losses = sweep(lambda batch, lr: 1.0, batches())
    assert losses == [1.0] * STEPS
    assert (rates[0], rates[-1]) == (pytest.approx(LOWEST), pytest.approx(HIGHEST))
    ratios = np.array(rates[1:]) / rates[:-1]
    np.testing.assert_allclose(ratios, (HIGHEST / LOWEST) ** (1 / (STEPS - 1)))


def test_it_stops_when_the_loss_explodes_or_breaks() -> None:
    # Five losses of 1, then 100: their mean with the last four of 1 is 20.8, more than three times 1.
    rates, losses = sweep(lambda batch, lr: 1.0 if lr < 1e-4 else 100.0, batches())
    assert losses[-2:] == [1.0, 100.0]
    assert rates[-1] < 2e-4

    def breaks(batch: Batch, lr: float) -> float:
        if lr > 1e-4:
            raise NonFiniteLossError("nan")
        return 1.0

    rates, _ = sweep(breaks, batches())
    assert rates[-1] <= 1e-4


def test_batches_without_labels_leave_no_gap() -> None:
    answers = iter([1.0, math.nan, 2.0] + [2.0] * STEPS)
    _, losses = sweep(lambda batch, lr: next(answers), batches())
    assert losses[:2] == [1.0, 2.0]
    assert len(losses) == STEPS - 1


def test_the_steepest_descent_of_a_smooth_step_is_its_middle() -> None:
    # A loss that falls along a logistic curve in log10(lr), steepest at 10^-2.5, and rises steeply after 10^0.
    rates = np.geomspace(LOWEST, HIGHEST, STEPS)
    decades = np.log10(rates)
    losses = 2 - 1 / (1 + np.exp(-4 * (decades + 2.5))) + np.where(decades > 0, 3 * decades, 0)
    noisy = losses + 0.02 * np.random.default_rng(0).standard_normal(STEPS)
    assert math.log10(steepest(rates, smooth(noisy)) or 0) == pytest.approx(-2.5, abs=0.2)


def test_no_descent_nothing_to_suggest() -> None:
    rates = np.geomspace(1e-3, 1, 4)
    assert steepest(rates, np.array([1.0, 1.0, 2.0, 3.0])) is None
    assert steepest(rates[:1], np.array([1.0])) is None


def test_smoothing_keeps_a_line_within_and_a_constant_everywhere() -> None:
    assert smooth(np.full(30, 2.0)) == pytest.approx(np.full(30, 2.0))
    line = np.arange(41.0)
    assert smooth(line)[20] == pytest.approx(20)


def test_a_first_loss_that_is_not_finite_is_told(tiny: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def explode(*arguments: object) -> float:
        raise NonFiniteLossError("nan")

    monkeypatch.setattr("seepseg.training.find_lr.train_step", explode)
    with pytest.raises(DataError, match="not one batch gives a finite loss"):
        find_rate(tiny, tmp_path, fold=None, init=None)


def test_the_test_of_a_recipe_leaves_a_table_and_a_figure(
    tiny: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("seepseg.training.find_lr.STEPS", 12)
    test = find_rate(tiny, tmp_path / "run", fold=None, init=None)
    assert sorted(p.name for p in (tmp_path / "run").iterdir()) == ["find_lr.csv", "find_lr.png"]
    table = pd.read_csv(tmp_path / "run" / "find_lr.csv")
    assert table.columns.tolist() == ["lr", "loss", "smoothed"]
    np.testing.assert_allclose(table["lr"], test.rates)
    assert test.suggested is None or test.rates[0] <= test.suggested <= test.rates[-1]
    # The same again: a throw-away copy, seeded like a run.
    assert find_rate(tiny, tmp_path / "again", fold=None, init=None).losses == test.losses
