from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from seepseg.classes import COLORS, IGNORE, SALT, SEEP, SEEP_BINARY, ClassTable, SegClass
from seepseg.config import ClassNode, TilesData
from seepseg.errors import ConfigError, DataError


def test_seven_classes_and_their_merger() -> None:
    assert len(SEEP) == 8
    assert SEEP.names[:2] == ("background", "seep 1")
    labels = np.array([[0, 1, 7]], np.uint8)
    assert SEEP.to_indices(labels, "m").tolist() == [[0, 1, 7]]
    assert SEEP_BINARY.to_indices(labels, "m").tolist() == [[0, 1, 1]]


def test_values_merge_and_may_be_ignored() -> None:
    table = ClassTable((SegClass("a", (10, 20), "#000001"), SegClass("b", (300,), "#0a0b0c")), ignore_values=(9,))
    assert table.to_indices(np.array([[0, 10, 20, 300, 9]], np.uint16), "m").tolist() == [[0, 1, 1, 2, IGNORE]]
    assert table.colors.tolist() == [[0, 0, 0], [0, 0, 1], [10, 11, 12]]


def test_an_unknown_value_is_named_with_its_pixels() -> None:
    with pytest.raises(DataError) as caught:
        SEEP.to_indices(np.array([[0, 255, 255, 9]], np.uint8), "mask.tif")
    assert str(caught.value).startswith(
        "unknown label values 9 (1 pixels), 255 (2 pixels) in mask.tif: the values are 0, 1, 2, 3, 4, 5, 6, 7; "
    )


def test_a_value_or_name_given_twice_is_refused() -> None:
    with pytest.raises(ConfigError, match="label value 1 is in two classes"):
        ClassTable((SegClass("a", (1,), "#000000"), SegClass("b", (1,), "#000000")))
    with pytest.raises(ConfigError, match="two classes have one name"):
        ClassTable((SegClass("a", (1,), "#000000"), SegClass("a", (2,), "#000000")))
    with pytest.raises(ConfigError, match="two classes have one name"):
        ClassTable((SegClass("background", (1,), "#000000"),))
    with pytest.raises(ConfigError, match="a class is called tiles, as a column of the tables of splits is"):
        ClassTable((SegClass("tiles", (1,), "#000000"),))


def test_classes_without_a_colour_get_different_ones() -> None:
    nodes = [
        ClassNode(name="a", values=[1]),
        ClassNode(name="b", values=[2], color="#010203"),
        ClassNode(name="c", values=[3]),
    ]
    table = TilesData(root=Path(), classes=nodes).class_table()
    assert [c.color for c in table.foreground] == [COLORS[0], "#010203", COLORS[2]]


def test_values_from_which_a_class_begins() -> None:
    table = ClassTable(
        (SegClass("thick", (), "#000000", 0.5), SegClass("thin", (), "#000001", 0.25)), ignore_values=(9,)
    )
    assert table.to_indices(np.array([[0, 0.25, 0.5, 9, np.nan, 3]]), "m").tolist() == [[0, 2, 1, IGNORE, IGNORE, 1]]
    tenths = ClassTable((SegClass("oil", (), "#000000", 0.9),))
    assert tenths.to_indices(np.array([[0.9, 0.89]], np.float32), "m").tolist() == [[1, 0]]
    assert (table.soft, table.has(0), table.has(9), table.has(0.5)) == (True, True, True, False)
    with pytest.raises(ConfigError, match="at_least is not given, and different, for every class"):
        ClassTable((SegClass("a", (1,), "#000000"), SegClass("b", (), "#000000", 0.5)))


def test_tables_of_one_class_that_is_1() -> None:
    one, two = (SegClass(name, (value,), "#000000") for name, value in (("a", 1), ("b", 2)))
    assert SALT.of_0_and_1
    assert ClassTable((one,)).of_0_and_1
    half = SegClass("a", (1,), "#000000", at_least=0.5)
    for table in (
        ClassTable((two,)), ClassTable((one, two)), ClassTable((one,), (2,)), ClassTable((one,), (0,), (255,)),
        ClassTable((half,)), SEEP_BINARY,
    ):  # fmt: skip
        assert not table.of_0_and_1
