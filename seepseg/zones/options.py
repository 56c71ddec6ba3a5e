"""What a user chooses."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from seepseg.geo.nearby import Nearby
from seepseg.passes.view import Judge


@dataclass(frozen=True)
class Options:
    """What makes a zone.

    Attributes:
        radius: of a zone, metres (pixels without georeference).
        cell: side of a cell of the recurrence raster; None for a third of the radius.
        min_passes: passes that must have seen it.
        false_share: of zones that are only chance, at most.
        pixels: scenes are in one pixel frame, without georeference.
        shifts: columns and rows to add to a scene's own, by name, in a pixel frame.
        images: folder of the images of the scenes, whose bright points that stay are taken for installations; in a
            pixel frame they give the shifts.
        bathymetry: raster of elevations, from which the radius follows where it says one.
        judges: what else decides whether a cell is observed.
        near: what is known to lie there, of which the nearest is said of each zone and slick.
    """

    radius: float = 1500.0
    cell: float | None = None
    min_passes: int = 2
    false_share: float = 0.2
    pixels: bool = False
    shifts: dict[str, tuple[float, float]] = field(default_factory=dict)
    images: Path | None = None
    bathymetry: Path | None = None
    judges: tuple[Judge, ...] = ()
    near: Nearby | None = None
