"""Reading and writing configs: YAML with overrides, all errors reported at once."""

from __future__ import annotations

import copy
import difflib
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, get_args, get_origin, get_type_hints

import yaml
from pydantic import BaseModel, TypeAdapter, ValidationError

from seepseg.config.document import EXPONENT, MAX_YAML, parse_yaml
from seepseg.config.node import named
from seepseg.config.recipes import find_config
from seepseg.config.schema import Config
from seepseg.errors import ConfigError, DataError
from seepseg.io.documents import read_text


class _Dumper(yaml.SafeDumper):
    """Safe YAML that also quotes text which `parse_yaml` would read as a number."""


_Dumper.add_implicit_resolver("tag:yaml.org,2002:float", EXPONENT, list("-+.0123456789"))


def load(config: Path | Mapping[str, Any], overrides: Sequence[str] = ()) -> Config:
    """The config in a YAML file, or of a shipped recipe by name, with dotted overrides ("train.epochs=5") laid over it.

    A tree of keys and values stands for the content of a file.

    Raises:
        ConfigError: the file is not there or not YAML, or keys or values are wrong (all are listed at once).
    """
    if isinstance(config, Mapping):
        tree, where = copy.deepcopy(dict(config)), Path("config")
    else:
        where = find_config(config)
        tree = _tree(where)
    if not isinstance(tree, dict):
        raise ConfigError("holds no keys", where, "give a YAML mapping, as `seepseg config show seep_multiclass` does")
    for override in overrides:
        _override(tree, override)
    return parse(tree, where)


def _tree(path: Path) -> Any:
    try:
        return parse_yaml(read_text(path, MAX_YAML), path)
    except DataError as error:
        raise ConfigError(error.what, error.where, error.fix) from None


def parse(tree: Mapping[str, Any], where: object) -> Config:
    """The config in a plain tree of keys and values; `where` names its origin in errors."""
    try:
        return Config.model_validate(dict(tree))
    except ValidationError as error:
        raise _all_errors(error, where) from None


def parse_node(key: str, tree: Mapping[str, Any], where: object) -> Any:
    """The part of a config under a key of its top level, such as "loss", in a plain tree; errors as `parse`."""
    try:
        return TypeAdapter(get_type_hints(Config, include_extras=True)[key]).validate_python(dict(tree))
    except ValidationError as error:
        raise _all_errors(error, where, key) from None


def _all_errors(error: ValidationError, where: object, *above: str) -> ConfigError:
    """The error that lists them all; `above` are the keys that lead to the part that was read."""
    lines = [_explain({**e, "loc": (*above, *e["loc"])}) for e in error.errors()]
    return ConfigError("; ".join(lines), where, "`seepseg config schema` lists every key")


def dump(config: Config) -> str:
    """The resolved config as YAML that `load` reads back to an equal config."""
    return as_yaml(plain(config))


def as_yaml(tree: Mapping[str, Any]) -> str:
    """A tree of plain values as YAML that is read back as it was."""
    return yaml.dump(dict(tree), Dumper=_Dumper, sort_keys=False, allow_unicode=True)


def plain(config: Config) -> dict[str, Any]:
    """The config as a tree of plain values, as a checkpoint stores it."""
    return config.model_dump(mode="json")


def _override(tree: dict[str, Any], override: str) -> None:
    key, equals, text = override.partition("=")
    if not equals or not all(key.split(".")):
        raise ConfigError(
            f"cannot read override {override!r}", "-s", "write it as key=value, for example train.epochs=5"
        )
    *parents, last = key.split(".")
    node: Any = tree
    for name in parents:
        at = _place(node, name, override)
        below = named(node[at] if isinstance(node, list) else node.get(at))
        node[at] = below if isinstance(below, (dict, list)) else {}
        node = node[at]
    try:
        node[_place(node, last, override)] = parse_yaml(text, f"-s {override}")
    except DataError as error:
        raise ConfigError(error.what, error.where, error.fix) from None


def _place(node: dict[str, Any] | list[Any], name: str, override: str) -> Any:
    """The key of a mapping, or the index of a list, that a part of a dotted key means."""
    if isinstance(node, dict):
        return name
    if not re.fullmatch(r"\d{1,6}", name, re.ASCII) or int(name) >= len(node):
        raise ConfigError(f"no item {name} in a list of {len(node)}", f"-s {override}", "count items from 0")
    return int(name)


def dotted(tree: object, prefix: str = "") -> dict[str, object]:
    """The leaves of a tree of dicts and lists of dicts, by dotted key."""
    if isinstance(tree, list) and tree and all(isinstance(item, dict) for item in tree):
        tree = {str(i): item for i, item in enumerate(tree)}
    if not isinstance(tree, dict):
        return {prefix: tree}
    return {k: v for name, below in tree.items() for k, v in dotted(below, f"{prefix}.{name}".strip(".")).items()}


def _explain(error: dict[str, Any]) -> str:
    """One pydantic error as a phrase: the key, what is wrong, and the nearest known key."""
    location = [str(part) for part in error["loc"]]
    keys = list(_walk(location))
    key = ".".join(name for name, _ in keys) or (location[-1] if location else "config")
    if error["type"] == "extra_forbidden":
        known = _known()
        stage = match[0] if (match := re.match(r"stages\.\d+\.", key)) else ""  # which has some of the keys once more
        if choices := known.get(key.removeprefix(stage)):
            return f"unknown key {key} (only with {stage}{choices[0][0]}={' or '.join(value for _, value in choices)})"
        near = difflib.get_close_matches(location[-1], keys[-1][1] if keys else (), 1)
        near = near or [other for other in known if other.rpartition(".")[2] == location[-1]][:3]
        return f"unknown key {key}" + (f" (did you mean {' or '.join(near)}?)" if near else "")
    if error["type"] == "missing":
        return f"missing key {key}"
    if error["type"] == "union_tag_not_found":
        return f"missing key {key}.{error['ctx']['discriminator'].strip(chr(39))}"
    if error["type"] in ("union_tag_invalid", "literal_error"):
        expected = error["ctx"].get("expected_tags") or error["ctx"].get("expected")
        value = error["ctx"].get("tag") or error["input"]
        near = difflib.get_close_matches(str(value), re.findall(r"'(\w+)'", expected), 1)
        return f"{key}: {value!r} is not one of {expected}" + (f" (did you mean {near[0]}?)" if near else "")
    if error["type"] == "value_error":
        return f"{key}: {error['ctx']['error']}" if keys else str(error["ctx"]["error"])
    shown = repr(error["input"])
    return f"{key}: {error['msg'][0].lower()}{error['msg'][1:]}, not {shown[:60]}"


def _walk(location: Sequence[str]) -> Iterator[tuple[str, list[str]]]:
    """The keys a user wrote, each with its siblings; pydantic's locations also hold union tags, which no one wrote."""
    models: list[type[BaseModel]] = [Config]
    for part in location:
        fields = {name: f.annotation for m in models for name, f in m.model_fields.items()}
        if len(models) > 1 and any(_tag(m)[1] == part for m in models):  # a key may be called as a tag is
            models = [m for m in models if _tag(m)[1] == part]
        elif part in fields:
            yield part, list(fields)
            models = list(_models_in(fields[part]))
        elif (models or part.isdigit()) and not part.startswith("<"):
            yield part, list(fields)


def _known(model: type[BaseModel] = Config, above: str = "") -> dict[str, list[tuple[str, str]]]:
    """The dotted keys of the schema, without items of lists, which have numbers.

    Those of alternatives come once, each with the choices that have it, as in ("data.source", "scenes").
    """
    keys = dict[str, list[tuple[str, str]]]()
    for name, field in model.model_fields.items():
        keys[above + name] = []
        alternatives = list(_models_in(field.annotation, lists=False))
        for inner in alternatives:
            tag, value = _tag(inner)
            choice = [(f"{above}{name}.{tag}", value)] if len(alternatives) > 1 else []
            for key, choices in _known(inner, f"{above}{name}.").items():
                keys[key] = keys.get(key, []) + (choice or choices)
    return keys


def _models_in(annotation: Any, *, lists: bool = True) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for inner in get_args(annotation) if lists or get_origin(annotation) is not list else ():
        yield from _models_in(inner, lists=lists)


def _tag(model: type[BaseModel]) -> tuple[str, str]:
    """The key that tells a model from its alternatives, and its value; empty where there is none."""
    key = next((name for name in ("source", "name") if name in model.model_fields), "")
    return key, str(model.model_fields[key].default) if key else ""
