"""Labels that do not go on across the border of two tiles of one scene."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np
from numpy.typing import NDArray

from seepseg.audit.inspection import Look, Problem
from seepseg.classes import IGNORE, ClassTable
from seepseg.data.mosaic import columns_of

ENDS = "ends at a tile border"
CHANGES = "class changes at a tile border"


def border_problems(looks: Iterable[Look], grid: Mapping[str, int], classes: ClassTable) -> list[Problem]:
    """Objects that stop at a border where the labelled neighbour has sea, or has another class.

    An object goes on where one of the three nearest pixels across the border has its class. Only borders of equal
    length between labelled tiles whose scene is in `data.grid` are compared; ignored pixels across are no evidence.
    """
    scenes: dict[str, dict[int, Look]] = {}
    for look in looks:
        if look.edges is not None and look.tile.index is not None and columns_of(look.tile.group, grid):
            scenes.setdefault(look.tile.group, {})[look.tile.index] = look
    found = []
    for scene, cells in sorted(scenes.items()):
        columns = columns_of(scene, grid)
        assert columns is not None
        for index, here in sorted(cells.items()):
            neighbours = [(index + columns, "bottom", "top")]
            if (index + 1) % columns:
                neighbours.append((index + 1, "right", "left"))
            for other, mine, theirs in neighbours:
                there = cells.get(other)
                if there is not None:
                    found += _across(here, mine, there, theirs, classes)
                    found += _across(there, theirs, here, mine, classes)
    return found


def _across(here: Look, mine: str, there: Look, theirs: str, classes: ClassTable) -> list[Problem]:
    """Problems of the objects of one tile at one of its borders."""
    assert here.edges is not None and there.edges is not None
    own, objects = here.edges.classes[mine], here.edges.objects[mine]
    other = there.edges.classes[theirs]
    if len(own) != len(other):
        return []
    reach = _reach(other)
    found = []
    for number in np.unique(objects[objects > 0]).tolist():
        at = objects == number
        seen = set(reach[:, at].ravel().tolist())
        name = int(np.bincount(own[at]).argmax())
        if IGNORE in seen or name in seen:
            continue
        others = sorted(seen - {0})
        kind = CHANGES if others else ENDS
        across = ", ".join(classes.names[c] for c in others) or "sea"
        detail = f"{mine} border; {across} in {there.tile.id}"
        found.append(Problem(kind, here.tile.id, here.tile.group, classes.names[name], int(at.sum()), detail))
    return found


def _reach(border: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The pixel across and its two neighbours, (3, L); beyond the ends the last pixel is repeated."""
    padded = np.pad(border, 1, mode="edge")
    return np.stack([padded[:-2], padded[1:-1], padded[2:]])
