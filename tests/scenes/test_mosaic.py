from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import tifffile
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from seepseg.config import Augment, Scaling, SeepData
from seepseg.data.augment import build_augmentation
from seepseg.data.dataset import Draw, TileDataset
from seepseg.data.scaling import MeasuredScaling
from seepseg.data.source import source_of
from seepseg.objects.components import label_objects
from seepseg.scenes.mosaic import Cell, assemble, clusters, framed, places


def test_tiles_go_to_their_cells() -> None:
    # The plane begins at row 1, column 1, where the first tile is.
    tiles = {(1, 1): np.full((2, 3), 0.5), (1, 2): np.full((1, 2), 0.25), (2, 1): np.full((2, 3), 0.75)}
    plane = assemble(tiles, missing=9)
    assert plane.tolist() == [
        [0.5, 0.5, 0.5, 0.25, 0.25, 9],
        [0.5, 0.5, 0.5, 9, 9, 9],
        [0.75, 0.75, 0.75, 9, 9, 9],
        [0.75, 0.75, 0.75, 9, 9, 9],
    ]
    slices, shape = places({cell: tile.shape for cell, tile in tiles.items()})
    assert shape == (4, 6)
    assert all(np.array_equal(plane[slices[cell]], tile) for cell, tile in tiles.items())


# Up to three cells away: margins may be larger than a tile.
@given(st.integers(0, 11), st.integers(0, 20))
def test_a_margin_is_cut_from_the_grid(index: int, margin: int) -> None:
    # Three rows of four cells of 6 × 8 pixels, each pixel its own number, and a frame of nothing around.
    grid = np.arange(18 * 32).reshape(18, 32)
    around = np.pad(grid, 20, constant_values=-1)
    row, column = divmod(index, 4)

    def planes(cell: Cell) -> list[NDArray[np.int64]]:
        r, c = cell
        plane = grid[r * 6 : r * 6 + 6, c * 8 : c * 8 + 8]
        return [plane, np.stack([plane, -plane])]

    def beside(cell: Cell) -> list[NDArray[np.int64]] | None:
        return planes(cell) if 0 <= cell[0] < 3 and 0 <= cell[1] < 4 else None

    one, two = framed(planes((row, column)), beside, (row, column), margin, (-1, 0))
    y, x = 20 + row * 6 - margin, 20 + column * 8 - margin
    expected = around[y : y + 6 + 2 * margin, x : x + 8 + 2 * margin]
    assert np.array_equal(one, expected)
    assert np.array_equal(two, np.where(expected < 0, 0, np.stack([expected, -expected])))
    (alone,) = framed(planes((row, column))[:1], beside, None, margin, (-1,))
    assert np.array_equal(alone, np.pad(planes((row, column))[0], margin, constant_values=-1))


def test_a_cell_of_another_size_is_left_out() -> None:
    # It would not be known where in its cell it lies.
    cells = {(0, 1): [np.full((2, 1), 7)], (1, 0): [np.full((2, 2), 8)]}
    (plane,) = framed([np.full((2, 2), 5)], cells.get, (0, 0), 1, (9,))
    assert plane.tolist() == [[9, 9, 9, 9], [9, 5, 5, 9], [9, 5, 5, 9], [9, 8, 8, 9]]
    # A larger number would wrap around in a smaller type.
    (plane,) = framed([np.full((2, 2), 5, np.uint8)], {(0, 1): [np.full((2, 2), 360)]}.get, (0, 0), 1, (9,))
    assert plane.max() == 9


def scene_of_tiles(root: Path) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """A scene of three columns of 8 × 8 tiles as files, 4, 6 and 7 missing: pixels and truth of the whole."""
    scene = np.random.default_rng(0).integers(1, 200, (24, 24)).astype(np.uint8)
    truth = (scene > 100).astype(np.uint8)
    for index in (0, 1, 2, 3, 5, 8):  # three columns of 8 × 8; 4, 6 and 7 are missing
        row, column = divmod(index, 3)
        part = np.s_[row * 8 : row * 8 + 8, column * 8 : column * 8 + 8]
        for folder, plane in (("train_images_256", scene), ("train_masks_256", truth)):
            (root / folder).mkdir(exist_ok=True)
            tifffile.imwrite(root / folder / f"s.{index:02d}.tif", plane[part])
    return scene, truth


def test_a_margin_shows_the_neighbours_and_changes_no_truth(tmp_path: Path) -> None:
    scene, truth = scene_of_tiles(tmp_path)
    known = np.ones((24, 24), bool)
    known[8:16, 8:16] = known[16:24, :16] = False
    around = np.pad(np.where(known, scene, 0), 8)
    data = SeepData(root=tmp_path, grid={"s": 3})
    scaling = MeasuredScaling(Scaling(basis="fixed", range=(0, 200)), ((0.0,), (200.0,)), (0.0,), (1.0,))
    samples = TileDataset(source_of(data).catalog(), source_of(data), scaling, {}, margin=3)
    for number, tile in enumerate(samples.catalog.tiles):
        assert tile.cell
        row, column = tile.cell
        sample = samples[Draw(number)]
        part = np.s_[row * 8 + 5 : row * 8 + 19, column * 8 + 5 : column * 8 + 19]
        assert np.allclose(sample["image"][0].numpy() * 200, around[part], atol=1e-3)
        own = np.s_[row * 8 : row * 8 + 8, column * 8 : column * 8 + 8]
        assert np.array_equal(sample["mask"].numpy(), truth[own])
        assert sample["valid"].all()
    # What is drawn to train on has none.
    plain = build_augmentation(Augment())
    assert TileDataset(samples.catalog, source_of(data), scaling, {}, plain, 3)[Draw(0, 1)]["image"].shape == (1, 8, 8)
    # Tiles that are each scaled on their own would show a seam.
    own_scaling = replace(scaling, config=Scaling(basis="tile"), limits=None)
    assert TileDataset(samples.catalog, source_of(data), own_scaling, {}, margin=3)[Draw(0)]["image"].shape == (1, 8, 8)


def test_cells_that_touch_belong_together() -> None:
    # a . . d
    # . b . .
    # c . . .    a, b and c touch at corners; d stands alone, and the first cell of the next row is not beside it.
    assert clusters([(2, 0), (0, 3), (0, 0), (1, 1)]) == [[(0, 0), (1, 1), (2, 0)], [(0, 3)]]
    assert clusters([(0, 3), (1, 0)]) == [[(0, 3)], [(1, 0)]]
    assert clusters([]) == []


@given(st.sets(st.tuples(st.integers(0, 9), st.integers(0, 5)), min_size=1))
def test_clusters_are_components_of_the_grid(cells: set[Cell]) -> None:
    plane = np.zeros((10, 6), np.uint8)
    for cell in cells:
        plane[cell] = 1
    labels, count = label_objects(plane)
    found = clusters(cells)
    assert sorted(cell for group in found for cell in group) == sorted(cells)
    assert len(found) == count == len({tuple({int(labels[c]) for c in g}) for g in found})


def test_planes_of_any_kind() -> None:
    plane = assemble({(0, 1): np.full((1, 2), 0.5, np.float32), (1, 1): np.ones((1, 1), np.float32)}, np.nan)
    assert plane.dtype == np.float32
    assert np.nan_to_num(plane, nan=-1).tolist() == [[0.5, 0.5], [1, -1]]
