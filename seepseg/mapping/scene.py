"""One scene to files, however large, strip by strip."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, closing
from functools import partial

import numpy as np
from numpy.typing import NDArray

from seepseg.data.scaling import Limits, measure, thin, transform
from seepseg.data.source import open_pixels
from seepseg.geo.land import open_masks
from seepseg.geo.mask import RowMask
from seepseg.inference.located import around_in
from seepseg.inference.stream import Member, Rows, Strip, stream
from seepseg.io.image import Image
from seepseg.mapping.ensemble import Ensemble
from seepseg.mapping.jobs import Job
from seepseg.mapping.objectwise import ObjectDecisions, SceneClassifier
from seepseg.mapping.outputs import Report, Wanted, write_outputs

SAMPLE = 500_000
"""Valid pixels that a scene's limits are measured on; the error of a percentile is then a thousandth of the range."""

CHUNK, CHUNKS = 4, 64
"""Rows read at once to measure them, and how many times."""

EVERY = 8
"""Of the rows that pass, every so many are measured."""


class SceneRows:
    """A scene as the engine reads it: raw pixels, and where they are valid and not masked."""

    def __init__(self, scene: Image, mask: RowMask | None) -> None:
        self._scene, self._mask = scene, mask
        self.height, self.width, self.chunk = scene.height, scene.width, scene.chunk
        self._sample: list[NDArray[np.generic]] = []

    def read(self, start: int, stop: int) -> Rows:
        """Rows `start` … `stop` − 1."""
        rows = self._rows(start, stop)
        every = EVERY if rows.valid[::EVERY].any() else 1
        pixels = rows.raw[:, ::every][:, rows.valid[::every]]
        # A copy: a view would keep all of them.
        self._sample.append(thin(pixels, SAMPLE * rows.height // self.height).copy())
        return rows

    def passing(self) -> NDArray[np.generic]:
        """Valid raw pixels (C, n), at most about `SAMPLE`, of the rows read so far."""
        return np.concatenate(self._sample, axis=1)

    def sample(self) -> NDArray[np.generic]:
        """Valid raw pixels (C, n), at most about `SAMPLE`, of full-resolution rows at even distances.

        Never of overviews, which average speckle away. If no pixel of these rows is valid, the rows between are read.
        """
        starts = range(0, self.height, CHUNK)
        step = max(1, len(starts) // CHUNKS)
        for first in range(step):
            parts = []
            for start in starts[first::step]:
                rows = self._rows(start, min(start + CHUNK, self.height))
                parts.append(thin(rows.raw[:, rows.valid], SAMPLE // CHUNKS).copy())
            pixels = np.concatenate(parts, axis=1)
            if pixels.shape[1]:
                break
        return pixels

    def _rows(self, start: int, stop: int) -> Rows:
        raw, valid = self._scene.rows(start, stop)
        # Training refuses NaN; a map can leave it out.
        if raw.dtype.kind == "f":
            valid = valid & np.isfinite(raw).all(0)
        if self._mask is not None:
            valid = valid & ~self._mask(start, stop)
        return Rows(raw, valid)


def predict_scene(
    job: Job, ensemble: Ensemble, wanted: Wanted, tick: Callable[[int], None] = lambda pixels: None
) -> Report:
    """Predict one scene, however large, and write what is wanted; `tick` is called with the number of pixels done.

    Raises:
        DataError: the scene cannot be read.
        ConfigError: the mask cannot be read, or an output is not writable.
        ResourceError: disk or memory ran out.
    """
    with open_pixels(ensemble.source, job.source) as scene, ExitStack() as stack:
        rows = SceneRows(scene, stack.enter_context(open_masks(scene, wanted.mask, wanted.land)))
        limits = _limits(rows, ensemble)
        members = ensemble.with_limits(limits)
        every_pixel = wanted.every_pixel
        strips = stream(rows, members, len(ensemble.classes), ensemble.config, ensemble.fit, every_pixel=every_pixel)
        # Where writing fails, reading must end before the scene is closed.
        stack.enter_context(closing(strips))
        report = write_outputs(
            job, scene, _ticked(strips, tick), ensemble, wanted, _decisions(job, scene, ensemble, members)
        )
    distance, warnings = ensemble.unlike(scene.dtype, rows.passing(), limits)
    report.add_distance(distance, [*warnings, *ensemble.halved])
    return report


def _limits(rows: SceneRows, ensemble: Ensemble) -> list[Limits | None]:
    """The limits of each member for a scene, which is read for them only where one is scaled by it."""
    if not ensemble.by_scene:
        return [None] * len(ensemble.members)
    sample, configs = rows.sample(), [member.scaling.config for member in ensemble.members]
    return [measure([transform(sample, c.kind)], c) if c.basis == "scene" else None for c in configs]


def _ticked(strips: Iterable[Strip], tick: Callable[[int], None]) -> Iterator[Strip]:
    for strip in strips:
        yield strip
        tick((strip.start + strip.rows.height) * strip.rows.width)


def _decisions(job: Job, scene: Image, ensemble: Ensemble, members: Sequence[Member]) -> ObjectDecisions | None:
    """Decisions on whole objects; None where every pixel is decided alone."""
    config, shown = ensemble.config, members[ensemble.shown]
    classifier = None
    if ensemble.objects:
        classifier = SceneClassifier(
            ensemble.objects,
            lambda rows, columns, valid: shown.scaling.to_unit(scene.window(rows, columns).raw, valid, shown.limits),
            partial(around_in, ensemble.objects, ensemble.source.tile(job.source, job.name).group, scene),
        )
    if not (classifier or config.vote or config.min_pixels > 1):
        return None
    return ObjectDecisions(config, len(ensemble.classes), classifier)
