"""ONNX files and torch's programs: each network and head as in prediction, for any number of images."""

from __future__ import annotations

from pathlib import Path
from typing import Any, get_args

import numpy as np
import onnx
import pytest

import seepseg
from seepseg.config.network import Model
from seepseg.export.graph import Form
from seepseg.export.onnx_file import OPSET, run_onnx, run_program, traced, write_onnx, write_program
from seepseg.export.parity import CHANGED, DIFFERENCE, compare, graph_input
from tests.export.models import LIMITS, NETWORKS, SIDE, checkpoint_of, graph_of, images, members_of, sample_of

# Each network, each head, each basis of scaling, once.
CASES: dict[str, tuple[str, dict[str, Any], float | None]] = {
    "unet": ("softmax", {"scaling": {"local": 17}}, 0.3),
    "basic_unet": ("sigmoid", {}, None),
    "attention_unet": ("binary", {"scaling": {"basis": "tile"}}, None),
    "segresnet": ("two_head", {"bands": [1, 2]}, 0.4),
    "resunet_scse": ("binary", {"input": {"mode": "pad", "size": [60, 96]}}, 0.5),
    "effunet_scse": ("sigmoid", {"scaling": {"basis": "tile"}}, 0.5),
    "xception_resunet": ("softmax", {"input": {"mode": "resize", "size": [40]}}, None),
    "preact_resunet": ("two_head", {"scaling": {"basis": "scene"}}, None),
    "deeplabv3plus": ("sigmoid", {"nodata": None}, 0.3),
}


def test_every_network_is_tested() -> None:
    names = {node.model_fields["name"].default for node in get_args(get_args(Model)[0])}
    assert names == set(NETWORKS) == set(CASES)
    assert {head for head, _, _ in CASES.values()} == {"softmax", "sigmoid", "binary", "two_head"}


@pytest.mark.parametrize("name", CASES)
def test_networks_give_what_prediction_gives(name: str, tmp_path: Path) -> None:
    head, data, threshold = CASES[name]
    checkpoint = checkpoint_of(name, head, **data)
    graph = graph_of(checkpoint, threshold=threshold)
    program = traced(graph, len(checkpoint.config.data.bands or [1]))
    write_onnx(program, tmp_path / "model.onnx", {"key": '"value"'})
    rows, limits = images(bands=len(data.get("bands", [1]))), LIMITS if graph.takes_limits else None
    config = checkpoint.config.predict.model_copy(update={"threshold": threshold})
    for run in (run_onnx(tmp_path / "model.onnx"), run_program(program)):
        parity = compare(run, graph, members_of(checkpoint), sample_of(rows, limits), config, None)
        assert parity.holds
        assert parity.difference <= DIFFERENCE / 2
        assert parity.changed <= CHANGED * parity.pixels


def test_any_number_of_images_goes_through_at_once(tmp_path: Path) -> None:
    graph = graph_of(checkpoint_of())
    write_onnx(traced(graph, 1), tmp_path / "model.onnx", {})
    run = run_onnx(tmp_path / "model.onnx")
    pixels = np.stack([graph_input(r, graph) for r in images(count=5)])
    together = run(pixels, None)
    assert [a.shape for a in together] == [(5, 8, SIDE, SIDE), (5, SIDE, SIDE)]
    alone = [run(p[None], None) for p in pixels]
    np.testing.assert_allclose(together[0], np.concatenate([a[0] for a in alone]), atol=1e-6)


def test_what_the_file_says(tmp_path: Path) -> None:
    graph = graph_of(checkpoint_of(scaling={"basis": "scene"}))
    program = traced(graph, 1)
    write_onnx(program, tmp_path / "model.onnx", {"key": '"value"'})
    model = onnx.load(tmp_path / "model.onnx")
    assert [(o.domain, o.version) for o in model.opset_import if o.domain == ""] == [("", OPSET)]
    assert {p.key: p.value for p in model.metadata_props} == {"key": '"value"'}
    shapes = {
        v.name: [d.dim_value or d.dim_param for d in v.type.tensor_type.shape.dim]
        for v in (*model.graph.input, *model.graph.output)
    }
    batch = shapes["image"][0]
    assert isinstance(batch, str)
    assert shapes == {
        "image": [batch, 1, SIDE, SIDE],
        "limits": [batch, 2, 1],
        "probabilities": [batch, 8, SIDE, SIDE],
        "classes": [batch, SIDE, SIDE],
    }


def test_files_do_not_say_where_they_were_made(tmp_path: Path) -> None:
    program = traced(graph_of(checkpoint_of(), form=Form((SIDE, SIDE), deepness=True)), 1)
    write_onnx(program, tmp_path / "model.onnx", {})
    write_program(program, tmp_path / "model.pt2")
    for path in tmp_path.iterdir():
        assert str(Path(seepseg.__file__).parent).encode() not in path.read_bytes()
