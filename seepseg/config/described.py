"""The JSON Schema of a config, each key with what it means.

Meanings are the strings below the fields of nodes. pydantic can read them itself, but each time the config is imported,
which took a tenth of a second; here they are read when somebody asks.
"""

from __future__ import annotations

import ast
import inspect
import sys
from collections.abc import Iterator
from functools import cache
from itertools import pairwise
from typing import Any

from seepseg.config.node import Node
from seepseg.config.schema import Config


def json_schema() -> dict[str, Any]:
    """JSON Schema of a whole config; every property has a `description`."""
    schema = Config.model_json_schema()
    nodes = {node.__name__: node for node in _below(Node)}
    for name, part in {"Config": schema, **schema["$defs"]}.items():
        for key, meaning in _meanings(nodes[name]).items():
            if key in part["properties"]:
                part["properties"][key]["description"] = meaning
    return schema


def _below(node: type[Node]) -> Iterator[type[Node]]:
    """A node and all that inherit from it."""
    yield node
    for child in node.__subclasses__():
        yield from _below(child)


def _meanings(node: type[Node]) -> dict[str, str]:
    """The string below each field of a node, its own or of what it inherits from."""
    found = dict[str, str]()
    for parent in reversed(node.__mro__):
        found |= _of_module(parent.__module__).get(parent.__name__, {}) if issubclass(parent, Node) else {}
    return found


@cache
def _of_module(name: str) -> dict[str, dict[str, str]]:
    """The strings below the fields of each class of a module."""
    tree = ast.parse(inspect.getsource(sys.modules[name]))
    return {node.name: dict(_of_body(node.body)) for node in tree.body if isinstance(node, ast.ClassDef)}


def _of_body(body: list[ast.stmt]) -> Iterator[tuple[str, str]]:
    for field, below in pairwise(body):
        match field, below:
            case ast.AnnAssign(target=ast.Name(key)), ast.Expr(ast.Constant(str(text))):
                yield key, inspect.cleandoc(text)
