from __future__ import annotations

from pathlib import Path
from unicodedata import normalize

import numpy as np
import pytest
import tifffile
from PIL import Image

from seepseg.classes import SALT, SEEP, SEEP_BINARY, ClassTable, SegClass
from seepseg.errors import DataError
from seepseg.evaluation.rasters import evaluate_rasters


def test_salt_rasters_have_the_tgs_score(tmp_path: Path) -> None:
    for folder, rows in (("t", {"a": [1] * 4, "b": [0] * 4}), ("p", {"a": [1, 1, 1, 0], "b": [0, 0, 0, 1]})):
        (tmp_path / folder).mkdir()
        for name, row in rows.items():
            Image.fromarray(np.array([row], np.uint8) * 255).save(tmp_path / folder / f"{name}.png")
    summary = evaluate_rasters(tmp_path / "p", tmp_path / "t", SALT)
    # a: IoU 3/4 is above .50, .55, .60, .65, .70 and not above .75: 5 of 10. b: only one is empty: 0. Mean .25.
    assert summary.tgs_score == pytest.approx(0.25)
    # Both tiles: hit 3, missed 1, false 1: 6/8.
    assert summary.foreground.dice == pytest.approx(6 / 8)


def test_binary_seep_rasters_have_no_tgs_score(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "a.tif", np.array([[0, 1]], np.uint8))
    assert evaluate_rasters(tmp_path, tmp_path, SEEP_BINARY).tgs_score is None


def test_without_figures_none_of_earlier_scores_stays(tmp_path: Path) -> None:
    (tmp_path / "p").mkdir()
    tifffile.imwrite(tmp_path / "p" / "a.tif", np.array([[0, 1]], np.uint8))
    for figures in (True, False):
        evaluate_rasters(tmp_path / "p", tmp_path / "p", SEEP_BINARY, out=tmp_path / "out", figures=figures)
        assert (tmp_path / "out" / "confusion.png").exists() == figures


def test_two_rasters_of_one_tile_are_refused(tmp_path: Path) -> None:
    for name in ("t/a.tif", "p/one/a_class.tif", "p/two/a_class.tif"):
        (tmp_path / name).parent.mkdir(parents=True)
        tifffile.imwrite(tmp_path / name, np.array([[0, 1]], np.uint8))
    with pytest.raises(DataError, match=r"two rasters are of one tile \(.*one/a_class.tif, .*two/a_class.tif\)"):
        evaluate_rasters(tmp_path / "p", tmp_path / "t", SEEP)


def test_rasters_that_are_not_there(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no such folder"):
        evaluate_rasters(tmp_path / "none", tmp_path, SEEP)
    with pytest.raises(DataError, match="no TIFF or PNG rasters"):
        evaluate_rasters(tmp_path, tmp_path, SEEP)


def test_probabilities_and_quicklooks_beside_the_maps_are_passed_by(tmp_path: Path) -> None:
    for folder in ("t", "p"):
        (tmp_path / folder).mkdir()
    tifffile.imwrite(tmp_path / "t" / "a.tif", np.array([[0, 1]], np.uint8))
    tifffile.imwrite(tmp_path / "p" / "a_class.tif", np.array([[0, 1]], np.uint8))
    tifffile.imwrite(tmp_path / "p" / "a_prob.tif", np.zeros((1, 2), np.float32))
    Image.fromarray(np.zeros((1, 2), np.uint8)).save(tmp_path / "p" / "a_quicklook.png")
    summary = evaluate_rasters(tmp_path / "p", tmp_path / "t", SEEP)
    assert (summary.n_tiles, summary.foreground.dice) == (1, 1)


@pytest.mark.parametrize("white", [1, 255])
def test_an_ignored_value_of_a_png_is_no_foreground(tmp_path: Path, white: int) -> None:
    oil = ClassTable((SegClass("oil", (1,), "#E69F00"),), ignore_values=(2,))
    for folder, row in (("t", [0, 1, 1, 2, 2]), ("p", [0, white, 0, white, 0])):
        (tmp_path / folder).mkdir()
        Image.fromarray(np.array([row], np.uint8)).save(tmp_path / folder / "case.png")
    # Of the three pixels that count, one is hit and one missed: 2 / 3. As oil, the ignored ones would make it 4 / 6,
    # with a support of 4 pixels.
    summary = evaluate_rasters(tmp_path / "p", tmp_path / "t", oil)
    assert summary.foreground.dice == pytest.approx(2 / 3)
    assert summary.classes[0].support_pixels == 2


SLICK = "#E69F00"


@pytest.mark.parametrize(
    ("table", "low", "high"),
    [
        (ClassTable((SegClass("slick", (2,), SLICK),), background_values=(1,)), 1, 2),
        (ClassTable((SegClass("slick", (255,), SLICK),)), 0, 255),
        (ClassTable((SegClass("slick", (), SLICK, at_least=128),)), 10, 200),
    ],
)
@pytest.mark.parametrize("suffix", ["png", "tif"])
def test_values_of_truth_are_those_of_the_class_table_in_any_format(
    tmp_path: Path, table: ClassTable, low: int, high: int, suffix: str
) -> None:
    for folder in ("t", "p"):
        (tmp_path / folder).mkdir()
    truth = np.array([[low, high, high, high]], np.uint8)
    Image.fromarray(truth).save(tmp_path / "t" / f"a.{suffix}")
    tifffile.imwrite(tmp_path / "p" / "a_class.tif", np.array([[0, 1, 1, 0]], np.uint8))
    # Hit 2, missed 1: 4 / 5.
    assert evaluate_rasters(tmp_path / "p", tmp_path / "t", table).foreground.dice == pytest.approx(4 / 5)


def test_soft_truth_in_fractions_keeps_them(tmp_path: Path) -> None:
    (tmp_path / "t").mkdir()
    (tmp_path / "p").mkdir()
    tifffile.imwrite(tmp_path / "t" / "a.tif", np.array([[0.04, 0.78, 0.5, np.nan]], np.float32))
    tifffile.imwrite(tmp_path / "p" / "a.tif", np.array([[0, 1, 0, 1]], np.float32))
    table = ClassTable((SegClass("slick", (), SLICK, at_least=0.5),))
    # Hit 1, missed 1, and the NaN counts nowhere: 2 / 3.
    assert evaluate_rasters(tmp_path / "p", tmp_path / "t", table).foreground.dice == pytest.approx(2 / 3)


def test_fractions_are_no_classes(tmp_path: Path) -> None:
    for folder, row in (("t", [0, 1]), ("p", [0, 0.75])):
        (tmp_path / folder).mkdir()
        tifffile.imwrite(tmp_path / folder / "a.tif", np.array([row], np.float32))
    with pytest.raises(DataError, match=r"prediction holds class 0\.75, the class table has 1"):
        evaluate_rasters(tmp_path / "p", tmp_path / "t", SEEP_BINARY)


def test_what_either_raster_calls_no_data_is_not_scored(tmp_path: Path) -> None:
    def write(path: Path, row: list[int], nodata: str) -> None:
        path.parent.mkdir(exist_ok=True)
        tifffile.imwrite(path, np.array([row], np.uint8), extratags=[(42113, 2, 0, nodata, True)])

    write(tmp_path / "t" / "a.tif", [0, 1, 1, 1, 99, 1], "99")
    write(tmp_path / "p" / "a.tif", [0, 1, 0, 1, 1, 200], "200")
    # Of the first four, hit 2 and missed 1; the fifth has no truth, the sixth no prediction: 4 / 5.
    summary = evaluate_rasters(tmp_path / "p", tmp_path / "t", SEEP_BINARY)
    assert (summary.foreground.dice, summary.classes[0].support_pixels) == (pytest.approx(4 / 5), 3)


def test_a_no_data_value_that_is_a_class_is_scored(tmp_path: Path) -> None:
    for folder, row in (("t", [0, 1, 1]), ("p", [1, 1, 0])):
        (tmp_path / folder).mkdir()
        picture = np.array([row], np.uint8)
        tifffile.imwrite(tmp_path / folder / "a.tif", picture, extratags=[(42113, 2, 0, "0", True)])
    # Hit 1, false 1, missed 1: 2 / 4. Without what either calls no data, it would be 1.
    assert evaluate_rasters(tmp_path / "p", tmp_path / "t", SEEP_BINARY).foreground.dice == pytest.approx(1 / 2)


def test_rasters_are_of_one_tile_however_umlauts_are_written(tmp_path: Path) -> None:
    for folder, form in (("t", "NFC"), ("p", "NFD")):
        (tmp_path / folder).mkdir()
        tifffile.imwrite(tmp_path / folder / f"{normalize(form, 'Süd')}.tif", np.array([[0, 1]], np.uint8))
    assert evaluate_rasters(tmp_path / "p", tmp_path / "t", SEEP_BINARY).foreground.dice == 1
