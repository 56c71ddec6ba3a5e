"""Doors of what seepseg leaves and reads again."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pandas as pd
import shapely
from rasterio.io import MemoryFile
from rasterio.transform import Affine

from doors.door import Files, taken
from doors.vectors import SHAPES
from seepseg.geo.vector import Layer, write_layers
from seepseg.mapping.manifest import Manifest
from seepseg.passes.scenes import find_scenes, passes_of
from seepseg.review.edits import read_edits, sums_of, write_written
from seepseg.runs.staged import settle


def predictions(folder: Path) -> list[Files]:
    """A folder of predictions, as far as zones reads it."""
    lines = [
        {"begin": "k", "time": 1.0},
        {"name": "a", "key": "k", "unit": "u", "input": [1, 2], "outputs": {"a_class.tif": 1, "a.gpkg": 2},
         "identity": {"acquired": "2021-04-01T05:26:23Z", "platform": "S1A", "relative_orbit": 168, "product": "P"},
         "warnings": ["w"], "objects": 1, "km2": {"oil": 1.5}, "grades": [], "time": 2.0},
        {"name": "b", "key": "k", "unit": "u", "input": None, "outputs": {"b_class.tif": 1, "b.gpkg": 2},
         "identity": {}, "objects": 0, "time": 3.0},
    ]  # fmt: skip
    text = "".join(json.dumps(line) + "\n" for line in lines).encode()
    with MemoryFile() as memory:
        profile = {"driver": "GTiff", "count": 1, "height": 4, "width": 4, "dtype": "uint8", "crs": "EPSG:32616"}
        with memory.open(**profile, transform=Affine(10, 0, 500_000, 0, -10, 3_000_000)) as raster:
            raster.write(np.zeros((1, 4, 4), np.uint8))
        maps = dict.fromkeys(("a_class.tif", "b_class.tif"), memory.read())
    return [{"manifest.jsonl": text, **maps, "a.gpkg": b"", "b.gpkg": b""}]


def open_predictions(folder: Path) -> None:
    """Its scenes and passes."""
    manifest = Manifest(folder, "k")
    manifest.begun()
    manifest.unsound()
    scenes, _ = find_scenes([folder])
    for scene in scenes:
        assert folder in scene.raster.resolve().parents, scene
    passes_of(scenes)


def findings(folder: Path) -> list[Files]:
    """The table of polygons that predict writes."""
    (folder / "findings.csv").write_text(
        "scene,acquired,object,class,class_name,pixels,mean_probability,area_m2,grade\n"
        "a,2021-04-01T05:26:23Z,1,1,oil,5,0.9,500.0,A\nb,,2,1,oil,7,0.8,700.0,\n"
    )
    return [taken(folder)]


def edited(folder: Path) -> list[Files]:
    """A package of zones that was edited since, and edits that were kept."""
    slicks = pd.DataFrame(
        {
            "scene": ["a", "b"],
            "object": [1, 2],
            "class": [1, 1],
            "verdict": ["ship", None],
            "class_new": None,
            "comment": None,
        }
    ).astype(dict.fromkeys(("verdict", "class_new", "comment"), object))
    zones = pd.DataFrame({"zone": [1, 2], "verdict": [None, "seep"], "class_new": None, "comment": None}).astype(
        dict.fromkeys(("verdict", "class_new", "comment"), object)
    )
    kept = pd.DataFrame(
        {
            "what": ["slick", "zone"],
            "zone": [0, 1],
            "scene": ["a", None],
            "object": [1, 0],
            "class": [1, 0],
            "verdict": ["ship", "seep"],
            "class_new": None,
            "comment": None,
        }
    )
    kept = kept.astype(dict.fromkeys(("what", "scene", "verdict", "class_new", "comment"), object))
    shapes = shapely.multipolygons(SHAPES, indices=[0, 1])
    write_layers(
        folder / "zones.gpkg",
        [Layer("zones", shapes, zones, "EPSG:32616"), Layer("slicks", shapes, slicks, "EPSG:32616")],
    )
    write_layers(folder / "review.gpkg", [Layer("review", shapes, kept, "EPSG:32616")])
    write_written(folder, slicks, sums_of(shapes), np.array([1, 2]))
    return [taken(folder)]


def open_edited(folder: Path) -> None:
    """All edits, and what they say of slicks."""
    os.utime(folder / "zones.gpkg", ns=(1, 1))
    slicks = pd.DataFrame({"scene": ["a", "b"], "object": [1, 2], "class": [1, 1]})
    edits = read_edits(folder)
    edits.on(slicks)
    edits.on_zones(pd.DataFrame({"zone": [1, 2]}))
    edits.left_out("a")


def state(folder: Path) -> list[Files]:
    """What zones notes for its next run, and a step that it was killed in."""
    said = {
        "crs": "EPSG:32616",
        "last": 2,
        "zones": [[1, 0.5, 1.5], [2, 3, 4]],
        "names": {"a": ["a", None, [1, 2], "/x/a_class.tif"]},
        "scenes": ["a"],
    }
    (folder / "state.json").write_text(json.dumps(said))
    return [taken(folder)]


def staged(folder: Path) -> list[Files]:
    """A folder of zones whose last run was killed while it put files in place."""
    from seepseg.runs.staged import NEXT, READY

    plan = {"put": ["a.csv", "cache/b.npz"], "remove": ["old.csv"], "before": {"a.csv": [1, 2]}}
    return [
        {
            f"{NEXT}/{READY}": json.dumps(plan).encode(),
            f"{NEXT}/a.csv": b"1",
            f"{NEXT}/cache/b.npz": b"2",
            "a.csv": b"0",
            "old.csv": b"0",
        }
    ]


def open_staged(folder: Path) -> None:
    """The step done; nothing outside may change."""
    beside = folder.parent / "beside"
    beside.touch()
    settle(folder)
    assert beside.exists(), "a file outside the folder was removed"


def scored(folder: Path) -> list[Files]:
    """Scores of two runs to compare."""
    rows = "scene,truth,prediction,pixels\n" + "".join(
        f"{s},{t},{p},{5 if t == p else 1}\n"
        for s in ("a", "b")
        for t in ("background", "oil")
        for p in ("background", "oil")
    )
    for name in ("one", "two"):
        (folder / name).mkdir()
        (folder / name / "matrices.csv").write_text(rows)
        (folder / name / "tiles.csv").write_text("tile,tgs_score\na,0.5\nb,1.0\n")
    return [taken(folder)]
