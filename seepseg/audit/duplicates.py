"""Tiles that are in a data set twice, to the byte or nearly."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from seepseg.audit.inspection import TileFacts

ALIKE = 0.95
"""Minimum correlation of the small pictures of two near-duplicates."""

ROWS = 1024
"""Tiles compared with all others at once: bounds the memory to 4 kB times the number of tiles."""


@dataclass(frozen=True)
class Pair:
    """Two duplicates: "exact" or "near", their similarity (1 = the same), and whether their masks are equal."""

    kind: str
    tile: str
    other: str
    similarity: float
    same_mask: bool


def duplicates(tiles: Sequence[TileFacts]) -> list[Pair]:
    """Pairs of duplicates: exact ones, each with the first of its kind, then near ones, the most similar first.

    Near means that the small pictures, less their best plane (every tile of a scene darkens the same way across the
    swath), correlate by `ALIKE` or more. Tiles of one value are all alike and are left out.
    """
    first: dict[str, TileFacts] = {}
    exact, unique = [], []
    for tile in tiles:
        if tile.constant:
            continue
        twin = first.setdefault(tile.digest, tile)
        if twin is tile:
            unique.append(tile)
        else:
            exact.append(_pair("exact", twin, tile, 1.0))
    near = [_pair("near", unique[i], unique[j], s) for i, j, s in _alike([tile.small for tile in unique])]
    return exact + sorted(near, key=lambda p: (-p.similarity, p.tile, p.other))


def _pair(kind: str, one: TileFacts, other: TileFacts, similarity: float) -> Pair:
    return Pair(kind, one.tile.id, other.tile.id, similarity, one.mask_digest == other.mask_digest)


def _alike(smalls: Sequence[NDArray[np.float32]]) -> Iterator[tuple[int, int, float]]:
    if not smalls:
        return
    flat = _standard(np.stack(smalls))
    for start in range(0, len(flat), ROWS):
        close = flat[start : start + ROWS] @ flat.T
        for i, j in np.argwhere(close >= ALIKE).tolist():
            if start + i < j:
                yield start + i, j, min(1.0, float(close[i, j]))


def _standard(smalls: NDArray[np.float32]) -> NDArray[np.float32]:
    """Pictures (N, S, S) less their planes, as rows of length 1; missing blocks, and flat pictures, are 0."""
    n, side, _ = smalls.shape
    at = np.linspace(-1, 1, side)
    plane = np.stack([np.ones((side, side)), *np.meshgrid(at, at)]).reshape(3, -1)
    valid = np.isfinite(smalls).reshape(n, -1)
    flat = np.where(valid, smalls.reshape(n, -1), 0).astype(np.float64)
    normal = np.einsum("nk,ik,jk->nij", valid, plane, plane)
    slopes = np.linalg.pinv(normal) @ np.einsum("nk,ik->ni", flat, plane)[..., None]
    rest = np.where(valid, flat - (slopes[..., 0] @ plane), 0)
    length = np.linalg.norm(rest, axis=1, keepdims=True)
    # What is left of a flat picture is rounding.
    uneven = length > 1e-6 * np.maximum(np.linalg.norm(flat, axis=1, keepdims=True), 1)
    return np.where(uneven, rest / np.maximum(length, 1e-30), 0).astype(np.float32)
