"""The manifest: which lines count, in which order, and what of an input is done."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from seepseg.errors import ConfigError
from seepseg.io.files import stamp
from seepseg.mapping.jobs import Job
from seepseg.mapping.manifest import Manifest


@pytest.mark.parametrize(
    "change",
    [
        {"name": ["tile0"]}, {"name": None}, {"key": None}, {"key": 3}, {"time": "noon"}, {"outputs": []},
        {"outputs": {"tile0_class.tif": "big"}}, {"outputs": {"../victim": 1}}, {"outputs": {"/etc/passwd": 1}},
        {"input": "now"}, {"input": [[1]]}, {"warnings": "one"}, {"identity": {"acquired": "yesterday"}},
        {"identity": [1]}, {"grades": [{"letter": "A"}]},
        {"grades": [{"letter": "A", "least": 0.5, "polygons": 3, "right": "2"}]}, {"grades": 7},
        {"km2": {"salt": "much"}}, {"outputs": {"tile0.gpkg": 1}},
    ],
)  # fmt: skip
def test_a_line_that_was_tampered_with_counts_as_none_and_is_said_once(tmp_path: Path, change: dict[str, Any]) -> None:
    manifest = Manifest(tmp_path, "key")
    good = {"name": "tile0", "key": "key", "unit": "u", "input": [1, 2], "outputs": {"tile0_class.tif": 1}, "time": 1.0}
    manifest.path.write_text("".join(json.dumps(line) + "\n" for line in (good, good | change | {"x": 1})))
    assert manifest.latest() == {"tile0": good}
    assert manifest.unsound() == 1


@pytest.mark.parametrize("line", ["[1]", "7", '"name"', "null", '{"begin": [1]}', '{"a":' * 10**5, "[" * 10**6])
def test_any_other_line_is_passed_by(tmp_path: Path, line: str) -> None:
    manifest = Manifest(tmp_path, "key")
    manifest.path.write_text(f"{line}\n")
    assert manifest.latest() == {}
    assert not manifest.begun()


@pytest.mark.parametrize(
    "line",
    [
        {}, {"objects": 0}, {"input": None}, {"time": 1}, {"identity": None}, {"km2": None}, {"km2": {"a": None}},
        {"identity": {"acquired": "2020-01-01T00:00:00", "orbit": 7, "mode": None}}, {"warnings": ["one"]},
        {"grades": [{"letter": "A", "least": 0.5, "polygons": 3, "right": 2}]},
        {"outputs": {"t.gpkg": 1}}, {"outputs": {"t.gpkg": 1}, "objects": 2, "key": "k"}, {"outputs": {"a/t.tif": 1}},
    ],
)  # fmt: skip
def test_a_line_that_predict_may_write_counts(tmp_path: Path, line: dict[str, Any]) -> None:
    manifest = Manifest(tmp_path, "key")
    manifest.path.write_text(json.dumps({"name": "t"} | line) + "\n")
    assert manifest.latest() == {"t": {"name": "t"} | line}
    assert manifest.unsound() == 0


@pytest.mark.parametrize("name", ["", ".", "/t", "a/../t", "..", "t\0"])
def test_outputs_outside_the_folder_are_none(tmp_path: Path, name: str) -> None:
    manifest = Manifest(tmp_path, "key")
    manifest.path.write_text(json.dumps({"name": "t", "outputs": {name: 1}}) + "\n")
    assert manifest.latest() == {}


def test_the_run_that_wrote_last_is_known(tmp_path: Path) -> None:
    first, second = Manifest(tmp_path, "a"), Manifest(tmp_path, "b", "-2of4")
    assert not first.begun()
    first.path.write_text('{"begin": "cut by a k')
    first.begin()
    first.begin()
    assert len(first.path.read_text().splitlines()) == 2  # the cut one, and one for both
    assert first.begun()
    assert not second.begun()
    second.begin()
    assert second.path.name == "manifest-2of4.jsonl"
    assert second.begun()
    assert not first.begun()
    assert first.unsound() == 0
    lines = [{"name": "t", "n": 0}, {"name": "t", "n": 1, "time": 5.0}, {"name": "t", "n": 2, "time": 3.0}]
    first.path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    assert first.latest()["t"]["n"] == 1


def test_an_input_is_known_by_its_size_and_time(tmp_path: Path) -> None:
    (tmp_path / "p" / "q").mkdir(parents=True)
    assert stamp(tmp_path / "p") == [0, 0]
    for name, size, seconds in (("a", 3, 20), ("q/b", 4, 10)):
        (tmp_path / "p" / name).write_bytes(b"x" * size)
        os.utime(tmp_path / "p" / name, (seconds, seconds))
    assert stamp(tmp_path / "p") == [7, 20 * 10**9]
    assert stamp(tmp_path / "p/q/b", tmp_path / "p/q/b") == [4, 10 * 10**9]
    assert stamp(tmp_path / "p/q/b", tmp_path / "none") is None


def test_what_is_done_is_done_with_this_key_of_these_inputs_and_there(tmp_path: Path) -> None:
    out, source = tmp_path / "out", tmp_path / "t.tif"
    source.write_bytes(b"source")
    job, manifest = Job(source=source, name="t", out=out, png=False), Manifest(out, "key")
    out.mkdir()
    job.class_raster.write_bytes(b"12345")
    facts = {"objects": 2}
    report: Any = SimpleNamespace(outputs=[job.class_raster], warnings=["w"], facts=facts)
    manifest.add(job, report, "u", stamp(source), None)
    line = manifest.latest()["t"]
    assert {k: line[k] for k in ("outputs", "warnings", "objects")} == {
        "outputs": {"t_class.tif": 5}, "warnings": ["w"], "objects": 2,
    }  # fmt: skip

    def done(manifest: Manifest, digest: str = "u", **change: object) -> bool:
        unit: Any = SimpleNamespace(jobs=[job], digest=digest)
        return manifest.done([unit], {"t": line | change}) == {"t": line | change}

    unit: Any = SimpleNamespace(jobs=[job], digest="u")
    assert manifest.done([unit], {}) == {}
    assert done(manifest)
    assert not done(manifest, "v")
    assert not done(Manifest(out, "other"))
    assert not done(manifest, outputs={"t_class.tif": 4})
    assert not done(manifest, outputs={"t_class.tif": 5, "t.gpkg": 0})
    source.write_bytes(b"changed")
    assert not done(manifest)

    # An input that fails now takes only its own outputs along, and is noted once.
    others = [out / "other_class.tif", out / "sub" / "t_class.tif"]
    others[1].parent.mkdir()
    for path in others:
        path.touch()
    manifest.drop(job, None)
    manifest.drop(job, {"name": "t", "outputs": {}})
    assert manifest.latest()["t"] == line
    manifest.drop(job, line | {"outputs": {"t_class.tif": 5, "other_class.tif": 0, "sub/t_class.tif": 0, "t_none": 0}})
    assert not job.class_raster.exists()
    assert all(path.exists() for path in others)
    after = manifest.latest()["t"]
    assert (after["outputs"], after["key"], after["input"]) == ({}, "", None)


def test_lines_are_in_order_even_if_the_clock_was_set_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "time", lambda: 5.0)
    manifest = Manifest(tmp_path, "b")
    manifest.path.write_text('{"begin": "a", "time": 2000.0}\n{"begin": "a", "time": 1000.0}\n')
    manifest.begin()
    assert manifest.begun()
    *_, last = manifest.path.read_text().splitlines()
    assert json.loads(last)["time"] == pytest.approx(2000.001, abs=1e-6)
    assert "\n\n" not in manifest.path.read_text()
    # And the time is what the clock says, where nothing is later, in folders that are not there yet.
    monkeypatch.setattr(time, "time", lambda: 0.5)
    fresh = Manifest(tmp_path / "new" / "folder", "c")
    fresh.begin()
    assert json.loads(fresh.path.read_text())["time"] == 0.5


def test_a_folder_that_cannot_be_written_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "out").write_text("a file")
    with pytest.raises(ConfigError, match="manifest.jsonl"):
        Manifest(tmp_path / "out", "key").begin()


def test_a_line_without_a_time_is_the_oldest(tmp_path: Path) -> None:
    manifest = Manifest(tmp_path, "key")
    lines = [{"name": "t", "n": 1, "time": 0.5}, {"name": "t", "n": 2}]
    manifest.path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    assert manifest.latest()["t"]["n"] == 1


def test_of_an_input_that_is_done_again_what_was_not_asked_for_goes(tmp_path: Path) -> None:
    job, manifest = Job(source=tmp_path / "t.tif", name="a/t", out=tmp_path, png=True), Manifest(tmp_path, "key")
    (tmp_path / "a").mkdir()
    for name in ("t_class.png", "t_prob.tif", "other_prob.tif"):
        (tmp_path / "a" / name).write_bytes(b"1")
    report: Any = SimpleNamespace(outputs=[job.class_raster], warnings=[], facts={})
    earlier = {"outputs": {"a/t_class.png": 1, "a/t_prob.tif": 1, "a/other_prob.tif": 1}}
    manifest.add(job, report, "u", [1, 2], earlier)
    assert sorted(path.name for path in (tmp_path / "a").iterdir()) == ["other_prob.tif", "t_class.png"]
    line = manifest.latest()["a/t"]
    assert (line["outputs"], line["input"], line["unit"], line["key"]) == ({"a/t_class.png": 1}, [1, 2], "u", "key")
