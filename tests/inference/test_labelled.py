from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from seepseg.config import Config, Runtime
from seepseg.data.scaling import Limits, group_limits, measure_scaling
from seepseg.data.source import images_of, scene_images, source_of
from seepseg.errors import ConfigError, DataError
from seepseg.inference.labelled import open_folds, open_labelled
from seepseg.inference.score import TileResult
from seepseg.runs.checkpoint import save_checkpoint
from seepseg.runs.folder import RunFolder
from seepseg.training.prepare import prepare
from seepseg.training.run import assemble
from seepseg.training.state import to_checkpoint
from tests.conftest import tiny_config

CPU = Runtime(device="cpu")


def untrained(config: Config, root: Path, fold: int | None = None) -> RunFolder:
    """A run with its first weights as its best and last ones."""
    data, folder = prepare(config, fold), RunFolder(root)
    folder.write_splits(data.splits)
    checkpoint = to_checkpoint(assemble(config, data, torch.device("cpu")))
    for path in (folder.best, folder.last):
        save_checkpoint(path, checkpoint)
    return folder


@pytest.fixture
def folder(seep_root: Path, tmp_path: Path) -> RunFolder:
    """An untrained run on four scenes."""
    return untrained(tiny_config(seep_root), tmp_path / "run")


def test_tiles_come_in_the_order_of_the_catalog_whoever_asks(folder: RunFolder) -> None:
    splits = folder.read_splits()
    labelled = open_labelled(folder.best, CPU, "val")
    assert labelled.name == "run"
    assert set(labelled.ids) == set(splits.loc[splits["split"] == "val", "id"])
    assert (labelled.per_tile, labelled.tta) == (False, "none")
    config = labelled.config.predict
    predictions = {answer.id: answer.prediction for answer in labelled.answers(config)}
    results: list[TileResult] = []
    sums = labelled.score(config, None, results.append)
    assert list(predictions) == [r.id for r in results] == list(labelled.ids)
    assert all(np.array_equal(predictions[r.id], r.prediction) for r in results)
    assert np.array_equal(sums.matrix, sum(r.sums.matrix for r in results))
    # Every third tile only.
    results.clear()
    labelled.score(config, None, results.append, every=3)
    assert [r.id for r in results] == list(labelled.ids[::3])


def test_which_tiles(folder: RunFolder, seep_root: Path) -> None:
    splits = folder.read_splits()
    assert len(open_labelled(folder.best, CPU, "train").ids) == (splits["split"] == "train").sum()
    assert len(open_labelled(folder.best, CPU, "all").ids) == len(splits)
    other = open_labelled(folder.best, CPU, "val", data_root=seep_root, tta=True)
    assert (len(other.ids), other.tta) == (len(splits), other.config.predict.tta)
    with pytest.raises(ConfigError, match="the test part is empty"):
        open_labelled(folder.best, CPU, "test")
    splits.loc[splits["split"] == "val", "id"] = [f"lost.{i}" for i in range((splits["split"] == "val").sum())]
    folder.write_splits(splits)
    with pytest.raises(DataError, match=r"\d+ tiles of the split are gone"):
        open_labelled(folder.best, CPU, "val")
    folder.splits.unlink()
    with pytest.raises(ConfigError, match="no splits.csv, so the val part is not known"):
        open_labelled(folder.best, CPU, "val")


def test_training_tiles_are_not_scored_as_those_of_another_root(seep_root: Path, tmp_path: Path) -> None:
    data = {"source": "seep", "root": str(seep_root), "images": [str(seep_root / "train_images_256")]}
    folder = untrained(tiny_config(seep_root, data=data | {"split": {"val_fraction": 0.25}}), tmp_path / "run")
    with pytest.raises(ConfigError, match=r"train_images_256 is absolute"):
        open_labelled(folder.best, CPU, "val", data_root=tmp_path)


def test_limits_of_a_scene_are_of_all_its_tiles(seep_root: Path, tmp_path: Path) -> None:
    data = {"source": "seep", "root": str(seep_root), "split": {"val_fraction": 0.25}, "scaling": {"basis": "scene"}}
    folder = untrained(tiny_config(seep_root, data=data), tmp_path / "run")
    whole = open_labelled(folder.best, CPU, "val").dataset.limits
    # One tile of each scene is left to score; the scene is the same.
    splits = folder.read_splits()
    splits = splits.drop(splits[(splits["split"] == "val") & splits.duplicated("group")].index)
    folder.write_splits(splits)
    few = open_labelled(folder.best, CPU, "val")
    assert len(few.ids) == few.catalog.groups().__len__()
    assert few.dataset.limits == whole


def test_limits_of_a_scene_are_those_of_training_whatever_is_labelled(seep_root: Path, tmp_path: Path) -> None:
    """Half of the tiles have no mask: they are not trained on, and show what the scene is like all the same."""
    images = sorted((seep_root / "train_images_256").glob("*.tif"))
    table = tmp_path / "tiles.csv"
    masks = {p: seep_root / "train_masks_256" / p.name for p in images}
    text = "".join(f"{p.stem},{p},{masks[p] if k % 2 else ''},{p.stem.split('.')[0]}\n" for k, p in enumerate(images))
    table.write_text(f"id,image,mask,scene\n{text}")
    data = {
        "source": "tiles", "root": str(tmp_path), "table": str(table), "classes": "seep", "scaling": {"basis": "scene"},
        "split": {"val_fraction": 0.25, "allow_missing_classes": True},
    }  # fmt: skip
    config = tiny_config(seep_root, data=data)
    folder = untrained(config, tmp_path / "run")
    data_of_it = prepare(config, None)
    trained, scored = data_of_it.val, open_labelled(folder.best, CPU, "val").dataset
    assert set(trained.limits) == {p.stem.split(".")[0] for p in images} > set(scored.limits) > set()
    assert {scene: trained.limits[scene] for scene in scored.limits} == dict(scored.limits)
    # Mean and spread are of pixels scaled so, and not by limits of the labelled half.
    source, tiles = source_of(config.data), data_of_it.train.catalog.tiles

    def mean(limits: Mapping[str, Limits]) -> tuple[float, ...]:
        return measure_scaling(config.data.scaling, images_of(source, tiles), len(tiles), limits).mean

    labelled = group_limits(config.data.scaling, scene_images(source, tiles))
    assert trained.scaling.mean == mean(trained.limits) != mean(labelled)


def broken(folds: list[RunFolder], change: Callable[[list[RunFolder]], None]) -> str:
    """What is said of folds after a change."""
    change(folds)
    with pytest.raises(ConfigError) as caught:
        open_folds(folds[0].root.parent, CPU)
    return str(caught.value)


def test_folds_hold_each_tile_once(seep_root: Path, tmp_path: Path) -> None:
    split = {"folds": 2, "allow_missing_classes": True}
    config = tiny_config(seep_root, data={"source": "seep", "root": str(seep_root), "split": split})
    folds = [untrained(config, tmp_path / f"fold_{k}", k) for k in (0, 1)]
    opened = open_folds(tmp_path, CPU)
    assert [fold.name for fold in opened] == ["fold_0", "fold_1"]
    ids = [i for fold in opened for i in fold.ids]
    assert len(ids) == len(set(ids)) == len(folds[0].read_splits())
    assert all(fold.path.name == "last.pt" for fold in opened)
    assert "tiles are held out by two folds (" in broken(folds, lambda f: f[1].write_splits(f[0].read_splits()))
    longer = replace(to_checkpoint(assemble(config, prepare(config, 0), torch.device("cpu"))), epoch=7)
    assert "different epochs (fold_0 7, fold_1 0)" in broken(folds, lambda f: save_checkpoint(f[0].last, longer))
    assert broken(folds, lambda f: f[1].root.rename(tmp_path / "elsewhere")).startswith("1 of 2 folds are there")
