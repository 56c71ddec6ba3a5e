"""A prediction: class map, probabilities, polygons, and the files of `seepseg predict`."""

from __future__ import annotations

import filecmp
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from seepseg.api.findings import geo_frame, read_table, typed
from seepseg.classes import ClassTable
from seepseg.errors import ConfigError, DataError
from seepseg.figures.pictures import colorize
from seepseg.geo.vector import read_vectors
from seepseg.io.atomic import atomic_path
from seepseg.io.files import MAX_SCENE, local_path
from seepseg.io.image import read_image
from seepseg.io.raster import Georeference, raster_header
from seepseg.mapping.findings import write_findings
from seepseg.mapping.jobs import Job
from seepseg.mapping.manifest import Manifest
from seepseg.mapping.outputs import Report, Wanted
from seepseg.runs.folder import folder_lock

if TYPE_CHECKING:
    from geopandas import GeoDataFrame


@dataclass(frozen=True)
class Made:
    """Files of one input, as `mapping` made them.

    Attributes:
        job: says where they lie.
        report: which they are, and what is to be said of them.
        classes: their class table.
        key, unit, stamp: what the manifest says of them.
        valid: where there are data (H, W), for a class raster that cannot say so; else None.
        why: why there are no polygons, where there are none.
    """

    job: Job
    report: Report
    classes: ClassTable
    key: str
    unit: str
    stamp: list[int] | None
    valid: NDArray[np.bool_] | None
    why: str


class Prediction:
    """What a model says of one image; `Model.predict` makes it.

    Maps and tables lie in a temporary folder (`TMPDIR` says where) until the prediction is deleted, and are read when
    they are asked for, so that an image may be larger than memory as long as its arrays are not asked for.

    Examples:
        >>> import seepseg
        >>> prediction = seepseg.load("demo/seep/run").predict("demo/seep/scene.tif", probabilities=True)
        >>> prediction.classes.dtype, prediction.classes.shape == prediction.probabilities.shape[1:]
        (dtype('uint8'), True)
        >>> prediction.class_names[:2], len(prediction.probabilities)
        (('background', 'seep 1'), 8)
        >>> prediction.transform
        (10.0, 0.0, 400000.0, 0.0, -10.0, 3100000.0)
    """

    def __init__(self, made: Made) -> None:
        self._made = made

    def __repr__(self) -> str:
        georeference = "no georeference" if self.crs is None else "georeferenced"
        return f"<seepseg.Prediction of {self.name!r}: {len(self.class_names)} classes, {georeference}>"

    @property
    def name(self) -> str:
        """Name of the image, which its files begin with."""
        return self._made.job.name

    @property
    def class_names(self) -> tuple[str, ...]:
        """Names of the K classes by their index, background first."""
        return self._made.classes.names

    @property
    def warnings(self) -> tuple[str, ...]:
        """What to know before relying on it, such as pixels unlike those of the training; also in the log."""
        return tuple(self._made.report.warnings)

    @cached_property
    def classes(self) -> NDArray[np.uint8]:
        """Class indices (H, W); 255 where there are no data."""
        raw = read_image(self._made.job.class_raster, labels=True, max_pixels=MAX_SCENE)[0].raw[0]
        if self._made.valid is None:
            return np.asarray(raw, np.uint8)
        return np.where(self._made.valid, raw > 0, 255).astype(np.uint8)

    @cached_property
    def probabilities(self) -> NDArray[np.float32]:
        """Probabilities (K, H, W), background first; NaN where there are no data.

        Raises:
            ConfigError: they were not asked for with `predict(..., probabilities=True)`.
        """
        path = self._made.job.beside("_prob.tif")
        if path not in self._made.report.outputs:
            raise ConfigError("no probabilities were asked for", self.name, "give predict(…, probabilities=True)")
        pixels, _ = read_image(path, bands=range(1, len(self.class_names) + 1), max_pixels=MAX_SCENE)
        return np.asarray(pixels.raw, np.float32)

    @property
    def rgb(self) -> NDArray[np.uint8]:
        """The class map in the colours of the classes (H, W, 3), to look at: no data is grey."""
        return colorize(self.classes, self._made.classes)

    @property
    def crs(self) -> str | None:
        """Coordinate system of the image, or of its control points, as WKT; None without georeference."""
        return self._georeference.crs_wkt or self._georeference.gcps_crs_wkt

    @property
    def transform(self) -> tuple[float, float, float, float, float, float] | None:
        """(a, b, c, d, e, f) of x = a·column + b·row + c, y = d·column + e·row + f; None where there is none."""
        return self._georeference.transform

    @property
    def gcps(self) -> tuple[tuple[float, float, float, float, float], ...]:
        """Ground control points (row, column, x, y, z); empty where there are none."""
        return self._georeference.gcps

    @cached_property
    def polygons(self) -> GeoDataFrame:
        """The polygons of `<name>.gpkg` with their measures, in the coordinates of the image.

        docs/howto-polygons.md explains the columns.

        Raises:
            ConfigError: geopandas is not installed (`pip install "seepseg[geo]"`), or no polygons were asked for.
            DataError: the image has no place on the map, or far too many polygons.
        """
        shapes, table, crs = read_vectors(self._vectors())
        return geo_frame(shapes, typed(table), crs)

    @cached_property
    def findings(self) -> pd.DataFrame:
        """The same polygons as rows of `findings.csv`, without outlines; errors as `polygons`, geopandas aside."""
        folder = self._vectors().parent
        _note(self._made, folder)
        return read_table(folder / "findings.csv")

    def save(self, folder: str | os.PathLike[str], *, overwrite: bool = False) -> Path:
        """Write the files that `seepseg predict` writes of the same input, byte for byte, into a folder; its path.

        Predictions of one model with the same options may be saved in one folder: `findings.csv` and `findings.gpkg`
        are then of all of them.

        Examples:
            >>> import seepseg
            >>> folder = seepseg.load("demo/seep/run").predict("demo/seep/scene.tif").save("maps")
            >>> sorted(path.name for path in folder.glob("scene*"))
            ['scene.gpkg', 'scene_class.tif', 'scene_quicklook.png', 'scenes.csv']

        Args:
            folder: is made where it is missing.
            overwrite: replace files of this name that hold something else, and the findings of another model.

        Raises:
            ConfigError: the folder is not writable, or holds other files of this name, or other predictions.
            ResourceError: the disk is full, or fails.
            LockedError: another process writes there.
        """
        made, out = self._made, local_path(os.fspath(folder))
        job = replace(made.job, out=out)
        files = {path: out / path.relative_to(made.job.out) for path in made.report.outputs}
        with folder_lock(out):
            noted = Manifest(out, made.key).latest().values()
            if not overwrite and any(line.get("key", "") not in ("", made.key) for line in noted):
                what, fix = "holds predictions by another model, or with other options", "give another folder"
                raise ConfigError(what, out, f"{fix}, or overwrite=True")
            for source, target in files.items():
                if not overwrite and target.exists() and not filecmp.cmp(source, target, shallow=False):
                    raise ConfigError(
                        "is there, and holds something else", target, "give overwrite=True, or another folder"
                    )
            for source, target in files.items():
                with atomic_path(target) as temporary:
                    shutil.copyfile(source, temporary)
            _note(replace(made, job=job, report=replace(made.report, outputs=list(files.values()))), out)
        return out

    @cached_property
    def _georeference(self) -> Georeference:
        return raster_header(self._made.job.class_raster)[0]

    def _vectors(self) -> Path:
        path = self._made.job.beside(".gpkg")
        if path in self._made.report.outputs:
            return path
        if not self._made.why:
            raise ConfigError("no polygons were asked for", self.name, "give predict(…, polygons=True)")
        raise DataError(f"no polygons: {self._made.why}", self.name, "look at `classes`, or give crs and transform")


def _note(made: Made, out: Path) -> None:
    """Write a prediction down in the manifest of a folder, and the findings of all that the same model left there."""
    manifest = Manifest(out, made.key)
    earlier = manifest.latest().get(made.job.name)
    manifest.begin()
    manifest.add(made.job, made.report, made.unit, made.stamp, earlier)

    def lines() -> Mapping[str, Mapping[str, Any]]:
        return {name: line for name, line in manifest.latest().items() if line.get("key") == made.key}

    if any(path.suffix == ".gpkg" for path in made.report.outputs):
        jobs = [Job(Path(name), name, out, False) for name in lines()]
        write_findings(jobs, lines, out, made.classes)


def why_no_polygons(report: Report, wanted: Wanted) -> str:
    """Why there are no polygons, though they were wanted; empty where there are, or they were not."""
    if not wanted.vectors or any(path.suffix == ".gpkg" for path in report.outputs):
        return ""
    return next((line for line in report.warnings if "polygons" in line), "a tile without a place on the map has none")
