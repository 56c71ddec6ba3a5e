"""The reference of the config, as Markdown, from its JSON Schema."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from seepseg.config.described import json_schema

Schema = dict[str, Any]


def config_reference() -> str:
    """Every key of a config: a section per node, under the key that it belongs to, and a table of its fields."""
    schema = json_schema()
    nodes: dict[str, Schema] = schema["$defs"]
    places = dict(_places("", schema, nodes))
    lines = [*_table(schema, nodes, places), ""]
    for place in dict.fromkeys(places.values()):
        kinds = [name for name, where in places.items() if where == place]
        common = _common([nodes[name] for name in kinds])
        lines += [f"## {place}", ""]
        if len(kinds) > 1 and common:
            lines += ["In every kind:", "", *_table(nodes[kinds[0]] | {"properties": common}, nodes, places), ""]
        for name in kinds:
            if len(kinds) > 1:
                lines += [f"### {_tag(nodes[name])}", ""]
            lines += [nodes[name]["description"], ""]
            own = {key: field for key, field in nodes[name]["properties"].items() if common.get(key) != field}
            own = {key: field for key, field in own.items() if "const" not in field}
            lines += [*_table(nodes[name] | {"properties": own}, nodes, places), ""] if own else []
    return "\n".join(lines)


def _places(above: str, node: Schema, nodes: dict[str, Schema]) -> Iterator[tuple[str, str]]:
    """Each node's name and its key with dots, nodes before what they hold, each once."""
    for key, field in node["properties"].items():
        for name in dict.fromkeys(_named(field)):
            yield name, f"{above}{key}"
    for key, field in node["properties"].items():
        for name in dict.fromkeys(_named(field)):
            # Nodes of a stage are those of the top level.
            yield from () if name == "Stage" else _places(f"{above}{key}.", nodes[name], nodes)


def _named(value: object) -> Iterator[str]:
    """Names of the nodes that a field refers to."""
    if isinstance(value, dict):
        for key, below in value.items():
            if key == "$ref":
                yield below.removeprefix("#/$defs/")
            elif key not in ("discriminator", "default"):
                yield from _named(below)
    elif isinstance(value, list):
        for below in value:
            yield from _named(below)


def _common(kinds: list[Schema]) -> Schema:
    """Fields that all of several nodes have in the same words; none of a single one."""
    first = kinds[0]["properties"] if len(kinds) > 1 else {}
    return {key: field for key, field in first.items() if all(kind["properties"].get(key) == field for kind in kinds)}


def _tag(node: Schema) -> str:
    """`name: unet`: what a config says to choose a node among its kinds."""
    return next(f"`{key}: {field['const']}`" for key, field in node["properties"].items() if "const" in field)


def _table(node: Schema, nodes: dict[str, Schema], places: dict[str, str]) -> list[str]:
    required = node.get("required", [])
    rows = ["| key | type | default | meaning |", "|---|---|---|---|"]
    for key, field in node["properties"].items():
        default = "*required*" if key in required else _default(field)
        meaning = " ".join(field["description"].split()).replace("|", r"\|")
        rows.append(f"| `{key}` | {_type(field, places)} | {default} | {meaning} |")
    return rows


def _default(field: Schema) -> str:
    match field.get("default"):
        case {"name": name}:
            return f"`{name}`"
        case dict() if _has_node(field):
            return ""
        case str(text) if text:
            return f"`{text}`"
        case float(number):
            return f"`{number:.6g}`"
        case value:
            return f"`{json.dumps(value)}`"


def _type(field: Schema, places: dict[str, str]) -> str:
    """What a value may be, in words."""
    options = field.get("anyOf", field.get("oneOf", []))
    if names := [name for name in _named(field) if not any(map(_has_node, options)) or "discriminator" in field]:
        place = places[names[0]]
        return ("list of " if "items" in field else "") + f"[`{place}`](#{place.replace('.', '')})"
    if options:
        return " or ".join(dict.fromkeys(_type(part, places) for part in options))
    match field:
        case {"const": value}:
            return f"`{value}`"
        case {"enum": values}:
            return ", ".join(f"`{value}`" for value in values)
        case {"type": "array", "prefixItems": items}:
            return f"{len(items)} numbers"
        case {"type": "array", "items": items}:
            inner = _type(items, places)
            return f"list of ({inner})" if " or " in inner else f"list of {inner}"
        case {"type": "object", "additionalProperties": values}:
            return f"text: {_type(values, places)}"
    words = {
        "integer": "integer", "number": "number", "boolean": "true, false", "null": "null",
        "string": "path" if field.get("format") == "path" else "text",
    }  # fmt: skip
    return words[field["type"]] + _bounds(field)


def _has_node(part: Schema) -> bool:
    return any(True for _ in _named(part))


def _bounds(field: Schema) -> str:
    """` ≥ 1`, ` 0–1`, ` > 0` …, as the schema limits a number."""
    low, high = field.get("minimum"), field.get("maximum")
    above, below = field.get("exclusiveMinimum"), field.get("exclusiveMaximum")
    if low is not None and high is not None:
        return f" {low:,.10g}–{high:,.10g}"
    marks = (("≥", low), (">", above), ("≤", high), ("<", below))
    return "".join(f" {mark} {bound:,.10g}" for mark, bound in marks if bound is not None)
