"""Documents of others, text, XML and JSON: of a stated size and depth; none names files or runs code."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from xml.etree.ElementTree import Element, TreeBuilder
from xml.parsers import expat

from seepseg.errors import DataError
from seepseg.io.files import open_regular

MAX_XML = 2**23
"""Bytes of an XML document; annotations of Sentinel-1 have 2 MB, an `.aux.xml` with histograms some hundred kB."""
ELEMENTS = 2**18
"""Of an XML document; an annotation has some 30,000."""
DEPTH = 64
"""Levels of elements in one another."""


def read_text(path: Path, most: int) -> str:
    """The text of a file of at most so many bytes, as UTF-8.

    Raises:
        DataError: it is no regular file, too large, or no text.
    """
    with open_regular(path) as stream:
        content = stream.read(most + 1)
    if len(content) > most:
        raise DataError(f"is over {most >> 10} KiB", path, "give a smaller file")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataError(f"cannot be read ({error})", path, "save it as text in UTF-8") from None


def parse_xml(content: bytes | str, path: Path) -> Element:
    """The root of a small XML document without a document type, so that it has no entities and names no files.

    Raises:
        DataError: it is no XML, too large, too deep, or has a document type.
    """
    if len(content) > MAX_XML:
        raise DataError(f"its metadata are over {MAX_XML >> 20} MiB", path, "remove them")
    count = depth = 0

    def refuse(*_: object) -> None:
        raise DataError("its metadata have a document type", path, "remove it")

    def start(tag: str, attributes: dict[str, str]) -> None:
        nonlocal count, depth
        count, depth = count + 1, depth + 1
        if count > ELEMENTS or depth > DEPTH:
            what = f"over {DEPTH} levels" if depth > DEPTH else f"over {ELEMENTS} elements"
            raise DataError(f"its metadata have {what}", path, "correct or remove them")
        builder.start(tag, attributes)

    def end(tag: str) -> None:
        nonlocal depth
        depth -= 1
        builder.end(tag)

    builder, parser = TreeBuilder(), expat.ParserCreate()
    parser.StartDoctypeDeclHandler = refuse
    parser.StartElementHandler, parser.EndElementHandler = start, end
    parser.CharacterDataHandler = builder.data
    parser.buffer_text = True
    try:
        parser.Parse(content, True)
    except (expat.ExpatError, LookupError, ValueError) as error:
        raise DataError(f"its metadata are damaged ({error})", path, "correct or remove them") from None
    return builder.close()


def parse_json(text: str | bytes) -> Any:
    """The tree of a JSON text; ValueError where it is none, also where it is nested too deeply or a number too long."""
    try:
        return json.loads(text)
    except RecursionError:
        raise ValueError("too deeply nested") from None
