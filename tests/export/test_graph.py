"""Graphs against `predict`, in torch: scaling, heads, decoding, no data."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from seepseg.export.graph import Form, Graph
from seepseg.export.parity import compare, graph_input
from seepseg.inference.stream import Rows
from seepseg.runs.fit import Fit
from tests.export.models import LIMITS, SIDE, checkpoint_of, graph_of, images, members_of, sample_of

HEADS = ("softmax", "sigmoid", "binary", "two_head")
FIT = Fit("softmax", 1.7, 0.3, (0.5, -0.2, 0.0, 0.3, 0.0, 0.0, -0.4), 0, "val", ())


def eager(graph: Graph) -> Any:
    def run(pixels: NDArray[np.float32], limits: NDArray[np.float32] | None) -> tuple[NDArray[Any], ...]:
        with torch.no_grad():
            arguments = [torch.from_numpy(a) for a in (pixels, limits) if a is not None]
            return tuple(output.numpy() for output in graph(*arguments))

    return run


def assert_like_predict(graph: Graph, *checkpoints: Any, rows: list[Rows], **more: Any) -> None:
    first, limits = checkpoints[0], more.get("limits")
    config = first.config.predict.model_copy(update={"threshold": graph.threshold})
    parity = compare(eager(graph), graph, members_of(*checkpoints), sample_of(rows, limits), config, graph.fit)
    assert parity.pixels == sum(int(r.valid.sum()) for r in rows)
    assert (parity.changed, parity.difference < 5e-6) == (0, True), parity


@pytest.mark.parametrize(
    "scaling",
    [
        {},
        {"standardise": False},
        {"local": 17},
        {"local": 201},  # wider than the image
        {"basis": "tile", "range": [2, 98]},
        {"basis": "scene"},
        {"basis": "scene", "local": 9},
    ],
)
def test_pixels_are_scaled_as_in_prediction(scaling: dict[str, Any]) -> None:
    checkpoint = checkpoint_of(scaling=scaling, bands=[1, 2])
    graph = graph_of(checkpoint)
    assert graph.takes_limits == (scaling.get("basis") == "scene")
    limits = ((900.0, 2000.0), (40_000.0, 30_000.0)) if graph.takes_limits else None
    assert_like_predict(graph, checkpoint, rows=images(bands=2), limits=limits)


def test_an_image_without_any_data_is_no_data() -> None:
    for scaling in ({}, {"local": 9}, {"basis": "tile"}):
        graph = graph_of(checkpoint_of(scaling=scaling))
        probabilities, classes = graph(torch.zeros(1, 1, SIDE, SIDE))
        assert bool(probabilities.isfinite().all())
        assert bool((classes == 255).all())


def test_linear_backscatter_becomes_decibels() -> None:
    checkpoint = checkpoint_of(scaling={"kind": "linear"}, nodata=None)
    # 10·log10: from −30 dB, which is 0.001, to 0 dB, which is 1
    checkpoint = replace(
        checkpoint, scaling=replace(checkpoint.scaling, limits=((-30.0,), (0.0,)), dtypes=("float32",))
    )
    rows = [Rows((r.raw / np.float32(30_000)).astype(np.float32), np.ones_like(r.valid)) for r in images()]
    rows[2].raw[0, :4] = -1  # below all that a logarithm takes
    assert_like_predict(graph_of(checkpoint), checkpoint, rows=rows)


@pytest.mark.parametrize("threshold", [None, 0.3])
@pytest.mark.parametrize("head", HEADS)
@pytest.mark.parametrize("deepness", [False, True])
def test_heads_and_thresholds_are_those_of_prediction(head: str, threshold: float | None, deepness: bool) -> None:
    checkpoint = checkpoint_of(head=head)
    graph = graph_of(checkpoint, form=Form((SIDE, SIDE), deepness=deepness), threshold=threshold)
    assert_like_predict(graph, checkpoint, rows=images())


@pytest.mark.parametrize("deepness", [False, True])
def test_a_fit_is_in_the_graph(deepness: bool) -> None:
    checkpoint = checkpoint_of()
    graph = graph_of(checkpoint, form=Form((SIDE, SIDE), deepness=deepness), threshold=FIT.threshold, fit=FIT)
    assert_like_predict(graph, checkpoint, rows=images())


def test_networks_are_averaged() -> None:
    both = checkpoint_of(seed=1), checkpoint_of(seed=2)
    assert_like_predict(graph_of(*both), *both, rows=images())
    pixels = torch.from_numpy(graph_input(images()[0], graph_of(both[0])))[None]
    with torch.no_grad():
        one, two, mean = (graph_of(*c)(pixels)[0] for c in ((both[0],), (both[1],), both))
    assert (one - two).abs().max() > 0.01
    torch.testing.assert_close(mean, (one + two) / 2)


def test_no_data_is_not_a_number_or_has_the_value() -> None:
    rows = images()[1]
    for nodata, expected in ((0.0, rows.valid), (None, np.ones_like(rows.valid))):
        graph = graph_of(checkpoint_of(nodata=nodata))
        image = rows.raw.astype(np.float32)
        image[0, 7, 9] = np.nan
        _, classes = graph(torch.from_numpy(image)[None])
        expected = expected.copy()
        expected[7, 9] = False
        assert np.array_equal(classes[0].numpy() != 255, expected)


def test_limits_may_be_those_of_all_images() -> None:
    checkpoint = checkpoint_of(scaling={"basis": "scene"})
    graph = graph_of(checkpoint, form=Form((SIDE, SIDE), LIMITS))
    assert not graph.takes_limits
    assert_like_predict(graph, checkpoint, rows=images())


def test_whole_numbers_survive_the_division_by_255() -> None:
    graph = graph_of(checkpoint_of(nodata=65535.0), form=Form((SIDE, SIDE), deepness=True))
    # Every uint16 number; 48·48 of them at a time.
    numbers = np.resize(np.arange(65536, dtype=np.uint16), (29, 1, SIDE, SIDE))
    divided = torch.from_numpy(np.float32(numbers * 1.0 / 255.0))
    assert not np.array_equal((divided * 255).numpy(), numbers.astype(np.float32))
    seen = list[torch.Tensor]()
    graph.members[0].register_forward_pre_hook(lambda module, arguments: seen.extend(arguments[:2]))
    graph(divided)
    assert np.array_equal(seen[0].numpy(), numbers.astype(np.float32))
    assert np.array_equal(seen[1].numpy(), numbers != 65535)


@pytest.mark.parametrize("nodata", [-32767.0, 32767.0, -9999.0])
def test_no_data_among_floats_survives_the_division_by_255(nodata: float) -> None:
    graph = graph_of(checkpoint_of(nodata=nodata), form=Form((SIDE, SIDE), deepness=True))
    image = np.full((1, 1, SIDE, SIDE), nodata + 1, np.float32)
    image[..., :9] = nodata
    seen = list[torch.Tensor]()
    graph.members[0].register_forward_pre_hook(lambda module, arguments: seen.extend(arguments[:2]))
    graph.whole_numbers = False
    graph(torch.from_numpy(image / 255))
    assert np.array_equal(seen[1].numpy(), image != nodata)


def test_shares_by_hand() -> None:
    mean = torch.tensor([0.6, 0.3, 0.1])[None, :, None, None]
    valid = torch.tensor([[[[True]]]])

    def shares(**decoding: Any) -> list[float]:
        graph = graph_of(checkpoint_of(), form=Form((SIDE, SIDE), deepness=True), **decoding)
        return [round(float(x), 4) for x in graph.shares(mean, mean, valid).flatten()]

    assert shares() == [0.6, 0.3, 0.1]
    # Odds of foreground .4/.6 · .7/.3 = 1.5556, so 1.5556/2.5556 = .6087, all of it for the better class.
    assert shares(threshold=0.3) == [0.3913, 0.6087, 0.0]
    # .4/.6 · .5/.5 = .6667, so .4: below its threshold, background has the largest share.
    assert shares(threshold=0.5) == [0.6, 0.4, 0.0]
    # ln 4 makes .1 count as .4, more than .3.
    offsets = Fit("softmax", 1.0, 0.3, (0.0, float(np.log(4))), 0, "val", ())
    assert shares(threshold=0.3, fit=offsets) == [0.3913, 0.0, 0.6087]
    # Independent channels are brought to a sum of one: .7, .3 and .4 over 1.4.
    mean = torch.tensor([0.7, 0.3, 0.4])[None, :, None, None]
    assert shares() == [0.5, 0.2143, 0.2857]
    valid = torch.tensor([[[[False]]]])
    assert shares() == [1.0, 0.0, 0.0]
