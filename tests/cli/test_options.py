from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
from click.shell_completion import BashComplete

from seepseg.cli.main import cli
from seepseg.cli.options import fold_folder, print_table, progress, relative, runtime_for, with_device
from seepseg.config import Runtime
from seepseg.errors import ConfigError


def test_a_device_is_one_more_override() -> None:
    assert with_device(("a=1",), "cpu") == ["a=1", "runtime.device=cpu"]
    assert with_device(("a=1",), None) == ["a=1"]


def test_a_checkpoint_is_used_on_this_machine() -> None:
    there = Runtime(device="cuda:3", workers=2)
    assert runtime_for(there, None) == Runtime(device="auto", workers=2)
    assert runtime_for(there.model_copy(update={"threads": 1}), None).threads is None
    assert runtime_for(there, "cpu") == Runtime(device="cpu", workers=2)


@pytest.mark.parametrize("command", [("train",), ("data", "check"), ("config", "show")], ids=" ".join)
def test_the_shell_completes_names_of_recipes(command: tuple[str, ...]) -> None:
    completion = BashComplete(cli, {}, "seepseg", "_SEEPSEG_COMPLETE").get_completions([*command], "seep_b")
    assert [item.value for item in completion if item.type == "plain"] == ["seep_best_cpu", "seep_binary"]
    # Paths are completed by the shell itself.
    assert [item.type for item in completion].count("file") == 1


def test_fold_folders(tmp_path: Path) -> None:
    (tmp_path / "fold_1").mkdir()
    assert fold_folder(tmp_path, None) == tmp_path
    assert fold_folder(tmp_path, 1) == tmp_path / "fold_1"
    with pytest.raises(ConfigError, match="no fold 2 in .*: train it with --fold"):
        fold_folder(tmp_path, 2)


def test_a_table_is_printed_whole_where_there_is_no_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    frame = pd.DataFrame({"name": ["seep 1", "macro"], "dice": [2 / 3, None], "support_pixels": [12345678, None]})
    print_table(frame.astype({"support_pixels": "Int64"}), "val: 7 tiles")
    out = capsys.readouterr().out
    rows = [line.split() for line in out.splitlines()]
    assert rows[0] == ["val:", "7", "tiles"]
    assert "support pixels" in out
    # 2/3 with three digits; what is absent is n/a.
    assert "0.667" in out
    assert "12345678" in out
    assert out.count("n/a") == 2


def test_paths_are_told_as_one_would_type_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert relative(tmp_path / "a" / "b") == "a/b"
    assert relative(Path("/elsewhere/b")) == "/elsewhere/b"
    # A relative path is already what one would type.
    assert relative(Path("a/b")) == "a/b"


def test_progress_is_silent_without_a_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    with progress("reading", 3, quiet=False) as tick:
        for done in (1, 2, 3):
            tick(done, 3)
    assert capsys.readouterr() == ("", "")
