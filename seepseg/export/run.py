"""One folder with a trained run as other tools read it."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from seepseg.config import Config, Predict, ScenesData
from seepseg.data.scaling import Limits
from seepseg.data.source import read_pixels, source_of
from seepseg.errors import ConfigError, DataError
from seepseg.export.card import Card, card_text
from seepseg.export.contract import Contract, contract_of
from seepseg.export.deepness import deepness_metadata
from seepseg.export.extra import needed
from seepseg.export.graph import Form, Graph
from seepseg.export.onnx_file import Run, run_onnx, run_program, traced, write_onnx, write_program
from seepseg.export.parity import Parity, Sample, compare, sampled, tiles_of
from seepseg.export.stac import stac_item
from seepseg.export.weights import CONFIG, WEIGHTS, write_config, write_weights
from seepseg.inference.predictor import load_predictor
from seepseg.inference.stream import Member
from seepseg.io.atomic import remove_leftovers, write_text
from seepseg.runs.checkpoint import Checkpoint, load_checkpoint
from seepseg.runs.find import run_root
from seepseg.runs.fit import Fit, mean_fit
from seepseg.runs.folder import RunFolder, folder_lock

ONNX, QGIS, PROGRAM, CARD, ITEM, SUMS = (
    "model.onnx", "deepness.onnx", "model.pt2", "MODEL_CARD.md", "stac-mlm.json", "SHA256SUMS"
)  # fmt: skip
ABOUT = {
    ONNX: "the graph for onnxruntime and others",
    QGIS: "the graph for the Deepness plugin of QGIS",
    PROGRAM: "the graph for torch.export.load",
    WEIGHTS: "the weights alone",
    CONFIG: "class table, scaling, decoding and training",
    CARD: "what was trained on what, and how good it is",
}
"""Files of an export, in the order of writing. `ITEM` follows, then `SUMS`: a folder that has it is complete."""

FORMATS = ("onnx", "safetensors", "torch")

MOST_ONNX = 2_000_000_000
"""Bytes of weights in one ONNX file, with room for the graph: protobuf's limit is 2 GiB."""

PACKAGES = {"onnx": ("onnx", "onnxscript", "onnxruntime"), "safetensors": ("safetensors.torch",)}
"""What a format needs of the extra."""


@dataclass(frozen=True)
class Wanted:
    """What to export.

    Attributes:
        formats: of `FORMATS`.
        size: side of the graph's images; None for that of the run's tiles.
        limits: of scaling by scene, for all images.
        deepness: make the ONNX file for that plugin.
        pixel_size: metres, for the plugin; None for that of the config.
        check: root of the data to compare on; None for the run's own, where they are there.
        licence: SPDX identifier.
        overwrite: replace an export.
    """

    formats: Sequence[str] = FORMATS
    size: int | None = None
    limits: Limits | None = None
    deepness: bool = False
    pixel_size: float | None = None
    check: Path | None = None
    licence: str | None = None
    overwrite: bool = False


@dataclass(frozen=True)
class Exported:
    """What came of it.

    Attributes:
        size: of the graph's images.
        files: names.
        parity: None where there were no data to compare on, or nothing that runs.
        checked: the same in words.
    """

    size: tuple[int, int]
    files: tuple[str, ...]
    contract: Contract
    parity: Parity | None
    checked: str


@dataclass(frozen=True)
class _Networks:
    """The networks of a run, and how they are decoded together."""

    paths: Sequence[Path]
    checkpoints: Sequence[Checkpoint]
    fit: Fit | None
    predict: Predict

    @property
    def first(self) -> Checkpoint:
        return self.checkpoints[0]

    @property
    def config(self) -> Config:
        return self.first.config

    def members(self) -> list[Member]:
        """As `seepseg predict` runs them on a CPU, in float32."""
        runtime = self.config.runtime.model_copy(update={"device": "cpu", "amp": "off", "threads": None})
        pairs = zip(self.paths, self.checkpoints, strict=True)
        return [Member(load_predictor(c, runtime, "none", path), c.scaling) for path, c in pairs]


def export_run(paths: Sequence[Path], root: Path, out: Path, wanted: Wanted) -> Exported:
    """Export the networks of some checkpoints, averaged, into a folder.

    Args:
        paths: the checkpoints: one, or those of all folds.
        root: folder of the run or fold, whose scores and splits go into the card.

    Raises:
        ConfigError: the folder holds something, a package is missing, or options do not fit the run.
        CheckpointError: a checkpoint is damaged.
        DataError: the data to compare on cannot be read.
        ResourceError: the disk is full, or fails.
        LockedError: another process exports to the folder.
    """
    if out.is_dir() and any(out.iterdir()) and not wanted.overwrite:
        raise ConfigError("is not empty", out, "choose another folder, or give --overwrite")
    if RunFolder(out).last.parent.exists() or any(out.glob("fold_*/checkpoints")):
        raise ConfigError("is a run, whose config.yaml would be replaced", out, "choose another folder")
    networks = _opened(paths)
    _check(networks, wanted)
    folder = RunFolder(root)
    size, sample, reason = _sample(networks, wanted)
    pixel_size = wanted.pixel_size or getattr(networks.config.data, "pixel_size", None)
    form = Form(size, wanted.limits, wanted.deepness, pixel_size)
    graph = Graph(networks.checkpoints, paths, form, networks.predict.threshold, networks.fit)
    contract = contract_of(networks.checkpoints, graph, networks.predict, networks.fit)
    with folder_lock(out, keep=False):
        files, runs = _write_models(networks, graph, contract, out, wanted)
        parity = None
        if runs and sample:
            members = networks.members()
            every = [compare(run, graph, members, sample, networks.predict, networks.fit) for run in runs]
            # The worst of each: one graph may differ in probabilities, the other in classes.
            apart, changed = max(p.difference for p in every), max(p.changed for p in every)
            parity = replace(every[0], difference=apart, changed=changed)
        checked = f"Compared on {parity}." if parity else reason or "Not compared: nothing was exported that runs."
        files = (*files, CARD)
        card = Card(
            root.resolve().name, wanted.licence, checked, {name: ABOUT[name] for name in files}, size if runs else None
        )
        write_text(out / CARD, card_text(card, networks.checkpoints, folder, contract))
        about = {name: (ABOUT[name], (out / name).stat().st_size, _digest(out / name)) for name in files}
        write_text(out / ITEM, stac_item(card.name, wanted.licence, networks.checkpoints, contract, size, about))
        files = (*files, ITEM)
        write_text(out / SUMS, "".join(f"{_digest(out / name)}  {name}\n" for name in files))
        return Exported(size, (*files, SUMS), contract, parity, checked)


def _opened(paths: Sequence[Path]) -> _Networks:
    checkpoints = [load_checkpoint(path) for path in paths]
    fit = mean_fit([Fit.from_plain(c.decoding) for c in checkpoints], paths)
    own = checkpoints[0].config.predict
    return _Networks(paths, checkpoints, fit, fit.onto(own) if fit else own)


def _check(networks: _Networks, wanted: Wanted) -> None:
    """Raise ConfigError where networks do not go together, or formats, limits and plugin not with the run."""
    for package in (package for name in wanted.formats for package in PACKAGES.get(name, ())):
        needed(package)
    if wanted.deepness and ("onnx" not in wanted.formats or "torch" in wanted.formats):
        # A torch program would expect pixels divided by 255, too.
        raise ConfigError("the plugin reads ONNX", "--for deepness", "leave out --format")
    first, scaling = networks.first, networks.config.data.scaling
    for path, other in zip(networks.paths, networks.checkpoints, strict=True):
        data, same = other.config.data, first.config.data
        if (other.classes, data.bands, data.nodata) != (first.classes, same.bands, same.nodata):
            raise ConfigError("classes, bands or no-data value differ between folds", path, "give --each")
        if (data.scaling.kind, data.scaling.basis, data.scaling.range) != (scaling.kind, scaling.basis, scaling.range):
            raise ConfigError("data.scaling differs between folds", path, "give --each")
    size = sum(t.nbytes for c in networks.checkpoints for t in (c.ema or c.weights).values())
    if "onnx" in wanted.formats and size >= MOST_ONNX:
        raise ConfigError("ONNX files hold less than 2 GB of weights", "--format onnx", "give --each, or other formats")
    bands, percentiles = len(networks.config.data.bands or [1]), "percentiles {:g} and {:g}".format(*scaling.range)
    if wanted.limits and scaling.basis != "scene":
        raise ConfigError("the run does not scale by scene", "--limits", "leave it out")
    if wanted.limits and len(wanted.limits[0]) != bands:
        raise ConfigError(f"given for {len(wanted.limits[0])} of {bands} bands", "--limits", "repeat it for each")
    if wanted.limits and any(low >= high for low, high in zip(*wanted.limits, strict=True)):
        raise ConfigError("LOW is not below HIGH", "--limits", f"give {percentiles} of the scene")
    if wanted.deepness and scaling.basis == "scene" and not wanted.limits:
        what = "the run scales each scene by limits of its own, and the plugin passes on pixels only"
        raise ConfigError(what, "--for deepness", f"give --limits LOW HIGH: {percentiles} of the scene")


def _sample(networks: _Networks, wanted: Wanted) -> tuple[tuple[int, int], Sample | None, str]:
    """Size of the images, tiles to compare on, and why there are none."""
    data = networks.config.data
    if wanted.check:
        data = data.model_copy(update={"root": wanted.check})
    source = source_of(data)
    try:
        catalog = tiles_of(source, None if wanted.check else RunFolder(run_root(networks.paths[0])))
        height, width = read_pixels(source, catalog.tiles[0]).valid.shape
        size = (wanted.size or height, wanted.size or width)
        sample = sampled(source, catalog, size, [c.scaling for c in networks.checkpoints])
    except DataError as error:
        if wanted.check:
            raise
        side = wanted.size or (data.window if isinstance(data, ScenesData) else networks.predict.window)
        if wanted.size is None and networks.config.model.input:
            raise ConfigError("the size of tiles is not known without them", data.root, "give --size") from None
        # It goes into the card: without the folders of this machine.
        return (side, side), None, f"Not compared: {error.what} (data folder {data.root.name})."
    if wanted.deepness and size[0] != size[1]:
        raise ConfigError(
            f"tiles are {size[1]} × {size[0]}, and the plugin's are square", "--for deepness", "give --size"
        )
    return size, sample, ""


def _write_models(
    networks: _Networks, graph: Graph, contract: Contract, out: Path, wanted: Wanted
) -> tuple[tuple[str, ...], list[Run]]:
    """Write what the formats name, and `CONFIG`; the names, and what runs the graphs."""
    names, runs = list[str](), list[Run]()
    program = traced(graph, len(contract.bands)) if {"onnx", "torch"} & set(wanted.formats) else None
    _clear(out, (SUMS, ITEM, *ABOUT))
    if program and "onnx" in wanted.formats:
        names.append(QGIS if wanted.deepness else ONNX)
        classes, overlap = networks.first.classes.names, networks.predict.overlap
        metadata = deepness_metadata(classes, graph.form, overlap) if wanted.deepness else {}
        write_onnx(program, out / names[-1], metadata)
        runs.append(run_onnx(out / names[-1]))
    if program and "torch" in wanted.formats:
        names.append(PROGRAM)
        write_program(program, out / PROGRAM)
        runs.append(run_program(program))
    if "safetensors" in wanted.formats:
        names.append(WEIGHTS)
        write_weights(networks.checkpoints, out)
    write_config(networks.checkpoints, out)
    return (*names, CONFIG), runs


def _clear(out: Path, names: Iterable[str]) -> None:
    """Remove an earlier export from a folder; what else is there stays."""
    if out.is_dir():
        remove_leftovers(out)
        for name in names:
            (out / name).unlink(missing_ok=True)


def _digest(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
