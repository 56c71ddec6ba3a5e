"""Findings of a batch: all polygons of all scenes in one file and one table, and a table of scenes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import shapely

from seepseg.classes import ClassTable
from seepseg.geo.place import LONLAT, reproject
from seepseg.io.atomic import write_text
from seepseg.io.vector import read_vectors, write_vectors
from seepseg.mapping.jobs import Job
from seepseg.mapping.polygons import COLUMNS
from seepseg.runs.folder import folder_lock

FINDINGS_LOCK = ".lock-findings"


def write_findings(
    jobs: Sequence[Job], read: Callable[[], Mapping[str, Mapping[str, Any]]], out: Path, classes: ClassTable
) -> None:
    """Write findings.gpkg (longitude and latitude), findings.csv and scenes.csv of the scenes done so far.

    Made of the files and the manifest, so that shards and resumed runs come to the same. Scenes without georeference
    are in the tables only.

    Args:
        jobs: all inputs of the batch.
        read: gives their lines in the manifest, by name; called when no other shard writes.
        out: the output folder.
        classes: names for the table of scenes.
    """
    with folder_lock(out, FINDINGS_LOCK, wait=True):
        _write(jobs, read(), out, classes)


def _write(jobs: Sequence[Job], lines: Mapping[str, Mapping[str, Any]], out: Path, classes: ClassTable) -> None:
    shapes: list[Any] = []
    placed: list[pd.DataFrame] = []
    tables: list[pd.DataFrame] = []
    scenes: list[dict[str, Any]] = []
    for job in sorted(jobs, key=lambda j: j.name):
        line = lines.get(job.name)
        path = next((out / p for p in (line or {}).get("outputs", {}) if p.endswith((".gpkg", ".geojson"))), None)
        if line is None or path is None:
            continue
        found, table, crs = read_vectors(path)
        table = table.reindex(columns=list(COLUMNS))
        table.insert(0, "scene", job.name)
        tables.append(table)
        if crs is not None and "km2" in line:
            shapes += [shapely.transform(shape, reproject(crs)) for shape in found]
            placed.append(table)
        areas = {f"km2 {name}": (line.get("km2") or {}).get(name) for name in classes.names[1:]}
        scenes.append({"scene": job.name, "objects": line["objects"], "valid_km2": line.get("valid_km2")} | areas)
    if not scenes:
        return
    empty = pd.DataFrame({"scene": pd.Series(dtype=str)} | {k: pd.Series(dtype=v) for k, v in COLUMNS.items()})
    held = np.empty(len(shapes), object)
    held[:] = shapes
    write_vectors(out / "findings.gpkg", held, _joined(placed, empty), LONLAT)
    write_text(out / "findings.csv", _joined(tables, empty).to_csv(index=False))
    write_text(out / "scenes.csv", pd.DataFrame(scenes).to_csv(index=False))


def _joined(tables: Sequence[pd.DataFrame], empty: pd.DataFrame) -> pd.DataFrame:
    filled = [t for t in tables if len(t)]
    return pd.concat(filled, ignore_index=True).astype(COLUMNS) if filled else empty
