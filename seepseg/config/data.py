"""The config of data: sources and class tables."""

from __future__ import annotations

import operator
import re
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BeforeValidator, Discriminator, Field, Tag, model_validator

from seepseg.classes import COLORS, TABLES, ClassTable, SegClass
from seepseg.config.node import Count, Fraction, Named, Names, Node, Positive
from seepseg.config.preparation import Augment, Sampling, Scaling, Split

Label = Annotated[int, Field(ge=0, le=65535)]


class ClassNode(Node):
    """One foreground class of your own table, by the label values that mean it or by the lowest of them.

    Several `values` may merge into it. With `at_least`, for soft masks, it is every value from there up to that of the
    next class; all classes of a table then say `at_least`, and what lies below the first is background. Without a
    `color` they get those of the seven seep classes in turn.
    """

    name: str
    values: Annotated[list[Label], Field(min_length=1)] | None = None
    at_least: Positive | None = None
    color: Annotated[str, Field(pattern=r"^#[0-9a-fA-F]{6}$")] | None = None

    @model_validator(mode="after")
    def _one_way(self) -> ClassNode:
        if (self.values is None) == (self.at_least is None):
            raise ValueError("give values, the labels that mean the class, or at_least, the lowest of them")
        return self


def _classes_tag(value: object) -> str:
    return "<name>" if isinstance(value, str) else "<table>"


# Tagged, so that a mistake in one form is not also reported as a mistake in the other.
Classes = Annotated[
    Annotated[Literal["seep", "seep_binary", "salt"], Tag("<name>")] | Annotated[list[ClassNode], Tag("<table>")],
    Discriminator(_classes_tag),
]


def _nodata_tag(value: object) -> str:
    if not isinstance(value, str):
        return "<number>"
    try:
        float(value)
    except ValueError:
        return "<name>"
    return "<name>" if value == "nan" else "<number>"


def _bands_tag(value: object) -> str:
    return "<name>" if isinstance(value, list) and any(isinstance(band, str) for band in value) else "<number>"


Bands = Annotated[
    Annotated[list[Literal["vv", "vh", "hh", "hv", "incidence"]], Tag("<name>")]
    | Annotated[list[Count], Tag("<number>")],
    Discriminator(_bands_tag),
]

Nodata = Annotated[
    Annotated[Literal["auto", "nan"], Tag("<name>")] | Annotated[float, Tag("<number>")], Discriminator(_nodata_tag)
]


class DataNode(Node):
    """What every data source has in common.

    `bands` are numbers from 1, or names, as Sentinel-1 products have them; of other files those that the file describes
    so ("Sigma0_VV"), or, if it names none and has as many, the first, the second and so on. `scenes` is a CSV of when
    and by what scenes were taken, for `seepseg predict` and to tell which whole scenes are one acquisition.
    """

    root: Path
    classes: Classes
    background_values: Annotated[list[Label], Field(min_length=1)] = [0]
    ignore_values: list[int] = []
    nodata: Nodata | None = "auto"
    page: Annotated[int, Field(ge=0)] | None = None
    bands: Bands | None = None
    split: Split = Split()
    scaling: Scaling = Scaling()
    augment: Augment = Augment()
    sampling: Annotated[Sampling, Named] = Sampling()
    cache_gb: Annotated[float, Field(ge=0)] = 4.0
    scenes: Path | None = None

    @model_validator(mode="after")
    def _has_table(self) -> DataNode:
        if self.split.by == "file" and not (self.split.file or getattr(self, "table", None)):
            raise ValueError("split.by file needs split.file: a CSV of id and split, or id and fold")
        if self.split.by == "extent" and not getattr(self, "extent", None):
            raise ValueError("split.by extent needs extent: polygons with a column split (source: scenes)")
        return self

    def class_table(self) -> ClassTable:
        """The class table that this node names."""
        if isinstance(self.classes, str):
            classes = TABLES[self.classes].foreground
        else:
            classes = tuple(
                SegClass(c.name, tuple(c.values or ()), c.color or COLORS[k % len(COLORS)], c.at_least)
                for k, c in enumerate(self.classes)
            )
        return ClassTable(classes, tuple(self.background_values), tuple(self.ignore_values))

    @property
    def names(self) -> list[str]:
        """Bands of a Sentinel-1 product; empty where bands are numbers."""
        return [b for b in self.bands or () if isinstance(b, str)]

    @property
    def n_channels(self) -> int:
        """Number of channels the network takes."""
        return len(self.bands or (1,)) * (2 if self.scaling.local else 1)


def _listed(value: object) -> object:
    """Let `images: tiles` stand for `images: [tiles]`."""
    return [value] if isinstance(value, str) else value


class TileFolders(DataNode):
    """What tiles in folders have in common.

    Images are all TIFF, PNG and JPEG files in the folders `images` (below `root`, or elsewhere by an absolute path),
    and masks those of the same names in `masks`, a folder for each of `images`: null where there are none, `background`
    where no pixel is foreground. `image_suffix` and `mask_suffix` end the names of images and masks, before the
    extension; with a `mask_suffix` and no `masks` both lie in one folder. Or `table` is a CSV of image, mask, and, if
    known, id, scene, split and fold, with paths below `root`.

    `name_pattern` is a regular expression for the names of images (without `image_suffix`): (?P<group>…) is the scene,
    (?P<row>…) and (?P<column>…) its cell there, or (?P<index>…), which `grid` turns into one: how many cells a row has,
    by the beginning of the scene's name, tile INDEX being cell divmod(INDEX, columns). Scenes of one name in two
    folders are two. Tiles that are cells of one scene are shown their neighbours (`predict.margin`), and their objects
    are classified and counted as whole ones. `empty` is the share of tiles without foreground that train, and with it
    none does without a labelled pixel; null for all. With `pixel_size`, the side of a pixel in metres, false alarms are
    also counted per 1000 km².
    """

    images: Annotated[list[str], Field(min_length=1), BeforeValidator(_listed)] = ["images"]
    masks: Annotated[list[str | None] | None, BeforeValidator(_listed)] = ["masks"]
    image_suffix: str = ""
    mask_suffix: str = ""
    table: Path | None = None
    name_pattern: str | None = None
    grid: dict[str, Count] = {}
    empty: Fraction | None = None
    pixel_size: Positive | None = None

    @model_validator(mode="before")
    @classmethod
    def _in_one_folder(cls, tree: object) -> object:
        if isinstance(tree, dict) and tree.get("mask_suffix") and tree.get("masks") is None:
            return {**tree, "masks": tree.get("images", cls.model_fields["images"].default)}
        return tree

    @model_validator(mode="after")
    def _consistent(self) -> TileFolders:
        if self.masks is not None and len(self.masks) != len(self.images):
            raise ValueError(f"masks: give one for each of the {len(self.images)} folders of images")
        one_folder = any(map(operator.eq, self.images, self.masks or ()))
        if one_folder and self.image_suffix == self.mask_suffix:
            raise ValueError("images and masks are in one folder: give mask_suffix, the end of the names of masks")
        if self.name_pattern is None:
            return self
        try:
            groups = re.compile(self.name_pattern).groupindex
        except re.error as error:
            raise ValueError(f"name_pattern: {error}") from None
        if "group" not in groups:
            raise ValueError("name_pattern: name the part that is the scene, as in (?P<group>.+)")
        if ("row" in groups) != ("column" in groups):
            raise ValueError("name_pattern: (?P<row>…) and (?P<column>…) go together")
        return self


class TilesData(TileFolders):
    """Your own tiles in folders: images and masks of any names, see `TileFolders`."""

    source: Literal["tiles"] = "tiles"


class SeepData(TileFolders):
    """The public set of seep tiles: 16-bit TIFF files `SCENE.INDEX.tif` in two folders, with its grid and classes."""

    source: Literal["seep"] = "seep"
    images: Annotated[list[str], Field(min_length=1), BeforeValidator(_listed)] = ["train_images_256"]
    masks: Annotated[list[str | None] | None, BeforeValidator(_listed)] = ["train_masks_256"]
    name_pattern: str | None = r"^(?P<group>.+)\.(?P<index>\d+)$"
    grid: dict[str, Count] = {"0418": 19, "0455": 20}
    classes: Classes = "seep"
    nodata: Nodata | None = 0.0


class ScenesData(DataNode):
    """Whole scenes, which are cut into windows as they are read: no tiles are written.

    `images` are files, folders or patterns (`*.tif`) below `root`, or elsewhere by absolute paths: TIFF, PNG, JPEG and
    Sentinel-1 products, each one scene, called by its name without suffix. `labels` are files, folders or patterns too:
    masks of a scene's size, or polygons (GeoPackage, GeoJSON, Shapefile, FlatGeobuf), named as their scene and then
    `label_suffix`; or one file of polygons for all, whose column `scene_column` (or `scene`) names the scene of each.
    `attribute` is the column with the class, by name or label value; without it that is `class_name`, and one class
    needs none. A scene without a mask or a polygon is not labelled, unless `background` names it (* and ? stand for any
    text): then all of it is background. `extent` is polygons beyond which nothing is labelled, matched to scenes as
    `labels` are, or for all of them; a scene that it names is labelled.

    Windows are `window` pixels a side and touch, so that each pixel is scored once; with a shorter `stride` there are
    more of them in training, which overlap. `empty` is the share of windows without foreground that train. With `land`,
    land and so many metres of sea along it are no data, as with `seepseg predict --land`.
    """

    source: Literal["scenes"] = "scenes"
    images: Annotated[list[str], Field(min_length=1), BeforeValidator(_listed)] = ["images"]
    labels: Annotated[list[str], BeforeValidator(_listed)] = ["labels"]
    label_suffix: str = ""
    attribute: str | None = None
    scene_column: str | None = None
    extent: Annotated[list[str], BeforeValidator(_listed)] = []
    background: Names = []
    window: Annotated[int, Field(ge=8)] = 256
    stride: Count | None = None
    empty: Fraction = 1.0
    land: Annotated[float, Field(ge=0)] | None = None
    pixel_size: Positive | None = None

    @model_validator(mode="after")
    def _no_gaps(self) -> ScenesData:
        if self.stride and self.stride > self.window:
            raise ValueError(f"stride: windows of {self.window} that begin {self.stride} apart leave gaps; give less")
        return self


class TgsData(DataNode):
    """The TGS salt folder or its ZIP: train/images, train/masks or train.csv, depths.csv, test/images.

    `masks` says where truth is read: PNG files, or the run lengths of train.csv. `drop_flagged` leaves constant images
    and vertical masks out of training; they are validated on and scored all the same.
    """

    source: Literal["tgs"] = "tgs"
    masks: Literal["png", "rle"] = "png"
    drop_flagged: bool = False
    classes: Classes = "salt"
    nodata: Nodata | None = None


Data = Annotated[SeepData | TilesData | ScenesData | TgsData, Field(discriminator="source")]
