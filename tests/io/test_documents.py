"""Documents that a stranger sends: what they hold, or one error, in bounded time and memory."""

from __future__ import annotations

import os
import tracemalloc
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seepseg.config.document import MAX_YAML, parse_yaml
from seepseg.errors import DataError
from seepseg.io.documents import parse_json, read_text


def laughs(levels: int) -> str:
    """Lists of ten, each of the one before: 10 to the power of the levels, once its aliases are written out."""
    lines = ["a0: &a0 lol"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, levels + 1)]
    return "\n".join(lines)


def test_aliases_are_read_as_what_they_stand_for() -> None:
    assert parse_yaml("a: &x [1, 2]\nb: *x\n", "c.yaml") == {"a": [1, 2], "b": [1, 2]}


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (laughs(9), "over 1 MiB with its aliases"),
        ("a: &a [x, *a]", "an alias stands in what it stands for"),
        ("[" * 100 + "]" * 100, "over 64 levels deep"),
        ("[" * 10**5, "nested|levels|expected"),
        ("- " * 10**5, "nested|levels"),
        ("#" * (MAX_YAML + 1), "over 256 KiB of YAML"),
        (f"a: &a {'x' * 10**5}\nb: [{', '.join(['*a'] * 11)}]", "over 1 MiB with its aliases"),
        ("? [1, 2]\n: 3", "unhashable"),
        ("a: 1\na: 2", "'a' is given twice"),
        (f"a: {'9' * 5000}", "digit"),
    ],
)
def test_what_would_take_all_memory_or_time_is_refused(text: str, says: str) -> None:
    tracemalloc.start()
    with pytest.raises(DataError, match=says):
        parse_yaml(text, "c.yaml")
    assert tracemalloc.get_traced_memory()[1] < 100 * 2**20
    tracemalloc.stop()


def test_keys_of_a_large_mapping_are_compared_in_no_more_than_one_pass() -> None:
    """As a list of keys, 30,000 of them were compared 450 million times."""
    text = "\n".join(f"k{n}:" for n in range(30_000))
    assert len(parse_yaml(text, "c.yaml")) == 30_000
    with pytest.raises(DataError, match="line 30001"):
        parse_yaml(f"{text}\nk7: 1", "c.yaml")


@given(st.text(max_size=60))
def test_any_text_is_a_tree_or_an_error(text: str) -> None:
    try:
        parse_yaml(text, "c.yaml")
    except DataError as error:
        assert "\n" not in str(error)


def test_a_text_is_a_regular_file_of_a_stated_size(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes(b"\xef\xbb\xbf" + "smør".encode())
    assert read_text(path, 8) == "smør"  # 3 + 5 bytes
    with pytest.raises(DataError, match="is over 0 KiB"):
        read_text(path, 7)
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(DataError, match="UTF-8"):
        read_text(path, 100)
    os.mkfifo(tmp_path / "pipe")
    for odd in (tmp_path / "pipe", Path("/dev/zero")):
        with pytest.raises(DataError, match="pipe or device"):
            read_text(odd, 100)


@pytest.mark.parametrize("text", ["[" * 10**6, '{"a":' * 10**5, "9" * 5000, "", "nonsense", b"\xff"])
def test_no_json_is_a_value_error(text: str | bytes) -> None:
    with pytest.raises(ValueError):
        parse_json(text)
