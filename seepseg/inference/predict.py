"""Prediction of files: tiles, and scenes that fit in memory, as class rasters beside which their origin is kept."""

from __future__ import annotations

import glob
import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from monai.inferers.utils import sliding_window_inference
from numpy.typing import NDArray

import seepseg
from seepseg.classes import ClassTable
from seepseg.config import Predict
from seepseg.data.scaling import Image, Limits, group_limits
from seepseg.data.sources import group_name, validity
from seepseg.errors import ConfigError, DataError
from seepseg.figures import save_quicklook, stretch
from seepseg.inference.decode import decode
from seepseg.inference.predictor import Predictor
from seepseg.io.atomic import write_text
from seepseg.io.files import image_files
from seepseg.io.images import read_gray_png, write_png
from seepseg.io.raster import Georeference, read_scene, write_class_raster, write_probability_raster
from seepseg.runs.checkpoint import Checkpoint

SUFFIXES = (".tif", ".tiff", ".png")


@dataclass(frozen=True)
class Job:
    """One input file and where its outputs go, without their suffix."""

    source: Path
    target: Path

    @property
    def class_raster(self) -> Path:
        """`<stem>_class` in the format of the input."""
        suffix = ".png" if self.source.suffix.lower() == ".png" else ".tif"
        return self.target.with_name(f"{self.target.name}_class{suffix}")

    def beside(self, ending: str) -> Path:
        """Another output of the same input."""
        return self.target.with_name(f"{self.target.name}{ending}")


@dataclass(frozen=True)
class Scene:
    """A file as the network takes it: image float32 (C, H, W), valid (H, W); raw first band; where it lies on Earth."""

    image: NDArray[np.float32]
    valid: NDArray[np.bool_]
    raw: NDArray[np.generic]
    georeference: Georeference | None


def plan(inputs: Sequence[str], out: Path, overwrite: bool) -> list[Job]:
    """The files to predict: files as given, TIFF and PNG files below folders, and matches of globs.

    Raises:
        ConfigError: nothing to predict, two inputs with one output, an output that exists, or an output folder that is
            an input folder.
    """
    jobs: list[Job] = []
    for text in inputs:
        path = Path(text)
        if path.is_dir():
            if out.resolve() == path.resolve() or path.resolve() in out.resolve().parents:
                raise ConfigError("the output folder lies in the input folder", out, "choose another -o")
            files = image_files(path, SUFFIXES)
            jobs += [Job(f, out / f.relative_to(path).with_suffix("")) for f in files]
        elif path.exists() or not glob.has_magic(text):
            jobs.append(Job(path, out / path.stem))
        else:
            jobs += [Job(Path(f), out / Path(f).stem) for f in sorted(glob.glob(text, recursive=True))]  # noqa: PTH207 - a pattern may be absolute
    if not jobs:
        raise ConfigError("no TIFF or PNG file to predict", " ".join(inputs), "give files, folders or a quoted glob")
    taken: dict[Path, Path] = {}
    for job in jobs:
        if job.target in taken:
            raise ConfigError(
                f"{taken[job.target]} and {job.source} would both be written to",
                job.class_raster,
                "rename one, or predict them into two folders",
            )
        taken[job.target] = job.source
        if job.class_raster.exists() and not overwrite:
            raise ConfigError("output exists", job.class_raster, "give --overwrite, or another -o")
    return jobs


def predict_files(
    jobs: Sequence[Job],
    checkpoint: Checkpoint,
    predictor: Predictor,
    config: Predict,
    out: Path,
    *,
    probabilities: bool = False,
    strict: bool = False,
    tick: Callable[[int, int], None] = lambda done, of: None,
) -> list[dict[str, str]]:
    """Predict every job; the failures, as in failures.jsonl: an input that cannot be read spoils no other.

    Args:
        config: windows and decoding.
        probabilities: also write `<stem>_prob.tif`.
        strict: raise the first failure instead.
        tick: called after each job with how many of how many are done.
    """
    failures: list[dict[str, str]] = []
    limits = _scene_limits(jobs, checkpoint) if checkpoint.config.data.scaling.basis == "scene" else {}
    for number, job in enumerate(jobs, 1):
        try:
            _predict_one(job, checkpoint, predictor, config, limits, probabilities)
        except DataError as error:
            if strict:
                raise
            failures.append({"input": str(job.source), "error": str(error)})
        tick(number, len(jobs))
    listing = out / "failures.jsonl"
    if failures:
        write_text(listing, "".join(json.dumps(f) + "\n" for f in failures))
    else:
        listing.unlink(missing_ok=True)
    return failures


@torch.inference_mode()
def window_probabilities(image: NDArray[np.float32], predictor: Predictor, config: Predict) -> torch.Tensor:
    """Probabilities (K, H, W) of a standardised image (C, H, W) of any size.

    An image no larger than a window is seen whole; a larger one through overlapping windows with Gaussian weights.
    """
    batch = torch.from_numpy(image)[None]
    if max(image.shape[1:]) <= config.window:
        return predictor.probabilities(batch)[0].cpu()
    blended = sliding_window_inference(
        batch,
        config.window,
        config.batch_size,
        predictor.probabilities,
        overlap=config.overlap,
        mode="gaussian",
        device=torch.device("cpu"),
    )
    assert isinstance(blended, torch.Tensor)
    return blended[0]


def _predict_one(
    job: Job,
    checkpoint: Checkpoint,
    predictor: Predictor,
    config: Predict,
    limits: dict[str, Limits],
    with_probabilities: bool,
) -> None:
    scene = _read(job.source, checkpoint, limits)
    likely = window_probabilities(scene.image, predictor, config)
    indices = decode(likely[None], torch.from_numpy(scene.valid)[None], config)[0]
    _write_classes(job, indices, scene.georeference, checkpoint.classes)
    if with_probabilities:
        masked = torch.where(torch.from_numpy(scene.valid), likely, torch.nan).numpy()
        write_probability_raster(
            job.beside("_prob.tif"), masked, scene.georeference or Georeference(), checkpoint.classes.names, _tags()
        )
    if max(indices.shape) > config.window:
        save_quicklook(job.beside("_quicklook.png"), stretch(scene.raw, scene.valid), indices, checkpoint.classes)


def _read(path: Path, checkpoint: Checkpoint, limits: dict[str, Limits]) -> Scene:
    data = checkpoint.config.data
    raw, valid, georeference = _raw(path, checkpoint)
    unit = checkpoint.scaling.to_unit(raw, valid, limits.get(group_name(path, data)))
    return Scene(checkpoint.scaling.standardise(unit, valid), valid, raw[0], georeference)


def _raw(path: Path, checkpoint: Checkpoint) -> tuple[NDArray[np.generic], NDArray[np.bool_], Georeference | None]:
    data = checkpoint.config.data
    if path.suffix.lower() == ".png":
        raw, georeference, tag = read_gray_png(path)[None], None, None
    else:
        raw, georeference, tag = read_scene(path, page=data.page, bands=data.bands)
    valid = validity(raw, data.nodata, tag)
    # Training refuses NaN; a map can leave it out.
    if raw.dtype.kind == "f":
        valid &= np.isfinite(raw).all(0)
    return raw, valid, georeference


def _scene_limits(jobs: Sequence[Job], checkpoint: Checkpoint) -> dict[str, Limits]:
    """Limits of every scene among the inputs; loose tiles of one scene are measured together."""
    data = checkpoint.config.data

    def measurable() -> Iterator[Image]:
        for job in jobs:
            # What cannot be read is listed as a failure when its turn comes.
            with suppress(DataError):
                yield group_name(job.source, data), *_raw(job.source, checkpoint)[:2]

    return group_limits(data.scaling, measurable())


def _write_classes(
    job: Job, indices: NDArray[np.uint8], georeference: Georeference | None, classes: ClassTable
) -> None:
    if georeference is None:
        # PNG in, PNG out: the mask format of the salt competition, where there is one class.
        write_png(job.class_raster, np.where(indices == 1, 255, 0).astype(np.uint8) if len(classes) == 2 else indices)
    else:
        write_class_raster(job.class_raster, indices, georeference, classes.names, classes.colors, _tags())


def _tags() -> dict[str, str]:
    return {"SEEPSEG_VERSION": seepseg.__version__}
