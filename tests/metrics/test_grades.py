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


def test_grades_are_where_the_share_that_is_right_reaches_theirs() -> None:
    polygons, right = np.zeros((2, BINS), np.int64)
    # Bins of .02. Together, 38 and 39 have a share of .625: the share rises with the probability.
    polygons[[20, 30, 38, 39, 45, 49]] = [50, 40, 40, 40, 50, 100]
    right[[20, 30, 38, 39, 45, 49]] = [10, 24, 28, 22, 40, 99]
    found = grades(polygons.tolist(), right.tolist())
    assert found == (Grade("A", 0.9, 150, 139), Grade("B", 0.6, 120, 74), Grade("C", 0, 50, 10))
    assert [g.precision for g in found] == pytest.approx([0.927, 0.617, 0.2], abs=5e-4)
    assert graded(np.array([0.1, 0.599, 0.6, 0.89, 0.9, 1]), found).tolist() == ["C", "C", "B", "B", "A", "A"]
    assert grades_text(found) == (
        "Grades: of polygons as sure, on tiles held out of training, this share were slicks: A 0.93 of 150 (mean "
        "probability from 0.90), B 0.62 of 120 (mean probability from 0.60), C 0.20 of 50 (mean probability from 0.00)."
    )


def test_a_grade_of_few_polygons_is_not_given() -> None:
    polygons, right = [0] * BINS, [0] * BINS
    polygons[49], right[49] = FEWEST - 1, FEWEST - 1
    assert grades(polygons, right) == ()
    assert "seepseg eval RUN --fit" in grades_text(())
    # As good as A, but too few alone: they are of the next grade.
    polygons[30], right[30] = 20, 12
    assert grades(polygons, right) == (Grade("B", 0.6, 49, 41),)
    # What is less sure than any grade has none.
    assert graded(np.array([0.5, 0.6]), grades(polygons, right)).tolist() == [None, "B"]
    assert grades((), ()) == ()


@given(st.lists(st.tuples(st.integers(0, 60), st.floats(0, 1)), min_size=BINS, max_size=BINS))
def test_grades_keep_what_they_say(bins: list[tuple[int, float]]) -> None:
    polygons = [n for n, _ in bins]
    right = [round(n * share) for n, share in bins]
    found = grades(polygons, right)
    assert sum(g.polygons for g in found) <= sum(polygons)
    for grade, least in ((g, {"A": 0.8, "B": 0.5, "C": 0}[g.letter]) for g in found):
        assert grade.polygons >= FEWEST
        assert grade.precision >= least - 1e-9
    starts = [g.least for g in found]
    assert starts == sorted(starts, reverse=True)
    # The counts of each grade are those of the polygons that it is given to.
    letters = graded((np.arange(BINS) + 0.5) / BINS, found)
    for grade in found:
        assert sum(n for n, letter in zip(polygons, letters, strict=True) if letter == grade.letter) == grade.polygons
