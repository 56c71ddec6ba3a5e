from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from seepseg.metrics.grades import BINS, FEWEST, Grade, PolygonCounts, graded, grades, grades_text, polygon_counts


def test_a_polygon_is_right_where_a_tenth_of_it_lies_on_a_slick() -> None:
    truth, prediction = np.zeros((2, 30, 40), np.uint8)
    prediction[2, 0:10] = 1  # one of ten pixels on a slick of another class
    truth[2, 0] = 3
    prediction[5, 0:11] = 1  # one of eleven
    truth[5, 0] = 1
    prediction[8, 0:4] = 2  # two classes of one object: two polygons
    prediction[8, 4:8] = 3
    truth[8, 0:4] = 2
    prediction[11, 0:9] = 1  # five of nine pixels are not labelled: it counts nowhere
    truth[11, 0:5] = 255
    prediction[14, 0:10] = 1  # half is labelled, a fifth of that a slick
    truth[14, 0:5], truth[14, 9] = 255, 1
    prediction[20:] = 255
    sure = np.full(truth.shape, 128, np.uint8)  # .502
    sure[8, 0:4] = 255
    counts = polygon_counts(truth, prediction, sure)
    # .502 is in bin 25 of 50, 1 in the last one.
    assert dict(enumerate(counts.polygons)).items() >= {25: 4, 49: 1}.items()
    assert counts.polygons.sum() == 5
    assert (counts.right[25], counts.right[49]) == (2, 1)
    nothing = polygon_counts(truth, np.zeros_like(prediction), sure)
    assert (nothing.polygons.sum(), len(nothing.polygons)) == (0, BINS)
    assert ((counts + nothing).right == counts.right).all()
    assert PolygonCounts.empty().polygons.sum() == 0


def parts(*rows: dict[int, tuple[int, int]]) -> tuple[list[int], list[int]]:
    """Counts of parts from polygons and right ones by bin."""
    polygons, right = ([row.get(b, (0, 0))[k] for row in rows for b in range(BINS)] for k in (0, 1))
    return polygons, right


def test_a_grade_begins_where_the_share_that_is_right_reaches_its_level() -> None:
    # Bins of .02. Together, 38 and 39 have a share of .625: the share rises with the probability.
    one = {20: (50, 10), 30: (40, 24), 38: (40, 28), 39: (40, 22), 45: (50, 40), 49: (100, 99)}
    found = grades(*parts(one, one))
    # Each part is told by the limits of the other, which are the same.
    assert found == (Grade("A", 0.9, 300, 278), Grade("B", 0.6, 240, 148), Grade("C", 0, 100, 20))
    assert [g.precision for g in found] == pytest.approx([0.927, 0.617, 0.2], abs=5e-4)
    assert graded(np.array([0.1, 0.599, 0.6, 0.89, 0.9, 1]), found).tolist() == ["C", "C", "B", "B", "A", "A"]
    assert grades_text(found) == (
        "Grades: of polygons as sure, on tiles held out of training, in other scenes, this share were slicks: A 0.93 "
        "of 300 (mean probability from 0.90), B 0.62 of 240 (mean probability from 0.60), C 0.20 of 100 (mean "
        "probability from 0.00)."
    )


def test_a_grade_that_does_not_hold_in_other_scenes_is_not_given() -> None:
    # By the second part A begins at .9, where of the first one 30 of 60 are right: too few. By the first part B begins
    # there. Without A, B is 30 of 60 in the first part and 60 of 60 in the second, C twice 2 of 20.
    first, second = {40: (20, 2), 45: (60, 30)}, {40: (20, 2), 45: (60, 60)}
    assert grades(*parts(first, second)) == (Grade("B", 0.9, 120, 90), Grade("C", 0, 40, 4))


def test_a_grade_of_few_polygons_or_one_scene_is_not_given() -> None:
    assert grades(*parts({49: (1000, 1000)})) == ()
    assert grades(*parts({49: (1000, 1000)}, {})) == ()
    assert grades(*parts({49: (14, 14)}, {49: (15, 15)})) == ()
    assert FEWEST == 30
    assert "seepseg eval RUN --fit" in grades_text(())
    # As good as A, but too few alone: they are of the next grade.
    one = {49: (14, 14), 30: (20, 12)}
    found = grades(*parts(one, one))
    assert found == (Grade("B", 0.6, 68, 52),)
    # What is less sure than any grade has none.
    assert graded(np.array([0.5, 0.6]), found).tolist() == [None, "B"]
    assert grades((), ()) == ()


@given(
    st.lists(st.tuples(st.integers(0, 30), st.floats(0, 1)), min_size=3 * BINS, max_size=3 * BINS),
)
def test_grades_keep_what_they_say(bins: list[tuple[int, float]]) -> None:
    polygons = [n for n, _ in bins]
    found = grades(polygons, [round(n * share) for n, share in bins])
    assert sum(g.polygons for g in found) <= sum(polygons)
    for grade in found:
        assert grade.polygons >= FEWEST
        assert grade.precision >= {"A": 0.8, "B": 0.5, "C": 0}[grade.letter]
    starts = [g.least for g in found]
    assert starts == sorted(starts, reverse=True)
