from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import tifffile

from seepseg.synthetic.vents import Sea, write_passes
from tests.command import error, run
from tests.zones.places import dotted, scene


def test_from_predictions_to_zones(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    write_passes(
        tmp_path / "out", Sea(vents=2, rates=(0.7, 0.8), passes=10, side=30_000, pixel=300, lookalikes=1, wakes=0)
    )
    code, out, err = run(capsys, "zones", tmp_path / "out", "-o", tmp_path / "zones")
    assert (code, err) == (0, "")
    assert out.startswith("2 zones (2 new) of ")
    assert f" in 10 passes (15 scenes), in {tmp_path / 'zones'}/; observed means: valid pixels; " in out
    assert "; incidence not known; wind not known" in out


def test_wrong_input_is_one_line(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    code, line = error(capsys, "zones", tmp_path, "-o", tmp_path / "zones")
    assert (code, line) == (2, f"no manifest.jsonl in {tmp_path}: give a folder that `seepseg predict` made")
    scene(tmp_path / "out", "a", None, None, dotted(50, (1, 1)))
    code, line = error(capsys, "zones", tmp_path / "out", "-o", tmp_path / "zones")
    assert code == 3
    assert line.startswith("has no georeference in ")
    code, line = error(capsys, "zones", tmp_path / "out", "-o", tmp_path / "zones" / ".." / "out")
    assert (code, line.startswith("is the folder of predictions itself in ")) == (2, True)
    assert not (tmp_path / "out" / ".lock").exists()
    (tmp_path / "s.csv").write_text("scene,column,row\na,0,0\n")
    words = ("zones", tmp_path / "out", "-o", tmp_path / "zones", "--shifts", tmp_path / "s.csv")
    assert error(capsys, *words) == (2, "goes with --frame rows-columns only in --shifts: leave it out")
    code, line = error(capsys, *words, "--frame", "rows-columns", "--images", tmp_path)
    assert (code, line) == (2, "both would say where scenes lie in --shifts and --images: leave one out")


def test_scenes_are_aligned_by_their_images(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    rng = np.random.default_rng(2)
    places = rng.integers(60, 340, (10, 2))
    (tmp_path / "images").mkdir()
    for name, step in (("a", 0), ("b", 25), ("c", -10)):
        image = rng.gamma(4, 1000, (400, 400)).astype(np.uint16)
        for row, column in places:
            image[row - 1 : row + 2, column - 1 + step : column + 2 + step] = 60_000
        tifffile.imwrite(tmp_path / "images" / f"{name}.tif", image)
        scene(tmp_path / "out", name, None, None, dotted(400, (200, 200 + step)))
    words = ("zones", tmp_path / "out", "-o", tmp_path / "zones", "--frame", "rows-columns", "--false-share", 1)
    code, out, err = run(capsys, *words, "--align", tmp_path / "images", "--radius", 5)
    assert code == 0
    assert out.startswith("1 zones (1 new) of 3 slicks in 3 passes (3 scenes)")
    assert "warning: scenes are placed to 0." in err
    # The slick is at (200, 200) of the first; a bright point in all three is no farther from it than the nearest place.
    zone = pd.read_csv(tmp_path / "zones" / "zones.csv").iloc[0]
    assert zone["bright_px"] == pytest.approx(np.hypot(*(places - 200).T).min(), abs=1)
    assert not zone["installation"]
    run(capsys, *words, "--align", tmp_path / "images", "--radius", int(zone["bright_px"]) + 2)
    assert pd.read_csv(tmp_path / "zones" / "zones.csv")["installation"].tolist() == [True]
    assert (tmp_path / "zones" / "shifts.csv").read_text().startswith("scene,column,row,accuracy,points\na,0.0,0.0,")


def test_what_lies_near_is_said_of_zones_and_slicks(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    # UTM 33N: (500000, 0) is 15° E on the equator, and 0.9996 of a metre on the map is one on the ground there.
    at = (100.0, 0.0, 500_000.0, 0.0, -100.0, 0.0)
    for day in (1, 2):
        time = f"2021-04-0{day}T05:00:00.000Z"
        scene(tmp_path / "out", f"s{day}", "EPSG:32633", at, dotted(200, (0, 0)), acquired=time, platform="S1A")
    scene(tmp_path / "out", "s3", "EPSG:32633", at, dotted(200, (150, 150)), acquired="2021-04-03T05:00:00.000Z")
    # Slicks begin at (500050, -50): .00045° E and S of 15° E. A rig .01° E of that: 1113.2 m. A ship passes the third.
    (tmp_path / "rigs.csv").write_text("lon,lat,name,kind\n15.01045,-.00045,Rig A,platform\n")
    lon, lat = 15 + 15050 / 0.9996 / 111_319.5, -15050 / 0.9996 / 110_574.3
    (tmp_path / "ais.csv").write_text(f"lon,lat,name,time\n{lon},{lat - 0.001},Ann,2021-04-03T04:00:00Z\n")
    words = ("zones", tmp_path / "out", "-o", tmp_path / "zones", "--false-share", 1)
    code, out, err = run(capsys, *words, "--near", tmp_path / "rigs.csv", "--near", tmp_path / "ais.csv")
    assert (code, err) == (0, "")
    assert f"within 5000 m of what is near: 1 zones and 3 slicks, in {tmp_path / 'zones' / 'nearby.csv'}" in out
    near = pd.read_csv(tmp_path / "zones" / "nearby.csv")
    assert near["what"].tolist() == ["zone", "slick", "slick", "slick"]
    assert near["scene"].tolist()[1:] == ["s1", "s2", "s3"]
    assert near["name"].tolist() == ["Rig A"] * 3 + ["Ann"]
    assert near["distance_m"].tolist() == pytest.approx([1113.2] * 3 + [110.6], abs=1)
    assert near["bearing_deg"].tolist() == pytest.approx([90, 90, 90, 180], abs=0.5)
    assert near["hours"].tolist()[3] == -1
    for name, names in (("zones", ["Rig A"]), ("origins", ["Rig A"] * 2), ("slicks", ["Rig A"] * 2 + ["Ann"])):
        table = pd.read_csv(tmp_path / "zones" / f"{name}.csv")
        assert table["near_name"].tolist() == names
        assert table["near_m"].max() == pytest.approx(1113.2, abs=1)
    # Without the files nothing is left of them.
    run(capsys, *words)
    assert not (tmp_path / "zones" / "nearby.csv").exists()
    assert "near_name" not in pd.read_csv(tmp_path / "zones" / "zones.csv")
    # Nothing is near, or there is no zone: tables all the same.
    code, out, _ = run(capsys, *words, "--min-passes", 3, "--near", tmp_path / "rigs.csv", "--near-reach", 10)
    assert code == 0
    assert "of what is near: 0 zones and 0 slicks" in out
    assert len(pd.read_csv(tmp_path / "zones" / "nearby.csv")) == 0
    code, line = error(capsys, *words, "--frame", "rows-columns", "--near", tmp_path / "rigs.csv")
    assert (code, line) == (2, "needs scenes on a map, not --frame rows-columns in --near: leave it out")
    code, line = error(capsys, *words, "--near", tmp_path / "none.csv")
    assert code == 3


@pytest.mark.parametrize(
    ("option", "value", "needs"),
    [("--wind-range", "5:8", "--wind"), ("--near-reach", "100", "--near"), ("--near-hours", "1", "--near")],
)
def test_an_option_without_an_effect_is_refused(
    option: str, value: str, needs: str, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    said = f"has no effect in {option}: give {needs}, or leave it out"
    assert error(capsys, "zones", tmp_path / "out", "-o", tmp_path / "zones", option, value) == (2, said)
