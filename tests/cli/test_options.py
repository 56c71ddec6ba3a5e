from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
from click.shell_completion import BashComplete

from seepseg.cli.main import cli
from seepseg.cli.options import print_table, progress, relative, with_device


def test_a_device_is_one_more_override() -> None:
    assert with_device(("a=1",), "cpu") == ["a=1", "runtime.device=cpu"]
    assert with_device(("a=1",), None) == ["a=1"]


@pytest.mark.parametrize("command", [("train",), ("data", "check"), ("config", "show")], ids=" ".join)
def test_the_shell_completes_names_of_recipes(command: tuple[str, ...]) -> None:
    completion = BashComplete(cli, {}, "seepseg", "_SEEPSEG_COMPLETE").get_completions([*command], "seep_b")
    assert [item.value for item in completion if item.type == "plain"] == ["seep_best", "seep_best_cpu", "seep_binary"]
    # Paths are completed by the shell itself.
    assert [item.type for item in completion].count("file") == 1


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
