"""What to predict: input files, and where their outputs go.

Imports nothing heavy, so that a wrong input is reported at once.
"""

from __future__ import annotations

import glob
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING
from unicodedata import normalize

from seepseg.errors import ConfigError, DataError
from seepseg.io.files import SUFFIXES, image_files, image_kind, local_path
from seepseg.sentinel1 import is_product

if TYPE_CHECKING:
    from seepseg.config import DataNode

PICTURES = (".png", ".jpg", ".jpeg")
"""Inputs whose maps are PNGs."""
RESERVED = ("findings", "findings_origins", "scenes")
LONGEST = ("_uncertainty.tif", "_origins.geojson")
"""Endings of outputs: none is longer."""

_PACKED = re.compile(r"\.safe$", re.IGNORECASE)


@dataclass(frozen=True)
class Job:
    """One input file and where its outputs go.

    Attributes:
        source: the input.
        name: its path below the input folder without suffix, "/" between folders: unique in a batch.
        out: the output folder.
        png: whether its class raster is a PNG.
        said: what a table says of its acquisition, see `geo.identity`.
        channels: files of its channels, where these are files of their own.
    """

    source: Path
    name: str
    out: Path
    png: bool
    said: tuple[tuple[str, str | int], ...] = ()
    channels: tuple[Path, ...] = ()

    @property
    def class_raster(self) -> Path:
        """`<stem>_class`, a GeoTIFF or a PNG."""
        return self.beside("_class.png" if self.png else "_class.tif")

    def beside(self, ending: str) -> Path:
        """Another output of the same input."""
        target = self.out / self.name
        return target.with_name(f"{target.name}{ending}")


def plan(inputs: Sequence[str], out: Path, image_format: str = "auto") -> list[Job]:
    """The files to predict, sorted by name: files as given, images below folders, and matches of globs.

    A Sentinel-1 product is one input, whichever way it is given; an input given twice is one, too.

    Args:
        inputs: files, folders or globs.
        out: the output folder.
        image_format: "auto" (GeoTIFFs of TIFFs, PNGs of PNGs and JPEGs), "tif" or "png".

    Raises:
        ConfigError: nothing to predict, a remote address, two inputs with one output, or inputs and outputs in one
            folder.
    """
    sources: list[tuple[Path, Path]] = []
    target = out.resolve()
    for text in inputs:
        path = local_path(text)
        if path.is_dir() and not _in_product(path.absolute()):
            if target == path.resolve() or path.resolve() in target.parents:
                raise ConfigError("the output folder lies in the input folder", out, "choose another -o")
            sources += [(f, f.relative_to(path)) for f in _below(path)]
        elif path.exists() or not glob.has_magic(text):
            sources.append((path, Path(path.absolute().name)))
        else:
            matches = sorted(glob.glob(text, recursive=True))  # noqa: PTH207 - a pattern may be absolute
            sources += [(Path(f), Path(Path(f).name)) for f in matches]
    if not sources:
        what = "no TIFF, PNG or JPEG file and no Sentinel-1 product"
        raise ConfigError(what, " ".join(inputs), "give files, folders or a quoted glob")
    jobs: dict[str, Job] = {}
    for source, place in sources:
        if place.name.lower() == "manifest.safe":
            source, place = source.parent, Path(source.absolute().parent.name)
        if target in source.resolve().parents:
            raise ConfigError("the output folder holds an input", source, "choose another -o")
        png = image_format == "png" or (image_format == "auto" and source.suffix.lower() in PICTURES)
        job = Job(source, _PACKED.sub("", place.with_suffix("").as_posix()), out, png)
        if job.name in jobs and jobs[job.name].source.resolve() != source.resolve():
            what = f"{jobs[job.name].source} and {source} would both be written to"
            raise ConfigError(what, job.class_raster, "rename one, or predict them into two folders")
        jobs[job.name] = job
    return _apart(jobs)


def _apart(jobs: Mapping[str, Job]) -> list[Job]:
    """Jobs by name, sorted; ConfigError where outputs of one might have the name of something else."""
    for name, job in jobs.items():
        if name in RESERVED:
            raise ConfigError(f"{name!r} is what the findings of a batch are called", job.source, "rename the file")
        if (beside := jobs.get(name.removesuffix("_origins"), job)) is not job:
            what = f"its polygons and the origins of {beside.source} might both be {name}.fgb or .geojson"
            raise ConfigError(what, job.source, "rename one, or predict them into two folders")
    return sorted(jobs.values(), key=lambda job: job.name)


def with_scenes(jobs: Sequence[Job], scenes: Mapping[str, Mapping[str, str | int]]) -> list[Job]:
    """The jobs with what `scenes`, by `geo.identity.read_scenes`, says of each by its name or that of its file."""
    names = [(normalize("NFC", job.name), normalize("NFC", job.source.name)) for job in jobs]
    rows = [scenes.get(name) or scenes.get(file) or {} for name, file in names]
    return [replace(job, said=tuple(row.items())) for job, row in zip(jobs, rows, strict=True)]


def with_channels(jobs: Sequence[Job], data: DataNode) -> list[Job]:
    """The jobs with the channels of an image as one input, called NAME, where each is a file, NAME_0000.png and so on.

    Raises:
        ConfigError: another input is called so, or outputs of another one might be.
    """
    if not data.channel_files:
        return list(jobs)
    # Imported only here: it needs numpy.
    from seepseg.scenes.channels import channel, channels_of

    given, cases = {job.source for job in jobs}, dict[str, Job]()
    for job in jobs:
        first = channel(job.source, 0)
        whole = first == job.source
        if first in given and not whole:
            continue
        name = job.name.removesuffix("_0000") if whole else job.name
        if name in cases:
            raise ConfigError(f"{cases[name].source} and {job.source} are both called {name}", name, "rename one")
        cases[name] = replace(job, name=name, channels=tuple(channels_of(data, job.source)) if whole else ())
    return _apart(cases)


def check_inputs(jobs: Sequence[Job], mask: Path | None) -> None:
    """Refuse, before anything is loaded, what can only fail: no input is an image, or the mask is missing.

    Where some are images, the others fail when their turn comes.
    """
    if mask is not None and not mask.is_file():
        raise ConfigError("no such mask", mask, "give a raster, or a vector file of polygons")
    first: DataError | None = None
    for job in jobs:
        try:
            check_input(job.source)
            if is_product(job.source):
                # Imported only here: it needs numpy.
                from seepseg.sentinel1.product import open_product

                with open_product(job.source):
                    return
        except DataError as error:
            first = first or error
        else:
            return
    if first and len(jobs) > 1:
        raise DataError(f"none of {len(jobs)} inputs can be read, the first: {first.what}", first.where, first.fix)
    if first:
        raise first


def check_job(job: Job) -> None:
    """Raise DataError where an input is as in `check_input`, or so named that its outputs can have no name."""
    check_input(job.source)
    names = [os.fsencode(job.beside(ending).absolute()) for ending in LONGEST]
    if any(len(os.path.basename(name)) > 255 or len(name) > 4095 for name in names):  # noqa: PTH119 - bytes
        raise DataError("the name is too long for what its outputs are called", job.source, "shorten it")


def check_input(path: Path) -> None:
    """Raise DataError where a file is no image by its first bytes, or lies in a Sentinel-1 product.

    The numbers in such a file mean something only together with the calibration tables of the product, which is read
    as a whole.
    """
    if is_product(path):
        return
    if _in_product(path.absolute().parent):
        raise DataError("is part of a Sentinel-1 product", path, "give the product: its folder or its manifest.safe")
    image_kind(path)


def _below(folder: Path) -> list[Path]:
    """Images below a folder, and Sentinel-1 products, which are not looked into."""
    files = image_files(folder, (*SUFFIXES, ".safe", ".zip"))
    named = {f for f in files if f.suffix.lower() not in SUFFIXES}
    products = {p for p in named | {f.parent for f in files} if is_product(p)}
    images = [f for f in files if f.suffix.lower() in SUFFIXES and products.isdisjoint((f, *f.parents))]
    return sorted([*(p for p in products if products.isdisjoint(p.parents)), *images])


@lru_cache(maxsize=4096)
def _in_product(folder: Path) -> bool:
    return any(is_product(p) for p in (folder, *folder.parents))
