"""The catalog of a prediction folder."""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from seepseg.classes import ClassTable
from seepseg.io.atomic import write_text
from seepseg.mapping.findings import FINDINGS_LOCK
from seepseg.mapping.jobs import Job
from seepseg.runs.folder import folder_lock
from seepseg.stac.item import VERSION, item_of, reference

CATALOG = "catalog.json"
ENDING = "_stac.json"
"""How the names of items end, after that of the input."""


def write_catalog(
    jobs: Sequence[Job],
    read: Callable[[], Mapping[str, Mapping[str, Any]]],
    out: Path,
    classes: ClassTable,
    tags: Mapping[str, str],
) -> tuple[int, int]:
    """Write `<stem>_stac.json` of each input that is done, and `catalog.json`; how many items, and without a time.

    They are made from the manifest and the outputs, so shards and resumed runs give the same.

    Args:
        jobs: all inputs of the batch.
        read: reads their lines of the manifest, by name; called when no other shard writes.
        out: the output folder.
        classes: names and colours.
        tags: what predicted them, as `Ensemble.tags`.

    Raises:
        DataError: an output cannot be read.
        ConfigError, ResourceError: a file cannot be written.
    """
    with folder_lock(out, FINDINGS_LOCK, wait=True):
        lines, links, timeless = read(), list[dict[str, str]](), 0
        # An id goes into addresses, where "/" would divide it.
        flat = {job.name: job.name.replace("/", "_") for job in jobs}
        twice = Counter(flat.values())
        for job in sorted(jobs, key=lambda job: job.name):
            path, line = job.beside(ENDING), lines.get(job.name)
            if line is None:
                path.unlink(missing_ok=True)
                continue
            own = flat[job.name] if twice[flat[job.name]] == 1 else job.name
            item = item_of(own, job.beside("").name, path.parent, line, classes, tags)
            timeless += item["properties"]["datetime"] is None
            up = reference(Path(os.path.relpath(out / CATALOG, path.parent)).as_posix())
            item["links"] = [{"rel": rel, "href": up, "type": "application/json"} for rel in ("root", "parent")]
            write_text(path, _json(item))
            links.append(
                {
                    "rel": "item",
                    "href": reference(path.relative_to(out).as_posix()),
                    "type": "application/geo+json",
                    "title": job.name,
                }
            )
        about = f"{', '.join(classes.names[1:])} in {len(links)} scenes, by seepseg {tags['SEEPSEG_VERSION']}"
        catalog = {
            "type": "Catalog",
            "stac_version": VERSION,
            "id": f"seepseg-{tags['SEEPSEG_MODEL'].split()[0]}",
            "title": "Predictions by seepseg",
            "description": f"{about}, model {tags['SEEPSEG_MODEL']}.",
            "links": [{"rel": "root", "href": f"./{CATALOG}", "type": "application/json"}, *links],
        }
        write_text(out / CATALOG, _json(catalog))
    return len(links), timeless


def remove_catalog(jobs: Sequence[Job], out: Path) -> None:
    """Remove what `write_catalog` wrote: it describes maps that are others now."""
    with folder_lock(out, FINDINGS_LOCK, wait=True):
        for path in (out / CATALOG, *(job.beside(ENDING) for job in jobs)):
            path.unlink(missing_ok=True)


def _json(tree: Mapping[str, Any]) -> str:
    return json.dumps(tree, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
