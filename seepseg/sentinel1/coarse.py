"""What is kept of a scene for later: numbers on a coarse lattice of its rows and columns, as tags of its class map."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from seepseg.io.documents import parse_json

Field = NDArray[np.float64]

INCIDENCE, SIGMA0 = "INCIDENCE_ANGLE", "SIGMA0_VV_DB"
"""Tags: the incidence angle in degrees; mean σ0 of the sea in VV, in dB."""

BLOCK = 5000.0
"""Side of the blocks in which σ0 is averaged, metres: ships and what is left of slicks are small in them."""
PARTS = 8
"""Parts of a block along each side; the median of their means is little moved by a ship."""
ENOUGH = 64
"""Pixels of sea that a part needs: with speckle of 4 looks, its mean is then within 6 %."""


@dataclass(frozen=True)
class Lattice:
    """Numbers at rows and columns of an image, GDAL's, bilinear between.

    Attributes:
        rows: (n), increasing.
        columns: (m), increasing.
        values: (n, m), NaN where unknown.
    """

    rows: Field
    columns: Field
    values: Field

    @property
    def points(self) -> Field:
        """Columns and rows (n · m, 2) of the values, row by row."""
        return np.stack(np.meshgrid(self.columns, self.rows), axis=-1).reshape(-1, 2)

    def at(self, points: Field) -> Field:
        """Values (k) at columns and rows (k, 2).

        Beyond the lattice it goes on straight for one interval, or as it is where a value is unknown; a value that is
        unknown leaves its share to its neighbours.
        """
        known = np.isfinite(self.values)
        reach = (-1.0, 2.0) if known.all() else (0.0, 1.0)
        (j, s), (i, t) = (_cell(e, p, reach) for e, p in zip((self.columns, self.rows), points.T, strict=True))
        total, weight = np.zeros(len(points)), np.zeros(len(points))
        for down, right in ((0, 0), (0, 1), (1, 0), (1, 1)):
            k, m = np.minimum(i + down, len(self.rows) - 1), np.minimum(j + right, len(self.columns) - 1)
            share = (t if down else 1 - t) * (s if right else 1 - s) * known[k, m]
            total += share * np.where(known[k, m], self.values[k, m], 0.0)
            weight += share
        return np.where(weight > 1e-6, total / np.where(weight > 1e-6, weight, 1.0), np.nan)

    def tag(self, digits: int) -> str:
        """The lattice as text, numbers rounded."""
        values = [[None if np.isnan(v) else round(v, digits) for v in row] for row in self.values.tolist()]
        parts = {"rows": self.rows.tolist(), "columns": self.columns.tolist(), "values": values}
        return json.dumps(parts, separators=(",", ":"))


def lattice_of(tags: Mapping[str, str], name: str) -> Lattice | None:
    """The lattice in a tag; None where there is none, or none that can be understood."""
    try:
        parts = parse_json(tags[name])
        rows, columns, values = (np.array(parts[key], np.float64) for key in ("rows", "columns", "values"))
    except (KeyError, TypeError, ValueError):
        return None
    sound = rows.ndim == columns.ndim == 1 and values.shape == (len(rows), len(columns)) and values.size
    return Lattice(rows, columns, values) if sound else None


class SeaMeans:
    """Mean σ0 of the sea of a scene in blocks, of strips as they pass."""

    def __init__(self, height: int, width: int, metres: float, *, band: int, decibels: bool) -> None:
        """For a scene of a size, pixels of a side in metres, and σ0 in one of its bands, in dB or linear."""
        self.band = band
        self._part = max(1, round(BLOCK / PARTS / metres))
        self._every = max(1, self._part // 16)
        self._decibels, self._size = decibels, (height, width)
        parts = (-(-height // self._part), -(-width // self._part))
        self._sums, self._counts = np.zeros((2, *parts)), np.zeros((2, *parts))

    def add(self, start: int, sigma0: NDArray[np.float32], valid: NDArray[np.bool_], slick: NDArray[np.bool_]) -> None:
        """Count pixels (h, w) of rows from `start` on: where they are valid, and where no slick is in them."""
        rows = np.arange(-start % self._every, len(sigma0), self._every)
        at = (start + rows) // self._part
        columns = np.arange(0, sigma0.shape[1], self._every)
        shape = self._sums.shape[1:]
        part = (at[:, None] * shape[1] + columns // self._part).ravel()
        sea = valid[rows][:, columns]
        values = np.where(sea, sigma0[rows][:, columns], 0).astype(np.float64)
        values = 10 ** (values / 10) if self._decibels else values
        for k, used in enumerate((sea, sea & ~slick[rows][:, columns])):
            for sums, pixels in ((self._sums, np.where(used, values, 0)), (self._counts, used.astype(np.float64))):
                sums[k] += np.bincount(part, pixels.ravel(), np.prod(shape)).reshape(shape)

    def lattice(self) -> Lattice:
        """The medians over blocks of the means of their parts, in dB, at the middles of blocks.

        A part that is nearly all slick counts whole: seeps do not fill it, a calm does.
        """
        with np.errstate(divide="ignore", invalid="ignore"):
            whole, clear = np.where(self._counts >= ENOUGH, 10 * np.log10(self._sums / self._counts), np.nan)
        means = np.where(np.isfinite(clear), clear, whole)
        n, m = (-(-size // PARTS) for size in means.shape)
        padded = np.full((n * PARTS, m * PARTS), np.nan)
        padded[: means.shape[0], : means.shape[1]] = means
        blocks = padded.reshape(n, PARTS, m, PARTS).swapaxes(1, 2).reshape(n, m, -1)
        known = np.isfinite(blocks).any(axis=2)
        values = np.full((n, m), np.nan)
        values[known] = np.nanmedian(blocks[known], axis=1)
        block = self._part * PARTS
        rows, columns = (
            (np.arange(k) * block + np.minimum((np.arange(k) + 1) * block, size)) / 2
            for k, size in zip((n, m), self._size, strict=True)
        )
        return Lattice(rows, columns, values)


def _cell(edges: Field, at: Field, reach: tuple[float, float]) -> tuple[NDArray[np.intp], Field]:
    """The interval (k) that each place lies in, and how far along it, within a reach."""
    cell = np.clip(np.searchsorted(edges, at, side="right") - 1, 0, max(len(edges) - 2, 0))
    if len(edges) == 1:
        return cell, np.zeros(len(at))
    return cell, np.clip((at - edges[cell]) / (edges[cell + 1] - edges[cell]), *reach)
