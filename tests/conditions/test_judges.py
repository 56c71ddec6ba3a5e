from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from seepseg.conditions.cmod import cmod5n
from seepseg.conditions.judges import judges_of, parse_range
from seepseg.errors import ConfigError, DataError, SeepsegError
from seepseg.geo.frame import Frame, laea
from seepseg.geo.identity import Identity
from seepseg.io.cog import class_layout, row_writer
from seepseg.io.raster import Georeference
from seepseg.passes.scenes import Scene
from seepseg.passes.view import INCIDENCE as HIDDEN_BY_ANGLE
from seepseg.passes.view import NO_DATA, OBSERVED, OUTSIDE, WIND, View, look
from seepseg.sentinel1.coarse import INCIDENCE, SIGMA0, Lattice
from seepseg.synthetic.vents import Sea, write_passes
from seepseg.zones.options import Options
from seepseg.zones.run import make_zones
from tests.command import run
from tests.conditions.test_winds import write_netcdf

SIZE = 400
"""Rows and columns of the scene: 100 m pixels in the frame itself, so that its cells of 1 km are 10 × 10 pixels."""
FRAME = Frame(laea(-91.0, 28.0), 1000.0)
IDENTITY = Identity(acquired="2021-04-01T05:26:23Z", product="P")


def seen(tmp_path: Path, wind: list[Path], direction: float | None = None, **tags: str) -> tuple[View, list[float]]:
    """The view of a scene around 91° W 28° N, its first 100 rows without data; medians of incidence and wind."""
    judges = judges_of(wind, direction=direction)
    path, classes = tmp_path / "s_class.tif", np.zeros((SIZE, SIZE), np.uint8)
    classes[:100] = 255
    place = Georeference(FRAME.crs, (100.0, 0.0, -20_000.0, 0.0, -100.0, 20_000.0), tags=tags)
    layout = class_layout(["background", "slick"], np.zeros((2, 3), np.uint8), {})
    with row_writer(path, place, SIZE, SIZE, layout) as writer:
        writer.write(classes)
    view, _, measured = look(Scene("a/s", path, path, IDENTITY), FRAME, place, (SIZE, SIZE), judges)
    return view, measured[:, 0].tolist()


def counts(view: View) -> dict[int, int]:
    """Cells of each code, without those beyond the scene."""
    codes, number = np.unique(view.codes[view.codes != OUTSIDE], return_counts=True)
    return dict(zip(codes.tolist(), number.tolist(), strict=True))


def angles(first: float, last: float) -> str:
    """Incidence from the first to the last column."""
    across = np.array([[first, last], [first, last]])
    return Lattice(np.array([0.0, SIZE]), np.array([0.0, SIZE]), across).tag(3)


def test_cells_at_other_angles_are_not_observed(tmp_path: Path) -> None:
    # 10° at the left, 50° at the right of 40 cells: a degree a cell. Cell k has 10.5 + k: 20 … 45 is k of 10 … 34.
    view, (middle, *_) = seen(tmp_path, [], **{INCIDENCE: angles(10, 50)})
    assert counts(view) == {NO_DATA: 400, OBSERVED: 25 * 30, HIDDEN_BY_ANGLE: 15 * 30}
    assert middle == pytest.approx(30)
    assert (view.codes[20] == OBSERVED).nonzero()[0].tolist() == list(range(10, 35))


def test_where_the_angle_is_not_known_it_hides_nothing(tmp_path: Path) -> None:
    view, measured = seen(tmp_path, [])
    assert counts(view) == {NO_DATA: 400, OBSERVED: 1200}
    assert np.isnan(measured).all()


def table(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "wind.csv"
    path.write_text(text)
    return path


@pytest.mark.parametrize(
    ("row", "code"),
    [
        ("s,10.5,", WIND), ("a/s,1.9,", WIND), ("P,10,", OBSERVED), ("s,2,", OBSERVED), ("other,1,", OBSERVED),
        ("s,,46", HIDDEN_BY_ANGLE), ("s,1,50", HIDDEN_BY_ANGLE),
    ],
)  # fmt: skip
def test_a_table_says_it_by_scene_file_or_product(tmp_path: Path, row: str, code: int) -> None:
    path = table(tmp_path, f"scene,wind_speed,incidence\n{row}\nx,5,30\n")
    assert counts(seen(tmp_path, [path])[0]) == {NO_DATA: 400, code: 1200}


def test_a_field_of_wind_is_judged_cell_by_cell(tmp_path: Path) -> None:
    # At 5 o'clock, u is u0 at 95° W and grows by 1 m/s a degree; v is 0. The scene's middle is at 91° W: 9.9 + 0.1.
    path = write_netcdf(tmp_path / "w.nc", u=6.0, v=0.0)
    view, (_, wind) = seen(tmp_path, [path])
    assert wind == pytest.approx(10, abs=0.02)
    halves = [counts(replace(view, codes=view.codes[10:, part])) for part in (np.s_[:19], np.s_[21:])]
    assert [set(half) for half in halves] == [{OBSERVED}, {WIND}]


@pytest.mark.parametrize(("direction", "found"), [(90.0, 8.0), (270.0, 8.0)])
def test_the_image_tells_its_wind(tmp_path: Path, direction: float, found: float) -> None:
    # The rows of the scene lead east, so that is where the radar looks: a wind from 90° blows against it.
    phi, incidence = direction - 90, np.array([[25.0, 44.0], [25.0, 44.0]])
    sigma0 = 10 * np.log10(cmod5n(np.full((2, 2), found), incidence, np.full((2, 2), phi)))
    sea = Lattice(np.array([0.0, SIZE]), np.array([0.0, SIZE]), sigma0).tag(3)
    tags = {INCIDENCE: angles(25, 44), SIGMA0: sea}
    view, (_, wind) = seen(tmp_path, [Path("image")], direction, **tags)
    assert wind == pytest.approx(found, abs=0.02)
    assert counts(view) == {NO_DATA: 400, OBSERVED: 1200}
    # The same sea in a wind across the look must be rougher to be as bright.
    _, (_, across) = seen(tmp_path, [Path("image")], direction + 90 if direction < 180 else 0.0, **tags)
    assert across > 10


def test_the_direction_for_the_image_may_come_from_fields(tmp_path: Path) -> None:
    # Air that moves east comes from the west, 270°: with the look.
    sigma0 = float(10 * np.log10(cmod5n(np.array(8.0), np.array(35.0), np.array(180.0))))
    sea = Lattice(np.array([200.0]), np.array([200.0]), np.array([[sigma0]])).tag(3)
    fields = write_netcdf(tmp_path / "w.nc", u=4.0, v=0.0)
    _, (_, wind) = seen(tmp_path, [Path("image"), fields], **{INCIDENCE: angles(35, 35), SIGMA0: sea})
    assert wind == pytest.approx(8, abs=0.05)


def test_what_does_not_go_together_is_one_line(tmp_path: Path) -> None:
    fields, image = write_netcdf(tmp_path / "w.nc"), Path("image")
    speeds = table(tmp_path, "scene,wind_speed\ns,5\n")
    second = tmp_path / "other.csv"
    second.write_text("scene,wind_speed\nt,5\n")
    wrong: list[tuple[list[Path], float | None, type[SeepsegError], str]] = [
        ([speeds, fields], None, ConfigError, "wind is given twice"),
        ([image, speeds], 60, ConfigError, "wind is given twice"),
        ([image], None, ConfigError, "no wind without its direction"),
        ([image, fields], 60, ConfigError, "the files say it"),
        ([], 60, ConfigError, "only needed for --wind image"),
        ([speeds, second], None, ConfigError, "two tables"),
    ]
    for wind, direction, kind, words in wrong:
        with pytest.raises(kind) as error:
            judges_of(wind, direction=direction)
        assert words in str(error.value)
    for text, words in [
        ("scene,wind\ns,5\n", "says no wind and no incidence"),
        ("scene,wind_speed\ns,fast\n", "s has wind_speed 'fast', which is not between 0 and 100"),
        ("scene,wind_speed\ns,-1\n", "'-1'"),
        ("name,wind_speed\ns,1\n", "it needs scene"),
        ("scene,wind_speed,Incidence\ns,1,30\n", "write the column as incidence, or rename it"),
    ]:
        with pytest.raises(DataError) as broken:
            judges_of([table(tmp_path, text)])
        assert words in str(broken.value)


@pytest.mark.parametrize("text", ["", "5", "10:2", "2:2", "a:b", "-1:5", "nan:5", "1:2:3", "2:101"])
def test_a_range_is_two_numbers(text: str) -> None:
    assert parse_range("2:10", "--wind-range", 100) == (2, 10)
    with pytest.raises(ConfigError, match="is not LOW:HIGH"):
        parse_range(text, "--wind-range", 100)


@pytest.fixture(scope="module")
def lulls(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Passes of which about half are in a wind that hides slicks."""
    out = tmp_path_factory.mktemp("lulls") / "out"
    write_passes(out, Sea(vents=3, rates=(0.7, 0.9), passes=30, side=30_000, pixel=200, partial=0, lulls=0.5), 2)
    return out


def test_the_denominator_leaves_out_what_the_wind_hid(lulls: Path, tmp_path: Path) -> None:
    wind, vents = pd.read_csv(lulls / "wind.csv"), pd.read_csv(lulls / "vents.csv")
    make_zones([lulls], tmp_path / "zones", Options(judges=judges_of([lulls / "wind.csv"])))
    zones, history, passes, slicks = (
        pd.read_csv(tmp_path / "zones" / f"{name}.csv") for name in ("zones", "history", "passes", "slicks")
    )
    good = wind.assign(number=wind["scene"].str[4:8]).groupby("number")["wind_speed"].first().between(2, 10)
    assert len(zones) == 3
    assert set(zones["n_observed"]) == {good.sum()}
    assert set(zones["observed_means"]) == {"valid pixels; incidence not known; wind 2–10 m/s by wind.csv"}
    assert (zones["lower"] <= vents["mapped"].max()).all() and (zones["upper"] >= vents["mapped"].min()).all()
    assert set(history.loc[~history["observed"], "reason"]) == {"wind"}
    assert (passes["wind_m_s"].between(2, 10) == (passes["observed_km2"] > 0)).all()
    # No slick of a hidden pass makes a zone.
    assert set(slicks["reason"].dropna()) == {"wind"}
    assert slicks.loc[slicks["reason"].notna(), "zone"].isna().all()


def test_the_command_says_what_is_not_judged_and_ends_where_nothing_is(
    lulls: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    some = tmp_path / "some.csv"
    some.write_text("".join((lulls / "wind.csv").read_text().splitlines(keepends=True)[:11]))
    code, _, err = run(capsys, "zones", lulls, "-o", tmp_path / "zones", "--wind", some)
    assert code == 0
    scenes = len((lulls / "manifest.jsonl").read_text().splitlines())
    assert f"wind is not known of {scenes - 10} of {scenes} scenes, and not judged there" in err
    assert json.loads((tmp_path / "zones" / "alerts.json").read_text())["observed_means"].endswith(
        f"wind 2–10 m/s by some.csv (known of 10 of {scenes} scenes)"
    )
    code, _, err = run(capsys, "zones", lulls, "-o", tmp_path / "z", "--wind", write_netcdf(tmp_path / "w.nc"))
    assert code == 3
    assert f"the wind is known of none of {scenes} scenes" in err
    assert run(capsys, "zones", lulls, "-o", tmp_path / "z", "--wind", "image")[0] == 2
    assert run(capsys, "zones", lulls, "-o", tmp_path / "z", "--wind-range", "10:2")[0] == 2
    assert run(capsys, "zones", lulls, "-o", tmp_path / "z", "--wind", "https://example.org/w.nc")[0] == 2
