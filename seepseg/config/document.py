"""YAML as configs have it: of a stated size and depth, and scalars as they look."""

from __future__ import annotations

import re
from typing import Any, cast

import yaml

from seepseg.errors import DataError

MAX_YAML = 2**18
"""Bytes of a YAML document; a config that lists thousands of scenes has 100 kB."""
EXPANDED = 2**20
"""Characters and nodes of a YAML document with each alias replaced by what it stands for."""
DEPTH = 64
"""Levels of nodes in one another."""

_AMBIGUOUS = ("bool", "int", "float", "timestamp")


class _Loader(yaml.SafeLoader):
    """Safe YAML that refuses a repeated key and reads scalars as they are written, unlike PyYAML's own."""

    # YAML 1.1 takes off for false, scene 045562 for octal 19314, 1:30 for 90, 1_0.5 for 10.5, and a day for a date.
    yaml_implicit_resolvers = {
        first: [(tag, pattern) for tag, pattern in resolvers if tag.rpartition(":")[2] not in _AMBIGUOUS]
        for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }


EXPONENT = re.compile(r"^[-+]?(\d+(\.\d*)?|\.\d+)[eE][-+]?\d+$", re.ASCII)
"""Numbers with an exponent, which YAML 1.1 takes for text unless they have a point and a sign."""
_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:bool", re.compile(r"^(true|True|TRUE|false|False|FALSE)$"), list("tTfF")
)
_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:int", re.compile(r"^[-+]?(0|[1-9]\d*)$", re.ASCII), list("-+0123456789")
)
_FLOAT = re.compile(r"^([-+]?(\d+\.\d*|\.\d+)|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN))$", re.ASCII)
for _pattern in (EXPONENT, _FLOAT):
    _Loader.add_implicit_resolver("tag:yaml.org,2002:float", _pattern, list("-+.0123456789"))


def _mapping(loader: _Loader, node: yaml.MappingNode) -> dict[Any, Any]:
    tree: dict[Any, Any] = {}
    for key_node, value in node.value:
        key = loader.construct_object(key_node, deep=True)
        if key in tree:
            raise yaml.MarkedYAMLError(problem=f"key {key!r} is given twice", problem_mark=key_node.start_mark)
        tree[key] = loader.construct_object(value, deep=True)
    return tree


_Loader.add_constructor(yaml.resolver.BaseResolver.DEFAULT_MAPPING_TAG, _mapping)


def parse_yaml(text: str, where: object) -> Any:
    """The tree of a YAML document: plain values, lists and dicts.

    Raises:
        DataError: it is none, gives a key twice, or is too large or too deep, its aliases written out.
    """
    if len(text) > MAX_YAML:
        raise DataError(f"is over {MAX_YAML >> 10} KiB of YAML", where, "give a smaller one")
    try:
        loader = _Loader(text)
        node = loader.get_single_node()
        if node is None:
            return None
        size, depth = _extent(node, {})
        if size > EXPANDED or depth > DEPTH:
            what = f"over {DEPTH} levels deep" if depth > DEPTH else f"over {EXPANDED >> 20} MiB with its aliases"
            raise DataError(f"is {what}", where, "give a smaller one")
        return loader.construct_document(node)
    except yaml.MarkedYAMLError as error:
        line = f", line {error.problem_mark.line + 1}" if error.problem_mark else ""
        raise DataError(f"{error.problem or 'not YAML'}", f"{where}{line}", "fix the YAML") from None
    except (yaml.YAMLError, ValueError, TypeError) as error:
        raise DataError(str(error).splitlines()[0], where, "fix the YAML") from None
    except RecursionError:
        raise DataError("too deeply nested", where, "fix the YAML") from None


def _extent(node: yaml.Node, known: dict[int, tuple[int, int] | None]) -> tuple[int, int]:
    """Characters and nodes of a tree with its aliases written out, and its depth; each node is looked at once."""
    if id(node) in known:
        extent = known[id(node)]
        if extent is None:
            raise ValueError("an alias stands in what it stands for")
        return extent
    known[id(node)] = None
    if isinstance(node, yaml.ScalarNode):
        extent = len(node.value) + 1, 1
    else:
        # Of a mapping, pairs.
        children = cast("list[Any]", node.value)
        below = [n for pair in children for n in pair] if isinstance(node, yaml.MappingNode) else children
        extents = [_extent(n, known) for n in below]
        extent = 1 + sum(size for size, _ in extents), 1 + max((depth for _, depth in extents), default=0)
    known[id(node)] = extent
    return extent
