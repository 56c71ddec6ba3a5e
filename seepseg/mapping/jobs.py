"""What to predict: input files, and where their outputs go."""

from __future__ import annotations

import glob
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from seepseg.errors import ConfigError
from seepseg.io.files import image_files

SUFFIXES = (".tif", ".tiff", ".png")
RESERVED = ("findings", "scenes")


@dataclass(frozen=True)
class Job:
    """One input file and where its outputs go.

    Attributes:
        source: the input.
        name: its path below the input folder without suffix, "/" between folders: unique in a batch.
        out: the output folder.
        png: whether its class raster is a PNG.
    """

    source: Path
    name: str
    out: Path
    png: bool

    @property
    def png_source(self) -> bool:
        """Whether the input is a PNG, by its name."""
        return self.source.suffix.lower() == ".png"

    @property
    def class_raster(self) -> Path:
        """`<stem>_class`, a GeoTIFF or a PNG."""
        return self.beside("_class.png" if self.png else "_class.tif")

    def beside(self, ending: str) -> Path:
        """Another output of the same input."""
        target = self.out / self.name
        return target.with_name(f"{target.name}{ending}")


def plan(inputs: Sequence[str], out: Path, image_format: str = "auto") -> list[Job]:
    """The files to predict, sorted by name: files as given, TIFF and PNG files below folders, and matches of globs.

    Args:
        inputs: files, folders or globs.
        out: the output folder.
        image_format: "auto" (as the input), "tif" or "png".

    Raises:
        ConfigError: nothing to predict, two inputs with one output, or inputs and outputs in one folder.
    """
    found: list[tuple[Path, Path]] = []
    for text in inputs:
        path = Path(text)
        if path.is_dir():
            if out.resolve() == path.resolve() or path.resolve() in out.resolve().parents:
                raise ConfigError("the output folder lies in the input folder", out, "choose another -o")
            found += [(f, f.relative_to(path)) for f in image_files(path, SUFFIXES)]
        elif path.exists() or not glob.has_magic(text):
            found.append((path, Path(path.name)))
        else:
            matches = sorted(glob.glob(text, recursive=True))  # noqa: PTH207 - a pattern may be absolute
            found += [(Path(f), Path(Path(f).name)) for f in matches]
    if not found:
        raise ConfigError("no TIFF or PNG file to predict", " ".join(inputs), "give files, folders or a quoted glob")
    for source, _ in found:
        if out.resolve() in source.resolve().parents:
            raise ConfigError("the output folder holds an input", source, "choose another -o")
    jobs: dict[str, Job] = {}
    for source, place in found:
        job = Job(source, place.with_suffix("").as_posix(), out, image_format == "png")
        if image_format == "auto" and job.png_source:
            job = replace(job, png=True)
        if job.name in RESERVED:
            raise ConfigError(f"{job.name!r} is what the findings of a batch are called", source, "rename the file")
        if job.name in jobs:
            raise ConfigError(
                f"{jobs[job.name].source} and {source} would both be written to",
                job.class_raster,
                "rename one, or predict them into two folders",
            )
        jobs[job.name] = job
    return sorted(jobs.values(), key=lambda job: job.name)
