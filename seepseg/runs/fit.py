"""The fit of the decoding, as checkpoints hold it, and the tiles it may be used on."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass
from statistics import fmean
from typing import Any

from seepseg.config import Head, Predict
from seepseg.errors import ConfigError
from seepseg.metrics.grades import Grade, grades


@dataclass(frozen=True)
class Fit:
    """How averaged probabilities become classes, as fitted on tiles with truth.

    Attributes:
        head: the head whose probabilities these are.
        temperature: divides the logits; above 1 where the network was overconfident.
        threshold: foreground is where 1 − P(background), at this temperature, reaches it.
        offsets: added to the log-probability of each foreground class (K − 1) before they are compared; () = none.
        min_pixels: objects of fewer pixels are background.
        split: the part the tiles are of.
        tiles: their ids. No score of any of them is ever decoded with this fit.
        polygons, right: polygons on them by part and mean probability, and those that are right, see `metrics.grades`.
    """

    head: Head
    temperature: float
    threshold: float
    offsets: tuple[float, ...]
    min_pixels: int
    split: str
    tiles: tuple[str, ...]
    polygons: tuple[int, ...] = ()
    right: tuple[int, ...] = ()

    @property
    def grades(self) -> tuple[Grade, ...]:
        """The grades of polygons, best first; () where none rests on enough of them."""
        return grades(self.polygons, self.right)

    def onto(self, config: Predict) -> Predict:
        """The config with the fitted values in place of its own."""
        return config.model_copy(update={"threshold": self.threshold, "min_pixels": self.min_pixels})

    def to_plain(self) -> dict[str, Any]:
        """Plain types, for the checkpoint."""
        return {name: list(value) if isinstance(value, tuple) else value for name, value in asdict(self).items()}

    @classmethod
    def from_plain(cls, plain: dict[str, Any]) -> Fit | None:
        """The fit that `to_plain` wrote; None of an empty dict: nothing was fitted."""
        if not plain:
            return None
        lists: dict[str, Any] = {name: tuple(value) for name, value in plain.items() if isinstance(value, list)}
        return cls(**plain | lists)


def mean_fit(fits: Sequence[Fit | None], names: Sequence[object] = ()) -> Fit | None:
    """The mean of the fits of several networks, with which their ensemble is decoded; None where none has a fit.

    Where only some have one it is refused: the confidence of the others is not known.

    Args:
        fits: one per network.
        names: of the networks, for the error.

    Raises:
        ConfigError: some have a fit and some have not, or they have different heads.
    """
    present = [f for f in fits if f is not None]
    if not present:
        return None
    if len(present) < len(fits):
        raise ConfigError(
            f"{len(fits) - len(present)} of {len(fits)} checkpoints hold no fit for decoding, the others do",
            ", ".join(str(name) for name, fit in zip(names, fits, strict=False) if fit is None),
            "fit them with `seepseg eval RUN --fit` (folds: with --split oof), or use none with --no-fit",
        )
    # No offsets, because none gained anything or a classifier decides the classes: all are 0.
    longest = max(len(f.offsets) for f in present)
    offsets = [f.offsets or (0.0,) * longest for f in present]
    if len({f.head for f in present}) > 1 or len({len(o) for o in offsets}) > 1:
        raise ConfigError("the fits are of different heads or classes", fix="use none with --no-fit")
    # Each network's own polygons on the tiles that were held out of it.
    polygons, right = (
        tuple(map(sum, zip(*(counts for counts in each if counts), strict=True)))
        for each in ([f.polygons for f in present], [f.right for f in present])
    )
    return Fit(
        present[0].head,
        fmean(f.temperature for f in present),
        fmean(f.threshold for f in present),
        tuple(fmean(column) for column in zip(*offsets, strict=True)),
        round(fmean(f.min_pixels for f in present)),
        present[0].split,
        tuple(dict.fromkeys(t for f in present for t in f.tiles)),
        polygons,
        right,
    )


def fit_for(fits: Sequence[Fit | None], reported: Collection[str]) -> Fit | None:
    """The mean of the fits that have seen none of the tiles whose scores are to be reported; None where none is left.

    The only way from a checkpoint's fit to a score: nothing is reported on tiles that its threshold was chosen on. Out
    of fold, the fits left for fold k are those of the other folds.
    """
    ids = set(reported)
    return mean_fit([f for f in fits if f is None or ids.isdisjoint(f.tiles)])
