from __future__ import annotations

from pathlib import Path
from zipfile import ZipFile

import numpy as np
import pytest

from seepseg.runs.arrays import read_arrays, write_arrays


def test_arrays_come_back(tmp_path: Path) -> None:
    write_arrays(tmp_path / "a.npz", {"x": np.arange(3), "names": np.array(["a", "bc"])})
    arrays = read_arrays(tmp_path / "a.npz", ["x", "names"])
    assert arrays is not None
    assert {name: values.tolist() for name, values in arrays.items()} == {"x": [0, 1, 2], "names": ["a", "bc"]}


@pytest.mark.parametrize("cut", range(0, 2000, 97))
def test_what_is_damaged_is_none(tmp_path: Path, cut: int) -> None:
    path = tmp_path / "a.npz"
    write_arrays(path, {"x": np.random.default_rng(0).random(200)})
    whole = path.read_bytes()
    path.write_bytes(whole[: min(cut, len(whole) - 1)])
    assert read_arrays(path, "x") is None
    at = cut % len(whole)
    path.write_bytes(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :])
    read_arrays(path, "x")  # not every bit matters, but none raises an error
    entry = whole.index(b"PK\x01\x02") + 6
    path.write_bytes(whole[:entry] + b"\x6d" + whole[entry + 1 :])  # a version of ZIP that there is not yet
    assert read_arrays(path, "x") is None
    assert read_arrays(tmp_path / "none.npz", "x") is None


@pytest.mark.parametrize("header", [b"{'descr': '<f8', ", b"{1: 0, 'descr': '<f8'}", b"\\", b"(" * 5000])
def test_a_header_that_no_parser_takes_is_none(tmp_path: Path, header: bytes) -> None:
    path = tmp_path / "a.npz"
    with ZipFile(path, "w") as archive:
        archive.writestr("x.npy", b"\x93NUMPY\x01\0" + len(header).to_bytes(2, "little") + header)
    assert read_arrays(path, ["x"]) is None


def test_a_file_without_a_name_that_is_wanted_is_none(tmp_path: Path) -> None:
    write_arrays(tmp_path / "a.npz", {"x": np.arange(3)})
    assert read_arrays(tmp_path / "a.npz", ["x", "y"]) is None
