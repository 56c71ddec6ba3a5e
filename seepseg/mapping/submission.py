"""The submission table of the TGS salt competition."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from seepseg.classes import ClassTable
from seepseg.errors import ConfigError
from seepseg.io.atomic import write_text
from seepseg.io.image import read_image
from seepseg.io.rle import encode
from seepseg.mapping.jobs import Job


def check_submission(jobs: Sequence[Job], classes: ClassTable) -> None:
    """Raise ConfigError where no table can be made of the jobs: several classes, or two tiles of one id."""
    if len(classes) > 2:
        raise ConfigError(
            f"a submission holds one class, and the run tells {len(classes) - 1} apart",
            "--format tgs-csv",
            "leave it out, or predict with a run of salt",
        )
    sources: dict[str, Path] = {}
    for job in jobs:
        if job.source.stem in sources:
            raise ConfigError(
                f"{sources[job.source.stem]} and {job.source} would both be {job.source.stem} in submission.csv",
                "--format tgs-csv",
                "rename one, or predict one folder at a time",
            )
        sources[job.source.stem] = job.source


def write_submission(jobs: Sequence[Job], out: Path) -> Path:
    """`submission.csv` (id, rle_mask) of the masks that are there, sorted by id; the path of the table.

    Made of the class rasters, so that it holds every tile, whichever run predicted it; in them no data is no salt.
    """
    rows = [
        f"{job.source.stem},{encode(read_image(job.class_raster)[0].raw[0] > 0)}\n"
        for job in jobs
        if job.class_raster.exists()
    ]
    path = out / "submission.csv"
    write_text(path, "id,rle_mask\n" + "".join(sorted(rows)))
    return path
