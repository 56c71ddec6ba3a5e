from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import Any
from unicodedata import normalize

import numpy as np
import pytest
import tifffile
from PIL import Image
from pydantic import ValidationError

from seepseg.classes import SEEP
from seepseg.config import ClassNode, SeepData, Split, TilesData
from seepseg.data.catalog import Catalog, Tile
from seepseg.data.scan import with_counts
from seepseg.data.source import read_mask, read_pixels, source_of
from seepseg.data.tiles import TilesSource, place_in, read_labels
from seepseg.errors import DataError
from seepseg.splits.make import make_splits

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
    raw, valid = read_pixels(TilesSource(SeepData(root=tmp_path, bands=[2, 1])), Tile("x", path))
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


# --- any folders, names and formats ----------------------------------------------------------------------------------

OIL = [ClassNode(name="oil", values=[1])]
GREY = np.arange(12, dtype=np.uint8).reshape(3, 4)
LABELS = np.array([[0, 0, 1, 1], [0, 1, 1, 0], [0, 0, 0, 0]], np.uint8)


def save(path: Path, pixels: np.ndarray = GREY) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".tif":
        tifffile.imwrite(path, pixels)
    else:
        Image.fromarray(pixels).save(path)
    return path


def tiles_of(root: Path, **more: Any) -> TilesData:
    return TilesData(**({"root": root, "classes": OIL} | more))


def told(data: TilesData) -> DataError:
    with pytest.raises(DataError) as caught:
        TilesSource(data).catalog()
    return caught.value


def pairs(data: TilesData) -> dict[str, tuple[str, str | None]]:
    """Names of the image and the mask of each tile, by its id."""
    return {t.id: (t.image.name, t.mask and t.mask.name) for t in TilesSource(data).catalog().tiles}


@pytest.mark.parametrize("ending", [".tif", ".png", ".jpg"])
@pytest.mark.parametrize("mask_ending", [".tif", ".png"])
def test_two_folders_of_any_names(tmp_path: Path, ending: str, mask_ending: str) -> None:
    for name in ("a", "deep/b.c"):
        save(tmp_path / "sar" / f"{name}{ending}")
        save(tmp_path / "truth" / f"{name}{mask_ending}", LABELS)
    data = tiles_of(tmp_path, images="sar", masks="truth")
    assert pairs(data) == {"a": (f"a{ending}", f"a{mask_ending}"), "deep/b.c": (f"b.c{ending}", f"b.c{mask_ending}")}
    source = source_of(data)
    for tile in source.catalog().tiles:
        assert read_mask(source, tile, (3, 4)).tolist() == LABELS.tolist()


@pytest.mark.parametrize("image", ["x", "x_sat"])
@pytest.mark.parametrize("mask", ["x_mask", "x"])
def test_one_folder_where_the_ends_of_names_tell_masks(tmp_path: Path, image: str, mask: str) -> None:
    suffixes = {"image_suffix": image[1:], "mask_suffix": mask[1:]}
    if image == mask:
        with pytest.raises(ValidationError, match="images and masks are in one folder: give mask_suffix"):
            tiles_of(tmp_path, images="all", masks="all")
        return
    save(tmp_path / "all" / f"{image}.jpg")
    save(tmp_path / "all" / f"{mask}.png", LABELS)
    assert pairs(tiles_of(tmp_path, images="all", masks="all", **suffixes)) == {"x": (f"{image}.jpg", f"{mask}.png")}
    if suffixes["mask_suffix"]:
        # With a suffix of masks, their folder need not be named.
        left_out, null = (
            tiles_of(tmp_path, images="all", **suffixes),
            tiles_of(tmp_path, images="all", masks=None, **suffixes),
        )
        assert left_out == null == tiles_of(tmp_path, images="all", masks="all", **suffixes)


def test_a_config_of_one_folder_reads_the_same_once_it_is_resolved(tmp_path: Path) -> None:
    data = tiles_of(tmp_path, images=["a", "b"], mask_suffix="_mask")
    assert data.masks == ["a", "b"]
    assert TilesData(**data.model_dump()) == data


def test_suffixes_of_two_folders(tmp_path: Path) -> None:
    save(tmp_path / "images" / "x_vv.tif")
    save(tmp_path / "images" / "x_vh.tif")
    save(tmp_path / "masks" / "x_vv.tif", LABELS)
    # Only images of this suffix are read; masks have the same one, or none, or another.
    assert pairs(tiles_of(tmp_path, masks="masks", image_suffix="_vv", mask_suffix="_vv")) == {
        "x": ("x_vv.tif", "x_vv.tif")
    }
    assert "no mask has the name of an image" in told(tiles_of(tmp_path, image_suffix="_vv")).what
    assert told(tiles_of(tmp_path, image_suffix="_hh")).what == "no TIFF, PNG or JPEG tiles named …_hh"


def test_masks_named_otherwise_are_told_how_names_end(tmp_path: Path) -> None:
    save(tmp_path / "images" / "x.tif")
    save(tmp_path / "masks" / "x_label.tif", LABELS)
    assert str(told(tiles_of(tmp_path))) == (
        f"no mask has the name of an image (images are x …, masks x_label …) in {tmp_path / 'masks'}: "
        "set data.image_suffix and data.mask_suffix, how names end"
    )


def test_a_folder_of_masks_inside_that_of_images(tmp_path: Path) -> None:
    save(tmp_path / "a.tif")
    save(tmp_path / "masks" / "a.tif", LABELS)
    assert pairs(tiles_of(tmp_path, images=".")) == {"a": ("a.tif", "a.tif")}


def test_several_folders_with_masks_without_and_of_background(tmp_path: Path) -> None:
    for folder in ("Oil", "Lookalike", "new"):
        save(tmp_path / folder / "00000.tif")
    save(tmp_path / "Mask_oil" / "00000.tif", LABELS)
    data = tiles_of(tmp_path, images=["Oil", "Lookalike", "new"], masks=["Mask_oil", "background", None])
    source = source_of(data)
    catalog = with_counts(source, source.catalog())
    # The same name in three folders is three tiles of three scenes.
    assert [(t.id, t.group, t.labelled, t.pixels) for t in catalog.tiles] == [
        ("Lookalike/00000", "Lookalike/00000", True, (12, 0)),
        ("Oil/00000", "Oil/00000", True, (8, 4)),
        ("new/00000", "new/00000", False, None),
    ]
    wrong = tiles_of(tmp_path, images=["Oil", "new"], masks=["Mask_oil", "nowhere"])
    assert str(told(wrong)) == (
        f"no folder of masks in {tmp_path / 'nowhere'}: set data.masks, null for a folder without masks"
    )


def test_tiles_of_one_scene_in_two_folders_are_two_scenes(tmp_path: Path) -> None:
    for folder in ("one", "two"):
        for number in range(2):
            save(tmp_path / folder / f"s_{number}.png")
    data = tiles_of(
        tmp_path, images=["one", "two"], masks=None, name_pattern=r"^(?P<group>\w)_(?P<index>\d+)$", grid={"": 2}
    )
    assert [(t.group, t.cell) for t in TilesSource(data).catalog().tiles] == [
        ("one/s", (0, 0)), ("one/s", (0, 1)), ("two/s", (0, 0)), ("two/s", (0, 1)),
    ]  # fmt: skip


def test_folders_elsewhere(tmp_path: Path) -> None:
    save(tmp_path / "far" / "a.png")
    data = tiles_of(tmp_path / "root", images=[str(tmp_path / "far")], masks=None)
    (tmp_path / "root").mkdir()
    assert pairs(data) == {"a": ("a.png", None)}
    # With several, the folder is part of the name, and never leads out of where outputs go.
    save(tmp_path / "root" / "images" / "a.png")
    names = pairs(tiles_of(tmp_path / "root", images=[str(tmp_path / "far"), "../root/images"], masks=None))
    assert set(names) == {(tmp_path / "far" / "a").as_posix().removeprefix("/"), "root/images/a"}


def test_one_folder_named_twice_is_refused(tmp_path: Path) -> None:
    save(tmp_path / "a" / "x.png")
    assert told(tiles_of(tmp_path, images=["a", "./a"], masks=None)).what == "two images are named 'a/x' (x.png, x.png)"


# --- tables ----------------------------------------------------------------------------------------------------------


def table_of(root: Path, text: str, **more: Any) -> TilesData:
    for name in ("p/a.png", "p/b.png", "q/c.tif"):
        save(root / name)
    save(root / "m/a.png", LABELS)
    (root / "t.csv").write_text(text)
    return tiles_of(root, table="t.csv", **more)


def test_a_table_of_images_and_masks(tmp_path: Path) -> None:
    data = table_of(
        tmp_path,
        "image,mask,id,scene,split,fold\np/a.png,m/a.png,,s,train,0\np/b.png,background,../B,s,val,1\nq/c.tif,,,,,\n",
    )
    tiles = TilesSource(data).catalog().tiles
    assert [(t.id, t.group, t.labelled, t.part, t.fold) for t in tiles] == [
        ("q/c", "q/c", False, "", None),
        ("B", "s", True, "val", 1),
        ("p/a", "s", True, "train", 0),
    ]


def test_scenes_of_one_name_do_not_collide_under_ids_of_the_table(tmp_path: Path) -> None:
    for folder in "pq":
        save(tmp_path / folder / "s_1.png")
    (tmp_path / "t.csv").write_text("image,id\np/s_1.png,1\nq/s_1.png,2\n")
    tiles = TilesSource(tiles_of(tmp_path, table="t.csv", name_pattern="^(?P<group>s)")).catalog().tiles
    assert [(t.id, t.group) for t in tiles] == [("1", "p/s"), ("2", "q/s")]


def test_a_table_with_spaces_whose_parts_are_not_asked_for(tmp_path: Path) -> None:
    catalog = TilesSource(table_of(tmp_path, "image, mask, scene, fold\np/a.png, m/a.png, s, 1\n")).catalog()
    assert [(t.id, t.group, t.labelled, t.fold) for t in catalog.tiles] == [("p/a", "s", True, 1)]
    assert catalog.warnings == ("the columns split and fold of data.table count only with data.split.by=file",)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("mask\nm/a.png\n", "columns are mask"),
        ("image\n", "lists no tile"),
        ("image,Mask,scene\np/a.png,background,s\n", "columns are image, Mask, scene"),
        ("image,mask,Scene\np/a.png,background,s\n", "columns are image, mask, Scene"),
        ("image\np/z.png\n", "no file p/z.png"),
        ("image,mask\np/a.png,m/z.png\n", "no file m/z.png"),
        ("image,fold\np/a.png,one\n", "fold of p/a.png is 'one'"),
        ("image\np/a.png\np/a.png\n", "1 images are repeated (p/a.png)"),
        ("image,id\np/a.png,x\np/b.png,x\n", "two images are named 'x' (a.png, b.png)"),
    ],
)
def test_a_table_that_cannot_be_meant(tmp_path: Path, text: str, says: str) -> None:
    assert told(table_of(tmp_path, text)).what == says


def test_a_table_in_an_archive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SEEPSEG_CACHE", str(tmp_path / "cache"))
    data = table_of(tmp_path / "in", "image,mask\np/a.png,m/a.png\n")
    shutil.make_archive(str(tmp_path / "set"), "zip", tmp_path, "in")
    assert pairs(data.model_copy(update={"root": tmp_path / "set.zip"})) == {"p/a": ("a.png", "a.png")}


PARTS = "image,mask,split,fold,scene\np/a.png,background,{0},{0},s\np/b.png,background,{1},{1},{2}\n"


def parts_of(data: TilesData, fold: int | None = None) -> list[str]:
    source = source_of(data)
    catalog = with_counts(source, source.catalog())
    return [str(p) for p in make_splits(catalog, data.split, 0, fold)["split"]]


def test_parts_and_folds_of_the_table(tmp_path: Path) -> None:
    anything = {"by": "file", "allow_missing_classes": True}
    data = table_of(tmp_path, PARTS.format("train", "val", "t").replace(",fold", ",f"), split=anything)
    assert parts_of(data) == ["train", "val"]
    data = table_of(tmp_path, PARTS.format(0, 1, "t"), split=anything | {"folds": 2})
    assert (parts_of(data, 0), parts_of(data, 1)) == (["val", "train"], ["train", "val"])
    # One scene on two sides, and no such column.
    leak = table_of(tmp_path, PARTS.format(0, 1, "s"), split=anything | {"folds": 2})
    with pytest.raises(DataError, match=r"scenes on two sides of the split \(s\)"):
        parts_of(leak, 0)
    none = table_of(tmp_path, "image,mask\np/a.png,background\np/b.png,background\n", split=anything)
    with pytest.raises(DataError, match=r"2 tiles have no split \(p/a, p/b\) in data.table: fill the column"):
        parts_of(none)


def test_a_split_file_beside_any_tiles(tmp_path: Path) -> None:
    (tmp_path / "parts.csv").write_text("id,split\np/b,train\np/a,val\n")
    split = {"by": "file", "file": tmp_path / "parts.csv", "allow_missing_classes": True}
    data = table_of(tmp_path, "image,mask\np/a.png,background\np/b.png,background\n", split=split)
    assert parts_of(data) == ["val", "train"]


def test_a_folder_is_the_test_part(tmp_path: Path) -> None:
    for name in ("train/s/1", "train/s/2", "test/s/1"):
        save(tmp_path / f"{name}.png")
        save(tmp_path / f"{name}_m.png", LABELS)
    split = {"val_fraction": 0.5, "test": ["test/*"]}
    data = tiles_of(tmp_path, images=["train/s", "test/s"], mask_suffix="_m", split=split)
    assert sorted(parts_of(data)) == ["test", "train", "val"]
    assert parts_of(data)[0] == "test"


# --- places in names -------------------------------------------------------------------------------------------------


def test_rows_and_columns_or_an_index(tmp_path: Path) -> None:
    both = tiles_of(tmp_path, name_pattern=r"^(?P<group>.+)_r(?P<row>\d+)c(?P<column>\d+)$")
    assert place_in("day_1_r02c10", both) == ("day_1", (2, 10))
    index = tiles_of(tmp_path, name_pattern=r"^(?P<index>\d+)-(?P<group>.+)$", grid={"": 4})
    assert place_in("9-day", index) == ("day", (2, 1))  # 9 = 2 · 4 + 1
    letters = tiles_of(tmp_path, name_pattern=r"^(?P<group>.+)_(?P<row>\w)_(?P<column>\w)$")
    with pytest.raises(DataError) as caught:
        place_in("day_A_1", letters)
    assert str(caught.value) == "'A' is no row, column or index in day_A_1: set data.name_pattern, with digits there"


def test_the_suffix_of_images_is_no_part_of_their_place(tmp_path: Path) -> None:
    for number in range(3):
        save(tmp_path / "all" / f"s_{number}_sat.jpg")
    data = tiles_of(
        tmp_path,
        images="all",
        masks=None,
        image_suffix="_sat",
        name_pattern=r"^(?P<group>s)_(?P<index>\d)$",
        grid={"s": 2},
    )
    catalog = TilesSource(data).catalog()
    assert [(t.id, t.group, t.cell) for t in catalog.tiles] == [
        ("s_0", "s", (0, 0)), ("s_1", "s", (0, 1)), ("s_2", "s", (1, 0)),
    ]  # fmt: skip
    assert catalog.warnings == ()
    # A file of prediction is placed the same way.
    assert TilesSource(data).tile(Path("in/s_2_sat.jpg"), "in/s_2_sat").cell == (1, 0)


def test_two_tiles_cannot_be_one_cell(tmp_path: Path) -> None:
    for name in ("s.1", "s.01"):
        save(tmp_path / "images" / f"{name}.png")
    data = tiles_of(tmp_path, masks=None, name_pattern=r"^(?P<group>.+)\.(?P<index>\d+)$", grid={"": 9})
    assert told(data).what == "s.01 and s.1 are both row 0, column 1 of scene s"


@pytest.mark.parametrize(
    ("pattern", "names", "says"),
    [
        (None, ["a1", "a2"], "2 of 2 names have no scene, without data.name_pattern (a1, a2)"),
        (r"(?P<group>\w)-", ["a-1", "a2", "b3", "c4", "d5"], "4 of 5 names do not match data.name_pattern "),
        (r"(?P<group>.+)\.(?P<index>\d+)", ["a1.0", "a2.0"], "2 of 2 names are by data.name_pattern"),
        # Each a scene by intent, tiles of one scene, and one tile alone.
        (r"^(?P<group>.+)$", ["a1", "a2"], ""),
        (r"^(?P<group>a)", ["a1", "a2"], ""),
        (None, ["a1"], ""),
    ],
)  # fmt: skip
def test_names_that_leave_each_tile_a_scene_are_warned_of(
    tmp_path: Path, pattern: str | None, names: list[str], says: str
) -> None:
    for name in names:
        save(tmp_path / "images" / f"{name}.png")
    data = tiles_of(tmp_path, masks=None, name_pattern=pattern)
    warnings = TilesSource(data).catalog().warnings
    assert [w[: len(says)] for w in warnings] == ([says] if says else [])
    assert ("(a2, b3, c4 …)" in "".join(warnings)) == (len(names) == 5)
    # Nothing is split by scenes at random, nor where a table says which scene a tile is of.
    assert TilesSource(data.model_copy(update={"split": Split(by="random")})).catalog().warnings == ()
    rows = "".join(f"images/{name}.png,s\n" for name in names)
    (tmp_path / "t.csv").write_text("image,scene\n" + rows)
    assert TilesSource(data.model_copy(update={"table": Path("t.csv")})).catalog().warnings == ()
    (tmp_path / "t.csv").write_text("image\n" + rows.replace(",s", ""))
    assert len(TilesSource(data.model_copy(update={"table": Path("t.csv")})).catalog().warnings) == len(warnings)


# --- masks -----------------------------------------------------------------------------------------------------------


def indices(data: TilesData, mask: Path) -> list[list[int]]:
    source = source_of(data)
    return read_mask(source, Tile("x", mask, mask), (1, 4)).tolist()


def test_masks_of_0_and_255(tmp_path: Path) -> None:
    mask = save(tmp_path / "m.png", np.array([[0, 255, 0, 255]], np.uint8))
    assert indices(tiles_of(tmp_path, classes=[ClassNode(name="oil", values=[255])]), mask) == [[0, 1, 0, 1]]


def test_masks_with_a_palette_hold_numbers(tmp_path: Path) -> None:
    picture = Image.fromarray(np.array([[0, 1, 2, 1]], np.uint8), "P")
    picture.putpalette([0, 0, 0, 0, 255, 255, 255, 0, 0])
    picture.save(tmp_path / "m.png")
    classes = [ClassNode(name="oil", values=[1]), ClassNode(name="ship", values=[2])]
    assert indices(tiles_of(tmp_path, classes=classes), tmp_path / "m.png") == [[0, 1, 2, 1]]


@pytest.mark.parametrize(
    ("name", "values", "limits", "expected"),
    [
        ("m.png", np.array([[0, 127, 128, 255]], np.uint8), {"oil": 128}, [0, 0, 1, 1]),
        ("m.tif", np.array([[0.0, 0.29, 0.5, 1.0]], np.float32), {"thick": 0.5, "thin": 0.25}, [0, 2, 1, 1]),
        ("m.tif", np.array([[np.nan, 0.2, 0.5, 1.0]], np.float32), {"oil": 0.5}, [255, 0, 1, 1]),
        ("m.tif", np.array([[0, 1000, 40000, 65535]], np.uint16), {"oil": 32768}, [0, 0, 1, 1]),
    ],
)
def test_soft_masks(
    tmp_path: Path, name: str, values: np.ndarray, limits: dict[str, float], expected: list[int]
) -> None:
    mask = save(tmp_path / name, values)
    classes = [ClassNode(name=key, at_least=value) for key, value in limits.items()]
    assert indices(tiles_of(tmp_path, classes=classes), mask) == [expected]


@pytest.mark.parametrize(
    ("nodata", "expected"), [("0", [0, 0, 1, 1]), ("-9999", [0, 0, 255, 1]), ("1", [0, 0, 1, 255])]
)
def test_the_no_data_value_of_a_soft_mask(tmp_path: Path, nodata: str, expected: list[int]) -> None:
    # 0 is background, whatever else it is declared to be; no other value is listed.
    values = np.array([[0, 0.25, 0.75, 1]], np.float32)
    if nodata == "-9999":
        values[0, 2] = -9999
    tifffile.imwrite(tmp_path / "m.tif", values, extratags=[(42113, 2, 0, nodata, True)])
    assert indices(tiles_of(tmp_path, classes=[ClassNode(name="oil", at_least=0.5)]), tmp_path / "m.tif") == [expected]


def test_background_is_what_the_config_says(tmp_path: Path) -> None:
    # 300 is sea, 2 is oil, 0 was not labelled; the file says that 7 is no data
    values = np.array([[0, 300, 2, 7]], np.uint16)
    tifffile.imwrite(tmp_path / "m.tif", values, extratags=[(42113, 2, 0, "7", True)])
    data = tiles_of(
        tmp_path, classes=[ClassNode(name="oil", values=[2])], background_values=[300, 1], ignore_values=[0]
    )
    assert indices(data, tmp_path / "m.tif") == [[255, 0, 1, 255]]
    background = Tile("t", tmp_path / "t.tif", background=True)
    assert read_mask(TilesSource(data), background, (1, 2)).tolist() == [[0, 0]]


@pytest.mark.parametrize("palette", [False, True])
def test_a_background_that_a_png_declares_clear_is_background_all_the_same(tmp_path: Path, palette: bool) -> None:
    # so GDAL writes a mask whose no-data value is 0, as it does in a TIFF; 9 in place of it is no label
    image = Image.fromarray(np.array([[0, 1, 9, 1]], np.uint8))
    if palette:
        image.putpalette([0, 0, 0, 255, 0, 0, *range(42)])
    for clear, expected in ((0, [0, 1, 255, 1]), (9, [0, 1, 255, 1])):
        image.save(tmp_path / "m.png", transparency=clear)
        data = tiles_of(tmp_path, classes=[ClassNode(name="oil", values=[1])], ignore_values=[9] if not clear else [])
        assert indices(data, tmp_path / "m.png") == [expected]


def test_a_lossy_mask_is_told_how_it_can_be_read(tmp_path: Path) -> None:
    mask = save(tmp_path / "m.png", np.array([[0, 3, 250, 255]], np.uint8))
    with pytest.raises(DataError, match=r"unknown label values 3 .* or give at_least for a soft mask"):
        indices(tiles_of(tmp_path, classes=[ClassNode(name="oil", values=[255])]), mask)


@pytest.mark.parametrize(
    ("nodata", "expected"),
    [
        # Many tools declare the background to be no data: what the table names is a label.
        ("0", [0, 1, 0, 1]),
        ("1", [0, 1, 0, 1]),
        # What it does not name counts nowhere.
        ("9", [0, 1, 0, 1]),
        ("200", [0, 1, 0, 1]),
    ],
)
def test_the_no_data_value_of_a_mask(tmp_path: Path, nodata: str, expected: list[int]) -> None:
    values = np.array([[0, 1, 0, 1]], np.uint8)
    if nodata == "200":
        values, expected = np.array([[0, 1, 200, 1]], np.uint8), [0, 1, 255, 1]
    tifffile.imwrite(tmp_path / "m.tif", values, extratags=[(42113, 2, 0, nodata, True)])
    assert indices(tiles_of(tmp_path), tmp_path / "m.tif") == [expected]


def test_a_class_begins_above_zero_which_is_background() -> None:
    with pytest.raises(ValidationError, match="greater than 0"):
        ClassNode(name="oil", at_least=0)


def test_a_sentinel_1_product_among_tiles_is_one_line(tmp_path: Path) -> None:
    measured = tmp_path / "images" / "S1A.SAFE" / "measurement"
    measured.mkdir(parents=True)
    tifffile.imwrite(measured / "vv.tiff", np.zeros((4, 4), np.uint16))
    (tmp_path / "tiles.csv").write_text("image,mask\nimages/S1A.SAFE,background\n")
    for change in (
        {}, {"table": Path("tiles.csv")}, {"images": ["images/S1A.SAFE"]},
        {"root": measured.parent, "images": ["measurement"]},
    ):  # fmt: skip
        data = TilesData(**{"root": tmp_path, "images": ["images"], "masks": None, "classes": "seep", **change})
        with pytest.raises(
            DataError, match=r"is a whole scene, and training reads tiles in .*S1A.SAFE: use data.source=scenes"
        ):
            TilesSource(data).catalog()


# --- umlauts, which some systems leave decomposed --------------------------------------------------------------------

FORMS = [(normalize(one, "Süd"), normalize(other, "Süd")) for one, other in (("NFD", "NFC"), ("NFC", "NFD"))]


@pytest.mark.parametrize(("one", "other"), FORMS)
def test_masks_are_of_images_however_umlauts_are_written(tmp_path: Path, one: str, other: str) -> None:
    save(tmp_path / "i" / f"{one}_{one}.png")
    save(tmp_path / "m" / f"{other}.png", LABELS)
    data = tiles_of(tmp_path, images=["i"], masks=["m"], image_suffix=f"_{other}")
    (tile,) = TilesSource(data).catalog().tiles
    assert (tile.id, tile.group, tile.labelled) == (normalize("NFC", "Süd"), normalize("NFC", "Süd"), True)
    assert tile.image.is_file()


@pytest.mark.parametrize(("one", "other"), FORMS)
def test_a_table_finds_files_and_scenes_however_umlauts_are_written(tmp_path: Path, one: str, other: str) -> None:
    # A folder and a file in it may have come from two systems.
    save(tmp_path / other / f"{one}.png")
    save(tmp_path / f"{one}_m.png", LABELS)
    rows = f"image,mask,scene\n{other}/{other}.png,{other}_m.png,{one}\n"
    (tmp_path / "t.csv").write_text(rows, encoding="utf-8")
    (tile,) = TilesSource(tiles_of(tmp_path, table="t.csv")).catalog().tiles
    assert tile.image.is_file() and tile.mask and tile.mask.is_file()
    assert Split(val=[one]).val == Split(val=[other]).val == [tile.group]


@pytest.mark.parametrize(("one", "other"), FORMS)
def test_a_pattern_matches_names_however_umlauts_are_written(tmp_path: Path, one: str, other: str) -> None:
    for index in range(3):
        save(tmp_path / "images" / f"{one}_{index}.png")
    data = tiles_of(tmp_path, name_pattern=rf"^(?P<group>{other})_(?P<index>\d)$", grid={other: 2})
    tiles = TilesSource(data).catalog().tiles
    assert {tile.group for tile in tiles} == {normalize("NFC", "Süd")}
    assert [tile.cell for tile in tiles] == [(0, 0), (0, 1), (1, 0)]
