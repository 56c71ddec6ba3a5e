from __future__ import annotations

import itertools
import json
import os
import re
import resource
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyogrio
import pytest
import rasterio
import tifffile
from PIL import Image
from rasterio.transform import Affine

import seepseg
from seepseg.cli.predict import command
from seepseg.config import parse
from seepseg.errors import ResourceError
from seepseg.geo.identity import COLUMNS
from seepseg.geo.place import place_of
from seepseg.geo.vector import read_vectors
from seepseg.inference.located import on_ground
from seepseg.io.raster import Georeference
from seepseg.io.table import read_table
from seepseg.mapping.units import Unit
from seepseg.runs.checkpoint import load_checkpoint, save_checkpoint
from seepseg.runs.folder import RunFolder
from seepseg.sentinel1.coarse import INCIDENCE, SIGMA0, lattice_of
from seepseg.sentinel1.pixels import open_scene
from seepseg.synthetic import write_scene
from seepseg.synthetic.sentinel1 import START, write_product
from seepseg.training.run import train
from tests.command import error, run
from tests.conftest import tiny_config
from tests.inference.test_located import classifier, sites
from tests.mapping.toy import files


@pytest.fixture(scope="module")
def trained(seep_root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A seep run after one epoch, with windows of 64 pixels."""
    folder = tmp_path_factory.mktemp("runs") / "seep"
    config = tiny_config(
        seep_root, train={"epochs": 1, "batch_size": 8, "panels_every": 0}, predict={"window": 64, "tta": "hflip"}
    )
    train(config, RunFolder(folder), echo=lambda line: None)
    return folder


def test_a_scene_keeps_its_place_and_its_size(
    trained: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    scene = tmp_path / "s.tif"
    write_scene(scene, rows=150, cols=97, seed=3)
    code, out, _ = run(capsys, "predict", trained, scene, "-o", tmp_path / "out", "--probabilities")
    assert code == 0
    assert out == f"1 of 1 predicted, in {tmp_path / 'out'}/\n"
    names = {p.name for p in (tmp_path / "out").iterdir()}
    assert names == {
        "s_class.tif", "s_prob.tif", "s_quicklook.png", "s.gpkg",
        "findings.gpkg", "findings.csv", "scenes.csv", "manifest.jsonl", ".lock", ".lock-findings",
    }  # fmt: skip
    with (
        rasterio.open(scene) as origin,
        rasterio.open(tmp_path / "out" / "s_class.tif") as classes,
        rasterio.open(tmp_path / "out" / "s_prob.tif") as likely,
    ):
        assert classes.shape == likely.shape == origin.shape
        assert classes.crs == likely.crs == origin.crs
        assert classes.transform == likely.transform == origin.transform
        assert (classes.dtypes, classes.nodata, likely.count) == (("uint8",), 255, 8)
        indices, raw, probabilities = classes.read(1), origin.read(1), likely.read()
    assert ((indices == 255) == (raw == 0)).all()
    assert set(np.unique(indices)) <= {*range(8), 255}
    valid = raw > 0
    assert np.isfinite(probabilities[:, valid]).all()
    assert not np.isfinite(probabilities[:, ~valid]).any()


@pytest.mark.parametrize("limit", [20_000, 1_000])
def test_where_files_may_not_grow_one_line_of_ours_says_so_and_a_rerun_completes(
    trained: Path, capfd: pytest.CaptureFixture[str], tmp_path: Path, limit: int
) -> None:
    """libtiff and SQLite print nothing; `ulimit -f` and quotas are not seen in the free space of a disk."""
    write_scene(tmp_path / "s.tif", rows=150, cols=97, seed=3)
    arguments = ("predict", trained, tmp_path / "s.tif", "-o", tmp_path / "out", "--probabilities")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, hard))
    try:
        code, out, err = run(capfd, *arguments)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert (code, out) == (5, "")
    assert re.fullmatch(r"error: [^\n]*: (free some space and|check the free space, then) run again\n", err)
    assert not [path for path in (tmp_path / "out").iterdir() if path.name.startswith(".seepseg-")]
    assert run(capfd, *arguments)[0] == 0


def test_folders_are_mirrored_and_globs_are_found(
    trained: Path, seep_root: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    tile = sorted((seep_root / "train_images_256").iterdir())[0]
    pixels = tifffile.imread(tile)
    (tmp_path / "in" / "sub folder").mkdir(parents=True)
    tifffile.imwrite(tmp_path / "in" / "a.tif", pixels)
    tifffile.imwrite(tmp_path / "in" / "sub folder" / "a.tiff", pixels)
    assert run(capsys, "predict", trained, tmp_path / "in", "-o", tmp_path / "out")[0] == 0
    made = sorted(str(p.relative_to(tmp_path / "out")) for p in (tmp_path / "out").rglob("*.tif"))
    assert made == ["a_class.tif", "sub folder/a_class.tif"]
    # Equal input, equal bytes.
    first, second = (tmp_path / "out" / name for name in made)
    assert first.read_bytes() == second.read_bytes()
    assert run(capsys, "predict", trained, tmp_path / "in" / "*.tif", "-o", tmp_path / "glob")[0] == 0
    assert (tmp_path / "glob" / "a_class.tif").read_bytes() == first.read_bytes()
    assert error(capsys, "predict", trained, tmp_path / "in" / "*.jpg", "-o", tmp_path / "none")[0] == 2


def test_the_same_failure_and_the_same_warning_of_many_inputs_are_one_line(
    trained: Path, seep_root: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    folder, out = tmp_path / "in", tmp_path / "out"
    folder.mkdir()
    for i, tile in enumerate(sorted((seep_root / "train_images_256").iterdir())[:3]):
        tifffile.imwrite(folder / f"t{i}.tif", (tifffile.imread(tile) // 256).astype(np.uint8))
        (folder / f"broken{i}.tif").write_bytes(bytes(i + 1))
    (folder / "other.tif").write_bytes(b"%PDF-1.4")
    safe = write_product(folder, {"vv": np.full((64, 64), 0.05)})
    code, _, err = run(capsys, "predict", trained, folder, "-o", out)
    assert code == 4
    lines = err.splitlines()
    assert (
        f"warning: {folder / 't0.tif'}: pixels are uint8, those of the training tiles uint16 "
        f"(and 2 more like it, all in {out / 'manifest.jsonl'})"
    ) in lines
    assert [line for line in lines if line.startswith("failed")] == [
        "failed: a Sentinel-1 product gives backscatter by polarisation, and the run was trained on digital numbers in "
        f"{safe}: use one with data.bands=[vv] and data.scaling.kind=db (docs/howto-sentinel1.md)",
        f"failed: not an image, the file is only 1 bytes long in {folder / 'broken0.tif'}: give a TIFF, PNG or JPEG "
        f"(and 2 more like it, all in {out / 'failures.jsonl'})",
        f"failed: not an image, the file is a PDF in {folder / 'other.tif'}: give a TIFF, PNG or JPEG",
    ]
    assert lines[-1].startswith("error: 5 of 8 inputs failed in ")
    assert len((out / "failures.jsonl").read_text().splitlines()) == 5
    assert sorted(p.name for p in out.rglob("*_class.tif")) == ["t0_class.tif", "t1_class.tif", "t2_class.tif"]


def test_where_a_worker_died_the_rest_is_done_and_the_command_may_be_started_again(
    trained: Path,
    seep_root: Path,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def dying(units: Sequence[Unit], work: Any, workers: int) -> Iterator[tuple[Unit, Any]]:
        died = ResourceError("the worker process died on it", "", "see whether memory ran out")
        for unit in units:
            yield unit, died if unit.jobs[0].name == "b" else work(unit)

    folder, out = tmp_path / "in", tmp_path / "out"
    folder.mkdir()
    tile = tifffile.imread(next((seep_root / "train_images_256").iterdir()))
    for name in ("a", "b"):  # larger than a window: each a unit of its own
        tifffile.imwrite(folder / f"{name}.tif", np.tile(tile, (2, 2)))
    (folder / "broken.tif").write_bytes(b"II")
    words = ("predict", trained, folder, "-o", out, "--executor", "processes", "--workers", 2)
    monkeypatch.setattr("seepseg.machine.executors.processes", dying)
    code, line = error(capsys, *words)
    assert code == 5
    assert line == (
        f"2 of 3 inputs failed, some as their worker died in {out / 'failures.jsonl'}: "
        "see whether memory ran out, and run the same command again"
    )
    failures = [json.loads(text) for text in (out / "failures.jsonl").read_text().splitlines()]
    assert [(Path(f["input"]).name, f["exit_code"]) for f in failures] == [("b.tif", 5), ("broken.tif", 3)]
    assert (out / "a_class.tif").exists()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--workers", "8"), "has no effect in --workers: give --executor processes or dask, or leave it out"),
        (("--scheduler", "tcp://a:1"), "has no effect in --scheduler: give --executor dask, or leave it out"),
        (("--no-polygons", "--vectors", "fgb"), "has no effect in --vectors: leave out --no-polygons, or leave it out"),
    ],
)
def test_an_option_without_an_effect_is_refused(
    words: tuple[str, ...], said: str, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert error(capsys, "predict", tmp_path / "run", tmp_path / "in", "-o", tmp_path / "out", *words) == (2, said)


@pytest.fixture(scope="module")
def backscatter(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run on tiles of VV, VH and incidence angle, cut from a product as the docs say, with windows of 64 pixels."""
    folder = tmp_path_factory.mktemp("backscatter")
    sea, truth = product_with_slick()
    safe = write_product(folder, {"vv": sea, "vh": sea / 5})
    (folder / "tiles").mkdir()
    with open_scene(safe, ["vv", "vh", "incidence"], decibels=True) as scene:
        for row, column in itertools.product(range(0, 128, 32), repeat=2):
            raw, valid = scene.window(slice(row, row + 32), slice(column, column + 32))
            assert valid.all()
            name = f"{row:03}_{column:03}"
            tifffile.imwrite(folder / "tiles" / f"{name}.tif", raw, photometric="minisblack")
            tifffile.imwrite(folder / "tiles" / f"{name}_mask.tif", truth[row : row + 32, column : column + 32])
    config = parse(
        {
            "data": {
                "source": "tiles", "root": str(folder), "images": "tiles", "mask_suffix": "_mask",
                "classes": [{"name": "slick", "values": [1]}], "bands": ["vv", "vh", "incidence"],
                "scaling": {"kind": "db"}, "split": {"by": "random"},
            },
            "model": {"name": "unet", "channels": [8, 16], "num_res_units": 0, "head": "binary"},
            "loss": "dice_bce",
            "train": {"epochs": 15, "batch_size": 4, "panels_every": 0},
            "predict": {"window": 64},
            "runtime": {"device": "cpu", "amp": "off", "threads": 1},
        },
        "test",
    )  # fmt: skip
    train(config, RunFolder(folder / "run"), echo=lambda line: None)
    return folder / "run"


def product_with_slick() -> tuple[np.ndarray, np.ndarray]:
    """Sea of 128 × 128 pixels with four looks of speckle, and the mask of the slick on it, 10 dB darker."""
    truth = np.zeros((128, 128), np.uint8)
    truth[50:80, 20:110] = 1
    return 0.05 * np.random.default_rng(0).gamma(4, 1 / 4, truth.shape) * np.where(truth, 0.1, 1), truth


def test_a_sentinel_1_product_is_predicted_from_its_folder_zip_or_manifest(
    backscatter: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SEEPSEG_CACHE", str(tmp_path / "cache"))
    sea, truth = product_with_slick()
    safe = write_product(tmp_path, {"vv": sea, "vh": sea / 5})
    packed = shutil.make_archive(str(tmp_path / "packed" / safe.name), "zip", tmp_path, safe.name)
    made = []
    for number, path in enumerate((safe, packed, safe / "manifest.safe")):
        out = tmp_path / f"out{number}"
        assert run(capsys, "predict", backscatter, path, "-o", out)[0] == 0
        (classes,) = out.glob("*_class.tif")
        assert classes.name == f"{safe.stem}_class.tif"
        made.append(classes.read_bytes() + (out / "findings.csv").read_bytes())
    assert made[0] == made[1] == made[2]
    when = {"acquired": "2021-04-01T05:26:23.794Z", "orbit": 26269, "relative_orbit": 168, "direction": "descending"}
    (row,) = read_table(out / "scenes.csv", "scene").values()
    assert {name: row[name] for name in when} == {name: str(value) for name, value in when.items()}
    assert (row["platform"], row["mode"], row["polarisation"], row["product"]) == ("S1B", "IW", "VV+VH", safe.stem)
    assert json.loads((out / "manifest.jsonl").read_text().splitlines()[-1])["identity"].items() >= when.items()
    for layer in (out / f"{safe.stem}.gpkg", out / "findings.gpkg"):
        _, table, _ = read_vectors(layer)
        assert set(table["acquired"]) == {pd.Timestamp("2021-04-01T05:26:23.794")}
        assert set(table["orbit"]) == {26269}
    with rasterio.open(classes) as raster:
        assert len(raster.gcps[0]) == 10 * 21
        assert raster.tags()["ACQUISITION_START_TIME"] == when["acquired"]
        # What `seepseg zones` asks: angles of 30 to 45 degrees, and σ0 of the sea, .05, which is −13 dB.
        incidence, sigma0 = (lattice_of(raster.tags(), name) for name in (INCIDENCE, SIGMA0))
        assert incidence and sigma0
        assert incidence.at(np.array([[0.5, 9.0], [truth.shape[1] - 0.5, 9.0]])) == pytest.approx([30, 45], abs=1e-3)
        assert sigma0.values == pytest.approx(-13, abs=0.3)
        slick = raster.read(1) == 1
    assert (slick & (truth == 1)).sum() / (slick | (truth == 1)).sum() > 0.8
    # Its folder is one file that has not changed, until a file in it has.
    assert run(capsys, "predict", backscatter, safe, "-o", tmp_path / "out0")[1].startswith("0 of 1 predicted, 1 done")
    (measured,) = safe.glob("measurement/*-vh-*")
    os.utime(measured, ns=(1, 2**62))
    assert run(capsys, "predict", backscatter, safe, "-o", tmp_path / "out0")[1].startswith("1 of 1 predicted, in")


def test_a_table_says_when_scenes_were_taken(trained: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    for number in (1, 2):
        write_scene(tmp_path / "in" / f"s{number}.tif", rows=90, cols=97, seed=number)
        (tmp_path / "in" / f"s{number}_mask.tif").unlink(missing_ok=True)
    table, out = tmp_path / "scenes.csv", tmp_path / "out"
    table.write_text("scene,acquired,orbit\ns1,2010-04-26T03:45:06Z,42621\n")
    arguments = ("predict", trained, tmp_path / "in", "-o", out, "--scenes", table)
    assert run(capsys, *arguments)[0] == 0
    acquired = {name: row["acquired"] for name, row in read_table(out / "scenes.csv", "scene").items()}
    assert acquired == {"s1": "2010-04-26T03:45:06.000Z", "s2": ""}
    # Unknown is empty, in columns of the same kind.
    for name in ("s1", "s2", "findings"):
        info = pyogrio.read_info(out / f"{name}.gpkg", layer=name)
        kinds = dict(zip(info["fields"], info["ogr_types"], strict=True))
        assert (kinds["acquired"], kinds["orbit"]) == ("OFTDateTime", "OFTInteger64")
    _, unknown, _ = read_vectors(out / "s2.gpkg")
    assert len(unknown)
    assert unknown[[*COLUMNS]].isna().all(axis=None)
    with rasterio.open(out / "s2_class.tif") as raster:
        assert "ACQUISITION_START_TIME" not in raster.tags()
    # The table that was written can be given back; what a later one says more is all that is done again.
    table.write_text((out / "scenes.csv").read_text())
    assert run(capsys, *arguments)[1].startswith("0 of 2 predicted, 2 done before")
    table.write_text("scene,acquired,orbit\ns1,2010-04-26T03:45:06Z,42621\ns2.tif,2010-04-29 03:50:00,\n")
    assert run(capsys, *arguments)[1].startswith("1 of 2 predicted, 1 done before")
    table.write_text("scene,acquired\nother,2010-04-26T03:45:06Z\n")
    code, line = error(capsys, *arguments)
    assert (code, line.startswith("says nothing of any of 2 inputs")) == (2, True)


def test_shards_give_the_same_findings_and_catalog(
    trained: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    for k in range(2):
        write_scene(tmp_path / "in" / f"s{k}.tif", rows=96, cols=96, seed=k)
    command = (
        "predict",
        trained,
        tmp_path / "in" / "s?.tif",
        "--stac",
        "--vectors",
        "fgb",
        "--vectors",
        "parquet",
        "-o",
    )
    assert run(capsys, *command, tmp_path / "whole")[:2] == (
        0,
        f"catalog: {tmp_path / 'whole' / 'catalog.json'}, 2 items\n2 of 2 predicted, in {tmp_path / 'whole'}/\n",
    )
    for shard in ("1/2", "2/2"):
        code, _, err = run(capsys, *command, tmp_path / "parts", "--shard", shard)
        assert code == 0
        # Nothing says when the scenes were taken.
        assert "items have no time, and span all of it: give --scenes with the column acquired" in err
    whole = files(tmp_path / "whole")
    assert whole == files(tmp_path / "parts")
    assert {"s0.fgb", "s0.parquet", "s0.qml", "s0_stac.json", "findings.fgb", "findings.parquet", "findings.gpkg",
            "findings_origins.fgb", "catalog.json"} <= whole.keys()  # fmt: skip
    assert "s0.gpkg" not in whole
    # Maps that are made anew with less beside them: nothing is left that describes the ones before.
    again = ("predict", trained, tmp_path / "in" / "s?.tif", "--overwrite", "-o", tmp_path / "whole")
    assert run(capsys, *again)[0] == 0
    left = {name for name in files(tmp_path / "whole") if not name.endswith(("_class.tif", "_quicklook.png"))}
    assert left == {"s0.gpkg", "s1.gpkg", "findings.gpkg", "findings.csv", "scenes.csv"}
    assert run(capsys, *again, "--no-polygons")[0] == 0
    assert {*map(str, files(tmp_path / "whole"))} == {
        f"s{k}{end}" for k in range(2) for end in ("_class.tif", "_quicklook.png")
    }


def test_land_is_left_out_with_a_margin_of_sea(
    trained: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """Pixels of 500 m over Grand Isle and the delta of the Mississippi, and a scene without a place."""
    place, (rows, columns) = Affine(500, 0, 200_000, 0, -500, 3_260_000), (120, 180)
    raw = np.random.default_rng(0).integers(1, 9000, (rows, columns)).astype(np.uint16)
    profile = {"driver": "GTiff", "count": 1, "dtype": "uint16", "height": rows, "width": columns}
    with rasterio.open(tmp_path / "s.tif", "w", crs="EPSG:32616", transform=place, **profile) as target:
        target.write(raw, 1)
    tifffile.imwrite(tmp_path / "nowhere.tif", raw)
    hidden = {}
    for margin in ("0", "", "5000"):
        out = tmp_path / f"out{margin}"
        arguments = ("predict", trained, tmp_path / "s.tif", "-o", out, "--land", *([margin] if margin else []))
        assert run(capsys, *arguments)[0] == 0
        with rasterio.open(out / "s_class.tif") as classes:
            hidden[margin] = classes.read(1) == 255
        line = json.loads((out / "manifest.jsonl").read_text().splitlines()[-1])
        assert line["land_margin_m"] == float(margin or 1000)
        assert line["valid_km2"] == pytest.approx((~hidden[margin]).sum() * 0.25, rel=2e-3)
    shares = [float(hidden[margin].mean()) for margin in ("0", "", "5000")]
    assert 0.05 < shares[0] < shares[1] < shares[2] < 0.9
    # Other margins are other outputs.
    code, line = error(capsys, "predict", trained, tmp_path / "s.tif", "-o", tmp_path / "out", "--land", "0")
    assert (code, "--overwrite" in line) == (2, True)
    code, _, err = run(capsys, "predict", trained, tmp_path / "nowhere.tif", "-o", tmp_path / "none", "--land")
    assert (code, err.splitlines()[0].startswith("failed: where its land lies is not known")) == (4, True)


def test_a_product_that_lacks_a_band_is_one_line(
    backscatter: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    safe = write_product(tmp_path, {"vv": np.full((70, 80), 0.05)})
    code, _, err = run(capsys, "predict", backscatter, safe, "-o", tmp_path / "out")
    assert code == 4
    fix = "leave it out, or use a model of its polarisations"
    assert err.splitlines()[0] == f"failed: has no VH, only VV in {safe}: {fix}"


def test_broken_products_are_a_line_each_and_leave_the_others(
    backscatter: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SEEPSEG_CACHE", str(tmp_path / "cache"))
    sea, folder = {"vv": np.full((70, 80), 0.05), "vh": np.full((70, 80), 0.01)}, tmp_path / "in"
    good, no_table, short, foreign, entities = (
        write_product(folder, sea, start=START + timedelta(days=12 * n)) for n in range(5)
    )
    next(no_table.glob("annotation/calibration/calibration-*-vh-*")).unlink()
    measurement = next(short.glob("measurement/*-vv-*"))
    measurement.write_bytes(measurement.read_bytes()[:-500])
    (annotation,) = foreign.glob("annotation/*-vv-*")
    shutil.copy(next(good.glob("annotation/*-vv-*")), annotation)
    table = next(entities.glob("annotation/calibration/noise-*-vv-*"))
    table.write_text(f'<!DOCTYPE x [<!ENTITY a "b">]>{table.read_text().partition("?>")[2]}')
    with zipfile.ZipFile(folder / "S1A_evil.zip", "w") as archive:
        archive.writestr("../evil.SAFE/manifest.safe", "<x/>")
    with zipfile.ZipFile(folder / "S1A_bomb.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("S1A.SAFE/manifest.safe", "<x/>")
        archive.writestr("S1A.SAFE/bomb.xml", bytes(2**27))
    code, _, err = run(capsys, "predict", backscatter, folder, "-o", tmp_path / "out", "-q")
    told = [line for line in err.splitlines() if line.startswith("failed: ")]
    for what in ("no such file", "past the end of the file", "belongs to VV of S1B at 2021-04-01", "document type",
                 "would land outside its folder", "times its size"):  # fmt: skip
        assert sum(what in line for line in told) == 1, (what, err)
    assert (code, len(told)) == (4, 6)
    assert [p.name for p in (tmp_path / "out").glob("*_class.tif")] == [f"{good.stem}_class.tif"]


@pytest.mark.parametrize(
    ("arguments", "code", "line"),
    [
        (["none.tif"], 3, "no such file in none.tif"),
        (["s3://bucket/s.tif"], 2, "is a remote address, not a file in s3://bucket/s.tif: copy it here first"),
        (["s.tif", "--mask", "https://host/m.tif"], 2, "is a remote address, not a file in https://host/m.tif"),
        (["s.tif", "-o", "s3://bucket/out"], 2, "is a remote address, not a file in s3://bucket/out"),
        (["s.tif", "--mask", "none.gpkg"], 2, "no such mask in none.gpkg"),
        (["--land", "s.tif"], 2, "'s.tif' is not metres from 0 to 100000 in --land: without a number, put it last"),
        (["s.tif", "--land", "2e5"], 2, "'2e5' is not metres from 0 to 100000 in --land"),
        (["s.tif", "--grid", "mars"], 2, "is not EPSG[:METRES] or utm[:METRES] in --grid mars: for example utm"),
        (["X.SAFE"], 3, "no such file in X.SAFE/manifest.safe"),
        (["X.SAFE/measurement"], 3, "is part of a Sentinel-1 product in X.SAFE/measurement"),
    ],
)
def test_a_wrong_input_is_reported_before_anything_is_loaded(
    tmp_path: Path, arguments: list[str], code: int, line: str
) -> None:
    tifffile.imwrite(tmp_path / "s.tif", np.ones((9, 9), np.uint8))
    (tmp_path / "X.SAFE" / "measurement").mkdir(parents=True)
    script = f"""
import sys
import zipfile
from datetime import timedelta
sys.argv = ["seepseg", "predict", "no-run", "-o", "out", *{arguments}]
from seepseg.cli.main import main
try:
    main()
finally:
    print("torch" in sys.modules)
"""
    environment = os.environ | {"PYTHONPATH": str(Path(seepseg.__file__).parents[1])}
    done = subprocess.run(
        [sys.executable, "-c", script], check=False, cwd=tmp_path, env=environment, capture_output=True, text=True
    )
    assert (done.returncode, done.stdout) == (code, "False\n"), done.stderr
    assert done.stderr.startswith(f"error: {line}")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["X.SAFE", "s.tif"]


def test_every_option_is_in_the_key_of_outputs_or_changes_none() -> None:
    """A new option is put into one of the two; tests/mapping/test_units.py checks that fields change the key."""
    keyed = {
        "run", "others", "fold", "tta", "threshold", "probabilities", "uncertainty", "no_fit", "no_polygons", "vectors",
        "mask", "land", "scenes", "image_format", "grid", "threads", "device",
    }  # fmt: skip
    only_how = {
        "inputs", "out", "stac", "overwrite", "strict", "shard", "executor", "workers", "scheduler", "quiet",
    }  # fmt: skip
    of_every_command = {"json", "log_file"}  # added where a command is called
    assert {parameter.name for parameter in command.params} - of_every_command == keyed | only_how


def test_threshold_and_flips_reach_the_network(
    trained: Path, seep_root: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    tile = sorted((seep_root / "train_images_256").iterdir())[0]

    def predicted(name: str, *arguments: object) -> np.ndarray:
        assert run(capsys, "predict", trained, tile, "-o", tmp_path / name, "--probabilities", *arguments)[0] == 0
        return np.asarray(tifffile.imread(tmp_path / name / f"{tile.stem}_class.tif"))

    everything, nothing = predicted("all", "--threshold", 0), predicted("none", "--threshold", 1)
    assert ((everything > 0) & (everything <= 255)).all()
    assert set(np.unique(nothing)) <= {0, 255}
    predicted("tta", "--tta")
    plain, flipped = (tifffile.imread(tmp_path / n / f"{tile.stem}_prob.tif") for n in ("all", "tta"))
    assert not np.array_equal(plain, flipped, equal_nan=True)


def test_a_submission_of_several_classes_is_refused_before_any_work(
    trained: Path, seep_root: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    tiles, out = seep_root / "train_images_256", tmp_path / "out"
    code, line = error(capsys, "predict", trained, tiles, "-o", out, "--format", "tgs-csv")
    assert (code, out.exists()) == (2, False)
    assert line.startswith("a submission holds one class, and the run has 7")


def test_png_in_png_out(salt_root: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    config = parse(
        {
            "data": {"source": "tgs", "root": str(salt_root), "split": {"by": "random"}},
            "model": {"name": "unet", "channels": [8, 16], "num_res_units": 0, "head": "binary"},
            "loss": "dice_bce",
            "train": {"epochs": 1, "panels_every": 0},
            "runtime": {"device": "cpu", "amp": "off", "threads": 1},
        },
        "test",
    )
    train(config, RunFolder(tmp_path / "run"), echo=lambda line: None)
    images = salt_root / "test" / "images"
    assert run(capsys, "predict", tmp_path / "run" / "checkpoints" / "best.pt", images, "-o", tmp_path / "out")[0] == 0
    made = sorted((tmp_path / "out").glob("*_class.png"))
    assert [p.name for p in made] == [f"{p.stem}_class.png" for p in sorted(images.iterdir())]
    for path in made:
        mask = np.asarray(Image.open(path))
        assert mask.shape == (101, 101)
        assert set(np.unique(mask)) <= {0, 255}


def test_it_is_said_whether_the_place_of_objects_is_known(
    trained: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """A classifier knows what lies in the middle of one scene, on the Earth; tiles of the seep set have no place."""
    run_folder, inputs, out = tmp_path / "run", tmp_path / "in", tmp_path / "out"
    shutil.copytree(trained, run_folder)
    inputs.mkdir()
    write_scene(inputs / "s.tif", rows=150, cols=97, seed=3)
    with rasterio.open(inputs / "s.tif") as image, rasterio.open(inputs / "far.tif", "w", **image.profile) as far:
        far.write(image.read())
        far.transform = Affine.translation(50_000, 0) @ image.transform
    place = place_of(Georeference(crs_wkt="EPSG:32616", transform=(10, 0, 400_000, 0, -10, 3_100_000)))
    middle = on_ground(place, np.array([[48.0, 75.0]]))[0] / 10
    objects = classifier(sites(n_classes=8, unit=10.0, at=tuple(middle))).to_plain()
    last = RunFolder(run_folder).last
    save_checkpoint(last, replace(load_checkpoint(last), objects=objects))
    (inputs / "s_mask.tif").unlink()
    code, said, warned = run(capsys, "predict", last, inputs, "-o", out, "--threshold", "0.3")
    assert code == 0
    listing = out / "manifest.jsonl"
    assert f"classes of objects with those of their place: 1 of 2 inputs, counts in {listing}\n" in said
    assert "far.tif: classes of objects without those of their place: it shows another place" in warned
    lines = {line["name"]: line for line in map(json.loads, listing.read_text().splitlines()) if "name" in line}
    assert lines["s"]["placed"]["with_place"] == lines["s"]["placed"]["objects"] > 0
    assert lines["far"]["placed"]["with_place"] == 0
    # As `classifier` says: class 1 where it knows what is around, class 2 elsewhere.
    classes = {name: set(np.unique(tifffile.imread(out / f"{name}_class.tif")).tolist()) for name in lines}
    assert (classes["s"] - {0, 255}, classes["far"] - {0, 255}) == ({1}, {2})
    code, said, _ = run(capsys, "eval", last, "--threshold", "0.3", "--no-figures", "-o", tmp_path / "scores")
    assert code == 0
    assert re.search(r"by the classifier, 0 of [1-9]\d* with the classes of their place", said)
