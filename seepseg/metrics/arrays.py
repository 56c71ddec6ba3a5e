"""Scores of class maps that are arrays, made by anything: the numbers that `seepseg eval` gives for the same maps."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import reduce
from operator import add
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from seepseg.classes import BACKGROUND_NAME, IGNORE
from seepseg.errors import DataError
from seepseg.metrics.boundary import surface_counts
from seepseg.metrics.confusion import ClassScores, Means, Ratios, confusion_matrix, scores
from seepseg.metrics.detection import ObjectScores, detections, object_scores
from seepseg.metrics.salt_score import tgs_scores

if TYPE_CHECKING:
    import pandas as pd

Maps = NDArray[np.uint8]
"""Class maps (N, H, W), 255 where pixels do not count."""

Classes = Sequence[str] | int | None
"""Names of the foreground classes 1, 2 …, or how many there are; None: as many as the highest index says."""

TOTALS = ("all", "foreground")
"""What scores call all classes together."""


@dataclass(frozen=True, eq=False)
class Score:
    """Scores of class maps from one confusion matrix over all their pixels; None = not defined.

    Attributes:
        images: how many maps were scored.
        foreground: Dice, IoU, precision and recall of any foreground against background.
        macro: mean Dice and IoU of the foreground classes that have one.
        class_accuracy: share of right classes among pixels that are foreground in truth and prediction.
        classes: scores of each foreground class.
        matrix: (K, K) pixels by class of truth (rows) and of prediction (columns), background first.
    """

    images: int
    foreground: Ratios
    macro: Means
    class_accuracy: float | None
    classes: tuple[ClassScores, ...]
    matrix: NDArray[np.int64]

    def table(self) -> pd.DataFrame:
        """A row for each class, with its name, Dice, IoU, precision, recall and support.

        Examples:
            >>> import seepseg
            >>> result = seepseg.metrics.score([[0, 1, 1]], [[0, 1, 0]], classes=["oil"])
            >>> result.table()[["name", "dice", "support_pixels"]]
              name      dice  support_pixels
            0  oil  0.666667               2
        """
        import pandas as pd

        return pd.DataFrame([asdict(one) for one in self.classes])


def score(truth: ArrayLike, prediction: ArrayLike, classes: Classes = None, *, ignore: int = IGNORE) -> Score:
    """Dice, IoU, precision and recall of class maps, per class, as means and of any foreground.

    All pixels are counted in one matrix first: a mean over images would weigh small ones more. A class absent from
    truth and prediction has no score and is left out of means; one that is only predicted, or only true, has 0.

    Examples:
        >>> import numpy as np, seepseg
        >>> truth = np.array([[0, 1, 1], [0, 2, 255]])
        >>> prediction = np.array([[0, 1, 0], [1, 2, 2]])
        >>> result = seepseg.metrics.score(truth, prediction, classes=["oil", "look-alike"])
        >>> result.classes[0].dice, result.classes[1].dice, result.macro.dice
        (0.5, 1.0, 0.75)
        >>> result.foreground.iou, result.classes[0].support_pixels
        (0.5, 2)

    Args:
        truth: class indices (H, W) or (N, H, W), 0 is background.
        prediction: the same of the prediction.
        classes: names of the foreground classes, or how many there are.
        ignore: pixels with this index in truth or prediction do not count.

    Raises:
        DataError: shapes differ, or an index is none of the classes.
    """
    t, p, names = _maps(truth, prediction, classes, ignore)
    matrix = confusion_matrix(t, p, len(names))
    result = scores(matrix)
    columns = (result.dice, result.iou, result.precision, result.recall, result.support_pixels)
    tiles = [int((t == c).any((1, 2)).sum()) for c in range(1, len(names))]
    rows = enumerate(zip(names[1:], *columns, tiles, strict=True), 1)
    return Score(
        images=len(t),
        foreground=result.foreground,
        macro=Means(result.macro_dice, result.macro_iou),
        class_accuracy=result.class_accuracy,
        classes=tuple(ClassScores(value, *row) for value, row in rows),
        matrix=matrix,
    )


def score_objects(
    truth: ArrayLike,
    prediction: ArrayLike,
    classes: Classes = None,
    *,
    ignore: int = IGNORE,
    pixel_size: float | None = None,
) -> dict[str, ObjectScores]:
    """Which objects were found and which are false alarms, of "all" and of each class by its name.

    An object is an 8-connected patch of foreground of any class. It is found where a predicted object overlaps it at an
    IoU of .25 or .5, and touched where the prediction covers a tenth of its length.

    Examples:
        >>> import seepseg
        >>> truth = [[1, 1, 0, 0, 0], [1, 1, 0, 0, 0]]
        >>> prediction = [[1, 1, 0, 0, 1], [0, 0, 0, 0, 0]]
        >>> result = seepseg.metrics.score_objects(truth, prediction)["all"]
        >>> result.objects, result.found_iou50, result.false_alarms
        (1, 1.0, 1)

    Args:
        truth: class indices (H, W) of one scene, or (N, H, W) of several, which share no object.
        prediction, classes, ignore: as for `score`.
        pixel_size: side of a pixel in metres, for false alarms per 1000 km².

    Raises:
        DataError: as `score`.
    """
    t, p, names = _maps(truth, prediction, classes, ignore)
    counts = reduce(add, (detections(*scene, len(names), pixel_size) for scene in zip(t, p, strict=True)))
    return {row.class_: row for row in object_scores(counts, names[1:]) if row.pixels == "all"}


def surface_dice(
    truth: ArrayLike, prediction: ArrayLike, classes: Classes = None, *, ignore: int = IGNORE, tolerance: float = 1.0
) -> dict[str, float | None]:
    """Share of the outlines that lie within `tolerance` pixels of each other, of "foreground" and of each class.

    Normalised surface Dice (arXiv 1809.04430); None where neither side has an outline.

    Examples:
        >>> import numpy as np, seepseg
        >>> truth = np.zeros((6, 6), int)
        >>> truth[1:4, 1:4] = 1
        >>> seepseg.metrics.surface_dice(truth, np.roll(truth, 1, axis=0), classes=["oil"])
        {'foreground': 1.0, 'oil': 1.0}
        >>> seepseg.metrics.surface_dice(truth, np.roll(truth, 1, axis=0), classes=["oil"], tolerance=0)["oil"]
        0.5

    Raises:
        DataError: as `score`.
    """
    t, p, names = _maps(truth, prediction, classes, ignore)
    counts = reduce(add, (surface_counts(*scene, len(names), (tolerance,)) for scene in zip(t, p, strict=True)))
    return dict(zip(("foreground", *names[1:]), counts.surface_dice()[0], strict=True))


def tgs_score(truth: ArrayLike, prediction: ArrayLike, *, ignore: int | None = None) -> float:
    """Score of the TGS salt competition: the mean over the masks (N, H, W) of 0 and 1, or that of one mask (H, W).

    Both masks empty: 1. One empty: 0. Else the share of the thresholds .50, .55 … .95 that their IoU exceeds.

    Examples:
        >>> import seepseg
        >>> seepseg.metrics.tgs_score([[1, 1, 1, 0]], [[1, 1, 0, 0]])  # IoU 2/3 is above .50, .55, .60 and .65
        0.4

    Args:
        truth: the masks.
        prediction: the same masks as predicted.
        ignore: the value of pixels that do not count; 255 where it is not given.

    Raises:
        DataError: as `score`; and a side holds 255 and no 1, and `ignore` does not say that 255 is not salt.
    """
    for name, side in {"truth": np.asarray(truth), "prediction": np.asarray(prediction)}.items():
        if ignore is None and (side == IGNORE).any() and not (side == 1).any():
            fix = "give mask > 0 if 255 is salt, as in image files, or ignore=255 if it is no data"
            raise DataError(f"{name} holds 0 and 255, and no 1", "scoring", fix)
    t, p, _ = _maps(truth, prediction, 1, IGNORE if ignore is None else ignore)
    return float(tgs_scores(t, p).mean())


def _maps(truth: ArrayLike, prediction: ArrayLike, classes: Classes, ignore: int) -> tuple[Maps, Maps, tuple[str, ...]]:
    """Both sides as class maps with 255 where pixels do not count, and K names, background first."""
    sides = {"truth": np.asarray(truth), "prediction": np.asarray(prediction)}
    t, p = sides.values()
    if t.shape != p.shape:
        fix = "give class maps of one shape, not probabilities"
        raise DataError(f"truth is {t.shape} and prediction {p.shape}", "scoring", fix)
    if t.ndim not in (2, 3) or not t.size:
        raise DataError(f"class maps are {t.shape}", "scoring", "give (H, W), or (N, H, W) for several images")
    for name, side in sides.items():
        if side.dtype.kind not in "bui":
            raise DataError(f"{name} holds {side.dtype}", "scoring", "give class indices as integers")
    counted = (t != ignore) & (p != ignore)
    ends = [(int(side[counted].min()), int(side[counted].max())) for side in (t, p)] if counted.any() else [(0, 0)]
    names = _names(classes, max(last for _, last in ends))
    for name, (first, last) in zip(sides, ends, strict=False):
        if first < 0 or last >= len(names):
            wrong = first if first < 0 else last
            fix = f"indices are 0 (background) to {len(names) - 1}; name more classes, or give ignore={wrong}"
            raise DataError(f"{name} holds the index {wrong}", "scoring", fix)
    indices = [np.where(counted, side, IGNORE).astype(np.uint8).reshape(-1, *t.shape[-2:]) for side in (t, p)]
    return indices[0], indices[1], names


def _names(classes: Classes, highest: int) -> tuple[str, ...]:
    if isinstance(classes, str):
        raise DataError(f"classes is the text {classes!r}", "scoring", f"give a list of names: [{classes!r}]")
    names: Any = max(1, highest) if classes is None else classes
    if isinstance(names, (int, np.integer)):
        if not 1 <= names < IGNORE:  # pixels given for class maps would be millions of classes
            raise DataError(f"{names} classes", "scoring", "give class maps of 1 to 254 classes")
        names = [f"class {i + 1}" for i in range(names)]
    names = list(names)
    if not 1 <= len(names) < IGNORE or len(set(names)) < len(names):
        raise DataError(f"{len(names)} classes, {len(set(names))} names", "scoring", "give 1 to 254 different names")
    if wrong := {BACKGROUND_NAME, *(TOTALS if len(names) > 1 else ())}.intersection(names):
        fix = "name the classes 1, 2, …; index 0 is the background, and needs no name"
        raise DataError(f"a class is called {min(wrong)}", "scoring", fix)
    return (BACKGROUND_NAME, *names)
