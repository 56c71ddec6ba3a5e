"""Loose tiles to files: batched across files, since one tile is no work for a network."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from seepseg.data.scaling import Image, Limits, group_limits
from seepseg.data.sources import group_name, validity
from seepseg.errors import DataError
from seepseg.inference.decode import calibrated, decode, uncertainty
from seepseg.inference.ensemble import Ensemble
from seepseg.inference.jobs import Job
from seepseg.inference.scene import Report, SceneRows, Wanted, in_steps
from seepseg.inference.stream import Member, Rows, stream
from seepseg.io.cog import class_layout, probability_layout, uncertainty_layout, write_raster
from seepseg.io.images import read_gray_png, write_png
from seepseg.io.mask import open_mask
from seepseg.io.raster import Georeference, open_scene

GroupLimits = dict[str, list[Limits | None]]
"""Scene of a tile, by its name → the limits for each member."""


@dataclass(frozen=True)
class _Tile:
    rows: Rows
    georeference: Georeference


def tile_limits(jobs: Sequence[Job], ensemble: Ensemble, mask: Path | None = None) -> GroupLimits:
    """Limits measured on the tiles of each scene among the inputs together, for members that scale by scene.

    What cannot be read is left out; it fails when its turn comes.
    """
    if not ensemble.by_scene:
        return {}

    def readable() -> Iterator[Image]:
        for job in jobs:
            with suppress(DataError):
                tile = _read(job, ensemble, mask)
                yield group_name(job.source, ensemble.data), *tile.rows

    fitted = [
        group_limits(m.scaling.config, readable()) if m.scaling.config.basis == "scene" else {}
        for m in ensemble.members
    ]
    return {group: [own.get(group) for own in fitted] for group in {g for own in fitted for g in own}}


@torch.inference_mode()
def predict_tiles(
    jobs: Sequence[Job], ensemble: Ensemble, wanted: Wanted, limits: GroupLimits
) -> list[Report | DataError]:
    """Predict some tiles, one batch for each of their sizes, and write what is wanted; a tile that fails is its error.

    Raises:
        ConfigError: an output is not writable.
        ResourceError: disk or memory gave out.
    """
    results: list[Report | DataError] = [DataError("not predicted")] * len(jobs)
    sizes: dict[tuple[int, int], list[tuple[int, _Tile]]] = {}
    for number, job in enumerate(jobs):
        try:
            tile = _read(job, ensemble, wanted.mask)
            sizes.setdefault(tile.rows.valid.shape, []).append((number, tile))
        except DataError as error:
            results[number] = error
    for tiles in sizes.values():
        groups = [group_name(jobs[number].source, ensemble.data) for number, _ in tiles]
        likely = _probabilities([t for _, t in tiles], groups, ensemble, limits)
        valid = torch.from_numpy(np.stack([t.rows.valid for _, t in tiles]))
        classes = decode(likely, valid, ensemble.config, ensemble.fit)
        likely = calibrated(likely, ensemble.fit)
        for (number, tile), found, probabilities in zip(tiles, classes, likely, strict=True):
            results[number] = _write(jobs[number], tile, found, probabilities, ensemble, wanted)
    return results


def _probabilities(
    tiles: Sequence[_Tile], groups: Sequence[str], ensemble: Ensemble, limits: GroupLimits
) -> torch.Tensor:
    """Probabilities (N, K, H, W) of tiles of one size, the mean over the members."""
    none: list[Limits | None] = [None] * len(ensemble.members)
    fitted = {group: ensemble.fitted_to(limits.get(group, none)) for group in set(groups)}
    if max(tiles[0].rows.valid.shape) > ensemble.config.window:
        return torch.stack([_in_windows(t.rows, fitted[g], ensemble) for t, g in zip(tiles, groups, strict=True)])

    def answer(number: int, member: Member) -> torch.Tensor:
        images = [fitted[g][number].image(t.rows) for t, g in zip(tiles, groups, strict=True)]
        return member.predictor.probabilities(torch.from_numpy(np.stack(images)))

    answers = [answer(number, member) for number, member in enumerate(ensemble.members)]
    return sum(answers[1:], answers[0]) / len(answers)


def _in_windows(rows: Rows, members: Sequence[Member], ensemble: Ensemble) -> torch.Tensor:
    """Probabilities (K, H, W) of a tile larger than a window."""
    strips = stream(_Held(rows), members, len(ensemble.classes), ensemble.config)
    return torch.cat([strip.probabilities.clone() for strip in strips]).permute(2, 0, 1)


class _Held:
    """Rows already in memory, as the engine reads them."""

    def __init__(self, rows: Rows) -> None:
        self._rows = rows
        self.height, self.width = rows.valid.shape

    def read(self, start: int, stop: int) -> Rows:
        """Rows `start` … `stop` − 1."""
        return Rows(self._rows.raw[:, start:stop], self._rows.valid[start:stop])


def _read(job: Job, ensemble: Ensemble, mask: Path | None) -> _Tile:
    data = ensemble.data
    if job.png_source:
        raw = read_gray_png(job.source)[None]
        return _Tile(Rows(raw, validity(raw, data.nodata, None)), Georeference())
    with open_scene(job.source, page=data.page, bands=data.bands) as scene, ExitStack() as stack:
        covered = stack.enter_context(open_mask(mask, scene)) if mask else None
        return _Tile(SceneRows(scene, data.nodata, covered).read(0, scene.height), scene.georeference)


def _write(
    job: Job, tile: _Tile, classes: NDArray[np.uint8], likely: torch.Tensor, ensemble: Ensemble, wanted: Wanted
) -> Report:
    table, report = ensemble.classes, Report([job.class_raster])
    if job.png:
        # The mask format of the salt competition, where there is one class.
        write_png(job.class_raster, np.where(classes == 1, 255, 0).astype(np.uint8) if len(table) == 2 else classes)
    else:
        layout = class_layout(table.names, table.colors, ensemble.tags)
        write_raster(job.class_raster, classes, tile.georeference, layout)
    if wanted.probabilities:
        path = job.beside("_prob.tif")
        masked = np.where(tile.rows.valid, likely.cpu().numpy(), np.float32(np.nan))
        write_raster(path, masked, tile.georeference, probability_layout(table.names, ensemble.tags))
        report.outputs.append(path)
    if wanted.uncertainty:
        steps = in_steps(uncertainty(likely, 0), tile.rows.valid)
        path = job.beside("_uncertainty.png" if job.png else "_uncertainty.tif")
        if job.png:
            write_png(path, steps)
        else:
            write_raster(path, steps, tile.georeference, uncertainty_layout(ensemble.tags))
        report.outputs.append(path)
    return report
