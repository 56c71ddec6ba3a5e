from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from seepseg.objects.components import label_objects
from seepseg.objects.features import FEATURES, REACH, WIDEST, features_in, object_boxes, object_features


def chequered(shape: tuple[int, int]) -> NDArray[np.float32]:
    """Sea of mean .5 and spread .1: squares of one pixel, .4 and .6."""
    return np.where(np.indices(shape).sum(0) % 2, 0.4, 0.6).astype(np.float32)


def random_scene(seed: int, shape: tuple[int, int]) -> tuple[NDArray[np.float32], NDArray[np.uint8]]:
    """Noise with dark boxes that are objects, and a corner without data."""
    rng = np.random.default_rng(seed)
    image = rng.uniform(0.4, 0.6, shape).astype(np.float32)
    classes = np.zeros(shape, np.uint8)
    for _ in range(shape[0] * shape[1] // 8000):
        y, x, h, w = *(rng.integers(0, s - 20) for s in shape), *rng.integers(2, 40, 2)
        image[y : y + h, x : x + w] -= 0.2
        classes[y : y + h, x : x + w] = rng.integers(1, 8)
    classes[: shape[0] // 4, : shape[1] // 4] = 255
    image[classes == 255] = 0
    return image, classes


def test_an_object_worked_by_hand() -> None:
    image, classes = chequered((300, 320)), np.zeros((300, 320), np.uint8)
    image[100:104, 120:140], classes[100:104, 120:140] = 0.2, 1
    # A neighbour of 3 × 5 pixels, its first row 21 rows below the object's last one, and one beyond REACH.
    image[124:127, 120:125], classes[124:127, 120:125] = 0.3, 2
    image[298:300, 0:2], classes[298:300, 0:2] = 0.3, 3
    found = dict(zip(FEATURES, object_features(image, classes)[0].tolist(), strict=True))
    # Columns 0 … 19 have the variance (20² − 1)/12, with the pixels' own width 20²/12: length 4 · 20/√12.
    length = 4 * 20 / np.sqrt(12)
    expected = {
        "log_area": np.log1p(80),
        "log_length": np.log1p(length),
        "log_width": np.log1p(80 / length),
        "elongation": 4 / 20,
        "orientation_cos": 0.8,
        "orientation_sin": 0,
        "solidity": 1,
        # 48 sides of pixels, times π/4
        "compactness": 4 * np.pi * 80 / (12 * np.pi) ** 2,
        "log_thickness": np.log1p(2),
        "log_holes": 0,
        "cut": 0,
        # .5 − .2 in spreads of .1; .2 / .5; all of it equally dark
        "contrast": 3,
        "damping": 0.4,
        "darkest": 3,
        "spread": 0,
        "sea_level": 0.5,
        "sea_spread": 0.2,
        "sea_known": 1,
        "neighbour_distance": 21,
        "neighbours_near": 1,
        "neighbours": 1,
        "log_neighbour_area": np.log1p(15),
        "log_neighbour_size": np.log1p(15),
        # .3 − .2 in spreads
        "neighbour_likeness": 1,
    }
    assert {k: found[k] for k in expected} == pytest.approx(expected, rel=0.02, abs=0.01)


def test_holes_edges_and_no_data() -> None:
    image, classes = chequered((60, 60)), np.zeros((60, 60), np.uint8)
    classes[20:25, 20:25] = 1
    classes[22, 22] = 0
    classes[40:50, 0:4] = 2  # on the edge of the scene: 10 + 2 · 1 of its 24 outline pixels touch it
    classes[40:50, 30:34], classes[40:50, 34:] = 3, 255  # the same beside no data
    found = [dict(zip(FEATURES, row, strict=True)) for row in object_features(image, classes)]
    assert found[0]["log_holes"] == pytest.approx(np.log1p(1))
    assert [f["cut"] for f in found] == pytest.approx([0, 10 / 24, 10 / 24])
    # The scene is smaller than REACH, so all objects see the same 260 pixels without data around them.
    sizes = (24, 40, 40)
    assert [f["sea_known"] for f in found] == pytest.approx([1 - 260 / (3600 - n) for n in sizes], rel=1e-4)


def test_a_quarter_turn_changes_the_orientation_alone() -> None:
    image, classes = random_scene(4, (220, 200))
    here = object_features(image, classes)
    there = object_features(np.rot90(image).copy(), np.rot90(classes).copy())
    turned = {f: i for i, f in enumerate(FEATURES) if f.startswith("orientation")}
    # cos 2(θ + 90°) = −cos 2θ
    here[:, list(turned.values())] *= -1

    # The order of objects changes, their areas tell which is which.
    def ordered(table: NDArray[np.float32]) -> NDArray[np.float32]:
        return table[np.lexsort(table[:, [7, 0]].round(3).T)]

    assert len(here) > 3
    np.testing.assert_allclose(ordered(here), ordered(there), rtol=1e-3, atol=1e-3)


def test_what_is_farther_than_the_reach_does_not_matter() -> None:
    image, classes = chequered((60, 2 * REACH + 130)), np.zeros((60, 2 * REACH + 130), np.uint8)
    middle = REACH + 60
    image[20:30, middle : middle + 8], classes[20:30, middle : middle + 8] = 0.2, 1
    before = object_features(image, classes)[0]
    image[:, : middle - REACH - 1], classes[:, 10:20] = 0.9, 2
    classes[:, middle + 8 + REACH + 1 :] = 255
    labels_of = object_features(image, classes)
    assert len(labels_of) == 2
    assert np.array_equal(before, labels_of[1])


def test_no_object_has_no_row_and_one_without_sea_is_described_all_the_same() -> None:
    assert object_features(np.zeros((9, 9), np.float32), np.zeros((9, 9), np.uint8)).shape == (0, len(FEATURES))
    full = object_features(np.full((9, 9), 0.5, np.float32), np.ones((9, 9), np.uint8))
    assert np.isfinite(full).all()
    single = object_features(np.zeros((1, 1), np.float32), np.ones((1, 1), np.uint8))
    assert np.isfinite(single).all()


def test_a_window_ends_where_the_scene_does() -> None:
    # The first pixel of the object is (5, 510); its box is rows 5–7, columns 500–599.
    classes = np.zeros((9, 2000), np.uint8)
    classes[5, 510], classes[6:8, 500:600] = 1, 1
    windows = []

    def read(rows: slice, columns: slice) -> tuple[NDArray[np.float32], NDArray[np.uint8]]:
        windows.append((rows, columns))
        return np.zeros((9, columns.stop - columns.start), np.float32), classes[rows, columns]

    boxes = object_boxes(label_objects(classes)[0])
    assert boxes.tolist() == [[5 * WIDEST + 510, 500, -8, -600]]
    features_in(boxes, classes.shape, read)
    assert windows == [(slice(0, 9), slice(500 - REACH, 600 + REACH))]


def test_an_object_too_large_to_look_at_is_not_described(monkeypatch: pytest.MonkeyPatch) -> None:
    # A window of 64 pixels, and one of 63.
    monkeypatch.setattr("seepseg.objects.features.LARGEST", 63)
    assert not np.isnan(object_features(np.zeros((7, 9), np.float32), np.ones((7, 9), np.uint8))).any()
    features = object_features(np.zeros((8, 8), np.float32), np.ones((8, 8), np.uint8))
    assert features.shape == (1, len(FEATURES))
    assert np.isnan(features).all()
