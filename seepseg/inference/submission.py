"""The submission table of the TGS salt competition."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from seepseg.inference.jobs import Job
from seepseg.io.atomic import write_text
from seepseg.io.images import read_gray_png
from seepseg.io.rle import encode


def write_submission(jobs: Sequence[Job], out: Path) -> Path:
    """`submission.csv` (id, rle_mask) of the masks that are there, sorted by id; the path of the table.

    Made of the class rasters, so that it holds every tile, whichever run predicted it.
    """
    rows = [
        f"{job.source.stem},{encode(read_gray_png(job.class_raster) > 0)}\n"
        for job in jobs
        if job.class_raster.exists()
    ]
    path = out / "submission.csv"
    write_text(path, "id,rle_mask\n" + "".join(sorted(rows)))
    return path
