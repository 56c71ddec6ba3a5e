"""The scenes of prediction folders, and the passes of a satellite that they are frames of."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from hashlib import sha256
from pathlib import Path, PurePosixPath
from typing import NamedTuple
from unicodedata import normalize

import pandas as pd

from seepseg.errors import ConfigError, DataError, listed
from seepseg.geo.identity import COLUMNS, Identity
from seepseg.io.files import exists
from seepseg.io.raster import raster_header
from seepseg.mapping.layers import polygons_among
from seepseg.mapping.manifest import Manifest

GAP = 60.0
"""Seconds from the end of one frame to the start of the next one of the same pass, at most.

Frames of Sentinel-1 follow one another without a gap; the next pass of a satellite is an orbit, 100 minutes, later.
"""


class Origin(NamedTuple):
    """What tells a scene from others of its name.

    Attributes:
        listed: its name in the manifest.
        product: which product it is, where that is known.
        source: size and time of the last change of its input.
        raster: where its class map is.
        ground: which part of its product it is; "" is not known.
    """

    listed: str
    product: str | None
    source: tuple[int, ...]
    raster: str
    ground: str = ""


@dataclass(frozen=True)
class Scene:
    """A scene that was predicted.

    Attributes:
        name: unique among the scenes of a call; the same in all runs into one folder of zones.
        raster: its class map.
        vectors: its polygons.
        identity: which acquisition it is.
        source: size and time of the last change of its input, as the manifest has them.
        listed: its name in the manifest, where that is another.
        ground: which part of its product it is, where that is known.
    """

    name: str
    raster: Path
    vectors: Path
    identity: Identity
    source: tuple[int, ...] = ()
    listed: str = ""
    ground: str = ""

    @property
    def origin(self) -> Origin:
        """What tells it from other scenes of its name."""
        place = str(self.raster.absolute())
        return Origin(self.listed or self.name, self.identity.product, self.source, place, self.ground)

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

    What was predicted twice, one part of a product or an input without a product's name, counts once: as the last
    folder has it.

    Raises:
        ConfigError: a folder is not one of predictions, or there is no scene.
        DataError: an output that a manifest lists is not there.
    """
    scenes, bare, warnings = list[Scene](), list[str](), list[str]()
    for folder in folders:
        manifest = Manifest(folder, "")
        lines, foreign = manifest.latest(), manifest.unsound()
        if not lines:
            raise ConfigError("no manifest.jsonl", folder, "give a folder that `seepseg predict` made")
        if foreign:
            warnings.append(
                f"{foreign} lines of the manifest in {folder} are not what predict writes, and are left out"
            )
        for name, line in sorted(lines.items()):
            outputs = [folder / p for p in line.get("outputs", ())]
            rasters = [p for p in outputs if p.name == f"{PurePosixPath(name).name}_class{p.suffix}"]
            polygons = polygons_among(line.get("outputs", ()))
            if not (rasters and polygons):
                bare.append(name)
                continue
            vectors = folder / polygons
            for path in (rasters[0], vectors):
                if not exists(path):
                    raise DataError("no such file, though the manifest lists it", path, "predict the scene again")
            identity = Identity(**{k: v for k, v in (line.get("identity") or {}).items() if k in COLUMNS})
            ground = _ground(rasters[0], name) if identity.product else ""
            source = tuple(line.get("input") or ())
            scenes.append(Scene(name, rasters[0], vectors, identity, source, ground=ground))
    if bare:
        warnings.append(f"{len(bare)} inputs have no polygons and are left out: {listed(bare)}")
    if not scenes:
        where = ", ".join(map(str, folders))
        raise ConfigError("no scene with polygons", where, "predict scenes without --no-polygons")
    scenes, twice = _once(scenes)
    if twice:
        warnings.append(f"{len(twice)} scenes were given twice and count once: {listed(twice)}")
    return named(scenes, {}), warnings


def named(scenes: Sequence[Scene], known: Mapping[str, Origin]) -> list[Scene]:
    """The scenes under the names that they had before, else under such as no other scene has or had; sorted by them.

    A scene is known by its part of a product, else by its name and input, else by its name and place. Where several
    new ones are called the same, or an old one was, the name of their folder stands before theirs.
    """
    names, free = dict[Scene, str](), dict(known)
    for rule in (_by_product, _by_input, _by_place):
        of_key = {rule(origin): name for name, origin in free.items()}
        for scene in scenes:
            key = rule(scene.origin)
            if scene not in names and key is not None and (name := of_key.pop(key, None)):
                names[scene] = name
                del free[name]
    listed = Counter(normalize("NFC", scene.origin.listed) for scene in scenes if scene not in names)
    taken = {*known, *names.values()}
    for scene in (scene for scene in scenes if scene not in names):
        name, folder = normalize("NFC", scene.origin.listed), scene.raster.parent
        choices = [name] if listed[name] == 1 else []
        choices += [f"{folder}/{Path(name).name}", *(f"{name} #{i}" for i in range(2, len(taken) + 3))]
        names[scene] = next(choice for choice in choices if choice not in taken)
        taken.add(names[scene])
    every = [replace(scene, name=name, listed=scene.origin.listed) for scene, name in names.items()]
    return sorted(every, key=lambda scene: scene.name)


def _ground(raster: Path, name: str) -> str:
    """Which part of its product a class map is of: the same for the same pixels on the same ground.

    Cut-outs of a product bear its name, too. Without a georeference, their own names tell them apart.
    """
    header, height, width = raster_header(raster)
    where = (header.crs_wkt, header.transform, header.gcps_crs_wkt, header.gcps)
    known = (header.transform or header.gcps) and where
    return sha256(repr((known or name, height, width)).encode()).hexdigest()[:16]


def _by_product(origin: Origin) -> Hashable:
    return (origin.product, origin.ground) if origin.product and origin.ground else None


def _by_input(origin: Origin) -> Hashable:
    return (origin.product, origin.listed, origin.source) if origin.source else None


def _by_place(origin: Origin) -> Hashable:
    return origin.product, origin.listed, origin.raster


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
    this, orbits = scene.identity, {one.identity.relative_orbit for one in (*group, scene)} - {None}
    if group[0].identity.platform != this.platform or len(orbits) > 1:
        return False
    ends = [_time(one.identity.acquired_end or one.identity.acquired) for one in group]
    return (_time(this.acquired) - max(ends)).total_seconds() <= GAP


def _time(text: str | None) -> datetime:
    assert text
    return pd.Timestamp(text).to_pydatetime()


def _once(scenes: Sequence[Scene]) -> tuple[list[Scene], list[str]]:
    """The last scene of each part of a product, or else of each name and input; and the names of the others."""
    last = {(_by_product(s.origin) or (s.name, s.source or s.raster)): s for s in scenes}
    kept = {id(scene) for scene in last.values()}
    return list(last.values()), [scene.name for scene in scenes if id(scene) not in kept]
