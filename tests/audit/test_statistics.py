from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tifffile

from seepseg.audit.statistics import balance, coverage_classes, flags, intensities, tile_table, unit
from seepseg.classes import SALT
from seepseg.config import Scaling, SeepData
from seepseg.data.catalog import Catalog, Tile
from seepseg.data.scan import with_counts
from seepseg.data.source import source_of
from seepseg.errors import DataError


def write(root: Path, tiles: dict[str, tuple[list[list[int]], list[list[int]]]]) -> SeepData:
    for folder in ("train_images_256", "train_masks_256"):
        (root / folder).mkdir(parents=True)
    for name, (image, labels) in tiles.items():
        tifffile.imwrite(root / "train_images_256" / f"{name}.tif", np.array(image, np.uint16))
        tifffile.imwrite(root / "train_masks_256" / f"{name}.tif", np.array(labels, np.uint8))
    return SeepData(root=root, classes="seep_binary")


TILES = {
    "a.1": ([[0, 10], [20, 30]], [[0, 1], [1, 0]]),
    "a.2": ([[40, 50], [60, 70]], [[0, 0], [0, 0]]),
    "b.1": ([[100, 100], [100, 100]], [[7, 0], [0, 0]]),
}


def test_class_balance_by_hand(tmp_path: Path) -> None:
    data = write(tmp_path, TILES)
    table = balance(with_counts(source_of(data), source_of(data).catalog()))
    # Seep: 2 + 0 + 1 = 3 of the 11 pixels that hold data (one of 12 is 0), in two of three tiles.
    assert table["class"].tolist() == ["background", "seep"]
    assert table["pixels"].tolist() == [8, 3]
    assert table["percent"].tolist() == pytest.approx([800 / 11, 300 / 11])
    assert table["tiles"].tolist() == [3, 2]


def test_intensities_of_each_scene_by_hand(tmp_path: Path) -> None:
    data = write(tmp_path, TILES)
    bands, table = intensities(source_of(data).catalog(), source_of(data))
    histograms, edges, _ = bands[""]
    # Scene a holds 10, 20, … 70: median 40, mean 40; the 0 is no data. Scene b is 100 everywhere.
    assert table["group"].tolist() == ["a", "b"]
    assert table["sampled"].tolist() == [7, 4]
    assert table["median"].tolist() == [40, 100]
    assert table["mean"].tolist() == [40, 100]
    # The 1st percentile of seven values lies 0.06 of a step above the lowest: 10 + .06 · 10.
    assert table["p1"].tolist() == pytest.approx([10.6, 100])
    assert (edges[0], edges[-1]) == (10, 100)
    assert all(h.sum() == pytest.approx(1) for h in histograms.values())
    assert histograms["b"][-1] == 1


def test_every_band_has_its_row_and_histogram(tmp_path: Path) -> None:
    data = write(tmp_path, TILES).model_copy(update={"bands": [2, 1]})
    for path, first in zip(sorted((tmp_path / "train_images_256").iterdir()), (10, 20, 30), strict=True):
        bands = np.stack([np.full((2, 2), first, np.uint16), np.full((2, 2), 10 * first, np.uint16)])
        tifffile.imwrite(path, bands, planarconfig="separate", photometric="minisblack")
    histograms, table = intensities(source_of(data).catalog(), source_of(data))
    assert {band: list(of.scenes) for band, of in histograms.items()} == {"2": ["a", "b"], "1": ["a", "b"]}
    # Scene a: two tiles of 10 and 20, ten times that in band 2; scene b: one of 30.
    assert table[["group", "band", "mean"]].to_numpy().tolist() == [
        ["a", "2", 150], ["a", "1", 15], ["b", "2", 300], ["b", "1", 30],
    ]  # fmt: skip
    # Each band has an axis of its own: decibels and degrees would leave each other no room.
    assert [(of.edges[0], of.edges[-1]) for of in histograms.values()] == [(100, 300), (10, 30)]


def test_linear_backscatter_is_told_in_decibels(tmp_path: Path) -> None:
    data = write(tmp_path, {"a.1": ([[1, 10], [100, 1000]], [[0, 0], [0, 0]])})
    bands, _ = intensities(
        source_of(data).catalog(), source_of(data.model_copy(update={"scaling": Scaling(kind="linear")}))
    )
    edges = bands[""].edges
    # 10 · log10(1) = 0 dB, 10 · log10(1000) = 30 dB.
    assert (edges[0], edges[-1]) == pytest.approx((0, 30))


def test_intensities_leave_out_what_is_not_finite(tmp_path: Path) -> None:
    data = write(tmp_path, {"a.1": ([[0, 0], [0, 0]], [[0, 0], [0, 0]])})
    pixels = np.array([[np.nan, 10], [np.inf, 30]], np.float32)
    tifffile.imwrite(tmp_path / "train_images_256" / "a.1.tif", pixels)
    bands, table = intensities(source_of(data).catalog(), source_of(data))
    assert table[["sampled", "median", "mean"]].to_numpy().tolist() == [[2, 20, 20]]
    assert (bands[""].edges[0], bands[""].edges[-1]) == (10, 30)


@pytest.mark.parametrize(
    ("kind", "units"), [("dn", ["raw value"] * 2), ("linear", ["dB", "dB"]), ("db", ["dB", "raw value"])]
)
def test_intensities_are_in_the_unit_of_the_input(tmp_path: Path, kind: str, units: list[str]) -> None:
    source = source_of(SeepData(root=tmp_path, scaling=Scaling.model_validate({"kind": kind})))
    # Linear values of every band are turned into decibels; where they come as such, an angle is none.
    assert [unit(source, band) for band in ("vv", "incidence")] == units


def test_data_without_a_valid_pixel_has_no_row(tmp_path: Path) -> None:
    data = write(tmp_path, TILES | {"c.1": ([[0, 0], [0, 0]], [[0, 0], [0, 0]])})
    histograms, table = intensities(source_of(data).catalog(), source_of(data))
    assert table["group"].tolist() == ["a", "b"]
    assert histograms[""].scenes["c"].sum() == 0


def test_nothing_but_no_data_is_said(tmp_path: Path) -> None:
    data = write(tmp_path, {"c.1": ([[0, 0], [0, 0]], [[0, 0], [0, 0]])})
    with pytest.raises(DataError) as caught:
        intensities(source_of(data).catalog(), source_of(data))
    assert str(caught.value) == f"no valid pixel in {tmp_path}: check data.nodata"


SALT_TILES = Catalog(
    (
        Tile("a", Path("a"), Path("m"), "a", depth=300.0, pixels=(10, 0), flag="constant"),
        Tile("b", Path("b"), Path("m"), "b", depth=400.0, pixels=(3, 7)),
        Tile("c", Path("c"), Path("m"), "c", depth=500.0, pixels=(4, 6), flag="vertical"),
        Tile("d", Path("d"), Path("m"), "d", depth=600.0, pixels=(9, 0)),
        Tile("e", Path("e"), None, "e"),
    ),
    SALT,
)


def test_tiles_and_their_coverage_by_hand() -> None:
    assert tile_table(SALT_TILES).to_csv(index=False).splitlines() == [
        "id,depth,foreground,coverage,coverage_class,flag",
        "a,300.0,0,0.0,0,constant",
        "b,400.0,1,0.7,7,",
        "c,500.0,1,0.6,6,vertical",
        "d,600.0,0,0.0,0,",
        "e,,,,,",
    ]
    # Four are labelled: two empty, one each of 60 and 70 %.
    assert coverage_classes(SALT_TILES).to_numpy().tolist() == [[0, 2, 50], [6, 1, 25], [7, 1, 25]]


def test_flags_come_with_their_meaning() -> None:
    table = flags(SALT_TILES)
    assert table[["flag", "tiles"]].to_numpy().tolist() == [["constant", 1], ["vertical", 1]]
    assert table["meaning"].str.contains("column").tolist() == [False, True]
