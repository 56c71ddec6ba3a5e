from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from seepseg.classes import SEEP
from seepseg.errors import ConfigError, DataError
from seepseg.geo.frame import Frame, frame_around, read_shifts
from seepseg.geo.place import GEOD
from seepseg.zones.options import Options
from seepseg.zones.run import make_zones
from tests.zones.places import dotted, scene

# Scenes of 100 pixels of 100 m; the slick of each is in the middle of pixel (40, 60).
PLACES = {
    "antimeridian, two zones": [
        ("EPSG:32660", (100.0, 0.0, 808_000.0, 0.0, -100.0, 5_000.0)),
        ("EPSG:32601", (100.0, 0.0, 160_000.0, 0.0, -100.0, 5_000.0)),
    ],
    "0 to 360": [
        ("EPSG:4326", (0.001, 0.0, 179.94, 0.0, -0.001, 10.0)),
        ("EPSG:4326", (0.001, 0.0, -180.06, 0.0, -0.001, 10.0)),
    ],
    "north pole": [
        ("EPSG:3413", (100.0, 0.0, -6000.0, 0.0, -100.0, 4000.0)),
        ("EPSG:5041", (100.0, 0.0, 1_994_000.0, 0.0, -100.0, 2_004_000.0)),
    ],
    "south pole": [("EPSG:3031", (100.0, 0.0, -6000.0, 0.0, -100.0, 4000.0))] * 2,
}


@pytest.mark.parametrize("where", PLACES)
def test_distances_and_counts_hold_everywhere(where: str, tmp_path: Path) -> None:
    for number, (crs, transform) in enumerate(PLACES[where]):
        scene(
            tmp_path / "out",
            f"s{number}",
            crs,
            transform,
            dotted(100, (40, 60)),
            acquired=f"2024-01-0{number + 1}T00:00:00Z",
        )
    summary = make_zones(
        [tmp_path / "out"], tmp_path / "zones", Options(false_share=1, min_passes=1, radius=20_000, cell=500)
    )
    slicks = pd.read_csv(tmp_path / "zones" / "slicks.csv")
    places = pd.read_csv(tmp_path / "zones" / "origins.csv")[["lon", "lat"]].to_numpy()
    one, other = places if len(places) == 2 else (places[0], places[0])
    metres = GEOD.inv(*one, *other)[2]
    apart = np.hypot(*np.diff(slicks[["x", "y"]].to_numpy(), axis=0)[0])
    assert apart == pytest.approx(metres, rel=1e-3, abs=1)
    assert summary.tables.zones["n_seen_unobserved"].sum() + summary.tables.zones["n_seen"].sum() == 2
    # Scenes of 10 km by 10 km, those in polar coordinates (and degrees) a little more or less on the ground.
    width = 11_132 * math.cos(math.radians(10)) * 11_061 / 1e6 if where == "0 to 360" else 100
    passes = pd.read_csv(tmp_path / "zones" / "passes.csv")
    assert passes["observed_km2"].tolist() == pytest.approx([width, width], rel=0.08)


def test_cells_and_their_corners() -> None:
    on_map, pixels = Frame("EPSG:3857", 500.0), Frame(None, 10.0)
    # 700 m east and 100 m north of the origin: above row 0, in column 1.
    assert on_map.cells(np.array([[700.0, 100.0]])).tolist() == [[-1, 1]]
    assert on_map.corners(np.array([[-1.0, 1.0]])).tolist() == [[500.0, 500.0]]
    # Rows go down.
    assert pixels.cells(np.array([[25.0, 31.0]])).tolist() == [[3, 2]]
    assert pixels.corners(np.array([[3.0, 2.0]])).tolist() == [[20.0, 30.0]]


def test_scenes_of_two_oceans_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"up to \d+ km from their middle"):
        frame_around([(-90.0, 25.0), (50.0, 40.0)], 500)


def test_one_pixel_frame_with_shifts(tmp_path: Path) -> None:
    for number in range(3):
        scene(tmp_path / "out", f"s{number}", None, None, dotted(60, (30 + 10 * number, 20)))
    (tmp_path / "shifts.csv").write_text("scene,column,row\ns1,0,-10\ns2,0,-20\n")
    options = Options(radius=3, cell=1, pixels=True, false_share=1)
    assert len(make_zones([tmp_path / "out"], tmp_path / "a", options).tables.zones) == 0
    shifts = read_shifts(tmp_path / "shifts.csv")
    summary = make_zones(
        [tmp_path / "out"], tmp_path / "b", Options(radius=3, cell=1, pixels=True, false_share=1, shifts=shifts)
    )
    (zone,) = summary.tables.zones.itertuples()
    assert (zone.column, zone.row, zone.n_seen, zone.n_observed) == (20.5, 30.5, 3, 3)
    # Slicks of one pixel in scenes of 60 × 60.
    assert (zone.radius_px, zone.error_px, zone.area_max_px, zone.origin_offset_px) == (3, 0, 1, 0)
    for name in ("zones", "slicks", "origins", "passes", "new_since"):
        columns = pd.read_csv(tmp_path / "b" / f"{name}.csv").columns
        assert not [column for column in columns if column.endswith(("_m", "_m2", "_km2"))], name
    assert pd.read_csv(tmp_path / "b" / "passes.csv")["observed_px"].tolist() == [3600] * 3
    assert summary.warnings == [
        "1 scenes have no shift and stay where they are: s0",
        "3 scenes have no time: each counts as a pass, and none is first or last",
    ]
    with pytest.raises(ConfigError, match="no scene is called S1 in --shifts"):
        make_zones([tmp_path / "out"], tmp_path / "c", Options(pixels=True, shifts={"S1": (0.0, 0.0)}))
    assert pd.isna(zone.first_seen)


def test_what_does_not_go_together_is_one_line(tmp_path: Path) -> None:
    crs, transform = PLACES["north pole"][0]
    scene(tmp_path / "out", "a", crs, transform, dotted(50, (1, 1)), acquired="2024-01-01T00:00:00Z")
    scene(tmp_path / "out", "b", None, None, dotted(50, (1, 1)))
    with pytest.raises(DataError, match=r"has no georeference in .*b_class\.tif"):
        make_zones([tmp_path / "out"], tmp_path / "zones", Options())
    with pytest.raises(DataError, match=r"has a georeference in .*a_class\.tif"):
        make_zones([tmp_path / "out"], tmp_path / "pixels", Options(pixels=True))
    scene(tmp_path / "seven", "c", crs, transform, dotted(50, (1, 1)), SEEP)
    scene(tmp_path / "seven", "d", crs, transform, dotted(50, (1, 1)))
    with pytest.raises(DataError, match=r"its classes \(seep\) are not those of .*c_class\.tif"):
        make_zones([tmp_path / "seven"], tmp_path / "mixed", Options())


def test_scenes_that_come_later_may_not_lie_too_far_from_the_first(tmp_path: Path) -> None:
    for name, place in (("a", "north pole"), ("b", "0 to 360")):
        crs, transform = PLACES[place][0]
        scene(tmp_path / name, name, crs, transform, dotted(50, (1, 1)), acquired="2024-01-01T00:00:00Z")
    make_zones([tmp_path / "a"], tmp_path / "zones", Options())
    with pytest.raises(ConfigError, match="scenes lie up to"):
        make_zones([tmp_path / "a", tmp_path / "b"], tmp_path / "zones", Options())


def test_a_grid_of_too_many_cells_is_refused_before_it_is_made(tmp_path: Path) -> None:
    scene(tmp_path / "out", "a", None, None, dotted(50, (1, 1)))
    # 50 pixels in cells of .001: 50,000 a side (and one at the border), where 10,000 are allowed.
    with pytest.raises(ConfigError, match="the map would have 50001 × 50001 cells"):
        make_zones([tmp_path / "out"], tmp_path / "zones", Options(pixels=True, cell=0.001))


def test_a_folder_stays_in_its_frame(tmp_path: Path) -> None:
    scene(tmp_path / "out", "a", None, None, dotted(50, (1, 1)))
    make_zones([tmp_path / "out"], tmp_path / "zones", Options(pixels=True, radius=5))
    with pytest.raises(ConfigError, match="the last run here was in pixels"):
        make_zones([tmp_path / "out"], tmp_path / "zones", Options())


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("scene,row\na,1\n", "columns are"),
        ("scene,row,column\na,1,x\n", "is no number"),
        ("scene,row,column\n", "holds no shift"),
        ("scene,row,column\na,1,nan\n", "is no number"),
    ],
)
def test_shifts_that_are_none(tmp_path: Path, text: str, what: str) -> None:
    (tmp_path / "s.csv").write_text(text)
    with pytest.raises(ConfigError, match=what):
        read_shifts(tmp_path / "s.csv")
