from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from seepseg.objects.sites import FEWEST, SIGMAS, Sites

NAMES = ("a", "b", "c", "d", "e", "f", "g")


def known(owner: list[int], positions: list[tuple[float, float]], classes: list[int], pixels: list[int]) -> Sites:
    """Sites of seven scenes in a frame of pixels, of two foreground classes; no bright points."""
    return Sites(
        NAMES,
        np.array(owner, np.int64),
        np.array(positions, np.float64).reshape(-1, 2),
        np.array(classes, np.int64),
        np.sqrt(np.array(pixels, np.float64)),
        3,
        0.0,
        np.zeros((len(NAMES), 2)),
        np.zeros((0, 2)),
        np.zeros(0, np.int64),
    )


# Class 1 of 100 pixels at the position, class 2 of 400 pixels 40 to the right; nearer ones in the scene itself.
TWO = known([0, 1, 2], [(100, 100), (140, 100), (101, 100)], [1, 2, 2], [100, 400, 10_000])


def test_shares_of_two_objects_worked_by_hand() -> None:
    near = TWO.around(np.array([[100.0, 100.0]]), "c")[0]
    # Weights are √100 = 10 and √400 = 20. At σ 40: 10 and 20 · exp(−½) = 12.1306. Of all 30, a third is class 1.
    total = 10 + 12.1306 + 5
    assert near[:3] == pytest.approx([(10 + 5 / 3) / total, (12.1306 + 10 / 3) / total, np.log(total)], rel=1e-5)
    # At σ 400: 20 · exp(−1 / 200) = 19.9002
    assert near[6:] == pytest.approx([(10 + 5 / 3) / 34.9002, (19.9002 + 10 / 3) / 34.9002, np.log(34.9002)], rel=1e-5)
    assert near.reshape(len(SIGMAS), 3)[:, :2].sum(1) == pytest.approx(1)


def test_far_from_all_objects_the_shares_are_those_of_the_whole_and_then_nothing() -> None:
    far = np.array([[100.0, 100.0 + 1.2 * 400], [100.0, 100.0 + 2 * 400]])
    first, beyond = TWO.around(far, "c")
    # At σ 40, twelve standard deviations away, the prior is all: class 1 a third, and the logarithm of 5.
    assert first[:3] == pytest.approx([1 / 3, 2 / 3, np.log(5)], rel=1e-5)
    # At σ 400, 30 · exp(−.72) = 14.6 outweighs the prior of 5, and 30 · exp(−2) = 4.06 does not.
    assert np.isnan(beyond).all()
    assert TWO.around(np.full((1, 2), np.nan), "c").tolist() != TWO.around(far[:1], "c").tolist()
    assert np.isnan(TWO.around(np.full((1, 2), np.nan), "c")).all()


@pytest.mark.parametrize("scene", ["c", "2024/c"])
def test_objects_of_the_same_scene_do_not_count(scene: str) -> None:
    here = np.array([[100.0, 100.0]])
    without = known([0, 1], [(100, 100), (140, 100)], [1, 2], [100, 400])
    assert np.array_equal(TWO.around(here, scene), without.around(here, "another"))
    assert not np.array_equal(TWO.around(here, "another"), without.around(here, "another"))


def test_few_scenes_are_no_evidence() -> None:
    here = np.array([[100.0, 100.0]])
    few = replace(TWO, names=NAMES[: FEWEST + 1], shifts=np.zeros((FEWEST + 1, 2)))
    assert few.others("a") == FEWEST
    assert not np.isnan(few.around(here, "a")).any()
    fewer = replace(TWO, names=NAMES[:FEWEST], shifts=np.zeros((FEWEST, 2)))
    assert np.isnan(fewer.around(here, "a")).all()
    # A scene that holds all objects is no evidence of its own.
    assert np.isnan(known([0], [(100, 100)], [1], [100]).around(here, "a")).all()


def test_ground_positions_are_measured_in_pixels_of_the_training_scenes() -> None:
    """Ten-metre pixels, some 6000 km from the middle of the Earth: 40 of them are one standard deviation."""
    middle = np.array([[4e5, 3e5, 4e5]])
    ground = replace(TWO, positions=middle + np.array([(0, 0, 0), (0, 40, 0), (0, 1, 0)]), unit=10.0)
    assert ground.around(middle, "c")[0] == pytest.approx(TWO.around(np.array([[100.0, 100.0]]), "c")[0], rel=1e-6)


@given(st.randoms(use_true_random=False), st.integers(1, 30))
def test_the_order_of_objects_does_not_matter(random: object, count: int) -> None:
    rng = np.random.default_rng(random.getrandbits(32))  # type: ignore[attr-defined]
    sites = known(
        rng.integers(0, 7, count).tolist(),
        [tuple(xy) for xy in rng.uniform(0, 500, (count, 2)).tolist()],
        rng.integers(1, 3, count).tolist(),
        rng.integers(1, 5000, count).tolist(),
    )
    order = rng.permutation(count)
    moved = {name: getattr(sites, name)[order] for name in ("owner", "positions", "classes", "roots")}
    where = rng.uniform(0, 500, (5, 2))
    expected = sites.around(where, "c")
    assert replace(sites, **moved).around(where, "c") == pytest.approx(expected, rel=1e-5, nan_ok=True)
    shares = expected.reshape(5, len(SIGMAS), 3)[..., :2].sum(2)
    assert np.isnan(shares).all() or shares[~np.isnan(shares)] == pytest.approx(1)


def test_plain_types_give_the_same_sites_again() -> None:
    plain = TWO.to_plain()
    assert {type(value) for value in plain.values()} == {tuple, torch.Tensor, int, float}
    again = Sites.from_plain(plain)
    again.check(3)
    here = np.array([[100.0, 100.0]])
    assert np.array_equal(again.around(here, "c"), TWO.around(here, "c"))


@pytest.mark.parametrize(
    "change",
    [
        lambda t: t.update(names=(1, 2, 3, 4, 5, 6, 7)),
        lambda t: t.update(names=("a",)),
        lambda t: t["owner"].fill_(7),
        lambda t: t["owner"].fill_(-1),
        lambda t: t["classes"].fill_(0),
        lambda t: t["classes"].fill_(3),
        lambda t: t.update(classes=t["classes"].double()),
        lambda t: t["roots"].fill_(0),
        lambda t: t["positions"].fill_(float("nan")),
        lambda t: t.update(unit=10.0),
        lambda t: t.update(unit=-1.0),
        lambda t: t.update(unit=float("inf")),
        lambda t: t.update(shifts=torch.zeros(1, 2)),
        lambda t: t.update(bright=torch.zeros(4, 2)),
        lambda t: t.update(n_classes=8),
    ],
)
def test_what_are_no_sites_is_refused(change: Callable[[dict[str, object]], object]) -> None:
    plain = {name: v.clone() if isinstance(v, torch.Tensor) else v for name, v in TWO.to_plain().items()}
    change(plain)
    with pytest.raises(ValueError):
        Sites.from_plain(plain).check(3)
