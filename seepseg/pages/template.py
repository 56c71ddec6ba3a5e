"""HTML from templates: the engine escapes every text that goes in, so that no page needs to think of it."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from importlib.resources import files

from jinja2 import Environment, StrictUndefined, Template
from markupsafe import Markup

Html = Markup
"""Text that a template or an asset made, and that goes into others as it is; mypy takes no other text for it."""

_ENGINE = Environment(autoescape=True, undefined=StrictUndefined)
# What `tojson` writes may stand in a script element: <, >, & and ' are written as \u003c and so on.
_ENGINE.policies["json.dumps_kwargs"] = {"separators": (",", ":"), "allow_nan": False}


def fill(template: str, /, **values: object) -> Html:
    """The template with its values: `Html` as it is, all else escaped. Templates are constants, which a test checks."""
    return Html(_compiled(template).render(values))


def joined(parts: Iterable[Html]) -> Html:
    """The parts one after another."""
    return Html().join(parts)


def asset(room: str, name: str) -> Html:
    """A file that is shipped in the assets of a room (`pages`, `atlas`): style, script or template."""
    return Html((files(f"seepseg.{room}") / "assets" / name).read_text("utf-8"))


@cache
def _compiled(template: str) -> Template:
    return _ENGINE.from_string(template)
