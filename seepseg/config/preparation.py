"""The config of what is done with tiles before they train: splits, scaling, augmentation, sampling."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, model_validator

from seepseg.config.node import Fraction, Names, Node, Positive


class Split(Node):
    """Which tiles train, validate and test; a run keeps the answer in splits.csv.

    With `by: extent`, the polygons of `data.extent` say in their column split to which part their ground belongs:
    train, val, test or unused. A window goes where most of its pixels with a part belong, and its others are ignored.
    """

    by: Literal["group", "random", "file", "blocks", "extent"] = "group"
    """Whole scenes, single tiles, a table, blocks of ground, or polygons of `data.extent`."""
    val_fraction: Fraction = 0.2
    """Share that validates, as far as `val` leaves it open."""
    test_fraction: Fraction = 0.0
    """Share that is kept for testing, as far as `test` leaves it open."""
    val: Names | None = None
    """Scenes that validate; * and ? stand for any text."""
    test: Names | None = None
    """Scenes that are kept for testing."""
    folds: Annotated[int, Field(ge=2)] | None = None
    """Number of parts; fold k validates on part k and trains on the rest."""
    file: Path | None = None
    """CSV of id and split, or, with `folds`, of id and fold; by default `data.table` has them."""
    size: Positive | None = None
    """Side of a block in metres (pixels, where scenes have no georeference)."""
    margin: Annotated[float, Field(ge=0)] = 0.0
    """Training tiles that come closer than this to a block of another side are unused."""
    allow_missing_classes: bool = False
    """Accepts that a class is not in training."""
    allow_leak: bool = False
    """Accepts one scene, or one acquisition, on two sides."""

    @model_validator(mode="after")
    def _consistent(self) -> Split:
        if self.file and self.by != "file":
            raise ValueError("file goes with by: file")
        if (self.by == "blocks") != bool(self.size) or (self.margin and not self.size):
            raise ValueError("by: blocks needs size, the side of a block; size and margin go with nothing else")
        if self.by != "group" and (self.val or self.test):
            raise ValueError("val and test name scenes, so they need by: group")
        if self.folds and self.by == "extent":
            raise ValueError("polygons name parts, not folds: leave out folds, or use by: blocks")
        if self.folds and (self.val or self.test):
            raise ValueError("val and test cannot be named where there are folds")
        if self.folds and self.test_fraction:
            raise ValueError("folds leave no test part, every tile validates once: set test_fraction to 0")
        if self.val_fraction + self.test_fraction >= 1:
            raise ValueError("val_fraction and test_fraction leave nothing to train on")
        return self


class Scaling(Node):
    """How raw pixel values become [0, 1], then mean 0 and deviation 1."""

    kind: Literal["dn", "linear", "db"] = "dn"
    """What pixels are: digital numbers, decibels, or linear backscatter, which is turned into decibels."""
    basis: Literal["fixed", "dataset", "scene", "tile"] = "dataset"
    """What the limits are measured on; `fixed` gives them as raw values."""
    range: tuple[float, float] = (0.5, 99.5)
    """The two limits: percentiles of the valid pixels, or raw values with basis fixed."""
    standardise: bool = True
    """Subtracts the mean of the training pixels and divides by their deviation."""
    local: Annotated[int, Field(ge=3)] | None = None
    """Side in pixels of the surroundings against which each pixel is taken.

    Every band becomes two: the contrast, without wind and incidence angle, and the local mean.
    """

    @model_validator(mode="after")
    def _ordered(self) -> Scaling:
        low, high = self.range
        if low >= high:
            raise ValueError("range: the first value must be below the second")
        if self.local and self.local % 2 == 0:
            raise ValueError(
                f"local: the pixel must have a middle, so give an odd number, {self.local + 1} for example"
            )
        if self.basis != "fixed" and not (low >= 0 and high <= 100):
            raise ValueError("range: percentiles lie between 0 and 100")
        return self


Share = Annotated[float, Field(ge=0, lt=1)]


class Augment(Node):
    """Random changes to training tiles: `preset` chooses the geometry, the rest are strengths, 0 = off.

    Zoom, crop and shift are off by default for radar: the scale of waves and slicks is physical.
    """

    preset: Literal["none", "hflip", "seep_original", "seep"] = "none"
    """Geometry: left-right mirror (salt); mirror and half turn; all eight flips and quarter turns."""
    gain: Fraction = 0.0
    """Factor 1 ± s for the tile."""
    gamma: Fraction = 0.0
    """Gamma curve."""
    speckle: Fraction = 0.0
    """Factor 1 ± s for each pixel."""
    brightness: Fraction = 0.0
    """Value added to the tile."""
    contrast: Fraction = 0.0
    """Factor around the tile's mean."""
    crop: Share = 0.0
    """Takes a window of 1 − s to 1 times the tile, and enlarges it to the tile's size."""
    roll: Fraction = 0.0
    """Moves the tile sideways by up to this share; what leaves on one side comes in on the other."""
    zoom: Share = 0.0
    """Scale 1 ± s."""
    shift: Fraction = 0.0
    """Translation by up to this share of the tile."""
    rotate: Annotated[float, Field(ge=0, le=180)] = 0.0
    """Rotation by up to so many degrees."""
    fill: Literal["nodata", "reflect"] = "nodata"
    """What uncovered pixels become."""


class Sampling(Node):
    """How often a tile is drawn in an epoch: once, or more often when it holds a rare class (arXiv 1908.03195)."""

    name: Literal["uniform", "repeat_factor"] = "uniform"
    """Every tile once, or tiles of rare classes more often."""
    threshold: Fraction = 0.3
    """Share of tiles below which a class is rare: tiles with it are drawn more often."""
