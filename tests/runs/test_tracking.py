"""MLflow, with the file store of the installed version: no server."""

from __future__ import annotations

import signal
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from mlflow.tracking import MlflowClient
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from seepseg.config import Config, load
from seepseg.errors import ConfigError, InterruptedRun
from seepseg.runs import tracking
from seepseg.runs.folder import RunFolder
from seepseg.runs.tracking import check_tracking, legal, tracked
from seepseg.training import loop
from seepseg.training.resume import resumed_config
from seepseg.training.run import train
from tests.conftest import tiny_config
from tests.training.trainers import quiet


def client_of(store: Path) -> MlflowClient:
    return MlflowClient(tracking_uri=store.as_uri())


def runs_of(store: Path) -> Sequence[Any]:
    client = client_of(store)
    experiment = client.get_experiment_by_name("seepseg")
    assert experiment
    return list(client.search_runs([experiment.experiment_id]))


def history(store: Path, key: str) -> list[tuple[int, float]]:
    (run,) = runs_of(store)
    return [(point.step, point.value) for point in client_of(store).get_metric_history(run.info.run_id, key)]


def with_mlflow(root: Path, store: Path, **more: object) -> Config:
    return tiny_config(root, tracking={"mlflow": str(store)}, **more)


def test_it_gets_what_tensorboard_gets(seep_root: Path, tmp_path: Path) -> None:
    store, folder, lines = tmp_path / "store", RunFolder(tmp_path / "run"), list[str]()
    train(with_mlflow(seep_root, store), folder, echo=lines.append)
    assert not any("warning" in line for line in lines)
    (run,) = runs_of(store)
    assert (run.info.run_name, run.info.status) == ("run", "FINISHED")
    assert run.data.tags["folder"] == str(folder.root)
    assert run.data.params["model.channels"] == "[8, 16, 32]"
    assert run.data.params["train.epochs"] == "2"
    assert not any(key.startswith(("data.root", "runtime", "tracking")) for key in run.data.params)
    events = EventAccumulator(str(folder.board)).Reload()
    names = events.Tags()["scalars"]
    assert set(run.data.metrics) == {legal(name) for name in names}
    for name in ("val/loss", "val/dice/macro", "best/dice/macro"):
        shown = [(event.step, event.value) for event in events.Scalars(name)]
        assert history(store, legal(name)) == [(step, pytest.approx(value, rel=1e-6)) for step, value in shown]
    assert [step for step, _ in history(store, "val/loss")] == [1, 2]


def test_a_resumed_run_continues_its_own_and_sends_nothing_twice(
    seep_root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, folder = tmp_path / "store", RunFolder(tmp_path / "run")
    config = with_mlflow(seep_root, store, train={"epochs": 3, "batch_size": 8, "panels_every": 0})
    save, calls = loop.save, 0

    def killed_at_2(*arguments: Any) -> None:
        # Epoch 2 is sent, and its checkpoint never comes.
        nonlocal calls
        calls += 1
        if calls == 2:
            raise InterruptedRun(signal.SIGTERM, "stopped")
        save(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr(loop, "save", killed_at_2)
        with pytest.raises(InterruptedRun):
            train(config, folder, echo=quiet)
    assert runs_of(store)[0].info.status == "KILLED"
    assert [step for step, _ in history(store, "val/loss")] == [1, 2]
    train(config, folder, resume=True, echo=quiet)
    assert runs_of(store)[0].info.status == "FINISHED"
    rows = pd.read_csv(folder.metrics)
    # Epoch 2, trained again, has the same numbers: it is there once.
    assert history(store, "val/loss") == list(zip(rows["epoch"], rows["val/loss"], strict=True))
    assert [step for step, _ in history(store, "best/dice/macro")] == [3]


def test_a_run_that_begins_to_be_tracked_late_sends_its_first_epochs_too(seep_root: Path, tmp_path: Path) -> None:
    folder, store = RunFolder(tmp_path / "run"), tmp_path / "store"
    train(tiny_config(seep_root), folder, echo=quiet)
    assert not folder.mlflow.exists()
    config = resumed_config(folder, [f"tracking.mlflow={store}", "train.epochs=3"])
    train(config, folder, resume=True, echo=quiet)
    assert [step for step, _ in history(store, "val/loss")] == [1, 2, 3]
    assert load(folder.config).tracking.mlflow == str(store)


def test_a_tracker_that_fails_is_one_warning_and_training_goes_on(
    seep_root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def warnings(folder: Path, store: Path) -> list[str]:
        lines = list[str]()
        train(with_mlflow(seep_root, store), RunFolder(folder), echo=lines.append)
        assert len(pd.read_csv(RunFolder(folder).metrics)) == 2
        return [line for line in lines if line.startswith("warning: ")]

    # From the start: a file is where the store should be.
    (tmp_path / "file").write_text("mine")
    (line,) = warnings(tmp_path / "a", tmp_path / "file")
    assert line.startswith(f"warning: MLflow at {tmp_path / 'file'} gets no more numbers: ")

    # On the way.
    def broken(*_: object) -> None:
        raise OSError("the disk is gone\nand more")

    monkeypatch.setattr(tracking._Link, "send", broken)
    assert warnings(tmp_path / "b", tmp_path / "store") == [
        f"warning: MLflow at {tmp_path / 'store'} gets no more numbers: the disk is gone"
    ]


def test_a_server_that_is_not_there_holds_nothing_up_for_long(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    lines = list[str]()
    with tracked("http://127.0.0.1:9", RunFolder(tmp_path), {}, lines.append) as send:
        send({"a": 1.0}, 1)
        send({"a": 2.0}, 2)
    assert len(lines) == 1
    assert lines[0].startswith("warning: MLflow at http://127.0.0.1:9 gets no more numbers: ")


def test_without_the_library_it_is_said_before_anything_is_made(
    seep_root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    config = with_mlflow(seep_root, tmp_path / "store")
    with pytest.raises(
        ConfigError, match=r"^MLflow is not installed in tracking.mlflow: pip install 'seepseg\[mlflow\]'"
    ):
        train(config, RunFolder(tmp_path / "run"), echo=quiet)
    assert not (tmp_path / "run").exists()
    check_tracking(tiny_config(seep_root).tracking)


def test_folds_are_named_after_their_run(tmp_path: Path) -> None:
    # 250 parameters: MLflow takes a hundred at a time.
    recipe = {f"p{i}": i for i in range(250)}
    folder = RunFolder(tmp_path / "salt" / "fold_3")
    folder.root.mkdir(parents=True)
    with tracked(str(tmp_path / "store"), folder, recipe, quiet) as send:
        send({"val/dice/Öl (dick), 2%": 0.5}, 1)
    (run,) = runs_of(tmp_path / "store")
    assert run.info.run_name == "salt/fold_3"
    assert run.data.params == {key: str(value) for key, value in recipe.items()}
    assert run.data.metrics == {"val/dice/Öl _dick__ 2_": 0.5}
