"""Weights and what they belong to, written and read back."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from seepseg.classes import ClassTable, SegClass
from seepseg.errors import CheckpointError
from seepseg.export.parity import compare
from seepseg.export.weights import CONFIG, WEIGHTS, read_weights, write_config, write_weights
from seepseg.runs.fit import Fit
from tests.export.models import checkpoint_of, graph_of, images, members_of, sample_of
from tests.export.test_graph import FIT, eager


def written(folder: Path, *checkpoints: object) -> None:
    write_weights(checkpoints, folder)  # type: ignore[arg-type]
    write_config(checkpoints, folder)  # type: ignore[arg-type]


def test_what_is_read_back_gives_the_same(tmp_path: Path) -> None:
    fitted = FIT.to_plain() | {"tiles": ["045562.1"]}
    both = [replace(checkpoint_of(seed=seed), decoding=fitted, epoch=3 + seed) for seed in (1, 2)]
    written(tmp_path, *both)
    again = read_weights(tmp_path)
    assert [c.epoch for c in again] == [4, 5]
    for before, after in zip(both, again, strict=True):
        assert (after.config, after.classes, after.scaling) == (before.config, before.classes, before.scaling)
        assert Fit.from_plain(after.decoding) == FIT
        assert after.weights.keys() == before.weights.keys()
        assert all(torch.equal(after.weights[name], tensor) for name, tensor in before.weights.items())
    graph = graph_of(*again)
    parity = compare(eager(graph), graph, members_of(*both), sample_of(images()), both[0].config.predict, None)
    assert parity.changed == 0


def test_averaged_weights_are_those_that_are_exported(tmp_path: Path) -> None:
    checkpoint = checkpoint_of()
    averaged = {name: tensor + 1 for name, tensor in checkpoint.weights.items()}
    written(tmp_path, replace(checkpoint, ema=averaged))
    weights = read_weights(tmp_path)[0].weights
    assert all(torch.equal(weights[name], tensor) for name, tensor in averaged.items())


def test_folders_and_tiles_stay_private(tmp_path: Path) -> None:
    checkpoint = checkpoint_of(root="/home/somebody/secret project/seep", scenes="/home/somebody/dates.csv")
    decoding = FIT.to_plain() | {"tiles": ["somewhere.17"]}
    written(tmp_path, replace(checkpoint, decoding=decoding))
    text = (tmp_path / CONFIG).read_text()
    assert "somebody" not in text
    assert "somewhere" not in text
    assert read_weights(tmp_path)[0].config.data.root == Path("seep")


def test_names_that_look_like_numbers_stay_names(tmp_path: Path) -> None:
    classes = ClassTable(
        (SegClass("1e5", (3, 4), "#E69F00"), SegClass("045562", (7,), "#56B4E9", None)), (0, 9), (255,)
    )
    written(tmp_path, replace(checkpoint_of(), classes=classes))
    assert read_weights(tmp_path)[0].classes == classes


@pytest.mark.parametrize("name", [CONFIG, WEIGHTS])
def test_a_file_that_is_missing_or_damaged_is_an_error(name: str, tmp_path: Path) -> None:
    written(tmp_path, checkpoint_of())
    (tmp_path / name).write_bytes(b"\0\1 nothing")
    with pytest.raises(CheckpointError, match="not an export with weights"):
        read_weights(tmp_path)
    (tmp_path / name).unlink()
    with pytest.raises(CheckpointError, match="not an export with weights"):
        read_weights(tmp_path)


def test_a_folder_may_be_text(tmp_path: Path) -> None:
    written(tmp_path, checkpoint_of())
    assert [c.classes for c in read_weights(str(tmp_path))] == [checkpoint_of().classes]
