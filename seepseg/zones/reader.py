"""All that scenes show, from the records kept of them: a table of slicks, and the view of each pass."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from seepseg.errors import DataError
from seepseg.geo.frame import Field, Frame
from seepseg.machine.progress import Tick
from seepseg.passes.record import KEPT, Record, record_of, view_of
from seepseg.passes.scenes import Pass, Scene
from seepseg.passes.view import REASONS, UNOBSERVABLE, Judge, View, merged
from seepseg.review.edits import Edits


@dataclass(frozen=True)
class Slicks:
    """All slicks, in the order of passes and scenes.

    Attributes:
        table: (n) rows: scene, pass, time, platform, `KEPT`, `reason` ("" where it tells something), x and y of the
            middle, `is_origin`, and what was said of it.
        passes: (n) number of the pass of each.
        points: (n, 4, 2) middle, ends and origin of each; NaN where it has none.
        windows: rows and columns of the grid that each scene shows.
        classes: names of the foreground.
    """

    table: pd.DataFrame
    passes: NDArray[np.int64]
    points: Field
    windows: list[tuple[slice, slice]]
    classes: tuple[str, ...]


class Reader:
    """The records of scenes, and the views of passes made of them.

    Attributes:
        frame: what all share.
        measured: `Record.measured` of each scene read so far.
        used: records that are needed.
    """

    def __init__(self, frame: Frame, cache: Path, judges: Sequence[Judge], edits: Edits) -> None:
        self.frame, self._cache, self._judges, self._edits = frame, cache, judges, edits
        self.measured, self.used = dict[str, Field](), dict[str, Path]()

    def slicks(self, passes: Sequence[Pass], tick: Tick) -> Slicks:
        """All slicks, with what was said of them.

        Raises:
            DataError: two scenes have different classes, or an output of one cannot be read.
        """
        tables, points, windows = list[pd.DataFrame](), list[Field](), list[tuple[slice, slice]]()
        first: tuple[Scene, tuple[str, ...]] | None = None
        scenes = [(number, one, scene) for number, one in enumerate(passes) for scene in one.scenes]
        for done, (number, one, scene) in enumerate(scenes, 1):
            record = self._record(scene)
            first = first or (scene, record.classes)
            if record.classes != first[1]:
                what = f"its classes ({', '.join(record.classes[1:])}) are not those of {first[0].raster}"
                raise DataError(what, scene.raster, "give predictions of one class table at a time")
            identity = scene.identity
            said = {
                "scene": scene.name, "pass": one.name, "acquired": identity.acquired, "platform": identity.platform,
                "number": number, "reason": _hidden(record, self.frame),
            }  # fmt: skip
            tables.append(record.slicks.assign(**said))
            points.append(record.points)
            windows.append(record.view.window)
            tick(done, len(scenes))
        assert first
        every = np.concatenate(points)
        table = pd.concat(tables, ignore_index=True)
        numbers = table["number"].to_numpy(np.int64)
        table = table[["scene", "pass", "acquired", "platform", *KEPT, "reason"]]
        table = table.assign(x=every[:, 0, 0], y=every[:, 0, 1], is_origin=np.isfinite(every[:, 3, 0]))
        return Slicks(table.join(self._edits.on(table)), numbers, every, windows, first[1][1:])

    def of_pass(self, one: Pass) -> tuple[View, list[Field]]:
        """What a pass shows, and the borders of its scenes, which were read."""
        views, borders = zip(*(view_of(self.used[scene.name]) for scene in one.scenes), strict=True)
        return merged(views), list(borders)

    def _record(self, scene: Scene) -> Record:
        """The record of a scene, made where there is none."""
        left_out = self._edits.left_out(scene.name)
        record, path = record_of(scene, self.frame, self._cache, self._judges, left_out)
        self.used[scene.name], self.measured[scene.name] = path, record.measured
        return record


def _hidden(record: Record, frame: Frame) -> NDArray[Any]:
    """Why each slick (n) of a record tells nothing, "" where it does: look-alikes fill calm seas."""
    middles = record.points[:, 0]
    codes = record.view.at(frame.cells(np.where(np.isfinite(middles), middles, 0.0)))
    return np.where(np.isin(codes, UNOBSERVABLE), np.array(REASONS, object)[codes], "")
