from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from seepseg.config import load
from seepseg.errors import ConfigError, DataError, LockedError
from seepseg.runs.folder import RunFolder, folder_lock
from tests.conftest import tiny_config


def touch(*paths: Path) -> None:
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"")


def test_a_new_folder_holds_the_config_and_what_it_ran_on(tmp_path: Path) -> None:
    folder, config = RunFolder(tmp_path / "runs" / "a"), tiny_config(Path("x"))
    folder.create(config)
    assert load(folder.config) == config
    environment = json.loads((folder.root / "env.json").read_text())
    assert {"seepseg", "python", "packages"} <= environment.keys()
    assert "torch" in environment["packages"]
    assert folder.read_init() is None
    folder.create(config, Path("b"))
    assert folder.read_init() == Path.cwd() / "b"
    for damaged in ("[1]", "{", "\udcff"):
        (folder.root / "env.json").write_text(damaged, errors="surrogateescape")
        with pytest.raises(DataError, match="cannot be read"):
            folder.read_init()


@pytest.mark.parametrize("name", ["config.yaml", "notes.txt", "checkpoints/last.pt"])
def test_a_folder_with_anything_in_it_is_refused(tmp_path: Path, name: str) -> None:
    touch(tmp_path / name)
    with pytest.raises(ConfigError, match="run folder exists"):
        RunFolder(tmp_path).refuse_existing()


def test_a_new_an_empty_and_a_locked_folder_may_be_used(tmp_path: Path) -> None:
    RunFolder(tmp_path / "new").refuse_existing()
    RunFolder(tmp_path).refuse_existing()
    touch(tmp_path / ".lock")
    RunFolder(tmp_path).refuse_existing()
    touch(tmp_path / "file")
    with pytest.raises(ConfigError, match="run folder exists"):
        RunFolder(tmp_path / "file").refuse_existing()


def test_ids_that_look_like_numbers_or_nothing_stay_text(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    splits = pd.DataFrame(
        {"id": ["007", "1e5", "nan"], "group": ["041870", "NA", "null"], "split": ["train", "val", "test"]}
    )
    folder.write_splits(splits)
    pd.testing.assert_frame_equal(folder.read_splits(), splits, check_dtype=False)
    assert folder.read_splits()["id"].tolist() == ["007", "1e5", "nan"]


@pytest.mark.parametrize("content", [None, b"", b"id,group\na,b\n", b"id,group,split\na,b,train,c\nd,e\n\xff"])
def test_splits_that_cannot_be_read_are_one_line(tmp_path: Path, content: bytes | None) -> None:
    folder = RunFolder(tmp_path)
    if content is not None:
        folder.splits.write_bytes(content)
    with pytest.raises(DataError, match=r"cannot be read \(.+\) in .*splits.csv: restore it") as caught:
        folder.read_splits()
    assert "\n" not in str(caught.value)


def test_metrics_are_written_whole_and_a_measure_that_comes_later_gets_a_column(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    folder.write_metrics([{"epoch": 1.0, "loss": 0.1 + 0.2}, {"epoch": 2.0, "loss": 0.2, "dice": 0.5}])
    # Every digit of a number is there, and what is not known is empty.
    assert folder.metrics.read_text() == f"epoch,loss,dice\n1.0,{0.1 + 0.2!r},\n2.0,0.2,0.5\n"


def test_a_folder_is_held_once_and_free_afterwards(tmp_path: Path) -> None:
    with folder_lock(tmp_path / "new" / "run"):
        with pytest.raises(LockedError) as caught, folder_lock(tmp_path / "new" / "run"):
            pass
        assert caught.value.exit_code == 6
        with folder_lock(tmp_path / "other"):
            pass
    with folder_lock(tmp_path / "new" / "run"):
        pass


def test_folders_in_which_nothing_was_written_go_again(tmp_path: Path) -> None:
    with folder_lock(tmp_path / "new" / "run" / "fold_0"):
        pass
    assert list(tmp_path.iterdir()) == []
    with folder_lock(tmp_path / "new" / "run" / "fold_0"), folder_lock(tmp_path / "new" / "run" / "fold_1"):
        (tmp_path / "new" / "run" / "fold_1" / "config.yaml").touch()
    assert [path.name for path in (tmp_path / "new" / "run").iterdir()] == ["fold_1"]


def test_a_lock_that_goes_with_its_holder_still_excludes(tmp_path: Path) -> None:
    with folder_lock(tmp_path, keep=False), pytest.raises(LockedError), folder_lock(tmp_path, keep=False):
        pass
    assert list(tmp_path.iterdir()) == []
    with folder_lock(tmp_path, keep=False):  # not the file that was removed
        assert [path.name for path in tmp_path.iterdir()] == [".lock"]


def test_a_start_that_was_killed_is_started_again_without_what_it_left(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path / "run")
    for left in (folder.root / ".seepseg-0123.yaml", folder.last.with_name(".seepseg-4567.pt")):
        touch(left)
    with pytest.raises(ConfigError, match="run folder exists"):  # its checkpoints are no start
        folder.refuse_existing()
    with folder.locked():
        assert [str(path.relative_to(tmp_path)) for path in folder.root.rglob("*") if path.is_file()] == ["run/.lock"]
    folder.last.parent.rmdir()
    touch(folder.root / ".seepseg-0123.yaml")
    folder.refuse_existing()
    touch(folder.config)
    with pytest.raises(ConfigError, match="run folder exists"):
        folder.refuse_existing()


def test_an_error_inside_frees_the_folder(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError), folder_lock(tmp_path):
        raise RuntimeError
    with folder_lock(tmp_path):
        pass


def test_the_lock_of_a_killed_process_is_taken_over(tmp_path: Path) -> None:
    code = (
        "import sys, time; from pathlib import Path; from seepseg.runs.folder import folder_lock\n"
        "with folder_lock(Path(sys.argv[1])): print('held', flush=True); time.sleep(60)"
    )
    with subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout
        assert other.stdout.readline() == "held\n"
        with pytest.raises(LockedError), folder_lock(tmp_path):
            pass
        other.kill()
    with folder_lock(tmp_path):
        pass
