"""What may be wrong with a file: bytes that are flipped, cut, moved, and structure that a parser takes for sound."""

from __future__ import annotations

import json
import random
import re
import sqlite3
import tempfile
import zipfile
from contextlib import closing, suppress
from io import BytesIO
from pathlib import Path
from typing import Any

ODD_NUMBERS = [
    "0", "-1", "1", "2", "255", "256", "65535", "65536", "2147483647", "2147483648", "4294967295", "4294967296",
    "9223372036854775807", "9223372036854775808", "18446744073709551616", "1e308", "1e400", "-1e400", "1e-400", "nan",
    "inf", "-inf", "0x10", "1_000", "٣", "0.5", "1e999999999", "0e0", "9" * 30, "9" * 5000,
]  # fmt: skip
VIRTUAL = (
    "<OGRVRTDataSource><OGRVRTLayer name='x'><SrcDataSource>CANARY</SrcDataSource></OGRVRTLayer></OGRVRTDataSource>"
)
ODD_WORDS = [
    "", " ", "\0", "\n", "\r\n", '"', "'", ",", ";", ":", "=", "<", ">", "&", "%s", "{}", "[]", "null", "true", "~",
    "-", "---", "\ufeff", "\u202e", "é", "😀", "a" * 300, "/", "..", "../..", ".", "*", "[", "(", "\\", "\\ud800",
    "&#0;", "&#55296;", "&x;", "EPSG:4326", "EPSG:0", "EPSG:999999", "OGC:CRS84", "2021-04-01T05:26:23Z",
    "0001-01-01T00:00:00Z", "9999-12-31T23:59:59Z", "2021-02-30T25:61:61Z", "10000-01-01", "2021-04-01",
    "<![CDATA[", "<!--", "<a>" * 70,
    "<?xml version='1.0' encoding='utf-16'?>", "<!DOCTYPE a [<!ENTITY x SYSTEM 'file://CANARY'>]>", "&a [*a]", "<<: *a",
    "!!python/object/apply:os.system ['touch CANARY']", "!!binary x", "CANARY", "/vsicurl/http://127.0.0.1:9/x.tif",
    "/vsizip/CANARY/x", "http://127.0.0.1:9/x", "file://CANARY", '{"type": "gdal_streamed_alg"}', "=cmd|'/c calc'!A1",
    "<VRTDataset><SourceFilename>CANARY</SourceFilename></VRTDataset>", VIRTUAL,
]  # fmt: skip
"""Text that parsers and what comes after them stumble over; CANARY becomes the path of a file that nobody may read."""
NUMBERS = re.compile(rb"-?\d+(?:\.\d+)?(?:[eE][-+]?\d+)?")
MARKUP = {
    "xml": re.compile(rb"<[^<>]*>"),
    "json": re.compile(rb'[\[\]{},:]|"[^"]*"'),
    "yaml": re.compile(rb"[^\s:,\[\]{}]+|[:\[\]{},]|\n *"),
    "csv": re.compile(rb"[^,\r\n]+|[,\r\n]"),
}


def word(rng: random.Random, canary: str) -> bytes:
    """One odd number or word."""
    return rng.choice(rng.choice((ODD_NUMBERS, ODD_WORDS))).replace("CANARY", canary).encode("utf-8", "surrogatepass")


def bytes_damaged(whole: bytes, rng: random.Random, canary: str) -> bytes:
    """A copy with one to four injuries, half of them in the first bytes, where headers are."""
    data = bytearray(whole or b"\0")
    for _ in range(rng.randint(1, 4)):
        at = rng.randrange(min(len(data), 400) if rng.random() < 0.5 else len(data))
        match rng.randrange(8):
            case 0 | 1:
                data[at] ^= 1 << rng.randrange(8)
            case 2:
                width = rng.choice((1, 2, 4, 8))
                number = rng.choice(
                    (0, 1, 127, 128, 255, 2**15, 2**16 - 1, 2**31 - 1, 2**31, 2**32 - 1, 2**63, 2**64 - 1)
                )
                data[at : at + width] = (number % 256**width).to_bytes(width, rng.choice(("little", "big")))
            case 3:
                del data[max(at, 1) :]
            case 4:
                data[at:at] = rng.randbytes(rng.randint(1, 16))
            case 5:
                data[at : at + 16] = data[:16]
            case 6:
                start = rng.randrange(len(data))
                piece = data[start : start + rng.randint(1, 64)]
                data[at : at + (len(piece) if rng.random() < 0.5 else 0)] = piece
            case _:
                data[at:at] = word(rng, canary)
    return bytes(data)


def text_damaged(whole: bytes, rng: random.Random, canary: str, kind: str) -> bytes:
    """A copy with one to three changes between tokens, so that most of it is still of its kind."""
    data = whole
    for _ in range(rng.randint(1, 3)):
        pattern = NUMBERS if rng.random() < 0.4 else MARKUP[kind]
        spans = [match.span() for match in pattern.finditer(data)] or [(0, len(data))]
        (start, stop), (first, last) = rng.choice(spans), rng.choice(spans)
        match rng.randrange(8):
            case 0 | 1 | 2:
                data = data[:start] + word(rng, canary) + data[stop:]
            case 3:
                data = data[:start] + data[stop:]
            case 4:
                data = data[:start] + data[first:last] + data[stop:]
            case 5:
                data = data[: min(start, first)] + data[max(stop, last) :]
            case 6:
                piece = data[min(start, first) : max(stop, last)][:2000]
                data = data[:start] + piece * rng.choice((2, 3, 100)) + data[stop:]
            case _:
                data = data[:stop] + word(rng, canary) + data[stop:]
    return data


def tree_damaged(tree: Any, rng: random.Random, canary: str, odd: tuple[Any, ...] = ()) -> Any:
    """A tree of dicts and lists with a node replaced, removed, repeated or put into another."""
    nodes = list(_nodes(tree))
    if not nodes:
        return _value(rng, canary, odd)
    for _ in range(rng.randint(1, 2)):
        holder, key = rng.choice(nodes)
        with suppress(LookupError, TypeError):
            match rng.randrange(6):
                case 0 | 1 | 2:
                    holder[key] = _value(rng, canary, odd)
                case 3:
                    del holder[key]
                case 4:
                    other, place = rng.choice(nodes)
                    holder[key] = json.loads(json.dumps(other[place], default=str))
                case _:
                    for _ in range(rng.choice((1, 70, 900))):
                        holder[key] = [holder[key]]
    return tree


def _nodes(tree: Any) -> Any:
    pairs = tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list) else ()
    for key, value in pairs:
        yield tree, key
        yield from _nodes(value)


def _value(rng: random.Random, canary: str, odd: tuple[Any, ...]) -> Any:
    plain = (None, True, 0, -1, 1.5, 2**63, 10**30, float("nan"), float("inf"), [], {}, "", [[]], {"": None})
    made = rng.choice((*plain, *odd, ...))
    return word(rng, canary).decode("utf-8", "replace") if made is ... else made


def json_damaged(whole: bytes, rng: random.Random, canary: str) -> bytes:
    """A copy of JSON, or of a line of it, that is still JSON and says something else."""
    lines = whole.splitlines(keepends=True) if whole.count(b"\n") > 1 and whole.startswith(b'{"') else [whole]
    number = rng.randrange(len(lines))
    try:
        lines[number] = json.dumps(tree_damaged(json.loads(lines[number]), rng, canary)).encode() + b"\n"
    except (ValueError, RecursionError):
        return bytes_damaged(whole, rng, canary)
    return b"".join(lines)


def base_damaged(whole: bytes, rng: random.Random, canary: str) -> bytes:
    """A copy of an SQLite file (GeoPackage) that some program changed: cells, names, tables, views, types."""
    with tempfile.TemporaryDirectory() as name:
        path = Path(name) / "a.db"
        path.write_bytes(whole)
        with suppress(sqlite3.Error), closing(sqlite3.connect(path)) as base:
            names = "SELECT name, type FROM sqlite_master WHERE name NOT LIKE 'sqlite_%'"
            kinds = base.execute(names).fetchall()
            for trigger in (n for n, kind in kinds if kind == "trigger"):
                base.execute(f'DROP TRIGGER "{trigger}"')
            tables = [n for n, kind in kinds if kind == "table" and not n.startswith("rtree")]
            for _ in range(rng.randint(1, 3)):
                with suppress(sqlite3.Error, IndexError):  # of what an earlier change took away
                    _change(base, rng.choice(tables), rng, canary)
            base.commit()
        return path.read_bytes()


def _change(base: sqlite3.Connection, table: str, rng: random.Random, canary: str) -> None:
    column = rng.choice([row[1] for row in base.execute(f'PRAGMA table_info("{table}")')])
    text = word(rng, canary).decode("utf-8", "replace")
    match rng.randrange(8):
        case 0 | 1 | 2:
            value = rng.choice((text, None, rng.randbytes(9), 2**62, -1, 1e308, float("nan")))
            base.execute(f'UPDATE "{table}" SET "{column}" = ?', (value,))
        case 3:
            whole = base.execute(f'SELECT rowid, "{column}" FROM "{table}"').fetchall()
            row, value = rng.choice(whole or [(0, b"")])
            spoilt = bytes_damaged(value if isinstance(value, bytes) else str(value).encode(), rng, canary)
            base.execute(f'UPDATE "{table}" SET "{column}" = ? WHERE rowid = ?', (spoilt, row))
        case 4:
            base.execute(f'ALTER TABLE "{table}" RENAME COLUMN "{column}" TO "{text[:40].replace(chr(34), "")}"')
        case 5:
            base.execute(f'ALTER TABLE "{table}" DROP COLUMN "{column}"')
        case 6:
            base.execute(rng.choice((f'DROP TABLE "{table}"', f'DELETE FROM "{table}"')))
        case _:
            base.execute(f'ALTER TABLE "{table}" RENAME TO "{table}_"')
            base.execute(f'CREATE VIEW "{table}" AS SELECT * FROM "{table}_"')


def archive_damaged(whole: bytes, rng: random.Random, canary: str) -> bytes:
    """A copy of a ZIP with members of odd names, kinds and sizes, or archives in it."""
    made = BytesIO()
    try:
        with zipfile.ZipFile(BytesIO(whole)) as old, zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as new:
            for info in old.infolist():
                content = old.read(info)
                match rng.randrange(12):
                    case 0:
                        info.filename = word(rng, canary).decode("utf-8", "replace") or "a"
                    case 1:
                        info.filename = rng.choice(("../", "/", "C:/", "a/../../", "./", "\\", "a//")) + info.filename
                    case 2:
                        info.external_attr = rng.choice((0o120777, 0o020666, 0o010666, 0o060666)) << 16
                        content = canary.encode()
                    case 3:
                        content = bytes(rng.choice((2**16, 2**27)))
                    case 4:
                        content, info.filename = whole, f"{info.filename}.zip"
                    case 5:
                        content = bytes_damaged(content, rng, canary)
                    case 6:
                        continue
                info.compress_type = rng.choice(
                    (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_LZMA, zipfile.ZIP_BZIP2)
                )
                new.writestr(info, content)
    except (zipfile.BadZipFile, ValueError, OSError, NotImplementedError, RuntimeError):
        return bytes_damaged(whole, rng, canary)
    content = made.getvalue()
    return bytes_damaged(content, rng, canary) if rng.random() < 0.3 else content


def damaged(whole: bytes, kind: str, rng: random.Random, canary: str) -> bytes:
    """A damaged copy of a file; `kind` is "bytes", a key of `MARKUP`, "sqlite" or "zip"."""
    if kind == "bytes" or rng.random() < 0.25:
        return bytes_damaged(whole, rng, canary)
    if kind == "sqlite":
        return base_damaged(whole, rng, canary)
    if kind == "zip":
        return archive_damaged(whole, rng, canary)
    if kind == "json" and rng.random() < 0.6:
        return json_damaged(whole, rng, canary)
    return text_damaged(whole, rng, canary, kind)
