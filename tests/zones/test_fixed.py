from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import rasterio

from seepseg.errors import ConfigError, DataError
from seepseg.geo.frame import Frame
from seepseg.zones.coverage import Coverage
from seepseg.zones.fixed import fixed_points
from seepseg.zones.options import Options
from seepseg.zones.run import make_zones
from tests.zones.places import dotted, scene


def sea(passes: int) -> Coverage:
    counts = np.full((100, 100), passes, np.uint16)
    return Coverage(0, 0, counts, np.zeros_like(counts), np.zeros_like(counts))


def test_what_stays_is_bright_on_a_third_of_the_passes_that_showed_it() -> None:
    rng = np.random.default_rng(0)
    rig, buoy, twice = [20.0, 20.0], [70.0, 30.0], [40.0, 80.0]
    passes = []
    for number in range(12):
        points = [rig] if number % 2 else []  # 6 of 12
        points += [buoy] if number < 3 else []  # 3 of 12
        points += [twice, twice] if number == 5 else []  # one pass, two frames
        passes.append(np.array(points).reshape(-1, 2) + rng.normal(0, 0.5, (len(points), 2)))
    found = fixed_points(passes, sea(12), Frame(None, 1.0))
    assert found == pytest.approx(np.array([rig]), abs=0.8)
    # Where 9 passes showed anything at all, 3 are a third.
    assert len(fixed_points(passes, sea(9), Frame(None, 1.0))) == 2
    assert len(fixed_points([], sea(9), Frame(None, 1.0))) == 0


def image(path: Path, size: int, points: list[tuple[int, int]], seed: int) -> None:
    raw = np.random.default_rng(seed).gamma(4, 1000, (size, size)).astype(np.uint16)
    for row, column in points:
        raw[row - 1 : row + 2, column - 1 : column + 2] = 60_000
    with rasterio.open(path, "w", "GTiff", size, size, 1, dtype="uint16") as out:
        out.write(raw, 1)


def test_passes_without_an_image_say_nothing_of_what_stays(tmp_path: Path) -> None:
    """A rig is bright in the 3 images that there are, of 12 passes."""
    (tmp_path / "images").mkdir()
    place = (20.0, 0.0, 500_000.0, 0.0, -20.0, 3_004_000.0)
    for day in range(1, 13):
        when = f"2024-01-{day:02}T00:00:00Z"
        scene(tmp_path / "out", f"s{day}", "EPSG:32616", place, dotted(200, (100, 100)), acquired=when)
        if day <= 3:
            image(tmp_path / "images" / f"s{day}.tif", 200, [(100, 120)], day)
    options = Options(images=tmp_path / "images", false_share=1)
    made = make_zones([tmp_path / "out"], tmp_path / "zones", options)
    assert made.tables.zones["installation"].tolist() == [True]
    assert made.tables.zones["n_observed"].tolist() == [12]
    what = f"9 of 12 scenes have no image in {tmp_path / 'images'}, so bright points are those of the others"
    assert what in made.warnings


def test_a_frame_without_an_image_says_nothing_of_what_stays(tmp_path: Path) -> None:
    """The same rig and images; each pass has another frame, 30 km east, of which there always is an image."""
    (tmp_path / "images").mkdir()
    for day in range(1, 13):
        for name, left, second in ((f"s{day}", 500_000.0, 0), (f"east{day}", 530_000.0, 20)):
            when, place = f"2024-01-{day:02}T00:00:{second:02}Z", (20.0, 0.0, left, 0.0, -20.0, 3_004_000.0)
            scene(tmp_path / "out", name, "EPSG:32616", place, dotted(200, (100, 100)), acquired=when)
            if second or day <= 3:
                image(tmp_path / "images" / f"{name}.tif", 200, [] if second else [(100, 120)], day)
    made = make_zones([tmp_path / "out"], tmp_path / "zones", Options(images=tmp_path / "images", false_share=1))
    assert len(made.passes) == 12
    zones = made.tables.zones.sort_values("lon")
    # 20 pixels of 20 m from the first vent; 30 km less that from the second.
    assert zones["bright_m"].tolist() == pytest.approx([400, 29_600], rel=1e-2)
    assert zones["installation"].tolist() == [True, False]


def test_zones_at_a_rig_are_flagged_on_a_map(tmp_path: Path) -> None:
    """Scenes of two UTM zones and of two grids, 20 m and 40 m a pixel: a rig 500 m east of a vent, ships elsewhere."""
    (tmp_path / "images").mkdir()
    rng = np.random.default_rng(1)
    for day in range(1, 7):
        size, pixel = (400, 20.0) if day % 2 else (200, 40.0)
        left, top = 500_000.0 - 1000 * day, 3_004_000.0 + 200 * day
        # The vent is at (502000, 3000000), the rig at (502500, 3000000), another vent at (499000, 3000000).
        row = int((top - 3_000_000) / pixel)
        at = [(row, int((x - left) / pixel)) for x in (502_000, 502_500, 499_000)]
        name, when = f"s{day}", f"2024-01-0{day}T00:00:00Z"
        vents = [one for one in (at[0], at[2]) if one[1] < size]
        scene(
            tmp_path / "out", name, "EPSG:32616", (pixel, 0.0, left, 0.0, -pixel, top), dotted(size, *vents),
            acquired=when,
        )  # fmt: skip
        ship = (int(rng.integers(30, 60)), int(rng.integers(30, size - 30)))
        image(tmp_path / "images" / f"{name}.tif", size, [ship, *([at[1]] if at[1][1] < size - 30 else [])], day)
    options = Options(images=tmp_path / "images", false_share=1, radius=1000)
    zones = make_zones([tmp_path / "out"], tmp_path / "zones", options).tables.zones.sort_values("lon")
    assert zones["installation"].tolist() == [False, True]
    assert zones["bright_m"].tolist() == pytest.approx([3500, 500], abs=60)
    kept = {p.name: p.stat().st_mtime_ns for p in (tmp_path / "zones" / "cache").glob("bright_*")}
    assert len(kept) == 6
    make_zones([tmp_path / "out"], tmp_path / "zones", options)
    assert {p.name: p.stat().st_mtime_ns for p in (tmp_path / "zones" / "cache").glob("bright_*")} == kept
    image(tmp_path / "images" / "s1.tif", 300, [], 0)
    with pytest.raises(DataError, match="has 300 × 300 pixels, and the map of its scene 400 × 400"):
        make_zones([tmp_path / "out"], tmp_path / "zones", options)
    with pytest.raises(ConfigError, match="holds no image of a scene"):
        make_zones([tmp_path / "out"], tmp_path / "zones", Options(images=tmp_path / "out"))
