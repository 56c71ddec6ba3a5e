"""A package edited as a GIS would, read back at the next run: nothing is lost, and what counts is what was said."""

from __future__ import annotations

import json
import shutil
import sqlite3
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import rasterio
import shapely

from seepseg.atlas.rank import rank
from seepseg.errors import ConfigError, ResourceError
from seepseg.geo.vector import Layer, read_vectors, write_layers
from seepseg.review.edits import SAID, WRITTEN
from seepseg.runs.arrays import read_arrays, write_arrays
from seepseg.synthetic.vents import Sea, write_passes
from seepseg.zones.options import Options
from seepseg.zones.run import Summary, make_zones

SEA = Sea(vents=4, rates=(0.5, 0.8), passes=24, side=40_000, pixel=200, lookalikes=1, wakes=0)


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A prediction folder `out` and its zones, before any edit."""
    root = tmp_path_factory.mktemp("sea")
    write_passes(root / "out", SEA, 3)
    make_zones([root / "out"], root / "zones", Options())
    return root


@pytest.fixture
def sea(first: Path, tmp_path: Path) -> Path:
    """A copy of the zones to edit, and the predictions."""
    shutil.copytree(first / "zones", tmp_path / "zones")
    (tmp_path / "out").symlink_to(first / "out")
    return tmp_path


def again(sea: Path) -> Summary:
    return make_zones([sea / "out"], sea / "zones", Options())


def rewrite(sea: Path, slicks: pd.DataFrame, shapes: object) -> None:
    """Write the package with another layer of slicks, as a program that knows nothing of seepseg."""
    path = sea / "zones" / "zones.gpkg"
    zones, table, crs = read_vectors(path, "zones")
    write_layers(path, [Layer("zones", zones, table, crs), Layer("slicks", np.asarray(shapes), slicks, crs)])


def said(sea: Path, verdict: str, where: str, layer: str = "slicks") -> None:
    """Say something of features, as the form of QGIS does."""
    with sqlite3.connect(sea / "zones" / "zones.gpkg") as base:
        base.create_function("ST_IsEmpty", 1, lambda _: 0)
        for (name,) in base.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall():
            base.execute(f'DROP TRIGGER "{name}"')
        base.execute(f"UPDATE {layer} SET verdict = ? WHERE {where}", (verdict,))
    base.close()


def test_a_package_that_nobody_edited_changes_nothing(sea: Path) -> None:
    before = (sea / "zones" / "zones.gpkg").read_bytes()
    assert again(sea).warnings == []
    assert (sea / "zones" / "zones.gpkg").read_bytes() == before
    assert not (sea / "zones" / "review.gpkg").exists()


def test_what_is_no_seep_does_not_count_and_stays_judged(sea: Path) -> None:
    zones, slicks = (pd.read_csv(sea / "zones" / f"{n}.csv") for n in ("zones", "slicks"))
    best = zones.iloc[0]
    history = pd.read_csv(sea / "zones" / "history.csv").query("zone == @best.zone and seen and observed")
    of_pass = slicks[slicks["pass"] == history["pass"].iloc[0]]  # another one might take its place
    said(sea, "ship", f"pass = '{history['pass'].iloc[0]}'")
    with rasterio.open(sea / "zones" / "recurrence.tif") as source:
        seen = np.nansum(source.read(2))
    for _ in range(2):  # the second time, verdicts come from what was kept
        tables = again(sea).tables
        now = tables.history.set_index(["zone", "pass"]).loc[(best["zone"], history["pass"].iloc[0])]
        assert now["observed"] and not now["seen"]
        judged = tables.slicks["verdict"] == "ship"
        assert judged.sum() == len(of_pass) and tables.slicks.loc[judged, "zone"].isna().all()
    with rasterio.open(sea / "zones" / "recurrence.tif") as source:
        assert np.nansum(source.read(2)) < seen
    # Taken back, it counts again.
    with sqlite3.connect(sea / "zones" / "zones.gpkg") as base:
        for (name,) in base.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall():
            base.execute(f'DROP TRIGGER "{name}"')
        base.execute("UPDATE slicks SET verdict = NULL")
    base.close()
    for _ in range(2):
        assert again(sea).tables.zones.set_index("zone").loc[best["zone"], "n_seen"] == best["n_seen"]


def test_a_polygon_may_be_added_where_there_was_none(sea: Path) -> None:
    path = sea / "zones" / ".written.npz"
    arrays = read_arrays(path, WRITTEN)
    assert arrays
    _, table, _ = read_vectors(sea / "zones" / "zones.gpkg", "slicks")
    # What a run over scenes without slicks leaves, and one polygon that its user drew.
    write_arrays(path, {name: values if name == "stamp" else values[:0] for name, values in arrays.items()})
    drawn = table[:1].assign(object=pd.NA, **{"class": 1})
    rewrite(sea, drawn, np.array([shapely.MultiPolygon([shapely.box(0, 0, 500, 500)])], object))
    warnings = again(sea).warnings
    assert "zones.gpkg: polygons added, which become labels and count in no zone: 1" in warnings


@pytest.mark.parametrize("left", [None, b"PK", {}, {"zones": np.zeros(2)}, {"sum": np.zeros(9, np.uint32)}, "twice"])
def test_a_package_that_cannot_be_compared_is_put_aside(sea: Path, left: bytes | str | dict[str, Any] | None) -> None:
    """A run that was stopped after it wrote the package leaves it so; as do arrays that are not what it wrote."""
    said(sea, "ship", "rowid = 1")
    edited = (sea / "zones" / "zones.gpkg").read_bytes()
    path = sea / "zones" / ".written.npz"
    arrays = read_arrays(path, WRITTEN)
    assert arrays
    path.unlink()
    if left == "twice":
        keys = ("scene", "object", "class", "sum")
        write_arrays(path, arrays | {name: np.append(arrays[name], arrays[name][:1]) for name in keys})
    elif isinstance(left, dict):
        write_arrays(path, (arrays if left else {}) | left)
    elif isinstance(left, bytes):
        path.write_bytes(left)
    (line,) = again(sea).warnings
    assert "is kept in zones_edited_1.gpkg" in line
    assert (sea / "zones" / "zones_edited_1.gpkg").read_bytes() == edited
    assert again(sea).warnings == []


def test_a_run_that_fails_half_way_loses_no_edit(sea: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise ResourceError("disk is full", sea, "free some space")

    said(sea, "ship", "rowid = 1")
    with monkeypatch.context() as patch, pytest.raises(ResourceError):
        patch.setattr("seepseg.zones.run.write_written", full)
        again(sea)
    summary = again(sea)
    assert (summary.tables.slicks["verdict"] == "ship").sum() == 1
    assert read_vectors(sea / "zones" / "zones.gpkg", "slicks")[1]["object"].notna().all()  # none counts as added


def test_a_zone_keeps_its_verdict(sea: Path) -> None:
    number = int(pd.read_csv(sea / "zones" / "zones.csv")["zone"].iloc[1])
    said(sea, "seep", f"zone = {number}", "zones")
    for _ in range(2):
        zones = again(sea).tables.zones.set_index("zone")
        assert zones["verdict"].dropna().to_dict() == {number: "seep"}


def test_what_was_said_of_a_zone_waits_for_it_to_come_back(sea: Path) -> None:
    before = pd.read_csv(sea / "zones" / "zones.csv")
    number = int(before["zone"].iloc[1])
    said(sea, "installation", f"zone = {number}", "zones")
    # None is seen on 25 of 24 passes; all but the one rejected are new once they come back.
    for passes, rejected, new in ((2, [number], 0), (25, [], 0), (2, [number], len(before) - 1)):
        made = make_zones([sea / "out"], sea / "zones", Options(min_passes=passes))
        assert made.tables.rejected["zone"].tolist() == rejected
        assert made.new_zones == new
    assert sorted(made.tables.zones["zone"]) == sorted(set(before["zone"]) - {number})


def test_a_rejected_zone_is_listed_as_such_and_counts_nowhere(sea: Path) -> None:
    before = pd.read_csv(sea / "zones" / "zones.csv")
    number = int(before["zone"].iloc[1])
    rest = sorted(set(before["zone"]) - {number})
    said(sea, "installation", f"zone = {number}", "zones")
    for _ in range(2):  # the second time, the verdict comes from the layer of those rejected
        assert again(sea).warnings == []
        zones, rejected, history, origins = (
            pd.read_csv(sea / "zones" / f"{name}.csv") for name in ("zones", "rejected", "history", "origins")
        )
        assert sorted(zones["zone"]) == sorted(set(history["zone"])) == sorted(set(origins["zone"])) == rest
        assert rejected[["zone", "verdict"]].to_numpy().tolist() == [[number, "installation"]]
        assert rejected["n_seen"].tolist() == before.loc[before["zone"] == number, "n_seen"].tolist()
        assert len(read_vectors(sea / "zones" / "zones.gpkg", "rejected")[0]) == 1
    # A script hears no more of it; rank shows none of its slicks.
    state = json.loads((sea / "zones" / "state.json").read_text())
    state["scenes"] = []  # as if all scenes were new
    (sea / "zones" / "state.json").write_text(json.dumps(state))
    again(sea)
    alerts = json.loads((sea / "zones" / "alerts.json").read_text())
    assert set(alerts["seen_again"]) == {str(zone) for zone in rest} and alerts["new_zones"] == []
    slicks = pd.read_csv(sea / "zones" / "slicks.csv")
    queue = rank([sea / "out"], sea / "zones")[0]
    assert len(queue) == (slicks["zone"] != number).sum() < len(slicks)
    # Taken back where it is listed, it is a zone again, under its number.
    with sqlite3.connect(sea / "zones" / "zones.gpkg") as base:
        for (name,) in base.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall():
            base.execute(f'DROP TRIGGER "{name}"')
        base.execute("UPDATE rejected SET verdict = NULL")
    base.close()
    again(sea)
    assert pd.read_csv(sea / "zones" / "zones.csv")["zone"].tolist() == before["zone"].tolist()
    assert len(pd.read_csv(sea / "zones" / "rejected.csv")) == 0


def test_split_merged_removed_added_and_reshaped_polygons_are_kept(sea: Path) -> None:
    shapes, table, _ = read_vectors(sea / "zones" / "zones.gpkg", "slicks")
    box = shapely.box(*shapes[0].bounds)
    west = shapely.box(box.bounds[0], box.bounds[1], box.centroid.x, box.bounds[3])
    east = shapely.box(box.centroid.x, *box.bounds[1:])
    new = pd.DataFrame([{"scene": "pass0002", "verdict": "seep"}, {"comment": "no scene"}]).reindex(
        columns=table.columns
    )
    edited = pd.concat([table.iloc[[0, 0]], table.iloc[3:].astype(object), new], ignore_index=True)
    edited.loc[1, "verdict"] = "look-alike"
    edited.loc[2, "class_new"] = "thin"
    outlines = [west, east, shapely.union(shapes[2], shapes[3]), *shapes[4:], box, east]
    edited = edited.astype({n: k for n, k in table.dtypes.items() if k.kind == "O"})
    edited["is_origin"] = edited["is_origin"].fillna(False).astype(bool)
    for name in ("object", "class", "pixels"):
        edited[name] = edited[name].astype("Int64")
    rewrite(sea, edited, outlines)
    one = again(sea)
    assert [(line.split()[2].strip(","), line.split(": ")[-1]) for line in one.warnings] == [
        ("split", "1"), ("removed", "2"), ("added", "2"), ("with", "1"),
    ]  # fmt: skip
    slicks = one.tables.slicks
    assert len(slicks) == len(table)
    # One half is a seep still, so the slick counts; the two that are gone do not.
    assert slicks["verdict"].fillna("").tolist()[:4] == ["", "removed", "removed", ""]
    for _ in range(2):
        shapes_now, table_now, _ = read_vectors(sea / "zones" / "zones.gpkg", "slicks")
        key = table_now["object"].eq(table["object"][0]) & table_now["scene"].eq(table["scene"][0])
        key &= table_now["class"].eq(table["class"][0])
        assert sorted(s.area for s in shapes_now[key]) == pytest.approx(sorted([west.area, east.area]))
        assert table_now.loc[key, "verdict"].tolist().count("look-alike") == 1
        assert table_now["object"].isna().sum() == 2 and "no scene" in set(table_now["comment"])
        assert len(table_now) == len(table) + 1 + 2
        assert again(sea).warnings == []


def test_a_deleted_column_loses_nothing(sea: Path) -> None:
    said(sea, "unsure", "rowid = 1")
    again(sea)
    shapes, table, _ = read_vectors(sea / "zones" / "zones.gpkg", "slicks")
    rewrite(sea, table.drop(columns=["verdict", "comment"]), shapes)
    one = again(sea)
    assert one.warnings == [
        "zones.gpkg: its layer slicks has no column verdict and comment: what was there is kept as it was"
    ]
    assert (one.tables.slicks["verdict"] == "unsure").sum() == 1
    # Without what names a slick, the file itself is kept.
    rewrite(sea, table.drop(columns=["object"]), shapes)
    edited = (sea / "zones" / "zones.gpkg").read_bytes()
    (line,) = again(sea).warnings
    assert "no column object" in line and "zones_edited_1.gpkg" in line
    assert (sea / "zones" / "zones_edited_1.gpkg").read_bytes() == edited
    assert (again(sea).tables.slicks["verdict"] == "unsure").sum() == 1


def test_verdicts_nobody_knows_and_packages_that_are_open(sea: Path) -> None:
    said(sea, "perhaps", "rowid = 1")
    (line,) = again(sea).warnings
    assert "count as unsure: perhaps" in line
    (sea / "zones" / "zones.gpkg-wal").write_bytes(b"x")
    with pytest.raises(ConfigError, match="open in another program"):
        again(sea)


def test_edits_of_scenes_that_are_not_there_wait_for_them(sea: Path, tmp_path: Path) -> None:
    said(sea, "ship", "scene = 'pass0000'")
    expected = (again(sea).tables.slicks["verdict"] == "ship").sum()
    less = tmp_path / "less"
    less.mkdir()
    for path in (sea / "out").iterdir():
        (less / path.name).symlink_to(path)
    lines = (sea / "out" / "manifest.jsonl").read_text().splitlines(keepends=True)
    (less / "manifest.jsonl").unlink()
    (less / "manifest.jsonl").write_text("".join(s for s in lines if json.loads(s)["name"] != "pass0000"))
    assert make_zones([less], sea / "zones", Options()).tables.slicks[list(SAID)].isna().all(axis=None)
    assert (again(sea).tables.slicks["verdict"] == "ship").sum() == expected
