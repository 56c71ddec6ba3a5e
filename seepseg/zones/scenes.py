"""The scenes of prediction folders, and the passes of a satellite that they are frames of."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

import pandas as pd

from seepseg.errors import ConfigError, DataError, listed
from seepseg.geo.identity import COLUMNS, Identity
from seepseg.mapping.layers import polygons_among
from seepseg.mapping.manifest import Manifest

GAP = 60.0
"""Seconds from the end of one frame to the start of the next one of the same pass, at most.

Frames of Sentinel-1 follow one another without a gap; the next pass of a satellite is an orbit, 100 minutes, later.
"""


@dataclass(frozen=True)
class Scene:
    """A scene that was predicted.

    Attributes:
        name: unique among the scenes of a call.
        raster: its class map.
        vectors: its polygons.
        identity: which acquisition it is.
        source: size and time of the last change of its input, as the manifest has them.
    """

    name: str
    raster: Path
    vectors: Path
    identity: Identity
    source: tuple[int, ...] = ()

    def beside(self, end: str) -> Path:
        """Where another output of it is, or would be: `_quicklook.png`, `_uncertainty.tif`."""
        return self.raster.with_name(self.raster.stem.removesuffix("_class") + end)


@dataclass(frozen=True)
class Pass:
    """Scenes of one overflight; each place counts once in it.

    Attributes:
        name: unique; platform and start, or the name of a scene without time.
        scenes: its frames, in the order of time.
    """

    name: str
    scenes: tuple[Scene, ...]

    @property
    def identity(self) -> Identity:
        """Which acquisition its first frame is."""
        return self.scenes[0].identity


def find_scenes(folders: Sequence[Path]) -> tuple[list[Scene], list[str]]:
    """The scenes with polygons of prediction folders, sorted by name, and what the user should know of them.

    A product that was predicted twice, or an input without a product's name, counts once: as the last folder has it.

    Raises:
        ConfigError: a folder is not one of predictions, or there is no scene.
        DataError: an output that a manifest lists is not there.
    """
    scenes, bare, warnings = list[Scene](), list[str](), list[str]()
    for folder in folders:
        lines = Manifest(folder, "").latest()
        if not lines:
            raise ConfigError("no manifest.jsonl", folder, "give a folder that `seepseg predict` made")
        for name, line in sorted(lines.items()):
            outputs = [folder / p for p in line.get("outputs", ())]
            rasters = [p for p in outputs if p.stem.endswith("_class")]
            polygons = polygons_among(line.get("outputs", ()))
            if not (rasters and polygons):
                bare.append(name)
                continue
            vectors = folder / polygons
            for path in (rasters[0], vectors):
                if not path.is_file():
                    raise DataError("no such file, though the manifest lists it", path, "predict the scene again")
            known = {k: v for k, v in (line.get("identity") or {}).items() if k in COLUMNS}
            scenes.append(Scene(name, rasters[0], vectors, Identity(**known), tuple(line.get("input") or ())))
    if bare:
        warnings.append(f"{len(bare)} inputs have no polygons and are left out: {listed(bare)}")
    if not scenes:
        where = ", ".join(map(str, folders))
        raise ConfigError("no scene with polygons", where, "predict scenes without --no-polygons")
    scenes, twice = _once(scenes)
    if twice:
        warnings.append(f"{len(twice)} scenes were given twice and count once: {listed(twice)}")
    return sorted(_named(scenes), key=lambda scene: scene.name), warnings


def passes_of(scenes: Iterable[Scene]) -> list[Pass]:
    """Passes in the order of time, then those without time by name.

    Scenes of one platform (and relative orbit, where known) are frames of one pass if each starts at most `GAP` seconds
    after the one before ends. A scene without time is a pass of its own.
    """
    timed = [scene for scene in scenes if scene.identity.acquired]
    alone = [scene for scene in scenes if not scene.identity.acquired]
    groups = list[list[Scene]]()
    for scene in sorted(timed, key=lambda s: (s.identity.platform or "", s.identity.acquired or "", s.name)):
        if groups and _follows(groups[-1], scene):
            groups[-1].append(scene)
        else:
            groups.append([scene])
    groups.sort(key=lambda g: (g[0].identity.acquired or "", g[0].identity.platform or ""))
    passes, names = list[Pass](), Counter[str]()
    for group in groups:
        name = f"{group[0].identity.platform or 'unknown'} {group[0].identity.acquired}"
        names[name] += 1
        # Two orbits of one platform at one time are an error of some table, but nothing is lost.
        passes.append(Pass(name if names[name] == 1 else f"{name} #{names[name]}", tuple(group)))
    return [*passes, *(Pass(scene.name, (scene,)) for scene in sorted(alone, key=lambda s: s.name))]


def _follows(group: Sequence[Scene], scene: Scene) -> bool:
    first, this = group[0].identity, scene.identity
    orbits = {first.relative_orbit, this.relative_orbit} - {None}
    if first.platform != this.platform or len(orbits) > 1:
        return False
    ends = [_time(one.identity.acquired_end or one.identity.acquired) for one in group]
    return (_time(this.acquired) - max(ends)).total_seconds() <= GAP


def _time(text: str | None) -> datetime:
    assert text
    return pd.Timestamp(text).to_pydatetime()


def _once(scenes: Sequence[Scene]) -> tuple[list[Scene], list[str]]:
    """The last scene of each product, or else of each name and input; and the names of the others."""
    last = {(s.identity.product or (s.name, s.source or s.raster)): s for s in scenes}
    kept = {id(scene) for scene in last.values()}
    return list(last.values()), [scene.name for scene in scenes if id(scene) not in kept]


def _named(scenes: Sequence[Scene]) -> list[Scene]:
    """The scenes with the name of their folder before their own where two have one name."""
    names = Counter(scene.name for scene in scenes)
    return [s if names[s.name] == 1 else replace(s, name=f"{s.raster.parent}/{s.name}") for s in scenes]
