"""Labels that do not continue across the border of two tiles of one scene."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from seepseg.audit.inspection import Problem, TileFacts
from seepseg.classes import IGNORE, ClassTable
from seepseg.scenes.mosaic import Cell

ENDS = "ends at a tile border"
CHANGES = "class changes at a tile border"


def border_problems(tiles: Iterable[TileFacts], classes: ClassTable) -> list[Problem]:
    """Objects that stop at a border where the labelled neighbour has sea, or has another class.

    An object continues where one of the three nearest pixels across the border has its class. Only borders of equal
    length between labelled tiles that are cells of one grid are compared; ignored pixels across count as neither.
    """
    scenes: dict[str, dict[Cell, TileFacts]] = {}
    for facts in tiles:
        if facts.edges is not None and facts.tile.cell is not None:
            scenes.setdefault(facts.tile.group, {})[facts.tile.cell] = facts
    problems = []
    for _, cells in sorted(scenes.items()):
        for (row, column), here in sorted(cells.items()):
            for other, mine, theirs in (((row + 1, column), "bottom", "top"), ((row, column + 1), "right", "left")):
                there = cells.get(other)
                if there is not None:
                    problems += _across(here, mine, there, theirs, classes)
                    problems += _across(there, theirs, here, mine, classes)
    return problems


def _across(here: TileFacts, mine: str, there: TileFacts, theirs: str, classes: ClassTable) -> list[Problem]:
    """Problems of the objects of one tile at one of its borders."""
    assert here.edges is not None and there.edges is not None
    own, objects = here.edges.classes[mine], here.edges.objects[mine]
    other = there.edges.classes[theirs]
    if len(own) != len(other):
        return []
    reach = _reach(other)
    problems = []
    for number in np.unique(objects[objects > 0]).tolist():
        at = objects == number
        across = set(reach[:, at].ravel().tolist())
        index = int(np.bincount(own[at]).argmax())
        if IGNORE in across or index in across:
            continue
        others = sorted(across - {0})
        kind = CHANGES if others else ENDS
        beyond = ", ".join(classes.names[c] for c in others) or "sea"
        detail = f"{mine} border; {beyond} in {there.tile.id}"
        problems.append(Problem(kind, here.tile.id, here.tile.group, classes.names[index], int(at.sum()), detail))
    return problems


def _reach(border: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The pixel across and its two neighbours, (3, L); beyond the ends the last pixel is repeated."""
    padded = np.pad(border, 1, mode="edge")
    return np.stack([padded[:-2], padded[1:-1], padded[2:]])
