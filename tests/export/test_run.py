"""A run as a folder: what is in it, what it says, and when it is refused."""

from __future__ import annotations

import hashlib
import importlib
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pystac
import pytest
import torch
from pystac.validation.stac_validator import JsonSchemaSTACValidator
from stac_model.schema import SCHEMA_URI, MLModelProperties

from seepseg.data.scan import with_counts
from seepseg.data.source import source_of
from seepseg.errors import CheckpointError, ConfigError, DataError, LockedError
from seepseg.export import run as export
from seepseg.export.parity import Parity
from seepseg.export.run import Wanted, export_run
from seepseg.export.stac import SCHEMA
from seepseg.runs.checkpoint import Checkpoint, save_checkpoint
from seepseg.runs.folder import RunFolder, folder_lock
from seepseg.splits.make import make_splits
from tests.export.models import LIMITS, checkpoint_of
from tests.export.test_graph import FIT
from tests.inference.test_scene_objects import asks

MakeRun = Callable[..., Path]
WEIGHTS_ONLY = Wanted(formats=("safetensors",))


@pytest.fixture
def make_run(seep_root: Path, tmp_path: Path) -> MakeRun:
    """Makes the folder of a run on synthetic tiles of 64 pixels, as training leaves it; gives its checkpoint."""

    def make(name: str = "run", change: Callable[[Checkpoint], Checkpoint] = lambda c: c, **data: Any) -> Path:
        checkpoint = checkpoint_of(**{"root": str(seep_root), "split": {"val_fraction": 0.25}} | data)
        folder, config = RunFolder(tmp_path / name), checkpoint.config
        if Path(config.data.root).is_dir():
            source = source_of(config.data)
            folder.write_splits(make_splits(with_counts(source, source.catalog()), config.data.split, 0))
        save_checkpoint(folder.best, change(checkpoint))
        return folder.best

    return make


def item_of(folder: Path) -> dict[str, Any]:
    item: dict[str, Any] = json.loads((folder / "stac-mlm.json").read_text())
    return item


def assert_valid(item: dict[str, Any]) -> None:
    """By the schema of STAC items that pystac ships, and by the models of the extension."""
    validator = JsonSchemaSTACValidator()
    validator.validate_core(item, pystac.STACObjectType.ITEM, "1.1.0")
    assert SCHEMA == SCHEMA_URI
    assert SCHEMA in item["stac_extensions"]
    fields = {key: value for key, value in item["properties"].items() if key.startswith("mlm:")}
    known = {field.alias for field in MLModelProperties.model_fields.values()}
    assert fields.keys() <= known  # they ignore others, which the schema forbids
    MLModelProperties(**fields)
    models = [asset for asset in item["assets"].values() if "mlm:model" in asset["roles"]]
    assert models
    assert all(asset["mlm:artifact_type"] for asset in models)


def test_a_folder_holds_all_that_others_need(make_run: MakeRun, tmp_path: Path) -> None:
    path = make_run()
    scores = {"n_tiles": 36, "macro": {"dice": 0.25, "iou": 0.2}, "foreground": {"dice": 0.5, "iou": 0.333},
              "classes": [{"value": 1, "name": "seep 1", "dice": 0.5, "iou": 0.333, "support_pixels": 12},
                          {"value": 2, "name": "seep 2", "dice": None, "iou": None, "support_pixels": 0}],
              "intervals": {"dice/1": {"low": 0.4, "high": 0.6}, "dice/2": {"low": None, "high": None},
                            "surface_dice": {"low": 0.6, "high": 0.8}},
              "surface_dice": {"2 px": 0.7}, "objects": {"f1_iou25": 0.5, "class_f1": None}}  # fmt: skip
    folder = RunFolder(tmp_path / "run").eval("val")
    folder.mkdir(parents=True)
    (folder / "metrics.json").write_text(json.dumps(scores))
    out = tmp_path / "out"
    done = export_run([path], tmp_path / "run", out, Wanted(licence="CC-BY-4.0"))
    assert sorted(p.name for p in out.iterdir()) == sorted(done.files)
    assert done.size == (64, 64)
    assert done.parity
    assert done.parity.holds
    assert done.parity.tiles == 36
    sums = dict(reversed(line.split("  ")) for line in (out / "SHA256SUMS").read_text().splitlines())
    assert sums == {n: hashlib.sha256((out / n).read_bytes()).hexdigest() for n in done.files if n != "SHA256SUMS"}
    card = (out / "MODEL_CARD.md").read_text()
    assert card.startswith("---\nlicense: CC-BY-4.0\n")
    assert "| seep 1 | 0.500 | 0.400–0.600 | 0.333 | 12 |" in card
    assert "| seep 2 | n/a | n/a | n/a | 0 |" in card
    assert "another date at a known place" in card
    assert "Outlines and objects: surface Dice at 2 px 0.700 (0.600–0.800), object F1 at IoU ≥ .25 0.500." in card
    assert "single networks" not in card
    assert "- val: tiles 36, scenes 1." in card
    assert str(done.parity) in card
    item = item_of(out)
    assert_valid(item)
    assert item["assets"]["model.onnx"]["file:checksum"] == f"1220{sums['model.onnx']}"
    assert item["properties"]["license"] == "CC-BY-4.0"
    table = item["properties"]["mlm:output"][0]["classification:classes"]
    assert [(c["value"], c["name"]) for c in table] == [(0, "background"), *((k, f"seep_{k}") for k in range(1, 8))]
    loaded = torch.export.load(out / "model.pt2").module()
    probabilities, classes = loaded(torch.full((3, 1, 64, 64), 20_000.0))
    assert (probabilities.shape, classes.shape) == ((3, 8, 64, 64), (3, 64, 64))


def test_what_stays_behind_is_said(make_run: MakeRun, tmp_path: Path) -> None:
    def change(checkpoint: Checkpoint) -> Checkpoint:
        decoding = replace(FIT, min_pixels=40).to_plain()
        return replace(
            checkpoint, decoding=decoding, objects=asks("log_area", 1, 1, 0, len(checkpoint.classes)).to_plain()
        )

    path = make_run(change=change, scaling={"basis": "scene", "local": 9}, nodata="auto")
    done = export_run([path], tmp_path / "run", tmp_path / "out", WEIGHTS_ONLY)
    card = (tmp_path / "out" / "MODEL_CARD.md").read_text()
    for words in (
        "classifier of whole objects", "fitted minimum size: objects of fewer than 40 pixels", "limits of each scene",
        "no-data tags of files", "surroundings (9 pixels)", "blending of overlapping windows",
    ):  # fmt: skip
        assert any(words in line for line in done.contract.left_out), words
        assert words in card
    assert "percentiles 0.5 and 99.5" in done.contract.limits
    assert "Not compared: nothing was exported that runs." in card
    assert "Not evaluated" in card
    item = item_of(tmp_path / "out")
    assert_valid(item)
    assert [i["name"] for i in item["properties"]["mlm:input"]] == ["image", "limits"]


def test_limits_and_the_plugin(make_run: MakeRun, tmp_path: Path) -> None:
    path, root = make_run(scaling={"basis": "scene"}), tmp_path / "run"
    plugin = Wanted(formats=("onnx",), deepness=True, size=32, pixel_size=10)
    with pytest.raises(ConfigError, match=r"limits of its own.*") as caught:
        export_run([path], root, tmp_path / "out", plugin)
    assert "--limits LOW HIGH: percentiles 0.5 and 99.5" in str(caught.value)
    done = export_run([path], root, tmp_path / "out", replace(plugin, limits=LIMITS))
    assert "deepness.onnx" in done.files
    assert "model.onnx" not in done.files
    assert done.size == (32, 32)
    assert done.parity
    assert done.parity.holds
    assert any("1000 to 50000" in line for line in done.contract.left_out)
    assert len(item_of(tmp_path / "out")["properties"]["mlm:output"]) == 1


@pytest.mark.parametrize(
    ("data", "limits", "words"),
    [
        ({}, LIMITS, "does not scale by scene"),
        ({"root": "gone", "scaling": {"basis": "scene"}, "bands": [1, 2]}, LIMITS, "given for 1 of 2 bands"),
        ({"scaling": {"basis": "scene"}}, ((2.0,), (1.0,)), "LOW is not below HIGH"),
    ],
)
def test_limits_that_do_not_fit_are_refused(
    data: dict[str, Any], limits: Any, words: str, make_run: MakeRun, tmp_path: Path
) -> None:
    path = make_run(**data)
    with pytest.raises(ConfigError, match=words):
        export_run([path], tmp_path / "run", tmp_path / "out", replace(WEIGHTS_ONLY, limits=limits))
    assert not (tmp_path / "out").exists()


def test_a_folder_that_holds_something_is_left_alone(make_run: MakeRun, tmp_path: Path) -> None:
    path, out = make_run(), tmp_path / "out"
    out.mkdir()
    (out / "notes.txt").write_text("mine")
    (out / "model.onnx").write_text("old")
    with pytest.raises(ConfigError, match="is not empty"):
        export_run([path], tmp_path / "run", out, WEIGHTS_ONLY)
    assert (out / "model.onnx").read_text() == "old"
    with folder_lock(out), pytest.raises(LockedError):
        export_run([path], tmp_path / "run", out, replace(WEIGHTS_ONLY, overwrite=True))
    done = export_run([path], tmp_path / "run", out, replace(WEIGHTS_ONLY, overwrite=True))
    assert not (out / ".lock").exists()
    assert sorted(p.name for p in out.iterdir()) == sorted([*done.files, "notes.txt"])


def test_an_export_that_fails_has_no_sums(make_run: MakeRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, out = make_run(), tmp_path / "out"
    export_run([path], tmp_path / "run", out, WEIGHTS_ONLY)

    def fail(*arguments: object) -> str:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(export, "card_text", fail)
    with pytest.raises(OSError, match="No space"):
        export_run([path], tmp_path / "run", out, replace(WEIGHTS_ONLY, overwrite=True))
    assert not (out / "SHA256SUMS").exists()
    assert not list(out.glob(".seepseg-*"))


def test_without_data_nothing_is_compared(make_run: MakeRun, tmp_path: Path) -> None:
    path, root = make_run(root=str(tmp_path / "gone")), tmp_path / "run"
    done = export_run([path], root, tmp_path / "out", replace(WEIGHTS_ONLY, formats=("torch",), size=48))
    assert done.parity is None
    assert done.size == (48, 48)
    assert "Not compared" in done.checked
    assert "gone" in done.checked
    with pytest.raises(DataError):
        export_run([path], root, tmp_path / "other", replace(WEIGHTS_ONLY, check=tmp_path / "nowhere"))


def test_tiles_of_another_size_are_cut_or_filled(make_run: MakeRun, seep_root: Path, tmp_path: Path) -> None:
    path = make_run(root=str(tmp_path / "gone"))
    for size in (40, 80):
        wanted = Wanted(formats=("torch",), size=size, check=seep_root, overwrite=True)
        done = export_run([path], tmp_path / "run", tmp_path / "out", wanted)
        assert done.size == (size, size)
        assert done.parity
        assert done.parity.holds
        assert done.parity.pixels <= done.parity.tiles * min(size, 64) ** 2


def test_networks_that_do_not_go_together_are_refused(make_run: MakeRun, tmp_path: Path) -> None:
    paths = [make_run("one"), make_run("two", nodata=7)]
    with pytest.raises(ConfigError, match="differ between folds"):
        export_run(paths, tmp_path, tmp_path / "out", WEIGHTS_ONLY)
    paths = [make_run("one"), make_run("two", scaling={"basis": "tile"})]
    with pytest.raises(ConfigError, match=r"data\.scaling differs"):
        export_run(paths, tmp_path, tmp_path / "out", WEIGHTS_ONLY)


def test_a_missing_package_is_named(make_run: MakeRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, found = make_run(), importlib.import_module

    def without(name: str, package: str | None = None) -> Any:
        if name == "safetensors.torch":
            raise ModuleNotFoundError("No module named 'safetensors'", name="safetensors")
        return found(name, package)

    monkeypatch.setattr(importlib, "import_module", without)
    with pytest.raises(ConfigError, match="the package safetensors is missing") as caught:
        export_run([path], tmp_path / "run", tmp_path / "out", WEIGHTS_ONLY)
    assert "pip install 'seepseg[export]'" in str(caught.value)


@pytest.mark.parametrize("formats", [("safetensors",), ("onnx", "torch")])
def test_the_plugin_takes_onnx_alone(formats: tuple[str, ...], make_run: MakeRun, tmp_path: Path) -> None:
    path = make_run()
    with pytest.raises(ConfigError, match="the plugin reads ONNX"):
        export_run([path], tmp_path / "run", tmp_path / "out", Wanted(formats, deepness=True))


def test_damaged_scores_are_an_error(make_run: MakeRun, tmp_path: Path) -> None:
    path = make_run()
    for text in ("{", "[]", '{"n_tiles": 3}'):
        where = RunFolder(tmp_path / "run").eval("val") / "metrics.json"
        where.parent.mkdir(parents=True, exist_ok=True)
        where.write_text(text)
        with pytest.raises(DataError, match="is no table of scores"):
            export_run([path], tmp_path / "run", tmp_path / "out", replace(WEIGHTS_ONLY, overwrite=True))


def test_a_damaged_checkpoint_is_an_error(make_run: MakeRun, tmp_path: Path) -> None:
    path = make_run()
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(CheckpointError):
        export_run([path], tmp_path / "run", tmp_path / "out", WEIGHTS_ONLY)


def test_a_run_is_never_overwritten(make_run: MakeRun, tmp_path: Path) -> None:
    path, root = make_run(), tmp_path / "run"
    (root / "config.yaml").write_text("mine")
    for out in (root, tmp_path / "folds"):
        RunFolder(tmp_path / "folds" / "fold_0").last.parent.mkdir(parents=True, exist_ok=True)
        with pytest.raises(ConfigError, match="is a run"):
            export_run([path], root, out, replace(WEIGHTS_ONLY, overwrite=True))
    assert (root / "config.yaml").read_text() == "mine"


def test_the_worst_graph_counts(make_run: MakeRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # One changes a pixel of a million, which is few enough; the other a probability by more than 1e-4.
    answers = iter([Parity(4, 10**6, 5e-5, 1), Parity(4, 10**6, 1e-3, 0)])
    monkeypatch.setattr(export, "compare", lambda *arguments: next(answers))
    done = export_run([make_run()], tmp_path / "run", tmp_path / "out", Wanted(formats=("onnx", "torch")))
    assert done.parity == Parity(4, 10**6, 1e-3, 1)
    assert not done.parity.holds


def test_the_card_of_an_export_without_data_has_no_folders(make_run: MakeRun, tmp_path: Path) -> None:
    path = make_run(root=str(tmp_path / "gone"))
    export_run([path], tmp_path / "run", tmp_path / "out", Wanted(formats=("torch",), size=32))
    card = (tmp_path / "out" / "MODEL_CARD.md").read_text()
    assert "(data folder gone)" in card
    assert str(tmp_path) not in card


def test_weights_beyond_an_onnx_file_are_refused(
    make_run: MakeRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = make_run()
    monkeypatch.setattr(export, "MOST_ONNX", 1000)
    with pytest.raises(ConfigError, match=r"less than 2 GB.*--each"):
        export_run([path], tmp_path / "run", tmp_path / "out", Wanted(formats=("onnx",)))
    assert not (tmp_path / "out").exists()


def test_the_card_says_whose_the_scores_out_of_fold_are(make_run: MakeRun, tmp_path: Path) -> None:
    path = make_run()
    folder = RunFolder(tmp_path / "run").eval("oof")
    folder.mkdir(parents=True)
    none = {"dice": None, "iou": None}
    (folder / "metrics.json").write_text(
        json.dumps({"n_tiles": 36, "macro": none, "foreground": none, "classes": [], "tgs_score": None})
    )
    export_run([path, path], tmp_path / "run", tmp_path / "out", WEIGHTS_ONLY)
    card = (tmp_path / "out" / "MODEL_CARD.md").read_text()
    assert "oof, 36 tiles:" in card
    assert "are of single networks, each on tiles it has not seen. This model is their mean" in card
