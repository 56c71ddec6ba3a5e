"""The config of data: a node for each source."""

from __future__ import annotations

import operator
import re
from pathlib import Path
from typing import Annotated, ClassVar, Literal

from pydantic import BeforeValidator, Field, model_validator

from seepseg.classes import COLORS, TABLES, ClassTable, SegClass
from seepseg.config.nnunet import described
from seepseg.config.node import Count, Fraction, Name, Named, Names, Node, Positive
from seepseg.config.preparation import Augment, Sampling, Scaling, Split
from seepseg.config.values import Bands, Classes, Label, Nodata


class DataNode(Node):
    """What every data source has in common."""

    root: Path
    """Folder of the data; of tiles, also a ZIP."""
    classes: Classes
    """`seep` (values 1–7), `seep_binary` (1–7 as one class), `salt`, or a list of your own."""
    background_values: Annotated[list[Label], Field(min_length=1)] = [0]
    """Label values that mean background."""
    ignore_values: list[int] = []
    """Label values that count nowhere: in no loss and no score."""
    nodata: Nodata | None = "auto"
    """Pixel value that means no data; `auto` and null leave it to what the files say of themselves."""
    page: Annotated[int, Field(ge=0)] | None = None
    """Page to read, from 0, of TIFF files that have several."""
    bands: Bands | None = None
    """Numbers from 1, or names.

    Names are those of a Sentinel-1 product; in other files they are looked for in what the file says of its bands
    (`Sigma0_VV`), and one that says nothing has them in order, if it holds as many.
    """
    split: Split = Split()
    """Which tiles train, validate and test."""
    scaling: Scaling = Scaling()
    """How raw values become network input."""
    augment: Augment = Augment()
    """Random changes to training tiles."""
    sampling: Annotated[Sampling, Named] = Sampling()
    """How often each tile is drawn."""
    cache_gb: Annotated[float, Field(ge=0)] = 4.0
    """Memory for decoded tiles, in GiB; 0 reads them again each epoch."""
    scenes: Path | None = None
    """CSV of when and by what scenes were taken, for `seepseg predict` and to tell which scenes are one acquisition."""
    channel_files: ClassVar[bool] = False
    """Whether channels are files of their own, NAME_0000, NAME_0001 and so on."""

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

    Masks have the names of their images. Tiles that are cells of one scene are shown their neighbours
    (`predict.margin`), and their objects are classified and counted as whole ones.
    """

    images: Annotated[list[str], Field(min_length=1), BeforeValidator(_listed)] = ["images"]
    """Folders of images, below `root` or absolute; all TIFF, PNG and JPEG files in them."""
    masks: Annotated[list[str | None] | None, BeforeValidator(_listed)] = ["masks"]
    """A folder of masks for each of `images`; null where there are none, `background` where no pixel is foreground."""
    image_suffix: Name = ""
    """End of the names of images, before the extension."""
    mask_suffix: Name = ""
    """End of the names of masks, before the extension; with it and no `masks`, both lie in one folder."""
    table: Path | None = None
    """CSV of image, mask and, if known, id, scene, split and fold, instead of folders; paths below `root`."""
    name_pattern: Name | None = None
    """Regular expression for the names of images, without `image_suffix`.

    `(?P<group>…)` is the scene; `(?P<row>…)` and `(?P<column>…)`, or `(?P<index>…)`, the tile's cell there. Scenes of
    one name in two folders are two.
    """
    grid: dict[Name, Count] = {}
    """How many tiles a row of the scene has, by the beginning of its name.

    Tile INDEX, from 0, is in row INDEX // columns and column INDEX % columns.
    """
    shifts: Literal["found"] | Path | None = None
    """How scenes without georeference are shifted against each other, for `split.by: blocks`.

    A CSV of scene, column and row, to add to the scene's own; or `found`, by bright points that stay, as platforms do;
    null where the same row and column is the same ground in all.
    """
    empty: Fraction | None = None
    """Share of the tiles without foreground that trains, of those with a labelled pixel; null for all."""
    pixel_size: Positive | None = None
    """Side of a pixel in metres; with it, false alarms are also counted per 1000 km²."""

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
    """Your own tiles in folders, or listed in a table: images and masks of any names."""

    source: Literal["tiles"] = "tiles"
    """Your own tiles."""


class SeepData(TileFolders):
    """The public set of seep tiles: 16-bit TIFF files `SCENE.INDEX.tif` in two folders, with its grid and classes."""

    source: Literal["seep"] = "seep"
    """The public seep set."""
    images: Annotated[list[str], Field(min_length=1), BeforeValidator(_listed)] = ["train_images_256"]
    """Folders of images, below `root` or absolute."""
    masks: Annotated[list[str | None] | None, BeforeValidator(_listed)] = ["train_masks_256"]
    """A folder of masks for each of `images`."""
    name_pattern: Name | None = r"^(?P<group>.+)\.(?P<index>\d+)$"
    """Scene and index in the names of images."""
    grid: dict[Name, Count] = {"0418": 19, "0455": 20}
    """How many tiles a row of the scene has, by the beginning of its name."""
    shifts: Literal["found"] | Path | None = "found"
    """A CSV of scene, column and row, to add to the scene's own; `found`, by bright points; or null for none."""
    classes: Classes = "seep"
    """`seep` (values 1–7), `seep_binary` (1–7 as one class), or a list of your own."""
    nodata: Nodata | None = 0.0
    """Pixel value that means no data."""


class NnunetData(TileFolders):
    """nnU-Net's raw form, version 2: imagesTr/CASE_0000.png, CASE_0001.png …, labelsTr/CASE.png, dataset.json.

    Channels are files, or, where there is only CASE_0000.png, its own. For labelled test images too, set
    `images: [imagesTr, imagesTs]` and `masks: [labelsTr, labelsTs]`.
    """

    source: Literal["nnunet"] = "nnunet"
    """A data set in nnU-Net form."""
    images: Annotated[list[str], Field(min_length=1), BeforeValidator(_listed)] = ["imagesTr"]
    """Folders of images, below `root` or absolute."""
    masks: Annotated[list[str | None] | None, BeforeValidator(_listed)] = ["labelsTr"]
    """A folder of labels for each of `images`."""
    image_suffix: Name = "_0000"
    """End of the names of first channels."""
    name_pattern: Name | None = "^(?P<group>.+)$"
    """Regular expression for the names of cases; without one of your own, each is a scene of its own."""
    classes: Classes = []
    """By default the labels of dataset.json; a list of your own, to merge some."""
    channel_files: ClassVar[bool] = True

    @model_validator(mode="before")
    @classmethod
    def _filled(cls, tree: object) -> object:
        # A config that is resolved, in a checkpoint for example, needs no file.
        if not isinstance(tree, dict) or {"classes", "ignore_values", "bands"} <= tree.keys():
            return tree
        root = tree.get("root")
        return {**described(Path(root)), **tree} if isinstance(root, (str, Path)) else tree


class ScenesData(DataNode):
    """Whole scenes, which are cut into windows as they are read: no tiles are written.

    Windows touch, so that each pixel is scored once; with a shorter `stride`, training has more of them, which overlap.
    """

    source: Literal["scenes"] = "scenes"
    """Whole scenes."""
    images: Annotated[list[str], Field(min_length=1), BeforeValidator(_listed)] = ["images"]
    """Files, folders or patterns (`*.tif`), below `root` or absolute: TIFF, PNG, JPEG and Sentinel-1 products.

    Each is one scene, called by its name without suffix.
    """
    labels: Annotated[list[str], BeforeValidator(_listed)] = ["labels"]
    """Files, folders or patterns: masks of a scene's size or polygons, named as their scene; or one file of polygons.

    Polygons are GeoPackage, GeoJSON, Shapefile, FlatGeobuf or GeoParquet. A scene without a mask or a polygon is
    not labelled, unless `background` names it.
    """
    label_suffix: Name = ""
    """End of the names of labels: with `_mask`, `2020a_mask.tif` belongs to scene `2020a`."""
    attribute: str | None = None
    """Column with the class, by name or label value. By default it is `class_name`; one class needs none."""
    scene_column: str | None = None
    """Column that names the scene of each polygon, in one file for all scenes; `scene` by default."""
    extent: Annotated[list[str], BeforeValidator(_listed)] = []
    """Polygons beyond which nothing is labelled; a scene that they name is labelled."""
    background: Names = []
    """Scenes that hold no foreground at all; * and ? stand for any text."""
    window: Annotated[int, Field(ge=8)] = 256
    """Side of a window in pixels."""
    stride: Count | None = None
    """Pixels from one window to the next in training; by default they touch."""
    empty: Fraction = 1.0
    """Share of the windows without foreground that trains."""
    land: Annotated[float, Field(ge=0)] | None = None
    """Metres of sea along land that are no data, as land is; null leaves both in."""
    pixel_size: Positive | None = None
    """Side of a pixel in metres; by default what the georeference says."""

    @model_validator(mode="after")
    def _no_gaps(self) -> ScenesData:
        if self.stride and self.stride > self.window:
            raise ValueError(f"stride: windows of {self.window} that begin {self.stride} apart leave gaps; give less")
        return self


class TgsData(DataNode):
    """The TGS salt folder or its ZIP: train/images, train/masks or train.csv, depths.csv, test/images."""

    source: Literal["tgs"] = "tgs"
    """The TGS salt set."""
    masks: Literal["png", "rle"] = "png"
    """Where truth is read: PNG files, or the run lengths of train.csv."""
    drop_flagged: bool = False
    """Leaves constant images and vertical masks out of training; they are still validated on and scored."""
    classes: Classes = "salt"
    """`salt`, any value above 0; or a list of your own, with the values that masks hold (run lengths: 1)."""
    nodata: Nodata | None = None
    """Pixel value that means no data; by default none, a black pixel is data."""


Data = Annotated[SeepData | TilesData | NnunetData | ScenesData | TgsData, Field(discriminator="source")]
