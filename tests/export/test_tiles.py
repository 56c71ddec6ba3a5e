"""Windows as tile files: the same pixels, labels and parts as those of the scenes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import rasterio
from rasterio.control import GroundControlPoint
from rasterio.transform import Affine

from seepseg.config import Config, dump, load, parse
from seepseg.data.catalog import Catalog, labelled_of
from seepseg.data.frame import with_blocks
from seepseg.data.scan import with_counts
from seepseg.data.source import Source, open_pixels, read_mask, read_pixels, source_of
from seepseg.geo.place import place_of
from seepseg.runs.folder import folder_lock
from seepseg.splits.make import make_splits
from tests.command import run
from tests.data.test_scenes import OIL, UTM, image, save, stored, two_scenes, vectorised


def recipe(root: Path, **data: Any) -> dict[str, Any]:
    base = {
        "source": "scenes", "root": str(root), "classes": OIL, "nodata": 0, "window": 16, "labels": "masks",
        "split": {"val": ["b"]},
    }  # fmt: skip
    model = {"name": "unet", "channels": [8, 16], "num_res_units": 0, "head": "softmax"}
    train = {"epochs": 1, "batch_size": 8, "panels_every": 0}
    runtime = {"device": "cpu", "amp": "off", "threads": 1}
    return {"data": base | data, "model": model, "loss": "dice_ce", "train": train, "runtime": runtime}


def tiled(root: Path, capsys: pytest.CaptureFixture[str], *more: str, **data: Any) -> tuple[Config, Config]:
    """The config of scenes, and that of their tiles in `root / "tiles"`."""
    scenes = parse(recipe(root, **data), "test")
    (root / "scenes.yaml").write_text(dump(scenes))
    code, out, err = run(capsys, "data", "tile", root / "scenes.yaml", "-o", root / "tiles", *more)
    assert code == 0, err
    assert out.startswith("written: ")
    return scenes, load(root / "tiles" / "tiles.yaml")


def counted(config: Config) -> tuple[Source, Catalog]:
    source = source_of(config.data)
    return source, with_blocks(source, labelled_of(with_counts(source, source.catalog())))


def assert_same(scenes: Config, tiles: Config) -> None:
    (own, windows), (source, files) = counted(scenes), counted(tiles)
    assert source.pixel_size == own.pixel_size
    assert files.warnings == windows.warnings
    facts = [[(t.id, t.group, t.cell, t.pixels) for t in catalog.tiles] for catalog in (windows, files)]
    assert facts[0] == facts[1]
    for window, tile in zip(windows.tiles, files.tiles, strict=True):
        (raw, valid), (again, still) = read_pixels(own, window), read_pixels(source, tile)
        assert again.dtype == raw.dtype
        assert np.array_equal(still, valid)
        assert np.array_equal(again[:, valid], raw[:, valid])
        masks = [read_mask(one, t, valid.shape) for one, t in ((own, window), (source, tile))]
        assert np.array_equal(*masks)
        with open_pixels(own, window.image) as scene, open_pixels(source, tile.image) as small:
            assert window.window
            there = np.array([[3.0, 5.0]])
            place = [place_of(one.georeference) for one in (scene, small)]
            assert (place[0].crs is None) == (place[1].crs is None)
            if place[0].crs:
                moved = there + window.window[1::-1]
                assert place[1].to_map(there) == pytest.approx(place[0].to_map(moved), rel=1e-9)


KINDS = ["masks", "polygons", "full", "float", "points", "soft", "large values", "nowhere", "no such value"]


def gcps() -> list[GroundControlPoint]:
    return [GroundControlPoint(r, c, 9 + 0.001 * c, 60 - 0.001 * r, 0) for r in (0, 20, 40) for c in (0, 25, 50)]


@pytest.mark.parametrize("kind", KINDS)
def test_tiles_hold_the_pixels_and_labels_of_their_windows(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], kind: str
) -> None:
    two_scenes(tmp_path)
    data: dict[str, Any] = {}
    one = tmp_path / "images" / "a.tif"
    rng = np.random.default_rng(1)
    if kind == "polygons":
        for name in "ab":
            vectorised(tmp_path / "drawn" / f"{name}.gpkg", stored(tmp_path / "masks" / f"{name}.tif"))
        half = np.zeros((40, 50), np.uint8)
        half[5:30, 5:45] = 1
        vectorised(tmp_path / "seen.gpkg", half)
        data = {"labels": "drawn", "attribute": "kind", "extent": "seen.gpkg"}
    elif kind == "full":  # all 256 levels are data, so that windows over the border need a mask
        for name, shape in {"a": (40, 50), "b": (33, 21)}.items():
            pixels = np.resize(np.arange(256), shape).astype(np.uint8)
            save(tmp_path / "images" / f"{name}.tif", pixels)
        data = {"nodata": None}
    elif kind == "no such value":  # that of float files of the same config
        data = {"nodata": -9999}
    elif kind == "float":
        for name, shape in {"a": (40, 50), "b": (33, 21)}.items():
            pixels = rng.normal(size=shape).astype(np.float32)
            pixels[:3] = np.nan
            save(tmp_path / "images" / f"{name}.tif", pixels, crs=UTM, transform=Affine(10, 2, 5, 3, -10, 7))
        data = {"nodata": "nan"}
    elif kind == "points":
        save(one, image(), gcps=gcps(), crs=rasterio.CRS.from_epsg(4326))
    elif kind == "soft":
        for name, shape in {"a": (40, 50), "b": (33, 21)}.items():
            save(tmp_path / "masks" / f"{name}.tif", rng.random(shape).astype(np.float32))
        data = {"classes": [{"name": "oil", "at_least": 0.5}]}
    elif kind == "large values":
        for name, shape in {"a": (40, 50), "b": (33, 21)}.items():
            mask = rng.choice(np.array([0, 255, 300, 7], np.uint16), shape)
            save(tmp_path / "masks" / f"{name}.tif", mask)
        data = {"classes": [{"name": "oil", "values": [255]}, {"name": "other", "values": [300]}], "ignore_values": [7]}
    elif kind == "nowhere":
        for name, shape in {"a": (40, 50), "b": (33, 21)}.items():
            save(tmp_path / "images" / f"{name}.tif", image(*shape))
    assert_same(*tiled(tmp_path, capsys, **data))
    table = pd.read_csv(tmp_path / "tiles" / "tiles.csv", dtype=str)
    assert len(table) == 18
    assert table["mask"].str.endswith(".tif" if kind in ("soft", "large values") else ".png").all()
    assert set(table["split"]) <= {"train", "val", "unused"}


SPLITS = [
    {"val": ["b"]},
    {"by": "random", "val_fraction": 0.3},
    {"by": "random", "folds": 2},
    {"by": "blocks", "size": 200, "val_fraction": 0.4},
    {"by": "blocks", "size": 200, "folds": 2},
]


@pytest.mark.parametrize("split", SPLITS, ids=str)
@pytest.mark.parametrize("empty", [1.0, 0.4])
def test_tiles_train_and_validate_as_windows_do(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], split: dict[str, Any], empty: float
) -> None:
    two_scenes(tmp_path)
    how = {**split, "allow_missing_classes": True}
    scenes, tiles = tiled(tmp_path, capsys, split=how, empty=empty, window=8)
    for fold in range(split.get("folds", 0)) or [None]:
        parts = [
            make_splits(counted(config)[1], config.data.split, config.seed, fold).set_index("id")["split"]
            for config in (scenes, tiles)
        ]
        assert parts[0].equals(parts[1])
    same = {"scaling", "augment", "sampling", "classes", "nodata", "bands", "cache_gb"}
    assert tiles.data.model_dump(include=same) == scenes.data.model_dump(include=same)
    changed = {"data"}
    assert tiles.model_dump(exclude=changed) == scenes.model_dump(exclude=changed)


def test_a_folder_is_finished_or_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    two_scenes(tmp_path)
    _, tiles = tiled(tmp_path, capsys)
    out = tmp_path / "tiles"
    before = {p: p.read_bytes() for p in out.rglob("*") if p.is_file()}
    again = ("data", "tile", tmp_path / "scenes.yaml", "-o", out)
    code, _, err = run(capsys, *again)  # and warns of scenes that share ground
    assert (code, err.splitlines()[-1]) == (
        2, f"error: is not empty in {out}: choose another folder, or give --overwrite")  # fmt: skip
    # As if it had been killed: no table, a file half written, one missing.
    (out / "mine.txt").write_text("stays")
    with folder_lock(out):
        assert run(capsys, *again)[0] == 6
    assert run(capsys, *again, "--overwrite", "-s", "data.window=32")[0] == 0
    assert len(list((out / "images").rglob("*.tif"))) == 2 * 2 + 2 * 1
    assert (out / "mine.txt").read_text() == "stays"
    assert run(capsys, *again, "--overwrite")[0] == 0
    assert {p: p.read_bytes() for p in before} == before
    assert tiles == load(out / "tiles.yaml")


def test_what_was_stopped_goes_on(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from seepseg.export import tiles

    two_scenes(tmp_path)
    write, count = tiles._write_image, 0

    def stopped(*arguments: Any) -> None:
        nonlocal count
        count += 1
        if count == 6:
            raise KeyboardInterrupt
        write(*arguments)

    monkeypatch.setattr(tiles, "_write_image", stopped)
    (tmp_path / "scenes.yaml").write_text(str(recipe(tmp_path)).replace("'", '"').replace("None", "null"))
    again = ("data", "tile", tmp_path / "scenes.yaml", "-o", tmp_path / "tiles")
    assert run(capsys, *again)[0] == 130
    assert not (tmp_path / "tiles" / "tiles.csv").exists()
    assert run(capsys, *again, "-s", "data.window=32")[0] == 2
    assert run(capsys, *again)[0] == 0
    assert count == 6 + 13  # 18 windows, of which 5 were there
    assert_same(load(tmp_path / "scenes.yaml"), load(tmp_path / "tiles" / "tiles.yaml"))


def test_only_scenes_are_tiled(seep_root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(capsys, "data", "tile", "seep_multiclass", "-s", f"data.root={seep_root}", "-o", tmp_path / "x") == (
        2, "", "error: seep are tiles already in data.source: use it with source: scenes\n")  # fmt: skip
