from __future__ import annotations

from pathlib import Path

import numpy as np
import onnxruntime
import pytest

from seepseg.config import parse
from seepseg.runs.folder import RunFolder
from seepseg.training.run import train
from tests.command import error, run
from tests.conftest import tiny_config
from tests.network import cut


@pytest.fixture(scope="module")
def folds(seep_root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run with two folds, each after one epoch."""
    root = tmp_path_factory.mktemp("runs") / "folds"
    data = {"source": "seep", "root": str(seep_root), "split": {"folds": 2}}
    for fold in (0, 1):
        config = tiny_config(seep_root, data=data, train={"epochs": 1, "batch_size": 8, "panels_every": 0})
        train(config, RunFolder(root / f"fold_{fold}"), fold=fold, echo=lambda line: None)
    return root


def test_folds_become_one_graph_or_one_each(
    folds: Path, seep_root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with cut() as asked:
        code, out, err = run(capsys, "export", folds, "-o", tmp_path / "mean", "--format", "onnx")
        assert asked() == []
    assert (code, err) == (0, "")
    lines = out.splitlines()
    assert lines[0].startswith("written: ")
    assert "model.onnx" in lines[0]
    assert "model.pt2" not in lines[0]
    assert lines[1] == "images: (N, 1, 64, 64), the files' own numbers (in training uint16); no data: NaN or 0"
    assert sum(line.startswith("not in it: ") for line in lines) == 2
    assert lines[-1].startswith("like `seepseg predict`? Compared on ")
    code, out, _ = run(capsys, "export", folds, "-o", tmp_path / "each", "--format", "onnx", "--each")
    assert code == 0
    assert out.count("written: ") == 2
    images = np.full((1, 1, 64, 64), 20_000, np.float32) + np.arange(64, dtype=np.float32) * 300
    files = [tmp_path / "mean", tmp_path / "each" / "fold_0", tmp_path / "each" / "fold_1"]
    mean, one, two = (
        onnxruntime.InferenceSession(f / "model.onnx", providers=["CPUExecutionProvider"]).run(None, {"image": images})[
            0
        ]
        for f in files
    )
    assert np.abs(one - two).max() > 1e-4
    np.testing.assert_allclose(mean, (one + two) / 2, atol=1e-6)


def test_one_fold_and_a_file_are_exported_as_a_run_is(
    folds: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, words in (("fold", (folds, "--fold", 1)), ("file", (folds / "fold_1" / "checkpoints" / "last.pt",))):
        code, _, err = run(capsys, "export", *words, "-o", tmp_path / name, "--format", "safetensors")
        assert code == 0, err
    one, other = ((tmp_path / name / "model.safetensors").read_bytes() for name in ("fold", "file"))
    assert one == other
    assert "- val: tiles" in (tmp_path / "fold" / "MODEL_CARD.md").read_text()


def test_what_cannot_be_exported(folds: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = ("-o", tmp_path / "out")
    for words, part in (
        ((folds, *out, "--each", "--fold", 1), "both name folds"),
        ((folds / "fold_0", *out, "--each"), "has no folds"),
        ((tmp_path, *out), "no checkpoint"),
        ((folds, *out, "--limits", 1, 2), "does not scale by scene"),
    ):
        code, line = error(capsys, "export", *words)
        assert code == 2
        assert part in line
    code, line = error(capsys, "export", folds, *out, "--check", tmp_path / "nowhere")
    assert code == 3
    assert not (tmp_path / "out").exists()


def test_a_graph_that_differs_ends_with_4(
    folds: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("seepseg.export.parity.DIFFERENCE", -1.0)
    code, line = error(capsys, "export", folds, "-o", tmp_path / "out", "--format", "torch")
    assert code == 4
    assert line.startswith("the graph differs from `seepseg predict` in ")
    assert (tmp_path / "out" / "SHA256SUMS").exists()


@pytest.mark.data
def test_real_tiles_are_classified_as_predict_does(
    real_data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tree = {
        "data": {
            "source": "seep", "root": str(real_data / "seep"), "scaling": {"local": 65},
            "split": {
                "val": ["041870"], "test": ["0455*", "041871", "041872", "041873"], "allow_missing_classes": True,
            },
        },
        "model": {"name": "unet", "channels": [8, 16, 32], "num_res_units": 1},
        "train": {"epochs": 1, "batch_size": 8, "panels_every": 0},
        "runtime": {"device": "cpu", "amp": "off", "threads": 1, "compile": "off"},
    }  # fmt: skip
    train(parse(tree, "test"), RunFolder(tmp_path / "run"), echo=lambda line: None)
    code, out, err = run(capsys, "export", tmp_path / "run", "-o", tmp_path / "out", "--format", "onnx")
    assert code == 0, err
    assert "(0)." in out.splitlines()[-1]  # pixels of another class
