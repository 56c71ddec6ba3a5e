"""The scan: every image and mask of a catalog read, checked and counted; again only where files have changed."""

from __future__ import annotations

import hashlib
import json
import os
import re
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial
from typing import Any, NamedTuple

import numpy as np

import seepseg
from seepseg.archives.unpacked import cache_folder
from seepseg.data.catalog import Catalog, Tile, uncollected
from seepseg.data.scaling import scale_doubts
from seepseg.data.scenes import ScenesSource
from seepseg.data.source import Source, images_of, read_mask, read_pixels, refuse_non_finite, some
from seepseg.errors import DataError, ResourceError, SeepsegError
from seepseg.io.atomic import write_bytes
from seepseg.io.documents import parse_json
from seepseg.machine import executors
from seepseg.machine.cores import cores
from seepseg.machine.progress import Tick, silent

KEPT_FROM = 1000
"""Tiles from which facts are kept between scans: a scan of fewer takes a second or two."""
PARALLEL_FROM, BLOCK = 5000, 250
"""Tiles from which processes read, each so many at a time: starting them takes a second or two."""
LOOKED_AT = 16
"""Tiles of which the scale is doubted or not."""
SETTLED = 2.0
"""Seconds after a change for which a file's stamp is not relied on: a second change may leave the same stamp."""
_BESIDE = (".msk", ".aux.xml", "-wal", ".dbf", ".shx", ".prj")
"""How files end that are read with another."""
_NEVER = 2**63
"""As the time of change of a file that is not there: its stamp is never relied on."""


class Facts(NamedTuple):
    """What a scan knows of a tile: pixels of each class, None when unlabelled; its flag; the type of its pixels."""

    pixels: tuple[int, ...] | None
    flag: str
    dtype: str


class _Block(NamedTuple):
    """Tiles that one process reads, and their numbers in the catalog."""

    numbers: Sequence[int]
    tiles: Sequence[Tile]


@uncollected()
def with_counts(source: Source, catalog: Catalog, tick: Tick = silent) -> Catalog:
    """The catalog with pixels of each class counted, odd tiles flagged, and a warning where types of numbers differ.

    Reads and so checks every image and mask; those of large data sets only if they changed since they were last read.
    No-data pixels are not counted.

    Raises:
        DataError: an image or mask is damaged, does not fit its partner, holds unknown labels, or holds NaN or
            infinite values that are not declared as no-data.
    """
    kept = _Kept(source, catalog.tiles) if len(catalog) >= KEPT_FROM else None
    facts: list[Facts | None] = kept.facts() if kept else [None] * len(catalog)
    missing = [i for i, known in enumerate(facts) if known is None]
    workers = _workers() if len(missing) >= PARALLEL_FROM else 1
    size = BLOCK if workers > 1 else 1
    numbers = [missing[k : k + size] for k in range(0, len(missing), size)]
    blocks = [_Block(few, [catalog.tiles[i] for i in few]) for few in numbers]
    work = partial(_read, source=source)
    answers = executors.processes(blocks, work, workers) if workers > 1 else executors.serial(blocks, work)
    done = len(catalog) - len(missing)
    try:
        for block, answer in answers:
            if isinstance(answer, ResourceError):  # its process died, or could not start
                answer = _read(block, source)
            if isinstance(answer, DataError):
                raise answer
            for number, one in zip(block.numbers, answer, strict=True):
                facts[number] = one
            done += len(answer)
            tick(done, len(catalog))
    finally:
        if kept and missing:
            kept.save(facts)
    return _filled(catalog, [one for one in facts if one], mixed=source.eight_bit)


def with_doubts(source: Source, catalog: Catalog) -> Catalog:
    """The catalog with warnings where its pixels do not look like `data.scaling.kind`, by some of its tiles."""
    if not len(catalog):
        return catalog
    bands, looked_at = source.data.bands or [1], images_of(source, some(catalog.tiles, LOOKED_AT))
    doubts = scale_doubts(source.data.scaling.kind, [str(band) for band in bands], looked_at)
    return replace(catalog, warnings=(*catalog.warnings, *doubts))


def with_overlaps(source: Source, train: Catalog, seed: int) -> Catalog:
    """Training tiles and, of scenes whose windows overlap in training, the windows between them; errors as above."""
    if not isinstance(source, ScenesSource) or not (more := source.between(train.tiles)):
        return train
    counted = with_counts(source, replace(train, tiles=more))
    chosen = tuple(tile for tile, may in zip(counted.tiles, counted.may_train(seed), strict=True) if may)
    return replace(train, tiles=train.tiles + chosen)


def _read(block: _Block, source: Source) -> list[Facts] | DataError:
    """The facts of each tile, or what is wrong with one."""
    try:
        return [_facts(tile, source) for tile in block.tiles]
    except DataError as error:
        return error


def _facts(tile: Tile, source: Source) -> Facts:
    raw, valid = read_pixels(source, tile, verify=True)
    refuse_non_finite(raw, valid, tile.image)
    mask = read_mask(source, tile, valid.shape) if tile.labelled else None
    counts = None if mask is None else np.bincount(mask[valid], minlength=256)[: len(source.classes)]
    return Facts(None if counts is None else tuple(counts.tolist()), source.flag(raw, mask), raw.dtype.name)


def _filled(catalog: Catalog, facts: Sequence[Facts], *, mixed: bool) -> Catalog:
    """The catalog with the facts of its tiles; `mixed` says that types of numbers may differ."""
    # Half the time of `replace`.
    pairs = zip(catalog.tiles, facts, strict=True)
    tiles = tuple(Tile(**(vars(t) | {"pixels": f.pixels, "flag": f.flag})) for t, f in pairs)
    types = Counter(f.dtype for f in facts)
    warnings = catalog.warnings
    if len(types) > 1 and not mixed:
        by_type = ", ".join(f"{n} tiles of {name}" for name, n in types.most_common())
        warnings += (f"{by_type}: one scaling fits all of them only if they share one scale; save them in one type",)
    return replace(catalog, tiles=tiles, warnings=warnings)


def _workers() -> int:
    """Processes that may read at once: a share of the cores for each training process of this machine."""
    return cores() // int(os.environ.get("LOCAL_WORLD_SIZE", 1))


class _Kept:
    """Facts of earlier scans in the user's cache, by tile, each with the stamp that its files had.

    A cache that is damaged, of another version of seepseg, or of other classes is as if it were not there.
    """

    def __init__(self, source: Source, tiles: Sequence[Tile]) -> None:
        data = source.data
        other = {"scaling", "split", "augment", "sampling", "cache_gb", "scenes"}  # change no count
        asked = [seepseg.__version__, str(source.classes), str(data.root.absolute())]
        asked.append(data.model_dump_json(exclude=other) + f" {data.split.by == 'extent'}")
        name = hashlib.sha256(json.dumps(asked).encode()).hexdigest()[:32]
        self._path = cache_folder() / "scans" / f"{name}.json"
        self._tiles, self._settled = tiles, time.time_ns() - SETTLED * 1e9
        self._stamps = _stamps(tiles)
        self._lines: dict[str, list[Any]] = {}
        with suppress(OSError, ValueError):
            content = self._path.read_bytes()
            if hashlib.sha256(content[32:]).digest() == content[:32]:
                self._lines = parse_json(content[32:])

    def facts(self) -> list[Facts | None]:
        """Of each tile, None where they are not known or the stamp differs."""
        facts: list[Facts | None] = []
        for tile, (stamp, _) in zip(self._tiles, self._stamps, strict=True):
            known, pixels, flag, dtype = self._lines.get(tile.id, ("", None, "", ""))
            facts.append(Facts(pixels and tuple(pixels), flag, dtype) if known == stamp else None)
        return facts

    def save(self, facts: Sequence[Facts | None]) -> None:
        """Keep what is known now, where the cache can be written."""
        for tile, (stamp, changed), known in zip(self._tiles, self._stamps, facts, strict=True):
            if known and changed < self._settled:
                self._lines[tile.id] = [stamp, *known]
        content = json.dumps(self._lines).encode()
        with suppress(SeepsegError):
            write_bytes(self._path, [hashlib.sha256(content).digest(), content])


def _stamps(tiles: Sequence[Tile]) -> list[tuple[str, int]]:
    """Of each tile: what changes when a file of it does, and when the last one changed, in nanoseconds.

    Folders are listed once: that is faster than asking for each file, and for those that may lie beside it.
    """
    folders: dict[str, dict[str, tuple[str, int]]] = {}
    stamps = []
    for tile in tiles:
        text, last = f"{tile.rle} {tile.background}", 0
        for path in tile.files:
            folder, _, name = str(path).rpartition(os.sep)
            if folder not in folders:
                folders[folder] = _states(folder)
            state, changed = folders[folder].get(name, ("", _NEVER))
            text, last = f"{text}\0{path}\0{state}", max(last, changed)
        stamps.append((hashlib.blake2b(text.encode("utf-8", "surrogateescape"), digest_size=16).hexdigest(), last))
    return stamps


def _states(folder: str) -> dict[str, tuple[str, int]]:
    """Size and times of each file in a folder, and of what is read with it, by name; and when the last one changed."""
    states: dict[str, tuple[str, int]] = {}
    with suppress(OSError), os.scandir(folder or ".") as entries:
        for entry in entries:
            with suppress(OSError):
                now, name = entry.stat(), entry.name
                if name.endswith(_BESIDE):  # few do, and looking with a pattern takes longer
                    name = re.sub(r"(\.msk|\.aux\.xml|-wal)$", "", re.sub(r"\.(dbf|shx|prj)$", ".shp", name))
                text, last = states.get(name, ("", 0))
                text = f"{text} {entry.name} {now.st_size} {now.st_mtime_ns} {now.st_ctime_ns}"
                states[name] = text, max(last, now.st_mtime_ns, now.st_ctime_ns)
    return states
