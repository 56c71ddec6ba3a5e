"""One scene to files: class raster, probabilities, polygons, quick-look."""

from __future__ import annotations

from collections.abc import Callable, Collection
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from seepseg.classes import IGNORE
from seepseg.data.scaling import Limits, measure, thin, transform
from seepseg.data.source import open_pixels
from seepseg.figures import save_quicklook, stretch
from seepseg.inference.decode import calibrated, likeliest, uncertainty
from seepseg.inference.stream import Member, Rows, Strip, stream
from seepseg.io.atomic import scratch_path
from seepseg.io.cog import Layout, class_layout, probability_layout, row_writer, uncertainty_layout
from seepseg.io.image import Image
from seepseg.io.mask import RowMask, open_mask
from seepseg.io.place import Place, place_of
from seepseg.io.vector import write_style, write_vectors
from seepseg.machine.ahead import behind
from seepseg.mapping.ensemble import Ensemble
from seepseg.mapping.jobs import Job
from seepseg.mapping.objectwise import Expert, Look, ObjectDecisions
from seepseg.mapping.polygons import trace
from seepseg.mapping.thumbnail import Thumbnail
from seepseg.runs.fit import Fit

SAMPLE = 500_000
"""Valid pixels that the limits of a scene are measured on: a percentile's error is then a thousandth of the range."""

CHUNK, CHUNKS = 4, 64
"""Rows read at once for them, and how many times."""


@dataclass(frozen=True)
class Wanted:
    """Which outputs are asked for beside the class raster.

    Attributes:
        probabilities: `<stem>_prob.tif`, a band a class.
        uncertainty: `<stem>_uncertainty.tif`, 0 (sure) to 254, 255 = no data.
        vectors: "gpkg", "geojson", or None for no polygons.
        quicklook: `<stem>_quicklook.png` of scenes.
        mask: raster or vector of what is left out: land, outside the area of interest.
    """

    probabilities: bool = False
    vectors: str | None = "gpkg"
    quicklook: bool = True
    mask: Path | None = None
    uncertainty: bool = False


@dataclass
class Report:
    """What became of one input, as the manifest holds it.

    Attributes:
        outputs: the files made.
        warnings: what the user should know.
        facts: numbers worth keeping: distance from the training set, areas.
    """

    outputs: list[Path]
    warnings: list[str] = field(default_factory=list)
    facts: dict[str, Any] = field(default_factory=dict)


class SceneRows:
    """A scene as the engine reads it: raw pixels, and where they are valid and not masked."""

    def __init__(self, scene: Image, mask: RowMask | None) -> None:
        self._scene, self._mask = scene, mask
        self.height, self.width = scene.height, scene.width

    def read(self, start: int, stop: int) -> Rows:
        """Rows `start` … `stop` − 1."""
        raw, valid = self._scene.rows(start, stop)
        # Training refuses NaN; a map can leave it out.
        if raw.dtype.kind == "f":
            valid = valid & np.isfinite(raw).all(0)
        if self._mask is not None:
            valid = valid & ~self._mask(start, stop)
        return Rows(raw, valid)

    def sample(self) -> NDArray[np.generic]:
        """Valid raw pixels (C, n), at most about `SAMPLE`, of full-resolution rows at even distances.

        Never of overviews, which average speckle away. Where the chosen rows hold nothing valid, the rows between them
        are taken.
        """
        starts = range(0, self.height, CHUNK)
        step = max(1, len(starts) // CHUNKS)
        for first in range(step):
            parts = []
            for start in starts[first::step]:
                rows = self.read(start, min(start + CHUNK, self.height))
                parts.append(thin(rows.raw[:, rows.valid], SAMPLE // CHUNKS))
            pixels = np.concatenate(parts, axis=1)
            if pixels.shape[1]:
                break
        return pixels


def predict_scene(
    job: Job, ensemble: Ensemble, wanted: Wanted, tick: Callable[[int], None] = lambda pixels: None
) -> Report:
    """Predict one scene, however large, and write what is wanted; `tick` is told how many pixels are done.

    Raises:
        DataError: the scene cannot be read.
        ConfigError: the mask does not fit, or an output is not writable.
        ResourceError: disk or memory gave out.
    """
    config, table = ensemble.config, ensemble.classes
    report = Report([job.class_raster])
    with open_pixels(ensemble.source, job.source) as scene, ExitStack() as stack:
        mask = stack.enter_context(open_mask(wanted.mask, scene)) if wanted.mask else None
        rows = SceneRows(scene, mask)
        members = ensemble.fitted_to(_limits(rows, scene.dtype, ensemble, report))
        thumbnail = Thumbnail(scene.height, scene.width)
        expert = Expert(ensemble.objects, _looking(scene, members[ensemble.shown])) if ensemble.objects else None
        wholes = expert or config.vote or config.min_pixels > 1
        decisions = ObjectDecisions(config, len(table), expert) if wholes else None
        layout = class_layout(table.names, table.colors, ensemble.tags)
        size = (scene.georeference, scene.height, scene.width)
        first = stack.enter_context(scratch_path(job.class_raster)) if decisions else job.class_raster
        confidence = stack.enter_context(scratch_path(job.class_raster)) if wanted.vectors else None
        with ExitStack() as files:
            writers = {"classes": files.enter_context(row_writer(first, *size, layout, cog=decisions is None))}
            if wanted.probabilities:
                path = job.beside("_prob.tif")
                report.outputs.append(path)
                likely = probability_layout(table.names, ensemble.tags)
                writers["probabilities"] = files.enter_context(row_writer(path, *size, likely))
            if wanted.uncertainty:
                path = job.beside("_uncertainty.tif")
                report.outputs.append(path)
                unsure = uncertainty_layout(ensemble.tags)
                writers["uncertainty"] = files.enter_context(row_writer(path, *size, unsure))
            if confidence:
                plain = Layout(1, "uint8", 0, {})
                writers["confidence"] = files.enter_context(row_writer(confidence, *size, plain, cog=False))

            def write(done: dict[str, NDArray[Any]]) -> None:
                for name, writer in writers.items():
                    writer.write(done[name])

            send = files.enter_context(behind(write))
            for strip in stream(rows, members, len(table), config):
                planes = strip.probabilities.permute(2, 0, 1)[None]
                classes = likeliest(planes, config.threshold, ensemble.fit)[0].cpu().numpy()
                classes[~strip.rows.valid] = IGNORE
                send(_pixels(strip, classes, writers, ensemble.fit))
                thumbnail.add_image(strip.start, strip.rows.raw[0], strip.rows.valid)
                if decisions:
                    decisions.see(classes, strip.probabilities.cpu().numpy() if decisions.needs_probabilities else None)
                else:
                    thumbnail.add_classes(strip.start, classes)
                tick((strip.start + len(classes)) * scene.width)
            # The blended rows of a wide scene are large, and what follows needs room of its own.
            del strip, planes
        if decisions:
            with row_writer(job.class_raster, *size, layout) as final:
                start = 0
                for decided in decisions.rewritten(first):
                    final.write(decided)
                    thumbnail.add_classes(start, decided)
                    start += len(decided)
        if confidence:
            _vectors(job, confidence, place_of(scene.georeference), ensemble, wanted, report)
    halved = [m.predictor.room for m in members if m.predictor.room]
    if halved:
        report.warnings.append(f"out of memory: windows went through the network {min(halved)} at a time")
    if wanted.quicklook:
        path = job.beside("_quicklook.png")
        save_quicklook(path, stretch(thumbnail.gray, thumbnail.valid), thumbnail.classes, table)
        report.outputs.append(path)
    return report


def _looking(scene: Image, member: Member) -> Look:
    """Shows a scene as a member of the ensemble scales it."""
    return lambda rows, columns, valid: member.scaling.to_unit(scene.window(rows, columns).raw, valid, member.limits)


def _limits(rows: SceneRows, dtype: np.dtype[Any], ensemble: Ensemble, report: Report) -> list[Limits | None]:
    """The limits of each member for this scene, and a warning where its pixels are unlike the training set's."""
    sample = rows.sample()
    limits = [
        measure([transform(sample, m.scaling.config.kind)], m.scaling.config)
        if m.scaling.config.basis == "scene"
        else None
        for m in ensemble.members
    ]
    distance, warnings = ensemble.unlike(dtype, sample, limits)
    report.warnings += warnings
    if distance is not None:
        report.facts["distance_from_training"] = round(distance, 4)
    return limits


def _pixels(
    strip: Strip, classes: NDArray[np.uint8], wanted: Collection[str], fit: Fit | None
) -> dict[str, NDArray[Any]]:
    """What the files of a strip hold, by name; probabilities are calibrated."""
    found: dict[str, NDArray[Any]] = {"classes": classes}
    if "probabilities" in wanted or "uncertainty" in wanted:
        likely = calibrated(strip.probabilities, fit, 2)
    if "probabilities" in wanted:
        planes = likely.permute(2, 0, 1).cpu().numpy()
        found["probabilities"] = np.where(strip.rows.valid, planes, np.float32(np.nan))
    if "uncertainty" in wanted:
        found["uncertainty"] = in_steps(uncertainty(likely, 2), strip.rows.valid)
    if "confidence" in wanted:
        row, column = np.nonzero((classes > 0) & (classes != IGNORE))
        device = strip.probabilities.device
        where = [torch.from_numpy(i).to(device) for i in (row, column, classes[row, column].astype(np.int64))]
        chosen = calibrated(strip.probabilities[where[0], where[1]], fit).gather(1, where[2][:, None])[:, 0]
        found["confidence"] = np.zeros(classes.shape, np.uint8)
        found["confidence"][row, column] = (chosen * 255).round().cpu().numpy()
    return found


def in_steps(share: torch.Tensor, valid: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """Shares 0–1 (H, W) as uint8 0–254, 255 where not valid."""
    return np.where(valid, (share * 254).round().to(torch.uint8).cpu().numpy(), np.uint8(IGNORE))


def _vectors(job: Job, confidence: Path, place: Place, ensemble: Ensemble, wanted: Wanted, report: Report) -> None:
    """Write the polygons of a finished class raster, and their style."""
    config, table = ensemble.config, ensemble.classes
    found = trace(
        job.class_raster,
        confidence,
        place,
        table,
        simplify=config.simplify,
        fill_holes=config.fill_holes,
        min_area_m2=config.min_area_m2,
    )
    path = job.beside(f".{wanted.vectors}")
    write_vectors(path, found.shapes, found.table, found.crs)
    style = job.beside(".qml")
    write_style(style, table)
    report.outputs += [path, style]
    if place.warning:
        report.warnings.append(place.warning)
    if place.accuracy_m is not None:
        report.facts["accuracy_m"] = round(place.accuracy_m, 1)
    if found.valid_km2 is not None:
        areas = found.table.groupby("class")["area_m2"].sum() / 1e6
        report.facts["valid_km2"] = round(found.valid_km2, 6)
        report.facts["km2"] = {table.names[i]: round(float(areas.get(i, 0.0)), 6) for i in range(1, len(table))}
    report.facts["objects"] = int(found.table["object"].nunique())
