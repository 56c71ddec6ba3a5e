"""What every part of the config is made of."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

Fraction = Annotated[float, Field(ge=0, le=1)]
Positive = Annotated[float, Field(gt=0)]
Count = Annotated[int, Field(ge=1)]


class Node(BaseModel):
    """A part of the config: unknown keys are errors, values cannot change afterwards."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


def named(value: object) -> object:
    """Let `loss: focal_tversky` stand for `loss: {name: focal_tversky}`."""
    return {"name": value} if isinstance(value, str) else value


Named = BeforeValidator(named)
