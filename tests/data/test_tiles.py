from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
import tifffile

from seepseg.classes import SEEP
from seepseg.config import SeepData
from seepseg.data.catalog import Catalog
from seepseg.data.source import read_pixels
from seepseg.data.tiles import TilesSource, place_in, read_labels
from seepseg.errors import DataError

IMAGES, MASKS = "train_images_256", "train_masks_256"


def cataloged(data: SeepData) -> Catalog:
    return TilesSource(data).catalog()


def write(root: Path, *names: str, masks: bool = True) -> SeepData:
    for folder in (IMAGES, MASKS)[: 1 + masks]:
        (root / folder).mkdir(parents=True)
        for name in names:
            tifffile.imwrite(root / folder / f"{name}.tif", np.zeros((4, 4), np.uint8))
    return SeepData(root=root)


def test_images_are_paired_with_masks_and_sorted(tmp_path: Path) -> None:
    catalog = cataloged(write(tmp_path, "041870.000022", "030001.000003"))
    assert [(t.id, t.group, t.cell) for t in catalog.tiles] == [
        ("030001.000003", "030001", None),
        ("041870.000022", "041870", (1, 3)),
    ]
    for tile in catalog.tiles:
        assert tile.mask == tmp_path / MASKS / tile.image.name
    assert len(catalog.classes) == 8


def test_tiles_of_a_scene_follow_each_other_by_cell_whatever_their_names_begin_with(tmp_path: Path) -> None:
    data = write(tmp_path, "0_b", "1_a", "2_b", "10_a", "2_a")
    data = data.model_copy(update={"name_pattern": r"^(?P<index>\d+)_(?P<group>.+)$", "grid": {"": 20}})
    assert [t.id for t in cataloged(data).tiles] == ["1_a", "2_a", "10_a", "0_b", "2_b"]


def test_without_a_mask_folder_tiles_are_unlabelled(tmp_path: Path) -> None:
    catalog = cataloged(write(tmp_path, "1.1", masks=False))
    assert [t.labelled for t in catalog.tiles] == [False]


def test_scene_and_cell_come_from_the_name() -> None:
    data = SeepData(root=Path(), grid={"0418": 19, "04": 7})
    # Rows of 19: 22 = 1 · 19 + 3. The longest key that a scene's name begins with counts: 22 = 3 · 7 + 1.
    assert place_in("041870.000022", data) == ("041870", (1, 3))
    assert place_in("045590.000022", data) == ("045590", (3, 1))
    assert place_in("s1.orbit.7", data) == ("s1.orbit", None)
    # A name of another form is a scene of its own.
    assert place_in("scene", data) == ("scene", None)
    by_day = SeepData(root=Path(), name_pattern=r"^(?P<group>\d{8})_")
    assert place_in("20200131_x", by_day) == ("20200131", None)


@pytest.mark.parametrize(
    ("gone", "says"),
    [
        (f"{MASKS}/1.1.tif", r"1 images without a mask \(1.1\) in .*masks"),
        (f"{IMAGES}/1.1.tif", r"1 masks without an image \(1.1\) in .*images"),
    ],
)
def test_odd_ones_are_named(tmp_path: Path, gone: str, says: str) -> None:
    data = write(tmp_path, "1.1", "1.2")
    (tmp_path / gone).unlink()
    with pytest.raises(DataError) as caught:
        cataloged(data)
    assert re.match(says, str(caught.value))


def test_no_images_at_all(tmp_path: Path) -> None:
    with pytest.raises(DataError) as caught:
        cataloged(SeepData(root=tmp_path))
    assert str(caught.value).startswith(f"no folder of images in {tmp_path / IMAGES}: ")
    with pytest.raises(DataError) as caught:
        cataloged(write(tmp_path))
    assert str(caught.value).startswith(f"no TIFF, PNG or JPEG tiles in {tmp_path / IMAGES}: ")


def test_bands_and_the_own_no_data_value_are_read(tmp_path: Path) -> None:
    path = tmp_path / "x.tif"
    pixels = np.arange(24, dtype=np.uint16).reshape(2, 3, 4)
    tifffile.imwrite(
        path, pixels, planarconfig="separate", photometric="minisblack", extratags=[(42113, 2, 0, "7", True)]
    )
    raw, valid = read_pixels(TilesSource(SeepData(root=tmp_path, bands=[2, 1])), path)
    assert np.array_equal(raw, pixels[::-1])
    # The file's own value is 7, the config's 0: pixel 0 and pixel 7 of the first band.
    assert np.argwhere(~valid).tolist() == [[0, 0], [1, 3]]


def test_masks_are_one_band_of_whole_numbers(tmp_path: Path) -> None:
    path = tmp_path / "m.tif"
    tifffile.imwrite(path, np.array([[0, 7]], np.uint16))
    assert read_labels(path, (1, 2), SEEP).values.tolist() == [[0, 7]]
    tifffile.imwrite(path, np.array([[0, 7]], np.float32))
    with pytest.raises(DataError) as caught:
        read_labels(path, (1, 2), SEEP)
    assert str(caught.value) == f"mask holds float32 values in {path}: save class values as uint8, or give at_least"
