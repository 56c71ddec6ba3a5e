"""The config: one schema for every recipe, read from YAML with overrides, all errors told at once."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

import yaml
from pydantic import BaseModel, BeforeValidator, ConfigDict, Discriminator, Field, Tag, ValidationError, model_validator

from seepseg.classes import TABLES, ClassTable, SegClass
from seepseg.errors import ConfigError

Fraction = Annotated[float, Field(ge=0, le=1)]
Positive = Annotated[float, Field(gt=0)]
Count = Annotated[int, Field(ge=1)]


class Node(BaseModel):
    """A part of the config: unknown keys are errors, values cannot change afterwards."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


def _named(value: object) -> object:
    """Let `loss: focal_tversky` stand for `loss: {name: focal_tversky}`."""
    return {"name": value} if isinstance(value, str) else value


Named = BeforeValidator(_named)

# --- data ------------------------------------------------------------------------------------------------------------


class ClassNode(Node):
    """One foreground class of a table of one's own; several label values merge into it."""

    name: str
    values: Annotated[list[Annotated[int, Field(ge=0, le=65535)]], Field(min_length=1)]
    color: Annotated[str, Field(pattern=r"^#[0-9a-fA-F]{6}$")] = "#E69F00"


def _classes_tag(value: object) -> str:
    return "<name>" if isinstance(value, str) else "<table>"


# Tagged, so that a mistake in one form is not also told as a mistake in the other.
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


Nodata = Annotated[
    Annotated[Literal["auto", "nan"], Tag("<name>")] | Annotated[float, Tag("<number>")], Discriminator(_nodata_tag)
]


class Split(Node):
    """How tiles are divided: whole groups (scenes), single tiles, or a CSV of ids.

    With `folds`, fold k validates on part k and trains on the rest. Otherwise `val` and `test` name groups (`by:
    group`), and what they leave open is drawn by the fractions.
    """

    by: Literal["group", "random", "file"] = "group"
    val_fraction: Fraction = 0.2
    test_fraction: Fraction = 0.0
    val: list[str] | None = None
    test: list[str] | None = None
    folds: Annotated[int, Field(ge=2)] | None = None
    file: Path | None = None
    allow_missing_classes: bool = False
    allow_leak: bool = False

    @model_validator(mode="after")
    def _consistent(self) -> Split:
        if (self.by == "file") != (self.file is not None):
            raise ValueError("by: file goes with file: a CSV of id and split")
        if self.by != "group" and (self.val or self.test):
            raise ValueError("val and test name groups, so they need by: group")
        if self.folds and (self.val or self.test or self.file):
            raise ValueError("folds goes without val, test and file")
        if self.val_fraction + self.test_fraction >= 1:
            raise ValueError("val_fraction and test_fraction leave nothing to train on")
        return self


class Scaling(Node):
    """How raw pixel values become [0, 1]: what they are, and which pixels the limits are measured on.

    `range` holds percentiles of the valid pixels for bases dataset, scene and tile, and raw values for basis fixed.
    """

    kind: Literal["dn", "linear", "db"] = "dn"
    basis: Literal["fixed", "dataset", "scene", "tile"] = "dataset"
    range: tuple[float, float] = (0.5, 99.5)
    standardise: bool = True

    @model_validator(mode="after")
    def _ordered(self) -> Scaling:
        low, high = self.range
        if low >= high:
            raise ValueError("range: the first value must be below the second")
        if self.basis != "fixed" and not (low >= 0 and high <= 100):
            raise ValueError("range: percentiles lie between 0 and 100")
        return self


class Augment(Node):
    """Random changes to training tiles. `preset` chooses the geometry; the rest are strengths, 0 = off.

    Zoom and shift are off by default for radar: the scale of waves and slicks is physical.
    """

    preset: Literal["none", "hflip", "seep_original", "seep"] = "none"
    gain: Fraction = 0.0
    gamma: Fraction = 0.0
    speckle: Fraction = 0.0
    zoom: Fraction = 0.0
    shift: Fraction = 0.0
    rotate: Annotated[float, Field(ge=0, le=180)] = 0.0
    fill: Literal["nodata", "reflect"] = "nodata"


class Sampling(Node):
    """How often a tile is drawn in an epoch: all alike, or more often when it holds a rare class (arXiv 1908.03195)."""

    name: Literal["uniform", "repeat_factor"] = "uniform"
    threshold: Fraction = 0.3


class DataNode(Node):
    """What every data source has in common."""

    root: Path
    classes: Classes
    ignore_values: list[int] = []
    nodata: Nodata | None = "auto"
    page: Annotated[int, Field(ge=0)] | None = None
    bands: list[Count] | None = None
    split: Split = Split()
    scaling: Scaling = Scaling()
    augment: Augment = Augment()
    sampling: Annotated[Sampling, Named] = Sampling()
    cache_gb: Annotated[float, Field(ge=0)] = 4.0

    def class_table(self) -> ClassTable:
        """The class table this node asks for."""
        ignored = tuple(self.ignore_values)
        if isinstance(self.classes, str):
            return ClassTable(TABLES[self.classes].foreground, ignore_values=ignored)
        classes = tuple(SegClass(c.name, tuple(c.values), c.color) for c in self.classes)
        return ClassTable(classes, ignore_values=ignored)

    @property
    def n_bands(self) -> int:
        """Number of image channels."""
        return len(self.bands) if self.bands else 1


class SeepData(DataNode):
    """Folders of TIFF tiles and masks with equal names, `GROUP.INDEX.tif`."""

    source: Literal["seep"] = "seep"
    images: str = "train_images_256"
    masks: str = "train_masks_256"
    name_pattern: str = r"^(?P<group>.+)\.(?P<index>\d+)$"
    classes: Classes = "seep"
    nodata: Nodata | None = 0.0

    @model_validator(mode="after")
    def _pattern(self) -> SeepData:
        try:
            groups = re.compile(self.name_pattern).groupindex
        except re.error as error:
            raise ValueError(f"name_pattern: {error}") from None
        if "group" not in groups:
            raise ValueError("name_pattern: name the part that is the scene, as in (?P<group>.+)")
        return self


class TgsData(DataNode):
    """The TGS salt folder: train/images, train/masks or train.csv, depths.csv, test/images."""

    source: Literal["tgs"] = "tgs"
    masks: Literal["png", "rle"] = "png"
    classes: Classes = "salt"
    nodata: Nodata | None = None


Data = Annotated[SeepData | TgsData, Field(discriminator="source")]

# --- model -----------------------------------------------------------------------------------------------------------

Head = Literal["softmax", "sigmoid", "binary"]


class ModelNode(Node):
    """What every network has in common."""

    head: Head = "softmax"
    init: Literal["default", "he"] = "default"
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0
    norm: Literal["batch", "instance", "group"] = "batch"


class UNetModel(ModelNode):
    """MONAI UNet: strided convolutions, residual units (Kerfoot et al. 2019)."""

    name: Literal["unet"] = "unet"
    channels: Annotated[list[Count], Field(min_length=2)] = [16, 32, 64, 128, 256]
    num_res_units: Annotated[int, Field(ge=0)] = 2


class BasicUNetModel(ModelNode):
    """MONAI BasicUNet: two convolutions a level, max-pooling (Falk et al. 2019)."""

    name: Literal["basic_unet"] = "basic_unet"
    features: Annotated[list[Count], Field(min_length=6, max_length=6)] = [32, 32, 64, 128, 256, 32]


class AttentionUNetModel(ModelNode):
    """MONAI AttentionUnet: gates on the skip connections (arXiv 1804.03999)."""

    name: Literal["attention_unet"] = "attention_unet"
    channels: Annotated[list[Count], Field(min_length=2)] = [16, 32, 64, 128, 256]


class SegResNetModel(ModelNode):
    """MONAI SegResNet: residual encoder, additive skips (arXiv 1810.11654, without the autoencoder branch)."""

    name: Literal["segresnet"] = "segresnet"
    init_filters: Count = 16
    blocks_down: Annotated[list[Count], Field(min_length=2)] = [1, 2, 2, 4]
    blocks_up: Annotated[list[Count], Field(min_length=1)] = [1, 1, 1]

    @model_validator(mode="after")
    def _levels(self) -> SegResNetModel:
        if len(self.blocks_up) != len(self.blocks_down) - 1:
            raise ValueError("blocks_up needs one number less than blocks_down")
        return self


Model = Annotated[UNetModel | BasicUNetModel | AttentionUNetModel | SegResNetModel, Field(discriminator="name"), Named]

# --- loss ------------------------------------------------------------------------------------------------------------


class LossNode(Node):
    """What every loss has in common: weights of the foreground classes (null = all alike)."""

    class_weights: list[Positive] | None = None


class BceLoss(LossNode):
    """Binary cross-entropy on sigmoid channels."""

    name: Literal["bce"] = "bce"


class CeLoss(LossNode):
    """Softmax cross-entropy, background included."""

    name: Literal["ce"] = "ce"


class DiceLoss(LossNode):
    """Soft Dice over the batch, mean over foreground classes."""

    name: Literal["dice"] = "dice"


class DiceBceLoss(LossNode):
    """`bce_weight` · BCE + Dice on sigmoid channels."""

    name: Literal["dice_bce"] = "dice_bce"
    bce_weight: Positive = 1.0


class DiceCeLoss(LossNode):
    """`ce_weight` · cross-entropy + Dice on softmax probabilities."""

    name: Literal["dice_ce"] = "dice_ce"
    ce_weight: Positive = 1.0


class FocalTverskyLoss(LossNode):
    """Mean over classes of (1 − TI)^(1/gamma) (arXiv 1810.07842)."""

    name: Literal["focal_tversky"] = "focal_tversky"
    fp_weight: Positive = 0.3
    fn_weight: Positive = 0.7
    gamma: Positive = 4 / 3


Loss = Annotated[
    BceLoss | CeLoss | DiceLoss | DiceBceLoss | DiceCeLoss | FocalTverskyLoss, Field(discriminator="name"), Named
]

LOSS_HEADS: dict[str, tuple[Head, ...]] = {
    "bce": ("sigmoid", "binary"),
    "ce": ("softmax",),
    "dice": ("softmax", "sigmoid", "binary"),
    "dice_bce": ("sigmoid", "binary"),
    "dice_ce": ("softmax",),
    "focal_tversky": ("softmax", "sigmoid", "binary"),
}
"""Which loss goes with which head; docs/metrics.md explains the table."""

# --- optimisation ----------------------------------------------------------------------------------------------------


class Optim(Node):
    """The optimiser; `momentum` and `nesterov` are read by SGD only."""

    name: Literal["adam", "adamw", "sgd"] = "adamw"
    lr: Positive = 1e-3
    weight_decay: Annotated[float, Field(ge=0)] = 1e-4
    momentum: Annotated[float, Field(ge=0, lt=1)] = 0.9
    nesterov: bool = True
    clip_norm: Positive | None = 12.0


class ScheduleNode(Node):
    """What every schedule has in common: a linear warm-up over the first epochs."""

    warmup_epochs: Annotated[float, Field(ge=0)] = 0.0


class ConstantSchedule(ScheduleNode):
    """The rate as it is."""

    name: Literal["constant"] = "constant"


class StepSchedule(ScheduleNode):
    """The rate times `factor` after every `every` epochs."""

    name: Literal["step"] = "step"
    every: Count = 30
    factor: Positive = 0.1


class PlateauSchedule(ScheduleNode):
    """The rate times `factor` when the validation loss has not fallen for `patience` epochs."""

    name: Literal["plateau"] = "plateau"
    patience: Annotated[int, Field(ge=0)] = 10
    factor: Annotated[float, Field(gt=0, lt=1)] = 0.1
    min_lr: Annotated[float, Field(ge=0)] = 0.0


class CosineSchedule(ScheduleNode):
    """Half a cosine down to `final` times the rate (arXiv 1608.03983, one cycle)."""

    name: Literal["cosine"] = "cosine"
    final: Annotated[float, Field(ge=0, le=1)] = 0.0


class OneCycleSchedule(ScheduleNode):
    """Up by a cosine over the share `rise`, down to nearly nothing (arXiv 1708.07120)."""

    name: Literal["one_cycle"] = "one_cycle"
    rise: Annotated[float, Field(gt=0, lt=1)] = 0.3
    start: Annotated[float, Field(gt=0, le=1)] = 0.04


class PolySchedule(ScheduleNode):
    """(1 − progress)^power, as in nnU-Net."""

    name: Literal["poly"] = "poly"
    power: Positive = 0.9


Schedule = Annotated[
    ConstantSchedule | StepSchedule | PlateauSchedule | CosineSchedule | OneCycleSchedule | PolySchedule,
    Field(discriminator="name"),
    Named,
]


class Train(Node):
    """Length, batch and what is watched; `monitor: auto` is macro Dice, for one class foreground Dice or TGS score."""

    epochs: Count = 40
    batch_size: Count = 8
    ema_decay: Annotated[float, Field(gt=0, lt=1)] | None = 0.99
    early_stopping: Count | None = None
    monitor: Literal["auto", "macro_dice", "foreground_dice", "tgs_score"] = "auto"
    checkpoint_minutes: Positive = 5.0
    panels_every: Annotated[int, Field(ge=0)] = 5


class Predict(Node):
    """Windows, batches, test-time flips and decoding; `threshold: null` means the likeliest class."""

    window: Annotated[int, Field(ge=16)] = 256
    overlap: Annotated[float, Field(ge=0, lt=0.9)] = 0.25
    batch_size: Count = 8
    tta: Literal["none", "hflip", "flips", "d4"] = "flips"
    threshold: Fraction | None = None
    min_pixels: Annotated[int, Field(ge=0)] = 0


class Runtime(Node):
    """The machine: device, processes, threads, number format. Nothing here changes what is computed, only how."""

    device: str = "auto"
    workers: Annotated[int, Field(ge=0)] = 0
    threads: Count | None = None
    amp: Literal["auto", "bf16", "fp16", "off"] = "auto"
    channels_last: bool = True
    deterministic: bool = False


class Config(Node):
    """A whole recipe."""

    seed: Annotated[int, Field(ge=0, lt=2**31)] = 0
    data: Data
    model: Model = UNetModel()
    loss: Loss = DiceCeLoss()
    optim: Annotated[Optim, Named] = Optim()
    schedule: Schedule = CosineSchedule()
    train: Train = Train()
    predict: Predict = Predict()
    runtime: Runtime = Runtime()

    @model_validator(mode="after")
    def _fits(self) -> Config:
        classes = len(self.data.class_table()) - 1
        allowed = LOSS_HEADS[self.loss.name]
        if self.model.head not in allowed:
            raise ValueError(
                f"loss {self.loss.name} does not go with model.head {self.model.head}: use head {' or '.join(allowed)}"
            )
        if self.model.head == "binary" and classes != 1:
            raise ValueError(
                f"model.head binary takes one foreground class, data.classes has {classes}: "
                "use softmax or sigmoid, or merge the classes"
            )
        if self.loss.class_weights and len(self.loss.class_weights) != classes:
            raise ValueError(f"loss.class_weights has {len(self.loss.class_weights)} numbers for {classes} classes")
        return self


# --- reading and writing ---------------------------------------------------------------------------------------------


_AMBIGUOUS = ("bool", "int", "timestamp")


class _Loader(yaml.SafeLoader):
    """Safe YAML that refuses a key given twice and reads scalars as they look, unlike PyYAML's own."""

    # YAML 1.1 takes off for false, scene 045562 for octal 19314, 1:30 for 90, and a day for a date.
    yaml_implicit_resolvers = {
        first: [(tag, pattern) for tag, pattern in resolvers if tag.rpartition(":")[2] not in _AMBIGUOUS]
        for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }


_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:bool", re.compile(r"^(true|True|TRUE|false|False|FALSE)$"), list("tTfF")
)
_Loader.add_implicit_resolver("tag:yaml.org,2002:int", re.compile(r"^[-+]?(0|[1-9]\d*)$"), list("-+0123456789"))
_EXPONENT = re.compile(r"^[-+]?(\d+\.?\d*|\.\d+)[eE][-+]?\d+$")
_Loader.add_implicit_resolver("tag:yaml.org,2002:float", _EXPONENT, list("-+.0123456789"))


class _Dumper(yaml.SafeDumper):
    """Safe YAML that also quotes text which `_Loader` would read as a number."""


_Dumper.add_implicit_resolver("tag:yaml.org,2002:float", _EXPONENT, list("-+.0123456789"))


def _mapping(loader: _Loader, node: yaml.MappingNode) -> dict[Any, Any]:
    keys = [loader.construct_object(key, deep=True) for key, _ in node.value]
    for (key_node, _), key in zip(node.value, keys, strict=True):
        if keys.count(key) > 1:
            raise yaml.MarkedYAMLError(problem=f"key {key!r} is given twice", problem_mark=key_node.start_mark)
    return {key: loader.construct_object(value, deep=True) for key, (_, value) in zip(keys, node.value, strict=True)}


_Loader.add_constructor(yaml.resolver.BaseResolver.DEFAULT_MAPPING_TAG, _mapping)


def _parse_yaml(text: str, where: object) -> Any:
    try:
        return yaml.load(text, Loader=_Loader)
    except yaml.MarkedYAMLError as error:
        line = f", line {error.problem_mark.line + 1}" if error.problem_mark else ""
        raise ConfigError(f"{error.problem or 'not YAML'}", f"{where}{line}", "mend the YAML") from None
    except (yaml.YAMLError, ValueError, TypeError) as error:
        raise ConfigError(str(error).splitlines()[0], where, "mend the YAML") from None
    except RecursionError:
        raise ConfigError("too deeply nested", where, "mend the YAML") from None


def load(path: Path, overrides: Sequence[str] = ()) -> Config:
    """The config in a YAML file, with dotted overrides ("train.epochs=5") laid over it.

    Raises:
        ConfigError: the file is not there or not YAML, or keys or values are wrong (all are listed at once).
    """
    if path.is_dir():
        raise ConfigError(
            "is a folder, not a config", path, "give a YAML file, for example configs/seep_multiclass.yaml"
        )
    try:
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise ConfigError("no such config", path, "see configs/ for the shipped ones") from None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"cannot be read ({error})", path, "give a readable YAML text file") from None
    tree = _parse_yaml(text, path)
    if not isinstance(tree, dict):
        raise ConfigError("holds no keys", path, "give a YAML mapping, as the files in configs/ do")
    for override in overrides:
        _override(tree, override)
    return parse(tree, path)


def parse(tree: Mapping[str, Any], where: object) -> Config:
    """The config in a plain tree of keys and values; `where` names its origin in errors."""
    try:
        return Config.model_validate(dict(tree))
    except ValidationError as error:
        lines = [_explain(dict(e)) for e in error.errors()]
        raise ConfigError("; ".join(lines), where, "`seepseg config schema` lists every key") from None


def dump(config: Config) -> str:
    """The resolved config as YAML that `load` reads back to an equal config."""
    return yaml.dump(plain(config), Dumper=_Dumper, sort_keys=False, allow_unicode=True)


def plain(config: Config) -> dict[str, Any]:
    """The config as a tree of plain values, as a checkpoint stores it."""
    return config.model_dump(mode="json")


def _override(tree: dict[str, Any], override: str) -> None:
    key, equals, text = override.partition("=")
    if not equals or not all(key.split(".")):
        raise ConfigError(
            f"cannot read override {override!r}", "-s", "write it as key=value, for example train.epochs=5"
        )
    *parents, last = key.split(".")
    node = tree
    for name in parents:
        below = node.get(name)
        if isinstance(below, str):
            below = _named(below)
        node[name] = below if isinstance(below, dict) else {}
        node = node[name]
    node[last] = _parse_yaml(text, f"-s {override}")


def _explain(error: dict[str, Any]) -> str:
    """One pydantic error as a phrase: the key, what is wrong, and the nearest known key."""
    location = [str(part) for part in error["loc"]]
    keys = list(_walk(location))
    key = ".".join(name for name, _ in keys) or "config"
    if error["type"] == "extra_forbidden":
        near = difflib.get_close_matches(location[-1], keys[-1][1], 1)
        return f"unknown key {key}" + (f" (did you mean {near[0]}?)" if near else "")
    if error["type"] == "missing":
        return f"missing key {key}"
    if error["type"] == "union_tag_not_found":
        return f"missing key {key}.{error['ctx']['discriminator'].strip(chr(39))}"
    if error["type"] in ("union_tag_invalid", "literal_error"):
        expected = error["ctx"].get("expected_tags") or error["ctx"].get("expected")
        given = error["ctx"].get("tag") or error["input"]
        near = difflib.get_close_matches(str(given), re.findall(r"'(\w+)'", expected), 1)
        return f"{key}: {given!r} is not one of {expected}" + (f" (did you mean {near[0]}?)" if near else "")
    if error["type"] == "value_error":
        return f"{key}: {error['ctx']['error']}" if keys else str(error["ctx"]["error"])
    shown = repr(error["input"])
    return f"{key}: {error['msg'][0].lower()}{error['msg'][1:]}, not {shown[:60]}"


def _walk(location: Sequence[str]) -> Iterator[tuple[str, list[str]]]:
    """The keys a user wrote, each with its siblings; pydantic's locations also hold union tags, which no one wrote."""
    models: list[type[BaseModel]] = [Config]
    for part in location:
        fields = {name: f.annotation for m in models for name, f in m.model_fields.items()}
        if part in fields:
            yield part, list(fields)
            models = list(_models_in(fields[part]))
        elif any(_tag(m) == part for m in models):
            models = [m for m in models if _tag(m) == part]
        elif (models or part.isdigit()) and not part.startswith("<"):
            yield part, list(fields)


def _models_in(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for inner in get_args(annotation):
        yield from _models_in(inner)


def _tag(model: type[BaseModel]) -> str | None:
    for name in ("source", "name"):
        if name in model.model_fields:
            return str(model.model_fields[name].default)
    return None
