"""What every part of the config is made of."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

Fraction = Annotated[float, Field(ge=0, le=1)]
Positive = Annotated[float, Field(gt=0)]
Count = Annotated[int, Field(ge=1)]


class Node(BaseModel):
    """A part of the config: unknown keys are errors, values cannot change afterwards.

    The string below a field is its description in the JSON Schema (`described.py`) and in the documentation.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


def named(value: object) -> object:
    """Let `loss: focal_tversky` stand for `loss: {name: focal_tversky}`."""
    return {"name": value} if isinstance(value, str) else value


Named = BeforeValidator(named)


def _names(value: object) -> object:
    """Let `val: 041870, 045590` stand for `val: ["041870", "045590"]`, and a whole number for its digits."""
    if isinstance(value, str):
        return [name.strip() for name in value.split(",")]
    items = value if value is None or isinstance(value, list) else [value]
    return [str(item) if type(item) is int else item for item in items] if items else items


Names = Annotated[list[str], BeforeValidator(_names)]
"""Names of scenes, some of which look like numbers."""
