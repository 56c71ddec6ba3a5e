"""The config of what is done with tiles before they train: splits, scaling, augmentation, sampling."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, model_validator

from seepseg.config.node import Fraction, Names, Node, Positive


class Split(Node):
    """How tiles are divided: whole scenes (`by: group`), single tiles, blocks of ground, or as a table says.

    With `folds`, fold k validates on part k and trains on the rest. Otherwise `val` and `test` name scenes (* and ?
    stand for any text), and what they leave open is drawn by the fractions. With `by: file`, the columns id and split
    of `file`, or, with `folds`, id and fold, decide; without `file` those of `data.table`.

    With `by: blocks`, ground is divided into squares of `size` metres (pixels, where scenes have no georeference), each
    on one side in all scenes. Training tiles that come closer than `margin` to a block of another side are unused, and
    so are tiles of other parts that reach into one. With `by: extent`, the polygons of `data.extent` say in their
    column split to which part their ground belongs: train, val, test or unused. A window goes where most of its pixels
    with a part belong, and its others are ignored.
    """

    by: Literal["group", "random", "file", "blocks", "extent"] = "group"
    val_fraction: Fraction = 0.2
    test_fraction: Fraction = 0.0
    val: Names | None = None
    test: Names | None = None
    folds: Annotated[int, Field(ge=2)] | None = None
    file: Path | None = None
    size: Positive | None = None
    margin: Annotated[float, Field(ge=0)] = 0.0
    allow_missing_classes: bool = False
    allow_leak: bool = False

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
    """How raw pixel values become [0, 1]: what they are, and which pixels the limits are measured on.

    `range` holds percentiles of the valid pixels for bases dataset, scene and tile, and raw values for basis fixed.
    With `local`, every band becomes two: its pixels against the mean and spread of the `local` × `local` pixels around
    each, which takes wind and incidence angle out of the contrast, and that mean itself.
    """

    kind: Literal["dn", "linear", "db"] = "dn"
    basis: Literal["fixed", "dataset", "scene", "tile"] = "dataset"
    range: tuple[float, float] = (0.5, 99.5)
    standardise: bool = True
    local: Annotated[int, Field(ge=3)] | None = None

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
    """Random changes to training tiles. `preset` chooses the geometry; the rest are strengths, 0 = off.

    `crop` takes a window of 1 − crop to 1 times the tile and enlarges it to the tile's size; `zoom`, `shift` and
    `rotate` (degrees) uncover pixels, which `fill` makes no-data or a reflection; `roll` moves the tile sideways by up
    to this share of its width, what leaves on one side coming in on the other. `gain` and `speckle` are factors 1 ± s,
    `brightness` is added, `contrast` a factor around the tile's mean. Zoom, crop and shift are off by default for
    radar: the scale of waves and slicks is physical.
    """

    preset: Literal["none", "hflip", "seep_original", "seep"] = "none"
    gain: Fraction = 0.0
    gamma: Fraction = 0.0
    speckle: Fraction = 0.0
    brightness: Fraction = 0.0
    contrast: Fraction = 0.0
    crop: Share = 0.0
    roll: Fraction = 0.0
    zoom: Share = 0.0
    shift: Fraction = 0.0
    rotate: Annotated[float, Field(ge=0, le=180)] = 0.0
    fill: Literal["nodata", "reflect"] = "nodata"


class Sampling(Node):
    """How often a tile is drawn in an epoch: once, or more often when it holds a rare class (arXiv 1908.03195)."""

    name: Literal["uniform", "repeat_factor"] = "uniform"
    threshold: Fraction = 0.3
