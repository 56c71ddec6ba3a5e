from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from scipy import ndimage

from seepseg.config import Config, parse
from seepseg.data.loader import Batch
from seepseg.evaluation.fitting import fit_decoding, write_search
from seepseg.evaluation.printing import decoding_text
from seepseg.inference.decode import decode
from seepseg.inference.labelled import Labelled, open_labelled
from seepseg.inference.scene_objects import scenes
from seepseg.inference.score import Answer, Decoding, TileResult
from seepseg.metrics.grades import PARTS
from seepseg.runs.checkpoint import save_checkpoint
from seepseg.runs.folder import RunFolder
from seepseg.scenes import mosaic
from seepseg.training.prepare import prepare
from seepseg.training.run import assemble
from seepseg.training.state import to_checkpoint
from tests.conftest import tiny_config
from tests.inference.test_scene_objects import asks

Open = Callable[[Config], Labelled]


@pytest.fixture
def untrained(tmp_path: Path) -> Open:
    """The validation part of a config, as a network with its first weights predicts it."""

    def opened(config: Config) -> Labelled:
        data, folder = prepare(config, None), RunFolder(tmp_path)
        folder.write_splits(data.splits)
        save_checkpoint(folder.best, to_checkpoint(assemble(config, data, torch.device("cpu"))))
        return open_labelled(folder.best, config.runtime, "val")

    return opened


def ignore(tile: TileResult) -> None:
    """Look away."""


def test_what_the_search_promises_is_what_decoding_scores(untrained: Open, seep_root: Path) -> None:
    model = {"name": "unet", "channels": [8, 16], "num_res_units": 0, "head": "sigmoid"}
    # With one class an object, classes get no offsets, and the promise is exact for the foreground.
    part = untrained(tiny_config(seep_root, model=model, loss="dice_bce", predict={"vote": True}))
    search = fit_decoding(part)
    assert (search.fit.offsets, search.fit.head, search.fit.tiles) == ((), "sigmoid", part.ids)
    sums = part.score(part.config.predict, search.fit, ignore)
    assert sums.scores().foreground.dice == pytest.approx(search.scores()["foreground_dice"][search.at], abs=1e-12)
    assert list(search.scores()) == ["macro_dice", "foreground_dice"]
    # As many polygons as the same decoding draws, in scenes put together from their tiles.
    tiles = {t.id: t for t in part.catalog.tiles}
    drawn = [
        mosaic.assemble({cell: answer.prediction for cell, answer in by_cell.items()})
        for by_cell, _ in scenes(part.decided(part.config.predict, search.fit), tiles)
    ]
    assert sum(search.fit.polygons) == sum(number_of_polygons(classes) for classes in drawn)
    assert 0 < sum(search.fit.right) <= sum(search.fit.polygons)


def test_a_scene_is_in_the_same_part_of_all_folds(untrained: Open, seep_root: Path) -> None:
    config = tiny_config(
        seep_root, model={"name": "unet", "channels": [8, 16], "num_res_units": 0, "head": "softmax"}, loss="dice_ce"
    )
    part = untrained(config)
    splits = part.folder.read_splits()
    names = splits["group"].unique().tolist()
    # A fold that holds out tiles of the last scene only: in another fold, with other tiles of it, it must be the last.
    last = splits["group"] == names[-1]
    part.folder.write_splits(splits.assign(split=np.where(last, "val", "train"), fold=0))
    fit = fit_decoding(open_labelled(part.path, config.runtime, "val")).fit
    assert len(names) > 1
    assert np.flatnonzero(np.reshape(fit.polygons, (PARTS, -1)).sum(1)).tolist() == [(len(names) - 1) % PARTS]


def number_of_polygons(classes: np.ndarray) -> int:
    """The pairs of an object and a class, by scipy."""
    found = np.where(classes == 255, 0, classes)
    objects, _ = ndimage.label(found, np.ones((3, 3)))
    return len(set(zip(objects[found > 0].tolist(), found[found > 0].tolist(), strict=True)))


def test_class_offsets_raise_macro_dice(untrained: Open, seep_root: Path, tmp_path: Path) -> None:
    model = {"name": "unet", "channels": [8, 16], "num_res_units": 0, "head": "softmax"}
    part = untrained(tiny_config(seep_root, model=model, loss="dice_ce"))
    search = fit_decoding(part)
    promised = search.scores()["macro_dice"]
    assert promised.max() == promised[search.at]
    decoding = part.config.predict
    plain = part.score(decoding, replace(search.fit, offsets=()), ignore)
    assert plain.scores().macro_dice == pytest.approx(promised[search.at], abs=1e-12)
    assert len(search.fit.offsets) == 7
    assert (part.score(decoding, search.fit, ignore).scores().macro_dice or 0) > promised[search.at]
    write_search(tmp_path / "s", search)
    assert pd.read_csv(tmp_path / "s" / "threshold.csv")["macro_dice"].max() == pytest.approx(promised.max())
    assert list(pd.read_csv(tmp_path / "s" / "grades.csv")) == ["letter", "least", "polygons", "right", "precision"]
    assert (tmp_path / "s" / "threshold.png").stat().st_size > 1000
    assert decoding_text(search.fit).startswith("temperature ")


def test_with_an_object_classifier_only_the_outline_is_fitted(untrained: Open, seep_root: Path) -> None:
    model = {"name": "unet", "channels": [8, 16], "num_res_units": 0, "head": "softmax"}
    part = untrained(tiny_config(seep_root, model=model, loss="dice_ce"))
    asked = replace(part, objects=asks("log_area", 0, 3, 3))
    search = fit_decoding(asked)
    # A class offset would change nothing: the classifier says what every object is.
    assert search.fit.offsets == ()
    assert list(search.scores()) == ["foreground_dice"]
    dice = search.scores()["foreground_dice"]
    assert dice.max() == dice[search.at]


def test_where_a_classifier_decides_whole_objects_the_minimum_area_is_of_these(
    untrained: Open, seep_root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Slicks of 3 × 20 pixels across the border of two tiles, and in each tile a false alarm of 6 × 6."""

    def answers(
        network: object, batches: Iterable[tuple[int, Batch]], decoding: Decoding, *_: object, **others: object
    ) -> Iterator[Answer]:
        for _, batch in batches:
            for name, valid in zip(batch.ids, batch.valid, strict=True):
                truth, likely = np.zeros((64, 64), np.uint8), torch.full((8, 64, 64), 0.01)
                border = slice(54, 64) if int(name.split(".")[1]) % 2 == 0 else slice(0, 10)
                truth[10:13, border], likely[1, 10:13, border], likely[1, 30:36, 30:36] = 1, 0.9, 0.9
                likely[0] = 1 - likely[1:].sum(0)
                classes = decode(likely[None], torch.ones_like(valid)[None], decoding.config, decoding.fit)[0]
                yield Answer(name, np.zeros((1, 64, 64)), truth, classes, likely)

    grid = {f"90000{i}": 6 for i in range(1, 5)}
    model = {"name": "unet", "channels": [8, 16], "num_res_units": 0, "head": "softmax"}
    data = {"source": "seep", "root": str(seep_root), "grid": grid, "split": {"val_fraction": 0.25}}
    part = untrained(tiny_config(seep_root, data=data, model=model, loss="dice_ce"))
    for module in ("labelled", "score"):
        monkeypatch.setattr(f"seepseg.inference.{module}.answers", answers)
    # Halves of a slick, of 30 pixels, are smaller than the false alarms of 36: tile by tile no area parts them.
    plain, asked = fit_decoding(part), fit_decoding(replace(part, objects=asks("log_area", 0, 3, 3)))
    assert (plain.fit.min_pixels, asked.fit.min_pixels) == (0, 40)


def salt_tree(root: Path) -> dict[str, object]:
    """A small salt recipe."""
    return {
        "data": {"source": "tgs", "root": str(root), "split": {"by": "random"}, "scaling": {"basis": "tile"}},
        "model": {"name": "unet", "channels": [8, 16], "num_res_units": 0, "head": "binary"},
        "loss": "dice_bce",
        "runtime": {"device": "cpu", "amp": "off", "threads": 1},
    }


def test_salt_is_fitted_by_the_tgs_score(untrained: Open, salt_root: Path) -> None:
    part = untrained(parse(salt_tree(salt_root), "test"))
    search = fit_decoding(part)
    assert list(search.scores()) == ["tgs_score", "foreground_dice"]
    sums = part.score(part.config.predict, search.fit, ignore)
    assert sums.tgs_score == pytest.approx(search.scores()["tgs_score"].max(), abs=1e-12)
    assert search.fit.polygons == ()


def test_a_fit_that_predicts_nothing_says_so(untrained: Open, salt_root: Path) -> None:
    search = fit_decoding(untrained(parse(salt_tree(salt_root), "test")))
    counts = search.counts
    true = int(counts.truth.sum())

    def warning(predicted: int) -> str:
        chosen = counts.predicted.copy()
        chosen[search.at] = predicted
        return replace(search, counts=replace(counts, predicted=chosen)).warning()

    assert warning(0) == (
        "the fit chose to predict nothing, which has the best tgs score: the network has not learned enough"
    )
    # Less than a tenth of the true pixels is almost nothing.
    few = -(-true // 10) - 1
    assert f"almost nothing ({few:,} pixels where {true:,} are true)" in warning(few)
    assert warning(true // 10 + 1) == ""
