"""The comparison finds what differs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from seepseg.config import parse
from seepseg.data.source import source_of
from seepseg.errors import DataError
from seepseg.export.parity import Parity, compare, tiles_of
from seepseg.runs.folder import RunFolder
from seepseg.synthetic import write_seep
from tests.export.models import checkpoint_of, graph_of, images, members_of, sample_of
from tests.export.test_graph import eager


def test_differences_are_found() -> None:
    checkpoint = checkpoint_of()
    graph, rows = graph_of(checkpoint), images()
    valid = sum(int(r.valid.sum()) for r in rows)

    def compared(change: Any) -> Parity:
        def run(pixels: NDArray[np.float32], limits: NDArray[np.float32] | None) -> tuple[NDArray[Any], ...]:
            probabilities, classes = (a.copy() for a in eager(graph)(pixels, limits))
            change(probabilities, classes)
            return probabilities, classes

        return compare(run, graph, members_of(checkpoint), sample_of(rows), checkpoint.config.predict, None)

    def other_class(probabilities: NDArray[Any], classes: NDArray[Any]) -> None:
        classes[0, 7, 9] = (classes[0, 7, 9] + 1) % 8

    def other_number(probabilities: NDArray[Any], classes: NDArray[Any]) -> None:
        probabilities[0, 3, 7, 9] += 0.25

    def no_number(probabilities: NDArray[Any], classes: NDArray[Any]) -> None:
        probabilities[0, 3, 7, 9] = np.nan

    assert compared(lambda probabilities, classes: None).holds
    parity = compared(other_class)
    assert (parity.tiles, parity.pixels, parity.changed, parity.holds) == (3, valid, 3, False)
    parity = compared(other_number)
    assert (round(parity.difference, 4), parity.changed, parity.holds) == (0.25, 0, False)
    assert compared(no_number).difference == np.inf


def test_a_run_whose_tiles_are_gone_has_none_to_compare_on(tmp_path: Path) -> None:
    write_seep(tmp_path / "data", scenes=2, grid=(2, 2), tile=64)
    source = source_of(parse({"data": {"source": "seep", "root": str(tmp_path / "data")}}, "t").data)
    ids = [tile.id for tile in source.catalog().tiles]
    folder = RunFolder(tmp_path / "run")
    folder.root.mkdir()
    for names in (ids[:3], ["another"]):
        folder.splits.write_text("id,group,split\n" + "".join(f"{name},a,val\n" for name in names))
        if names[0] in ids:
            assert [tile.id for tile in tiles_of(source, folder).tiles] == names
            continue
        with pytest.raises(DataError, match="none of the tiles that the run was validated on is there"):
            tiles_of(source, folder)


def test_the_bars_are_those_of_the_documentation() -> None:
    assert Parity(1, 200_000, 1e-4, 2).holds
    assert not Parity(1, 200_000, 1.1e-4, 0).holds
    assert not Parity(1, 200_000, 0.0, 3).holds
    assert str(Parity(2, 200_000, 1.23e-6, 1)) == (
        "2 tiles, 200,000 pixels: largest difference of a probability 1.2e-06, other class in 5.0e-06 of the pixels (1)"
    )
