"""What every part of the config is made of."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Annotated, Self
from unicodedata import normalize

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, model_validator
from pydantic.functional_validators import ModelWrapValidatorHandler

from seepseg.io.table import NUMBER

Fraction = Annotated[float, Field(ge=0, le=1)]
Positive = Annotated[float, Field(gt=0)]
Count = Annotated[int, Field(ge=1)]


class Node(BaseModel):
    """A part of the config: unknown keys are errors, values cannot change afterwards.

    The string below a field is its description in the JSON Schema (`described.py`) and in the documentation.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    @model_validator(mode="wrap")
    @classmethod
    def _as_written(cls, tree: object, read: ModelWrapValidatorHandler[Self]) -> Self:
        """Refuse what pydantic takes for a number and a reader does not: 1_0 for 10, true for 1."""
        node = read(tree)
        for key, value in tree.items() if isinstance(tree, dict) else ():
            for said, number in _beside(value, getattr(node, str(key), None)):
                text = isinstance(said, str) and not NUMBER.fullmatch(said.strip())
                if type(number) in (int, float) and (text or isinstance(said, bool)):
                    raise ValueError(f"{key}: {said!r} is no number")
        return node


def _beside(value: object, result: object) -> Iterator[tuple[object, object]]:
    """What was given and what came of it, item by item where both are lists."""
    if isinstance(value, list | tuple) and isinstance(result, list | tuple) and len(value) == len(result):
        for pair in zip(value, result, strict=True):
            yield from _beside(*pair)
    else:
        yield value, result


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


Name = Annotated[str, AfterValidator(partial(normalize, "NFC"))]
"""A name or a part of one; names of files are compared with it in NFC, too."""
Names = Annotated[list[Name], BeforeValidator(_names)]
"""Names of scenes, some of which look like numbers."""
