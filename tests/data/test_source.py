from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from seepseg.config import ClassNode, DataNode, Scaling, ScenesData, SeepData, TgsData, TilesData
from seepseg.data.catalog import Catalog, Tile
from seepseg.data.dataset import Draw, TileDataset
from seepseg.data.scaling import MeasuredScaling
from seepseg.data.scan import with_counts
from seepseg.data.source import at_root, open_pixels, read_mask, read_pixels, scene_images, some, source_of
from seepseg.errors import ConfigError, DataError


@pytest.mark.parametrize(
    ("nodata", "tag", "valid"),
    [
        # the file's own value counts, whatever the config says
        (None, "5", [1, 0, 1, 1]),
        ("auto", "5", [1, 0, 1, 1]),
        ("auto", None, [1, 1, 1, 1]),
        ("auto", "nan", [1, 1, 0, 1]),
        # and that of the config besides
        (0.0, "5", [0, 0, 1, 1]),
        # nan: neither NaN nor infinite is data
        ("nan", None, [1, 1, 0, 0]),
    ],
)
def test_validity(tmp_path: Path, nodata: str | float | None, tag: str | None, valid: list[int]) -> None:
    path = tmp_path / "x.tif"
    tags = [(42113, 2, 0, tag, True)] if tag else []
    tifffile.imwrite(path, np.array([[0.0, 5.0, np.nan, np.inf]], np.float32), extratags=tags)
    source = source_of(SeepData(root=tmp_path, nodata=nodata))
    assert read_pixels(source, Tile("x", path)).valid.astype(int).tolist() == [valid]
    with open_pixels(source, path) as image:
        assert image.rows(0, 1).valid.astype(int).tolist() == [valid]


def test_a_pixel_is_valid_where_every_band_is(tmp_path: Path) -> None:
    raw = np.array([[[0, 1, 2, 0]], [[3, 0, 4, 0]]], np.uint16)
    tifffile.imwrite(tmp_path / "x.tif", raw, planarconfig="separate", photometric="minisblack")
    source = source_of(SeepData(root=tmp_path, bands=[1, 2]))
    assert read_pixels(source, Tile("x", tmp_path / "x.tif")).valid.tolist() == [[False, False, True, False]]


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
    catalog = source_of(data).catalog()
    assert read_mask(source_of(data), catalog.tiles[0], (2, 3)).tolist() == [[0, 1, 2], [1, 2, 255]]
    # Label 7 lies on no data (image 0), label 9 is ignored: 1 pixel of background, 2 of thick, 1 of thin.
    assert with_counts(source_of(data), catalog).tiles[0].pixels == (1, 2, 1)
    # Without a no-data value, label 7 counts as well.
    everything = data.model_copy(update={"nodata": None})
    assert with_counts(source_of(everything), catalog).tiles[0].pixels == (1, 2, 2)


def test_an_unknown_label_is_named_with_its_count(tmp_path: Path) -> None:
    data = SeepData(root=tree(tmp_path, IMAGE, LABELS))
    with pytest.raises(DataError, match=r"unknown label value 9 \(1 pixels\) in .*1.1.tif: the values are 0, 1, 2"):
        with_counts(source_of(data), source_of(data).catalog())


def test_a_mask_of_another_size_is_refused(tmp_path: Path) -> None:
    data = SeepData(root=tree(tmp_path, IMAGE, LABELS.T.copy()))
    with pytest.raises(DataError, match="mask is 3×2, image 2×3 in .*: give a mask of the image's size"):
        with_counts(source_of(data), source_of(data).catalog())


def test_an_unlabelled_tile_is_ignored_everywhere() -> None:
    source = source_of(SeepData(root=Path()))
    assert read_mask(source, Tile("x", Path("x.tif")), (2, 2)).tolist() == [[255, 255], [255, 255]]


def test_run_lengths_go_down_the_columns() -> None:
    # 1-based, column by column: pixels 2 and 3 of a 2 × 2 tile are (1, 0) and (0, 1).
    tile = Tile("x", Path("x.png"), rle="2 2")
    assert read_mask(source_of(TgsData(root=Path())), tile, (2, 2)).tolist() == [[0, 1], [1, 0]]


def test_undeclared_nan_is_refused(tmp_path: Path) -> None:
    image = np.ones((2, 3), np.float32)
    image[0, 0], image[1, 2] = np.nan, -np.inf
    data = SeepData(root=tree(tmp_path, image, np.ones((2, 3), np.uint8)))
    with pytest.raises(DataError, match="2 pixels are NaN or infinite in .*1.1.tif: fix the file, or set"):
        with_counts(source_of(data), source_of(data).catalog())
    declared = data.model_copy(update={"nodata": "nan"})
    assert with_counts(source_of(declared), source_of(declared).catalog()).tiles[0].pixels == (0, 4, *[0] * 6)


def test_ticks_tell_how_far_it_is(seep_root: Path) -> None:
    data = SeepData(root=seep_root)
    catalog = source_of(data).catalog()
    few = catalog.subset([t.id for t in catalog.tiles[:3]])
    told: list[tuple[int, int]] = []
    with_counts(source_of(data), few, lambda done, of: told.append((done, of)))
    assert told == [(1, 3), (2, 3), (3, 3)]


def test_black_salt_tiles_are_data(salt_root: Path) -> None:
    data = TgsData(root=salt_root)
    for tile in source_of(data).catalog().tiles:
        assert read_pixels(source_of(data), tile)[1].all()


def test_where_a_loose_file_belongs(tmp_path: Path) -> None:
    seep, salt = SeepData(root=tmp_path, grid={"0418": 19}), TgsData(root=tmp_path)
    cell = source_of(seep).tile(Path("x/041870.000012.tif"), "deep/041870.000012")
    assert (cell.id, cell.group, cell.cell, cell.labelled) == ("deep/041870.000012", "deep/041870", (0, 12), False)
    other = source_of(salt).tile(Path("x/0a1b.png"), "0a1b")
    assert (other.group, other.cell) == ("0a1b", None)
    # A scene whose width nobody gave, and a name without a cell.
    assert source_of(seep).tile(Path("045590.000001.tif"), "a").cell is None
    assert source_of(seep).tile(Path("041870.tif"), "b").cell is None


def test_a_root_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(DataError) as caught:
        source_of(SeepData(root=tmp_path / "none")).catalog()
    assert str(caught.value) == (
        f"no such data folder in {tmp_path / 'none'}: put the data there, or set data.root=FOLDER"
    )


GREY_FORMATS = ("8.png", "16.png", "8.tif", "16.tif", "tiles.tif", "float.tif", "grey.jpg", "rgb.jpg")


def write_as(path: Path, pixels: np.ndarray) -> Path:
    """Grey levels 0–255 in the format that a file's name says; of 16 bits and floats the same numbers."""
    match path.name:
        case "8.png" | "grey.jpg":
            Image.fromarray(pixels).save(path)
        case "rgb.jpg":
            Image.fromarray(pixels).convert("RGB").save(path)
        case "16.png":
            Image.fromarray(pixels.astype(np.uint16)).save(path)
        case "tiles.tif":
            tifffile.imwrite(path, pixels, tile=(16, 16), compression="deflate", byteorder=">")
        case name:
            kind = {"8.tif": np.uint8, "16.tif": np.uint16, "float.tif": np.float32}[name]
            tifffile.imwrite(path, pixels.astype(kind), rowsperstrip=5)
    return path


@given(
    name=st.sampled_from(GREY_FORMATS),
    shape=st.tuples(st.integers(1, 40), st.integers(1, 40)),
    nodata=st.sampled_from([None, "auto", "nan", 0.0, 7.0]),
    step=st.integers(1, 41),
    seed=st.integers(0, 99),
)
def test_a_file_holds_the_same_numbers_in_training_evaluation_and_prediction(
    tmp_path_factory: pytest.TempPathFactory, name: str, shape: tuple[int, int], nodata: Any, step: int, seed: int
) -> None:
    pixels = np.random.default_rng(seed).integers(0, 256, shape).astype(np.uint8)
    path = write_as(tmp_path_factory.mktemp("x") / name, pixels)
    source = source_of(TilesData(root=path.parent, classes=[ClassNode(name="oil", values=[1])], nodata=nodata))
    raw, valid = read_pixels(source, Tile("x", path))
    with open_pixels(source, path) as image:
        strips = [image.rows(start, min(start + step, image.height)) for start in range(0, image.height, step)]
    assert np.array_equal(np.concatenate([s.raw for s in strips], axis=1), raw)
    assert np.array_equal(np.concatenate([s.valid for s in strips]), valid)
    assert {s.raw.dtype for s in strips} == {raw.dtype}
    if path.suffix != ".jpg":
        assert np.array_equal(raw[0], pixels)
    # What the file does not say is data, but for the value of the config.
    assert np.array_equal(valid, raw[0] != nodata if isinstance(nodata, float) else np.ones(shape, bool))
    # Training and evaluation read through the dataset.
    scaling = MeasuredScaling(Scaling(basis="fixed", range=(0, 255)), ((0.0,), (255.0,)), (0.0,), (1.0,))
    dataset = TileDataset(Catalog((source.tile(path, "x"),), source.classes), source, scaling, {})
    sample = dataset[Draw(0)]
    assert np.allclose(sample["image"][0].numpy(), np.where(valid, raw[0] / np.float32(255), 0), atol=1e-6)
    assert np.array_equal(sample["valid"].numpy(), valid)


@pytest.mark.parametrize("interleave", ["contig", "separate"])
def test_bands_are_the_same_however_they_are_stored(tmp_path: Path, interleave: str) -> None:
    bands = np.random.default_rng(0).normal(-20, 3, (2, 9, 7)).astype(np.float32)
    bands[1, 4] = np.nan
    stored = np.moveaxis(bands, 0, -1) if interleave == "contig" else bands
    tifffile.imwrite(tmp_path / "x.tif", stored, photometric="minisblack", planarconfig=interleave)
    source = source_of(TilesData(root=tmp_path, classes="seep_binary", bands=[2, 1], nodata="nan"))
    raw, valid = read_pixels(source, Tile("x", tmp_path / "x.tif"))
    assert np.array_equal(raw, bands[::-1], equal_nan=True)
    assert np.array_equal(valid, np.isfinite(bands[1]))
    with open_pixels(source, tmp_path / "x.tif") as image:
        assert np.array_equal(image.rows(3, 6).raw, raw[:, 3:6], equal_nan=True)
        assert np.array_equal(image.rows(3, 6).valid, valid[3:6])


def test_limits_of_a_scene_are_measured_in_all_of_its_columns(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    # Of 64 × 64 windows, every 16th would be of columns 0, 16, 32 and 48 only.
    monkeypatch.setattr("seepseg.data.source.images_of", lambda source, tiles: iter(tiles))
    source = source_of(TilesData(root=tmp_path, classes="seep_binary"))
    tiles: Any = scene_images(source, [Tile(str(k), tmp_path, group="a") for k in range(64 * 64)])
    chosen = [int(tile.id) for tile in tiles]
    assert (len(chosen), sorted(chosen)) == (256, chosen)
    assert len({k % 64 for k in chosen}) > 58
    assert len({k // 64 for k in chosen}) > 58
    assert some(list(range(5)), 5) == some(list(range(5)), 9) == list(range(5))  # type: ignore[arg-type]


OIL = [ClassNode(name="oil", values=[1])]


@pytest.mark.parametrize(
    ("data", "key"),
    [
        (TilesData(root=Path("a"), classes=OIL, images=["/a/images"]), "images"),
        (TilesData(root=Path("a"), classes=OIL, images=["i", "j"], masks=[None, "/a/masks"]), "masks"),
        (TilesData(root=Path("a"), classes=OIL, table=Path("/a/tiles.csv")), "table"),
        (ScenesData(root=Path("a"), classes=OIL, images=["/a/*.tif"]), "images"),
        (ScenesData(root=Path("a"), classes=OIL, labels=["/a/labels/*.gpkg"]), "labels"),
        (ScenesData(root=Path("a"), classes=OIL, labels=["/a/masks"]), "labels"),
        (ScenesData(root=Path("a"), classes=OIL, extent=["/a/1.gpkg", "/a/2.gpkg"]), "extent"),
    ],
)
def test_another_root_is_not_what_absolute_paths_lead_to(data: DataNode, key: str) -> None:
    with pytest.raises(ConfigError, match=rf"/a/.* is absolute, so .* below b in data\.{key}: predict those images"):
        at_root(data, Path("b"))


def test_absolute_paths_below_another_root_are_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = TilesData(root=Path("a"), classes=OIL, images=[str(tmp_path / "images")], masks=[str(tmp_path / "masks")])
    assert at_root(data, tmp_path) == data.model_copy(update={"root": tmp_path})
    monkeypatch.chdir(tmp_path.parent)
    assert at_root(data, Path(tmp_path.name)).root == Path(tmp_path.name)
    around = data.model_copy(update={"images": [f"{tmp_path}/../a/images"]})
    with pytest.raises(ConfigError, match="is absolute"):
        at_root(around, tmp_path)


def test_one_layer_for_the_scenes_of_both_roots_may_lie_anywhere(tmp_path: Path) -> None:
    Image.fromarray(np.zeros((4, 4), np.uint8)).save(tmp_path / "s.png")
    data = ScenesData(root=Path("a"), classes=OIL, images=["*.png"], labels=["/a/oil.gpkg"], extent=["/a/seen.fgb"])
    assert at_root(data, tmp_path).labels == ["/a/oil.gpkg"]


def test_another_root_changes_nothing_else(tmp_path: Path) -> None:
    data = SeepData(root=Path("a"))
    assert at_root(data, tmp_path) == SeepData(root=tmp_path)
