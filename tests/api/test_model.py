from __future__ import annotations

import gc
import json
import logging
import shutil
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from PIL import Image

import seepseg
from seepseg.config import parse
from seepseg.errors import ConfigError, DataError, SeepsegError
from seepseg.io.image import read_image
from seepseg.io.raster import raster_header
from seepseg.runs.folder import RunFolder
from seepseg.training.run import train
from tests.command import run
from tests.conftest import tiny_config
from tests.mapping.toy import files


def manifest(folder: Path) -> list[dict[str, Any]]:
    """The lines of a manifest without their times."""
    lines = [json.loads(line) for line in (folder / "manifest.jsonl").read_text().splitlines()]
    return [{key: value for key, value in line.items() if key != "time"} for line in lines]


@pytest.mark.parametrize(
    ("options", "keywords"),
    [
        ((), {}),
        (("--probabilities",), {"probabilities": True}),
        (("--no-polygons",), {"polygons": False}),
        (("--tta", "--no-fit"), {"tta": True, "fitted": False}),
        (("--threshold", "0.7"), {"threshold": 0.7}),
        (("--land", "5000"), {"land": 5000}),
        (("--mask", "scene_mask.tif"), {"mask": "scene_mask.tif"}),
    ],
)
def test_a_saved_prediction_is_what_the_command_line_writes(
    at_desk: Path,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    options: tuple[str, ...],
    keywords: dict[str, Any],
) -> None:
    assert run(capsys, "predict", "runs/demo", "scene.tif", "-o", tmp_path / "command", *options)[0] == 0
    seepseg.load("runs/demo").predict("scene.tif", **keywords).save(tmp_path / "program")
    assert len(files(tmp_path / "command")) >= 2
    assert files(tmp_path / "program") == files(tmp_path / "command")
    assert manifest(tmp_path / "program") == manifest(tmp_path / "command")
    # It is the same folder: the command finds nothing left to do.
    code, out, _ = run(capsys, "predict", "runs/demo", "scene.tif", "-o", tmp_path / "program", *options)
    assert code == 0 and "0 of 1 predicted, 1 done before" in out


@pytest.mark.parametrize("ending", [".tif", ".png"])
def test_so_is_that_of_a_tile(
    at_desk: Path, seep_root: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path, ending: str
) -> None:
    pixels = tifffile.imread(sorted((seep_root / "train_images_256").iterdir())[5])
    tile = tmp_path / f"tile{ending}"
    if ending == ".png":
        Image.fromarray(pixels).save(tile)
    else:
        shutil.copy(sorted((seep_root / "train_images_256").iterdir())[5], tile)
    assert run(capsys, "predict", "runs/demo", tile, "-o", tmp_path / "command")[0] == 0
    prediction = seepseg.load("runs/demo").predict(tile)
    prediction.save(tmp_path / "program")
    assert list(files(tmp_path / "program")) == [f"tile_class{ending}"]
    assert files(tmp_path / "program") == files(tmp_path / "command")
    assert prediction.classes.shape == pixels.shape
    assert (prediction.crs, prediction.transform, prediction.gcps) == (None, None, ())
    with pytest.raises(DataError, match="no polygons: a tile without a place on the map has none in tile"):
        prediction.polygons  # noqa: B018


def test_an_array_is_predicted_as_the_file_that_holds_it(at_desk: Path) -> None:
    model = seepseg.load("runs/demo")
    (raw, _), _ = read_image(Path("scene.tif"))
    place = raster_header(Path("scene.tif"))[0]
    told = {"crs": place.crs_wkt, "transform": place.transform, "nodata": 0, "name": "scene", "probabilities": True}
    by_file, by_array = model.predict("scene.tif", probabilities=True), model.predict(raw[0], **told)
    assert {0, 1, 255} < set(np.unique(by_file.classes).tolist())
    for one, other in ((by_file.classes, by_array.classes), (by_file.probabilities, by_array.probabilities)):
        np.testing.assert_array_equal(one, other)
    assert by_array.classes.dtype == np.uint8 and by_array.probabilities.dtype == np.float32
    assert by_array.probabilities.shape == (8, 160, 100)
    assert np.isnan(by_array.probabilities[:, by_array.classes == 255]).all()
    assert (by_array.transform, by_array.crs) == (by_file.transform, by_file.crs)
    assert by_array.findings.equals(by_file.findings) and len(by_file.findings) > 3


def test_an_array_is_not_changed_and_layout_does_not_matter(at_desk: Path) -> None:
    model = seepseg.load("runs/demo")
    raw = read_image(Path("scene.tif"))[0].raw[0]
    before = raw.copy()
    plain = model.predict(raw).classes
    for other in (raw[None], np.asfortranarray(raw), raw.astype(">u2"), np.ma.masked_array(raw, mask=False)):
        np.testing.assert_array_equal(model.predict(other).classes, plain)
    np.testing.assert_array_equal(raw, before)
    # What is masked is no data, and nothing else.
    hidden = np.zeros(raw.shape, bool)
    hidden[100:150, 20:40] = True
    masked = model.predict(np.ma.masked_array(raw, hidden)).classes
    np.testing.assert_array_equal(masked == 255, hidden | (raw == 0))  # the run says that 0 is no data
    with_nan = np.where(hidden, np.nan, raw)
    np.testing.assert_array_equal(model.predict(with_nan).classes == 255, hidden | (raw == 0))


def test_polygons_are_those_of_the_file(at_desk: Path, tmp_path: Path) -> None:
    geopandas = pytest.importorskip("geopandas")
    prediction = seepseg.load("runs/demo").predict("scene.tif")
    prediction.save(tmp_path)
    written = geopandas.read_file(tmp_path / "scene.gpkg", layer="scene")
    polygons = prediction.polygons
    assert isinstance(polygons, geopandas.GeoDataFrame)
    assert list(polygons.columns) == list(written.columns)
    assert polygons.crs == written.crs and polygons.crs.to_epsg() == 32616
    assert polygons.geometry.geom_equals_exact(written.geometry, 0).all()
    for column in ("object", "class_name", "area_m2", "length_m", "mean_probability", "touches_nodata"):
        assert polygons[column].tolist() == written[column].tolist()
    # Pixels of 10 m: without decoding that moves outlines, areas are those of the pixels (UTM's scale aside).
    assert polygons.area.to_numpy() == pytest.approx(100 * polygons["pixels"].to_numpy())
    placed = seepseg.read_findings(tmp_path, geometry=True)
    assert placed.crs.to_epsg() == 4326 and len(placed) == len(polygons)


def test_a_file_of_several_outputs_is_read_when_it_is_asked_for(at_desk: Path) -> None:
    prediction = seepseg.load("runs/demo").predict("scene.tif", polygons=False)
    assert prediction.rgb.shape == (160, 100, 3)
    with pytest.raises(ConfigError, match=r"no probabilities were asked for in scene: give predict\(…, prob"):
        prediction.probabilities  # noqa: B018
    with pytest.raises(ConfigError, match=r"no polygons were asked for in scene: give predict\(…, polygons=True\)"):
        prediction.findings  # noqa: B018


def test_temporary_files_go_with_the_prediction(
    at_desk: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seep_root: Path
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    model = seepseg.load("runs/demo")
    prediction = model.predict("scene.tif")
    assert len(list(tmp_path.iterdir())) == 1
    with pytest.raises(DataError):
        model.predict("runs/demo/config.yaml")
    del prediction
    gc.collect()
    assert list(tmp_path.iterdir()) == []


def test_predictions_are_saved_beside_each_other_and_never_over_another(
    at_desk: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    model = seepseg.load("runs/demo")
    shutil.copy("scene.tif", tmp_path / "b.tif")
    first, second = model.predict("scene.tif"), model.predict(tmp_path / "b.tif")
    assert first.save(tmp_path / "out") == tmp_path / "out"
    second.save(tmp_path / "out")
    first.save(tmp_path / "out")  # once more is no harm
    table = seepseg.read_findings(tmp_path / "out")
    assert table["scene"].unique().tolist() == ["b", "scene"]
    assert len(table) == len(first.findings) + len(second.findings)
    # As one command for both.
    assert run(capsys, "predict", "runs/demo", "scene.tif", tmp_path / "b.tif", "-o", tmp_path / "command")[0] == 0
    assert files(tmp_path / "out") == files(tmp_path / "command")
    other = model.predict("scene.tif", threshold=0.9)
    with pytest.raises(ConfigError, match="holds predictions by another model, or with other options"):
        other.save(tmp_path / "out")
    third = model.predict(np.full((64, 64), 900, np.uint16), name="scene")
    with pytest.raises(ConfigError, match=r"holds something else in .*scene_class.tif: give overwrite=True"):
        third.save(tmp_path / "out")
    assert files(tmp_path / "out") == files(tmp_path / "command")
    other.save(tmp_path / "out", overwrite=True)
    assert files(tmp_path / "out")["scene_class.tif"] != files(tmp_path / "command")["scene_class.tif"]


def test_scores_are_those_of_the_command_line(
    at_desk: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert run(capsys, "eval", "runs/demo", "--split", "train", "-o", tmp_path / "command", "--no-figures")[0] == 0
    before = sorted(at_desk.rglob("*"))
    scores = seepseg.load("runs/demo").evaluate("train")
    assert sorted(at_desk.rglob("*")) == before
    assert json.loads(json.dumps(scores.to_json())) == json.loads((tmp_path / "command" / "metrics.json").read_text())
    assert scores.n_tiles > 36 and scores.foreground.dice is not None and len(scores.table()) == 7
    seepseg.load("runs/demo").evaluate("train", out=tmp_path / "program")
    text = (tmp_path / "program" / "per_class.csv").read_text()
    assert text == (tmp_path / "command" / "per_class.csv").read_text()
    elsewhere = seepseg.load("runs/demo").evaluate(data="data")
    assert elsewhere.split == f"data-{(at_desk / 'data').resolve().name}"
    assert elsewhere.n_tiles == seepseg.load("runs/demo").evaluate("all").n_tiles
    assert "val" in repr(seepseg.load("runs/demo").evaluate()) and len(repr(scores)) < 200


@pytest.fixture(scope="module")
def folded(seep_root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of two folds."""
    root = tmp_path_factory.mktemp("folds")
    data = {"source": "seep", "root": str(seep_root), "split": {"folds": 2}}
    config = tiny_config(seep_root, data=data, train={"epochs": 1, "batch_size": 8, "panels_every": 0})
    for fold in range(2):
        train(config, RunFolder(root / f"fold_{fold}"), fold=fold, echo=lambda line: None)
    return root


def test_a_run_means_what_it_means_on_the_command_line(
    folded: Path, at_desk: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    for name, words in {
        "all": (folded,),
        "one": (folded, "--fold", 1),
        "file": (folded / "fold_0/checkpoints/last.pt",),
    }.items():
        assert run(capsys, "predict", words[0], "scene.tif", "-o", tmp_path / name, *words[1:])[0] == 0
    models = {
        "all": seepseg.load(folded),
        "one": seepseg.load(str(folded), fold=1),
        "file": seepseg.load(folded / "fold_0" / "checkpoints" / "last.pt", device="cpu"),
    }
    maps = {}
    for name, model in models.items():
        maps[name] = model.predict("scene.tif").classes
        np.testing.assert_array_equal(
            maps[name], read_image(tmp_path / name / "scene_class.tif", labels=True)[0].raw[0]
        )
    assert (maps["all"] != maps["one"]).any()
    assert "2 networks" in repr(models["all"]) and "one network" in repr(models["one"])
    pooled = models["all"].evaluate("oof")
    assert run(capsys, "eval", folded, "--split", "oof", "-o", tmp_path / "oof", "--no-figures")[0] == 0
    assert json.loads(json.dumps(pooled.to_json())) == json.loads((tmp_path / "oof" / "metrics.json").read_text())
    with pytest.raises(ConfigError, match="holds folds, not one run"):
        models["all"].evaluate("val")
    with pytest.raises(ConfigError, match="no fold 7"):
        seepseg.load(folded, fold=7)


def test_a_mask_of_salt_knows_where_there_are_no_data(tmp_path: Path, salt_root: Path) -> None:
    config = parse(
        {
            "data": {"source": "tgs", "root": str(salt_root), "split": {"by": "random"}},
            "model": {"name": "unet", "channels": [8, 16], "num_res_units": 1, "head": "binary"},
            "loss": "dice_bce",
            "train": {"epochs": 1, "batch_size": 8, "panels_every": 0},
            "runtime": {"device": "cpu", "amp": "off", "threads": 1},
        },
        "test",
    )
    train(config, RunFolder(tmp_path / "salt"), echo=lambda line: None)
    gray = np.asarray(Image.open(sorted((salt_root / "train" / "images").iterdir())[0]).convert("L"))
    alpha = np.full(gray.shape, 255, np.uint8)
    alpha[:10] = 0
    Image.merge("LA", [Image.fromarray(gray), Image.fromarray(alpha)]).save(tmp_path / "a.png")
    prediction = seepseg.load(tmp_path / "salt").predict(tmp_path / "a.png")
    assert prediction.class_names == ("background", "salt")
    assert (prediction.classes[:10] == 255).all() and set(np.unique(prediction.classes[10:])) <= {0, 1}
    prediction.save(tmp_path / "out")
    written = np.asarray(Image.open(tmp_path / "out" / "a_class.png"))
    np.testing.assert_array_equal(written > 0, prediction.classes == 1)


def test_a_library_is_silent_and_logs(
    at_desk: Path, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    model = seepseg.load("runs/demo")
    tile = read_image(Path("scene.tif"))[0].raw[0, :64, :64]
    with caplog.at_level(logging.INFO, logger="seepseg"):
        prediction = model.predict((tile // 256).astype(np.uint8), name="odd")
    assert capsys.readouterr() == ("", "")
    assert prediction.warnings and [r.getMessage() for r in caplog.records] == [
        f"odd: {w}" for w in prediction.warnings
    ]
    assert {r.name for r in caplog.records} == {"seepseg"}


def test_progress_is_told(at_desk: Path) -> None:
    ticks: list[tuple[int, int]] = []
    seepseg.load("runs/demo").predict("scene.tif", progress=lambda done, of: ticks.append((done, of)))
    assert ticks[-1] == (16_000, 16_000) and ticks == sorted(ticks)


@pytest.mark.parametrize(
    ("image", "keywords", "kind", "text"),
    [
        ("gone.tif", {}, DataError, "no such file in gone.tif: check the path"),
        ("*.tif", {}, DataError, r"no such file in \*.tif"),
        ("data", {}, ConfigError, "is a folder in data: give one image"),
        ("runs/demo/config.yaml", {}, DataError, "not an image, the file is of an unknown kind"),
        ("s3://bucket/a.tif", {}, ConfigError, "is a remote address"),
        ("scene.tif", {"crs": "EPSG:4326"}, ConfigError, "name, crs, transform and nodata are of arrays in scene.tif"),
        ("scene.tif", {"threshold": 2}, ConfigError, "2 is no probability in threshold"),
        ("scene.tif", {"land": -1}, ConfigError, "-1 is no distance in land"),
        ("scene.tif", {"mask": "gone.tif"}, ConfigError, "no such mask in gone.tif"),
        (np.zeros((9, 9)), {"name": "a/b"}, ConfigError, "'a/b' names no file"),
        (np.zeros((9, 9)), {"name": "findings"}, ConfigError, "'findings' is what the findings of a batch are called"),
        (np.zeros((9, 9)), {"land": 10}, DataError, "in the array 'array'"),
        (None, {}, DataError, "a NoneType is no image in predict: give a path, a numpy array"),
        ([[1, 2]], {}, DataError, "a list is no image"),
    ],
)
def test_what_cannot_be_predicted_is_said(
    at_desk: Path, image: Any, keywords: dict[str, Any], kind: type[SeepsegError], text: str
) -> None:
    with pytest.raises(kind, match=text):
        seepseg.load("runs/demo", device="cpu").predict(image, **keywords)


def test_what_cannot_be_loaded_or_scored_is_said(at_desk: Path) -> None:
    with pytest.raises(ConfigError, match="no checkpoint in runs/none"):
        seepseg.load("runs/none")
    with pytest.raises(ConfigError, match="device 'cuda:99' is not there"):
        seepseg.load("runs/demo", device="cuda:99")
    model = seepseg.load("runs/demo")
    with pytest.raises(ConfigError, match="no part 'dev' in split: give one of val, test"):
        model.evaluate("dev")
    with pytest.raises(ConfigError, match="leave out data"):
        model.evaluate("oof", data="data")
