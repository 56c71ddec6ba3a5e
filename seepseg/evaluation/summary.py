"""The scores of an evaluation as typed values: what metrics.json holds, and what pages and the terminal show."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, is_dataclass
from typing import TYPE_CHECKING, Any

from seepseg.classes import ClassTable
from seepseg.inference.score import Sums
from seepseg.metrics.bootstrap import Interval
from seepseg.metrics.confusion import ClassScores, Means, Ratios
from seepseg.metrics.detection import ObjectScores
from seepseg.metrics.salt_score import BatchScores

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Headline:
    """The headline scores of some tiles: of a scene, a fold, a kind of tile, or a reference row."""

    tiles: int
    foreground_dice: float | None
    foreground_iou: float | None
    precision: float | None
    recall: float | None
    macro_dice: float | None
    class_accuracy: float | None
    foreground_pixels: int
    pixels: int
    tgs_score: float | None = None


@dataclass(frozen=True)
class Decoded:
    """How the predictions were decoded.

    Attributes:
        from_: "config", the part of the fit, or a reference to folds.csv, which has it of each fold (the numbers are
            then None).
        objects: what decides the classes of objects.
        temperature, threshold, offsets, min_pixels: as in `runs.fit.Fit`.
    """

    from_: str
    objects: str
    temperature: float | None
    threshold: float | None
    offsets: tuple[float, ...] | None
    min_pixels: int | None


@dataclass(frozen=True)
class Evidence:
    """The scores beyond the confusion matrix, where a network was scored.

    Attributes:
        intervals: by score (`measure/part` of `matrix_scores`, names of `whole_scores`, tgs_score): percentiles of a
            bootstrap.
        drawn: what that draws: "scene", "tile", or "block" of ground.
        lacking: share of the draws that lack a class in truth, by its name.
        objects: scores of all objects.
        surface_dice: of foreground, by tolerance.
        references: of this run and of each reference row.
        calibration: expected calibration error of foreground and of the top class.
        froc: columns of froc.csv.
        by_coverage, by_flag: by kind of tile, where tiles are scored one by one.
    """

    intervals: dict[str, Interval]
    lacking: dict[str, float]
    objects: ObjectScores
    surface_dice: dict[str, float | None]
    references: dict[str, Headline]
    as_published: BatchScores
    calibration: dict[str, float | None]
    froc: dict[str, list[Any]]
    decoding: Decoded
    drawn: str = "scene"
    by_coverage: dict[str, Headline] | None = None
    by_flag: dict[str, Headline] | None = None


@dataclass(frozen=True, repr=False)
class Summary:
    """The scores of some tiles; None = not defined.

    Attributes:
        split: the part of the data, or what else was scored.
        tgs_score: where tiles are scored one by one.
        evidence: None for rasters made by anything.
        measures: what kind of unseen tiles the scores are of, where the tiles were held out.
        caution: why the scores may be too high.
    """

    split: str
    n_tiles: int
    foreground: Ratios
    macro: Means
    class_accuracy: float | None
    classes: tuple[ClassScores, ...]
    tgs_score: float | None = None
    evidence: Evidence | None = None
    measures: str | None = None
    caution: str | None = None

    def __repr__(self) -> str:
        means = f"foreground Dice {_short(self.foreground.dice)}, macro Dice {_short(self.macro.dice)}"
        return f"<Summary of {self.split}: {self.n_tiles} tiles, {means}>"

    def table(self) -> pd.DataFrame:
        """A row for each class, with its name, Dice, IoU, precision, recall and support."""
        import pandas as pd

        return pd.DataFrame([asdict(one) for one in self.classes])

    @property
    def place(self) -> str:
        """What objects are counted in."""
        return "scene" if self.tgs_score is None else "tile"

    def interval(self, score: str) -> Interval | None:
        """The interval of a score by its name in `Evidence.intervals`; None where there is none."""
        interval = self.evidence.intervals.get(score) if self.evidence else None
        return None if interval is None or interval.low is None else interval

    def to_json(self) -> dict[str, Any]:
        """The content of metrics.json; the fields of `evidence` are on the top level."""
        tree: dict[str, Any] = plain(self)
        evidence: dict[str, Any] = tree.pop("evidence", {})
        return tree | evidence


def plain(value: Any) -> Any:
    """A value in JSON's types; a field whose default is None is left out where it is None, and `from_` is "from"."""
    if is_dataclass(value):
        items = [(f, getattr(value, f.name)) for f in fields(value)]
        return {f.name.rstrip("_"): plain(v) for f, v in items if v is not None or f.default is not None}
    if isinstance(value, Mapping):
        return {key: plain(v) for key, v in value.items()}
    return [plain(v) for v in value] if isinstance(value, (list, tuple)) else value


def _short(value: float | None) -> str:
    return "n/a" if value is None else f"{value:.3f}"


def headline(sums: Sums, *, per_tile: bool) -> Headline:
    """The headline scores of sums, with the TGS score where tiles are scored one by one."""
    result, foreground = sums.scores(), sums.scores().foreground
    return Headline(
        tiles=sums.n_tiles,
        foreground_dice=foreground.dice,
        foreground_iou=foreground.iou,
        precision=foreground.precision,
        recall=foreground.recall,
        macro_dice=result.macro_dice,
        class_accuracy=result.class_accuracy,
        foreground_pixels=int(sums.matrix[1:].sum()),
        pixels=int(sums.matrix.sum()),
        tgs_score=sums.tgs_score if per_tile else None,
    )


def summarise(
    sums: Sums,
    classes: ClassTable,
    split: str,
    *,
    per_tile: bool,
    evidence: Evidence | None = None,
    measures: str | None = None,
    caution: str | None = None,
) -> Summary:
    """The summary of sums."""
    result = sums.scores()
    columns = (result.dice, result.iou, result.precision, result.recall, result.support_pixels)
    rows = enumerate(zip(classes.names[1:], *columns, sums.tiles[1:].tolist(), strict=True), 1)
    return Summary(
        split=split,
        n_tiles=sums.n_tiles,
        foreground=result.foreground,
        macro=Means(result.macro_dice, result.macro_iou),
        class_accuracy=result.class_accuracy,
        classes=tuple(ClassScores(value, *row) for value, row in rows),
        tgs_score=sums.tgs_score if per_tile else None,
        evidence=evidence,
        measures=measures,
        caution=caution,
    )
