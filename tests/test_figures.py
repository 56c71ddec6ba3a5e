"""Pictures: hand-worked stretch and error colours, sizes, and the same bytes twice."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from seepseg import figures
from seepseg.classes import IGNORE, SALT, SEEP, TABLES
from seepseg.figures import canvas, pictures


def test_stretch_maps_the_percentiles_linearly() -> None:
    # 0, 10, …, 1000: the 1st percentile of 101 equal steps is 10, the 99th is 990.
    image = np.arange(0, 1010, 10, dtype=np.uint16).reshape(1, 101)
    gray = figures.stretch(image)
    assert gray.dtype == np.uint8
    # 10 → 0; 500 → 255 · 490/980 = 127.5 → 128 (to even); 990 → 255; beyond: clipped.
    assert gray[0, [0, 1, 50, 99, 100]].tolist() == [0, 0, 128, 255, 255]
    # 108 lies not on the grid: 250 → 255 · 240/980 = 62.4 → 62.
    assert gray[0, 25] == 62


def test_stretch_leaves_invalid_pixels_out() -> None:
    image = np.array([[np.nan, 1.0, 2.0, 3.0, 1e9]])
    valid = np.array([[True, True, True, True, False]])
    # Of 1, 2, 3 the percentiles are 1.02 and 2.98: 2 → 255 · .98/1.96 = 127.5 → 128.
    assert figures.stretch(image, valid).tolist() == [[0, 0, 128, 255, 0]]


def test_stretch_of_a_constant_is_mid_grey_and_of_nothing_black() -> None:
    image = np.full((2, 2), 7, np.uint16)
    assert (figures.stretch(image) == 128).all()
    assert (figures.stretch(image, np.zeros((2, 2), bool)) == 0).all()


def test_stretch_keeps_an_almost_constant_image_grey() -> None:
    image = np.full((20, 20), 7.0)
    image[0, 0], image[0, 1] = 1e6, -1e6
    gray = figures.stretch(image)
    assert gray[0, :3].tolist() == [255, 0, 128]


def test_colorize_and_overlay() -> None:
    indices = np.array([[0, 1, IGNORE]], np.uint8)
    # seep 1 is #E69F00.
    assert figures.colorize(indices, SEEP).tolist() == [[[0, 0, 0], [230, 159, 0], [128, 128, 128]]]
    gray = np.full((1, 3), 100, np.uint8)
    # .5 · 100 + .5 · (230, 159, 0) = (165, 129.5 → 130, 50); background and ignored pixels stay as they are.
    assert figures.overlay(gray, indices, SEEP, alpha=0.5).tolist() == [[[100] * 3, [165, 130, 50], [100] * 3]]


def test_error_map_names_every_case() -> None:
    truth = np.array([[0, 1, 1, 0, 1, IGNORE, 2]], np.uint8)
    prediction = np.array([[0, 1, 0, 2, 2, 1, IGNORE]], np.uint8)
    kinds = ["correct", "missed", "false alarm", "wrong class", "ignored", "ignored"]
    expected = [figures.ERROR_BACKGROUND, *(figures.ERROR_COLORS[kind] for kind in kinds)]
    assert [tuple(color) for color in figures.error_map(truth, prediction)[0].tolist()] == expected


@pytest.mark.parametrize("labelled", [True, False])
def test_panel_is_four_pictures_wide(labelled: bool) -> None:
    image = np.arange(35, dtype=np.uint16).reshape(5, 7)
    prediction = np.ones((5, 7), np.uint8)
    drawn = figures.panel(image, np.ones((5, 7), np.uint8) if labelled else None, prediction, SALT)
    assert drawn.shape == (5, 4 * 7 + 3 * pictures.GAP, 3)
    assert drawn.dtype == np.uint8
    third = drawn[:, 2 * (7 + pictures.GAP) : 2 * (7 + pictures.GAP) + 7]
    assert (third == SALT.colors[1]).all()
    assert (drawn[:, -7:] == (figures.ERROR_COLORS["correct"] if labelled else (128,) * 3)).all()


def _panel() -> pictures.Rgb:
    indices = np.arange(64, dtype=np.uint8).reshape(8, 8) % 8
    return figures.panel(indices * 100, indices, indices.T, SEEP)


def test_colours_of_errors_are_no_colours_of_classes() -> None:
    def lab(colors: object) -> np.ndarray:
        return cv2.cvtColor(np.asarray(colors, np.float32).reshape(1, -1, 3) / 255, cv2.COLOR_RGB2LAB)[0]

    classes = lab(np.concatenate([table.colors[1:] for table in TABLES.values()]))
    errors = lab([*figures.ERROR_COLORS.values(), figures.ERROR_BACKGROUND])
    # Distances in CIELAB; the eye tells some 2 apart, and a legend needs far more.
    assert np.linalg.norm(errors[:, None] - classes, axis=2).min() > 35
    assert min(np.linalg.norm(a - b) for i, a in enumerate(errors) for b in errors[:i]) > 35


def test_pictures_side_by_side_keep_their_tops() -> None:
    drawn = figures.beside([np.zeros((2, 3, 3), np.uint8), np.full((4, 1, 3), 9, np.uint8)])
    # 3 + a gap of 4 + 1 columns; two rows of white below the lower picture.
    assert drawn.shape == (4, 8, 3)
    assert (drawn[:2, :3] == 0).all() and (drawn[2:, :3] == 255).all()
    assert (drawn[:, 3:7] == 255).all() and (drawn[:, 7] == 9).all()


SAVERS: dict[str, Callable[[Path], None]] = {
    "gallery": lambda path: figures.save_gallery(path, [("one", _panel()), ("two", _panel())], SEEP),
    "examples": lambda path: figures.save_gallery(path, [("one", _panel())], SEEP, ("image", "mask over it") * 2),
    "confusion": lambda path: figures.save_confusion(path, np.diag([5, 0, 2_000_000]), ["a", "b", "c"]),
    "balance": lambda path: figures.save_class_balance(path, ["a", "b"], [10**7, 0], [3, 0]),
    "intensity": lambda path: figures.save_intensity(
        path, {"900001": np.array([0, 3, 1]), "900002": np.zeros(3)}, np.array([0.0, 1.0, 2.0, 3.0])
    ),
    "quicklook": lambda path: figures.QuickLook(50, 900).save(path, SEEP),
}


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("name", SAVERS)
def test_saved_pictures_repeat_and_leave_nothing_else(name: str, tmp_path: Path) -> None:
    for stem in ("first", "second"):
        SAVERS[name](tmp_path / f"{stem}.png")
    assert sorted(f.name for f in tmp_path.iterdir()) == ["first.png", "second.png"]
    first = (tmp_path / "first.png").read_bytes()
    assert first == (tmp_path / "second.png").read_bytes()
    assert b"matplotlib" not in first.lower()


def test_quicklook_is_thinned_and_keeps_small_findings(tmp_path: Path) -> None:
    raw, indices = np.full((90, 4001), 7), np.zeros((90, 4001), np.uint8)
    indices[30, 300] = 1
    small = figures.QuickLook(90, 4001)
    small.add_image(0, raw, np.zeros(raw.shape, bool))
    small.add_classes(0, indices)
    small.save(tmp_path / "q.png", SALT)
    picture = np.asarray(Image.open(tmp_path / "q.png").convert("RGB"))
    # 4001 pixels need steps of 3: 1334 columns and 30 rows, and below them 36 rows of legend.
    assert picture.shape == (66, 1334, 3)
    # .75 of #56B4E9 = (86, 180, 233) on black: (64.5, 135, 174.75).
    assert picture[10, 100].tolist() == [64, 135, 175]
    assert np.count_nonzero(picture[:30].any(2)) == 1


@given(st.integers(1, 60), st.integers(1, 60), st.integers(1, 20), st.integers(5, 30))
def test_strips_of_any_height_give_the_same_quick_look(height: int, width: int, rows: int, side: int) -> None:
    rng = np.random.default_rng(0)
    raw = rng.integers(1, 9, (height, width))
    valid = rng.random((height, width)) < 0.9
    classes = np.where(rng.random((height, width)) < 0.1, rng.integers(1, 8, (height, width)), 0).astype(np.uint8)
    classes[~valid] = 255
    small = figures.QuickLook(height, width, side)
    for start in range(0, height, rows):
        part = slice(start, start + rows)
        small.add_image(start, raw[part], valid[part])
        small.add_classes(start, classes[part])
    k = small.step
    assert max(small.gray.shape) <= side
    assert np.array_equal(small.gray, raw[::k, ::k])
    assert np.array_equal(small.valid, valid[::k, ::k])
    found = np.where(classes == 255, 0, classes)
    expected = [[found[y : y + k, x : x + k].max() for x in range(0, width, k)] for y in range(0, height, k)]
    assert np.array_equal(small.classes, expected)


@pytest.mark.parametrize(
    ("count", "text"), [(0, "0"), (999, "999"), (1500, "1.5k"), (12_345, "12k"), (98_123_456, "98M")]
)
def test_counts_are_shortened(count: int, text: str) -> None:
    assert canvas.short_count(count) == text
