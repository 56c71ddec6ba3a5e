"""What an nnU-Net data set says of itself in its dataset.json (version 2): classes, channels, the ending of files."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

from seepseg.classes import COLORS, ClassTable, SegClass
from seepseg.errors import ConfigError, DataError
from seepseg.io.documents import parse_json, read_text

DESCRIPTION = "dataset.json"
MOST = 2**20
"""Bytes of it: it lists no files."""
ENDINGS = (".png", ".tif", ".tiff")


def described(folder: Path) -> dict[str, Any]:
    """The keys of `data` that the dataset.json of a folder fills in: classes, ignore_values and bands.

    Bands are the numbers of its channels, from 1; None where there is one, so that a grey PNG of three equal channels
    is read too.

    Raises:
        ValueError: there is none, it is of another version, or it describes what seepseg does not read.
    """
    path = folder / DESCRIPTION
    content = _read(path)
    channels, ending = content.get("channel_names"), content.get("file_ending")
    if not isinstance(channels, dict) or not channels:
        first = ": it is in the form of nnU-Net 1, convert it to that of version 2" if "modality" in content else ""
        raise ValueError(f"{path} has no channel_names{first}")
    if sorted(channels) != sorted(map(str, range(len(channels)))):
        raise ValueError(f"{path}: channel_names are not numbered 0 to {len(channels) - 1}")
    if ending not in ENDINGS:
        raise ValueError(f"{path}: file_ending is {ending!r}; seepseg reads pictures, {', '.join(ENDINGS)}")
    if "dataset" in content:
        raise ValueError(f"{path} lists files under dataset; give a data set with imagesTr and labelsTr")
    classes, ignored = labels_of(content.get("labels"), path)
    bands = list(range(1, len(channels) + 1)) if len(channels) > 1 else None
    return {"classes": classes, "ignore_values": ignored, "bands": bands}


def described_table(path: Path) -> ClassTable:
    """The class table of a dataset.json.

    Raises:
        ConfigError: it is not there, or its labels are of another form.
    """
    try:
        classes, ignored = labels_of(_read(path).get("labels"), path)
    except ValueError as error:
        raise ConfigError(str(error), "--classes", "give a dataset.json of nnU-Net 2, or a config") from None
    colors = itertools.cycle(COLORS)
    table = tuple(SegClass(one["name"], tuple(one["values"]), next(colors)) for one in classes)
    return ClassTable(table, ignore_values=tuple(ignored))


def labels_of(labels: object, path: Path) -> tuple[list[dict[str, Any]], list[int]]:
    """Foreground classes and ignored values of nnU-Net's `labels`: name → value, from 0, the background, without gaps.

    So the value of a class is its index too, in our maps as in those of nnU-Net.

    Raises:
        ValueError: they are of another form; `path` is where they stand.
    """
    if not isinstance(labels, dict) or not labels:
        raise ValueError(f"{path} has no labels")
    if any(isinstance(value, (list, tuple)) for value in labels.values()):
        raise ValueError(
            f"{path}: labels are regions, which overlap; give one value each, and train on regions with nnU-Net"
        )
    if any(not isinstance(value, int) or isinstance(value, bool) for value in labels.values()):
        turned = ": it is in the form of nnU-Net 1" if all(str(key).isdigit() for key in labels) else ""
        raise ValueError(f"{path}: labels are not whole numbers by name{turned}")
    names = dict(sorted(((value, str(name)) for name, value in labels.items())))
    if list(names) != list(range(len(labels))) or names[0] != "background":
        raise ValueError(f"{path}: labels are not background = 0 and then 1, 2, … without a gap")
    ignored = [value for value, name in names.items() if name == "ignore"]
    if ignored and ignored != [len(labels) - 1]:
        raise ValueError(f"{path}: ignore is {ignored[0]}, and not the highest label, {len(labels) - 1}")
    if odd := [name for name in names.values() if not (name.strip() and name.isprintable())]:
        raise ValueError(f"{path}: {odd[0][:40]!r} is no name of a class")
    classes = [{"name": name, "values": [value]} for value, name in names.items() if value and name != "ignore"]
    return classes, ignored


def _read(path: Path) -> dict[str, Any]:
    if not path.exists():
        raise ValueError(f"{path} is not there: data.root is nnU-Net's folder DatasetNNN_NAME")
    try:
        content = parse_json(read_text(path, MOST))
    except (DataError, ValueError) as error:
        what = error.what if isinstance(error, DataError) else error
        raise ValueError(f"{path} cannot be read ({what})") from None
    if not isinstance(content, dict):
        raise ValueError(f"{path} holds no keys")
    return content
