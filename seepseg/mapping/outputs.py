"""The wanted outputs of an input, the report on it, and the one set of writers that scenes and tiles share."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from seepseg.classes import IGNORE
from seepseg.figures.sheets import QuickLook
from seepseg.geo.grid import Grid, Sheet, sheet_of, warped
from seepseg.geo.identity import identity_of, with_identity
from seepseg.geo.place import Place, place_of
from seepseg.inference.decode import calibrated, sure, uncertainty
from seepseg.inference.located import Placing
from seepseg.inference.stream import Strip
from seepseg.io.atomic import TEMPORARY_PREFIX, scratch_path
from seepseg.io.cog import Layout, class_layout, probability_layout, row_writer, uncertainty_layout
from seepseg.io.image import Image
from seepseg.io.images import write_class_png, write_png
from seepseg.io.raster import raster_rows, raster_windows
from seepseg.machine.ahead import behind
from seepseg.machine.device import give_back_memory
from seepseg.mapping.ensemble import Ensemble
from seepseg.mapping.jobs import Job
from seepseg.mapping.layers import layers_of, write_polygons
from seepseg.mapping.objectwise import ObjectDecisions
from seepseg.mapping.polygons import NoisyMapError, trace
from seepseg.metrics.grades import grades_text
from seepseg.sentinel1.coarse import SIGMA0, SeaMeans

ROWS = 512
"""Rows read at once when a finished raster is written in another form."""


@dataclass(frozen=True)
class Wanted:
    """Which outputs are written in addition to the class raster.

    Attributes:
        probabilities: `<stem>_prob.tif`, one band per class.
        vectors: suffixes of the files of polygons, of `geo.vector.FORMATS`; none for no polygons.
        quicklook: `<stem>_quicklook.png`.
        mask: raster or vector of what is left out, outside the area of interest for example.
        land: metres of sea that are left out along land, with the land; None leaves in both.
        uncertainty: `<stem>_uncertainty.tif`, 0 (sure) to 254, 255 = no data.
        image_format: of class rasters, as `jobs.plan` takes it.
        grid: `<stem>_map.tif`, the class raster on this map grid.
    """

    probabilities: bool = False
    vectors: tuple[str, ...] = (".gpkg",)
    quicklook: bool = True
    mask: Path | None = None
    land: float | None = None
    uncertainty: bool = False
    image_format: str = "auto"
    grid: Grid | None = None

    @property
    def every_pixel(self) -> bool:
        """Whether probabilities of all pixels are needed, not only where foreground may be."""
        return self.probabilities or self.uncertainty


@dataclass
class Report:
    """The result of one input, as the manifest records it.

    Attributes:
        outputs: the files made.
        warnings: what the user should know.
        facts: numbers worth keeping: distance from the training set, areas.
    """

    outputs: list[Path]
    warnings: list[str] = field(default_factory=list)
    facts: dict[str, Any] = field(default_factory=dict)

    def add_distance(self, distance: float | None, warnings: Sequence[str]) -> None:
        """Note the distance from the training set and what to warn of, as `Ensemble.unlike` gives them."""
        self.warnings += warnings
        if distance is not None:
            self.facts["distance_from_training"] = round(distance, 4)

    def add_placing(self, placing: Placing | None) -> None:
        """Note how many objects of the scene have their class with those of their place; warn where none has."""
        if placing:
            self.facts["placed"] = {"objects": placing.objects, "with_place": placing.placed}
            reason = f"classes of objects without those of their place: {placing.reason}"
            self.warnings += [reason] if placing.reason else []


def write_outputs(
    job: Job,
    image: Image,
    strips: Iterable[Strip],
    ensemble: Ensemble,
    wanted: Wanted,
    decisions: ObjectDecisions | None = None,
) -> Report:
    """Write what is wanted of one input, each file complete or absent; a tile is one strip.

    Args:
        job: says where the files go.
        image: the input; its size and georeference are read, so it may be closed.
        strips: its strips, from the first row to the last; with all probabilities where `wanted.every_pixel`.
        ensemble: what predicted them.
        wanted: which files.
        decisions: what changes the classes of whole objects, once all strips are there.

    Raises:
        ConfigError: an output is not writable, or the map grid far too fine.
        ResourceError: the disk is full, or fails.
    """
    table, identity = ensemble.classes, identity_of(image.georeference.tags, job.name, dict(job.said))
    tags = identity.tags | ensemble.tags
    sea = _sea(image, ensemble)
    place = place_of(image.georeference) if wanted.vectors or wanted.grid else None
    sheet = sheet_of(wanted.grid, place, image.height, image.width) if wanted.grid and place else None
    layout = class_layout(table.names, table.colors, tags)
    picture = QuickLook(image.height, image.width) if wanted.quicklook else None
    with ExitStack() as stack:
        scratch = partial(scratch_path, job.beside(".tif"))
        # Whole objects are decided, polygons traced, and maps warped, on a GeoTIFF.
        first = decisions is not None or (job.png and bool(wanted.vectors or sheet))
        raster = stack.enter_context(scratch()) if first else job.class_raster
        files = {"classes": (raster, layout)}
        if wanted.probabilities:
            files["probabilities"] = job.beside("_prob.tif"), probability_layout(table.names, tags)
        if wanted.uncertainty:
            files["uncertainty"] = job.beside(f"_uncertainty{job.class_raster.suffix}"), uncertainty_layout(tags)
        report = Report([job.class_raster, *(path for path, _ in list(files.values())[1:])], list(image.warnings))
        if identity.known:
            report.facts["identity"] = identity.known
        if wanted.land is not None:
            report.facts["land_margin_m"] = wanted.land
        if wanted.vectors:
            files["confidence"] = stack.enter_context(scratch()), Layout(1, "uint8", 0, {})
        with _writer(files, image, len(table)) as write:
            for strip in strips:
                write(_planes(strip, files, ensemble))
                if picture:
                    picture.add_image(strip.start, strip.rows.raw[0], strip.rows.valid)
                if picture and not first:
                    picture.add_classes(strip.start, strip.classes)
                if decisions:
                    decisions.see(strip)
                if sea:
                    sea.add(strip.start, strip.rows.raw[sea.band], strip.rows.valid, strip.classes != 0)
            if sea:
                layout.late[SIGMA0] = sea.lattice().tag(2)
            # The blended rows of a wide scene are large, and what follows needs room of its own.
            del strip
            give_back_memory()
        if first:
            with _writer({"classes": (job.class_raster, layout)}, image, len(table)) as write:
                start = 0
                for rows in decisions.rewritten(raster) if decisions else raster_rows(raster, ROWS):
                    write({"classes": rows})
                    if picture:
                        picture.add_classes(start, rows)
                    start += len(rows)
        finished = raster if job.png else job.class_raster
        if wanted.vectors and place:
            _write_polygons(job, (finished, files["confidence"][0]), place, ensemble, wanted.vectors, report)
        if sheet:
            report.outputs.append(job.beside("_map.tif"))
            _write_map(report.outputs[-1], finished, image, sheet, layout)
        elif wanted.grid:
            report.warnings.append("has no place on the map grid: no _map.tif")
        report.add_placing(decisions.placing if decisions else None)
    if picture:
        report.outputs.append(job.beside("_quicklook.png"))
        picture.save(report.outputs[-1], table)
    return report


def _sea(image: Image, ensemble: Ensemble) -> SeaMeans | None:
    """What averages σ0 of the sea in a Sentinel-1 product, for `seepseg zones --wind image`; None of anything else."""
    data = ensemble.source.data
    if image.kind != "SAFE" or "vv" not in data.names:
        return None
    centre = np.array([[image.width / 2, image.height / 2]])
    metres = float(np.sqrt(abs(np.linalg.det(place_of(image.georeference).metric(centre)[0]))))
    band, decibels = data.names.index("vv"), data.scaling.kind == "db"
    return SeaMeans(image.height, image.width, metres, band=band, decibels=decibels)


@contextmanager
def _writer(
    files: Mapping[str, tuple[Path, Layout]], image: Image, n_classes: int
) -> Iterator[Callable[[dict[str, NDArray[Any]]], None]]:
    """A function that appends rows to files, by the names of what they hold; the files are in place at the end.

    What has a hidden name is for our own use, and gets no overviews.
    """
    with ExitStack() as stack:
        writers = {}
        for name, (path, layout) in files.items():
            if path.suffix == ".png":
                save = partial(write_class_png, n_classes=n_classes) if name == "classes" else write_png
                writers[name] = stack.enter_context(_png_writer(path, save))
            else:
                size, cog = (image.georeference, image.height, image.width), not path.name.startswith(TEMPORARY_PREFIX)
                writers[name] = stack.enter_context(row_writer(path, *size, layout, cog=cog)).write

        def write(planes: dict[str, NDArray[Any]]) -> None:
            for name, append in writers.items():
                append(planes[name])

        yield stack.enter_context(behind(write))


@contextmanager
def _png_writer(path: Path, save: Callable[[Path, NDArray[Any]], None]) -> Iterator[Callable[[NDArray[Any]], None]]:
    """A function that takes the rows of a PNG, which is compressed whole."""
    rows: list[NDArray[Any]] = []
    yield rows.append
    save(path, np.concatenate(rows))


def _planes(strip: Strip, names: Collection[str], ensemble: Ensemble) -> dict[str, NDArray[Any]]:
    """What the files of a strip hold, by name; probabilities are calibrated."""
    planes: dict[str, NDArray[Any]] = {"classes": strip.classes}
    if strip.probabilities is not None:
        probabilities = calibrated(strip.probabilities, ensemble.fit, 2)
    if "probabilities" in names:
        bands = probabilities.permute(2, 0, 1).cpu().numpy()
        planes["probabilities"] = np.where(strip.rows.valid, bands, np.float32(np.nan))
    if "uncertainty" in names:
        steps = (uncertainty(probabilities, 2) * 254).round().to(torch.uint8).cpu().numpy()
        planes["uncertainty"] = np.where(strip.rows.valid, steps, np.uint8(IGNORE))
    if "confidence" in names:
        own = sure(strip.pixels.T[None, :, :, None], ensemble.config.threshold, ensemble.fit)[0, :, 0]
        planes["confidence"] = np.zeros(strip.classes.shape, np.uint8)
        planes["confidence"].ravel()[strip.where.cpu().numpy()] = own.cpu().numpy()
        planes["confidence"][(strip.classes == 0) | (strip.classes == IGNORE)] = 0
    return planes


def _write_map(path: Path, raster: Path, image: Image, sheet: Sheet, layout: Layout) -> None:
    """Write a finished class raster of an image on its sheet of a map grid."""
    place = replace(sheet.georeference, tags=image.georeference.tags)
    with (
        raster_windows(raster) as read,
        row_writer(path, place, sheet.height, sheet.width, layout) as writer,
    ):
        for rows in warped(read, image.height, image.width, sheet, IGNORE):
            writer.write(rows)


def _write_polygons(
    job: Job, rasters: tuple[Path, Path], place: Place, ensemble: Ensemble, vectors: Sequence[str], report: Report
) -> None:
    """Write the polygons and origins of finished rasters of classes and confidence; adds to the report."""
    config, table, grades = ensemble.config, ensemble.classes, ensemble.fit.grades if ensemble.fit else ()
    try:
        polygons = trace(
            *rasters,
            place,
            table,
            simplify=config.simplify,
            fill_holes=config.fill_holes,
            min_area_m2=config.min_area_m2,
            grades=grades,
        )
    except NoisyMapError as error:
        report.warnings.append(error.what)
        return
    columns = with_identity(polygons.table, report.facts.get("identity", {}))
    columns.insert(0, "scene", job.name)
    layers = layers_of(job.beside("").name, replace(polygons, table=columns), table, grades_text(grades))
    report.outputs += write_polygons(job.beside(""), layers, vectors)
    if place.warning:
        report.warnings.append(place.warning)
    if place.accuracy_m is not None:
        report.facts["accuracy_m"] = round(place.accuracy_m, 1)
    if polygons.valid_km2 is not None:
        areas = polygons.table.groupby("class")["area_m2"].sum() / 1e6
        report.facts["valid_km2"] = round(polygons.valid_km2, 6)
        report.facts["km2"] = {table.names[i]: round(float(areas.get(i, 0.0)), 6) for i in range(1, len(table))}
    if grades:
        report.facts["grades"] = [asdict(grade) for grade in grades]
    report.facts["objects"] = int(polygons.table["object"].nunique())
