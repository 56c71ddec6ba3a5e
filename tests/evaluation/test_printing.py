from __future__ import annotations

from dataclasses import replace

from seepseg.evaluation.printing import interval_text, lines, per_class
from seepseg.evaluation.summary import Decoded, Evidence
from seepseg.metrics.bootstrap import Interval
from tests.evaluation.test_summary import NONE, evidence, summary

PUBLISHED = (
    "as other projects publish theirs: soft Dice 0.420, soft IoU 0.266 (foreground, mean over batches of 16 tiles); "
    "compare with such numbers only"
)
OBJECTS = (
    "objects: of 20, found at IoU ≥ .25 55%, ≥ .5 n/a, touched 80%; class right in 60% of those found; "
    "false alarms 7, 3.1 per Mpx"
)
WHOLE = (
    "outlines and objects: surface Dice at 2 px 0.750, object F1 at IoU ≥ .25 0.480, "
    "class accuracy of found objects 0.600, class F1 by root area 0.340"
)
OUTLINES = "outlines: surface Dice at 1, 2, 3 px 0.500 0.750 n/a; calibration error of foreground 0.0430"


def rest(found: Evidence) -> list[str]:
    """What is printed besides the lines that are always there."""
    return [line for line in lines(summary(evidence=found)) if line not in (WHOLE, PUBLISHED, OBJECTS, OUTLINES)]


def test_an_interval_or_nothing() -> None:
    assert interval_text(Interval(0.5, 0.41, 0.62, 9, 0.0)) == "0.410–0.620"
    assert interval_text(None) == ""


def test_rows_have_intervals_where_there_are_any() -> None:
    frame = per_class(summary())
    assert frame["name"].tolist() == ["thick", "<thin>", "macro", "foreground"]
    assert list(frame.columns[2:5]) == ["dice", "95 %", "iou"]
    assert frame["95 %"].tolist() == ["0.610–0.820", "n/a", "n/a", "0.610–0.820"]
    assert frame["draws_without"].tolist() == ["0%", "35%", "", ""]
    # Too few scenes, or rasters, which have none: no column.
    few = evidence(intervals={"dice/foreground": NONE}, lacking={})
    for without in (summary(evidence=few), summary(evidence=None)):
        assert list(per_class(without).columns[2:4]) == ["dice", "iou"]
        assert "draws_without" not in per_class(without)


def test_the_rest_in_lines() -> None:
    assert lines(summary()) == [WHOLE, PUBLISHED, OBJECTS, OUTLINES]
    assert lines(summary(evidence=None)) == []
    objects = evidence().objects
    with_area = evidence(objects=replace(objects, false_alarms_per_1000_km2=0.0))
    assert rest(with_area)[0].endswith("false alarms 7, 0.0 per 1000 km²")
    assert rest(evidence(objects=replace(objects, objects=0))) == []


def test_scores_of_outlines_and_objects_with_intervals() -> None:
    drawn = evidence(intervals={"objects/class_f1": Interval(0.34, 0.3, 0.41, 9, 0.0)})
    assert lines(summary(evidence=drawn))[0] == WHOLE + " (0.300–0.410)"
    outline = evidence(intervals={"surface_dice": Interval(0.75, 0.7, 0.8, 9, 0.0)})
    assert "surface Dice at 2 px 0.750 (0.700–0.800), object" in lines(summary(evidence=outline))[0]
    # Salt has its own score for outlines, and one class says nothing of classes.
    assert WHOLE not in lines(summary(tgs_score=0.8))
    one = summary(classes=summary().classes[:1])
    assert lines(one)[0] == "outlines and objects: surface Dice at 2 px 0.750, object F1 at IoU ≥ .25 0.480"


def test_what_scores_measure_comes_before_the_caution() -> None:
    told = lines(summary(measures="Scenes were held out.", caution="too high"))
    assert told[-2:] == ["what this measures: Scenes were held out.", "note: too high"]


def test_the_tgs_score_comes_first() -> None:
    assert lines(summary(tgs_score=0.81236))[0] == "TGS score 0.8124"
    interval = evidence(intervals={"tgs_score": Interval(0.81, 0.8, 0.82, 900, 0.0)})
    assert lines(summary(tgs_score=0.81236, evidence=interval))[0] == "TGS score 0.8124 (95 % 0.800–0.820)"


def test_what_decoded() -> None:
    fitted = Decoded("fit on val", "classifier", 1.2, 0.45, (), 20)
    assert rest(evidence(decoding=fitted)) == [
        "decoded with the fit on val: temperature 1.20, threshold 0.45, objects of at least 20 pixels; "
        "classes of objects by the classifier",
    ]
    folds = Decoded("other folds' fits, see folds.csv", "network", None, None, None, None)
    assert rest(evidence(decoding=folds)) == ["decoded with the other folds' fits, see folds.csv"]
    # A threshold in the config is nobody's fit.
    assert rest(evidence(decoding=Decoded("config", "network", 1.0, 0.3, (), 0))) == []
