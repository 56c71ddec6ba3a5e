from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from seepseg.errors import ConfigError
from seepseg.geo.vector import read_vectors
from seepseg.io.raster import thinned
from seepseg.synthetic.vents import Sea, plant, vents_of, write_passes

SEA = Sea(vents=5, rates=(0.2, 0.6), passes=4, side=40_000, pixel=200, wakes=0)


def test_vents_have_the_rates_asked_for_and_keep_apart() -> None:
    vents = plant(SEA, 1)
    assert sorted(vents["rate"]) == pytest.approx([0.2, 0.3, 0.4, 0.5, 0.6])
    assert vents["mapped"].to_numpy() == pytest.approx(0.9 * vents["rate"].to_numpy())
    xy = vents[["x", "y"]].to_numpy()
    apart = np.hypot(*(xy[:, None] - xy[None]).transpose(2, 0, 1))[~np.eye(5, dtype=bool)]
    assert apart.min() >= 4000


def test_more_vents_than_there_is_room_for_are_refused() -> None:
    # Discs of 2 km around 100 vents 4 km apart are 1257 km², and 36 km by 36 km, with a margin of 2 km, 1600 km².
    with pytest.raises(ConfigError, match="100 vents 4000 m apart do not fit on 36000 m a side"):
        plant(replace(SEA, vents=100), 1)


def test_the_same_seed_gives_the_same_files(tmp_path: Path) -> None:
    for name in "ab":
        write_passes(tmp_path / name, SEA, 5)
    files = sorted(p.name for p in (tmp_path / "a").iterdir())
    # Two passes of one frame and two of two: a map and a file of polygons each; manifest, vents, wind.
    assert len(files) == 6 * 2 + 3
    for name in files:
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()


def test_polygons_lie_where_the_map_has_foreground(tmp_path: Path) -> None:
    write_passes(tmp_path, Sea(vents=5, passes=1, side=40_000, pixel=200, partial=1, lookalikes=10), 2)
    shapes, table, _ = read_vectors(tmp_path / "pass0000.gpkg")
    classes = thinned(tmp_path / "pass0000_class.tif", 1)
    assert classes.shape == (200, 200)
    assert 0.15 < (classes == 255).mean() < 0.65
    assert table["area_m2"].tolist() == pytest.approx([s.area for s in shapes])
    for shape in shapes:
        inside = shape.representative_point()
        assert classes[int((3_100_000 - inside.y) / 200), int((inside.x - 400_000) / 200)] in (1, 2, 255)


def test_a_zone_shows_the_nearest_vent_when_it_is_in_the_disc_and_no_other_zone_is_nearer() -> None:
    vents = pd.DataFrame({"lon": [0.0, 0.1], "lat": [0.0, 0.0]})
    # On the equator .001° of longitude are 111.3 m: 1113 m and 111 m off the first vent, 1447 m off the second, and
    # half-way between both, at .05°, 5566 m.
    zones = pd.DataFrame({"lon": [0.01, -0.001, 0.113, 0.05], "lat": 0.0, "radius_m": 1500.0})
    own, far = vents_of(zones, vents)
    assert own.tolist() == [-1, 0, 1, -1]
    assert far == pytest.approx([1113.2, 111.3, 1447.2, 5566], abs=0.1)
    none, _ = vents_of(zones.iloc[:0], vents)
    assert none.tolist() == []


def test_quick_looks_change_no_other_file(tmp_path: Path) -> None:
    write_passes(tmp_path / "a", SEA, 5)
    write_passes(tmp_path / "b", replace(SEA, pictures=True), 5)
    pictures = {p.name for p in (tmp_path / "b").iterdir()} - {p.name for p in (tmp_path / "a").iterdir()}
    assert len(pictures) == 6 and all(name.endswith("_quicklook.png") for name in pictures)
    for path in (tmp_path / "a").iterdir():
        assert path.read_bytes() == (tmp_path / "b" / path.name).read_bytes()
