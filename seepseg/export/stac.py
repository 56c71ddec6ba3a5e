"""stac-mlm.json: the model as a STAC item with the Machine Learning Model extension."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

import torch

import seepseg
from seepseg.classes import ClassTable
from seepseg.export.contract import Contract
from seepseg.runs.checkpoint import Checkpoint

SCHEMA = "https://stac-extensions.github.io/mlm/v1.6.0/schema.json"
CLASSIFICATION = "https://stac-extensions.github.io/classification/v2.0.0/schema.json"
FILE = "https://stac-extensions.github.io/file/v2.1.0/schema.json"

KINDS = {
    ".onnx": ("application/octet-stream; framework=onnx", "onnx", ["mlm:model", "mlm:compiled"]),
    ".pt2": ("application/octet-stream; framework=pytorch", "torch.export.save", ["mlm:model", "mlm:compiled"]),
    ".safetensors": ("application/octet-stream; framework=pytorch", "safetensors", ["mlm:model", "mlm:weights"]),
    ".yaml": ("application/yaml", None, ["metadata"]),
    ".md": ("text/markdown", None, ["metadata", "overview"]),
}
"""By suffix: media type, artifact type and roles of a file."""


def stac_item(
    name: str,
    licence: str | None,
    checkpoints: Sequence[Checkpoint],
    contract: Contract,
    size: tuple[int, int],
    files: Mapping[str, tuple[str, int, str]],
) -> str:
    """The item as JSON.

    It has no place and no time: where and when a model may be used is not known from its training.

    Args:
        size: of the images.
        files: name → what it is, bytes, SHA-256.
    """
    classes, config = checkpoints[0].classes, checkpoints[0].config
    parameters = sum(t.numel() for c in checkpoints for t in (c.ema or c.weights).values())
    shape, bands = [-1, len(contract.bands), *size], [{"name": band} for band in contract.bands]
    properties: dict[str, Any] = {
        "datetime": None,
        "start_datetime": "1900-01-01T00:00:00Z",
        "end_datetime": "9999-12-31T23:59:59Z",
        "description": f"Semantic segmentation of {', '.join(classes.names[1:])}, by seepseg {seepseg.__version__}.",
        "license": licence or "other",
        "bands": bands,
        "mlm:name": _slug(name),
        "mlm:architecture": config.model.name,
        "mlm:tasks": ["semantic-segmentation"],
        "mlm:framework": "PyTorch",
        "mlm:framework_version": torch.__version__,
        "mlm:total_parameters": parameters,
        "mlm:pretrained": True,
        "mlm:batch_size_suggestion": config.predict.batch_size,
        "mlm:accelerator": None,
        "mlm:accelerator_constrained": False,
        "mlm:input": [_input("image", contract.pixels, contract.bands, shape, ["batch", "bands", "height", "width"])],
        "mlm:output": _outputs(classes, contract, size),
    }
    if contract.limits:
        limits = _input("limits", contract.limits, (), [-1, 2, len(contract.bands)], ["batch", "limit", "bands"])
        properties["mlm:input"].append(limits)
    item = {
        "type": "Feature",
        "stac_version": "1.1.0",
        "stac_extensions": [SCHEMA, CLASSIFICATION, FILE],
        "id": _slug(name),
        "geometry": None,
        "properties": properties,
        "links": [],
        "assets": {file: _asset(file, *about, bands) for file, about in files.items()},
    }
    return json.dumps(item, indent=1) + "\n"


def _input(name: str, text: str, bands: Sequence[str], shape: list[int], order: list[str]) -> dict[str, Any]:
    return {
        "name": name,
        "description": text,
        "bands": list(bands),
        "input": {"shape": shape, "dim_order": order, "data_type": "float32"},
        # The graph scales and resizes by itself.
        "value_scaling": None,
        "resize_type": None,
        "pre_processing_function": None,
    }


def _outputs(classes: ClassTable, contract: Contract, size: tuple[int, int]) -> list[dict[str, Any]]:
    colors = ["000000", *(c.color.removeprefix("#").upper() for c in classes.foreground)]
    table = [
        {"value": k, "name": re.sub(r"[^0-9A-Za-z_-]", "_", name), "description": name, "color_hint": color}
        for k, (name, color) in enumerate(zip(classes.names, colors, strict=True))
    ]

    def output(name: str, shape: list[int], order: list[str], data_type: str) -> dict[str, Any]:
        return {
            "name": name,
            "tasks": ["semantic-segmentation"],
            "result": {"shape": shape, "dim_order": order, "data_type": data_type},
            "classification:classes": table,
            "post_processing_function": None,
        }

    places = ["height", "width"]
    outputs = [output("probabilities", [-1, len(classes), *size], ["batch", "class", *places], "float32")]
    if not contract.deepness:
        outputs.append(output("classes", [-1, *size], ["batch", *places], "uint8"))
    return outputs


def _asset(name: str, title: str, size: int, digest: str, bands: list[dict[str, str]]) -> dict[str, Any]:
    media_type, artifact, roles = KINDS[name[name.rindex(".") :]]
    # A multihash: 12 for SHA-256, 20 for its 32 bytes.
    asset = {"href": f"./{name}", "title": title, "type": media_type, "roles": roles, "file:size": size,
             "file:checksum": f"1220{digest}"}  # fmt: skip
    # An item may name bands where one of its assets does.
    return asset | ({"mlm:artifact_type": artifact, "bands": bands} if artifact else {})


def _slug(name: str) -> str:
    """A name that begins with a letter, ends with a letter or digit, and has no other signs than `_`, `.` and `-`."""
    return "seepseg-" + (re.sub(r"[^0-9A-Za-z_.-]+", "-", name).strip("-_.") or "model")
