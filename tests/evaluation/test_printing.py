from __future__ import annotations

from typing import Any

from seepseg.evaluation.printing import lines, per_class, references, shown_interval


def interval(low: float | None, high: float | None, clusters: int = 10) -> dict[str, Any]:
    return {"value": 0.5, "low": low, "high": high, "clusters": clusters, "undefined": 0.0}


def summary(**more: object) -> dict[str, Any]:
    scores = {"dice": 0.5, "iou": 0.3, "precision": 0.6, "recall": 0.4}
    classes = [
        {"value": i, "name": n, **scores, "support_pixels": 9, "support_tiles": 1}
        for i, n in ((1, "thick"), (2, "thin"))
    ]
    names = ("dice/1", "dice/2", "dice/macro", "dice/foreground")
    return {
        "classes": classes,
        "macro": {"dice": 0.5, "iou": 0.3},
        "foreground": scores,
        "class_accuracy": 0.7,
        "intervals": {n: interval(0.41, 0.62) for n in names},
        "lacking": {"thick": 0.0, "thin": 0.352},
        "references": {"predict nothing": {"foreground_dice": 0.0, "macro_dice": 0.0, "class_accuracy": None}},
        **more,
    }


def test_an_interval_or_why_there_is_none() -> None:
    assert shown_interval(interval(0.41, 0.62)) == "0.410–0.620"
    assert shown_interval(interval(None, None, 3)) == "n/a (3 scenes)"


def test_every_row_has_its_interval_and_the_draws_that_lack_its_class() -> None:
    frame = per_class(summary())
    assert frame["name"].tolist() == ["thick", "thin", "macro", "foreground"]
    assert list(frame.columns[2:4]) == ["dice", "95 %"]
    assert frame["95 %"].tolist() == ["0.410–0.620"] * 4
    assert frame["draws without"].tolist() == ["0%", "35%", "", ""]
    assert "draws without" not in per_class(summary(lacking={"thick": 0.0, "thin": 0.0}))
    # Rasters have no scenes.
    assert "95 %" not in per_class({k: v for k, v in summary().items() if k != "intervals"})


def test_reference_rows_stand_below_the_run() -> None:
    frame = references(summary())
    assert frame["row"].tolist() == ["this run", "predict nothing"]
    assert frame["foreground_dice"].tolist() == [0.5, 0.0]
    assert "tgs_score" in references(summary(tgs_score=0.8))


def test_the_rest_in_lines() -> None:
    objects = {
        "objects": 20, "found_iou25": 0.55, "found_iou50": None, "found_touched": 0.8, "class_accuracy_iou25": 0.6,
        "false_alarms": 7, "false_alarms_per_mpx": 3.14, "false_alarms_per_1000_km2": None,
    }  # fmt: skip
    (line,) = lines(summary(objects=objects))
    assert line == (
        "objects: of 20, found at IoU ≥ .25 55%, ≥ .5 n/a, touched 80%; class right in 60% of those found; "
        "false alarms 7, 3.1 per Mpx"
    )
    assert lines(summary(objects=objects | {"false_alarms_per_1000_km2": 0.0}))[0].endswith("7, 0.0 per 1000 km²")
    assert lines(summary(objects={"objects": 0})) == []
    assert lines(summary(as_published={"soft_dice_batch16": 0.9014, "soft_iou_batch16": 0.8406})) == [
        "as other projects publish theirs: soft Dice 0.901, soft IoU 0.841 (foreground, mean over batches of 16 "
        "tiles); to compare with such numbers only"
    ]
    tgs = summary(tgs_score=0.81236)
    assert lines(tgs) == ["TGS score 0.8124"]
    tgs["intervals"]["tgs_score"] = interval(0.8, 0.82)
    assert lines(tgs) == ["TGS score 0.8124 (95 % 0.800–0.820)"]
    fitted = {"from": "fit on val", "temperature": 1.2, "threshold": 0.45, "offsets": [], "min_pixels": 20}
    assert lines(summary(decoding=fitted)) == [
        "decoded with the fit on val: temperature 1.20, threshold 0.45, at least 20 pixels"
    ]
