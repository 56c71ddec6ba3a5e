"""The config of optimisation: optimiser, schedule, length, stages."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import ConfigDict, Field

from seepseg.config.loss import Loss
from seepseg.config.node import Count, Named, Node, Positive, named


class Optim(Node):
    """The optimiser; SGD is that of Nesterov with momentum .9."""

    name: Literal["adam", "adamw", "sgd"] = "adamw"
    lr: Positive = 1e-3
    weight_decay: Annotated[float, Field(ge=0)] = 1e-4
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
    """Half a cosine down to nothing (arXiv 1608.03983, one cycle)."""

    name: Literal["cosine"] = "cosine"


class OneCycleSchedule(ScheduleNode):
    """Up from a 25th of the rate over 30 % of the steps, then down to nothing, by cosines (arXiv 1708.07120)."""

    name: Literal["one_cycle"] = "one_cycle"


Schedule = Annotated[
    ConstantSchedule | StepSchedule | PlateauSchedule | CosineSchedule | OneCycleSchedule,
    Field(discriminator="name"),
    Named,
]


class Stage(Node):
    """A part of training with an optimiser and a schedule of its own.

    What a stage leaves out of loss, optim and schedule it takes from the top level (see `laid_over`).
    """

    model_config = ConfigDict(json_schema_extra={"required": ["epochs"]})

    epochs: Count
    loss: Loss
    optim: Annotated[Optim, Named]
    schedule: Schedule


class Objects(Node):
    """The classifier of whole objects in their scenes, trained after the last fold by `seepseg train --all-folds`.

    Extremely randomised trees (Geurts et al. 2006) on what an object looks like in its scene and what the networks
    believe of it.
    """

    trees: Count = 200


class Train(Node):
    """Length, batch, averaged weights, checkpoints.

    With stages, `epochs` is what they add up to and must not be given. `early_stopping` ends a stage.
    """

    epochs: Count = 40
    batch_size: Count = 8
    ema_decay: Annotated[float, Field(gt=0, lt=1)] | None = 0.99
    early_stopping: Count | None = None
    checkpoint_minutes: Positive = 5.0
    panels_every: Annotated[int, Field(ge=0)] = 5


def laid_over(below: object, own: object, default: str) -> object:
    """What a stage says of a node, laid over what the top level says of it; plain values as YAML gives them.

    A stage that names the same kind as the top level, or none, changes the keys it gives; one that names another kind
    stands for itself.

    Args:
        below: the node of the top level, None where it is not given.
        own: the node of the stage, None where it is not given.
        default: the kind that is meant where none is named.
    """
    top = named(below) if below is not None else {}
    mine = named(own) if own is not None else {}
    if not isinstance(top, dict) or not isinstance(mine, dict):
        return own  # not a node at all; the schema says so
    kind = top.get("name", default)
    return {"name": kind} | top | mine if mine.get("name", kind) == kind else mine
