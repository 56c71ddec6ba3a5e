"""The Deepness plugin of QGIS: what its code reads of a file, and what it makes of the outputs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
import torch
from numpy.typing import NDArray

from seepseg.config import Head
from seepseg.export.deepness import deepness_metadata
from seepseg.export.graph import Form
from seepseg.export.onnx_file import traced, write_onnx
from seepseg.inference.decode import decode
from seepseg.inference.stream import mean_probabilities
from tests.export.models import SIDE, checkpoint_of, graph_of, images, members_of


class Plugin:
    """Does with a file what the plugin does (its ModelBase, Segmentor and MapProcessorSegmentation)."""

    def __init__(self, path: Path) -> None:
        self.session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
        self.inputs, self.outputs = self.session.get_inputs(), self.session.get_outputs()
        self.metadata = self.session.get_modelmeta().custom_metadata_map
        assert len(self.inputs) == len(self.outputs) == 1
        shape = self.outputs[0].shape
        assert len(shape) == 4
        assert shape[2] == shape[3]

    def value(self, key: str) -> Any:
        return json.loads(self.metadata[key])

    def class_names(self) -> list[str]:
        by_key = sorted(self.value("class_names").items(), key=lambda item: int(item[0]))
        assert [int(key) for key, _ in by_key] == list(range(len(by_key)))
        return [name for _, name in by_key]

    def classes(self, tiles: NDArray[np.uint16]) -> NDArray[np.intp]:
        """Of tiles (N, H, W, C) as the raster has them."""
        batch = np.float32(tiles * 1.0 / 255.0).transpose(0, 3, 1, 2)
        answer = self.session.run(None, {self.inputs[0].name: batch})[0]
        np.testing.assert_allclose(answer.sum(1), 1, atol=1e-5)
        answer[answer < float(self.value("seg_thresh"))] = 0
        return np.asarray(answer.argmax(1))


def exported(path: Path, head: Head, threshold: float | None) -> Any:
    checkpoint = checkpoint_of(head=head, scaling={"local": 17})
    graph = graph_of(checkpoint, form=Form((SIDE, SIDE), deepness=True, pixel_size=12.5), threshold=threshold)
    write_onnx(traced(graph, 1), path, deepness_metadata(checkpoint.classes.names, graph.form, 0.125))
    return checkpoint


@pytest.mark.parametrize(("head", "threshold"), [("softmax", None), ("sigmoid", 0.4)])
def test_the_plugin_draws_the_classes_of_predict(head: Head, threshold: float | None, tmp_path: Path) -> None:
    checkpoint = exported(tmp_path / "deepness.onnx", head, threshold)
    plugin, rows = Plugin(tmp_path / "deepness.onnx"), images()
    config = checkpoint.config.predict.model_copy(update={"threshold": threshold, "min_pixels": 0})
    mean = torch.cat([mean_probabilities(members_of(checkpoint), [r]) for r in rows])
    expected = decode(mean, torch.from_numpy(np.stack([r.valid for r in rows])), config)
    given = plugin.classes(np.stack([r.raw for r in rows]).transpose(0, 2, 3, 1).astype(np.uint16))
    # The plugin knows no 255: where there is no data it draws background.
    assert np.array_equal(given, np.where(expected == 255, 0, expected))
    assert len(np.unique(given)) > 2


def test_the_plugin_reads_its_metadata(tmp_path: Path) -> None:
    exported(tmp_path / "deepness.onnx", "softmax", None)
    plugin = Plugin(tmp_path / "deepness.onnx")
    assert str(plugin.value("model_type")).capitalize() == "Segmentor"
    assert plugin.class_names() == ["background", *(f"seep {k}" for k in range(1, 8))]
    assert float(plugin.value("resolution")) == 1250  # centimetres
    assert int(plugin.value("tile_size")) == int(plugin.value("tiles_size")) == plugin.inputs[0].shape[-1] == SIDE
    assert int(plugin.value("tiles_overlap")) == 12  # per cent
    assert plugin.value("seg_thresh") == 0
    assert plugin.value("seg_small_segment") == 0
    assert isinstance(plugin.inputs[0].shape[0], str)  # which it takes for "as many as the user likes"


def test_a_resolution_that_is_not_known_is_left_to_the_user() -> None:
    assert "resolution" not in deepness_metadata(["background", "oil"], Form((64, 64), deepness=True), 0.1)
