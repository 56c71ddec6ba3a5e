"""Less data than `seepseg demo` makes for its users."""

from __future__ import annotations

import functools
from pathlib import Path

import pytest

from seepseg import synthetic
from seepseg.synthetic.vents import Sea

SEA = Sea(vents=6, rates=(0.3, 0.8), passes=24, side=50_000, pixel=250, lookalikes=2, wakes=1, pictures=True)
"""No vent that is too rare to be found."""


def small_demo(patch: pytest.MonkeyPatch) -> None:
    """Let demos make fewer and smaller tiles, products and passes; some classes may be in none of them."""
    for name, size in {
        "write_seep": {"scenes": 4, "grid": (4, 4), "tile": 64},
        "write_salt": {"tiles": 20, "test_tiles": 2},
        "write_products": {"scenes": 3, "side": 384},
    }.items():
        patch.setattr(synthetic, name, functools.partial(getattr(synthetic, name), **size))
    scene = synthetic.write_scene

    def small_scene(path: Path, rows: int, cols: int, seed: int) -> None:
        scene(path, rows=min(rows, 300), cols=min(cols, 280), seed=seed)

    patch.setattr(synthetic, "write_scene", small_scene)
    patch.setattr("seepseg.synthetic.vents.Sea", lambda **_: SEA)
