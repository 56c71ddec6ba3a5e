from __future__ import annotations

from pathlib import Path

import numpy as np
import tifffile
import torch
from hypothesis import given
from hypothesis import strategies as st

from seepseg.config import Sampling, Scaling, SeepData
from seepseg.data.augment import Arrays
from seepseg.data.dataset import Draw, TileDataset
from seepseg.data.mosaic import assemble, cells, clusters, columns_of, overlaps
from seepseg.data.scaling import FittedScaling
from seepseg.data.sources import open_catalog
from seepseg.objects import label_objects


def test_the_longest_beginning_of_a_name_counts() -> None:
    grid = {"0418": 19, "04": 7}
    assert [columns_of(name, grid) for name in ("041870", "0455", "x")] == [19, 7, None]


def test_tiles_go_to_their_cells() -> None:
    # Three columns; the tiles are cells (1, 1), (1, 2) and (2, 1), so the plane begins at row 1, column 1.
    tiles = {4: np.full((2, 3), 0.5), 5: np.full((1, 2), 0.25), 7: np.full((2, 3), 0.75)}
    plane = assemble(tiles, 3, missing=9)
    assert plane.tolist() == [
        [0.5, 0.5, 0.5, 0.25, 0.25, 9],
        [0.5, 0.5, 0.5, 9, 9, 9],
        [0.75, 0.75, 0.75, 9, 9, 9],
        [0.75, 0.75, 0.75, 9, 9, 9],
    ]
    places, shape = cells({index: tile.shape for index, tile in tiles.items()}, 3)
    assert shape == (4, 6)
    assert all(np.array_equal(plane[places[index]], tile) for index, tile in tiles.items())


@given(st.integers(0, 11), st.integers(-3, 3), st.integers(-4, 4))
def test_a_moved_window_is_cut_from_the_grid(index: int, down: int, right: int) -> None:
    # Three rows of four cells of 6 × 8 pixels, each pixel its own number, and a frame of nothing around.
    grid = np.arange(18 * 32).reshape(18, 32)
    framed = np.pad(grid, ((6, 6), (8, 8)), constant_values=-1)
    row, column = divmod(index, 4)
    y, x = 6 + row * 6 + down, 8 + column * 8 + right
    window = np.full((6, 8), -1)
    for cell, there, here in overlaps(index, 4, (6, 8), (down, right)):
        if cell < 12:
            r, c = divmod(cell, 4)
            window[here] = grid[r * 6 : r * 6 + 6, c * 8 : c * 8 + 8][there]
    assert np.array_equal(window, framed[y : y + 6, x : x + 8])


def unchanged(*arrays: object) -> Arrays:
    return arrays[:3]  # type: ignore[return-value]


def test_random_windows_show_the_scene_as_it_is(tmp_path: Path) -> None:
    scene = np.random.default_rng(0).integers(1, 200, (24, 24)).astype(np.uint8)
    truth = (scene > 100).astype(np.uint8)
    for index in (0, 1, 2, 3, 5, 8):  # three columns of 8 × 8; 4, 6 and 7 are missing
        row, column = divmod(index, 3)
        part = np.s_[row * 8 : row * 8 + 8, column * 8 : column * 8 + 8]
        for folder, plane in (("train_images_256", scene), ("train_masks_256", truth)):
            (tmp_path / folder).mkdir(exist_ok=True)
            tifffile.imwrite(tmp_path / folder / f"s.{index:02d}.tif", plane[part])
    missing = np.zeros((40, 40), bool)
    missing[8:32, 8:32] = True
    for index in (0, 1, 2, 3, 5, 8):
        row, column = divmod(index, 3)
        missing[8 + row * 8 : 16 + row * 8, 8 + column * 8 : 16 + column * 8] = False
    missing[:8], missing[32:], missing[:, :8], missing[:, 32:] = True, True, True, True
    framed = np.where(missing, 0, np.pad(scene, 8)).astype(np.float32)
    data = SeepData(root=tmp_path, grid={"s": 3}, sampling=Sampling(windows="random"))
    scaling = FittedScaling(Scaling(basis="fixed", range=(0, 200)), ((0.0,), (200.0,)), (0.0,), (1.0,))
    samples = TileDataset(open_catalog(data), data, scaling, {}, unchanged)
    places = set()
    for seed in range(200):
        sample = samples[Draw(0, seed)]
        image = sample["image"][0].numpy() * 200
        # Tile 0 lies at (8, 8) of the frame; its windows begin up to four pixels beside it.
        fits = [
            (y, x)
            for y in range(4, 13)
            for x in range(4, 13)
            if np.allclose(framed[y : y + 8, x : x + 8], image, atol=1e-3)
        ]
        ((y, x),) = fits
        places.add((y, x))
        known = ~missing[y : y + 8, x : x + 8]
        assert np.array_equal(sample["valid"].numpy(), known)
        expected = np.where(known, np.pad(truth, 8)[y : y + 8, x : x + 8], 255)
        assert np.array_equal(sample["mask"].numpy(), expected)
    assert len(places) > 60
    # Without a seed, or without augmentation as in validation, a draw is the tile.
    assert torch.equal(samples[Draw(0)]["mask"], torch.from_numpy(truth[:8, :8].astype(np.int64)))
    validation = TileDataset(open_catalog(data), data, scaling, {})
    assert torch.equal(validation[Draw(0, 5)]["mask"], samples[Draw(0)]["mask"])


def test_cells_that_touch_belong_together() -> None:
    # A grid of four columns:  0 . . 3
    #                          . 5 . .
    #                          8 . . .    0, 5 and 8 touch at corners; 3 stands alone, and 4 is not beside it.
    assert clusters([8, 3, 0, 5], 4) == [[0, 5, 8], [3]]
    assert clusters([3, 4], 4) == [[3], [4]]
    assert clusters([], 4) == []


@given(st.sets(st.integers(0, 19), min_size=1), st.integers(1, 6))
def test_clusters_are_components_of_the_grid(cells: set[int], columns: int) -> None:
    plane = np.zeros((20, columns), np.uint8)
    for cell in cells:
        plane[divmod(cell, columns)] = 1
    labels, count = label_objects(plane)
    found = clusters(cells, columns)
    assert sorted(cell for group in found for cell in group) == sorted(cells)
    assert len(found) == count == len({tuple({int(labels[divmod(c, columns)]) for c in g}) for g in found})


def test_planes_of_any_kind() -> None:
    plane = assemble({1: np.full((1, 2), 0.5, np.float32), 4: np.ones((1, 1), np.float32)}, 3, np.nan)
    assert plane.dtype == np.float32
    assert np.nan_to_num(plane, nan=-1).tolist() == [[0.5, 0.5], [1, -1]]
