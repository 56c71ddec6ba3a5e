"""The whole config, with prediction and machine."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from seepseg.config.data import Data
from seepseg.config.loss import LOSS_HEADS, DiceCeLoss, Loss
from seepseg.config.network import Model, UNetModel
from seepseg.config.node import Count, Fraction, Named, Node
from seepseg.config.training import CosineSchedule, Objects, Optim, Schedule, Train


class Predict(Node):
    """Windows, batches, test-time flips and decoding; `threshold: null` means the likeliest class.

    `blend` says how windows that overlap are weighed: by a raised cosine, a Gaussian, or their centres alone. `vote`
    gives every object the class of the highest mean log-probability over its pixels. `simplify` (how far an outline may
    move) and `fill_holes` (the largest hole filled) shape the polygons, in pixels.
    """

    window: Annotated[int, Field(ge=16)] = 512
    overlap: Annotated[float, Field(ge=0, lt=0.9)] = 0.125
    blend: Literal["hann", "gaussian", "crop"] = "hann"
    batch_size: Count = 8
    tta: Literal["none", "hflip", "flips", "d4"] = "flips"
    threshold: Fraction | None = None
    vote: bool = False
    min_pixels: Annotated[int, Field(ge=0)] = 0
    simplify: Annotated[float, Field(ge=0)] = 0.0
    fill_holes: Annotated[float, Field(ge=0)] = 0.0


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
    objects: Objects | None = None
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
        if self.objects and not self.data.split.folds:
            raise ValueError(
                "objects are learned from what folds find in tiles they have not seen: set data.split.folds=5"
            )
        if self.objects and classes == 1:
            raise ValueError("objects tells several classes apart, data.classes has one: leave it out")
        if self.loss.class_weights and len(self.loss.class_weights) != classes:
            raise ValueError(f"loss.class_weights has {len(self.loss.class_weights)} numbers for {classes} classes")
        return self
