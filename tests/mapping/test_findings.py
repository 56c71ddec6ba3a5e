from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import rasterio
import shapely
from PIL import Image
from pyproj import Transformer

from seepseg.classes import SALT, SEEP
from seepseg.errors import ConfigError
from seepseg.geo.vector import read_polygons, read_vectors
from seepseg.mapping.findings import check_submission, write_findings, write_submission
from seepseg.mapping.jobs import Job, plan
from seepseg.mapping.outputs import Wanted
from seepseg.mapping.scene import predict_scene
from seepseg.mapping.tiles import predict_tiles
from tests.mapping.toy import recipe, toy


def png(path: Path, pixels: list[list[int]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.array(pixels, np.uint8)).save(path)


def test_two_tiles_of_one_id_and_several_classes_make_no_submission(tmp_path: Path) -> None:
    for name in ("a/x", "a/y", "b/x"):
        png(tmp_path / "in" / f"{name}.png", [[1]])
    jobs = plan([str(tmp_path / "in")], tmp_path / "out", "png")
    with pytest.raises(ConfigError, match=r"a/x.png and .*b/x.png would both be x in submission.csv .*rename one"):
        check_submission(jobs, SALT)
    check_submission(jobs[:2], SALT)
    with pytest.raises(ConfigError, match="holds one class, and the run has 7 in --format tgs-csv"):
        check_submission(jobs[:2], SEEP)


def test_no_data_is_no_salt(tmp_path: Path) -> None:
    # Above 100 is salt; 255 is no data. Run lengths go down the columns: pixels 2 and 3 of 4.
    png(tmp_path / "in" / "x.png", [[255, 150], [150, 50]])
    jobs = plan([str(tmp_path / "in")], tmp_path / "out", "png")
    predict_tiles(jobs, toy(recipe(nodata=255)), Wanted())
    assert write_submission(jobs, tmp_path / "out").read_text() == "id,rle_mask\nx,2 2\n"


def lines_of(jobs: Sequence[Job], out: Path, wanted: Wanted) -> dict[str, dict[str, Any]]:
    """Predict scenes; the lines of their manifest."""
    ensemble, lines = toy(recipe(nodata=None)), dict[str, dict[str, Any]]()
    for job in jobs:
        report = predict_scene(job, ensemble, wanted)
        lines[job.name] = {"outputs": {p.relative_to(out).as_posix(): 1 for p in report.outputs}, **report.facts}
    return lines


def test_findings_hold_the_origins_of_all_scenes_in_longitude_and_latitude(tmp_path: Path) -> None:
    row, column = np.mgrid[:40, :90]
    # From 2 to 12 pixels wide, west to east; in the second scene east to west.
    slick = np.where((column >= 10) & (column < 80) & (np.abs(row - 19.5) < 1 + (column - 10) / 14), 150, 60)
    (tmp_path / "in").mkdir()
    for name, raw in (("b", slick), ("a", slick[:, ::-1]), ("c", slick * 0 + 60)):
        profile = {"driver": "GTiff", "count": 1, "height": 40, "width": 90, "dtype": "uint16", "crs": "EPSG:4326"}
        with rasterio.open(
            tmp_path / "in" / f"{name}.tif", "w", transform=(0.001, 0, 5, 0, -0.001, 50), **profile
        ) as to:
            to.write(raw.astype(np.uint16), 1)
    jobs, out = plan([str(tmp_path / "in")], tmp_path / "out"), tmp_path / "out"
    lines = lines_of(jobs, out, Wanted())
    write_findings(jobs, lambda: lines, out, SALT)
    points, origins, _ = read_vectors(out / "findings.gpkg", "origins")
    assert origins["scene"].tolist() == read_vectors(out / "findings.gpkg")[1]["scene"].tolist() == ["a", "b"]
    # The narrow ends are in columns 80 and 10, row 20.
    assert shapely.get_coordinates(points) == pytest.approx(np.array([[5.08, 49.98], [5.01, 49.98]]), abs=2e-3)
    assert origins["length_m"].min() > 70 * 0.001 * 60_000
    # The same from other formats, and in them.
    lines = lines_of(jobs, out, Wanted(vectors=(".fgb", ".parquet")))
    first = {name: (out / name).read_bytes() for name in ("findings.gpkg", "findings.csv", "scenes.csv")}
    write_findings(jobs, lambda: lines, out, SALT, (".fgb", ".parquet"))
    assert {name: (out / name).read_bytes() for name in first} == first
    for suffix in (".fgb", ".parquet"):
        assert read_polygons(out / f"findings{suffix}")[1]["length_m"].tolist() == pytest.approx(
            read_vectors(out / "findings.gpkg")[1]["length_m"].tolist()
        )
        assert len(read_vectors(out / f"findings_origins{suffix}")[0]) == 2
    # What the layer says of grades is so for all scenes, or is not said.
    a_grade = {"letter": "C", "least": 0.0, "polygons": 100, "right": 20}
    for graded, said in (("ab", "Grades are by several fits"), ("abc", "C 0.20 of 100"), ("", "There are no grades")):
        told = {name: {**line, "grades": [a_grade] * (name in graded)} for name, line in lines.items()}
        write_findings(jobs, lambda told=told: told, out, SALT)  # type: ignore[misc]
        assert said in description(out / "findings.gpkg")


def test_findings_over_the_antimeridian_are_beside_it(tmp_path: Path) -> None:
    row, column = np.mgrid[:40, :90]
    slick = np.where((column >= 10) & (column < 80) & (np.abs(row - 19.5) < 1 + (column - 10) / 14), 150, 60)
    (tmp_path / "in").mkdir()
    middle, _ = Transformer.from_crs(4326, 32760, always_xy=True).transform(180, 0)
    for name, crs, transform in (
        ("counted", "EPSG:4326", (0.001, 0, 269.955, 0, -0.001, 0.02)),
        ("utm", "EPSG:32760", (100, 0, middle - 4500, 0, -100, 10_000_000)),
    ):
        profile = {"driver": "GTiff", "count": 1, "height": 40, "width": 90, "dtype": "uint16", "crs": crs}
        with rasterio.open(tmp_path / "in" / f"{name}.tif", "w", transform=transform, **profile) as to:
            to.write(slick.astype(np.uint16), 1)
    jobs, out = plan([str(tmp_path / "in")], tmp_path / "out"), tmp_path / "out"
    lines = lines_of(jobs, out, Wanted())
    write_findings(jobs, lambda: lines, out, SALT)
    counted, utm = shapely.bounds(read_vectors(out / "findings.gpkg")[0])[:, [0, 2]]
    assert counted == pytest.approx([-90.035, -89.965], abs=1e-6)
    assert np.ptp(utm) == pytest.approx(7000 / 111_320, rel=0.01)
    assert abs(abs(utm.mean()) - 180) < 0.001
    # The narrow end is in the west.
    origins = shapely.get_coordinates(read_vectors(out / "findings.gpkg", "origins")[0])[:, 0]
    assert origins == pytest.approx([counted[0], utm[0]], abs=0.002)
    table = pd.read_csv(out / "findings.csv")
    assert (table[["x", "origin_x", "end1_x", "end2_x"]].abs() <= 180).all(axis=None)


def description(path: Path) -> str:
    with closing(sqlite3.connect(path)) as file:
        return str(file.execute("select description from gpkg_contents where table_name = 'findings'").fetchone()[0])


def test_where_nothing_has_polygons_any_more_no_findings_are_left(tmp_path: Path) -> None:
    for name in ("findings.gpkg", "findings.csv", "scenes.csv", "scene.gpkg"):
        (tmp_path / name).touch()
    write_findings([], dict, tmp_path, SALT)
    assert [path.name for path in tmp_path.iterdir() if path.name[0] != "."] == ["scene.gpkg"]
