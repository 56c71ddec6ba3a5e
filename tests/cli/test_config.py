from __future__ import annotations

import json
from pathlib import Path

import pytest

from seepseg.config import load, recipes
from tests.command import run


def test_show_fills_in_every_default_and_reads_back(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    path = tmp_path / "c.yaml"
    path.write_text("data: {source: seep, root: here}\n")
    code, out, err = run(capsys, "config", "show", path, "-s", "train.epochs=7", "-s", "runtime.amp=off")
    assert (code, err) == (0, "")
    assert "epochs: 7\n" in out
    (tmp_path / "again.yaml").write_text(out)
    again = load(tmp_path / "again.yaml")
    assert again == load(path, ["train.epochs=7", "runtime.amp=off"])
    assert (again.train.epochs, again.runtime.amp) == (7, "off")


def test_list_names_every_recipe_and_what_it_is_for(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    code, out, err = run(capsys, "config", "list")
    assert (code, err) == (0, "")
    lines = dict(line.split(maxsplit=1) for line in out.splitlines())
    assert lines.keys() == recipes().keys()
    assert lines["demo_salt"].startswith("The salt demo: ")
    assert max(map(len, out.splitlines())) <= 120
    assert run(capsys, "config", "show", "demo_salt") == run(capsys, "config", "show", recipes()["demo_salt"])


def test_schema_is_json_with_every_top_level_key(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run(capsys, "config", "schema")
    assert code == 0
    keys = json.loads(out)["properties"].keys()
    assert keys == {
        "seed", "data", "model", "loss", "optim", "schedule", "stages", "train", "predict", "objects", "runtime",
        "tracking",
    }  # fmt: skip
