from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import shapely

from seepseg.errors import DataError
from seepseg.geo.nearby import first_of, nearest, read_nearby
from seepseg.geo.vector import Layer, write_layers

DEGREE = 111_319.5
"""Metres of a degree of longitude on the equator: 2 π · 6378137 / 360."""


def plane(lonlat: np.ndarray) -> np.ndarray:
    return lonlat * DEGREE  # near the equator, to 1 %


def back(xy: np.ndarray) -> np.ndarray:
    return xy / DEGREE


def around(tmp_path: Path, text: str, times: list[str | None], reach: float = 5000, hours: float = 3) -> pd.DataFrame:
    """The rows for places on the equator, at longitudes 0, 1, 2 and so on, of a table."""
    (tmp_path / "t.csv").write_text(text)
    places = np.asarray(shapely.points([(plane(np.array([i, 0.0]))) for i in range(len(times))]))
    return nearest(read_nearby([tmp_path / "t.csv"], reach, hours), places, pd.Series(times, dtype=object), plane, back)


def test_distance_and_bearing_of_a_point(tmp_path: Path) -> None:
    # East of place 0 by .02°: 2226.4 m. Place 1 has .05° of longitude = 5566 m to the next: too far.
    rows = around(tmp_path, "Longitude,Latitude,Name,kind\n.02,0,Alpha,platform\n1.05,0,Beta,wreck\n", [None, None])
    assert rows[["place", "rank", "file", "name", "kind"]].to_numpy().tolist() == [[0, 1, "t.csv", "Alpha", "platform"]]
    assert rows["distance_m"].tolist() == pytest.approx([2226.4], abs=0.1)
    assert rows["bearing_deg"].tolist() == [90.0]
    assert rows["hours"].isna().all()


def test_of_each_file_the_nearest_by_distance(tmp_path: Path) -> None:
    (tmp_path / "pits.csv").write_text("lon,lat,name\n0,-.03,south\n0,.04,north\n")
    # A lane along the meridian of .01°, with no vertex near: 1113.2 m to the east.
    lane = shapely.linestrings([[(0.01, -0.2), (0.01, 0.2)]])
    write_layers(
        tmp_path / "lane.gpkg", [Layer("lane", lane, pd.DataFrame({"name": ["L1"]}), "EPSG:4326", kind="LineString")]
    )
    near = read_nearby([tmp_path / "pits.csv", tmp_path / "lane.gpkg"], 5000, 3)
    rows = nearest(near, np.asarray(shapely.points([(0.0, 0.0)])), pd.Series([None], dtype=object), plane, back)
    assert rows[["rank", "name", "kind"]].to_numpy().tolist() == [[1, "L1", "lane"], [2, "south", "pits"]]
    # .03° of latitude at the equator: 110574 m · .03 = 3317.2 m, due south.
    assert rows["distance_m"].tolist() == pytest.approx([1113.2, 3317.2], abs=0.1)
    assert rows["bearing_deg"].tolist() == pytest.approx([90, 180], abs=0.1)
    first = first_of(rows, range(2))
    assert first.iloc[0].tolist() == ["L1", "lane", 1113.2]
    assert first.iloc[1].isna().all()


def test_of_a_ship_the_position_nearest_in_time(tmp_path: Path) -> None:
    text = (
        "lon,lat,name,time\n"
        ".01,0,Ann,2021-04-01T04:00:00Z\n"  # 1 h before the image
        ".02,0,Ann,2021-04-01T05:30:00Z\n"  # half an hour after it: this one, though farther
        ".03,0,Bob,2021-04-01T07:00:00+02:00\n"  # at the image, but farther than Ann
        ".001,0,Cid,2021-04-01T09:00:00Z\n"  # 4 h after
        ".001,0,Dan,2021-03-31T05:00:00Z\n"  # another day
    )
    rows = around(tmp_path, text, ["2021-04-01T05:00:00.000Z", None])
    assert rows[["place", "name", "hours"]].to_numpy().tolist() == [[0, "Ann", 0.5]]
    rows = around(tmp_path, text, ["2021-04-01T05:00:00.000Z"], hours=4)
    assert rows[["name", "hours"]].to_numpy().tolist() == [["Cid", 4.0]]
    # A scene without time meets no ship; and one that is always there needs none.
    assert not len(around(tmp_path, text, [None]))
    assert around(tmp_path, text + ".002,0,Rig,\n", [None])["name"].tolist() == ["Rig"]


def test_times_of_one_place_are_not_those_of_another(tmp_path: Path) -> None:
    # The ship passes place 0 when place 1 is seen, a day later.
    text = "lon,lat,time\n0,0,2021-04-02 05:00\n"
    assert not len(around(tmp_path, text, ["2021-04-01T05:00:00Z", "2021-04-02T05:00:00Z"]))
    rows = around(tmp_path, text, ["2021-04-02T07:00:00Z", "2021-04-01T05:00:00Z"])
    assert rows[["place", "name", "kind", "hours", "distance_m"]].to_numpy().tolist() == [[0, "", "t", -2.0, 0.0]]
    assert rows["bearing_deg"].isna().all()


def test_at_a_place_of_several_images_ships_come_last(tmp_path: Path) -> None:
    (tmp_path / "ais.csv").write_text("lon,lat,name,time\n.001,0,Ann,2021-04-02T06:00:00Z\n")
    (tmp_path / "rigs.csv").write_text("lon,lat,name\n.01,0,Rig\n")
    near = read_nearby([tmp_path / "ais.csv", tmp_path / "rigs.csv"], 5000, 3)
    places = np.asarray(shapely.points([(0.0, 0.0)] * 2))
    # Place 0 was seen on both days, place 1 on the second only: there, the ship is nearest.
    times = pd.Series(["2021-04-01T05:00:00Z", "2021-04-02T05:00:00Z", "2021-04-02T05:00:00Z"], [0, 0, 1])
    rows = nearest(near, places, times, plane, back)
    assert rows[["place", "rank", "name"]].to_numpy().tolist() == [
        [0, 1, "Rig"],
        [0, 2, "Ann"],
        [1, 1, "Ann"],
        [1, 2, "Rig"],
    ]
    assert rows["hours"].fillna(0).tolist() == [0, 1, 1, 0]


def test_a_layer_in_another_system_with_times(tmp_path: Path) -> None:
    # UTM 31N: its middle, 3° E, has x = 500000; y = 0 on the equator.
    table = pd.DataFrame({"KIND": ["ship"], "Time": pd.to_datetime(["2021-04-01T05:00:00Z"])})
    write_layers(
        tmp_path / "s.gpkg", [Layer("s", shapely.points([(500_000.0, 0.0)]), table, "EPSG:32631", kind="Point")]
    )
    near = read_nearby([tmp_path / "s.gpkg"], 5000, 3)
    assert shapely.get_coordinates(near.shapes)[0] == pytest.approx([3, 0], abs=1e-9)
    assert near.table.iloc[0].tolist() == ["s.gpkg", "", "ship", pd.Timestamp("2021-04-01T05:00:00Z")]


def test_a_time_zone_in_geojson_counts(tmp_path: Path) -> None:
    (tmp_path / "a.geojson").write_text(
        '{"type":"FeatureCollection","features":[{"type":"Feature","properties":{"time":"2021-04-01T07:00:00+02:00"},'
        '"geometry":{"type":"Point","coordinates":[1,2]}}]}'
    )
    assert read_nearby([tmp_path / "a.geojson"], 1, 1).table["time"].tolist() == [pd.Timestamp("2021-04-01T05:00:00Z")]


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("", "cannot be read as CSV (No columns to parse from file)"),
        ("lon,lat\n", "holds nothing that is anywhere"),
        ("x,lat\n1,2\n", "has no column lon"),
        ("lon,name\n1,2\n", "has no column lat"),
        ("lon,lat\n1,2\n1,two\n", "row 3 has lon, lat '1, two'"),
        ("lon,lat\n1,95\n", "row 2 has lon, lat '1, 95'"),
        ("lon,lat,Lon\n1,2,3\n", "two columns are named 'lon'"),
        ("lon,lat,kind,name,kind\n1,2,a,b,c\n", "two columns are named 'kind'"),
        ('lon,lat\n"1,5",2\n', "row 2 has lon, lat '1,5, 2'"),
        ("lon,lat\n1_0,2\n", "row 2 has lon, lat '1_0, 2'"),
        ("lon,lat,time\n1,2,\n1,2,noon\n", "row 3 has the time 'noon'"),
        ("lon,lat,time\n1,2,2021-04-01\n", "row 2 has the time '2021-04-01'"),
    ],
)
def test_bad_tables_are_one_line(tmp_path: Path, text: str, what: str) -> None:
    (tmp_path / "t.csv").write_text(text)
    with pytest.raises(DataError) as caught:
        read_nearby([tmp_path / "t.csv"], 1, 1)
    assert caught.value.what == what


def test_cells_beyond_the_header_shift_no_column(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("lon,lat,name\n1,2,a,\n")
    assert shapely.get_coordinates(read_nearby([tmp_path / "t.csv"], 1, 1).shapes).tolist() == [[1, 2]]


def test_bad_layers_are_one_line(tmp_path: Path) -> None:
    for crs, x, what in (
        (None, 1.0, "has no coordinate system"),
        ("EPSG:4326", 5e5, "has places that are not on Earth"),
    ):
        write_layers(
            tmp_path / "a.gpkg", [Layer("a", shapely.points([(x, 0.0)]), pd.DataFrame(index=[0]), crs, "Point")]
        )
        with pytest.raises(DataError) as caught:
            read_nearby([tmp_path / "a.gpkg"], 1, 1)
        assert caught.value.what == what
