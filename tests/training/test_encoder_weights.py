"""`model.encoder_weights` from the start of a run to its resumption."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from seepseg.config import Config, parse
from seepseg.errors import ConfigError
from seepseg.inference.predictor import load_predictor
from seepseg.models.resnet import resnet_encoder
from seepseg.runs.checkpoint import load_checkpoint
from seepseg.runs.folder import RunFolder
from seepseg.synthetic import write_seep
from seepseg.training.run import train


def recipe(root: Path, weights: Path) -> Config:
    split = {"val_fraction": 0.5, "allow_missing_classes": True}
    tree = {
        "data": {"source": "seep", "root": str(root), "classes": "seep_binary", "split": split},
        "model": {"name": "resunet_scse", "head": "binary", "decoder": 8, "encoder_weights": str(weights)},
        "loss": "bce",
        # So small a rate that the weights stay what they were.
        "optim": {"name": "sgd", "lr": 1e-9},
        "train": {"epochs": 1, "batch_size": 4, "panels_every": 0, "ema_decay": None},
        "runtime": {"device": "cpu", "amp": "off", "threads": 1},
    }
    return parse(tree, "test")


def test_weights_are_read_once_told_once_and_never_needed_again(tmp_path: Path) -> None:
    write_seep(tmp_path / "data", scenes=2, grid=(2, 2), tile=32, seed=1)
    expected = resnet_encoder("resnet34", 3, 1.0).state_dict()
    torch.save(expected | {"fc.weight": torch.zeros(1000, 512), "fc.bias": torch.zeros(1000)}, tmp_path / "w.pth")
    folder, lines = RunFolder(tmp_path / "run"), []
    train(recipe(tmp_path / "data", tmp_path / "w.pth"), folder, echo=lines.append)
    assert [line for line in lines if "encoder weights" in line] == [
        f"encoder weights {tmp_path / 'w.pth'}: 216 of 216 tensors filled; conv1.weight folded from RGB; "
        "not used: fc.weight, fc.bias"
    ]
    kept = load_checkpoint(folder.last).weights["network.encoder.layer3.2.conv1.weight"]
    torch.testing.assert_close(kept, expected["layer3.2.conv1.weight"], rtol=0, atol=1e-6)

    (tmp_path / "w.pth").unlink()
    lines.clear()
    train(recipe(tmp_path / "data", tmp_path / "w.pth"), folder, resume=True, echo=lines.append)
    assert not any("encoder weights" in line for line in lines)
    again = load_checkpoint(folder.last)
    predictor = load_predictor(again, again.config.runtime, "none", folder.last)
    assert predictor.logits(torch.zeros(1, 1, 32, 32)).isfinite().all()


def test_a_wrong_path_leaves_no_folder_behind(tmp_path: Path) -> None:
    write_seep(tmp_path / "data", scenes=2, grid=(2, 2), tile=32, seed=1)
    with pytest.raises(ConfigError, match=r"cannot be read .* in model\.encoder_weights .*none\.pth"):
        train(recipe(tmp_path / "data", tmp_path / "none.pth"), RunFolder(tmp_path / "run"))
    assert not (tmp_path / "run" / "config.yaml").exists()
