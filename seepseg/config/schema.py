"""The whole config, with prediction and machine."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, SerializerFunctionWrapHandler, model_serializer, model_validator

from seepseg.config.data import Data
from seepseg.config.loss import DiceCeLoss, Loss, wrong_head
from seepseg.config.network import Model, UNetModel
from seepseg.config.node import Count, Fraction, Named, Node
from seepseg.config.training import (
    CosineSchedule,
    Objects,
    Optim,
    PlateauSchedule,
    Schedule,
    Stage,
    Tracking,
    Train,
    overlaid,
)


class Predict(Node):
    """Windows, batches, test-time flips and decoding, in evaluation and prediction."""

    window: Annotated[int, Field(ge=16)] = 512
    """Side of a window in pixels, at most."""
    overlap: Annotated[float, Field(ge=0, lt=0.9)] = 0.125
    """Share of a window that its neighbour shares."""
    margin: Annotated[int, Field(ge=0)] = 32
    """Pixels of its neighbours added around a tile that is a cell of a scene (`data.grid`)."""
    batch_size: Count = 8
    """Windows or tiles of a batch."""
    tta: Literal["none", "hflip", "flips", "d4"] = "flips"
    """Test-time flips of `--tta`: none, left-right, left-right and up-down, or all eight flips and quarter turns."""
    threshold: Fraction | None = None
    """Foreground where 1 − P(background) reaches this; null takes the most probable class."""
    vote: bool = False
    """Gives every object the class of the highest mean log-probability over its pixels."""
    min_pixels: Annotated[int, Field(ge=0)] = 0
    """Removes smaller objects from map and polygons."""
    min_area_m2: Annotated[float, Field(ge=0)] = 0.0
    """Removes smaller objects from the polygons only."""
    simplify: Annotated[float, Field(ge=0)] = 0.0
    """About how far the outline of a polygon may move, in pixels."""
    fill_holes: Annotated[float, Field(ge=0)] = 0.0
    """Largest hole of a polygon that is filled, in pixels."""


class Runtime(Node):
    """The machine: device, processes, threads, number format.

    Weights differ with it; scores do too, but within the noise of training.
    """

    device: str = "auto"
    """`auto`, `cpu`, `cuda` or `cuda:N`."""
    workers: Annotated[int, Field(ge=0, le=1024)] = 0
    """Processes that load tiles; 0 loads them in the training's own."""
    threads: Annotated[int, Field(ge=1, le=1024)] | None = None
    """CPU threads; by default as many as there are idle cores when a run begins."""
    amp: Literal["auto", "bf16", "fp16", "off"] = "auto"
    """Number format of the network: bfloat16, float16 (GPU only) or, off, float32."""
    deterministic: bool = False
    """Uses deterministic operations only, and fails where there is none."""
    compile: Literal["auto", "on", "off"] = "auto"
    """Compiles the network for training; `auto` does where that pays, decided when a run begins."""


class Config(Node):
    """A whole recipe; `stages`, where there are any, train one after the other, and their epochs are the length."""

    seed: Annotated[int, Field(ge=0, lt=2**31)] = 0
    """Of everything random."""
    data: Data
    """Where tiles and labels are, and how they are read."""
    model: Model = UNetModel()
    """The network."""
    loss: Loss = DiceCeLoss()
    """What is minimised."""
    optim: Annotated[Optim, Named] = Optim()
    """The optimiser."""
    schedule: Schedule = CosineSchedule()
    """The learning rate over the epochs."""
    stages: list[Stage] = []
    """Parts of training with a loss, optimiser and schedule each."""
    train: Train = Train()
    """Length, batch, checkpoints."""
    predict: Predict = Predict()
    """Windows, flips and decoding."""
    objects: Objects | None = None
    """The classifier of whole objects; null for none."""
    runtime: Runtime = Runtime()
    """The machine."""
    tracking: Tracking = Tracking()
    """Where numbers go apart from the run folder."""

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
        if train.get("epochs") is not None:  # null takes back what a recipe says
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
