from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
import torch

from seepseg.config import Config, parse
from seepseg.evaluation.fitting import fit_decoding, told, write_search
from seepseg.evaluation.source import Source, open_source
from seepseg.inference.score import TileResult
from seepseg.runs.folder import RunFolder
from seepseg.training.prepare import prepare
from seepseg.training.run import assemble
from seepseg.training.state import to_checkpoint
from tests.conftest import tiny_config
from tests.inference.test_scene_objects import asks

Open = Callable[[Config], Source]


@pytest.fixture
def untrained(tmp_path: Path) -> Open:
    """The validation part of a config, as a network with its first weights predicts it."""

    def opened(config: Config) -> Source:
        data, folder = prepare(config, None), RunFolder(tmp_path)
        folder.write_splits(data.splits)
        checkpoint = to_checkpoint(assemble(config, data, torch.device("cpu")))
        return open_source(checkpoint, folder, config.runtime, split="val")

    return opened


def ignore(tile: TileResult) -> None:
    """Look away."""


def test_what_the_search_promises_is_what_decoding_scores(untrained: Open, seep_root: Path) -> None:
    model = {"name": "unet", "channels": [8, 16], "num_res_units": 0, "head": "sigmoid"}
    # With one class an object, classes get no offsets, and the promise is exact for the foreground.
    source = untrained(tiny_config(seep_root, model=model, loss="dice_bce", predict={"vote": True}))
    search = fit_decoding(source, "val", 0)
    assert (search.fit.offsets, search.fit.head, search.fit.tiles) == ((), "sigmoid", source.ids)
    sums = source.score(source.config.predict, search.fit, 0, ignore)
    assert sums.scores().foreground.dice == pytest.approx(search.scores()["foreground_dice"][search.at], abs=1e-12)
    assert list(search.scores()) == ["macro_dice", "foreground_dice"]


def test_class_offsets_raise_macro_dice(untrained: Open, seep_root: Path, tmp_path: Path) -> None:
    model = {"name": "unet", "channels": [8, 16], "num_res_units": 0, "head": "softmax"}
    source = untrained(tiny_config(seep_root, model=model, loss="dice_ce"))
    search = fit_decoding(source, "val", 0)
    promised = search.scores()["macro_dice"]
    assert promised.max() == promised[search.at]
    decoding = source.config.predict
    plain = source.score(decoding, replace(search.fit, offsets=()), 0, ignore)
    assert plain.scores().macro_dice == pytest.approx(promised[search.at], abs=1e-12)
    assert len(search.fit.offsets) == 7
    assert (source.score(decoding, search.fit, 0, ignore).scores().macro_dice or 0) > promised[search.at]
    write_search(tmp_path / "s", search)
    assert pd.read_csv(tmp_path / "s" / "threshold.csv")["macro_dice"].max() == pytest.approx(promised.max())
    assert (tmp_path / "s" / "threshold.png").stat().st_size > 1000
    assert told(search.fit).startswith("temperature ")


def test_with_an_object_classifier_only_the_outline_is_fitted(untrained: Open, seep_root: Path) -> None:
    model = {"name": "unet", "channels": [8, 16], "num_res_units": 0, "head": "softmax"}
    source = untrained(tiny_config(seep_root, model=model, loss="dice_ce"))
    asked = replace(source, objects=asks("log_area", 0, 3, 3))
    search = fit_decoding(asked, "val", 0)
    # A class offset would change nothing: the classifier says what every object is.
    assert search.fit.offsets == ()
    assert list(search.scores()) == ["foreground_dice"]
    assert search.scores()["foreground_dice"].max() == search.scores()["foreground_dice"][search.at]


def test_salt_is_fitted_by_the_tgs_score(untrained: Open, salt_root: Path) -> None:
    tree = {
        "data": {"source": "tgs", "root": str(salt_root), "split": {"by": "random"}, "scaling": {"basis": "tile"}},
        "model": {"name": "unet", "channels": [8, 16], "num_res_units": 0, "head": "binary"},
        "loss": "dice_bce",
        "runtime": {"device": "cpu", "amp": "off", "threads": 1},
    }
    source = untrained(parse(tree, "test"))
    search = fit_decoding(source, "val", 0)
    assert list(search.scores()) == ["tgs_score", "foreground_dice"]
    sums = source.score(source.config.predict, search.fit, 0, ignore)
    assert sums.tgs_score == pytest.approx(search.scores()["tgs_score"].max(), abs=1e-12)
