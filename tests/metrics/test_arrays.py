from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile

from seepseg.classes import SEEP
from seepseg.errors import DataError
from seepseg.evaluation.rasters import evaluate_rasters
from seepseg.metrics import score, score_objects, surface_dice, tgs_score


def test_scores_are_those_worked_by_hand() -> None:
    truth = [[[0, 0, 1, 1], [2, 2, 9, 0]]]
    prediction = [[[0, 1, 1, 0], [2, 1, 1, 9]]]
    result = score(truth, prediction, classes=["oil", "ship", "wind"], ignore=9)
    # Six pixels count. Oil: one right, two predicted too many, one missed. Ship: one right, one missed.
    oil, ship, wind = result.classes
    assert (oil.dice, oil.iou, oil.precision, oil.recall, oil.support_pixels) == (2 / 5, 1 / 4, 1 / 3, 1 / 2, 2)
    assert (ship.dice, ship.iou, ship.precision, ship.recall, ship.support_tiles) == (2 / 3, 1 / 2, 1.0, 1 / 2, 1)
    assert (wind.dice, wind.iou, wind.support_pixels) == (None, None, 0)
    assert result.macro.dice == pytest.approx((2 / 5 + 2 / 3) / 2)
    # Foreground: three of four found, one false.
    assert (result.foreground.dice, result.foreground.recall) == (6 / 8, 3 / 4)
    assert result.class_accuracy == 2 / 3
    assert result.matrix.tolist() == [[1, 1, 0, 0], [1, 1, 0, 0], [0, 1, 1, 0], [0, 0, 0, 0]]
    assert result.images == 1 and result.table()["name"].tolist() == ["oil", "ship", "wind"]


def test_they_are_those_of_the_command_line(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    truth, prediction = rng.integers(0, 8, (2, 3, 40, 30)).astype(np.uint8)
    prediction[0, :5] = 255
    for i in range(3):
        for folder, maps in (("truth", truth), ("prediction", prediction)):
            (tmp_path / folder).mkdir(exist_ok=True)
            tifffile.imwrite(tmp_path / folder / f"{i}.tif", maps[i])
    expected = evaluate_rasters(tmp_path / "prediction", tmp_path / "truth", SEEP).to_json()
    result = score(truth, prediction, classes=SEEP.names[1:])
    for row, wanted in zip(result.classes, expected["classes"], strict=True):
        assert vars(row) == wanted
    assert vars(result.macro) == expected["macro"] and vars(result.foreground) == expected["foreground"]
    assert result.class_accuracy == expected["class_accuracy"]


def test_classes_are_named_or_counted_or_seen() -> None:
    truth = np.array([[0, 1, 3]])
    assert [c.name for c in score(truth, truth).classes] == ["class 1", "class 2", "class 3"]
    assert len(score(truth, truth, classes=5).classes) == 5
    assert [c.name for c in score(truth > 0, truth > 0, classes=["salt"]).classes] == ["salt"]
    assert score([[255]], [[0]]).foreground.dice is None


def test_objects_are_found_by_overlap() -> None:
    truth, prediction = np.zeros((2, 2, 20, 20), int)
    truth[0, 2:6, 2:6], truth[0, 10:14, 2:6], truth[1, 2:6, 2:6] = 1, 2, 1
    prediction[0, 2:6, 2:6], prediction[0, 10:12, 2:6], prediction[1, 15:17, 15:17] = 1, 1, 2
    result = score_objects(truth, prediction, classes=["oil", "ship"], pixel_size=1000)
    # Of three objects the first is found whole, half of the second (IoU .5) as another class, and the third is not.
    assert list(result) == ["all", "oil", "ship"]
    every = result["all"]
    assert (every.objects, every.found_iou25, every.found_iou50) == (3, 2 / 3, 2 / 3)
    assert (every.class_accuracy_iou25, every.predicted, every.false_alarms) == (1 / 2, 3, 1)
    # 800 pixels of 1 km².
    assert every.false_alarms_per_1000_km2 == 1 / 0.8
    assert (result["oil"].objects, result["oil"].found_iou25, result["ship"].false_alarms) == (2, 1 / 2, 1)


def test_outlines_agree_within_a_tolerance() -> None:
    truth = np.zeros((1, 12, 12), int)
    truth[0, 3:7, 3:7] = 1
    shifted = np.roll(truth, 2, axis=1)
    # The outlines of a square of four are 12 pixels; shifted by two, the sides share 2 · 2 pixels, and top and bottom
    # lie two away.
    assert surface_dice(truth, shifted, classes=["oil"], tolerance=0) == {"foreground": 4 / 12, "oil": 4 / 12}
    assert surface_dice(truth, shifted, classes=["oil"], tolerance=2)["oil"] == 1
    assert surface_dice(truth * 0, truth * 0, classes=["oil"]) == {"foreground": None, "oil": None}


def test_the_tgs_score_is_a_mean_over_masks() -> None:
    empty, full = np.zeros((4, 4), int), np.ones((4, 4), int)
    half = full.copy()
    half[0] = 0  # IoU 12/16 = .75 exceeds .50 … .70: five of ten
    assert tgs_score(full, half) == 0.5
    assert tgs_score(np.stack([empty, empty, full]), np.stack([empty, full, half])) == pytest.approx((1 + 0 + 0.5) / 3)
    with pytest.raises(DataError, match="prediction holds 0 and 255, and no 1 .* give mask > 0"):
        tgs_score(full, 255 * half)
    no_data = np.array([[0, 0, 255]])
    assert tgs_score(no_data, [[0, 0, 1]], ignore=255) == 1.0
    with pytest.raises(DataError, match="truth holds 0 and 255, and no 1 .* or ignore=255 if it is no data"):
        tgs_score(no_data, [[0, 0, 1]])


@pytest.mark.parametrize(
    ("truth", "prediction", "options", "text"),
    [
        (
            np.zeros((4, 4), int),
            np.zeros((2, 4, 4), int),
            {},
            r"truth is \(4, 4\) and prediction \(2, 4, 4\) in scoring",
        ),
        (np.zeros(4, int), np.zeros(4, int), {}, r"class maps are \(4,\) in scoring: give \(H, W\), or \(N, H, W\)"),
        (np.zeros((0, 4), int), np.zeros((0, 4), int), {}, r"class maps are \(0, 4\)"),
        (np.zeros((4, 4)), np.zeros((4, 4), int), {}, "truth holds float64 in scoring: give class indices"),
        (
            [[0, 3]],
            [[0, 1]],
            {"classes": 2},
            r"truth holds the index 3 in scoring: .*0 \(background\) to 2; .*ignore=3",
        ),
        ([[0, 1]], [[0, -1]], {}, "prediction holds the index -1"),
        (
            [[0, 1]],
            [[0, 1]],
            {"classes": "oil"},
            r"classes is the text 'oil' in scoring: give a list of names: \['oil'\]",
        ),
        ([[0, 1]], [[0, 1]], {"classes": ["a", "a"]}, "2 classes, 1 names"),
        ([[0, 1]], [[0, 1]], {"classes": 0}, "0 classes"),
        ([[0, 1]], [[0, 1]], {"classes": ["background", "oil"]}, "a class is called background .* needs no name"),
        ([[0, 1]], [[0, 1]], {"classes": ["oil", "all"]}, "a class is called all"),
    ],
)
@pytest.mark.parametrize("function", [score, score_objects, surface_dice])
def test_what_cannot_be_scored_is_said(
    function: Any, truth: Any, prediction: Any, options: dict[str, Any], text: str
) -> None:
    with pytest.raises(DataError, match=text):
        function(truth, prediction, **options)


def test_pixels_instead_of_classes_are_refused_at_once() -> None:
    image = np.full((2, 2), 2**62)
    with pytest.raises(DataError, match="give class maps of 1 to 254 classes"):
        score(image, image)
    assert len(score([[1]], [[1]], classes=np.int64(3)).classes) == 3  # type: ignore[arg-type]
