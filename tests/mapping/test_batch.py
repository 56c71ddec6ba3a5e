from __future__ import annotations

import csv
import io
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import rasterio
import tifffile
import torch
from rasterio.transform import Affine

from seepseg.classes import SALT
from seepseg.config import Predict
from seepseg.errors import ConfigError, DataError, ResourceError
from seepseg.geo.vector import read_vectors
from seepseg.machine.progress import Tick, silent
from seepseg.mapping import batch
from seepseg.mapping.batch import Execution, Outcome, predict_batch
from seepseg.mapping.jobs import plan
from seepseg.mapping.manifest import Manifest
from seepseg.mapping.outputs import Wanted
from seepseg.mapping.units import Recipe
from seepseg.models.build import build_model
from seepseg.runs.checkpoint import Checkpoint, save_checkpoint
from tests.mapping.toy import SCALING, files, picture, recipe

QUICK = Wanted(vectors=(), quicklook=False)
HERE = Execution()
WINDOW = Predict(window=64, batch_size=2)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint of a small network with random weights."""
    path = tmp_path_factory.mktemp("run") / "best.pt"
    tree = recipe().model_dump(mode="json") | {"model": {"name": "unet", "channels": [4, 8], "head": "binary"}}
    config = recipe().model_validate(tree)
    torch.manual_seed(0)
    save_checkpoint(path, Checkpoint(config, SALT, SCALING, build_model(config.model, 1, 2).state_dict()))
    return path


@pytest.fixture
def inputs(tmp_path: Path) -> Path:
    """Two scenes, five tiles and a broken file."""
    folder = tmp_path / "in"
    folder.mkdir()
    for i in range(2):
        tifffile.imwrite(folder / f"scene{i}.tif", picture((150, 90 + i)))
    for i in range(5):
        tifffile.imwrite(folder / f"tile{i}.tif", picture((40, 40)) + i)
    (folder / "broken.tif").write_text("no TIFF at all")
    return folder


def predict(
    run: Path, inputs: Path, out: Path, how: Execution = HERE, config: Predict = WINDOW, tick: Tick = silent
) -> Outcome:
    runtime = recipe().runtime.model_copy(update={"threads": 1})
    return predict_batch(plan([str(inputs)], out), Recipe((run,), runtime, config, False, QUICK), out, how, tick)


def test_a_broken_input_spoils_no_other_and_is_listed(run: Path, inputs: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    result = predict(run, inputs, out)
    assert (result.done, result.before) == (7, 0)
    (failure,) = result.failures
    assert failure["input"] == str(inputs / "broken.tif")
    assert [json.loads(line) for line in (out / "failures.jsonl").read_text().splitlines()] == [failure]
    assert len(files(out)) == 7
    with pytest.raises(DataError, match="not an image"):
        predict(run, inputs, tmp_path / "strict", Execution(strict=True))


def test_a_second_run_does_nothing_and_a_mended_input_only_itself(run: Path, inputs: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    predict(run, inputs, out)
    times = {p: p.stat().st_mtime_ns for p in out.glob("*.tif")}
    tifffile.imwrite(inputs / "broken.tif", picture((150, 90)))
    result = predict(run, inputs, out)
    assert (result.done, result.before, result.failures) == (1, 7, [])
    assert not (out / "failures.jsonl").exists()
    assert {p: p.stat().st_mtime_ns for p in times} == times


def test_a_changed_input_or_a_lost_output_is_done_again(run: Path, inputs: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    predict(run, inputs, out)
    tifffile.imwrite(inputs / "scene0.tif", picture((150, 91)) + 1)
    (out / "scene1_class.tif").unlink()
    result = predict(run, inputs, out)
    assert (result.done, result.before) == (2, 5)


def test_an_input_that_fails_later_leaves_no_map_of_what_it_was(run: Path, inputs: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    predict(run, inputs, out)
    assert (out / "scene1_class.tif").exists()
    (inputs / "scene1.tif").write_text("overwritten by mistake")
    outcome = predict(run, inputs, out)
    assert [Path(f["input"]).name for f in outcome.failures] == ["broken.tif", "scene1.tif"]
    assert not (out / "scene1_class.tif").exists()
    assert (out / "scene0_class.tif").exists()
    listed = Manifest(out, "").latest()
    assert (list(listed["scene0"]["outputs"]), listed["scene1"]["outputs"]) == (["scene0_class.tif"], {})


def test_a_clock_that_is_set_back_makes_nothing_older(
    run: Path, inputs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    predict(run, inputs, out)
    monkeypatch.setattr(time, "time", lambda: 10**9)  # 2001
    other = WINDOW.model_copy(update={"threshold": 0.9})
    assert predict(run, inputs, out, Execution(overwrite=True), other).done == 7
    assert predict(run, inputs, out, config=other).before == 7
    with pytest.raises(ConfigError, match="give --overwrite"):
        predict(run, inputs, out)
    for i in (1, 2):
        predict(run, inputs, out, Execution(overwrite=True, shard=(i, 2)))
    assert predict(run, inputs, out).before == 7


def test_a_folder_emptied_during_the_run_is_an_error_and_is_finished_by_the_next(
    run: Path, inputs: Path, tmp_path: Path
) -> None:
    out, whole = tmp_path / "out", tmp_path / "whole"
    predict(run, inputs, whole)
    emptied = False

    def empty(done: int, of: int) -> None:
        nonlocal emptied
        if 2 * done > of and not emptied:
            shutil.rmtree(out)
            emptied = True

    with pytest.raises(ResourceError, match="was removed while this ran|No such file"):
        predict(run, inputs, out, tick=empty)
    assert predict(run, inputs, out).before < 7
    assert files(out) == files(whole)


def test_outputs_of_another_model_or_other_options_are_not_touched(run: Path, inputs: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    predict(run, inputs, out)
    before = files(out)
    with pytest.raises(ConfigError, match="give --overwrite") as caught:
        predict(run, inputs, out, config=WINDOW.model_copy(update={"threshold": 0.9}))
    assert caught.value.exit_code == 2
    assert files(out) == before
    assert predict(run, inputs, out, Execution(overwrite=True), WINDOW.model_copy(update={"threshold": 0.9})).done == 7


@pytest.mark.parametrize("workers", [2])
def test_processes_and_shards_leave_the_same_bytes(run: Path, inputs: Path, tmp_path: Path, workers: int) -> None:
    predict(run, inputs, tmp_path / "serial")
    predict(run, inputs, tmp_path / "many", Execution("processes", workers))
    for i in (2, 1, 3):
        predict(run, inputs, tmp_path / "shards", Execution(shard=(i, 3)))
    assert files(tmp_path / "serial") == files(tmp_path / "many") == files(tmp_path / "shards")
    assert len(list((tmp_path / "shards").glob("manifest-*of3.jsonl"))) == 3


def test_two_dask_workers_leave_the_same_bytes(run: Path, inputs: Path, tmp_path: Path) -> None:
    pytest.importorskip("distributed")
    predict(run, inputs, tmp_path / "serial")
    outcome = predict(run, inputs, tmp_path / "dask", Execution("dask", 2))
    assert [f["input"] for f in outcome.failures] == [str(inputs / "broken.tif")]
    assert files(tmp_path / "serial") == files(tmp_path / "dask")


def test_dask_workers_that_die_before_they_work_are_one_line(
    run: Path, inputs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def dies(**_: object) -> None:
        raise RuntimeError("Nanny failed to start.")

    monkeypatch.setattr(pytest.importorskip("distributed"), "LocalCluster", dies)
    with pytest.raises(ResourceError, match="its Dask workers did not start .Nanny failed to start.*: run it again"):
        predict(run, inputs, tmp_path / "out", Execution("dask", 2))
    monkeypatch.undo()
    predict(run, inputs, tmp_path / "out")
    predict(run, inputs, tmp_path / "serial")
    assert files(tmp_path / "serial") == files(tmp_path / "out")


def test_a_killed_run_goes_on_and_ends_with_the_same_bytes(run: Path, inputs: Path, tmp_path: Path) -> None:
    predict(run, inputs, tmp_path / "whole")
    script = f"""
import os, signal
from pathlib import Path
import seepseg.mapping.manifest as manifest
from tests.mapping.test_batch import predict
add, count = manifest.Manifest.add, [0]
def dying(self, *what):
    count[0] += 1
    if count[0] == 4:
        os.kill(os.getpid(), signal.SIGKILL)
    add(self, *what)
manifest.Manifest.add = dying
predict(Path({str(run)!r}), Path({str(inputs)!r}), Path({str(tmp_path / "killed")!r}))
"""
    done = subprocess.run([sys.executable, "-c", script], check=False, cwd=Path(__file__).parents[2])
    assert done.returncode == -signal.SIGKILL
    # the fourth output lies there but is not in the manifest
    result = predict(run, inputs, tmp_path / "killed")
    assert result.before == 3
    assert files(tmp_path / "killed") == files(tmp_path / "whole")


def test_a_line_cut_short_by_a_kill_is_passed_by(run: Path, inputs: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    predict(run, inputs, out)
    text = (out / "manifest.jsonl").read_bytes()
    (out / "manifest.jsonl").write_bytes(text[:-20])
    assert predict(run, inputs, out).before == 6
    assert predict(run, inputs, out).before == 7


def test_a_tampered_manifest_is_a_warning_of_predict(run: Path, inputs: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    predict(run, inputs, out)
    with (out / "manifest.jsonl").open("a") as stream:
        stream.write('{"name": ["tile0"]}\n{"name": 3}\n')
    result = predict(run, inputs, out)
    assert result.before == 7
    assert [text for _, text in result.warnings] == [
        "2 lines are not what predict writes, and count as if they were not there"
    ]


def _poisoned(unit: int) -> int:
    if unit == 3:
        os.kill(os.getpid(), signal.SIGKILL)
    return unit * unit


def test_a_unit_that_kills_its_worker_fails_alone() -> None:
    results = dict(batch.executors.processes(list(range(6)), _poisoned, 2))
    assert {unit: value for unit, value in results.items() if unit != 3} == {u: u * u for u in (0, 1, 2, 4, 5)}
    assert "died" in str(results[3])


def _in_company(unit: int) -> bool:
    """Unit 0 dies while 1 is at work; whether 2 and 3 then run at the same time."""
    folder = Path(os.environ["SEEPSEG_TEST_COMPANY"])
    again = (folder / str(unit)).exists()
    (folder / str(unit)).touch()
    other = folder / str(unit ^ 1)
    deadline = time.monotonic() + 60
    while not again and (unit == 1 or not other.exists()) and time.monotonic() < deadline:
        time.sleep(0.05)
    if unit == 0:
        os.kill(os.getpid(), signal.SIGKILL)
    return other.exists()


def test_after_a_death_the_others_run_in_parallel_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SEEPSEG_TEST_COMPANY", str(tmp_path))
    results = dict(batch.executors.processes(list(range(4)), _in_company, 2))
    assert "died" in str(results.pop(0))
    assert results == {1: True, 2: True, 3: True}


def test_progress_ends_at_all_pixels(run: Path, inputs: Path, tmp_path: Path) -> None:
    seen: list[tuple[int, int]] = []
    predict(run, inputs, tmp_path / "out", tick=lambda done, of: seen.append((done, of)))
    assert seen == sorted(seen)
    assert seen[-1][0] == seen[-1][1]
    assert np.unique([of for _, of in seen]).size == 1


ODD = (
    "-o",
    "=1",
    "+x",
    "@x",
    "sqlite_x",
    "gpkg_contents",
    "layer_styles",
    "rtree_a",
    "a;b",
    "a\nb",
    "a\tb",
    "x!y",
    "%s",
)


@pytest.mark.parametrize("vectors", ["gpkg", "geojson"])
def test_names_that_files_or_spreadsheets_dislike_stop_nobody(run: Path, tmp_path: Path, vectors: str) -> None:
    """Each has its map, polygons and row; the one whose outputs can have no name fails alone."""
    folder, out, place = tmp_path / "in", tmp_path / "out!;x", Affine(10, 0, 500_000, 0, -10, 3_000_000)
    folder.mkdir()
    for name in ("a", *ODD, "x" * 245):
        profile = {"height": 40, "width": 40, "count": 1, "dtype": "uint16", "crs": "EPSG:32616", "transform": place}
        with rasterio.open(folder / f"{name}.tif", "w", driver="GTiff", **profile) as target:
            target.write(picture((40, 40)), 1)
    runtime = recipe().runtime.model_copy(update={"threads": 1})
    todo = Recipe((run,), runtime, WINDOW, False, Wanted(vectors=(f".{vectors}",), quicklook=False))
    result = predict_batch(plan([str(folder)], out), todo, out, HERE)
    assert result.done == 1 + len(ODD)
    assert [f["input"] for f in result.failures] == [str(folder / f"{'x' * 245}.tif")]
    assert result.failures[0]["error"].startswith("the name is too long")
    plain, _, _ = read_vectors(out / f"a.{vectors}")
    for name in ODD:
        shapes, table, _ = read_vectors(out / f"{name}.{vectors}")
        assert [s.wkb for s in shapes] == [s.wkb for s in plain]
        assert set(table["scene"]) <= {name}
        assert (out / f"{name}_class.tif").is_file()
    cells = list(csv.reader(io.StringIO((out / "scenes.csv").read_text())))
    assert {row[0] for row in cells[1:]} == {f"'{name}" if name[0] in "-=+@" else name for name in ("a", *ODD)}
