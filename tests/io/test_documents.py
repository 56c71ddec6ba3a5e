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
from seepseg.io import documents
from seepseg.io.documents import DEPTH, parse_json, parse_xml, read_text


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


@pytest.mark.parametrize("text", ["[" * 10**5, "- " * 10**5])
def test_what_is_nested_in_itself_for_long_is_refused(text: str) -> None:
    # Without a look at the memory, which takes forty times as long.
    with pytest.raises(DataError, match="nested|levels"):
        parse_yaml(text, "c.yaml")


def test_keys_of_a_large_mapping_are_compared_in_no_more_than_one_pass() -> None:
    """As a list of keys, 10,000 of them would be compared 50 million times."""
    text = "\n".join(f"k{n}:" for n in range(10_000))
    assert len(parse_yaml(text, "c.yaml")) == 10_000
    with pytest.raises(DataError, match="line 10001"):
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
    path.write_bytes(b"a" * 2049)
    with pytest.raises(DataError, match="is over 2 KiB"):
        read_text(path, 2048)
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


def test_xml_is_read_up_to_its_budgets_and_not_beyond(monkeypatch: pytest.MonkeyPatch) -> None:
    def says(content: str) -> str:
        with pytest.raises(DataError) as caught:
            parse_xml(content, Path("a.xml"))
        return caught.value.what

    deepest = parse_xml("<a>" * DEPTH + "x" + "</a>" * DEPTH, Path("a.xml"))
    assert len([*deepest.iter()]) == 64
    assert [*deepest.iter()][-1].text == "x"
    assert says("<a>" * 65 + "</a>" * 65) == "its metadata have over 64 levels"
    # Siblings are no levels.
    assert len(parse_xml(f"<a>{'<b/>' * 100}</a>", Path("a.xml"))) == 100
    monkeypatch.setattr(documents, "ELEMENTS", 5)
    assert len(parse_xml("<a><b/><b/><b/><b/></a>", Path("a.xml"))) == 4
    assert says("<a><b/><b/><b/><b/><b/></a>") == "its metadata have over 5 elements"
    assert says("<!DOCTYPE a><a/>") == "its metadata have a document type"
    assert says("<a>").startswith("its metadata are damaged")
    assert len(parse_xml("<a/>".ljust(2**23), Path("a.xml"))) == 0
    assert says("<a/>".ljust(2**23 + 1)) == "its metadata are over 8 MiB"
