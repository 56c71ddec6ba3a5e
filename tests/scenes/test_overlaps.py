"""Scenes that share ground, and what that means where they are on two sides of a split."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import pandas as pd
import pytest
import rasterio

from seepseg.config import Split
from seepseg.errors import DataError
from seepseg.geo.identity import Identity
from seepseg.io.raster import Georeference
from seepseg.scenes.overlaps import Overlap, judged, overlaps


class Frame(NamedTuple):
    """A scene of 100 × 100 pixels of .01°, or of .01 of `size` metres, by its left and upper edge."""

    left: float
    top: float = 10.0
    path: Path = Path("x")
    height: int = 100
    width: int = 100
    placed: bool = True
    crs: int = 4326
    size: float = 1

    @property
    def georeference(self) -> Georeference:
        wkt = rasterio.CRS.from_epsg(self.crs).to_wkt()
        step = self.size / 100
        return Georeference(wkt, (step, 0, self.left, 0, -step, self.top)) if self.placed else Georeference()


def found(scenes: dict[str, Frame], **known: Identity) -> list[Overlap]:
    pairs = overlaps(scenes, {name: known.get(name, Identity()) for name in scenes})
    return [pair._replace(share=round(pair.share, 3)) for pair in pairs]


def test_shares_are_of_the_smaller_scene() -> None:
    scenes = {"a": Frame(0), "b": Frame(0.75), "c": Frame(0.5, width=50), "d": Frame(40), "e": Frame(0, placed=False)}
    # b has a quarter of its columns on a; c, half as wide, all of its on a, and half of them on b.
    assert found(scenes) == [
        Overlap("a", "b", 0.25, "unknown"), Overlap("a", "c", 1, "unknown"), Overlap("b", "c", 0.5, "unknown"),
    ]  # fmt: skip
    # Frames that only touch share nothing, nor do those that share less than a hundredth.
    assert found({"a": Frame(0), "b": Frame(1.0), "c": Frame(-0.995)}) == []


def test_the_antimeridian_is_no_border() -> None:
    assert found({"a": Frame(179.5), "b": Frame(-180)}) == [Overlap("a", "b", 0.5, "unknown")]
    assert found({"b": Frame(-180.5), "a": Frame(179)}) == [Overlap("b", "a", 0.5, "unknown")]


@pytest.mark.parametrize(("crs", "latitude"), [(3413, 85), (3031, -85)])
def test_a_pole_is_no_border(crs: int, latitude: int) -> None:
    # Squares of 100 km around the pole and 25 km beside that share three quarters, and the pole is in both. No square
    # reaches down to the ring of all longitudes, 1° wide.
    frames = {
        "over": Frame(-50_000, 50_000, crs=crs, size=100_000),
        "beside": Frame(-25_000, 50_000, crs=crs, size=100_000),
        "far": Frame(-180, latitude + 0.5, height=100, width=36_000),
    }
    assert found(frames) == [Overlap("over", "beside", 0.75, "unknown")]
    # A mosaic of the whole Earth has all of them.
    everything = {"earth": Frame(-180, 90, height=18_000, width=36_000)} | frames
    shares = {pair.other: pair.share for pair in found(everything) if pair.one == "earth"}
    assert shares == {"over": 1, "beside": 1, "far": 1}


def test_the_equator_is_no_border() -> None:
    # Half of a is of the north, three quarters of b: they share three quarters of their rows.
    assert found({"a": Frame(0, 0.5), "b": Frame(0, 0.75)}) == [Overlap("a", "b", 0.75, "unknown")]
    # The middle of b alone is in the planes of both poles: .4 of the rows of a, the wider ones, and of its ground
    # (sin 44.9° − sin 44.5°) / (sin 45.5° − sin 44.5°).
    assert found({"a": Frame(0, 45.5), "b": Frame(0, 44.9)}) == [Overlap("a", "b", 0.402, "unknown")]


@pytest.mark.parametrize(
    ("one", "other", "kind"),
    [
        (Identity(product="P"), Identity(product="P"), "same"),
        (Identity("2021-04-01T05:26:23.000Z"), Identity("2021-04-01T05:27:23.000Z"), "same"),
        (Identity("2021-04-01T05:26:23.000Z"), Identity("2021-04-01T05:27:24.000Z"), "pass"),
        (Identity("2021-04-01T05:26:23.000Z", None, "S1A"), Identity("2021-04-01T05:26:23.000Z", None, "S1B"), "dates"),
        (Identity("2021-04-01T05:26:23.000Z", None, "S1A"), Identity("2021-04-01T05:26:23.000Z"), "same"),
        (Identity("2021-04-01T05:26:23.000Z"), Identity("2021-04-13T05:26:23.000Z"), "dates"),
        (Identity("2021-04-01T05:26:23.000Z"), Identity(), "unknown"),
    ],
)
def test_what_two_scenes_of_one_place_are(one: Identity, other: Identity, kind: str) -> None:
    assert found({"a": Frame(0), "b": Frame(0)}, a=one, b=other) == [Overlap("a", "b", 1, kind)]


def table(**parts: str) -> pd.DataFrame:
    return pd.DataFrame({"group": list(parts), "split": list(parts.values())})


def test_one_line_says_what_is_on_two_sides() -> None:
    pairs = [Overlap("a", "b", 0.25, "dates"), Overlap("a", "c", 0.5, "dates"), Overlap("b", "c", 0.9, "pass")]
    assert judged(pairs, table(a="train", b="train", c="train"), Split()) == []
    assert judged(pairs, table(a="train", b="val", c="unused"), Split()) == [
        "two scenes on two sides of the split show the same ground (a and b 25% of it): other dates of a place, so "
        "scores say how well it is mapped on new dates, not how well new places are; data.split.by=blocks keeps ground "
        "on one side"
    ]
    both = judged(pairs, table(a="train", b="test", c="val"), Split())
    assert [line.split(":")[0] for line in both] == [
        "two scenes on two sides of the split show the same ground (b and c 90% of it)",
        "2 pairs of scenes on two sides of the split show the same ground (a and c 50% of it)",
    ]
    assert judged(pairs, table(a="train", b="test", c="val"), Split(by="blocks", size=9)) == []
    folds = table(a="val", b="train", c="train").assign(fold=[0, 1, 1])
    assert len(judged(pairs, folds, Split(folds=2))) == 1


def test_one_acquisition_on_two_sides_is_an_error() -> None:
    pairs = [Overlap("a", "b", 0.25, "same")]
    with pytest.raises(DataError, match="a and b are one acquisition, 25% of which is on two sides of the split in"):
        judged(pairs, table(a="train", b="val"), Split())
    assert judged(pairs, table(a="train", b="val"), Split(allow_leak=True)) == []
    assert judged(pairs, table(a="val", b="val"), Split()) == []
