from __future__ import annotations

import re
from pathlib import Path

import pandas as pd
import pytest
import rasterio

from tests.command import error, run
from tests.demos import small_demo

FAST = ["-s", "train.epochs=1", "-s", "runtime.threads=1", "-s", "train.panels_every=0", "-q",
        "-s", "model.channels=[8, 16, 32]", "-s", "data.split.allow_missing_classes=true"]  # fmt: skip


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Less data than the demo's own."""
    monkeypatch.chdir(tmp_path)
    small_demo(monkeypatch)


def places(out: str) -> list[str]:
    """The files and folders that the end of the output points to."""
    pointed = out.partition("look at\n")[2]
    return re.findall(r"demo/[^\s,]+", pointed)


@pytest.mark.parametrize("kind", ["seep", "salt", "sentinel1"])
def test_the_demo_goes_the_whole_way_and_says_where_to_look(kind: str, capsys: pytest.CaptureFixture[str]) -> None:
    flag = [] if kind == "seep" else [f"--{kind}"]
    code, out, err = run(capsys, "demo", *flag, *FAST)
    assert (code, err) == (0, "")
    for step in ("1/4", "2/4", "3/4", "4/4"):
        assert f"\n{step} " in f"\n{out}"
    assert len(places(out)) == 6
    for place in places(out):
        assert Path(place).exists(), place
    assert ("TGS score" in out) == (kind == "salt")
    maps = list(Path(f"demo/{kind}/maps").iterdir())
    assert len([p for p in maps if "_class." in p.name]) == (2 if kind == "salt" else 1)


def test_the_demo_of_products_ends_with_a_map_in_utm_and_findings_with_time_and_place(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert run(capsys, "demo", "--sentinel1", *FAST)[0] == 0
    maps = Path("demo/sentinel1/maps")
    with rasterio.open(next(maps.glob("*_map.tif"))) as raster:
        assert (raster.crs.to_epsg(), raster.res) == (32615, (10, 10))  # 91° W lies in zone 15
    findings = pd.read_csv(maps / "findings.csv")
    # The third product, two cycles of 12 days after the first.
    assert len(findings) and set(findings["acquired"]) == {"2021-04-25T05:26:23.794Z"}
    assert findings["x"].between(-91.1, -90.9).all() and findings["y"].between(27.9, 28.1).all()


def test_one_demo_at_a_time(capsys: pytest.CaptureFixture[str]) -> None:
    assert error(capsys, "demo", "--salt", "--sentinel1") == (2, "give one of --salt, --sentinel1 and --zones")
    code, line = error(capsys, "demo", "--zones", "-s", "seed=1")
    assert (code, line) == (2, "--zones trains nothing in --set: leave it out")


def test_the_demo_of_zones_ends_with_a_page_and_what_it_has_of_the_truth(
    capsys: pytest.CaptureFixture[str],
) -> None:
    code, out, _ = run(capsys, "demo", "--zones", "-q")
    assert code == 0
    assert all(Path(place).exists() for place in places(out)), out
    found = re.search(r"found: (\d) of 6 vents with a slick on 15 % of passes or more, 0 of 0 rarer", out)
    assert found and int(found[1]) >= 4
    zones = len(pd.read_csv("demo/zones/zones/zones.csv"))
    assert f"false: {zones - int(found[1])} of {zones} zones" in out
    assert f" of {found[1]} zones; " in out
    assert list(Path("demo/zones/zones/page/pictures").glob("*.jpg"))


def test_a_folder_of_someone_else_is_left_alone(capsys: pytest.CaptureFixture[str]) -> None:
    Path("mine/seep").mkdir(parents=True)
    Path("mine/seep/thesis.txt").write_text("precious")
    assert error(capsys, "demo", "-o", "mine", *FAST) == (
        2, "folder exists and is not a demo's in mine/seep: give another -o")  # fmt: skip
    assert Path("mine/seep/thesis.txt").read_text() == "precious"


def test_a_demo_replaces_a_demo(capsys: pytest.CaptureFixture[str]) -> None:
    old = Path("demo/salt/old")
    old.parent.mkdir(parents=True)
    old.write_text("")
    Path("demo/salt/.seepseg-demo").write_text("")
    assert run(capsys, "demo", "--salt", *FAST)[0] == 0
    assert not old.exists()
