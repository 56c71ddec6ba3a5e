"""One scene to files, however large, strip by strip."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack

import numpy as np
from numpy.typing import NDArray

from seepseg.classes import IGNORE
from seepseg.data.scaling import Limits, measure, thin, transform
from seepseg.data.source import open_pixels
from seepseg.geo.mask import RowMask, open_mask
from seepseg.inference.decode import most_probable
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

        Never of overviews, which average speckle away. If no pixel of these rows is valid, the rows between are read.
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
    """Predict one scene, however large, and write what is wanted; `tick` is called with the number of pixels done.

    Raises:
        DataError: the scene cannot be read.
        ConfigError: the mask does not fit, or an output is not writable.
        ResourceError: disk or memory ran out.
    """
    with open_pixels(ensemble.source, job.source) as scene, ExitStack() as stack:
        rows = SceneRows(scene, stack.enter_context(open_mask(wanted.mask, scene)) if wanted.mask else None)
        sample = rows.sample()
        limits = _limits(sample, ensemble)
        distance, warnings = ensemble.unlike(scene.dtype, sample, limits)
        members = ensemble.with_limits(limits)
        strips = _classified(stream(rows, members, len(ensemble.classes), ensemble.config), ensemble, tick)
        report = write_outputs(job, scene, strips, ensemble, wanted, _decisions(scene, ensemble, members))
    report.add_distance(distance, [*warnings, *ensemble.halved])
    return report


def _limits(sample: NDArray[np.generic], ensemble: Ensemble) -> list[Limits | None]:
    """The limits of each member for a scene with these pixels (C, n)."""
    configs = [member.scaling.config for member in ensemble.members]
    return [measure([transform(sample, c.kind)], c) if c.basis == "scene" else None for c in configs]


def _classified(
    strips: Iterable[Strip], ensemble: Ensemble, tick: Callable[[int], None]
) -> Iterator[tuple[Strip, NDArray[np.uint8]]]:
    """Strips with their class indices (n, W), 255 = no data."""
    for strip in strips:
        planes = strip.probabilities.permute(2, 0, 1)[None]
        classes = most_probable(planes, ensemble.config.threshold, ensemble.fit)[0].cpu().numpy()
        classes[~strip.rows.valid] = IGNORE
        yield strip, classes
        tick((strip.start + len(classes)) * classes.shape[1])


def _decisions(scene: Image, ensemble: Ensemble, members: Sequence[Member]) -> ObjectDecisions | None:
    """Decisions on whole objects; None where every pixel is decided alone."""
    config, shown = ensemble.config, members[ensemble.shown]
    classifier = None
    if ensemble.objects:
        classifier = SceneClassifier(
            ensemble.objects,
            lambda rows, columns, valid: shown.scaling.to_unit(scene.window(rows, columns).raw, valid, shown.limits),
        )
    if not (classifier or config.vote or config.min_pixels > 1):
        return None
    return ObjectDecisions(config, len(ensemble.classes), classifier)
