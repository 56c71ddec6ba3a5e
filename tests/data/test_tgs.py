from __future__ import annotations

import shutil
from pathlib import Path

import imagecodecs
import numpy as np
import pytest
from PIL import Image

from seepseg.config import TgsData
from seepseg.data.catalog import Tile
from seepseg.data.scan import with_counts
from seepseg.data.source import read_mask, read_pixels, source_of
from seepseg.data.tgs import TgsSource
from seepseg.data.tiles import Labels
from seepseg.errors import DataError


@pytest.fixture
def root(salt_root: Path, tmp_path: Path) -> Path:
    """A copy of the salt tree that a test may change."""
    shutil.copytree(salt_root, tmp_path / "salt")
    return tmp_path / "salt"


def test_masks_are_equal_as_pictures_and_as_runs(salt_root: Path) -> None:
    pictures = TgsSource(TgsData(root=salt_root)).catalog()
    runs = TgsSource(TgsData(root=salt_root, masks="rle")).catalog()
    assert [t.id for t in pictures.tiles] == [t.id for t in runs.tiles]
    assert len(pictures) == 40
    salty = 0
    for picture, run in zip(pictures.tiles, runs.tiles, strict=True):
        a, b = (read_mask(TgsSource(TgsData(root=salt_root)), t, (101, 101)) for t in (picture, run))
        assert np.array_equal(a, b)
        salty += int(a.any())
    # 39 % of 40 tiles are empty: round(15.6) = 16.
    assert salty == 24


def test_every_tile_is_its_own_group_and_has_its_depth(salt_root: Path) -> None:
    rows = dict(line.split(",") for line in (salt_root / "depths.csv").read_text().splitlines()[1:])
    for tile in TgsSource(TgsData(root=salt_root)).catalog().tiles:
        assert tile.group == tile.id
        assert tile.depth == float(rows[tile.id])


def test_depths_and_masks_may_be_missing_altogether(root: Path) -> None:
    (root / "depths.csv").unlink()
    shutil.rmtree(root / "train" / "masks")
    tiles = TgsSource(TgsData(root=root)).catalog().tiles
    assert {(t.depth, t.labelled) for t in tiles} == {(None, False)}


def test_a_byte_order_mark_and_windows_line_ends_change_nothing(root: Path) -> None:
    before = TgsSource(TgsData(root=root, masks="rle")).catalog()
    for name in ("train.csv", "depths.csv"):
        text = (root / name).read_bytes().replace(b"\n", b"\r\n")
        (root / name).write_bytes(b"\xef\xbb\xbf" + text)
    assert TgsSource(TgsData(root=root, masks="rle")).catalog() == before


def rows(root: Path) -> list[str]:
    return (root / "train.csv").read_text().splitlines()


def test_tables_that_do_not_fit_are_refused(root: Path) -> None:
    table = root / "train.csv"
    header, first, *rest = rows(root)
    name = first.split(",")[0]
    cases = {
        f"1 ids are repeated ({name}) in {table}: keep one row for each id": [header, first, first, *rest],
        f"1 images without a mask ({name}) in {table}: add or remove the odd ones": [header, *rest],
        f"1 masks without an image (zzz) in {root / 'train' / 'images'}: add or remove the odd ones": [
            header,
            "zzz,1 2",
            first,
            *rest,
        ],
        f"columns are id, mask in {table}: it needs id and rle_mask": ["id,mask", first, *rest],
        f"columns are none in {table}: it needs id and rle_mask": [],
        f"a row has no id in {table}: fix the row": [header, ",1 2", first, *rest],
        # One cell too many in every row, and pandas would have taken the ids for an index.
        f"row 2 has 3 cells, the header 2 in {table}: fix the row": [header, *(f"{r},x" for r in (first, *rest))],
        f"row 3 has 1 cells, the header 2 in {table}: fix the row": [header, first, "abc", *rest],
    }
    for message, lines in cases.items():
        table.write_text("\n".join(lines))
        with pytest.raises(DataError) as caught:
            TgsSource(TgsData(root=root, masks="rle")).catalog()
        assert str(caught.value) == message
    table.unlink()
    with pytest.raises(DataError, match="no such table"):
        TgsSource(TgsData(root=root, masks="rle")).catalog()


def test_a_missing_mask_picture_and_an_odd_depth_are_named(root: Path) -> None:
    victim = min((root / "train" / "masks").iterdir())
    victim.unlink()
    with pytest.raises(DataError) as caught:
        TgsSource(TgsData(root=root)).catalog()
    assert str(caught.value).startswith(f"1 images without a mask ({victim.stem}) in ")
    table = root / "depths.csv"
    lines = table.read_text().splitlines()
    for odd in ("deep", "nan", "inf", ""):
        table.write_text("\n".join(f"{victim.stem},{odd}" if x.startswith(victim.stem) else x for x in lines))
        with pytest.raises(DataError) as caught:
            TgsSource(TgsData(root=root)).catalog()
        assert str(caught.value) == f"depth of {victim.stem} is {odd!r} in {table}: give a number"
    table.write_text("\n".join(x for x in lines if not x.startswith(victim.stem)))
    with pytest.raises(DataError) as caught:
        TgsSource(TgsData(root=root)).catalog()
    assert str(caught.value) == (f"1 images have no depth ({victim.stem}) in {table}: add them, or remove the table")


def test_masks_of_any_depth_are_above_zero(tmp_path: Path) -> None:
    truth = np.array([[0, 1], [1, 0]], np.uint8)
    for number, values in enumerate([truth * 255, truth.astype(np.uint16) * 65535, truth]):
        path = tmp_path / f"{number}.png"
        Image.fromarray(values).save(path)
        labels = TgsSource(TgsData(root=tmp_path)).labels(Tile("x", path, path), (2, 2))
        assert isinstance(labels, Labels)
        assert np.array_equal(labels.values, truth)
        assert not labels.ignored.any()


@pytest.mark.parametrize("one", [{"values": [255]}, {"at_least": 128}])
def test_classes_of_the_config_mean_the_values_of_the_masks(tmp_path: Path, one: dict[str, object]) -> None:
    data = TgsData.model_validate({"root": tmp_path, "classes": [{"name": "salt", **one}]})
    path = tmp_path / "x.png"
    Image.fromarray(np.array([[0, 255], [255, 0]], np.uint8)).save(path)
    assert read_mask(TgsSource(data), Tile("x", path, path), (2, 2)).tolist() == [[0, 1], [1, 0]]


def test_images_are_one_band_of_eight_bits(salt_root: Path) -> None:
    source = TgsSource(TgsData(root=salt_root))
    image, valid = read_pixels(source, source.catalog().tiles[0])
    assert (image.shape, image.dtype.name) == ((1, 101, 101), "uint8")
    assert valid.all()


def test_a_sixteen_bit_image_is_on_the_scale_of_eight(tmp_path: Path) -> None:
    eight = np.array([[0, 1], [128, 255]], np.uint8)
    Image.fromarray(eight).save(tmp_path / "8.png")
    Image.fromarray(eight.astype(np.uint16) * 257).save(tmp_path / "16.png")
    (tmp_path / "rgba.png").write_bytes(imagecodecs.png_encode(np.dstack([eight] * 3 + [eight // 2])))
    for name in ("8", "16", "rgba"):
        raw, valid = read_pixels(TgsSource(TgsData(root=tmp_path)), Tile(name, tmp_path / f"{name}.png"))
        assert np.array_equal(raw, eight[None]), name
        # What is transparent is no data: 0 // 2 and 1 // 2 are 0.
        assert valid.tolist() == ([[False, False], [True, True]] if name == "rgba" else [[True, True]] * 2)


def test_flags_by_hand() -> None:
    flag_of = TgsSource(TgsData(root=Path())).flag
    image = np.arange(12).reshape(1, 3, 4)
    flat = np.full((1, 3, 4), 7)
    empty, full = np.zeros((3, 4), np.uint8), np.ones((3, 4), np.uint8)
    stripes = empty.copy()
    stripes[:, 1:3] = 1
    nearly = stripes.copy()
    nearly[0, 0] = 1
    lying = empty.copy()
    lying[1] = 1
    assert flag_of(image, stripes) == "vertical"
    assert [flag_of(image, mask) for mask in (empty, full, nearly, lying, None)] == [""] * 5
    assert [flag_of(flat, mask) for mask in (empty, stripes, None)] == ["constant"] * 3


def test_odd_tiles_are_flagged_when_they_are_counted(root: Path) -> None:
    data = TgsData(root=root, drop_flagged=True)
    catalog = source_of(data).catalog()
    assert not catalog.train_flagged
    assert catalog.flagged() == {}
    salty = next(t for t in with_counts(source_of(data), catalog).tiles if t.coverage)
    stripes = np.zeros((101, 101), np.uint16)
    stripes[:, 40:] = 65535
    assert salty.mask is not None
    Image.fromarray(stripes).save(salty.mask)
    counted = with_counts(source_of(data), catalog)
    # One constant tile in fifty and at least one is what the synthetic set holds: round(.02 · 40) = 1.
    assert counted.flagged() == {"constant": 1, "vertical": 1}
    (found,) = (t for t in counted.tiles if t.flag == "vertical")
    assert (found.id, found.coverage, found.coverage_class) == (salty.id, 61 / 101, 7)


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SEEPSEG_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def test_a_zip_is_as_good_as_its_folder(root: Path, tmp_path: Path, cache: Path) -> None:
    def told(place: Path, masks: str) -> list[object]:
        data = TgsData.model_validate({"root": place, "masks": masks})
        return [
            (t.id, t.depth, t.pixels, t.flag) for t in with_counts(source_of(data), source_of(data).catalog()).tiles
        ]

    plain = shutil.make_archive(str(tmp_path / "plain"), "zip", root)
    # As it was downloaded: everything in a folder, tiles in archives of their own.
    kaggle = tmp_path / "kaggle" / "competition_data"
    kaggle.mkdir(parents=True)
    for part in ("train", "test"):
        shutil.make_archive(str(kaggle / part), "zip", root / part)
    for table in ("train.csv", "depths.csv"):
        shutil.copy(root / table, kaggle)
    nested = shutil.make_archive(str(tmp_path / "competition_data"), "zip", tmp_path / "kaggle")
    for masks in ("png", "rle"):
        for place in (plain, nested):
            assert told(Path(place), masks) == told(root, masks)
    assert len([p for p in cache.iterdir() if p.is_dir()]) == 2


def test_a_zip_without_tiles_says_so(tmp_path: Path, cache: Path) -> None:
    (tmp_path / "d" / "x").mkdir(parents=True)
    (tmp_path / "d" / "x" / "readme.txt").write_text("nothing")
    path = Path(shutil.make_archive(str(tmp_path / "a"), "zip", tmp_path / "d"))
    with pytest.raises(DataError, match="no folder of images in .*train/images: set data.root"):
        source_of(TgsData(root=path)).catalog()


@pytest.mark.data
def test_the_real_set_has_as_many_odd_tiles_as_it_is_said_to(real_data: Path) -> None:
    data = TgsData(root=real_data / "salt")
    catalog = with_counts(source_of(data), source_of(data).catalog())
    # 80 and 113 of the 4000 public tiles; 3600 of them are here.
    assert catalog.flagged() == {"constant": 72, "vertical": 110}
