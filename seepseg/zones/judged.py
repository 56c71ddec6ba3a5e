"""What is said of the judges: of how many scenes they knew what they measure, and what it was on each pass."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from seepseg.errors import DataError
from seepseg.geo.frame import Field
from seepseg.passes.scenes import Pass
from seepseg.passes.view import REASONS, UNOBSERVABLE, Judge

KNOWN = 0.5
"""Of the valid cells of a scene, a value must be known on so many for the scene to count as judged."""


def basis_of(judges: Sequence[Judge], measured: Mapping[str, Field]) -> tuple[str, list[str]]:
    """What "observed" means, in words, and warnings of what is known of some scenes only.

    Args:
        judges: what is judged.
        measured: `Record.measured` of each scene; those without a valid cell are not counted.

    Raises:
        DataError: what the user asked for is known of no scene.
    """
    words, lines = {reason: f"{REASONS[reason]} not known" for reason in UNOBSERVABLE}, list[str]()
    for number, judge in enumerate(judges):
        shares = np.array([values[number, 1] for values in measured.values()])
        known, scenes, what = int((shares >= KNOWN).sum()), int(np.isfinite(shares).sum()), REASONS[judge.reason]
        if scenes and not known and judge.source:
            where, fix = judge.source, "check times, places and names of scenes"
            raise DataError(f"the {what} is known of none of {scenes} scenes", where, fix)
        if known:
            words[judge.reason] = judge.words + (f" (known of {known} of {scenes} scenes)" if known < scenes else "")
        if 0 < known < scenes:
            lines.append(f"{what} is not known of {scenes - known} of {scenes} scenes, and not judged there")
    return "; ".join(["valid pixels", *words.values()]), lines


def medians_of(
    passes: Sequence[Pass], judges: Sequence[Judge], measured: Mapping[str, Field]
) -> dict[str, list[float]]:
    """Of each judge, the mean over the frames of each pass of the median over its valid cells."""
    tables = [np.array([measured[scene.name][:, 0] for scene in one.scenes]) for one in passes]
    return {judge.column: [_mean(table[:, number]) for table in tables] for number, judge in enumerate(judges)}


def _mean(values: Field) -> float:
    known = values[np.isfinite(values)]
    return float(known.mean()) if len(known) else np.nan
