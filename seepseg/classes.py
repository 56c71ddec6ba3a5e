"""Class tables: which label values mean which class, and how a class is named and drawn."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from seepseg.errors import ConfigError, DataError

IGNORE = 255
"""Class index of a pixel that counts nowhere: unlabelled, no data, or outside the area of interest."""

BACKGROUND_NAME = "background"
TAKEN = frozenset({"split", "group", "tiles", "scenes", "blocks", "fold", "train", "val", "unused"})
"""What tables of splits call their other columns."""


@dataclass(frozen=True)
class SegClass:
    """One class: its name, the label values that mean it, or the lowest of them, and its colour ("#rrggbb")."""

    name: str
    values: tuple[int, ...]
    color: str
    at_least: float | None = None


@dataclass(frozen=True)
class ClassTable:
    """Background (class index 0) and the foreground classes (indices 1, 2, …), in order.

    Several label values may merge into one class. Masks inside seepseg and the rasters it writes hold class
    *indices*; label values exist only in the files a user brings.
    """

    foreground: tuple[SegClass, ...]
    background_values: tuple[int, ...] = (0,)
    ignore_values: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        values = [v for c in self.foreground for v in c.values] + list(self.background_values + self.ignore_values)
        twice = sorted({v for v in values if values.count(v) > 1})
        if twice:
            raise ConfigError(
                f"label value {twice[0]} is in two classes",
                "data.classes",
                "give each value once, there, in data.background_values (0 unless given) or in data.ignore_values",
            )
        if len(set(self.names)) < len(self):
            raise ConfigError(
                "two classes have one name", "data.classes", "give each class its own name, other than background"
            )
        if taken := TAKEN.intersection(self.names):
            what = f"a class is called {min(taken)}, as a column of the tables of splits is"
            raise ConfigError(what, "data.classes", "give the class another name")
        limits = [c.at_least for c in self.foreground if c.at_least is not None]
        if limits and (len(limits) < len(self.foreground) or len(set(limits)) < len(limits)):
            raise ConfigError(
                "at_least is not given, and different, for every class", "data.classes", "give it for all, or for none"
            )
        if not 1 <= len(self.foreground) <= 254:
            raise ConfigError(f"{len(self.foreground)} foreground classes", "data.classes", "give 1 to 254")

    def __len__(self) -> int:
        """Number of classes K, background included."""
        return 1 + len(self.foreground)

    @property
    def names(self) -> tuple[str, ...]:
        """K names, background first."""
        return (BACKGROUND_NAME, *(c.name for c in self.foreground))

    @property
    def colors(self) -> NDArray[np.uint8]:
        """(K, 3) RGB colours, background black."""
        rgb = [tuple(bytes.fromhex(c.color.removeprefix("#"))) for c in self.foreground]
        return np.array([(0, 0, 0), *rgb], dtype=np.uint8)

    @property
    def soft(self) -> bool:
        """Whether each class is given by its lowest value, so that masks may hold fractions."""
        return self._limits is not None

    @property
    def of_0_and_1(self) -> bool:
        """Whether it is one class, 1, and the background, 0: where masks hold 0 and 255, any value above 0 is 1."""
        (one, *more), no_others = self.foreground, (self.background_values, self.ignore_values) == ((0,), ())
        return not more and no_others and one.values == (1,) and not self.soft

    def has(self, value: float) -> bool:
        """Whether a label value is listed: as one of a class, as background, or as ignored."""
        return value in self._indices

    def to_indices(self, labels: NDArray[np.generic], where: Path | str) -> NDArray[np.uint8]:
        """Class indices (H, W) uint8 of a mask of label values (H, W), `IGNORE` where they are to be ignored.

        Raises:
            DataError: the mask holds a value outside the table; the message names the values and their pixel counts.
        """
        indices, unknown = self.indices_and_unknown(labels)
        if unknown:
            raise DataError(
                f"unknown label {_counted(unknown)}",
                where,
                f"the values are {', '.join(str(v) for v in sorted(self._indices))}; "
                "fix the mask, list the value in data.classes or data.ignore_values, or give at_least for a soft mask",
            )
        return indices

    def indices_and_unknown(self, labels: NDArray[np.generic]) -> tuple[NDArray[np.uint8], dict[str, int]]:
        """Class indices (H, W) of label values, `IGNORE` where unknown, and the pixels of each unknown value."""
        if self._limits is not None:
            # 0.9 in a float32 mask is less than 0.9 in a config, so both are taken in the mask's precision.
            limits = self._limits[0].astype(labels.dtype if labels.dtype.kind == "f" else np.float64)
            with np.errstate(invalid="ignore"):
                steps = np.searchsorted(limits, labels, side="right")
            indices = self._limits[1][steps]
            ignored = np.isin(labels, self.ignore_values) | np.isnan(labels.astype(np.float64))
            return np.where(ignored, np.uint8(IGNORE), indices), {}
        if labels.dtype in (np.uint8, np.uint16):  # nearly every mask: no need to sort its pixels
            every = np.bincount(labels.ravel())
            values, places = np.flatnonzero(every), labels
            counts, lookup = every[values], np.full(len(every), IGNORE, np.uint8)
            lookup[values] = [self._indices.get(v, IGNORE) for v in values.tolist()]
        else:
            values, places, counts = np.unique(labels, return_inverse=True, return_counts=True)
            lookup = np.array([self._indices.get(v, IGNORE) for v in values.tolist()], np.uint8)
        pixels = zip(values.tolist(), counts.tolist(), strict=True)
        unknown = {str(v): int(n) for v, n in pixels if v not in self._indices}
        return lookup[places].reshape(labels.shape), unknown

    @cached_property
    def _indices(self) -> dict[int, int]:
        """Label value → class index, ignored values → `IGNORE`."""
        table = dict.fromkeys(self.background_values, 0)
        table |= {value: i for i, c in enumerate(self.foreground, 1) for value in c.values}
        return table | dict.fromkeys(self.ignore_values, IGNORE)

    @cached_property
    def _limits(self) -> tuple[NDArray[np.float64], NDArray[np.uint8]] | None:
        """Lowest values of the classes, rising, and the class index below the first and from each; None without."""
        rising = sorted((c.at_least, i) for i, c in enumerate(self.foreground, 1) if c.at_least is not None)
        if not rising:
            return None
        return np.array([limit for limit, _ in rising]), np.array([0, *(i for _, i in rising)], np.uint8)


def _counted(values: Mapping[str, int]) -> str:
    shown = [f"{v} ({n} pixels)" for v, n in list(values.items())[:8]]
    more = f" and {len(values) - 8} other values" if len(values) > 8 else ""
    return ("value " if len(values) == 1 else "values ") + ", ".join(shown) + more


COLORS = ("#E69F00", "#56B4E9", "#009E73", "#F0E442", "#0072B2", "#D55E00", "#CC79A7")
"""Okabe & Ito's palette: seven colours that colour-blind readers can distinguish."""

SEEP = ClassTable(tuple(SegClass(f"seep {i}", (i,), c) for i, c in enumerate(COLORS, 1)))
"""The seven seep classes of the public SAR set; its publisher names them by number only."""

SEEP_BINARY = ClassTable((SegClass("seep", tuple(range(1, 8)), "#E69F00"),))
"""All seven seep classes merged: seep or not."""

SALT = ClassTable((SegClass("salt", (1,), "#56B4E9"),))
"""Salt or not."""

TABLES: dict[str, ClassTable] = {"seep": SEEP, "seep_binary": SEEP_BINARY, "salt": SALT}
