from __future__ import annotations

from pathlib import Path

import numpy as np
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
    code, line = error(capsys, "zones", tmp_path / "out", "-o", tmp_path / "zones", "--align", tmp_path)
    assert (code, line) == (2, "goes with --frame rows-columns only, and alone in --align: leave it out")


def test_scenes_are_aligned_by_their_images(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    rng = np.random.default_rng(2)
    places = rng.integers(60, 340, (10, 2))
    (tmp_path / "images").mkdir()
    for name, step in (("a", 0), ("b", 25)):
        image = rng.gamma(4, 1000, (400, 400)).astype(np.uint16)
        for row, column in places:
            image[row - 1 : row + 2, column - 1 + step : column + 2 + step] = 60_000
        tifffile.imwrite(tmp_path / "images" / f"{name}.tif", image)
        scene(tmp_path / "out", name, None, None, dotted(400, (200, 200 + step)))
    words = ("zones", tmp_path / "out", "-o", tmp_path / "zones", "--frame", "rows-columns", "--false-share", 1)
    code, out, err = run(capsys, *words, "--align", tmp_path / "images", "--radius", 5)
    assert code == 0
    assert out.startswith("1 zones (1 new) of 2 slicks in 2 passes (2 scenes)")
    assert "warning: scenes are placed to 0." in err
    assert (tmp_path / "zones" / "shifts.csv").read_text().startswith("scene,column,row,accuracy,points\na,0.0,0.0,")
