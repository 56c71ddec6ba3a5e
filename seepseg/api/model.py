"""A trained network, or several averaged, from a run on disk: prediction and scores."""

from __future__ import annotations

import logging
import os
import weakref
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from seepseg.api.arguments import check_threshold, file_of, name_of
from seepseg.api.arrays import Image, raster_of, write_raster
from seepseg.api.inputs import WIDEST_MARGIN, with_table
from seepseg.api.prediction import Made, Prediction, why_no_polygons
from seepseg.config import Predict, plain
from seepseg.data.source import open_pixels, source_of
from seepseg.errors import ConfigError, SeepsegError
from seepseg.geo.land import open_masks
from seepseg.inference.labelled import open_parts
from seepseg.io.atomic import temporary_folder
from seepseg.io.files import local_path, stamp
from seepseg.machine.device import choose_device, runtime_for, set_threads
from seepseg.machine.progress import Tick, silent
from seepseg.mapping.ensemble import Ensemble, load_ensemble
from seepseg.mapping.jobs import check_inputs, plan, with_channels
from seepseg.mapping.outputs import Report, Wanted
from seepseg.mapping.scene import SceneRows
from seepseg.mapping.units import Recipe, cut_units, predict_unit
from seepseg.runs.checkpoint import load_checkpoint
from seepseg.runs.find import find_checkpoints, fold_folder

if TYPE_CHECKING:
    from seepseg.evaluation.summary import Summary

logger = logging.getLogger("seepseg")

SPLITS = ("val", "test", "train", "all", "oof")


def load(run: str | os.PathLike[str], fold: int | None = None, device: str = "auto") -> Model:
    """The model of a run, ready to predict.

    Examples:
        >>> import seepseg
        >>> model = seepseg.load("demo/seep/run")
        >>> model.class_names[:3]
        ('background', 'seep 1', 'seep 2')

    Args:
        run: a run folder, a fold of one, or a `.pt` file, as on the command line; the networks of a folder with folds
            are averaged.
        fold: one fold of a run with folds.
        device: "auto" (the GPU where there is one), "cpu", "cuda" or "cuda:1".

    Raises:
        ConfigError: there is no such run, fold or device.
        CheckpointError: a checkpoint is damaged.
    """
    return Model(fold_folder(local_path(os.fspath(run)), fold), device)


class Model:
    """A trained network, or the averaged folds of a run; `seepseg.load` and `seepseg.train` give one.

    Networks are read when they are first needed, and stay in memory. One thread at a time may use a model.

    Attributes:
        run: its folder or `.pt` file.
    """

    def __init__(self, run: Path, device: str = "auto") -> None:
        self.run = run
        self._paths = tuple(find_checkpoints(run))
        checkpoint = load_checkpoint(self._paths[0])
        self._config, self._classes = checkpoint.config, checkpoint.classes
        self._runtime, self._device = runtime_for(checkpoint.config.runtime, device), device
        choose_device(device)
        self._ensembles: dict[tuple[bool, bool], Ensemble] = {}

    def __repr__(self) -> str:
        networks = f"{len(self._paths)} networks" if len(self._paths) > 1 else "one network"
        return f"<seepseg.Model of {self.run}: {networks}, {len(self.class_names)} classes, {self.bands} band(s)>"

    @property
    def class_names(self) -> tuple[str, ...]:
        """Names of the K classes by their index, background first."""
        return self._classes.names

    @property
    def bands(self) -> int:
        """How many bands an array must have."""
        return len(self._config.data.bands or (1,))

    @property
    def config(self) -> dict[str, Any]:
        """The resolved config that it was trained with, as plain values."""
        return plain(self._config)

    def predict(
        self,
        image: Image,
        *,
        probabilities: bool = False,
        polygons: bool = True,
        tta: bool = False,
        threshold: float | None = None,
        fitted: bool = True,
        mask: str | os.PathLike[str] | None = None,
        land: float | None = None,
        name: str | None = None,
        crs: Any = None,
        transform: Any = None,
        nodata: float | None = None,
        progress: Tick = silent,
    ) -> Prediction:
        """The class map of one image: what `seepseg predict` makes of it, bit for bit.

        An array is predicted as a GeoTIFF of the same pixels would be: (H, W), or (C, H, W), bands first, where the run
        reads several bands; uint8, uint16, int16 or float (float64 is rounded to float32, in which networks compute).
        NaN, masked pixels of a masked array, and `nodata` are no data. An array no larger than a window
        (`predict.window`, 512 unless the config says otherwise) is a tile, which has polygons only where it has a place
        on the map.

        Examples:
            >>> import numpy as np, seepseg
            >>> model = seepseg.load("demo/seep/run")
            >>> tile = np.random.default_rng(0).integers(100, 3000, (256, 256)).astype(np.uint16)
            >>> prediction = model.predict(tile)
            >>> prediction.classes.shape
            (256, 256)
            >>> model.predict("demo/seep/scene.tif", tta=True, land=1000).crs[:6]
            'PROJCS'

        Args:
            image: a TIFF, PNG, JPEG or Sentinel-1 GRD product by its path, a numpy array, or an `xarray.DataArray`,
                whose place and no-data value are taken from its coordinates and attributes.
            probabilities: keep the probabilities of all classes too.
            polygons: trace polygons, and draw a quick-look.
            tta: average over the test-time flips of the config.
            threshold: foreground where 1 − P(background) reaches this.
            fitted: decode with the fit of `seepseg eval --fit`, where the run has one and `threshold` is not given.
            mask: raster or polygons of what is left out.
            land: leave out land, and so many metres of sea along it.
            name: of an array, for its files and tables; "array" unless given.
            crs: of an array: what `pyproj.CRS` understands, "EPSG:32634" say.
            transform: of an array: an `affine.Affine`, or its six numbers (a, b, c, d, e, f).
            nodata: of an array: the value of pixels without data.
            progress: called with the pixels done, and of how many.

        Raises:
            DataError: the image cannot be read, or an array has another shape or type; the line says which would do.
            ConfigError: an option is none, or an output is not writable.
            ResourceError: memory or disk ran out.
        """
        check_threshold(threshold)
        if land is not None and not 0 <= land <= WIDEST_MARGIN:
            raise ConfigError(f"{land} is no distance", "land", f"give metres, 0 to {WIDEST_MARGIN}")
        wanted = Wanted(
            probabilities=probabilities,
            vectors=(".gpkg",) if polygons else (),
            mask=None if mask is None else local_path(os.fspath(mask)),
            land=None if land is None else float(land),
        )
        recipe = Recipe(
            self._paths, self._runtime, self._decoding(threshold), tta, wanted, threshold is None and fitted
        )
        with ExitStack() as stack:
            folder = stack.enter_context(temporary_folder())
            ensemble = self._ensemble(recipe)
            if isinstance(image, (str, os.PathLike)):
                if (name, crs, transform, nodata) != (None,) * 4:
                    raise ConfigError("name, crs, transform and nodata are of arrays", image, "a file says its own")
                source = file_of(image)
            else:
                data = self._config.data
                raster = raster_of(image, data.bands, crs, transform, nodata)
                source = folder / f"{name_of(name)}.tif"
                write_raster(source, raster, data.names)
                # The bands of an array are those that are read, whichever they are in the files of the training set.
                bands = data.names or [*range(1, len(raster.pixels) + 1)]
                own = data.model_copy(update={"page": None, "bands": bands})
                ensemble = replace(ensemble, source=source_of(own))
            try:
                made = self._made(source, folder / "out", ensemble, recipe, progress)
            except SeepsegError as error:
                if error.where == str(source) and source.parent == folder:
                    error.where = f"the array {source.stem!r}"
                raise
            prediction = Prediction(made)
            weakref.finalize(prediction, stack.pop_all().close)
        for line in prediction.warnings:
            logger.warning("%s: %s", prediction.name, line)
        return prediction

    def evaluate(
        self,
        split: str = "val",
        *,
        data: str | os.PathLike[str] | None = None,
        tta: bool = False,
        threshold: float | None = None,
        fitted: bool = True,
        out: str | os.PathLike[str] | None = None,
        progress: Tick = silent,
    ) -> Summary:
        """Scores on labelled tiles: the numbers of `seepseg eval`, as typed values; None = not defined.

        Examples:
            >>> import seepseg
            >>> scores = seepseg.load("demo/seep/run").evaluate("val")
            >>> scores.macro.dice == scores.to_json()["macro"]["dice"]
            True
            >>> [(one.name, one.support_pixels > 0) for one in scores.classes][:2]
            [('seep 1', True), ('seep 2', True)]

        Args:
            split: "val", "test", "train" or "all" of the run's own data; "oof": every tile by the fold that has not
                seen it.
            data: score all labelled tiles below this root instead. Of a run of folds these, and a test part that all
                share, are scored as the averaged networks predict them.
            tta, threshold, fitted: as in `predict`.
            out: write the tables and figures of `seepseg eval` into this folder; nothing is written without.
            progress: called with the tiles done, and of how many.

        Raises:
            ConfigError: the part is empty or not known, or one that folds were trained on; these are scored by "oof",
                or each alone (`load(run, fold=0)`).
            DataError: the data are not where they were, or damaged.
        """
        from seepseg.evaluation.evaluate import Options, evaluate

        if split not in SPLITS:
            raise ConfigError(f"no part {split!r}", "split", f"give one of {', '.join(SPLITS)}")
        if split == "oof" and data is not None:
            raise ConfigError("oof is of the folds' own data", "split", "leave out data")
        check_threshold(threshold)
        root = None if data is None else local_path(os.fspath(data))
        parts = open_parts(self.run, split, self._device, data_root=root, tta=tta)
        options = Options(threshold=threshold, fitted=fitted, figures=out is not None)
        with ExitStack() as stack:
            where = stack.enter_context(temporary_folder()) if out is None else local_path(os.fspath(out))
            name = split if root is None else f"data-{root.resolve().name}"
            return evaluate(parts, name, where, options, progress)

    def _decoding(self, threshold: float | None) -> Predict:
        config = self._config.predict
        return config if threshold is None else config.model_copy(update={"threshold": float(threshold)})

    def _ensemble(self, recipe: Recipe) -> Ensemble:
        """The networks with the decoding of a recipe; those of one kind of decoding are read once."""
        kind = recipe.tta, recipe.fitted
        if kind not in self._ensembles:
            set_threads(self._runtime)
            self._ensembles[kind] = load_ensemble(
                self._paths, self._runtime, self._config.predict, tta=recipe.tta, fitted=recipe.fitted
            )
        ensemble = self._ensembles[kind]
        return ensemble if recipe.fitted else replace(ensemble, config=recipe.config)

    def _made(self, source: Path, out: Path, ensemble: Ensemble, recipe: Recipe, progress: Tick) -> Made:
        """The files of one input, in a folder of its own."""
        wanted, data = recipe.wanted, self._config.data
        jobs = plan([str(source)], out)
        check_inputs(jobs, wanted.mask)
        jobs = with_channels(jobs, data)
        if data.scenes:
            jobs = with_table(jobs, data.scenes, must=False, warn=logger.warning)
        if wanted.land is None and (left_out := getattr(data, "land", None)) is not None:
            logger.warning("the run has seen no land: leave it out with land=%g, as in training", left_out)
        [unit] = cut_units(jobs, ensemble)
        [job] = unit.jobs
        before = stamp(job.source, *job.channels)
        [report] = predict_unit(unit, ensemble, wanted, lambda pixels: progress(pixels, unit.pixels))
        if not isinstance(report, Report):
            raise report
        valid = None
        # The masks of the salt competition cannot say where there are no data.
        if job.png and len(ensemble.classes) == 2:
            with open_pixels(ensemble.source, job.source) as image, open_masks(image, wanted.mask, wanted.land) as mask:
                valid = SceneRows(image, mask).read(0, image.height).valid
        key = recipe.key(ensemble)
        return Made(job, report, ensemble.classes, key, unit.digest, before, valid, why_no_polygons(report, wanted))
