from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from seepseg.config import TgsData
from seepseg.data.sources import read_mask
from seepseg.data.tgs import index_tgs, read_tgs_image, read_tgs_mask
from seepseg.errors import DataError


@pytest.fixture
def root(salt_root: Path, tmp_path: Path) -> Path:
    """A copy of the salt tree that a test may change."""
    shutil.copytree(salt_root, tmp_path / "salt")
    return tmp_path / "salt"


def test_masks_are_equal_as_pictures_and_as_runs(salt_root: Path) -> None:
    pictures = index_tgs(TgsData(root=salt_root))
    runs = index_tgs(TgsData(root=salt_root, masks="rle"))
    assert [t.id for t in pictures.tiles] == [t.id for t in runs.tiles]
    assert len(pictures) == 40
    salty = 0
    for picture, run in zip(pictures.tiles, runs.tiles, strict=True):
        a, b = (read_mask(t, c, (101, 101)) for t, c in ((picture, pictures), (run, runs)))
        assert np.array_equal(a, b)
        salty += int(a.any())
    # 39 % of 40 tiles are empty: round(15.6) = 16.
    assert salty == 24


def test_every_tile_is_its_own_group_and_has_its_depth(salt_root: Path) -> None:
    rows = dict(line.split(",") for line in (salt_root / "depths.csv").read_text().splitlines()[1:])
    for tile in index_tgs(TgsData(root=salt_root)).tiles:
        assert tile.group == tile.id
        assert tile.depth == float(rows[tile.id])


def test_depths_and_masks_may_be_missing_altogether(root: Path) -> None:
    (root / "depths.csv").unlink()
    shutil.rmtree(root / "train" / "masks")
    tiles = index_tgs(TgsData(root=root)).tiles
    assert {(t.depth, t.labelled) for t in tiles} == {(None, False)}


def test_a_byte_order_mark_and_windows_line_ends_change_nothing(root: Path) -> None:
    before = index_tgs(TgsData(root=root, masks="rle"))
    for name in ("train.csv", "depths.csv"):
        text = (root / name).read_bytes().replace(b"\n", b"\r\n")
        (root / name).write_bytes(b"\xef\xbb\xbf" + text)
    assert index_tgs(TgsData(root=root, masks="rle")) == before


def rows(root: Path) -> list[str]:
    return (root / "train.csv").read_text().splitlines()


def test_tables_that_do_not_fit_are_refused(root: Path) -> None:
    table = root / "train.csv"
    header, first, *rest = rows(root)
    name = first.split(",")[0]
    cases = {
        f"1 ids stand twice ({name}) in {table}: keep one row for each id": [header, first, first, *rest],
        f"1 images have no mask ({name}) in {table}: add or remove the odd ones": [header, *rest],
        f"1 masks have no image (zzz) in {table}: add or remove the odd ones": [header, "zzz,1 2", first, *rest],
        f"columns are id, mask in {table}: it needs id and rle_mask": ["id,mask", first, *rest],
    }
    for message, lines in cases.items():
        table.write_text("\n".join(lines))
        with pytest.raises(DataError) as caught:
            index_tgs(TgsData(root=root, masks="rle"))
        assert str(caught.value) == message
    table.unlink()
    with pytest.raises(DataError, match="no such table"):
        index_tgs(TgsData(root=root, masks="rle"))


def test_a_missing_mask_picture_and_an_odd_depth_are_named(root: Path) -> None:
    victim = min((root / "train" / "masks").iterdir())
    victim.unlink()
    with pytest.raises(DataError) as caught:
        index_tgs(TgsData(root=root))
    assert str(caught.value).startswith(f"1 images have no mask ({victim.stem}) in ")
    (root / "depths.csv").write_text(f"id,z\n{victim.stem},deep\n")
    with pytest.raises(DataError) as caught:
        index_tgs(TgsData(root=root))
    assert str(caught.value) == f"depth of {victim.stem} is 'deep' in {root / 'depths.csv'}: give a number"


def test_masks_of_any_depth_are_above_zero(tmp_path: Path) -> None:
    truth = np.array([[0, 1], [1, 0]], np.uint8)
    for number, values in enumerate([truth * 255, truth.astype(np.uint16) * 65535, truth]):
        path = tmp_path / f"{number}.png"
        Image.fromarray(values).save(path)
        assert np.array_equal(read_tgs_mask(path), truth)


def test_images_are_one_band_of_eight_bits(salt_root: Path) -> None:
    image = read_tgs_image(index_tgs(TgsData(root=salt_root)).tiles[0].image)
    assert (image.shape, image.dtype.name) == ((1, 101, 101), "uint8")
