from __future__ import annotations

import re
import shutil
from collections import Counter
from html import unescape
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import rasterio
import shapely
import tifffile
from numpy.typing import NDArray
from PIL import Image

from seepseg.audit.borders import CHANGES, ENDS, border_problems
from seepseg.audit.duplicates import duplicates
from seepseg.audit.inspection import SMALL, Inspection, inspect, shrink
from seepseg.audit.pictures import example_rows
from seepseg.audit.report import write_dataset_report
from seepseg.classes import SEEP
from seepseg.config import parse
from seepseg.data.catalog import Catalog, Tile
from seepseg.data.source import source_of
from seepseg.geo.vector import write_vectors
from tests.command import run

Plane = NDArray[np.uint8]


def test_blocks_are_as_equal_as_they_can_be() -> None:
    plane = np.zeros((SMALL * 2, SMALL * 3), np.int64)
    plane[1, 2] = 7
    plane[2, 3] = 5
    found = shrink(plane, np.add)
    assert found.shape == (SMALL, SMALL)
    assert (found[0, 0], found[1, 1], found.sum()) == (7, 5, 12)
    assert shrink(np.ones((101, 101), int), np.add).sum() == 101 * 101
    assert shrink(np.ones((5, 7), int), np.maximum).shape == (SMALL, SMALL)  # smaller than the picture


def inspected(
    root: Path, images: dict[str, NDArray[np.generic]], masks: dict[str, NDArray[np.generic]], columns: int = 0
) -> Inspection:
    """A look at hand-made tiles of six pixels a side."""
    tiles = []
    for name, image in images.items():
        tifffile.imwrite(root / f"{name}.tif", image)
        mask = None
        if name in masks:
            mask = root / f"{name}_m.tif"
            tifffile.imwrite(mask, masks[name])
        group, _, index = name.partition(".")
        tiles.append(Tile(name, root / f"{name}.tif", mask, group, divmod(int(index), columns) if columns else None))
    data = parse({"data": {"source": "seep", "root": str(root), "nodata": 0}}, "test").data
    return inspect(Catalog(tuple(tiles), SEEP), source_of(data))


def noise(seed: int) -> NDArray[np.uint16]:
    return np.random.default_rng(seed).integers(1, 60000, (6, 6)).astype(np.uint16)


def empty() -> Plane:
    return np.zeros((6, 6), np.uint8)


def test_oddities_of_single_tiles_are_listed_instead_of_raised(tmp_path: Path) -> None:
    image, mask = noise(1), empty()
    image[5] = 0  # no data
    mask[5, 2:4] = 3  # labelled there
    mask[2, 2] = 1  # one pixel
    mask[0, 0] = 2  # one pixel, but on the border: it may go on next door
    mask[1, 4:6] = 9  # unknown, two pixels
    images = {"s.0": image, "s.1": noise(2), "s.2": noise(3)}
    found = inspected(tmp_path, images, {"s.0": mask, "s.1": np.zeros((3, 3), np.uint8)})
    assert [(p.kind, p.tile, p.name, p.pixels, p.detail) for p in found.problems[:3]] == [
        ("value outside the table", "s.0", "9", 2, ""),
        ("labelled on no data", "s.0", "seep 3", 2, ""),
        ("one-pixel object", "s.0", "seep 1", 1, "row 2, column 2"),
    ]
    assert [(p.kind, p.tile) for p in found.problems[3:]] == [("unreadable", "s.1")]
    assert "mask is 3×3, image 6×6" in found.problems[3].detail
    first, last = found.tiles
    # 36 pixels: 6 without data, 2 of an unknown value, 1 of seep 1, 1 of seep 2, the rest sea.
    assert first.tile.pixels == (26, 1, 1, 0, 0, 0, 0, 0)
    assert first.valid == pytest.approx(30 / 36)
    assert (first.low, first.high) == ((image[:5].min(),), (image[:5].max(),))
    assert first.mean == (pytest.approx(image[:5].mean()),)
    assert last.tile.pixels is None and last.edges is None


def test_borders_of_a_scene_are_compared(tmp_path: Path) -> None:
    # Two columns: tiles 0 1 / 2 3. Masks by hand:
    masks = {f"s.{n}": empty() for n in range(4)}
    masks["s.0"][1:3, 3:] = 1  # reaches the right border, and tile 1 has sea there: it ends
    masks["s.0"][4, 2:] = 2  # goes on one row lower in tile 1
    masks["s.1"][5, :3] = 2
    masks["s.2"][:2, 1] = 3  # tile 0 has seep 4 above: the class changes, seen from both
    masks["s.0"][5, 1] = 4
    masks["s.1"][0, 5] = 5  # at the outer border: nobody knows
    images = {name: noise(n) for n, name in enumerate(masks)}
    images["s.3"][0] = 0
    masks["s.1"][5, 5] = 6  # above no data in tile 3: no evidence
    found = border_problems(inspected(tmp_path, images, dict(masks), columns=2).tiles, SEEP)
    assert sorted((p.kind, p.tile, p.name, p.pixels, p.detail) for p in found) == [
        (CHANGES, "s.0", "seep 4", 1, "bottom border; seep 3 in s.2"),
        (CHANGES, "s.2", "seep 3", 1, "top border; seep 4 in s.0"),
        (ENDS, "s.0", "seep 1", 2, "right border; sea in s.1"),
    ]
    # Without a grid nobody knows the neighbours.
    assert border_problems(inspected(tmp_path, images, dict(masks)).tiles, SEEP) == []


def test_the_last_column_has_no_right_neighbour(tmp_path: Path) -> None:
    masks = {"s.1": empty(), "s.2": empty()}  # in two columns they are not side by side
    masks["s.1"][2:4, 4:] = 1
    images = {name: noise(n) for n, name in enumerate(masks)}
    assert border_problems(inspected(tmp_path, images, dict(masks), columns=2).tiles, SEEP) == []
    assert [p.kind for p in border_problems(inspected(tmp_path, images, dict(masks), columns=9).tiles, SEEP)] == [ENDS]


def test_duplicates_exact_and_near(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)

    def field(seed: int) -> NDArray[np.float64]:
        return np.kron(np.random.default_rng(seed).integers(1, 50, (16, 16)), np.ones((4, 4))) * 200.0

    slope = 100.0 * np.arange(64)[:, None]
    planes = {
        "a.0": field(1),
        "a.1": field(1),  # the same
        "a.2": field(1) * 1.5 + slope + rng.normal(0, 20, (64, 64)),  # brighter, tilted, a little noise
        "a.3": field(2),
        "a.4": field(3),
        "a.5": np.full((64, 64), 7.0),  # of one value, twice
        "a.6": np.full((64, 64), 7.0),
        "a.7": 1000 + slope + np.zeros((64, 64)),  # nothing but slope, twice
        "a.8": 2000 + slope + np.zeros((64, 64)),
    }
    masks = {name: np.zeros((64, 64), np.uint8) for name in planes}
    masks["a.1"][3, 3:9] = 1
    found = inspected(tmp_path, {n: p.astype(np.uint16) for n, p in planes.items()}, dict(masks))
    pairs = duplicates(found.tiles)
    assert [(p.kind, p.tile, p.other, p.same_mask) for p in pairs] == [
        ("exact", "a.0", "a.1", False),
        ("near", "a.0", "a.2", True),
    ]
    assert pairs[0].similarity == 1.0
    assert 0.99 < pairs[1].similarity < 1.0


@pytest.fixture(scope="module")
def damaged(seep_root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The synthetic seep tiles with one unknown label, one unreadable image and one duplicate in another scene."""
    root = tmp_path_factory.mktemp("damaged")
    shutil.copytree(seep_root, root, dirs_exist_ok=True)
    images, masks = root / "train_images_256", root / "train_masks_256"
    names = sorted(p.name for p in images.glob("900001.*"))
    mask = tifffile.imread(masks / names[10])
    mask[:2, :3] = 77
    tifffile.imwrite(masks / names[10], mask)
    (images / names[11]).write_bytes(b"II*\0")
    for folder in (images, masks):
        shutil.copy(folder / names[12], folder / "900002.000999.tif")
    return root


def test_the_report_of_damaged_seep_tiles(damaged: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    recipe = tmp_path / "odd.yaml"
    recipe.write_text(
        f"data: {{source: seep, root: {damaged}, grid: {{'9000': 8}}, split: {{by: group, val_fraction: 0.25}}}}\n"
        "model: {name: unet, channels: [8, 16], num_res_units: 1, head: sigmoid}\nloss: dice_bce\n"
    )
    out = tmp_path / "page"
    assert run(capsys, "data", "report", recipe, "-o", out, "-q")[0] == 0
    problems = pd.read_csv(out / "problems.csv", dtype=str, keep_default_na=False)
    kinds = Counter(problems["kind"])
    assert (kinds["value outside the table"], kinds["unreadable"]) == (1, 1)
    assert problems.set_index("kind").loc["value outside the table", ["name", "pixels"]].tolist() == ["77", "6"]
    twins = pd.read_csv(out / "duplicates.csv", dtype=str)
    assert twins.loc[twins["kind"] == "exact", ["other", "same_mask"]].values.tolist() == [["900002.000999", "yes"]]
    tiles = pd.read_csv(out / "tiles.csv", dtype={"tile": str, "scene": str})
    n_tiles = len(list((damaged / "train_images_256").glob("*.tif")))
    assert len(tiles) == n_tiles - 1  # all but the unreadable one
    classes = pd.read_csv(out / "classes.csv").set_index("class")
    for name in ("seep 1", "seep 7"):
        assert tiles[f"{name} pixels"].sum() == classes.loc[name, "pixels"]
        assert (tiles[f"{name} pixels"] > 0).sum() == classes.loc[name, "tiles"]
    scenes = pd.read_csv(out / "scenes.csv", dtype={"scene": str})
    assert scenes["tiles"].sum() == len(tiles)
    assert scenes["seep 3 pixels"].sum() == tiles["seep 3 pixels"].sum()
    assert pd.read_csv(out / "coverage.csv")["tiles"].sum() == len(tiles)
    parts = pd.read_csv(out / "shares.csv").set_index("split")
    assert parts["tiles"].sum() == len(tiles)
    assert parts["seep 2"].sum() == classes.loc["seep 2", "pixels"]
    html = (out / "report.html").read_text()
    assert re.findall(r"<h2>(.*?)</h2>", html) == [
        "Overview", "Classes", "Label problems", "Duplicates", "Split", "Scenes", "Intensity", "Pictures", "Tiles",
    ]  # fmt: skip
    # One map a scene.
    assert len(re.findall(r"<figcaption>90000\d · \d+ tiles</figcaption>", html)) == scenes["scene"].nunique() == 4
    assert 'value="prediction"' not in html


def test_the_report_of_two_bands_has_both(tmp_path: Path) -> None:
    for folder in ("images", "masks"):
        (tmp_path / folder).mkdir()
    for n in range(4):
        bands = np.stack([np.full((6, 6), 10.0 + n), np.arange(36.0).reshape(6, 6)]).astype(np.float32)
        tifffile.imwrite(tmp_path / "images" / f"{n}.tif", bands, photometric="minisblack", planarconfig="separate")
        tifffile.imwrite(tmp_path / "masks" / f"{n}.tif", empty())
    data = {"source": "tiles", "root": str(tmp_path), "bands": ["vv", "incidence"]}
    classes = [{"name": "slick", "values": [1]}]
    html = write_dataset_report(
        parse({"data": data | {"classes": classes}}, "test"), "two", tmp_path / "page"
    ).read_text()
    assert "Values of valid pixels of band vv" in html and "Values of valid pixels of band incidence" in html
    tiles = pd.read_csv(tmp_path / "page" / "tiles.csv")
    assert tiles[["low_vv", "mean_vv", "high_incidence"]].values.tolist() == [[10.0 + n, 10 + n, 35] for n in range(4)]
    # One band of one value leaves the other to learn from.
    assert '<dt>tiles of one value</dt><dd><div class="number">0</div>' in html


def test_the_report_of_floats_with_an_undeclared_nan_lists_it(tmp_path: Path) -> None:
    for folder in ("images", "masks"):
        (tmp_path / folder).mkdir()
    for n in range(3):
        pixels = np.arange(36, dtype=np.float32).reshape(6, 6)
        pixels[2, 2] = np.nan if n == 1 else 14
        tifffile.imwrite(tmp_path / "images" / f"{n}.tif", pixels)
        tifffile.imwrite(tmp_path / "masks" / f"{n}.tif", empty())
    data = {"source": "tiles", "root": str(tmp_path), "classes": [{"name": "slick", "values": [1]}]}
    recipe = parse({"data": data | {"scaling": {"kind": "db"}}}, "test")
    assert ">dB</text>" in write_dataset_report(recipe, "nan", tmp_path / "page").read_text()
    problems = pd.read_csv(tmp_path / "page" / "problems.csv")
    assert problems[["kind", "tile", "pixels"]].to_numpy().tolist() == [["not finite", 1, 1]]
    # Of 3 · 36 pixels, one is not finite.
    assert pd.read_csv(tmp_path / "page" / "intensity.csv")["sampled"].sum() == 107


def test_shares_of_a_scene_are_of_what_it_holds_and_of_what_is_labelled(tmp_path: Path) -> None:
    utm = rasterio.CRS.from_epsg(32616).to_wkt()
    (tmp_path / "images").mkdir()
    place = {"crs": utm, "transform": rasterio.Affine(10, 0, 500_000, 0, -10, 3_000_000)}
    profile = {"driver": "GTiff", "count": 1, "height": 30, "width": 30, "dtype": "uint16", "nodata": 0}
    pixels = np.full((30, 30), 9, np.uint16)
    pixels[20:23, 20:23] = 0
    with rasterio.open(tmp_path / "images" / "a.tif", "w", **profile, **place) as file:
        file.write(pixels, 1)
    for name, side in (("labels", 4), ("seen", 10)):
        square = shapely.box(500_000, 3_000_000 - 10 * side, 500_000 + 10 * side, 3_000_000)
        write_vectors(tmp_path / f"{name}.gpkg", np.array([square]), pd.DataFrame({"scene": ["a"]}), utm)
    data = {
        "source": "scenes", "root": str(tmp_path), "labels": "labels.gpkg", "extent": "seen.gpkg", "window": 16,
        "classes": [{"name": "area", "values": [1]}],
    }  # fmt: skip
    html = write_dataset_report(parse({"data": data}, "test"), "scenes", tmp_path / "page").read_text()
    (scene,) = pd.read_csv(tmp_path / "page" / "scenes.csv").to_dict("records")
    # Four windows of 16 hold 900 pixels of the scene, 9 of them no data; 10 · 10 are labelled, 4 · 4 of them slick.
    assert (scene["tiles"], scene["area pixels"]) == (4, 16)
    assert (scene["nodata_percent"], scene["foreground_percent"]) == pytest.approx((1, 16))
    # The last window holds 14 · 14 of them.
    tiles = pd.read_csv(tmp_path / "page" / "tiles.csv")
    assert tiles["nodata_percent"].tolist() == pytest.approx([0, 0, 0, 900 / 196])
    assert '<dt>no data</dt><dd><div class="number">1.00 %</div>' in html


def test_the_report_of_salt_tiles(salt_root: Path, tmp_path: Path) -> None:
    root = tmp_path / "salt"
    shutil.copytree(salt_root, root)
    images = sorted((root / "train" / "images").glob("*.png"))
    Image.fromarray(np.full((101, 101), 9, np.uint8)).save(images[0])
    flat = sum(np.ptp(np.asarray(Image.open(path))) == 0 for path in images)
    config = parse({"data": {"source": "tgs", "root": str(root), "split": {"by": "random", "folds": 4}}}, "test")
    html = write_dataset_report(config, "<salt>", tmp_path / "page").read_text()
    assert "<salt>" not in html
    assert "(fold 0 of 4)" in html
    assert f'<dt>tiles of one value</dt><dd><div class="number">{flat}</div>' in html
    assert "<h3>Examples</h3>" in html and "<h3>Scenes</h3>" not in html
    assert len(pd.read_csv(tmp_path / "page" / "tiles.csv")) == 40
    # A salt tile is of no scene.
    assert not re.search("scene", re.sub(r"(?s)<(script|style).*?</\1>", "", html), re.IGNORECASE)


def test_data_that_cannot_be_divided_is_still_described_whatever_it_is_called(tmp_path: Path) -> None:
    evil = "<img src=x onerror=throw>"
    for folder in ("images", "masks"):
        (tmp_path / evil / folder).mkdir(parents=True)
        for n in range(3):
            tifffile.imwrite(tmp_path / evil / folder / f"{evil}{n}.tif", np.full((6, 6), n % 2, np.uint8))
    data = {"source": "tiles", "root": str(tmp_path / evil), "classes": [{"name": evil, "values": [1]}]}
    recipe = parse({"data": data | {"split": {"val": [evil]}}}, "test")
    html = write_dataset_report(recipe, evil, tmp_path / "page").read_text()
    assert f"Training could not divide these tiles: scene '{evil}' is not in the data" in unescape(html)
    assert not (tmp_path / "page" / "shares.csv").exists()
    assert evil not in html and html.count("&lt;img src=x onerror=throw&gt;") > 10


def test_a_sheet_shows_each_class_first_and_then_from_most_to_none(tmp_path: Path) -> None:
    masks = {f"a.{n}": empty() for n in range(10)}
    for n in range(1, 10):
        masks[f"a.{n}"][0, : n // 2] = 1
    masks["a.3"][5, :2] = 2  # the only seep 2
    tiles = inspected(tmp_path, {name: noise(n) for n, name in enumerate(masks)}, dict(masks)).tiles
    catalog = Catalog(tuple(facts.tile for facts in tiles), SEEP)
    source = source_of(parse({"data": {"source": "seep", "root": str(tmp_path), "nodata": 0}}, "test").data)
    rows = example_rows(catalog, source)
    # Of seep 1 a.8 and a.9 have four pixels, the first of them counts; a.3 has seep 2. The rest by foreground, which is
    # 0 0 1 3 2 2 3 3 4 4: eight even steps from most to least.
    titles = [name for title, _ in rows for name in title.split(" · ")]
    assert titles[:2] == ["a.8", "a.3"]
    assert (titles[2], titles[-1], len(set(titles))) == ("a.9", "a.0", 8)
    # Two tiles per row, each as image and as mask over it: 4 · 6 + 3 · 4 columns.
    assert {picture.shape for _, picture in rows} == {(6, 36, 3)}
    image, over = rows[0][1][:, :6], rows[0][1][:, 10:16]
    assert ((image != over).any(2)).tolist() == (masks["a.8"] > 0).tolist()
