from __future__ import annotations

from pathlib import Path

import pytest

from seepseg.errors import ConfigError
from seepseg.mapping.jobs import plan


def touch(*paths: Path) -> None:
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"")


def test_a_folder_is_mirrored_and_globs_are_matched(tmp_path: Path) -> None:
    folder, out = tmp_path / "in", tmp_path / "out"
    touch(folder / "a.tif", folder / "b" / "c.png", folder / "notes.txt", folder / ".seepseg-1.tif")
    jobs = plan([str(folder)], out)
    assert [j.class_raster for j in jobs] == [out / "a_class.tif", out / "b" / "c_class.png"]
    assert [j.name for j in jobs] == ["a", "b/c"]
    assert [j.class_raster for j in plan([str(folder / "*.tif")], out)] == [out / "a_class.tif"]


def test_the_format_of_class_rasters_can_be_chosen(tmp_path: Path) -> None:
    touch(tmp_path / "a.tif", tmp_path / "b.png")
    for image_format, ending in (("png", ".png"), ("tif", ".tif")):
        jobs = plan([str(tmp_path)], tmp_path.parent / "out", image_format)
        assert {j.class_raster.suffix for j in jobs} == {ending}


def test_jobs_are_sorted_by_name_whatever_the_order_of_the_inputs(tmp_path: Path) -> None:
    touch(*(tmp_path / f"{n}.tif" for n in "cab"))
    jobs = plan([str(tmp_path / f"{n}.tif") for n in "bca"], tmp_path / "out")
    assert [j.name for j in jobs] == ["a", "b", "c"]


def test_two_inputs_with_one_output_are_refused_before_any_work(tmp_path: Path) -> None:
    touch(tmp_path / "a" / "x.tif", tmp_path / "b" / "x.tif", tmp_path / "c" / "y.tif", tmp_path / "c" / "y.png")
    for inputs in ([tmp_path / "a" / "x.tif", tmp_path / "b" / "x.tif"], [tmp_path / "c"]):
        with pytest.raises(ConfigError, match="would both be written to") as caught:
            plan([str(i) for i in inputs], tmp_path / "out")
        assert caught.value.exit_code == 2
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("below", ["", "deep/er"])
def test_outputs_may_not_lie_among_the_inputs(tmp_path: Path, below: str) -> None:
    touch(tmp_path / "x.tif")
    with pytest.raises(ConfigError, match="the output folder lies in the input folder"):
        plan([str(tmp_path)], tmp_path / below)


def test_an_input_given_by_name_may_not_lie_among_the_outputs(tmp_path: Path) -> None:
    # `a_prob.tif` would be overwritten by the probabilities of `a.tif`
    touch(tmp_path / "a.tif", tmp_path / "a_prob.tif")
    with pytest.raises(ConfigError, match="the output folder holds an input"):
        plan([str(tmp_path / "*.tif")], tmp_path)


def test_nothing_to_predict(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no TIFF or PNG file to predict"):
        plan([str(tmp_path), str(tmp_path / "*.tif")], tmp_path.parent / "out")
