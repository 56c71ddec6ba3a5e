"""True objects of labelled scenes as sites: what is known of a place."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from seepseg.inference.located import Centres, Located, Shift
from seepseg.inference.scene_objects import SceneObjects, View
from seepseg.objects.sites import Floats, Sites
from seepseg.scenes.align import align


class Spots(NamedTuple):
    """Where n outlines of true objects lie.

    Attributes:
        scenes: (n) names of their scenes.
        centres: their middles.
        sizes: (n) their pixels.
        true: (n) which are the objects as they truly are: an object has one such outline, and others.
        metres: (n) the side of a pixel; NaN without a georeference.
    """

    scenes: NDArray[np.str_]
    centres: Centres
    sizes: NDArray[np.int64]
    true: NDArray[np.bool_]
    metres: Floats

    def some(self, chosen: NDArray[np.bool_]) -> Spots:
        """Those chosen (n)."""
        centres = Centres(*(values[chosen] for values in self.centres))
        return Spots(self.scenes[chosen], centres, self.sizes[chosen], self.true[chosen], self.metres[chosen])


class Frame(NamedTuple):
    """How the scenes of a run lie in one frame of pixels.

    Attributes:
        points: (m, 2) their bright points, by the scene's name.
        shifts: columns and rows to add to a scene's own, of those that are tied.
    """

    points: Mapping[str, Floats]
    shifts: Mapping[str, Shift]


def frame_of(views: Sequence[View], given: Mapping[str, Shift] | None = None) -> Frame:
    """The frame of scenes of tiles, whose parts may be in several views; images are read, labels are not.

    Shifts that are `given` count in place of those that bright points say.
    """
    raw = {tile: view.raw for view in views for tile in view.tiles}
    tiles = {name: tile for view in views for name, tile in view.tiles.items()}
    whole = View(tiles, views[0].image, lambda name: raw[name](name), views[0].ground)
    points = {scene: whole.points(scene) for scene in sorted({t.group for t in tiles.values() if t.cell})}
    found = align(points).shifts if given is None else {name: given[name] for name in points if name in given}
    return Frame(points, found if len(found) > 1 else {})


def spots_of(view: View, objects: SceneObjects, *, true: bool) -> Spots:
    """Where the outlines of one scene lie, which are true or not."""
    n, first = len(objects.sizes), objects.answers[0].id
    steps = np.concatenate([objects.middles + step for step in ((0, 0), (1, 0), (0, 1))])
    here, right, below = view.ground(first, steps).reshape(3, n, 3)
    metres = np.sqrt(np.linalg.norm(np.cross(right - here, below - here), axis=1))
    name, centres = view.tiles[first].group, Centres(view.in_scene(objects), here)
    return Spots(np.full(n, name), centres, objects.sizes, np.full(n, true), metres)


def together(parts: Sequence[Spots]) -> Spots:
    """Several spots as one."""
    centres = Centres(*(np.concatenate(values) for values in zip(*(p.centres for p in parts), strict=True)))
    scenes, sizes, true, metres = (
        np.concatenate([getattr(part, name) for part in parts]) for name in ("scenes", "sizes", "true", "metres")
    )
    return Spots(scenes, centres, sizes, true, metres)


def sites_of(spots: Spots, classes: NDArray[np.int64], names: Sequence[str], n_classes: int, frame: Frame) -> Sites:
    """The true objects among spots, those of scenes that lie in one frame: on the Earth, where any scene does.

    Args:
        spots: of all outlines.
        classes: (n) their true classes.
        names: of their scenes, also of those without objects.
        n_classes: with background.
        frame: of pixels.
    """
    metres = spots.metres[np.isfinite(spots.metres)]
    unit = float(np.median(metres)) if len(metres) else 0.0
    placed = set(spots.scenes[np.isfinite(spots.metres)].tolist())
    # A scene on the Earth without an object is not known to be on it, and ties nothing.
    known = [name for name in names if (name in placed if unit else name in frame.shifts)]
    own = spots.some(spots.true & np.isin(spots.scenes, known))
    owner = np.array([known.index(name) for name in own.scenes.tolist()], np.int64)
    shifts = np.array([(0.0, 0.0) if unit else frame.shifts[name] for name in known], np.float64).reshape(-1, 2)
    bright = [np.empty((0, 2)) if unit else frame.points[name] for name in known]
    return Sites(
        names=tuple(known),
        owner=owner,
        positions=own.centres.ground / unit if unit else own.centres.pixels + shifts[owner],
        classes=classes[spots.true & np.isin(spots.scenes, known)],
        roots=np.sqrt(own.sizes.astype(np.float64)),
        n_classes=n_classes,
        unit=unit,
        shifts=shifts,
        bright=np.concatenate([np.empty((0, 2)), *bright]),
        shown=np.repeat(np.arange(len(known)), [len(points) for points in bright]),
    )


def around(sites: Sites, spots: Spots, frame: Frame) -> NDArray[np.float32]:
    """What sites say of spots (n, P), each without the objects of its own scene; NaN where they say nothing."""
    near = np.full((len(spots.scenes), sites.size), np.nan, np.float32)
    for name in np.unique(spots.scenes).tolist():
        here = spots.scenes == name
        found, _ = Located(name, [sites], [frame.shifts.get(name)], None).around(spots.some(here).centres)
        if found[0] is not None:
            near[here] = found[0]
    return near
