from __future__ import annotations

import json
import shutil
from contextlib import suppress
from pathlib import Path

import numpy as np
import pandas as pd
import pyogrio
import pytest
import rasterio

from seepseg.atlas.labels import write_labels
from seepseg.atlas.page import write_map_page
from seepseg.geo.vector import read_vectors
from seepseg.runs.staged import settle
from seepseg.synthetic.vents import Sea, write_passes
from seepseg.zones.options import Options
from seepseg.zones.run import make_zones

SEA = Sea(vents=4, rates=(0.5, 0.8), passes=24, side=40_000, pixel=200, lookalikes=1, wakes=0)


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A prediction folder, and the zones of it."""
    root = tmp_path_factory.mktemp("sea")
    write_passes(root / "out", SEA, 3)
    make_zones([root / "out"], root / "zones", Options())
    return root / "out", root / "zones"


def test_planted_vents_are_the_zones(folders: tuple[Path, Path]) -> None:
    vents, zones = (pd.read_csv(p) for p in (folders[0] / "vents.csv", folders[1] / "zones.csv"))
    assert len(zones) == len(vents)
    for lon, lat, rate in zip(vents["lon"], vents["lat"], vents["mapped"], strict=True):
        far = np.hypot((zones["lon"] - lon) * 98_000, (zones["lat"] - lat) * 111_000)
        zone = zones.loc[far.idxmin()]
        assert far.min() < 1000
        assert zone["lower"] <= rate <= zone["upper"]


def test_every_count_can_be_counted(folders: tuple[Path, Path]) -> None:
    zones, history, slicks = (pd.read_csv(folders[1] / f"{n}.csv") for n in ("zones", "history", "slicks"))
    counts = history.assign(both=history["seen"] & history["observed"]).groupby("zone")[["both", "observed"]].sum()
    counts = counts.loc[zones["zone"]]
    assert zones["n_seen"].tolist() == counts["both"].tolist()
    assert zones["n_observed"].tolist() == counts["observed"].tolist()
    assert zones["n_slicks"].tolist() == slicks.groupby("zone").size().loc[zones["zone"]].tolist()
    passes = pd.read_csv(folders[1] / "passes.csv")
    assert len(passes) == SEA.passes
    assert passes["slicks"].sum() == len(slicks)
    assert set(history["reason"].dropna()) <= {"no data", "outside"}


def test_the_package_holds_the_same_tables(folders: tuple[Path, Path]) -> None:
    path = folders[1] / "zones.gpkg"
    assert {n for n, _ in pyogrio.list_layers(path)} >= {"zones", "origins", "slicks", "passes"}
    for layer in ("zones", "origins", "slicks", "passes"):
        shapes, table, _ = read_vectors(path, layer)
        assert len(shapes) == len(table) == len(pd.read_csv(folders[1] / f"{layer}.csv"))
    # Areas of slicks as drawn are those of the maps: the frame keeps areas.
    shapes, table, _ = read_vectors(path, "slicks")
    assert [s.area for s in shapes] == pytest.approx(table["area_m2"].tolist(), rel=5e-3)


def test_the_raster_holds_counts_of_passes(folders: tuple[Path, Path]) -> None:
    zones = pd.read_csv(folders[1] / "zones.csv")
    with rasterio.open(folders[1] / "recurrence.tif") as source:
        assert source.descriptions == ("observed", "seen", "recurrence", "lower", "upper", "unobservable")
        bands = source.read()
        at = [source.index(x, y) for x, y in zip(zones["x"], zones["y"], strict=True)]
    assert np.nanmax(bands[0]) <= SEA.passes
    assert (bands[1] <= bands[0])[np.isfinite(bands[0])].all()
    for (row, column), zone in zip(at, zones.itertuples(), strict=True):
        assert abs(bands[0, row, column] - zone.n_observed) <= 2


def test_a_second_run_keeps_numbers_and_lists_what_is_new(folders: tuple[Path, Path], tmp_path: Path) -> None:
    lines = (folders[0] / "manifest.jsonl").read_text().splitlines(keepends=True)
    first = tmp_path / "first"
    first.mkdir()
    for path in folders[0].iterdir():
        (first / path.name).symlink_to(path)
    (first / "manifest.jsonl").unlink()
    (first / "manifest.jsonl").write_text("".join(lines[:-2]))
    make_zones([first], tmp_path / "zones", Options())
    before = pd.read_csv(tmp_path / "zones" / "zones.csv")
    cached = {p.name: p.stat().st_mtime_ns for p in (tmp_path / "zones" / "cache").iterdir()}
    (first / "manifest.jsonl").write_text("".join(lines))
    make_zones([first], tmp_path / "zones", Options())
    after = pd.read_csv(tmp_path / "zones" / "zones.csv")
    alerts = json.loads((tmp_path / "zones" / "alerts.json").read_text())
    assert set(before["zone"]) <= set(after["zone"])
    assert alerts["new_scenes"] == sorted(json.loads(line)["name"] for line in lines[-2:])
    fresh = pd.read_csv(tmp_path / "zones" / "new_since.csv")
    assert (fresh["what"] == "slick").sum() == alerts["new_slicks"] > 0
    assert set(fresh["scene"].dropna()) <= set(alerts["new_scenes"])
    # Records of scenes that stand were not made again.
    now = {p.name: p.stat().st_mtime_ns for p in (tmp_path / "zones" / "cache").iterdir()}
    assert cached.items() <= now.items()


def test_damaged_records_are_made_again(folders: tuple[Path, Path]) -> None:
    paths = sorted((folders[1] / "cache").iterdir())
    before = (folders[1] / "zones.csv").read_bytes()
    paths[0].write_bytes(paths[0].read_bytes()[:-40])
    paths[1].write_bytes(b"")
    make_zones([folders[0]], folders[1], Options())
    assert paths[0].stat().st_size > 40 and paths[1].stat().st_size
    assert (folders[1] / "zones.csv").read_bytes() == before


def test_the_same_run_again_changes_no_table(folders: tuple[Path, Path]) -> None:
    names = ("zones.csv", "history.csv", "slicks.csv", "zones.gpkg", "recurrence.tif")
    before = {name: (folders[1] / name).read_bytes() for name in names}
    make_zones([folders[0]], folders[1], Options())
    assert {name: (folders[1] / name).read_bytes() for name in names} == before
    assert json.loads((folders[1] / "alerts.json").read_text())["new_zones"] == []


class Killed(BaseException):
    """Stands for the end of a process."""


def test_a_run_that_is_killed_leaves_the_last_one_or_the_next(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It dies at its n-th renaming: files are first written beside, then put in their place one by one."""
    sea = Sea(vents=2, rates=(0.8, 0.8), passes=6, side=20_000, pixel=250, lookalikes=1, wakes=0)
    write_passes(tmp_path / "out", sea, 1)
    lines = (tmp_path / "out" / "manifest.jsonl").read_text().splitlines(keepends=True)
    zones, more = tmp_path / "zones", (write_map_page, write_labels)

    def left() -> dict[str, bytes]:
        return {
            str(p.relative_to(zones)): p.read_bytes()
            for p in zones.rglob("*")
            if p.is_file() and p.suffix != ".npz" and p.name != ".lock"
        }

    def killed_at(n: int) -> int:
        """Renamings that were made."""
        made, replace = [0], Path.replace

        def dying(path: Path, target: Path) -> Path:
            if made[0] == n:
                raise Killed
            made[0] += 1
            return replace(path, target)

        with monkeypatch.context() as patch:
            patch.setattr(Path, "replace", dying)
            patch.setattr("shutil.rmtree", lambda *_, **__: None)  # a dead process removes nothing
            with suppress(Killed):
                make_zones([tmp_path / "out"], zones, Options(false_share=1), more=more)
        return made[0]

    (tmp_path / "out" / "manifest.jsonl").write_text("".join(lines[:-2]))
    make_zones([tmp_path / "out"], zones, Options(false_share=1), more=more)
    old = left()
    (tmp_path / "out" / "manifest.jsonl").write_text("".join(lines))
    killed_at(10**6)
    settle(zones)
    new = left()
    assert {name for name in old if old[name] != new.get(name)} >= {"zones.csv", "zones.gpkg", "page/index.html"}
    every = 2 * len(new) + 1  # each is written, then put in place; between that, it is said that all are there
    results = []
    for n in (1, len(new) // 2, len(new) - 1, len(new), len(new) + 2, len(new) + 6, every - 2):
        shutil.rmtree(zones)
        (tmp_path / "out" / "manifest.jsonl").write_text("".join(lines[:-2]))
        make_zones([tmp_path / "out"], zones, Options(false_share=1), more=more)
        (tmp_path / "out" / "manifest.jsonl").write_text("".join(lines))
        killed_at(n)
        settle(zones)
        results.append("old" if left() == old else "new" if left() == new else f"mixed at {n}")
    assert set(results) == {"old", "new"}, results
