"""Real annotation read by two programs: calibration and incidence angles against xarray-sentinel, for development only.

    pip install xarray-sentinel; SEEPSEG_SENTINEL1=FOLDER pytest tests/sentinel1/test_oracle.py

The folder has a product and, of the SLC product of its pass, the calibration.
"""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from seepseg.sentinel1.annotation import read_annotation, read_calibration

REFERENCE = os.environ.get("SEEPSEG_SENTINEL1", "")
pytestmark = [
    pytest.mark.data,
    pytest.mark.skipif(not REFERENCE, reason="SEEPSEG_SENTINEL1 names no folder with a real product"),
    pytest.mark.filterwarnings("ignore"),
]


def test_calibration_is_that_of_another_program() -> None:
    xarray = pytest.importorskip("xarray")
    oracle = pytest.importorskip("xarray_sentinel.sentinel1")
    (path,) = Path(REFERENCE).glob("calibration-*.xml")
    width, lines = 21632, np.arange(97, 13000, 41)
    _, table = read_calibration(path.read_bytes(), path, width)
    gain = np.concatenate([table.block(range(line, line + 1), range(width)) for line in lines.tolist()])
    numbers = xarray.DataArray(np.full(gain.shape, 100.0), {"line": lines, "pixel": np.arange(width)})
    theirs = oracle.calibrate_intensity(numbers, oracle.open_calibration_dataset(path).sigmaNought, rtol=0, atol=0)
    ours = 100.0**2 / gain.astype(np.float64) ** 2
    assert np.abs(ours / theirs.values - 1).max() < 1e-5


def test_incidence_angles_and_places_are_those_of_another_program() -> None:
    oracle = pytest.importorskip("xarray_sentinel.sentinel1")
    (path,) = Path(REFERENCE).glob("*.SAFE/annotation/*-vv-*.xml")
    ours, grid = read_annotation(path.read_bytes(), path), oracle.open_gcp_dataset(path)
    places = np.stack([grid.longitude.values, grid.latitude.values, grid.height.values], -1).reshape(-1, 3)
    assert np.array_equal(ours.points[:, 2:], places)
    rows = [ours.incidence.block(range(line, line + 1), range(ours.width))[0] for line in grid.line.values.tolist()]
    assert np.stack(rows)[:, grid.pixel.values] == pytest.approx(grid.incidenceAngle.values, rel=1e-6)
