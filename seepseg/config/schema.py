"""The whole config, with prediction and machine."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, SerializerFunctionWrapHandler, model_serializer, model_validator

from seepseg.config.data import Data
from seepseg.config.loss import DiceCeLoss, Loss, wrong_head
from seepseg.config.network import Model, UNetModel
from seepseg.config.node import Count, Fraction, Named, Node
from seepseg.config.training import CosineSchedule, Objects, Optim, PlateauSchedule, Schedule, Stage, Train, overlaid


class Predict(Node):
    """Windows, batches, test-time flips and decoding; `threshold: null` means the most probable class.

    `vote` gives every object the class of the highest mean log-probability over its pixels. `min_pixels` removes
    smaller objects from map and polygons, `min_area_m2` from the polygons only. `simplify` (about how far an outline
    may move) and `fill_holes` (the largest hole filled) shape the polygons, in pixels. `margin` is how many pixels of
    its neighbours are added around a tile that is a cell of a scene (`data.grid`) as network input.
    """

    window: Annotated[int, Field(ge=16)] = 512
    overlap: Annotated[float, Field(ge=0, lt=0.9)] = 0.125
    margin: Annotated[int, Field(ge=0)] = 32
    batch_size: Count = 8
    tta: Literal["none", "hflip", "flips", "d4"] = "flips"
    threshold: Fraction | None = None
    vote: bool = False
    min_pixels: Annotated[int, Field(ge=0)] = 0
    min_area_m2: Annotated[float, Field(ge=0)] = 0.0
    simplify: Annotated[float, Field(ge=0)] = 0.0
    fill_holes: Annotated[float, Field(ge=0)] = 0.0


class Runtime(Node):
    """The machine: device, processes, threads, number format. Nothing here changes what is computed, only how.

    `compile` is about training: auto is on where that pays, and is decided when a run begins.
    """

    device: str = "auto"
    workers: Annotated[int, Field(ge=0)] = 0
    threads: Count | None = None
    amp: Literal["auto", "bf16", "fp16", "off"] = "auto"
    deterministic: bool = False
    compile: Literal["auto", "on", "off"] = "auto"


class Config(Node):
    """A whole recipe; `stages`, where there are any, train one after the other, and their epochs are the length."""

    seed: Annotated[int, Field(ge=0, lt=2**31)] = 0
    data: Data
    model: Model = UNetModel()
    loss: Loss = DiceCeLoss()
    optim: Annotated[Optim, Named] = Optim()
    schedule: Schedule = CosineSchedule()
    stages: list[Stage] = []
    train: Train = Train()
    predict: Predict = Predict()
    objects: Objects | None = None
    runtime: Runtime = Runtime()

    @model_validator(mode="before")
    @classmethod
    def _complete_stages(cls, tree: Any) -> Any:
        """Complete the stages from the top level, and set `train.epochs` to the sum of their epochs."""
        nodes = tree.get("stages") if isinstance(tree, dict) else None
        if not isinstance(nodes, list) or not nodes or not all(isinstance(s, dict) for s in nodes):
            return tree
        kinds = {key: cls.model_fields[key].default.name for key in ("loss", "optim", "schedule")}
        stages = [s | {k: overlaid(tree.get(k), s.get(k), kind) for k, kind in kinds.items()} for s in nodes]
        train = tree.get("train") or {}
        lengths = [s.get("epochs") for s in nodes]
        if not isinstance(train, dict) or not all(isinstance(n, int) for n in lengths):
            return tree | {"stages": stages}
        if "epochs" in train:
            raise ValueError(
                f"train.epochs does not go with stages, whose own epochs add up to {sum(lengths)}: leave it out, or "
                "change a stage, for example stages.0.epochs=5"
            )
        return tree | {"stages": stages, "train": train | {"epochs": sum(lengths)}}

    @model_validator(mode="after")
    def _fits(self) -> Config:
        classes = len(self.data.class_table()) - 1
        if self.model.head == "binary" and classes != 1:
            raise ValueError(
                f"model.head binary takes one foreground class, data.classes has {classes}: "
                "use softmax or sigmoid, or merge the classes"
            )
        if self.model.head == "two_head" and classes < 2:
            raise ValueError(
                "model.head two_head separates foreground classes, data.classes has one: use softmax or binary"
            )
        parts = [(f"stages.{i}.", s.loss, s.schedule, s.optim.lr) for i, s in enumerate(self.stages)]
        for where, loss, schedule, lr in parts or [("", self.loss, self.schedule, self.optim.lr)]:
            if reason := wrong_head(loss.name, self.model.head):
                raise ValueError(where + reason)
            if loss.class_weights and len(loss.class_weights) != classes:
                raise ValueError(
                    f"{where}loss.class_weights has {len(loss.class_weights)} numbers for {classes} classes"
                )
            if isinstance(schedule, PlateauSchedule) and schedule.min_lr > lr:
                raise ValueError(f"{where}schedule.min_lr {schedule.min_lr:g} is above optim.lr {lr:g}: set it lower")
        if self.objects and not self.data.split.folds:
            raise ValueError("objects is trained on tiles that a fold has not seen: set data.split.folds=5")
        if self.objects and classes == 1:
            raise ValueError("objects separates foreground classes, data.classes has one: leave it out")
        return self

    @model_serializer(mode="wrap")
    def _plain(self, plain: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Plain values; with stages, without `train.epochs`, which follows from them."""
        tree: dict[str, Any] = plain(self)
        if self.stages:
            del tree["train"]["epochs"]
        return tree
