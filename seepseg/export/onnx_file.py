"""A graph as files of torch.export and ONNX, and an ONNX file run by onnxruntime."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.export import Dim, ExportedProgram

from seepseg.export.extra import needed
from seepseg.export.graph import Graph
from seepseg.io.atomic import atomic_path

OPSET = 18
"""The ONNX operators that files are made of: what onnxruntime has read since 1.14 (February 2023)."""

IR = 8
"""The file format that came with them."""

Run = Callable[[NDArray[np.float32], NDArray[np.float32] | None], tuple[NDArray[Any], ...]]
"""Outputs of raw pixels (N, C, H, W) and, where a graph takes them, limits (N, 2, C)."""


def traced(graph: Graph, bands: int) -> ExportedProgram:
    """The graph as torch.export's program, for any number of images at once."""
    images = torch.rand(2, bands, *graph.form.size)
    batch = {0: Dim("batch")}
    arguments: tuple[torch.Tensor, ...] = (images,)
    if graph.takes_limits:
        arguments = (images, torch.tensor([0.0, 1.0])[None, :, None].repeat(2, 1, bands))
    shapes = tuple(batch for _ in arguments)
    with torch.no_grad(), _quiet():
        program = torch.export.export(graph.eval(), arguments, dynamic_shapes=shapes)
    for node in program.graph.nodes:
        node.meta.pop("stack_trace", None)  # with names of files of this machine
    return program


def write_program(program: ExportedProgram, path: Path) -> None:
    """Write it as torch.export's archive; errors as `io.atomic.write_bytes`."""
    with atomic_path(path) as temporary, _quiet():
        torch.export.save(program, temporary)


def write_onnx(program: ExportedProgram, path: Path, metadata: Mapping[str, str]) -> None:
    """Write it as one ONNX file.

    Raises:
        ConfigError: onnx or onnxscript is not installed.
        ResourceError: the disk is full, or fails.
    """
    onnx = needed("onnx")
    needed("onnxscript")
    outputs = ["probabilities", "classes"][: len(program.graph_signature.user_outputs)]
    with torch.no_grad(), _quiet():
        made = torch.onnx.export(
            program, (), opset_version=OPSET, dynamo=True, external_data=False, verbose=False,
            output_names=outputs,
        )  # fmt: skip
    assert made is not None
    model = made.model_proto
    model.ir_version = IR
    for node in (*model.graph.node, *(node for function in model.functions for node in function.node)):
        del node.metadata_props[:]  # where it comes from in the code
    for key, value in metadata.items():
        entry = model.metadata_props.add()
        entry.key, entry.value = key, value
    onnx.checker.check_model(model)
    with atomic_path(path) as temporary:
        onnx.save(model, temporary)


def run_onnx(path: Path) -> Run:
    """An ONNX file by onnxruntime on the CPU.

    Raises:
        ConfigError: onnxruntime is not installed.
    """
    runtime = needed("onnxruntime")
    options = runtime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    session = runtime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    names = [entry.name for entry in session.get_inputs()]

    def run(images: NDArray[np.float32], limits: NDArray[np.float32] | None) -> tuple[NDArray[Any], ...]:
        return tuple(session.run(None, dict(zip(names, (images, limits), strict=False))))

    return run


def run_program(program: ExportedProgram) -> Run:
    """The same by torch."""
    module = program.module()

    def run(images: NDArray[np.float32], limits: NDArray[np.float32] | None) -> tuple[NDArray[Any], ...]:
        arguments = [torch.from_numpy(a) for a in (images, limits) if a is not None]
        with torch.no_grad():
            return tuple(output.numpy() for output in module(*arguments))

    return run


@contextmanager
def _quiet() -> Iterator[None]:
    """Without what torch's exporters say of themselves."""
    log = logging.getLogger("torch.onnx._internal.exporter._registration")
    level = log.level
    log.setLevel(logging.ERROR)  # "torchvision is not installed"
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", r"`isinstance\(treespec, LeafSpec\)` is deprecated", FutureWarning)
            yield
    finally:
        log.setLevel(level)
