"""Whole scenes as training data: windows, masks, polygons, and what labels which scene."""

from __future__ import annotations

import itertools
import json
import pickle
import warnings
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from unicodedata import normalize

import numpy as np
import pandas as pd
import pyogrio
import pytest
import rasterio
import shapely
import torch
from pydantic import ValidationError
from rasterio.transform import Affine

from seepseg.classes import IGNORE
from seepseg.config import Scaling, ScenesData, Split
from seepseg.data.catalog import Catalog, Tile
from seepseg.data.dataset import Draw, TileDataset
from seepseg.data.scaling import MeasuredScaling
from seepseg.data.scan import with_counts, with_overlaps
from seepseg.data.scenes import ScenesSource
from seepseg.data.source import at_root, read_mask, read_pixels, source_of
from seepseg.errors import DataError
from seepseg.geo.vector import write_vectors
from seepseg.io.image import read_image
from seepseg.objects.outlines import outlines
from seepseg.splits.make import make_splits
from seepseg.synthetic.sentinel1 import write_product
from tests.command import run

UTM = rasterio.CRS.from_epsg(32616).to_wkt()
NORTH_UP = Affine(10, 0, 500_000, 0, -10, 3_000_000)
DRIVERS = {".gpkg": "GPKG", ".geojson": "GeoJSON", ".shp": "ESRI Shapefile", ".fgb": "FlatGeobuf"}
OIL = [{"name": "oil", "values": [1]}, {"name": "look-alike", "values": [2, 3]}]


def save(path: Path, pixels: np.ndarray, **profile: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        shape = {"height": pixels.shape[0], "width": pixels.shape[1], "count": 1, "dtype": pixels.dtype.name}
        with rasterio.open(path, "w", driver="GTiff", **shape, **profile) as target:
            target.write(pixels, 1)
    return path


def stored(path: Path) -> np.ndarray:
    return read_image(path, labels=True)[0].raw[0]


def image(height: int = 40, width: int = 50, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(1, 60_000, (height, width)).astype(np.uint16)


def truth(height: int = 40, width: int = 50, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed + 100)
    small = (rng.random((height // 5, width // 5)) < 0.3) * rng.integers(1, 4, (height // 5, width // 5))
    return np.kron(small, np.ones((5, 5), int)).astype(np.uint8)


def vectorised(path: Path, mask: np.ndarray, crs: str | None = UTM, place: Affine = NORTH_UP, **columns: Any) -> Path:
    """The outlines of a mask as a layer, with the values in the column `kind`."""
    owners, shapes = outlines(mask, 0)
    placed = shapely.transform(shapes, lambda p: p * [place.a, place.e] + [place.c, place.f]) if crs else shapes
    path.parent.mkdir(parents=True, exist_ok=True)
    table = pd.DataFrame({"kind": owners, **{name: [value] * len(owners) for name, value in columns.items()}})
    columns = [table[name].to_numpy() for name in table]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # "crs was not provided", as it should not be
        pyogrio.raw.write(
            path,
            shapely.to_wkb(placed),
            columns,
            list(table),
            driver=DRIVERS[path.suffix],
            crs=crs,
            geometry_type="Polygon",
        )
    return path


def two_scenes(root: Path) -> None:
    """Scenes a (40 × 50) and b (33 × 21), with masks; 0 is no data in the first three rows."""
    for seed, (name, shape) in enumerate({"a": (40, 50), "b": (33, 21)}.items()):
        pixels = image(*shape, seed)
        pixels[:3] = 0
        save(root / "images" / f"{name}.tif", pixels, crs=UTM, transform=NORTH_UP)
        mask = np.zeros(shape, np.uint8)
        mask[: shape[0] // 5 * 5, : shape[1] // 5 * 5] = truth(*shape, seed)
        save(root / "masks" / f"{name}.tif", mask)


def config(root: Path, **more: Any) -> ScenesData:
    base = {"root": root, "classes": OIL, "nodata": 0, "window": 16, "labels": "masks"}
    return ScenesData(**base | more)


def counted(data: ScenesData) -> Catalog:
    source = source_of(data)
    return with_counts(source, source.catalog())


def pixels_of(catalog: Catalog) -> list[tuple[int, ...] | None]:
    return [tile.pixels for tile in catalog.tiles]


def test_windows_touch_and_hold_every_pixel_once(tmp_path: Path) -> None:
    two_scenes(tmp_path)
    source = source_of(config(tmp_path))
    catalog = source.catalog()
    # 40 × 50 in windows of 16: 3 × 4; 33 × 21: 3 × 2
    assert [t.id for t in catalog.tiles][:6] == [
        "a/r0000c0000", "a/r0000c0001", "a/r0000c0002", "a/r0000c0003", "a/r0001c0000", "a/r0001c0001",
    ]  # fmt: skip
    assert len(catalog) == 12 + 6
    for name, (height, width) in {"a": (40, 50), "b": (33, 21)}.items():
        raw, mask, seen = (np.zeros((48, 64), kind) for kind in (np.uint16, np.uint8, bool))
        for tile in (t for t in catalog.tiles if t.group == name):
            assert tile.window and tile.cell
            here = np.s_[tile.window[0] :, tile.window[1] :]
            pixels = read_pixels(source, tile)
            assert pixels.raw.shape == (1, 16, 16)
            labels = read_mask(source, tile, (16, 16))
            raw[here][:16, :16], mask[here][:16, :16], seen[here][:16, :16] = pixels.raw[0], labels, pixels.valid
        pixels_in_file = stored(tmp_path / "images" / f"{name}.tif")
        assert np.array_equal(raw[:height, :width], pixels_in_file)
        pixels_in_file = stored(tmp_path / "masks" / f"{name}.tif")
        # value 3 is class 2 as well
        assert np.array_equal(mask[:height, :width], np.minimum(pixels_in_file, 2))
        assert seen[3:height, :width].all()
        assert not seen[:3].any()
        assert not seen[height:].any()
        assert not seen[:, width:].any()


def test_a_margin_is_read_from_the_scene(tmp_path: Path) -> None:
    two_scenes(tmp_path)
    source = source_of(config(tmp_path))
    tile = next(t for t in source.catalog().tiles if t.id == "a/r0001c0003")
    raw, valid = read_pixels(source, tile, margin=4)
    whole = image(40, 50, 0)
    # rows 12 to 35, columns 44 to 67, of which 50 are there
    assert raw.shape == (1, 24, 24)
    assert np.array_equal(raw[0, :, :6], whole[12:36, 44:50])
    assert valid[:, :6].all()
    assert not valid[:, 6:].any()


def test_a_window_that_is_scaled_on_its_own_is_read_without_its_margin(tmp_path: Path) -> None:
    two_scenes(tmp_path)
    source = source_of(config(tmp_path))
    scaling = MeasuredScaling(Scaling(basis="tile", range=(2, 98)), None, (0,), (1,))
    training, validation = (TileDataset(source.catalog(), source, scaling, {}, margin=margin) for margin in (0, 4))
    for k in range(len(training)):  # so its percentiles are of the same pixels
        assert torch.equal(training[Draw(k)]["image"], validation[Draw(k)]["image"])


@pytest.mark.parametrize("suffix", [".gpkg", ".geojson", ".shp", ".fgb"])
def test_polygons_count_as_their_mask_does(tmp_path: Path, suffix: str) -> None:
    two_scenes(tmp_path)
    for name in "ab":
        pixels_in_file = stored(tmp_path / "masks" / f"{name}.tif")
        vectorised(tmp_path / "drawn" / f"{name}{suffix}", pixels_in_file)
    masks, drawn = counted(config(tmp_path)), counted(config(tmp_path, labels="drawn", attribute="kind"))
    assert pixels_of(masks) == pixels_of(drawn)
    assert masks.pixels()[:, 1:].sum() > 500
    alone = counted(config(tmp_path, labels="drawn", classes=[{"name": "any", "values": [9]}]))
    assert np.array_equal(alone.pixels()[:, 1], masks.pixels()[:, 1:].sum(1))  # one class needs no column


def test_one_layer_names_the_scene_of_each_polygon(tmp_path: Path) -> None:
    two_scenes(tmp_path)
    box = shapely.box(500_000, 2_999_900, 500_100, 3_000_000)  # 10 × 10 pixels, rows 0 to 9
    table = pd.DataFrame({"scene": ["maps/a.tif", "c"], "class_name": ["Oil", "oil"]})
    write_vectors(tmp_path / "all.gpkg", np.array([box, box]), table, UTM)
    catalog = counted(config(tmp_path, labels="all.gpkg"))
    # without the three rows of no data
    assert catalog.pixels()[[t.group == "a" for t in catalog.tiles]].sum(0).tolist() == [37 * 50 - 70, 70, 0]
    assert {t.labelled for t in catalog.tiles if t.group == "b"} == {False}
    assert catalog.warnings == (
        "all.gpkg has polygons of 1 scenes that are not there (c …)",
        "1 of 2 scenes (b …) have no labels and do not count: name those without foreground in data.background",
    )
    # By another column; a scene that the config names is background.
    table = table.rename(columns={"scene": "which"})
    write_vectors(tmp_path / "all.gpkg", np.array([box, box]), table, UTM)
    with pytest.raises(DataError, match=r"which of 2 scenes a polygon lies on.*set data.scene_column"):
        source_of(config(tmp_path, labels="all.gpkg")).catalog()
    catalog = counted(config(tmp_path, labels="all.gpkg", scene_column="which", background="b, nothing*"[:1]))
    assert catalog.pixels()[[t.group == "b" for t in catalog.tiles]].sum(0).tolist() == [30 * 21, 0, 0]


def test_a_product_in_a_folder_of_any_name_is_one_scene(tmp_path: Path) -> None:
    root = tmp_path / "oil [2021]"  # no pattern
    product = write_product(root / "products", {"vv": np.full((64, 96), 0.05)}, start=datetime(2021, 4, 1, tzinfo=UTC))
    product.rename(product.with_name("first"))
    for images in ("products", "products/*"):
        assert list(ScenesSource(config(root, images=images, labels=[], **PRODUCT)).scenes) == ["first"]


PRODUCT = {"bands": ["vv"], "nodata": "auto", "scaling": {"kind": "db"}}


def test_a_table_says_when_scenes_were_taken(tmp_path: Path) -> None:
    for name in "ab":
        save(tmp_path / "images" / f"{name}.tif", image(), crs=UTM, transform=NORTH_UP)
    table = tmp_path / "scenes.csv"
    catalog = source_of(config(tmp_path, labels=[], scenes=table)).catalog()
    assert [pair.kind for pair in catalog.overlaps] == ["unknown"]
    assert catalog.warnings == (f"data.scenes {table} is not there: when scenes were taken may stay unknown",)
    table.write_text("scene,acquired\na.tif,2021-04-01T05:26:23Z\nin/b,2021-04-13T05:26:23Z\n")
    catalog = source_of(config(tmp_path, labels=[], scenes=table)).catalog()
    assert [pair.kind for pair in catalog.overlaps] == ["dates"]
    assert catalog.warnings == ()


def test_beyond_the_extent_nothing_is_labelled(tmp_path: Path) -> None:
    two_scenes(tmp_path)
    # Columns 10 to 19 of every scene, rows 3 to 32: 10 × 30 pixels.
    write_vectors(tmp_path / "seen.gpkg", np.array([shapely.box(500_100, 2_999_670, 500_200, 3_000_000)]), ONE, UTM)
    catalog = counted(config(tmp_path, extent="seen.gpkg"))
    for name in "ab":
        assert catalog.pixels()[[t.group == name for t in catalog.tiles]].sum() == 300
    # An extent that names a scene says that somebody looked at it; one for all scenes does not.
    assert not any(t.labelled for t in source_of(config(tmp_path, labels=[], extent="seen.gpkg")).catalog().tiles)
    (tmp_path / "seen.gpkg").rename(tmp_path / "b.gpkg")
    catalog = counted(config(tmp_path, labels=[], extent="b.gpkg"))
    assert {t.group for t in catalog.tiles if t.labelled} == {"b"}
    assert catalog.pixels().sum(0).tolist() == [300, 0, 0]
    write_vectors(tmp_path / "b.gpkg", np.array([], object), ONE[:0], UTM)
    with pytest.raises(DataError, match="holds no polygon for scene b"):
        source_of(config(tmp_path, labels=[], extent="b.gpkg")).catalog()
    # One that does not reach a scene.
    write_vectors(tmp_path / "seen.gpkg", np.array([shapely.box(500_400, 2_999_670, 500_500, 3_000_000)]), ONE, UTM)
    catalog = counted(config(tmp_path, extent="seen.gpkg"))
    assert {t.group for t in catalog.tiles if t.labelled} == {"a"}
    assert catalog.warnings == ("the polygons of data.extent do not reach b: nothing there is labelled",)


ONE = pd.DataFrame({"n": [1]})


def test_of_another_root_the_background_is_what_is_there(tmp_path: Path) -> None:
    two_scenes(tmp_path)
    (tmp_path / "masks" / "a.tif").unlink()
    # A scene clean is of the old root.
    moved = at_root(config(tmp_path / "old", background=["a", "clean"]), tmp_path)
    assert moved == config(tmp_path, background=["a"])
    assert {t.group for t in source_of(moved).catalog().tiles if t.background} == {"a"}


def test_masks_may_lie_beside_their_images(tmp_path: Path) -> None:
    save(tmp_path / "s.tif", image())
    save(tmp_path / "s_mask.tif", truth())
    data = config(tmp_path, images="*.tif", labels=".", label_suffix="_mask")
    assert {t.group for t in source_of(data).catalog().tiles} == {"s"}
    assert np.array_equal(counted(data).pixels().sum(0), np.bincount(np.minimum(truth(), 2).ravel()))
    # A file that belongs to nothing is said.
    save(tmp_path / "z_mask.tif", truth())
    assert source_of(data).catalog().warnings == (
        "1 files of data.labels have the name of no scene and are not read (z_mask.tif …)",
    )
    (tmp_path / "z_mask.tif").unlink()
    # Polygons as well, in pixels, for a scene without a place.
    vectorised(tmp_path / "s.gpkg", truth(), None)
    (tmp_path / "s_mask.tif").unlink()
    drawn = counted(config(tmp_path, images=".", labels=".", attribute="kind"))
    assert np.array_equal(drawn.pixels(), np.stack([t.pixels for t in counted(data_of(tmp_path)).tiles]))


def data_of(root: Path) -> ScenesData:
    save(root / "apart" / "s.tif", truth())
    return config(root, images="s.tif", labels="apart")


def test_few_empty_windows_train_and_those_without_a_label_never(tmp_path: Path) -> None:
    for name in "abcd":
        pixels, mask = image(64, 64), np.zeros((64, 64), np.uint8)
        pixels[:16] = 0  # four windows without data
        mask[20, 20], mask[40, 40] = 1, 2
        save(tmp_path / "images" / f"{name}.tif", pixels)
        save(tmp_path / "masks" / f"{name}.tif", mask)
    split = Split(val=["a"], val_fraction=0)

    def parts(share: float, seed: int = 0) -> dict[str, int]:
        table = make_splits(counted(config(tmp_path, empty=share)), split, seed)
        assert (table["split"][table["group"] == "a"] == "val").all()  # all of it counts
        return dict(table["split"].value_counts())

    # 3 scenes train, of 16 windows: 4 without data, 2 with foreground, 10 empty.
    assert parts(1) == {"train": 36, "val": 16, "unused": 12}
    assert parts(0) == {"train": 6, "val": 16, "unused": 42}
    some = parts(0.5)
    assert 12 < some["train"] < 30
    assert parts(0.5) == some
    tables = [make_splits(counted(config(tmp_path, empty=0.5)), split, seed)["split"].tolist() for seed in (0, 1)]
    assert tables[0] != tables[1]


def test_windows_overlap_in_training_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    two_scenes(tmp_path)
    data = config(tmp_path, stride=8, scaling=Scaling(kind="db"))
    source = source_of(data)
    catalog = with_counts(source, source.catalog())
    assert len(catalog) == 18
    train = catalog.subset([t.id for t in catalog.tiles if t.group == "a"])
    # No pixel is read for doubts about the scale: they are those of the tiles.
    monkeypatch.setattr("seepseg.data.scan.images_of", None)
    more = with_overlaps(source, train, 0).tiles[12:]
    # Rows start at 0, 8, 16, 24 and columns at 0, 8, 16, 24, 32: 20 places, of which 2 × 3 are windows already.
    assert len(more) == 20 - 6
    assert {t.group for t in more} == {"a"}
    assert all(t.pixels and t.cell is None for t in more)
    tile = next(t for t in more if t.id == "a/y00008x00016")
    assert np.array_equal(read_pixels(source, tile).raw[0], image(40, 50, 0)[8:24, 16:32])
    # Never over a window that does not train.
    half = train.subset([t.id for t in train.tiles if t.cell and t.cell[1] < 2])
    assert {t.window[1] for t in with_overlaps(source, half, 0).tiles if t.window} == {0, 8, 16}
    assert with_overlaps(source_of(config(tmp_path)), train, 0) is train
    with pytest.raises(ValidationError, match="leave gaps"):
        config(tmp_path, stride=17)


def test_land_is_no_data_in_windows_and_their_margins(tmp_path: Path) -> None:
    # From the middle of the Nile's delta, at 31° E and 31° N, to the west: 10 pixels of 2 km are land for certain, and
    # in the open sea north of it, at 33° N, there is none.
    for name, north in (("delta", 31.0), ("sea", 33.0)):
        place = {"crs": rasterio.CRS.from_epsg(4326).to_wkt(), "transform": Affine(0.02, 0, 31.0, 0, -0.02, north)}
        save(tmp_path / "images" / f"{name}.tif", image(20, 20), **place)
        save(tmp_path / "masks" / f"{name}.tif", truth(20, 20))
    catalog = counted(config(tmp_path, land=1000, window=20))
    assert catalog.pixels().sum(1).tolist() == [0, 400]
    source = source_of(config(tmp_path, land=1000, window=10))
    tile = next(t for t in source.catalog().tiles if t.id == "sea/r0000c0000")
    raw, valid = read_pixels(source, tile, margin=5)
    assert raw.shape == (1, 20, 20)
    assert valid[5:, 5:].all()
    save(tmp_path / "images" / "nowhere.tif", image())
    line = r"where its land lies is not known \(no georeference\) in .*nowhere.tif: set data.land=null"
    with pytest.raises(DataError, match=line):
        source_of(config(tmp_path, land=0)).catalog()


def parts_layer(root: Path, boxes: dict[str, tuple[float, float, float, float]]) -> None:
    """A layer for all scenes of parts as boxes (first and last row, first and last column)."""
    shapes = [
        shapely.box(500_000 + 10 * left, 3_000_000 - 10 * bottom, 500_000 + 10 * right, 3_000_000 - 10 * top)
        for top, bottom, left, right in boxes.values()
    ]
    write_vectors(root / "parts.gpkg", np.array(shapes, object), pd.DataFrame({"split": list(boxes)}, dtype="str"), UTM)


def test_polygons_say_what_trains_and_no_labelled_pixel_is_on_two_sides(tmp_path: Path) -> None:
    two_scenes(tmp_path)
    # Of the windows of 16 columns, 20 is in the second: 4 of its columns train, 12 validate.
    parts_layer(tmp_path, {"train": (0, 40, 0, 20), "val": (0, 40, 20, 40), "test": (0, 40, 44, 50)})
    data = config(tmp_path, extent="parts.gpkg", split={"by": "extent"}, stride=8)
    source, catalog = source_of(data), counted(data)
    splits = make_splits(catalog, data.split, 0).set_index("id")["split"]
    assert [splits[f"a/r0000c{c:04d}"] for c in range(4)] == ["train", "val", "val", "test"]
    assert [splits[f"b/r0000c{c:04d}"] for c in range(2)] == ["train", "train"]  # 4 columns of train, 1 of val
    scored = {}
    for tile in catalog.tiles:
        assert tile.window
        mask = read_mask(source, tile, (16, 16))
        columns = np.flatnonzero((mask != IGNORE).any(0)) + tile.window[1]
        scored.setdefault(splits[tile.id], set()).update(columns.tolist())
    assert scored["train"] == set(range(20))
    assert scored["val"] == set(range(20, 40))
    assert scored["test"] == {48, 49}  # 44 to 47 lie in a window of which more validates
    train = catalog.subset([i for i in splits.index if splits[i] == "train"])
    for tile in with_overlaps(source, train, 0).tiles:
        assert tile.window
        inside = np.arange(16) + tile.window[1] < 20
        assert ((read_mask(source, tile, (16, 16)) != IGNORE).any(0) <= inside).all()


def test_parts_that_are_none_are_refused(tmp_path: Path) -> None:
    two_scenes(tmp_path)
    parts_layer(tmp_path, {"train": (0, 40, 0, 20), "valid": (0, 40, 20, 40)})
    with pytest.raises(DataError, match=r"unknown split 'valid' \(1 polygons\) in .*parts.gpkg: use train, val, test"):
        source_of(config(tmp_path, extent="parts.gpkg", split={"by": "extent"})).catalog()
    with pytest.raises(ValidationError, match="split.by extent needs extent"):
        config(tmp_path, split={"by": "extent"})
    with pytest.raises(ValidationError, match="polygons name parts, not folds"):
        config(tmp_path, extent="parts.gpkg", split={"by": "extent", "folds": 3})


def test_blocks_divide_windows_that_lie_on_the_same_ground(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for name, east in (("a", 0), ("b", 70)):  # b begins 7 pixels further east
        place = Affine(10, 0, 500_000 + east, 0, -10, 3_000_000)
        save(tmp_path / "images" / f"{name}.tif", image(64, 320), crs=UTM, transform=place)
        save(tmp_path / "masks" / f"{name}.tif", rng.integers(0, 4, (64, 320)).astype(np.uint8))
    split = {"by": "blocks", "size": 500, "margin": 100, "val_fraction": 0.4}
    catalog = counted(config(tmp_path, split=split))
    splits = make_splits(catalog, Split(**split), 0).set_index("id")
    east = {t.id: t.window[1] + 7 * (t.group == "b") for t in catalog.tiles if t.window}
    south = {t.id: t.window[0] for t in catalog.tiles if t.window}
    sides = {p: list(splits.index[splits["split"] == p]) for p in ("train", "val")}
    assert min(map(len, sides.values())) >= 8
    for one in sides["train"]:
        for other in sides["val"]:
            # 16 pixels of 10 m and 100 m between them
            assert abs(east[one] - east[other]) >= 26 or abs(south[one] - south[other]) >= 26
    save(tmp_path / "images" / "c.tif", image())
    save(tmp_path / "masks" / "c.tif", truth())
    with pytest.raises(DataError, match=r"only some scenes have a georeference, so .* in .*c.tif"):
        source_of(config(tmp_path, split=split)).catalog()


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"labels": "absent"}, r"no labels in .*absent: set data.root and data.labels"),
        ({"images": "x*"}, r"no images in .*x\*: set data.root and data.images"),
        ({"background": ["c*"]}, r"scene 'c\*' is not in the data in data.background: the scenes are a, b"),
        ({"labels": "empty"}, r"holds no polygon in .*a.gpkg: remove it or, if nothing in a is foreground, name"),
        (
            {"labels": "far"},
            r"none of its 1 polygons lies on scene a in .*a.gpkg: check its .* \(in WGS 84 .* from 0, 0 to 9, 9\)",
        ),
        ({"labels": "nowhere"}, r"a.gpkg cannot be laid over a scene when either has no CRS"),
        ({"labels": "odd", "attribute": "kind"}, r"unknown kind 7 \(2 polygons\), 8 \(1 polygons\) in .*a.gpkg"),
        (
            {"labels": "void", "attribute": "kind"},
            r"2 polygons have no kind in .*void/a.gpkg: fill it in, or leave them",
        ),
        ({"labels": "blank"}, r"a polygon has no class_name in .*blank/a.gpkg"),
        ({"labels": "odd", "attribute": "type"}, r"has no column type in .*a.gpkg: it has kind"),
        ({"labels": "odd"}, r"which class a polygon is, is not said: its columns are kind.*set data.attribute"),
        ({"labels": "small"}, r"mask is 5×5, its scene 40×50 in .*small/a.tif"),
        ({"labels": "shifted"}, r"its georeference is up to 2 pixels off that of its scene in .*shifted/a.tif"),
        ({"labels": ["masks", "far"]}, r"two labels are named 'a' \(.*masks/a.tif, .*far/a.gpkg\)"),
        ({"images": ["images", "again"]}, r"two images are named 'a'"),
        ({"labels": "other"}, r"none of 1 files has the name of a scene \(scenes are a, b …, files z.tif …\)"),
        ({"extent": "far"}, r"none of its 1 polygons lies on scene a"),
    ],
)
def test_what_does_not_fit_is_one_line(tmp_path: Path, change: dict[str, Any], says: str) -> None:
    two_scenes(tmp_path)
    box = shapely.box(500_000, 2_999_900, 500_100, 3_000_000)
    for folder, shapes, crs in (
        ("empty", [], UTM), ("far", [shapely.box(0, 0, 9, 9)], UTM), ("nowhere", [box], None), ("odd", [box] * 4, UTM),
    ):  # fmt: skip
        (tmp_path / folder).mkdir()
        table = pd.DataFrame({"kind": np.array([7, 7, 1, 8][: len(shapes)], np.int64)})
        if folder != "odd":
            table = table.rename(columns={"kind": "class_name"}).astype({"class_name": "str"}).assign(class_name="oil")
        write_vectors(tmp_path / folder / "a.gpkg", np.array(shapes, object), table, crs)
    for folder, column, values in (("void", "kind", [1, None, None]), ("blank", "class_name", ["oil", "Oil", " "])):
        (tmp_path / folder).mkdir()
        table = pd.DataFrame({column: pd.Series(values, dtype="str" if folder == "blank" else "float64")})
        write_vectors(tmp_path / folder / "a.gpkg", np.array([box] * 3, object), table, UTM)
    save(tmp_path / "small" / "a.tif", np.zeros((5, 5), np.uint8))
    save(tmp_path / "shifted" / "a.tif", truth(), crs=UTM, transform=Affine(10, 0, 500_020, 0, -10, 3_000_000))
    save(tmp_path / "other" / "z.tif", np.zeros((5, 5), np.uint8))
    save(tmp_path / "again" / "a.tif", image())
    with pytest.raises(DataError, match=says):
        source_of(config(tmp_path, **change)).catalog()


def test_an_empty_layer_of_a_scene_that_is_said_to_be_background_is_that(tmp_path: Path) -> None:
    save(tmp_path / "images" / "a.tif", image(), crs=UTM, transform=NORTH_UP)
    (tmp_path / "labels").mkdir()
    write_vectors(
        tmp_path / "labels" / "a.gpkg", np.array([], object), pd.DataFrame({"class_name": []}, dtype="str"), UTM
    )
    catalog = counted(config(tmp_path, labels="labels", background="*"))
    assert catalog.pixels().sum(0).tolist() == [2000, 0, 0]


def test_points_are_no_labels_and_rows_without_a_shape_say_nothing(tmp_path: Path) -> None:
    save(tmp_path / "images" / "a.tif", image(), crs=UTM, transform=NORTH_UP)
    (tmp_path / "labels").mkdir()
    box = shapely.box(500_000, 2_999_900, 500_100, 3_000_000)
    for shapes in ([box, None], [box, shapely.Point(500_000, 2_999_900)]):
        pyogrio.raw.write(
            tmp_path / "labels" / "a.gpkg", shapely.to_wkb(np.array(shapes, object)), [np.array(["oil", "oil"])],
            ["class_name"], crs=UTM, geometry_type="Unknown",
        )  # fmt: skip
        if shapes[1] is None:
            assert counted(config(tmp_path, labels="labels")).pixels().sum(0).tolist() == [1900, 100, 0]
    with pytest.raises(DataError, match="holds 1 points or lines"):
        source_of(config(tmp_path, labels="labels")).catalog()


def test_values_that_are_ignored_and_soft_classes(tmp_path: Path) -> None:
    save(tmp_path / "images" / "a.tif", image(), crs=UTM, transform=NORTH_UP)
    vectorised(tmp_path / "labels" / "a.gpkg", truth())
    plain = np.bincount(truth().ravel(), minlength=4)
    some = counted(config(tmp_path, labels="labels", attribute="kind", classes=OIL[:1], ignore_values=[2, 3]))
    assert some.pixels().sum(0).tolist() == [plain[0], plain[1]]
    soft = [{"name": "high", "at_least": 2.5}, {"name": "low", "at_least": 0.5}]
    catalog = counted(config(tmp_path, labels="labels", attribute="kind", classes=soft))
    assert catalog.pixels().sum(0).tolist() == [plain[0], plain[3], plain[1] + plain[2]]


def test_another_process_reads_the_files_once(tmp_path: Path) -> None:
    two_scenes(tmp_path)
    source = source_of(config(tmp_path))
    source.catalog()
    copies = [pickle.loads(pickle.dumps(source)) for _ in range(2)]
    assert copies[0] is copies[1]
    assert copies[0].catalog() == source.catalog()
    assert len(pickle.dumps(source)) < 3000


def test_pixels_know_their_size(tmp_path: Path) -> None:
    two_scenes(tmp_path)
    # 10 m in UTM, 500 km from the middle of the zone: the scale there is .9996.
    assert source_of(config(tmp_path)).pixel_size == pytest.approx(10 / 0.9996, rel=1e-5)
    assert source_of(config(tmp_path, pixel_size=25)).pixel_size == 25
    save(tmp_path / "images" / "c.tif", image())
    assert source_of(config(tmp_path)).pixel_size is None


def test_a_file_from_anywhere_is_a_scene_of_its_own(tmp_path: Path) -> None:
    source = source_of(config(tmp_path))
    assert source.tile(tmp_path / "x.tif", "x") == Tile("x", tmp_path / "x.tif", group="x")


NETWORK = {
    "model": {"name": "unet", "channels": [8, 16, 32], "num_res_units": 1, "head": "softmax"},
    "loss": "dice_ce",
    "train": {"epochs": 2, "batch_size": 4, "panels_every": 0},
    "runtime": {"device": "cpu", "amp": "off", "threads": 1},
    "predict": {"margin": 8},
}


def trained(capsys: pytest.CaptureFixture[str], root: Path, name: str, **data: Any) -> dict[str, Any]:
    """The scores of a small network on the scene b, in counts, after training on a and c."""
    base = {"root": str(root), "classes": OIL, "nodata": 0, "split": {"val": ["b"], "val_fraction": 0}}
    (root / f"{name}.yaml").write_text(json.dumps({"data": base | data, **NETWORK}))
    code, _, err = run(capsys, "train", root / f"{name}.yaml", "--run", root / name)
    assert code == 0, err
    code, _, err = run(capsys, "eval", root / name, "--no-figures")
    assert code == 0, err
    scores: dict[str, Any] = json.loads((root / name / "eval" / "val" / "metrics.json").read_text())
    return {key: value for key, value in scores.items() if key not in ("run", "checkpoint", "data")}


def test_masks_their_outlines_and_tiles_of_the_same_windows_train_the_same_network(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for seed, name in enumerate("abc"):
        mask = np.kron(truth(40, 60, seed), np.ones((2, 2), np.uint8))[:64, :96]
        pixels = (image(64, 96, seed) // (1 + 3 * mask)).astype(np.uint16)
        save(tmp_path / "images" / f"{name}.tif", pixels, crs=UTM, transform=NORTH_UP)
        save(tmp_path / "masks" / f"{name}.tif", mask)
        vectorised(tmp_path / "drawn" / f"{name}.gpkg", mask)
        for row, column in itertools.product(range(2), range(3)):
            here = np.s_[32 * row : 32 * row + 32, 32 * column : 32 * column + 32]
            save(tmp_path / "tiles" / "images" / f"{name}_{row}_{column}.tif", pixels[here])
            save(tmp_path / "tiles" / "masks" / f"{name}_{row}_{column}.tif", mask[here])
    scenes = {"source": "scenes", "window": 32, "labels": "masks", "pixel_size": 10}
    from_masks = trained(capsys, tmp_path, "by_mask", **scenes)
    assert from_masks == trained(capsys, tmp_path, "by_outline", **scenes | {"labels": "drawn", "attribute": "kind"})
    pattern = r"^(?P<group>.+)_(?P<row>\d+)_(?P<column>\d+)$"
    tiles = {"source": "tiles", "images": "tiles/images", "masks": "tiles/masks", "name_pattern": pattern}
    assert from_masks == trained(capsys, tmp_path, "by_tile", **tiles, pixel_size=10)  # tiles do not know it


def test_products_train_and_what_is_predicted_for_them_are_labels(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for seed in range(2):
        mask = np.kron(truth(40, 60, seed), np.ones((2, 2), np.uint8))[:64, :96]
        noise = np.random.default_rng(seed).gamma(4, 0.02 / 4, mask.shape)
        start = datetime(2021, 4, 1 + seed, 5, 26, tzinfo=UTC)
        product = write_product(tmp_path / "products", {"vv": noise / (1 + 3 * mask)}, start=start, packed=seed == 0)
        (tmp_path / "masks").mkdir(exist_ok=True)
        save(tmp_path / "masks" / f"{product.name.removesuffix('.zip').removesuffix('.SAFE')}.tif", mask)
    base = {
        "source": "scenes", "root": str(tmp_path), "images": "products", "window": 32, "bands": ["vv"],
        "classes": OIL, "scaling": {"kind": "db"}, "split": {"val_fraction": 0.5},
    }  # fmt: skip
    (tmp_path / "own.yaml").write_text(json.dumps({"data": base | {"labels": "masks"}, **NETWORK}))
    code, out, err = run(capsys, "train", tmp_path / "own.yaml", "--run", tmp_path / "run")
    assert code == 0, err
    assert "6 training and 6 validation tiles" in out
    code, _, err = run(capsys, "predict", tmp_path / "run", tmp_path / "products", "-o", tmp_path / "maps")
    assert code == 0, err
    for labels in ("maps/*T05*.gpkg", "maps/findings.gpkg"):
        catalog = counted(ScenesData(**base, labels=labels))
        maps = [stored(path) for path in sorted((tmp_path / "maps").glob("*_class.tif"))]
        predicted = [np.bincount(one[one < 255], minlength=3).tolist() for one in maps]
        groups = catalog.groups()
        assert len(groups) == len(predicted) == 2
        for group, counts in zip(groups, predicted, strict=True):
            own = catalog.pixels()[[t.group == group for t in catalog.tiles]].sum(0)
            assert own.tolist() == counts


@pytest.mark.parametrize("name", ["041871", "045590"])
def test_the_outlines_of_a_real_mask_give_it_back(real_data: Path, tmp_path: Path, name: str) -> None:
    scenes = real_data / "scenes"
    mask = stored(scenes / f"{name}_mask.tif")
    vectorised(tmp_path / f"{name}.gpkg", mask, None)
    data = {"root": scenes, "images": f"{name}.tif", "classes": "seep", "nodata": 0}
    drawn = source_of(ScenesData(**data, labels=str(tmp_path), attribute="kind"))
    for tile in drawn.catalog().tiles:
        assert tile.window
        row, column = tile.window[:2]
        assert np.array_equal(read_mask(drawn, tile, (256, 256)), mask[row : row + 256, column : column + 256])
    assert IGNORE not in np.unique(mask)


@pytest.mark.parametrize("forms", [("NFD", "NFC"), ("NFC", "NFD")])
@pytest.mark.parametrize("kind", ["mask", "layer", "column"])
def test_labels_are_of_their_scenes_however_umlauts_are_written(
    tmp_path: Path, forms: tuple[str, str], kind: str
) -> None:
    one, other = (normalize(form, "Süd") for form in forms)
    for name in (one, "b"):
        save(tmp_path / "images" / f"{name}.tif", image(), crs=UTM, transform=NORTH_UP)
    if kind == "mask":
        save(tmp_path / "l" / f"{other}.tif", truth())
    else:
        file = f"{other}.gpkg" if kind == "layer" else "all.gpkg"
        vectorised(tmp_path / "l" / file, truth(), **({"scene": other} if kind == "column" else {}))
    catalog = source_of(config(tmp_path, labels="l", attribute=None if kind == "mask" else "kind")).catalog()
    assert {tile.group for tile in catalog.tiles if tile.labelled} == {normalize("NFC", "Süd")}
