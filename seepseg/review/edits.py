"""Verdicts, classes, comments and shapes that a user changed in zones.gpkg; kept in review.gpkg from run to run."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from zlib import crc32

import numpy as np
import pandas as pd
import shapely
from numpy.typing import NDArray

from seepseg.errors import ConfigError, DataError
from seepseg.geo.vector import Layer, layer_names, read_vectors, write_layers
from seepseg.io.files import stamp
from seepseg.runs.arrays import read_arrays, write_arrays
from seepseg.runs.staged import copy_aside

VERDICTS = ("seep", "look-alike", "ship", "installation", "unsure")
"""What a user can say; `REMOVED` is said by deleting a polygon."""
REMOVED = "removed"
NO_SEEP = ("look-alike", "ship", "installation", REMOVED)
"""Verdicts of what does not count."""
SAID = ("verdict", "class_new", "comment")
KEY = ("scene", "object", "class")
"""What names a slick: a polygon is the part of one class of an object of a scene."""
PACKAGE, STORE, LEFT = "zones.gpkg", "review.gpkg", ".written.npz"
WRITTEN = {"scene": "U", "object": "i", "class": "i", "sum": "u", "zones": "i", "stamp": "i"}
"""What `LEFT` holds, and numpy's letter of its kind."""
REJECTED = "rejected"
"""Layer of zones with such a verdict; taking it back there brings them back."""
COLUMNS = {"what": "str", "zone": "Int64", "scene": "str", "object": "Int64", "class": "Int64"}
COLUMNS |= dict.fromkeys(SAID, "str")


@dataclass(frozen=True)
class Edits:
    """All that was ever edited.

    Attributes:
        table: rows of `COLUMNS`; `what` is slick, reshaped or added (polygons with a shape of their own; a split one
            has several rows), or zone.
        shapes: (n) polygons in the frame; empty where they are as predicted.
        crs: of the shapes.
        lines: what the user should know.
    """

    table: pd.DataFrame
    shapes: NDArray[Any]
    crs: str | None
    lines: list[str] = field(default_factory=list)

    def on(self, slicks: pd.DataFrame) -> pd.DataFrame:
        """What was said (n rows of `SAID`) of slicks (n) with the columns of `KEY`; of a split one, of its seep."""
        own = self.table[self.table["what"].isin(["slick", "reshaped"])]
        own = own.assign(no=own["verdict"].isin(NO_SEEP)).sort_values("no", kind="stable").drop_duplicates([*KEY])
        return _looked_up(slicks, own, KEY)

    def on_zones(self, zones: pd.DataFrame) -> pd.DataFrame:
        """What was said (n rows of `SAID`) of zones (n)."""
        return _looked_up(zones, self.table[self.table["what"] == "zone"], ("zone",))

    def left_out(self, scene: str) -> tuple[tuple[int, int], ...]:
        """Object and class of the slicks of a scene that do not count."""
        own = self.table[(self.table["scene"] == scene) & self.table["what"].isin(["slick", "reshaped"])]
        counted = set(_pairs(own[~own["verdict"].isin(NO_SEEP)]))
        return tuple(sorted(set(_pairs(own)) - counted))

    def drawn(
        self, scene: str | None, slicks: pd.DataFrame, shapes: NDArray[Any], others: Collection[str] = ()
    ) -> tuple[pd.DataFrame, NDArray[Any]]:
        """The slicks of a scene and their polygons as the user left them; with None, those added to none of others."""
        added, reshaped = self.table["what"] == "added", self.table["what"] == "reshaped"
        mine = self.table["scene"] == scene if scene is not None else added & ~self.table["scene"].isin(others)
        rows = np.flatnonzero(mine & (added | reshaped))
        if not len(rows):
            return slicks, shapes
        own = self.table.iloc[rows][[*KEY, *SAID]]
        replaced = pd.MultiIndex.from_frame(slicks[[*KEY]]).isin(pd.MultiIndex.from_frame(own[[*KEY]]))
        # A part has everything that its slick has, but for what was said of it.
        parts = own.merge(slicks.drop(columns=[*SAID]), "left", [*KEY])[list(slicks.columns)]
        for name in slicks.select_dtypes("bool"):
            parts[name] = parts[name].eq(True)  # unknown is no
        whole = dict.fromkeys(slicks.select_dtypes("int64"), "Int64")
        every = [part.astype(whole) for part in (slicks[~replaced], parts) if len(part)]
        return pd.concat(every, ignore_index=True), np.concatenate([shapes[~replaced], self.shapes[rows]])


def read_edits(out: Path) -> Edits:
    """All edits of a folder of zones: those kept, and those made since the last run.

    Raises:
        ConfigError: the package is open in another program.
        DataError: what is kept cannot be read.
    """
    kept = _kept(out / STORE)
    package, left = out / PACKAGE, out / LEFT
    log = package.with_name(f"{PACKAGE}-wal")
    if log.is_file() and log.stat().st_size:
        raise ConfigError("is open in another program", package, "save and close it there, then run again")
    if not package.is_file():
        return kept
    written = read_arrays(left, WRITTEN)
    if written is None or not _whole(written):  # of a run that was stopped, or damaged
        line = _put_aside(out, "what was written there is not known any more")
        return Edits(kept.table, kept.shapes, kept.crs, [line])
    return kept if stamp(package) == written["stamp"].tolist() else _compared(out, written, kept)


def keep_edits(out: Path, edits: Edits) -> None:
    """Write all edits into a folder, where there are any."""
    if len(edits.table):
        write_layers(out / STORE, [Layer("review", edits.shapes, edits.table, edits.crs, kind="MultiPolygon")])


def write_written(out: Path, slicks: pd.DataFrame, sums: NDArray[np.uint32], zones: NDArray[np.int64]) -> None:
    """Note what zones.gpkg holds now: slicks (n), the `sums_of` their polygons, numbers of zones."""
    arrays: dict[str, Any] = {name: slicks[name].to_numpy("U" if name == "scene" else np.int64) for name in KEY}
    write_arrays(out / LEFT, arrays | {"sum": sums, "zones": zones, "stamp": np.array(stamp(out / PACKAGE))})


def sums_of(shapes: NDArray[Any]) -> NDArray[np.uint32]:
    """Checksums (n) of the coordinates of polygons, which tell whether one was changed."""
    return np.array([crc32(shapely.get_coordinates(shape).tobytes()) for shape in shapes], np.uint32)


def _whole(written: Mapping[str, NDArray[Any]]) -> bool:
    """Whether arrays are what `write_written` leaves."""
    kinds = all((written[name].dtype.kind, written[name].ndim) == (kind, 1) for name, kind in WRITTEN.items())
    if not kinds or len({len(written[name]) for name in (*KEY, "sum")}) > 1:
        return False
    return not pd.DataFrame({name: written[name] for name in KEY}).duplicated().any()


def _kept(path: Path) -> Edits:
    if not path.is_file():
        return Edits(pd.DataFrame(columns=list(COLUMNS)).astype(COLUMNS), np.empty(0, object), None)
    shapes, table, crs = read_vectors(path, "review")
    return Edits(_typed(table), shapes, crs)


def _typed(table: pd.DataFrame) -> pd.DataFrame:
    """Rows of `COLUMNS`; text that is empty counts as none."""
    table = table.reindex(columns=list(COLUMNS))
    for name, kind in COLUMNS.items():
        if kind == "str":
            text = table[name].astype(object).where(table[name].notna(), None)
            table[name] = [str(v).strip() or None if v is not None else None for v in text]
        else:
            table[name] = pd.to_numeric(table[name], errors="coerce").astype("Float64").round().astype("Int64")
    return table.astype({name: object if kind == "str" else kind for name, kind in COLUMNS.items()})


def _compared(out: Path, written: Mapping[str, NDArray[Any]], kept: Edits) -> Edits:
    """The edits kept, with those of an edited package in their place."""
    lines, tables, shapes = list[str](), list[pd.DataFrame](), list[NDArray[Any]]()
    crs = kept.crs
    old = kept.table
    slicks = _layer(out, "slicks", KEY, old, lines)
    stays = pd.Series(True, index=old.index)
    if slicks:
        polygons, table, crs = slicks
        known = pd.MultiIndex.from_arrays([written["scene"].astype(object), written["object"], written["class"]])
        at = known.get_indexer(pd.MultiIndex.from_frame(table[[*KEY]]))
        before = pd.MultiIndex.from_frame(old.loc[old["what"] == "reshaped", [*KEY]])
        again = pd.MultiIndex.from_frame(table[[*KEY]]).isin(before)
        sums = np.append(written["sum"], 0)[at]  # the last is for what was added, of which there is none
        changed = again | (sums_of(polygons) != sums) | pd.Series(at).duplicated(keep=False).to_numpy()
        table["what"] = np.where(at < 0, "added", np.where(changed, "reshaped", "slick"))
        gone = np.setdiff1d(np.arange(len(known)), at)
        take = (table["what"] != "slick") | table[list(SAID)].notna().any(axis=1)
        polygons[table["what"] == "slick"] = shapely.MultiPolygon()
        removed = known[gone].to_frame(index=False, name=list(KEY)).assign(what="slick", verdict=REMOVED)
        tables += [table[take], _typed(removed)]
        shapes += [polygons[take.to_numpy()], np.full(len(gone), shapely.MultiPolygon(), object)]
        here = old["scene"].isin(set(written["scene"].tolist())) | (old["what"] == "added")
        stays &= (old["what"] == "zone") | ~here
        split = pd.Series(at).duplicated(keep=False).to_numpy() & (at >= 0)
        counts = {
            "split, each counts once, while a part of it is not rejected": len(set(at[split].tolist())),
            "removed or merged with others, which no longer count (their verdict is 'removed' now)": len(gone),
            "added, which become labels and count in no zone": int((at < 0).sum()),
            "with a new shape, which becomes their label": int((changed & ~again & ~split & (at >= 0)).sum()),
        }
        lines += [f"{PACKAGE}: polygons {what}: {n}" for what, n in counts.items() if n]
    zones = _layer(out, "zones", ("zone",), old, lines)
    if zones:
        rejected = _layer(out, REJECTED, ("zone",), old, lines) if REJECTED in layer_names(out / PACKAGE) else None
        table = pd.concat([one[1] for one in (zones, rejected) if one and len(one[1])] or [zones[1]], ignore_index=True)
        table["what"] = "zone"
        if lost := len(set(written["zones"].tolist()) - set(table["zone"].dropna().astype(int))):
            lines.append(f"{PACKAGE}: {lost} zones were removed and come back: give them a verdict instead")
        take = table[list(SAID)].notna().any(axis=1)
        tables.append(table[take])
        shapes.append(np.full(int(take.sum()), shapely.MultiPolygon(), object))
        stays &= ~((old["what"] == "zone") & old["zone"].isin(table["zone"]))
    every = pd.concat([one for one in (old[stays], *tables) if len(one)] or [old[:0]], ignore_index=True)
    if unknown := sorted(set(every["verdict"].dropna()) - {*VERDICTS, REMOVED}):
        names = ", ".join(VERDICTS)
        lines.append(f"{PACKAGE}: verdicts that are none of {names} count as unsure: {', '.join(unknown)}")
    return Edits(every, np.concatenate([kept.shapes[stays.to_numpy()], *shapes]), crs, lines)


def _layer(
    out: Path, name: str, key: tuple[str, ...], old: pd.DataFrame, lines: list[str]
) -> tuple[NDArray[Any], pd.DataFrame, str | None] | None:
    """A layer of the edited package; None where it is not understood: then the package is kept under another name."""
    try:
        shapes, table, crs = read_vectors(out / PACKAGE, name)
        problem = next((f"its layer {name} has no column {c}" for c in key if c not in table), "")
    except DataError as error:
        problem = error.what
    if problem:
        lines.append(_put_aside(out, problem))
        return None
    gone = [column for column in SAID if column not in table]
    table = _typed(table)
    if gone:
        names = " and ".join(gone)
        lines.append(f"{PACKAGE}: its layer {name} has no column {names}: what was there is kept as it was")
        table[gone] = _looked_up(table, old[old["what"] == "zone"] if key == ("zone",) else old, key)[gone].to_numpy()
    return np.asarray(shapes, object), table, crs


def _put_aside(out: Path, problem: str) -> str:
    """Copy the package, and say so."""
    copy = copy_aside(out / PACKAGE)
    return f"{PACKAGE}: {problem}: what was edited there does not count, and is kept in {copy.name}"


def _looked_up(rows: pd.DataFrame, said: pd.DataFrame, key: tuple[str, ...]) -> pd.DataFrame:
    """What was said (n rows of `SAID`) of rows (n), by their key."""
    first = said.drop_duplicates([*key])
    index, wanted = (pd.MultiIndex.from_frame(one[[*key]].astype(object)) for one in (first, rows))
    at = index.get_indexer(wanted)
    values = first[list(SAID)].to_numpy(object)
    values = np.concatenate([values, np.full((1, len(SAID)), None, object)])[at]
    return pd.DataFrame(values, columns=list(SAID), index=rows.index)


def _pairs(table: pd.DataFrame) -> list[tuple[int, int]]:
    return [(int(a), int(b)) for a, b in table[["object", "class"]].itertuples(index=False)]
