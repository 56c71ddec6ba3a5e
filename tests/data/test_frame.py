"""Where tiles of several scenes lie in common."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile

from seepseg.config import Config, parse
from seepseg.data.catalog import labelled_of
from seepseg.data.frame import frame_shifts, with_blocks
from seepseg.data.scan import with_counts
from seepseg.data.source import source_of
from seepseg.errors import ConfigError, DataError
from seepseg.splits.make import NOWHERE, make_splits
from tests.command import run
from tests.scenes.test_frame import TILE, cut, sea

SHIFTS = {"041801": (0, 0), "041802": (4, -60), "045501": (-3, 25)}
BLOCKS = {"by": "blocks", "size": 2 * TILE, "margin": 20, "folds": 3}


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three shifted scenes of 6 × 6 tiles with points that stay, and two tiles of one without; all classes in each."""
    root, rng = tmp_path_factory.mktemp("frame"), np.random.default_rng(4)
    fixed = [(int(r), int(c)) for r, c in rng.integers(150, 620, (14, 2))]
    for folder in ("train_images_256", "train_masks_256"):
        (root / folder).mkdir()
    every = [(i, j) for i in range(6) for j in range(6)]
    for seed, scene in enumerate([*SHIFTS, "045509"]):
        image = sea(fixed, SHIFTS[scene], seed) if scene in SHIFTS else sea([], (0, 0), 9)
        for (i, j), pixels in cut(image, every if scene in SHIFTS else every[:2]).items():
            name = f"{scene}.{6 * i + j:06d}.tif"
            tifffile.imwrite(root / "train_images_256" / name, np.clip(pixels.raw[0], 1, 65535).astype(np.uint16))
            tifffile.imwrite(root / "train_masks_256" / name, rng.integers(0, 8, (TILE, TILE)).astype(np.uint8))
    return root


def recipe(root: Path, **data: Any) -> Config:
    grid = {"0418": 6, "0455": 6}
    tree = {"source": "seep", "root": str(root), "grid": grid, "split": BLOCKS, **data}
    return parse({"data": tree, "model": {"name": "unet", "head": "softmax"}, "loss": "ce"}, "test")


def test_bright_points_say_how_scenes_are_shifted(root: Path) -> None:
    source = source_of(recipe(root).data)
    found = frame_shifts(source, source.catalog())
    assert found.pop("045509") is None
    for scene, (row, column) in SHIFTS.items():
        assert found[scene] == (pytest.approx(row, abs=1), pytest.approx(column, abs=1))
        assert all(float(number).is_integer() for number in found[scene] or ())


def test_tiles_lie_in_blocks_of_the_frame_and_those_without_a_place_are_unused(root: Path) -> None:
    config = recipe(root)
    source = source_of(config.data)
    catalog = with_blocks(source, with_counts(source, labelled_of(source.catalog())))
    blocks = {t.id: t.blocks for t in catalog.tiles}
    # Row 1, column 2 of 041802 begins at (132, 196), its middle is (196, 260): rows and columns from 0 and 256.
    own = blocks["041802.000008"]
    assert own
    assert own.own == "0/1"
    # Within 20 pixels of (132 … 260, 196 … 324): tiles of other scenes in all four blocks around (256, 256).
    assert set(own.near) == {"0/0", "0/1", "1/0", "1/1"}
    assert blocks["045509.000001"] is None
    (warning,) = catalog.warnings
    assert warning.startswith(
        "1 of 4 scenes share too few bright points with the others (045509), so their 2 tiles are"
    )
    tables = [make_splits(catalog, config.data.split, 0, fold).set_index("id") for fold in range(3)]
    loose = ["045509.000000", "045509.000001"]
    for table in tables:
        assert list(table.index) == [t.id for t in catalog.tiles]
        assert set(table.loc[loose, "split"]) == {"unused"}
        assert set(table.loc[loose, "fold"]) == {NOWHERE}
        assert table["fold"].equals(tables[0]["fold"])
    # Every other tile is held out once.
    held = sum((table["split"] == "val").astype(int) for table in tables)
    assert set(held.drop(loose)) == {1}


def test_shifts_can_be_given(root: Path, tmp_path: Path) -> None:
    path = tmp_path / "shifts.csv"
    path.write_text("scene,column,row\n041801,0,0\n041802,-60,4\n045501,25.5,-3\n045509,1,2\nother,9,9\n")
    source = source_of(recipe(root, shifts=str(path)).data)
    given = frame_shifts(source, source.catalog())
    assert given == {"041801": (0, 0), "041802": (4, -60), "045501": (-3, 25.5), "045509": (2, 1)}
    path.write_text("scene,column,row\n041801,0,0\n")
    with pytest.raises(ConfigError, match=r"no shift of 041802, 045501, 045509 in .*shifts.csv: give a row for each"):
        frame_shifts(source, source.catalog())
    unshifted = source_of(recipe(root, shifts=None).data)
    assert set(frame_shifts(unshifted, source.catalog()).values()) == {(0.0, 0.0)}


def test_scenes_that_nothing_ties_are_refused_and_one_alone_needs_nothing(root: Path) -> None:
    source = source_of(recipe(root).data)
    catalog = source.catalog()
    apart = catalog.subset([t.id for t in catalog.tiles if t.group in ("041801", "045509")])
    with pytest.raises(ConfigError, match=r"no two of 2 scenes share enough bright points in data.shifts: give a CSV"):
        with_blocks(source, apart)
    alone = catalog.subset([t.id for t in catalog.tiles if t.group == "041801"])
    assert frame_shifts(source, alone) == {"041801": (0.0, 0.0)}


def test_tiles_without_georeference_need_cells_and_other_splits_no_blocks(root: Path) -> None:
    source = source_of(recipe(root, grid={}).data)
    with pytest.raises(DataError, match=r"no georeference and is no cell of a scene, so its block is .*tif"):
        with_blocks(source, source.catalog())
    whole = source_of(recipe(root, split={}).data)
    catalog = whole.catalog()
    assert with_blocks(whole, catalog) is catalog


def test_the_command_shows_the_blocks_of_each_fold(
    root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    how = f"data.split={{by: blocks, size: {2 * TILE}, margin: 20, folds: 3}}"
    grid = ["-s", "data.grid={'0418': 6, '0455': 6}"]
    code, out, err = run(
        capsys, "data", "split", "seep_best_cpu", "-s", f"data.root={root}", "-s", how, *grid, "-o", tmp_path / "s.csv"
    )
    assert code == 0
    assert "warning: 1 of 4 scenes share too few bright points" in err
    assert "pixels of each class in each part of fold 0" in out
    assert "each fold: its tiles, and the % of each class that it holds out" in out
    assert (tmp_path / "s.csv").read_text().splitlines()[0] == "id,group,block,fold,split"
