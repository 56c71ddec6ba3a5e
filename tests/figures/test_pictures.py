"""Pictures: hand-worked stretch and error colours, sizes."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from seepseg.classes import IGNORE, SALT, SEEP, TABLES
from seepseg.figures import pictures


def test_stretch_maps_the_percentiles_linearly() -> None:
    # 0, 10, …, 1000: the 1st percentile of 101 equal steps is 10, the 99th is 990.
    image = np.arange(0, 1010, 10, dtype=np.uint16).reshape(1, 101)
    gray = pictures.stretch(image)
    assert gray.dtype == np.uint8
    # 10 → 0; 500 → 255 · 490/980 = 127.5 → 128 (to even); 990 → 255; beyond: clipped.
    assert gray[0, [0, 1, 50, 99, 100]].tolist() == [0, 0, 128, 255, 255]
    # 108 lies not on the grid: 250 → 255 · 240/980 = 62.4 → 62.
    assert gray[0, 25] == 62


def test_stretch_leaves_invalid_pixels_out() -> None:
    image = np.array([[np.nan, 1.0, 2.0, 3.0, 1e9]])
    valid = np.array([[True, True, True, True, False]])
    # Of 1, 2, 3 the percentiles are 1.02 and 2.98: 2 → 255 · .98/1.96 = 127.5 → 128.
    assert pictures.stretch(image, valid).tolist() == [[0, 0, 128, 255, 0]]


def test_stretch_of_a_constant_is_mid_grey_and_of_nothing_black() -> None:
    image = np.full((2, 2), 7, np.uint16)
    assert (pictures.stretch(image) == 128).all()
    assert (pictures.stretch(image, np.zeros((2, 2), bool)) == 0).all()


def test_stretch_keeps_an_almost_constant_image_grey() -> None:
    image = np.full((20, 20), 7.0)
    image[0, 0], image[0, 1] = 1e6, -1e6
    gray = pictures.stretch(image)
    assert gray[0, :3].tolist() == [255, 0, 128]


def test_colorize_and_overlay() -> None:
    indices = np.array([[0, 1, IGNORE]], np.uint8)
    # seep 1 is #E69F00.
    assert pictures.colorize(indices, SEEP).tolist() == [[[0, 0, 0], [230, 159, 0], [128, 128, 128]]]
    gray = np.full((1, 3), 100, np.uint8)
    # .5 · 100 + .5 · (230, 159, 0) = (165, 129.5 → 130, 50); background and ignored pixels stay as they are.
    assert pictures.overlay(gray, indices, SEEP, alpha=0.5).tolist() == [[[100] * 3, [165, 130, 50], [100] * 3]]


def test_error_map_names_every_case() -> None:
    truth = np.array([[0, 1, 1, 0, 1, IGNORE, 2]], np.uint8)
    prediction = np.array([[0, 1, 0, 2, 2, 1, IGNORE]], np.uint8)
    kinds = ["correct", "missed", "false alarm", "wrong class", "ignored", "ignored"]
    expected = [pictures.ERROR_BACKGROUND, *(pictures.ERROR_COLORS[kind] for kind in kinds)]
    assert [tuple(color) for color in pictures.error_map(truth, prediction)[0].tolist()] == expected


@pytest.mark.parametrize("labelled", [True, False])
def test_panel_is_four_pictures_wide(labelled: bool) -> None:
    image = np.arange(35, dtype=np.uint16).reshape(5, 7)
    prediction = np.ones((5, 7), np.uint8)
    drawn = pictures.panel(image, np.ones((5, 7), np.uint8) if labelled else None, prediction, SALT)
    assert drawn.shape == (5, 4 * 7 + 3 * pictures.GAP, 3)
    assert drawn.dtype == np.uint8
    third = drawn[:, 2 * (7 + pictures.GAP) : 2 * (7 + pictures.GAP) + 7]
    assert (third == SALT.colors[1]).all()
    assert (drawn[:, -7:] == (pictures.ERROR_COLORS["correct"] if labelled else (128,) * 3)).all()


def some_panel() -> pictures.Rgb:
    indices = np.arange(64, dtype=np.uint8).reshape(8, 8) % 8
    return pictures.panel(indices * 100, indices, indices.T, SEEP)


def test_colours_of_errors_are_no_colours_of_classes() -> None:
    def lab(colors: object) -> np.ndarray:
        return cv2.cvtColor(np.asarray(colors, np.float32).reshape(1, -1, 3) / 255, cv2.COLOR_RGB2LAB)[0]

    classes = lab(np.concatenate([table.colors[1:] for table in TABLES.values()]))
    errors = lab([*pictures.ERROR_COLORS.values(), pictures.ERROR_BACKGROUND])
    # Distances in CIELAB; the eye tells some 2 apart, and a legend needs far more.
    assert np.linalg.norm(errors[:, None] - classes, axis=2).min() > 35
    assert min(np.linalg.norm(a - b) for i, a in enumerate(errors) for b in errors[:i]) > 35


def test_pictures_side_by_side_keep_their_tops() -> None:
    drawn = pictures.beside([np.zeros((2, 3, 3), np.uint8), np.full((4, 1, 3), 9, np.uint8)])
    # 3 + a gap of 4 + 1 columns; two rows of white below the lower picture.
    assert drawn.shape == (4, 8, 3)
    assert (drawn[:2, :3] == 0).all() and (drawn[2:, :3] == 255).all()
    assert (drawn[:, 3:7] == 255).all() and (drawn[:, 7] == 9).all()
