from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tifffile

from seepseg.classes import SEEP, SEEP_BINARY
from seepseg.config import ClassNode, SeepData, TgsData
from seepseg.data.catalog import Catalog, Tile
from seepseg.data.sources import loose_tile, open_catalog, read_image, read_mask, validity, with_counts
from seepseg.errors import DataError

RAW = np.array([[[0.0, 5.0, np.nan, np.inf]]], np.float32)


@pytest.mark.parametrize(
    ("nodata", "tag", "valid"),
    [
        # null: everything is data, whatever the file says
        (None, 5.0, [1, 1, 1, 1]),
        # auto: what the file says
        ("auto", 5.0, [1, 0, 1, 1]),
        ("auto", None, [1, 1, 1, 1]),
        ("auto", float("nan"), [1, 1, 0, 0]),
        # a value: that one, not the file's
        (0.0, 5.0, [0, 1, 1, 1]),
        # nan: neither NaN nor infinite is data
        ("nan", 5.0, [1, 1, 0, 0]),
    ],
)
def test_validity(nodata: str | float | None, tag: float | None, valid: list[int]) -> None:
    assert validity(RAW, nodata, tag).astype(int).tolist() == [valid]


def test_a_pixel_is_valid_where_every_band_is() -> None:
    raw = np.array([[[0, 1, 2, 0]], [[3, 0, 4, 0]]], np.uint16)
    assert validity(raw, 0.0, None).tolist() == [[False, False, True, False]]


def tree(root: Path, image: np.ndarray, labels: np.ndarray) -> Path:
    for folder, pixels in (("train_images_256", image), ("train_masks_256", labels)):
        (root / folder).mkdir(parents=True)
        tifffile.imwrite(root / folder / "1.1.tif", pixels)
    return root


LABELS = np.array([[0, 1, 2], [3, 7, 9]], np.uint8)
IMAGE = np.array([[5, 5, 5], [5, 0, 5]], np.uint16)


def test_label_values_merge_into_classes_and_may_be_ignored(tmp_path: Path) -> None:
    root = tree(tmp_path, IMAGE, LABELS)
    classes = [ClassNode(name="thick", values=[1, 3]), ClassNode(name="thin", values=[2, 7])]
    data = SeepData(root=root, classes=classes, ignore_values=[9])
    catalog = open_catalog(data)
    assert read_mask(catalog.tiles[0], catalog, (2, 3)).tolist() == [[0, 1, 2], [1, 2, 255]]
    # Label 7 lies on no data (image 0), label 9 is ignored: 1 pixel of background, 2 of thick, 1 of thin.
    assert with_counts(catalog, data).tiles[0].pixels == (1, 2, 1)
    # Without a no-data value, label 7 counts as well.
    everything = data.model_copy(update={"nodata": None})
    assert with_counts(catalog, everything).tiles[0].pixels == (1, 2, 2)


def test_an_unknown_label_is_named_with_its_count(tmp_path: Path) -> None:
    data = SeepData(root=tree(tmp_path, IMAGE, LABELS))
    with pytest.raises(DataError, match=r"unknown label value 9 \(1 pixels\) in .*1.1.tif: known values are 0, 1, 2"):
        with_counts(open_catalog(data), data)


def test_a_mask_of_another_size_is_refused(tmp_path: Path) -> None:
    data = SeepData(root=tree(tmp_path, IMAGE, LABELS.T.copy()))
    with pytest.raises(DataError, match="mask is 3×2, image 2×3 in .*: give a mask of the image's size"):
        with_counts(open_catalog(data), data)


def test_an_unlabelled_tile_is_ignored_everywhere() -> None:
    tile = Tile("x", Path("x.tif"))
    assert read_mask(tile, Catalog((tile,), SEEP), (2, 2)).tolist() == [[255, 255], [255, 255]]


def test_run_lengths_go_down_the_columns() -> None:
    # 1-based, column by column: pixels 2 and 3 of a 2 × 2 tile are (1, 0) and (0, 1).
    tile = Tile("x", Path("x.png"), rle="2 2")
    assert read_mask(tile, Catalog((tile,), SEEP_BINARY), (2, 2)).tolist() == [[0, 1], [1, 0]]


def test_undeclared_nan_is_refused(tmp_path: Path) -> None:
    image = np.ones((2, 3), np.float32)
    image[0, 0], image[1, 2] = np.nan, -np.inf
    data = SeepData(root=tree(tmp_path, image, np.ones((2, 3), np.uint8)))
    with pytest.raises(DataError, match="2 pixels are NaN or infinite in .*1.1.tif: fix the file, or set"):
        with_counts(open_catalog(data), data)
    declared = data.model_copy(update={"nodata": "nan"})
    assert with_counts(open_catalog(declared), declared).tiles[0].pixels == (0, 4, *[0] * 6)


def test_ticks_tell_how_far_it_is(seep_root: Path) -> None:
    data = SeepData(root=seep_root)
    catalog = open_catalog(data)
    few = catalog.subset([t.id for t in catalog.tiles[:3]])
    told: list[tuple[int, int]] = []
    with_counts(few, data, lambda done, of: told.append((done, of)))
    assert told == [(1, 3), (2, 3), (3, 3)]


def test_black_salt_tiles_are_data(salt_root: Path) -> None:
    data = TgsData(root=salt_root)
    for tile in open_catalog(data).tiles:
        assert read_image(tile.image, data)[1].all()


def test_where_a_loose_file_belongs(tmp_path: Path) -> None:
    seep, salt = SeepData(root=tmp_path, grid={"0418": 19}), TgsData(root=tmp_path)
    cell = loose_tile(Path("x/041870.000012.tif"), seep, "deep/041870.000012")
    assert (cell.id, cell.group, cell.cell, cell.labelled) == ("deep/041870.000012", "041870", (0, 12), False)
    other = loose_tile(Path("x/0a1b.png"), salt, "0a1b")
    assert (other.group, other.cell) == ("0a1b", None)
    # A scene whose width nobody gave, and a name without a cell.
    assert loose_tile(Path("045590.000001.tif"), seep, "a").cell is None
    assert loose_tile(Path("041870.tif"), seep, "b").cell is None


def test_a_root_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(DataError) as caught:
        open_catalog(SeepData(root=tmp_path / "none"))
    assert str(caught.value) == (
        f"no such data folder in {tmp_path / 'none'}: put the data there, or set data.root=FOLDER"
    )
