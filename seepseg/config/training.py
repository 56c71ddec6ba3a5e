"""The config of optimisation: optimiser, schedule, length, stages."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import ConfigDict, Field

from seepseg.config.loss import Loss
from seepseg.config.node import Count, Named, Node, Positive, named


class Optim(Node):
    """The optimiser; SGD is that of Nesterov with momentum .9."""

    name: Literal["adam", "adamw", "sgd"] = "adamw"
    """Which optimiser."""
    lr: Positive = 1e-3
    """Learning rate; the highest of a schedule that varies it."""
    weight_decay: Annotated[float, Field(ge=0)] = 1e-4
    """Weight decay."""
    clip_norm: Positive | None = 12.0
    """Largest norm of the gradient; null does not clip."""


class ScheduleNode(Node):
    """What every schedule has in common: a linear warm-up over the first epochs."""

    warmup_epochs: Annotated[float, Field(ge=0)] = 0.0
    """Epochs of a linear warm-up."""


class ConstantSchedule(ScheduleNode):
    """A constant rate."""

    name: Literal["constant"] = "constant"
    """Which schedule."""


class StepSchedule(ScheduleNode):
    """The rate times `factor` after every `every` epochs."""

    name: Literal["step"] = "step"
    """Which schedule."""
    every: Count = 30
    """Epochs between two steps."""
    factor: Positive = 0.1
    """Of the rate at each step."""


class PlateauSchedule(ScheduleNode):
    """The rate times `factor` when the validation loss has not fallen for `patience` epochs."""

    name: Literal["plateau"] = "plateau"
    """Which schedule."""
    patience: Annotated[int, Field(ge=0)] = 10
    """Epochs without a lower validation loss."""
    factor: Annotated[float, Field(gt=0, lt=1)] = 0.1
    """Of the rate after them."""
    min_lr: Annotated[float, Field(ge=0)] = 0.0
    """Lowest rate."""


class CosineSchedule(ScheduleNode):
    """Half a cosine down to 0 (arXiv 1608.03983, one cycle)."""

    name: Literal["cosine"] = "cosine"
    """Which schedule."""


class OneCycleSchedule(ScheduleNode):
    """Up from a 25th of the rate over 30 % of the steps, then down to 0, by cosines (arXiv 1708.07120)."""

    name: Literal["one_cycle"] = "one_cycle"
    """Which schedule."""


Schedule = Annotated[
    ConstantSchedule | StepSchedule | PlateauSchedule | CosineSchedule | OneCycleSchedule,
    Field(discriminator="name"),
    Named,
]


class Stage(Node):
    """A part of training with its own loss, optimiser and schedule.

    What it leaves out comes from the top level (see `overlaid`).
    """

    model_config = ConfigDict(json_schema_extra={"required": ["epochs"]})

    epochs: Count
    """Its length."""
    loss: Loss
    """Its loss."""
    optim: Annotated[Optim, Named]
    """Its optimiser, which begins anew."""
    schedule: Schedule
    """Its schedule, over its own epochs."""


class Objects(Node):
    """The classifier of whole objects in their scenes, trained after the last fold by `seepseg train --all-folds`.

    Extremely randomised trees (Geurts et al. 2006) on the shape and contrast of an object in its scene and the class
    probabilities of the networks.
    """

    trees: Count = 200
    """Trees of the forest."""
    place: bool = False
    """Which classes the true objects of other scenes have around an object are features, too, and stay in the run.

    For scenes of one place: those that georeferences or bright points tie to scenes of training. Objects elsewhere are
    decided without.
    """


class Train(Node):
    """Length, batch, averaged weights, checkpoints."""

    epochs: Count = 40
    """Length; with stages it is what they add up to, and must not be given."""
    batch_size: Count = 8
    """Tiles of a step, of all processes together."""
    ema_decay: Annotated[float, Field(gt=0, lt=1)] | None = 0.99
    """Decay of the averaged weights, which are those that are scored and predict; null does not average."""
    early_stopping: Count | None = None
    """Epochs without a better score after which training, or a stage, ends."""
    checkpoint_minutes: Positive = 5.0
    """Minutes between two checkpoints within an epoch."""
    panels_every: Annotated[int, Field(ge=0)] = 5
    """Epochs between two sets of pictures in TensorBoard; 0 for none."""


class Tracking(Node):
    """Where the numbers of a run go apart from its own folder."""

    mlflow: str | None = None
    """A folder, or the URI of an MLflow server; null for none."""


def overlaid(top: object, own: object, default: str) -> object:
    """A node of a stage, overlaid on that of the top level; plain values as YAML gives them.

    A stage that names the same kind as the top level, or none, changes the keys it gives; one that names another kind
    takes nothing from the top level.

    Args:
        top: the node of the top level, None where it is not given.
        own: the node of the stage, None where it is not given.
        default: the kind where none is named.
    """
    below = named(top) if top is not None else {}
    above = named(own) if own is not None else {}
    if not isinstance(below, dict) or not isinstance(above, dict):
        return own  # not a node at all; the schema says so
    kind = below.get("name", default)
    return {"name": kind} | below | above if above.get("name", kind) == kind else above
