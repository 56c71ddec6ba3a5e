"""Places between ground control points: bilinear in the lattice that they form, exact at them.

It is done in Cartesian coordinates from the middle of the Earth. Along flight lines and across them, ground lies nearly
on great circles, which are straight there, while longitude and latitude bend: a cell of Sentinel-1's lattice is 20 km
by 13 km, and between its corners they would be metres off.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Field = NDArray[np.float64]

_AXIS, _FLATTENING = 6378137.0, 1 / 298.257223563  # of WGS 84
_E2 = _FLATTENING * (2 - _FLATTENING)

MOST = 1000
"""Points without a lattice that a spline goes through; of more, every k-th is used."""
FEW, CELLS = 100, 64
"""A spline is evaluated on a lattice of so many cells a side, and at the rows and columns of a few points too."""
STEPS = 50
"""Of finding a pixel; each leaves some tenth of the distance over mountains, far less over sea."""


@dataclass(frozen=True)
class Lattice:
    """Nodes on the Earth in rows and columns of an image; beyond them it goes on at their mean slope.

    Attributes:
        columns: (m), increasing.
        rows: (n), increasing.
        nodes: (n, m, 3), metres from the middle of the Earth.
        slope: (2, 3), metres for a column and for a row.
    """

    columns: Field
    rows: Field
    nodes: Field
    slope: Field

    def to_lonlat(self, points: Field) -> Field:
        """Points (k, 2) of columns and rows → longitude, latitude in degrees."""
        inside = np.clip(points, [self.columns[0], self.rows[0]], [self.columns[-1], self.rows[-1]])
        (j, s), (i, t) = (_cell(edges, at) for edges, at in zip((self.columns, self.rows), inside.T, strict=True))
        above, below = (self.nodes[k, j] * (1 - s) + self.nodes[k, j + 1] * s for k in (i, i + 1))
        x, y, z = (above * (1 - t) + below * t + (points - inside) @ self.slope).T
        lonlat = np.stack([np.arctan2(y, x), np.arctan2(z, (1 - _E2) * np.hypot(x, y))], axis=1)
        return np.asarray(np.degrees(lonlat))

    def to_pixels(self, lonlat: Field) -> Field:
        """Longitude and latitude (k, 2) → columns and rows."""
        middle = self.nodes.mean((0, 1))
        up = middle / np.linalg.norm(middle)
        # In the plane that touches the Earth there; steps by the mean slope lead to where the residual vanishes.
        plane = np.eye(3) - np.outer(up, up)
        back = np.linalg.pinv(self.slope @ plane)
        wanted = cartesian(lonlat) @ plane
        points = np.tile([self.columns.mean(), self.rows.mean()], (len(lonlat), 1))
        for _ in range(STEPS):
            step = (wanted - cartesian(self.to_lonlat(points)) @ plane) @ back
            points += step
            if not (np.abs(step) > 1e-4).any():
                break
        return points


def lattice_through(points: Field, lonlat: Field) -> tuple[Lattice, float | None]:
    """A lattice through control points that do not lie on one line, and how far off it is without them.

    Points that form no lattice are joined by a thin-plate spline, which is evaluated on one: at every vertex of a
    polygon it would cost 60 times as much.

    Args:
        points: (n, 2) of columns and rows.
        lonlat: (n, 2) of longitudes and latitudes in degrees.

    Returns:
        The lattice, and the root mean square distance in metres between points and where the others put them: in a
        lattice every second row and column is left out, otherwise one point at a time. None where there are too few.
    """
    points, first = np.unique(np.round(points, 3), axis=0, return_index=True)
    columns, rows = (np.unique(at) for at in points.T)
    earth = cartesian(lonlat[first])
    if len(points) == len(columns) * len(rows):  # sorted by column, then by row
        nodes = earth.reshape(len(columns), len(rows), 3).swapaxes(0, 1)
        return _lattice(columns, rows, nodes), _without_half(columns, rows, nodes)
    return _spline(points, earth)


def cartesian(lonlat: Field) -> Field:
    """Longitudes and latitudes (n, 2) on the ellipsoid as (n, 3) metres from the middle of the Earth."""
    lon, lat = np.radians(lonlat).T
    normal = _AXIS / np.sqrt(1 - _E2 * np.sin(lat) ** 2)
    across = normal * np.cos(lat)
    return np.stack([across * np.cos(lon), across * np.sin(lon), (1 - _E2) * normal * np.sin(lat)], axis=1)


def _cell(edges: Field, at: Field) -> tuple[NDArray[np.intp], Field]:
    """The cell (k) that each place lies in, and how far along it (k, 1)."""
    cell = np.clip(np.searchsorted(edges, at, side="right") - 1, 0, len(edges) - 2)
    return cell, ((at - edges[cell]) / (edges[cell + 1] - edges[cell]))[:, None]


def _lattice(columns: Field, rows: Field, nodes: Field) -> Lattice:
    at = np.stack(np.meshgrid(columns, rows), axis=-1).reshape(-1, 2)
    slope = np.linalg.lstsq(at - at.mean(0), nodes.reshape(-1, 3) - nodes.mean((0, 1)), rcond=None)[0]
    return Lattice(columns, rows, nodes, slope)


def _without_half(columns: Field, rows: Field, nodes: Field) -> float | None:
    j, i = (slice(0, None, 2 if len(edges) > 2 else 1) for edges in (columns, rows))
    kept = _lattice(columns[j], rows[i], nodes[i, j])
    at, true = np.stack(np.meshgrid(columns, rows), axis=-1), nodes.copy()
    left_out = (at[..., 0] <= kept.columns[-1]) & (at[..., 1] <= kept.rows[-1])
    left_out[i, j] = False
    return _rms(cartesian(kept.to_lonlat(at[left_out])) - true[left_out]) if left_out.any() else None


def _spline(points: Field, earth: Field) -> tuple[Lattice, float | None]:
    """A thin-plate spline (Duchon 1977) through points (n, 2) and places (n, 3), on a lattice."""
    step = -(-len(points) // MOST)
    points, earth = points[::step], earth[::step]
    low, size, n = points.min(0), np.ptp(points, 0).max(), len(points)
    unit = (points - low) / size
    system = np.zeros((n + 3, n + 3))
    system[:n] = _terms(unit, unit)
    system[n:, :n] = system[:n, n:].T
    inverse = np.linalg.inv(system)
    weights = inverse[:, :n] @ earth
    # Rippa (1999): what leaving out a point would miss follows from the solution with it.
    with np.errstate(divide="ignore", invalid="ignore"):
        missed = weights[:n] / np.diag(inverse)[:n, None]
    missed = missed[np.isfinite(missed).all(1)]
    axes = [np.linspace(at.min(), at.max(), CELLS + 1) for at in points.T]
    columns, rows = (np.union1d(a, at) if n <= FEW else a for a, at in zip(axes, points.T, strict=True))
    places = [np.stack([columns, np.full(len(columns), row)], axis=1) for row in rows]
    nodes = np.stack([_terms((at - low) / size, unit) @ weights for at in places])
    return _lattice(columns, rows, nodes), _rms(missed) if n > 3 and len(missed) else None


def _terms(at: Field, points: Field) -> Field:
    """r² log r to each of the points (k, n), and the three of a plane."""
    squared = np.square(at[:, None] - points).sum(2)
    bent = 0.5 * squared * np.log(np.where(squared > 0, squared, 1))
    return np.concatenate([bent, np.ones((len(at), 1)), at], axis=1)


def _rms(missed: Field) -> float:
    return float(np.sqrt(np.square(missed).sum(1).mean()))
