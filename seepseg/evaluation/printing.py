"""Scores for the terminal: what a reader needs to know what a number is worth."""

from __future__ import annotations

from typing import Any

import pandas as pd

from seepseg.evaluation.tables import table


def shown_interval(interval: dict[str, Any], clusters: str = "scenes") -> str:
    """An interval for people: "0.512–0.634", or why there is none."""
    if interval["low"] is None:
        return f"n/a ({interval['clusters']} {clusters})"
    return f"{interval['low']:.3f}–{interval['high']:.3f}"


def per_class(summary: dict[str, Any]) -> pd.DataFrame:
    """The per-class table with the 95 % interval of Dice and, where there are any, the draws that lack a class."""
    frame = table(summary)
    if "intervals" not in summary:
        return frame
    numbers = [f"dice/{row['value']}" for row in summary["classes"]]
    shown = [shown_interval(summary["intervals"][key]) for key in (*numbers, "dice/macro", "dice/foreground")]
    frame.insert(list(frame.columns).index("dice") + 1, "95 %", shown)
    lacking = list(summary["lacking"].values())
    if any(lacking):
        frame["draws without"] = [*(f"{share:.0%}" for share in lacking), "", ""]
    return frame


def references(summary: dict[str, Any]) -> pd.DataFrame:
    """The run's headline scores and, below, those of the reference rows."""
    own: dict[str, Any] = {
        "foreground_dice": summary["foreground"]["dice"],
        "macro_dice": summary["macro"]["dice"],
        "class_accuracy": summary["class_accuracy"],
    }
    if "tgs_score" in summary:
        own["tgs_score"] = summary["tgs_score"]
    return pd.DataFrame(
        [{"row": name} | scores for name, scores in ({"this run": own} | summary["references"]).items()]
    )


def lines(summary: dict[str, Any]) -> list[str]:
    """The rest, a line each: other projects' scores, objects, outlines, confidence, decoding, time."""
    return [line for part in (_tgs, published, _objects, _confidence, _decoding, _profile) if (line := part(summary))]


def published(summary: dict[str, Any]) -> str:
    """The scores as other projects publish them, and that they are others; "" where there are no probabilities."""
    if "as_published" not in summary:
        return ""
    dice, iou = (summary["as_published"][f"soft_{name}_batch16"] for name in ("dice", "iou"))
    return (
        f"as other projects publish theirs: soft Dice {dice:.3f}, soft IoU {iou:.3f} (foreground, mean over batches of "
        "16 tiles); to compare with such numbers only"
    )


def _tgs(summary: dict[str, Any]) -> str:
    if summary.get("tgs_score") is None:
        return ""
    interval = summary.get("intervals", {}).get("tgs_score")
    return f"TGS score {summary['tgs_score']:.4f}" + (
        f" (95 % {shown_interval(interval, 'tiles')})" if interval else ""
    )


def _objects(summary: dict[str, Any]) -> str:
    row = summary.get("objects")
    if not row or not row["objects"]:
        return ""
    rates = ("found_iou25", "found_iou50", "found_touched", "class_accuracy_iou25")
    loose, tight, touched, right = ("n/a" if row[k] is None else f"{row[k]:.0%}" for k in rates)
    classes = f"; class right in {right} of those found" if len(summary["classes"]) > 1 else ""
    per = "false_alarms_per_1000_km2"
    density = f"{row['false_alarms_per_mpx']:.1f} per Mpx" if row[per] is None else f"{row[per]:.1f} per 1000 km²"
    return (
        f"objects: of {row['objects']}, found at IoU ≥ .25 {loose}, ≥ .5 {tight}, touched {touched}{classes}; "
        f"false alarms {row['false_alarms']}, {density}"
    )


def _confidence(summary: dict[str, Any]) -> str:
    if "surface_dice" not in summary:
        return ""
    surface = " ".join(f"{v:.3f}" if v is not None else "n/a" for v in summary["surface_dice"].values())
    error = summary["calibration"]["foreground"]["expected_error"]
    return f"outlines: surface Dice at 1, 2, 3 px {surface}; calibration error of foreground {error:.4f}"


def _decoding(summary: dict[str, Any]) -> str:
    held = summary.get("decoding", {})
    who = held.get("objects", "network")
    asked = "" if who == "network" else f"classes of objects by the {who}"
    return "; ".join(line for line in (_decoded_with(held), asked) if line)


def _decoded_with(held: dict[str, Any]) -> str:
    if held.get("from", "config") == "config":
        return ""
    if "threshold" not in held:
        return f"decoded with {held['from']}"
    return (
        f"decoded with the {held['from']}: temperature {held['temperature']:.2f}, threshold {held['threshold']:.2f}, "
        f"at least {held['min_pixels']} pixels"
    )


def _profile(summary: dict[str, Any]) -> str:
    if "profile" not in summary:
        return ""
    held = summary["profile"]
    return (
        f"profile: {held['seconds']:.1f} s, {held['network_share']:.0%} of it in the network, "
        f"{held['tiles_per_second']:.1f} tiles/s"
    )
