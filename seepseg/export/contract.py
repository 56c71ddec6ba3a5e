"""What a graph takes, gives and leaves out, in words: for the terminal, the model card and the STAC item."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from seepseg.config import Predict, TgsData
from seepseg.export.graph import Graph
from seepseg.runs.checkpoint import Checkpoint
from seepseg.runs.fit import Fit

UNITS = {"dn": "the files' own numbers", "linear": "backscatter, linear", "db": "backscatter in dB"}


@dataclass(frozen=True)
class Contract:
    """What a graph takes and gives.

    Attributes:
        bands: names of the channels of its images.
        pixels: what their numbers are.
        no_data: which of them are no data.
        limits: what else it takes with each image; "" for nothing.
        left_out: what `seepseg predict` does and the graph does not.
        deepness: made for that plugin, with one output.
    """

    bands: tuple[str, ...]
    pixels: str
    no_data: str
    limits: str
    left_out: tuple[str, ...]
    deepness: bool


def contract_of(checkpoints: Sequence[Checkpoint], graph: Graph, config: Predict, fit: Fit | None) -> Contract:
    """The contract of the graph of some networks, decoded as `config` and `fit` say."""
    first = checkpoints[0]
    data, scaling = first.config.data, first.scaling
    bands = data.bands or [1]
    pixels = UNITS[scaling.config.kind]
    if isinstance(data, TgsData):
        pixels = "grey levels of 8 bits, 0 to 255 (those of 16 bits over 257)"
    elif scaling.dtypes:
        pixels += f" (in training {' and '.join(scaling.dtypes)})"
    if graph.form.deepness:
        pixels += ", divided by 255 as the Deepness plugin does"
    limits = ""
    if graph.takes_limits:
        low, high = scaling.config.range
        unit = ", in dB" if scaling.config.kind == "linear" else ""
        limits = f"percentiles {low:g} and {high:g} of the valid pixels of the whole scene, for each band{unit}"
    return Contract(
        bands=tuple(b if isinstance(b, str) else f"band {b}" for b in bands),
        pixels=pixels,
        no_data="NaN" if graph.nodata is None else f"NaN or {graph.nodata:g}",
        limits=limits,
        left_out=tuple(_left_out(checkpoints, graph, config, fit)),
        deepness=graph.form.deepness,
    )


def _left_out(checkpoints: Sequence[Checkpoint], graph: Graph, config: Predict, fit: Fit | None) -> list[str]:
    scaling, lines = checkpoints[0].scaling.config, list[str]()
    if any(c.objects for c in checkpoints):
        place = " and what it knows of their place" if any(c.objects.get("placed") for c in checkpoints) else ""
        lines.append(f"classifier of whole objects{place}: each pixel has the class that the network gives it")
    if config.vote:
        lines.append("vote: pixels of one object may have several classes")
    if config.min_pixels > 1:
        fitted = "fitted " if fit else ""
        lines.append(f"{fitted}minimum size: objects of fewer than {config.min_pixels} pixels are not removed")
    if graph.form.limits:
        shown = ", ".join(f"{low:g} to {high:g}" for low, high in zip(*graph.form.limits, strict=True))
        lines.append(f"limits of each scene: all images are scaled from {shown}")
    elif graph.takes_limits:
        lines.append("limits of each scene: measured by you, and given with the images")
    lines.append("masks, alpha and no-data tags of files: make such pixels NaN")
    if graph.form.deepness and graph.nodata is None:
        lines.append("no data: the plugin passes on whatever numbers the raster has there; clip it, or mask the result")
    if graph.form.deepness and graph.form.pixel_size is None:
        lines.append("resolution: set it in the plugin, or give --pixel-size")
    if scaling.local:
        lines.append(f"surroundings ({scaling.local} pixels) end at the border of an image: let images overlap")
    lines.append(
        "neighbours of tiles, blending of overlapping windows, test-time flips, polygons: `seepseg predict` has them"
    )
    return lines
