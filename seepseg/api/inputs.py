"""What is known of inputs beside their pixels; imports nothing heavy, so that the command line may begin with it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from seepseg.errors import ConfigError
from seepseg.machine.progress import Echo
from seepseg.mapping.jobs import Job, with_scenes

WIDEST_MARGIN = 100_000
"""Metres of sea along land that can be left out."""


def with_table(jobs: Sequence[Job], table: Path, *, must: bool, warn: Echo) -> list[Job]:
    """The jobs with what a table says of when and by what they were taken.

    Args:
        must: it was given for them; else it is that of the training scenes, which may say nothing of them, or be
            elsewhere.
        warn: called with a line where it is elsewhere.

    Raises:
        ConfigError: it must say something, and does not.
        DataError: it cannot be read.
    """
    from seepseg.geo.identity import read_scenes

    if not must and not table.is_file():
        warn(f"data.scenes {table} is not there: give --scenes, or times may stay unknown")
        return list(jobs)
    jobs = with_scenes(jobs, read_scenes(table))
    if must and not any(job.said for job in jobs):
        raise ConfigError(f"says nothing of any of {len(jobs)} inputs", table, f"the first is called {jobs[0].name}")
    return jobs
