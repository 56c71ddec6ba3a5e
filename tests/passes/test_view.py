from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from seepseg.geo.frame import Field, Frame, frame_around
from seepseg.io.raster import raster_header
from seepseg.passes.scenes import Scene, find_scenes
from seepseg.passes.view import (
    INCIDENCE,
    NO_DATA,
    OBSERVED,
    OUTSIDE,
    REASONS,
    WIND,
    Judge,
    Nodes,
    View,
    bit,
    look,
    merged,
)
from tests.zones.places import scene

NONE = np.zeros((1, 2), np.uint8)


def view_of(out: Path, frame: Frame, judges: tuple[Judge, ...] = ()) -> View:
    (one,), _ = find_scenes([out])
    header, height, width = raster_header(one.raster)
    return look(one, frame, header, (height, width), judges)[0]


def test_cells_are_what_lies_under_their_middle(tmp_path: Path) -> None:
    classes = np.zeros((200, 300), np.uint8)
    classes[:, 150:] = 255
    classes[:, :3] = 1
    scene(tmp_path, "s", None, None, classes)
    codes = view_of(tmp_path, Frame(None, 10.0)).codes
    assert codes.shape == (21, 31)
    assert (codes[:20, :15] == OBSERVED).all()
    assert (codes[:20, 15:30] == NO_DATA).all()
    assert (codes[20] == OUTSIDE).all()


@pytest.mark.parametrize("size", [400, 1500])
def test_the_area_is_that_of_the_map_with_overviews_or_without(tmp_path: Path, size: int) -> None:
    classes = np.zeros((size, size), np.uint8)
    classes[:, size // 2 :] = 255
    scene(tmp_path, "s", "EPSG:32616", (10.0, 0.0, 500_000.0, 0.0, -10.0, 3_000_000.0), classes)
    lonlat = (-87 + size * 5 / 98_000, 27.1)
    codes = view_of(tmp_path, frame_around([lonlat], 100.0)).codes
    # size × size pixels of 10 m are size² / 100 cells of 100 m; half of them without data.
    for code in (OBSERVED, NO_DATA):
        assert (codes == code).sum() == pytest.approx(size**2 / 200, rel=0.06)


def test_a_judge_takes_cells_away(tmp_path: Path) -> None:
    scene(
        tmp_path, "s", "EPSG:32616", (100.0, 0.0, 500_000.0, 0.0, -100.0, 3_000_000.0), np.zeros((100, 100), np.uint8)
    )

    def degrees_east(one: Scene, at: Nodes) -> Field:
        assert one.name == "s"
        return at.lonlat[:, 0]

    # The west edge is the central meridian of zone 16; 100 pixels of 100 m are .1010 degrees.
    calm = Judge(WIND, "lon", -87 + 0.0505, 0, "", degrees_east, lambda one: "")
    codes = view_of(tmp_path, frame_around([(-87.0, 27.1)], 500.0), (calm,)).codes
    counts = [(codes == REASONS.index(reason)).sum() for reason in ("observed", "wind")]
    assert counts == pytest.approx([200, 200], abs=10)


def test_wind_is_why_where_the_other_frame_has_no_data() -> None:
    views = [
        View(0, 0, np.array([row], np.uint8), np.zeros((1, 2), bool), NONE)
        for row in ([WIND, NO_DATA], [NO_DATA, WIND])
    ]
    assert merged(views).codes.tolist() == [[WIND, WIND]]


def test_what_is_known_of_a_pass_is_what_is_known_where_it_counts() -> None:
    """Of the first cell both frames are observed, and one knows the wind; of the second that counts which has data."""
    wind, angle, nothing = bit(WIND), bit(INCIDENCE), np.zeros((1, 2), bool)
    one = View(0, 0, np.array([[OBSERVED, NO_DATA]], np.uint8), nothing, np.array([[wind, wind]], np.uint8))
    other = View(0, 0, np.array([[OBSERVED, OBSERVED]], np.uint8), nothing, np.array([[0, angle]], np.uint8))
    for pair in ([one, other], [other, one]):
        both = merged(pair)
        assert both.known.tolist() == [[wind, angle]]
        assert both.known_at(np.array([[0, 0], [0, 1], [9, 9]]), WIND).tolist() == [True, False, False]


def test_strips_change_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A view made in strips of 8 rows is that made at once, and half of it lies in the wind that hides slicks."""
    at = (100.0, 0.0, 500_000.0, 0.0, -100.0, 3_000_000.0)
    scene(tmp_path, "s", "EPSG:32616", at, np.tile(np.array([0, 0, 255], np.uint8), (90, 30)))
    calm = Judge(WIND, "lon", -87 + 0.0505, 0, "", lambda one, at: at.lonlat[:, 0], lambda one: "")
    whole = view_of(tmp_path, frame_around([(-87.0, 27.1)], 100.0), (calm,))
    monkeypatch.setattr("seepseg.passes.view.STRIP", 8)
    strips = view_of(tmp_path, frame_around([(-87.0, 27.1)], 100.0), (calm,))
    assert (whole.codes == strips.codes).all() and (whole.known == strips.known).all()
    assert ((whole.known == bit(WIND)) == np.isin(whole.codes, (OBSERVED, WIND))).all()
    assert {OBSERVED, WIND} <= set(whole.codes.ravel().tolist())


def test_frames_of_a_pass_complete_each_other() -> None:
    one = View(0, 0, np.array([[OBSERVED, NO_DATA]], np.uint8), np.array([[True, False]]), NONE)
    other = View(0, 1, np.array([[OBSERVED, NO_DATA]], np.uint8), np.array([[False, True]]), NONE)
    both = merged([one, other])
    assert (both.row, both.column) == (0, 0)
    assert both.codes.tolist() == [[OBSERVED, OBSERVED, NO_DATA]]
    assert both.seen.tolist() == [[True, False, True]]
    # Cells beyond a view are outside.
    assert both.at(np.array([[[0, 2], [0, 3], [-1, 0]]])).tolist() == [[NO_DATA, OUTSIDE, OUTSIDE]]
