from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pyproj import CRS

from seepseg.errors import ConfigError, DataError
from seepseg.geo.identity import Identity
from seepseg.geo.place import LONLAT
from seepseg.io.cog import Layout, row_writer
from seepseg.io.raster import Georeference
from seepseg.passes.scenes import Origin, Scene, find_scenes, named, passes_of


def scene(name: str, acquired: str | None, platform: str | None = "S1A", orbit: int | None = None) -> Scene:
    end = acquired and acquired.replace(":00Z", ":25Z")
    identity = Identity(acquired=acquired, acquired_end=end, platform=platform, relative_orbit=orbit)
    return Scene(name, Path(f"{name}_class.tif"), Path(f"{name}.gpkg"), identity)


def grouped(*scenes: Scene) -> list[tuple[str, ...]]:
    return [tuple(one.name for one in p.scenes) for p in passes_of(scenes)]


def test_frames_of_one_overflight_are_one_pass() -> None:
    a, b = scene("a", "2024-01-01T05:00:00Z"), scene("b", "2024-01-01T05:01:00Z")
    # b starts 35 s after a ends, c 95 s after b ends, d is another platform at the time of a.
    c, d = scene("c", "2024-01-01T05:03:00Z"), scene("d", "2024-01-01T05:00:00Z", "S1B")
    assert grouped(c, b, d, a) == [("a", "b"), ("d",), ("c",)]


def test_another_orbit_is_another_pass() -> None:
    a, b = scene("a", "2024-01-01T05:00:00Z", orbit=1), scene("b", "2024-01-01T05:00:00Z", orbit=2)
    passes = passes_of([a, b])
    assert [p.name for p in passes] == ["S1A 2024-01-01T05:00:00Z", "S1A 2024-01-01T05:00:00Z #2"]


def test_a_frame_of_unknown_orbit_joins_no_two_orbits() -> None:
    a, b = scene("a", "2024-01-01T05:00:00Z"), scene("b", "2024-01-01T05:01:00Z", orbit=3)
    assert grouped(a, b, scene("c", "2024-01-01T05:02:00Z", orbit=4)) == [("a", "b"), ("c",)]


def test_scenes_without_time_are_passes_of_their_own_at_the_end() -> None:
    assert grouped(scene("a", None), scene("b", None), scene("z", "2024-01-01T05:00:00Z")) == [("z",), ("a",), ("b",)]


def folder(root: Path, west: float | None = 0, **lines: dict[str, Any]) -> Path:
    """A folder of predictions of 1 × 1 pixel, from `west` on, or nowhere."""
    root.mkdir()
    place = Georeference() if west is None else Georeference(CRS(LONLAT).to_wkt(), (1.0, 0.0, west, 0.0, -1.0, 0.0))
    for name in lines:
        with row_writer(root / f"{name}_class.tif", place, 1, 1, Layout(1, "uint8", 255, {})) as writer:
            writer.write(np.zeros((1, 1), np.uint8))
        (root / f"{name}.gpkg").touch()
    rows = [
        json.dumps({"name": name, "outputs": {f"{name}_class.tif": 0, f"{name}.gpkg": 0}, **line})
        for name, line in lines.items()
    ]
    (root / "manifest.jsonl").write_text("\n".join(rows) + "\n")
    return root


def test_other_outputs_lie_beside_the_class_map() -> None:
    one = Scene("my_class_a", Path("out/my_class_a_class.tif"), Path("out/my_class_a.gpkg"), Identity())
    assert one.beside("_quicklook.png") == Path("out/my_class_a_quicklook.png")


def test_a_product_that_was_predicted_twice_counts_once(tmp_path: Path) -> None:
    one = folder(tmp_path / "one", a={"identity": {"product": "P"}}, b={"input": [1, 2]})
    two = folder(tmp_path / "two", other={"identity": {"product": "P"}}, b={"input": [1, 3]})
    scenes, warnings = find_scenes([one, two])
    # Both are called b, but are not of one file.
    assert [s.name for s in scenes] == [f"{one}/b", f"{two}/b", "other"]
    assert warnings == ["1 scenes were given twice and count once: a"]


@pytest.mark.parametrize("west", [0, None])
def test_cut_outs_of_a_product_are_scenes_each(tmp_path: Path, west: float | None) -> None:
    identity = {"identity": {"product": "P"}}
    one = folder(tmp_path / "one", west, P_part1=identity)
    two = folder(tmp_path / "two", west if west is None else west + 1, P_part2=identity)
    again = folder(tmp_path / "again", west, P_part1=identity)
    first, _ = find_scenes([one])
    both, warnings = find_scenes([one, two])
    assert ([s.name for s in both], warnings) == (["P_part1", "P_part2"], [])
    # The name of one is not given to another, whichever is there.
    known = {scene.name: scene.origin for scene in named(first, {})}
    assert [s.name for s in named(find_scenes([two])[0], known)] == ["P_part2"]
    scenes, warnings = find_scenes([one, two, again])
    assert [s.raster.parent for s in named(scenes, known)] == [again, two]
    assert warnings == ["1 scenes were given twice and count once: P_part1"]


def test_an_input_may_end_as_class_maps_do(tmp_path: Path) -> None:
    (scene,), _ = find_scenes([folder(tmp_path / "one", a_class={})])
    assert (scene.raster.name, scene.vectors.name) == ("a_class_class.tif", "a_class.gpkg")


def test_lines_of_a_manifest_that_are_left_out_are_said_once(tmp_path: Path) -> None:
    one = folder(tmp_path / "one", a={"identity": {"product": "P"}})
    with (one / "manifest.jsonl").open("a") as stream:
        stream.write('{"name": ["a"]}\n[1]\n{"name": "b", "outp')  # the last was cut short by a kill
    scenes, warnings = find_scenes([one])
    assert [s.name for s in scenes] == ["a"]
    assert warnings == [f"2 lines of the manifest in {one} are not what predict writes, and are left out"]


def test_a_scene_keeps_its_name_whatever_folders_are_given(tmp_path: Path) -> None:
    one = folder(tmp_path / "one", a={"input": [1, 2]}, p={"identity": {"product": "P"}})
    two = folder(tmp_path / "two", a={"input": [1, 3]})
    first, _ = find_scenes([one])
    known = {scene.name: scene.origin for scene in named(first, {})}
    assert sorted(known) == ["a", "p"]
    # The other scene called a is new, alone and with the first.
    for given, names in (
        ([two], [f"{two}/a"]),
        ([one, two], [f"{two}/a", "a", "p"]),
        ([two, one], [f"{two}/a", "a", "p"]),
    ):
        scenes = named(find_scenes(given)[0], known)
        assert [scene.name for scene in scenes] == sorted(names)
        assert {scene.raster.parent for scene in scenes if scene.name == "a"} <= {one}
    # Moved, they are known by their input or product; predicted again in its place, by that.
    moved = folder(tmp_path / "moved", a={"input": [1, 2]}, other={"identity": {"product": "P"}})
    assert [scene.name for scene in named(find_scenes([moved])[0], known)] == ["a", "p"]
    (one / "manifest.jsonl").unlink()
    again = [{"name": "a", "input": [7, 7], "outputs": {"a_class.tif": 0, "a.gpkg": 0}}]
    (one / "manifest.jsonl").write_text("".join(json.dumps(line) + "\n" for line in again))
    assert [scene.name for scene in named(find_scenes([one])[0], known)] == ["a"]


def test_no_two_scenes_get_one_name(tmp_path: Path) -> None:
    two = folder(tmp_path / "two", a={"input": [1, 3]})
    known = {"a": Origin("a", None, (1, 2), "x"), f"{two}/a": Origin("a", None, (1, 1), "y")}
    assert [scene.name for scene in named(find_scenes([two])[0], known)] == ["a #2"]


def test_what_cannot_be_read_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(ConfigError, match=r"no manifest\.jsonl"):
        find_scenes([tmp_path / "empty"])
    bare = folder(tmp_path / "bare", a={"outputs": {"a_class.tif": 0}})
    with pytest.raises(ConfigError, match="no scene with polygons"):
        find_scenes([bare])
    gone = folder(tmp_path / "gone", a={})
    (gone / "a.gpkg").unlink()
    with pytest.raises(DataError, match="no such file, though the manifest lists it"):
        find_scenes([gone])
