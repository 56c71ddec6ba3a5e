"""Scores for the terminal, with what a reader needs to interpret them."""

from __future__ import annotations

import pandas as pd

from seepseg.evaluation.summary import Decoded, Summary
from seepseg.evaluation.tables import class_table
from seepseg.metrics.bootstrap import Interval
from seepseg.metrics.detection import ObjectScores
from seepseg.metrics.salt_score import BatchScores
from seepseg.runs.fit import Fit


def interval_text(interval: Interval | None, to: str = "–") -> str:
    """An interval for people: "0.512–0.634"; "" where there is none."""
    return "" if interval is None else f"{interval.low:.3f}{to}{interval.high:.3f}"


def per_class(summary: Summary) -> pd.DataFrame:
    """The per-class table, with the 95 % intervals of Dice where there are any."""
    frame = class_table(summary)
    keys = [*(str(c.value) for c in summary.classes), "macro", "foreground"]
    intervals = [interval_text(summary.interval(f"dice/{key}")) for key in keys]
    if any(intervals):
        frame.insert(list(frame.columns).index("dice") + 1, "95 %", [text or "n/a" for text in intervals])
    if "draws_without" in frame:
        frame["draws_without"] = ["" if pd.isna(share) else f"{share:.0%}" for share in frame["draws_without"]]
    return frame.drop(columns=[c for c in frame.columns if c.endswith(("_low", "_high"))])


def lines(summary: Summary) -> list[str]:
    """The rest, a line each: TGS score or outlines and objects, scores as published, objects, confidence, decoding."""
    out = []
    if summary.tgs_score is not None:
        interval = interval_text(summary.interval("tgs_score"))
        out.append(f"TGS score {summary.tgs_score:.4f}" + (f" (95 % {interval})" if interval else ""))
    evidence = summary.evidence
    if evidence is None:
        return out
    if summary.tgs_score is None:
        out.append(_whole(summary))
    out.append(published(evidence.as_published))
    if evidence.objects.objects:
        out.append(_objects(evidence.objects, with_classes=len(summary.classes) > 1))
    surface = " ".join(_number(v) for v in evidence.surface_dice.values())
    error = _number(evidence.calibration["foreground"], 4)
    out.append(f"outlines: surface Dice at 1, 2, 3 px {surface}; calibration error of foreground {error}")
    out += [line] if (line := _decoding(evidence.decoding)) else []
    out += [f"what this measures: {summary.measures}"] if summary.measures else []
    return [*out, f"note: {summary.caution}"] if summary.caution else out


def whole_objects(summary: Summary) -> list[tuple[str, str, float | None]]:
    """Name, name of the interval and value of scores that vague outlines hardly change."""
    if summary.evidence is None:
        return []
    row = summary.evidence.objects
    scores = [
        ("surface Dice at 2 px", "surface_dice", summary.evidence.surface_dice["2 px"]),
        ("object F1 at IoU ≥ .25", "objects/f1", row.f1_iou25),
    ]
    if len(summary.classes) > 1:
        scores += [
            ("class accuracy of found objects", "objects/class_accuracy", row.class_accuracy_iou25),
            ("class F1 by root area", "objects/class_f1", row.class_f1),
        ]
    return scores


def published(scores: BatchScores) -> str:
    """The scores as other projects publish them, with a note that they are not ours."""
    return (
        f"as other projects publish theirs: soft Dice {scores.soft_dice_batch16:.3f}, soft IoU "
        f"{scores.soft_iou_batch16:.3f} (foreground, mean over batches of 16 tiles); compare with such numbers only"
    )


def _whole(summary: Summary) -> str:
    """The scores of `whole_objects` in a line."""
    ranges = {key: interval_text(summary.interval(key)) for _, key, _ in whole_objects(summary)}
    parts = [
        f"{name} {_number(value)}" + (f" ({ranges[key]})" if ranges[key] else "")
        for name, key, value in whole_objects(summary)
    ]
    return f"outlines and objects: {', '.join(parts)}"


def _objects(row: ObjectScores, *, with_classes: bool) -> str:
    rates = (row.found_iou25, row.found_iou50, row.found_touched, row.class_accuracy_iou25)
    loose, tight, touched, right = ("n/a" if rate is None else f"{rate:.0%}" for rate in rates)
    classes = f"; class right in {right} of those found" if with_classes else ""
    per_mpx, per_km2 = row.false_alarms_per_mpx, row.false_alarms_per_1000_km2
    density = f"{_number(per_mpx, 1)} per Mpx" if per_km2 is None else f"{per_km2:.1f} per 1000 km²"
    return (
        f"objects: of {row.objects}, found at IoU ≥ .25 {loose}, ≥ .5 {tight}, touched {touched}{classes}; "
        f"false alarms {row.false_alarms}, {density}"
    )


def decoding_text(decoding: Fit | Decoded) -> str:
    """A fit in words; "" for folds, each of which has its own."""
    parts = [] if decoding.temperature is None else [f"temperature {decoding.temperature:.2f}"]
    parts += [] if decoding.threshold is None else [f"threshold {decoding.threshold:.2f}"]
    parts += [f"objects of at least {decoding.min_pixels} pixels"] if decoding.min_pixels else []
    parts += [f"class offsets {' '.join(f'{o:+.2f}' for o in decoding.offsets)}"] if decoding.offsets else []
    return ", ".join(parts)


def _decoding(decoded: Decoded) -> str:
    parts = [] if decoded.objects == "network" else [f"classes of objects by the {decoded.objects}"]
    if decoded.from_ != "config":
        words = decoding_text(decoded)
        parts.insert(0, f"decoded with the {decoded.from_}" + (f": {words}" if words else ""))
    return "; ".join(parts)


def _number(value: float | None, digits: int = 3) -> str:
    return "n/a" if value is None else f"{value:.{digits}f}"
