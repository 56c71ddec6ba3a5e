"""Files of a whole batch: its polygons, tables of findings and scenes, the submission of salt masks."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import shapely
from numpy.typing import NDArray

from seepseg.classes import ClassTable
from seepseg.errors import ConfigError
from seepseg.geo.identity import COLUMNS as IDENTITY
from seepseg.geo.place import LONLAT, counted_from, reproject, unbroken
from seepseg.geo.vector import read_polygons
from seepseg.io.atomic import write_text
from seepseg.io.image import read_image
from seepseg.io.table import csv_text
from seepseg.mapping.jobs import Job
from seepseg.mapping.layers import layers_of, polygons_among, write_polygons
from seepseg.mapping.polygons import COLUMNS, Polygons
from seepseg.metrics.grades import Grade, grades_text
from seepseg.objects.rle import encode
from seepseg.runs.folder import folder_lock

FINDINGS_LOCK = ".lock-findings"


def write_findings(
    jobs: Sequence[Job],
    read: Callable[[], Mapping[str, Mapping[str, Any]]],
    out: Path,
    classes: ClassTable,
    vectors: Sequence[str] = (),
) -> None:
    """Write findings.gpkg (longitude and latitude), findings.csv and scenes.csv of what has polygons so far.

    And findings.fgb or findings.parquet, where the polygons of scenes are so.

    They are made from the polygon files and the manifest, so shards and resumed runs give the same. Scenes without a
    georeference are in the tables only.

    Args:
        jobs: all inputs of the batch.
        read: reads their lines of the manifest, by name; called when no other shard writes.
        out: the output folder.
        classes: names and colours.
        vectors: suffixes of the files of polygons.
    """
    formats = (".gpkg", *(suffix for suffix in vectors if suffix in (".fgb", ".parquet")))
    with folder_lock(out, FINDINGS_LOCK, wait=True):
        _write(jobs, read(), out, classes, formats)


def _write(
    jobs: Sequence[Job],
    lines: Mapping[str, Mapping[str, Any]],
    out: Path,
    classes: ClassTable,
    formats: Sequence[str],
) -> None:
    shapes, tables, placed = list[NDArray[Any]](), list[pd.DataFrame](), list[bool]()
    scenes: list[dict[str, Any]] = []
    grades = set[tuple[Grade, ...]]()
    for job in sorted(jobs, key=lambda j: j.name):
        line = lines.get(job.name)
        path = polygons_among((line or {}).get("outputs", ()))
        if line is None or path is None:
            continue
        polygons, table, crs = read_polygons(out / path)
        tables.append(table.reindex(columns=list(COLUMNS)))
        grades.add(tuple(Grade(**grade) for grade in line.get("grades", ())))
        identity = line.get("identity") or {}
        placed.append(crs is not None and "km2" in line)
        if crs is not None and placed[-1]:
            shapes.append(unbroken(shapely.transform(polygons, reproject(crs))))
        areas = {f"km2 {name}": (line.get("km2") or {}).get(name) for name in classes.names[1:]}
        row = {"scene": job.name, "objects": line["objects"], "valid_km2": line.get("valid_km2")} | areas
        scenes.append(row | {name: identity.get(name) for name in IDENTITY})
    # What an earlier run left, in formats that this one was not asked for.
    kept = (*formats, ".csv", *([".qml"] if len(formats) > 1 else [])) if scenes else ()
    for ending in {".gpkg", ".fgb", ".parquet", ".qml", ".csv"} - {*kept}:
        for stem in ("findings", "findings_origins"):
            (out / f"{stem}{ending}").unlink(missing_ok=True)
    if not scenes:
        (out / "scenes.csv").unlink(missing_ok=True)
        return
    owner = np.repeat(np.arange(len(tables)), list(map(len, tables)))
    told = pd.DataFrame(scenes, dtype=object).iloc[owner].reset_index(drop=True)
    rows = pd.concat([t for t in tables if len(t)] or tables[:1], ignore_index=True).astype(COLUMNS)
    every = pd.concat([told[["scene"]], rows, told[[*IDENTITY]]], axis=1)
    geometry = np.concatenate([np.empty(0, object), *shapes])
    found = every[np.array(placed)[owner]].reset_index(drop=True).astype({"scene": "str"} | IDENTITY)
    origins = np.full(len(found), None)
    known = found["origin_x"].notna().to_numpy(bool)
    starts = found.loc[known, ["origin_x", "origin_y"]].to_numpy(np.float64)
    starts[:, 0] = counted_from(shapely.bounds(geometry[known])[:, 0], starts[:, 0])  # beside its polygon at 180°
    origins[known] = shapely.points(starts)
    about = grades_text(*grades) if len(grades) == 1 else "Grades are by several fits: manifest.jsonl has each scene's."
    polygons_of_all = Polygons(geometry, found, origins, LONLAT, None)
    write_polygons(out / "findings", layers_of("findings", polygons_of_all, classes, about), formats)
    write_text(out / "findings.csv", csv_text(every))
    write_text(out / "scenes.csv", csv_text(pd.DataFrame(scenes, dtype=object)))


def check_submission(jobs: Sequence[Job], classes: ClassTable) -> None:
    """Raise ConfigError where the jobs give no submission: several classes, or two tiles with one id."""
    if len(classes) > 2:
        raise ConfigError(
            f"a submission holds one class, and the run has {len(classes) - 1}",
            "--format tgs-csv",
            "leave it out, or predict with a run of salt",
        )
    sources: dict[str, Path] = {}
    for job in jobs:
        if job.source.stem in sources:
            raise ConfigError(
                f"{sources[job.source.stem]} and {job.source} would both be {job.source.stem} in submission.csv",
                "--format tgs-csv",
                "rename one, or predict one folder at a time",
            )
        sources[job.source.stem] = job.source


def write_submission(jobs: Sequence[Job], out: Path) -> Path:
    """Write `submission.csv` (id, rle_mask) of the tiles done so far, sorted by id; returns its path.

    It is made from the class rasters, so it holds every tile, whichever run predicted it; no data is no salt there.
    """
    rows = [
        f"{job.source.stem},{encode(read_image(job.class_raster)[0].raw[0] > 0)}\n"
        for job in jobs
        if job.class_raster.exists()
    ]
    path = out / "submission.csv"
    write_text(path, "id,rle_mask\n" + "".join(sorted(rows)))
    return path
