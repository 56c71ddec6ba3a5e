"""Where the objects of a scene lie among the true ones of training scenes, and how many a classifier could place."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from seepseg.geo.place import Place, place_of
from seepseg.geo.points import cartesian
from seepseg.io.image import Image
from seepseg.objects.classifier import Around, ObjectClassifier, is_known
from seepseg.objects.sites import FEWEST, Floats, Sites
from seepseg.scenes.align import tied
from seepseg.scenes.bright import points_in

Shift = tuple[float, float]


class Centres(NamedTuple):
    """The middles of n objects of a scene.

    Attributes:
        pixels: (n, 2) columns and rows in the scene.
        ground: (n, 3) metres from the middle of the Earth; NaN where the scene has no georeference.
    """

    pixels: Floats
    ground: Floats


class Placing(NamedTuple):
    """How the classes of the objects of a scene were decided.

    Attributes:
        objects: how many there are.
        placed: how many of them with the classes of their place; the others by their features alone.
        reason: why none was; "" where some were.
    """

    objects: int
    placed: int
    reason: str = ""


@dataclass(frozen=True)
class Located:
    """A scene as the members of a classifier know it.

    Attributes:
        scene: its name.
        sites: of each member.
        shifts: columns and rows that bring it into the frame of each; None where nothing ties it, or on the Earth.
        bright: how many bright points it shows; None where they were not asked for.
    """

    scene: str
    sites: Sequence[Sites | None]
    shifts: Sequence[Shift | None]
    bright: int | None

    def around(self, centres: Centres) -> tuple[Around, Placing]:
        """What each member knows of the surroundings of objects, and how many objects any of them does."""
        found, placed = list[NDArray[np.float32] | None](), np.zeros(len(centres.pixels), bool)
        for sites, shift in zip(self.sites, self.shifts, strict=True):
            positions = _positions(sites, shift, centres)
            found.append(None if sites is None or positions is None else sites.around(positions, self.scene))
            placed |= False if found[-1] is None else is_known(found[-1])
        count = int(placed.sum())
        return found, Placing(len(placed), count, "" if count or not len(placed) else self._reason(centres))

    def _reason(self, centres: Centres) -> str:
        """Why no object could be placed: what is wrong with the first member that knows a place."""
        sites = next(sites for sites in self.sites if sites)
        if sites.others(self.scene) < FEWEST:
            return f"only {sites.others(self.scene)} other scenes are known there, {FEWEST} are needed"
        if sites.unit and np.isnan(centres.ground).all():
            return "the scene has no georeference, and those of training have one"
        if not sites.unit and not any(self.shifts):
            return f"its {self.bright} bright points do not tie it to the scenes of training"
        return "it shows another place than the scenes of training"


def locate(classifier: ObjectClassifier, scene: str, points: Callable[[], Floats]) -> Located | None:
    """A scene in the frames of a classifier's members; None where no member knows a place.

    Args:
        classifier: of the run or the ensemble.
        scene: its name; true objects of a training scene of that name do not count.
        points: finds the bright points (n, 2) of the scene, called only where a member's frame is one of pixels.
    """
    if not any(classifier.sites):
        return None
    bright = points() if any(sites and not sites.unit for sites in classifier.sites) else None
    shifts = [
        tied(sites.points(), dict(zip(sites.names, sites.shifts, strict=True)), bright)
        if sites and not sites.unit and bright is not None
        else None
        for sites in classifier.sites
    ]
    return Located(scene, classifier.sites, shifts, None if bright is None else len(bright))


def around_in(classifier: ObjectClassifier, scene: str, image: Image, middles: Floats) -> tuple[Around, Placing | None]:
    """As `Located.around`, of objects of an open image by their middles (n, 2); nothing, where no place is known."""
    located = locate(classifier, scene, partial(points_in, image))
    return located.around(Centres(middles, on_ground(place_of(image.georeference), middles))) if located else ((), None)


def on_ground(place: Place, pixels: Floats) -> Floats:
    """Metres (n, 3) from the middle of the Earth of columns and rows (n, 2) of an image; NaN without a georeference."""
    return cartesian(place.to_lonlat(pixels)) if place.to_lonlat else np.full((len(pixels), 3), np.nan)


def _positions(sites: Sites | None, shift: Shift | None, centres: Centres) -> Floats | None:
    """Centres as the positions of sites are; None where the scene is not tied to them."""
    if sites and sites.unit:
        return centres.ground / sites.unit
    return centres.pixels + shift if shift else None
