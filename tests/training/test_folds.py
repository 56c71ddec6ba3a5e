from __future__ import annotations

from pathlib import Path

import pytest

from seepseg.config import dump
from seepseg.errors import ConfigError, DataError
from seepseg.runs.folder import RunFolder
from seepseg.training.folds import FoldRun, plan, plan_one, unheard
from tests.conftest import tiny_config

FOLDS = {"data": {"source": "seep", "root": "data", "split": {"folds": 3}}}


def test_folds_begun_go_on_with_their_own_config_and_the_others_with_the_same(tmp_path: Path) -> None:
    recipe = tiny_config(Path("data"), runtime={"threads": 1, "amp": "off"}, **FOLDS)
    begun = tiny_config(Path("data"), seed=5, runtime={"threads": 2, "amp": "bf16"}, **FOLDS)
    RunFolder(tmp_path / "fold_1").create(begun, Path("other"))
    runs = plan(recipe, tmp_path, True, ["train.epochs=9"])
    assert [(r.fold, r.root.name, r.resume, r.config.seed, r.config.runtime.threads) for r in runs] == [
        (0, "fold_0", False, 5, 1), (1, "fold_1", True, 5, 2), (2, "fold_2", False, 5, 1),
    ]  # fmt: skip
    assert {r.config.train.epochs for r in runs} == {9}
    assert {r.config.runtime.amp for r in runs} == {"bf16"}
    assert [(r.resume, r.config.seed) for r in plan(recipe, tmp_path, False, [])] == [(False, 0)] * 3
    assert [r.init for r in runs] == [Path.cwd() / "other", None, Path.cwd() / "other"]  # it knows its own
    assert [r.init for r in plan(recipe, tmp_path, True, [], Path("c"))] == [Path("c")] * 3
    assert [r.done() for r in runs] == [None] * 3  # begun, but without a checkpoint
    with pytest.raises(ConfigError, match="optim.lr is 0.001 in the run and 0.5 now"):
        plan(recipe, tmp_path, True, ["optim.lr=0.5"])


def test_how_many_folds_there_are_is_what_those_begun_say(tmp_path: Path) -> None:
    (tmp_path / "fold_2").mkdir()
    (tmp_path / "fold_2" / "config.yaml").write_text(dump(tiny_config(Path("data"), **FOLDS)))
    (tmp_path / "fold_2_copy").mkdir()
    fewer = tiny_config(Path("data"), data={"source": "seep", "root": "data", "split": {"folds": 2}})
    assert [r.resume for r in plan(fewer, tmp_path, True, [])] == [False, False, True]
    assert plan_one(fewer, tmp_path, 2, True, []).resume
    with pytest.raises(ConfigError, match="no fold 2 of 2"):
        plan_one(fewer, tmp_path, 2, False, [])
    none = tiny_config(Path("data"))
    assert len(plan(none, tmp_path, True, [])) == 3
    with pytest.raises(ConfigError, match="a fold is asked for, but the config has none"):
        plan(none, tmp_path, False, [])


def test_what_the_first_was_started_from_is_read_where_another_is_to_begin(tmp_path: Path) -> None:
    config = tiny_config(Path("data"), **FOLDS)
    for k in (0, 1):
        RunFolder(tmp_path / f"fold_{k}").create(config)
    (tmp_path / "fold_0" / "env.json").write_text("{")
    with pytest.raises(DataError, match="env.json: give --init again, or delete the file if there was none"):
        plan(config, tmp_path, True, [])
    assert [r.resume for r in plan(config, tmp_path, True, [], Path("c"))] == [True, True, False]
    RunFolder(tmp_path / "fold_2").create(config)
    assert [r.resume for r in plan(config, tmp_path, True, [])] == [True] * 3


def test_edits_that_no_fold_hears_of_are_those_of_every_fold_that_was_begun(tmp_path: Path) -> None:
    config = tiny_config(Path("data"), **FOLDS)
    begun = tiny_config(Path("data"), seed=5, runtime={"device": "cpu", "threads": 3, "amp": "bf16"}, **FOLDS)
    RunFolder(tmp_path / "fold_1").create(begun)
    runs = plan(config, tmp_path, True, [])
    assert [run.resume for run in runs] == [False, True, False]
    assert unheard(config, runs) == ["runtime.amp", "seed"]
    assert unheard(config, runs[:1]) == []


def test_a_fold_that_was_not_named_comes_before_a_run_that_is_not_there(tmp_path: Path) -> None:
    config = tiny_config(Path("data"), **FOLDS)
    for fold, words in ((None, "3 folds, and none is chosen"), (9, "no fold 9 of 3"), (1, "no run to resume")):
        with pytest.raises(ConfigError, match=words):
            plan_one(config, tmp_path, fold, True, [])


def test_a_fold_to_train_can_be_kept_in_a_set() -> None:
    # As executors do; a config itself cannot be.
    run = FoldRun(tiny_config(Path("data"), **FOLDS), Path("r"), 0, False)
    assert run in {run}
