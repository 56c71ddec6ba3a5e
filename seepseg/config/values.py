"""Values of the config of data: class tables, bands and no data, by name or by number."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Discriminator, Field, Tag, model_validator

from seepseg.config.node import Count, Node, Positive

Label = Annotated[int, Field(ge=0, le=65535)]


class ClassNode(Node):
    """One foreground class of your own table, by the label values that mean it or by the lowest of them.

    For soft masks all classes of a table say `at_least`: a class is every value from there up to that of the next one,
    and what lies below the first is background.
    """

    name: str
    """What it is called in tables, maps and reports."""
    values: Annotated[list[Label], Field(min_length=1)] | None = None
    """Label values that mean it; several merge into one class."""
    at_least: Positive | None = None
    """Lowest value that means it, in soft masks."""
    color: Annotated[str, Field(pattern=r"^#[0-9a-fA-F]{6}$")] | None = None
    """In maps and figures, as "#E69F00"; by default those of the seven seep classes in turn."""

    @model_validator(mode="after")
    def _one_way(self) -> ClassNode:
        if (self.values is None) == (self.at_least is None):
            raise ValueError("give values, the labels that mean the class, or at_least, the lowest of them")
        return self


def _classes_tag(value: object) -> str:
    return "<name>" if isinstance(value, str) else "<table>"


# Tagged, so that a mistake in one form is not also reported as a mistake in the other.
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


def _bands_tag(value: object) -> str:
    return "<name>" if isinstance(value, list) and any(isinstance(band, str) for band in value) else "<number>"


Bands = Annotated[
    Annotated[list[Literal["vv", "vh", "hh", "hv", "incidence"]], Tag("<name>")]
    | Annotated[list[Count], Tag("<number>")],
    Discriminator(_bands_tag),
]

Nodata = Annotated[
    Annotated[Literal["auto", "nan"], Tag("<name>")] | Annotated[float, Tag("<number>")], Discriminator(_nodata_tag)
]
