"""What adds up: counts of tiles, scenes or processes whose sum is that of the whole."""

from __future__ import annotations

from typing import Any, Self


class Counts:
    """Base of dataclasses that are added field by field.

    Numbers and arrays are added, dictionaries are joined. Tuples say where something was counted (thresholds, sizes)
    and must agree. None is not known, and so is its sum with anything.
    """

    def __add__(self, other: Self) -> Self:
        """The counts of both.

        Raises:
            ValueError: they were counted at different places.
        """
        cls: Any = type(self)
        sums: Self = cls(**{name: _sum(name, value, getattr(other, name)) for name, value in vars(self).items()})
        return sums


def _sum(name: str, one: Any, other: Any) -> Any:
    if isinstance(one, tuple):
        if one != other:
            raise ValueError(f"the {name} differ: {one} and {other}")
        return one
    if isinstance(one, dict):
        return one | other
    return None if one is None or other is None else one + other
