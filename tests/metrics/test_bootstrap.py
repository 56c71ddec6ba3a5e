from __future__ import annotations

import numpy as np
import pytest

from seepseg.errors import DataError
from seepseg.metrics.bootstrap import (
    bootstrap,
    bootstrap_mean,
    bootstrap_ratio,
    bootstrap_scores,
    paired_difference,
    paired_mean_difference,
    paired_scores,
)
from seepseg.metrics.confusion import divided, scores


def scenes(n: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 50, (n, 3, 3)).astype(np.int64)


def test_draws_are_those_of_a_loop() -> None:
    """Every draw adds up scenes drawn with replacement: the plain loop over the same draws gives the same interval."""
    stack = scenes(10)
    result = bootstrap(stack, draws=50, seed=3)
    counts = np.random.default_rng(3).multinomial(10, np.full(10, 0.1), 50)
    drawn = [scores(np.repeat(stack, c, 0).sum(0)).macro_dice for c in counts]
    interval = result.intervals["dice/macro"]
    assert (interval.low, interval.high) == pytest.approx(tuple(np.quantile(drawn, [0.025, 0.975])), abs=1e-12)
    assert interval.value == scores(stack.sum(0)).macro_dice
    assert interval.clusters == 10


def test_the_same_seed_gives_the_same_interval_and_equal_scenes_none_at_all() -> None:
    assert bootstrap(scenes(9), seed=1) == bootstrap(scenes(9), seed=1)
    assert bootstrap(scenes(9), seed=1) != bootstrap(scenes(9), seed=2)
    equal = bootstrap(np.tile(scenes(1), (8, 1, 1)), draws=100).intervals["iou/foreground"]
    assert equal.low == equal.high == equal.value


def test_a_class_of_one_scene_is_missing_in_a_third_of_the_draws() -> None:
    stack = np.tile(np.array([[90, 0, 0], [1, 9, 0], [0, 0, 0]], np.int64), (10, 1, 1))
    stack[0, 2, 2] = 5
    result = bootstrap(stack)
    # A draw of ten misses a given scene with probability .9^10 = .349.
    assert result.lacking == pytest.approx((0, 0.349), abs=0.03)
    rare = result.intervals["dice/2"]
    assert rare.undefined == result.lacking[1]
    assert (rare.low, rare.high, rare.value) == (1, 1, 1)
    # Where class 2 is missing, the macro mean is that of class 1 alone: 18/19; else (18/19 + 1)/2.
    macro = result.intervals["dice/macro"]
    assert (macro.low, macro.high) == pytest.approx((18 / 19, (18 / 19 + 1) / 2))
    assert macro.undefined == 0


def test_few_scenes_have_no_interval_and_empty_ones_do_not_count() -> None:
    stack = np.concatenate([scenes(7), np.zeros((5, 3, 3), np.int64)])
    interval = bootstrap(stack, draws=20).intervals["dice/1"]
    assert (interval.low, interval.high, interval.clusters) == (None, None, 7)
    assert interval.value == scores(stack.sum(0)).dice[0]
    nothing = bootstrap(stack[7:], draws=20)
    assert nothing.intervals["dice/1"].value is None
    assert (nothing.intervals["dice/1"].clusters, nothing.intervals["dice/1"].undefined) == (0, 1)


def rate(sums: np.ndarray) -> dict[str, np.ndarray]:
    """Objects found of all objects."""
    return {"found": divided(sums[:, 0], sums[:, 1])}


def test_empty_scenes_are_not_drawn_for_counts_either() -> None:
    seen, empty = np.array([[k, 10] for k in range(1, 8)]), np.zeros((30, 2), int)
    with_empty = np.concatenate([seen, empty])
    # Seven scenes are too few, however many empty ones there are: 28 of 70 objects found, no interval.
    few = bootstrap_scores(with_empty, rate)["found"]
    assert (few.value, few.low, few.clusters, few.undefined) == (0.4, None, 7, 0)
    more = np.concatenate([np.add(seen, [1, 0]), empty])
    difference = paired_scores(with_empty, more, rate)["found"]
    assert (difference.value, difference.low, difference.clusters) == (pytest.approx(0.1), None, 7)
    # A scene without anything found is a scene, and so is one that only the other run counts in.
    none_found = np.concatenate([seen, [[0, 10]]])
    assert bootstrap_scores(none_found, rate)["found"].clusters == 8
    assert paired_scores(np.concatenate([seen, empty[:1]]), none_found, rate)["found"].clusters == 8
    assert bootstrap_scores(np.concatenate([none_found, empty]), rate) == bootstrap_scores(none_found, rate)


def test_a_tile_of_score_0_is_a_tile() -> None:
    assert bootstrap_mean(np.zeros(9)) == bootstrap_ratio(np.zeros(9), np.ones(9))
    assert (bootstrap_mean(np.zeros(9)).high, bootstrap_mean(np.zeros(9)).clusters) == (0, 9)
    assert paired_mean_difference(np.zeros(9), np.zeros(9)).clusters == 9


def test_the_interval_covers_the_truth_about_as_often_as_it_says() -> None:
    rng = np.random.default_rng(0)
    hits = 0
    for run in range(100):
        right = rng.binomial(100, rng.beta(8, 2, 30))  # the scenes differ; the expected share is .8
        stack = np.array([[[0, 0], [100 - r, r]] for r in right], np.int64)
        interval = bootstrap(stack, draws=300, seed=run).intervals["recall/1"]
        hits += interval.low <= 0.8 <= interval.high
    assert 85 <= hits <= 100


def test_paired_difference_by_hand() -> None:
    a = np.tile(np.array([[80, 10], [5, 5]], np.int64), (8, 1, 1))
    b = np.tile(np.array([[88, 2], [3, 7]], np.int64), (8, 1, 1))
    difference = paired_difference(a, b, draws=50)["dice/1"]
    # A: 10/25, B: 14/19
    assert difference.value == pytest.approx(14 / 19 - 10 / 25)
    assert (difference.low, difference.high) == pytest.approx((difference.value,) * 2)
    assert (difference.b_better, difference.clusters) == (1, 8)
    back = paired_difference(b, a, draws=50)["dice/1"]
    assert (back.value, back.b_better) == (pytest.approx(-difference.value), 0)
    same = paired_difference(a, a, draws=50)["dice/1"]
    assert (same.value, same.low, same.high, same.b_better) == (0, 0, 0, 0.5)


def test_pairing_is_sharper_than_two_intervals() -> None:
    """Scenes that differ a lot, and a B that is a little better on each: the difference is sure, the scores are not."""
    rng = np.random.default_rng(5)
    right = rng.integers(10, 90, 12)
    a = np.array([[[900, 0], [100 - r, r]] for r in right], np.int64)
    b = np.array([[[900, 0], [95 - r, r + 5]] for r in right], np.int64)
    difference = paired_difference(a, b)["recall/1"]
    assert difference.low > 0
    assert difference.b_better == 1
    alone = bootstrap(a).intervals["recall/1"]
    assert alone.high - alone.low > 5 * (difference.high - difference.low)


def test_runs_on_different_truth_cannot_be_compared() -> None:
    a = scenes(9)
    with pytest.raises(DataError, match="same truth"):
        paired_difference(a, scenes(9, seed=1))
    with pytest.raises(DataError, match="same truth"):
        paired_difference(a, a[:8])
    with pytest.raises(ValueError, match=r"not \(S, K, K\)"):
        bootstrap(a[0])


def test_few_scenes_still_have_a_difference() -> None:
    a = scenes(3)
    difference = paired_difference(a, a, draws=10)["dice/macro"]
    assert difference.value == 0
    assert (difference.low, difference.high, difference.b_better) == (None,) * 3


def test_mean_of_tile_scores() -> None:
    values = np.repeat([0.0, 1.0], 200)
    interval = bootstrap_mean(values)
    assert (interval.value, interval.clusters) == (0.5, 400)
    # The standard error of a mean of 400 coins is .025: 95 % lie within .049.
    assert (interval.low, interval.high) == pytest.approx((0.451, 0.549), abs=0.006)
    better = paired_mean_difference(values, np.minimum(values + 0.1, 1))
    assert better.value == pytest.approx(0.05)
    assert better.b_better == 1
    with pytest.raises(DataError, match="same tiles"):
        paired_mean_difference(values, values[1:])


def test_ratio_adds_up_before_dividing() -> None:
    interval = bootstrap_ratio(np.array([1, 0, 5]), np.array([1, 0, 9]), draws=10)
    assert (interval.value, interval.low) == (0.6, None)
    assert bootstrap_ratio(np.zeros(9), np.zeros(9), draws=10).value is None


def test_thousands_of_tiles_fit_in_blocks() -> None:
    """Blocks of draws are a matter of memory only: one draw at a time gives the same as all at once."""
    values = np.random.default_rng(0).random(2500)
    counts = np.random.default_rng(0).multinomial(2500, np.full(2500, 1 / 2500), 900)
    interval = bootstrap_mean(values, draws=900)
    assert (interval.low, interval.high) == pytest.approx(tuple(np.quantile(counts @ values / 2500, [0.025, 0.975])))
