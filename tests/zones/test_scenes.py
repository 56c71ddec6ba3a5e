from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from seepseg.errors import ConfigError, DataError
from seepseg.geo.identity import Identity
from seepseg.zones.scenes import Scene, find_scenes, passes_of


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


def test_scenes_without_time_are_passes_of_their_own_at_the_end() -> None:
    assert grouped(scene("a", None), scene("b", None), scene("z", "2024-01-01T05:00:00Z")) == [("z",), ("a",), ("b",)]


def folder(root: Path, **lines: dict[str, Any]) -> Path:
    root.mkdir()
    for name in lines:
        (root / f"{name}_class.tif").touch()
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
