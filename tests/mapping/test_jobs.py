from __future__ import annotations

from pathlib import Path
from unicodedata import normalize

import numpy as np
import pytest

from seepseg.config import NnunetData, TilesData
from seepseg.errors import ConfigError, DataError
from seepseg.geo.identity import read_scenes
from seepseg.mapping.jobs import check_inputs, plan, with_channels, with_scenes
from seepseg.synthetic.sentinel1 import write_product

PRODUCT = "S1A_IW_GRDH_1SDV_20240101T000000_20240101T000025_000001_000001_ABCD"
TIFF = b"II*\0" + bytes(12)


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
    touch(*(tmp_path / name for name in ("a.tif", "b.png", "c.jpg", "d.JPEG")))
    assert [j.class_raster.suffix for j in plan([str(tmp_path)], tmp_path.parent / "out")] == [".tif", *[".png"] * 3]
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


def test_origins_of_one_input_are_never_the_polygons_of_another(tmp_path: Path) -> None:
    touch(*(tmp_path / "in" / f"{name}.tif" for name in ("a", "a_origins", "b_origins")))
    plan([str(tmp_path / "in" / "b_origins.tif"), str(tmp_path / "in" / "a.tif")], tmp_path / "out")
    with pytest.raises(ConfigError, match=r"might both be a_origins.fgb or .geojson in .*a_origins.tif"):
        plan([str(tmp_path / "in")], tmp_path / "out")


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
    with pytest.raises(ConfigError, match="no TIFF, PNG or JPEG file and no Sentinel-1 product"):
        plan([str(tmp_path), str(tmp_path / "*.tif")], tmp_path.parent / "out")


@pytest.mark.parametrize("address", ["s3://bucket/scene.tif", "https://host/a//b.tif", "/vsicurl/https://host/b.tif"])
def test_a_remote_address_is_refused_as_it_was_typed(tmp_path: Path, address: str) -> None:
    with pytest.raises(ConfigError) as caught:
        plan([address], tmp_path)
    assert str(caught.value) == f"is a remote address, not a file in {address}: copy it here first"


def product(folder: Path, name: str = f"{PRODUCT}.SAFE") -> Path:
    """A Sentinel-1 product of two images."""
    images = [folder / name / "measurement" / f"s1a-iw-grd-{band}.tiff" for band in ("vv", "vh")]
    touch(folder / name / "manifest.safe", folder / name / "preview" / "quick-look.png", *images)
    for image in images:
        image.write_bytes(TIFF)
    return folder / name


@pytest.mark.parametrize("name", [f"{PRODUCT}.SAFE", "renamed"])
@pytest.mark.parametrize("below", ["measurement", "measurement/s1a-iw-grd-vv.tiff", "measurement/*.tiff"])
def test_nothing_in_a_sentinel_1_product_is_an_image(tmp_path: Path, name: str, below: str) -> None:
    jobs = plan([str(product(tmp_path, name) / below)], tmp_path / "out")
    assert len(jobs) == (2 if "*" in below else 1)
    with pytest.raises(DataError, match=r"is part of a Sentinel-1 product.*give the product"):
        check_inputs(jobs, None)


@pytest.mark.parametrize("name", [f"{PRODUCT}.SAFE", "renamed"])
@pytest.mark.parametrize("below", ["", "manifest.safe", "../*", "../*/manifest.safe"])
def test_a_sentinel_1_product_is_one_input_whichever_way_it_is_given(tmp_path: Path, name: str, below: str) -> None:
    safe = product(tmp_path / "in", name)
    (job,) = plan([str(safe / below), str(safe), f"{safe.parent}/./{name}"], tmp_path / "out")
    assert job.source.resolve() == safe
    assert job.class_raster == tmp_path / "out" / f"{name.removesuffix('.SAFE')}_class.tif"
    # The ZIP of a product has the same outputs as its folder, so both together are refused.
    (packed,) = plan([str(tmp_path / f"{name}.zip")], tmp_path / "out")
    assert packed.class_raster == job.class_raster
    with pytest.raises(ConfigError, match="would both be written to"):
        plan([str(safe), str(tmp_path / f"{name}.zip")], tmp_path / "out")


def test_a_product_of_another_kind_is_refused_before_any_work(tmp_path: Path) -> None:
    safe = write_product(tmp_path, {"vv": np.full((20, 30), 0.05)})
    check_inputs(plan([str(safe)], tmp_path / "out"), None)
    manifest = safe / "manifest.safe"
    manifest.write_text(manifest.read_text().replace(">GRD<", ">SLC<"))
    with pytest.raises(DataError, match=r"of type SLC .*give the GRD product"):
        check_inputs(plan([str(safe)], tmp_path / "out"), None)


def test_a_sentinel_1_product_below_a_folder_is_one_input(tmp_path: Path) -> None:
    product(tmp_path / "in" / "deep")
    touch(tmp_path / "in" / f"{PRODUCT}.SAFE.zip", tmp_path / "in" / "tables.zip")
    touch(tmp_path / "in" / "a.tif")
    (tmp_path / "in" / "a.tif").write_bytes(TIFF)
    jobs = plan([str(tmp_path / "in")], tmp_path / "out")
    names = [job.source.name for job in jobs]
    assert names == [f"{PRODUCT}.SAFE.zip", "a.tif", f"{PRODUCT}.SAFE"]
    assert [job.name for job in jobs] == [PRODUCT, "a", f"deep/{PRODUCT}"]
    check_inputs(jobs, None)  # one of them can be predicted
    with pytest.raises(DataError, match="none of 2 inputs can be read, the first: "):
        check_inputs([job for job in jobs if job.name != "a"], None)


def test_inputs_that_are_no_images_are_refused_before_any_work(tmp_path: Path) -> None:
    touch(tmp_path / "a.tif")
    (tmp_path / "b.tif").write_bytes(TIFF)
    with pytest.raises(DataError, match="no such file"):
        check_inputs(plan([str(tmp_path / "c.tif")], tmp_path / "out"), None)
    with pytest.raises(DataError, match=r"not an image, the file is empty \(0 bytes\)"):
        check_inputs(plan([str(tmp_path / "a.tif")], tmp_path / "out"), None)
    jobs = plan([str(tmp_path)], tmp_path.parent / "out")
    check_inputs(jobs, None)
    with pytest.raises(ConfigError, match="no such mask"):
        check_inputs(jobs, tmp_path / "land.gpkg")


def test_channels_in_files_are_one_input_called_by_its_case(tmp_path: Path) -> None:
    names = ("a_0000.png", "a_0001.png", "b_0000.png", "b/a_0000.png", "b/a_0001.png", "c_0001.png", "d.png")
    touch(*(tmp_path / "in" / name for name in names))
    jobs = plan([str(tmp_path / "in")], tmp_path / "out")
    assert with_channels(jobs, TilesData(root=tmp_path, classes="salt")) == jobs
    data = NnunetData(root=tmp_path, classes="salt", ignore_values=[], bands=[1, 2])
    whole = with_channels(jobs, data)
    assert [(j.name, [c.name for c in j.channels]) for j in whole] == [
        ("a", ["a_0000.png", "a_0001.png"]),
        ("b", []),
        ("b/a", ["a_0000.png", "a_0001.png"]),
        ("c_0001", []),
        ("d", []),
    ]
    assert whole[0].class_raster == tmp_path / "out" / "a_class.png"
    touch(tmp_path / "in" / "a.png")
    with pytest.raises(ConfigError, match=r"a.png and .*a_0000.png are both called a"):
        with_channels(plan([str(tmp_path / "in")], tmp_path / "out"), data)


@pytest.mark.parametrize(
    ("names", "what"),
    [(("findings_0000.png",), "'findings' is what"), (("a_0000.png", "a_origins_0000.png"), "might both be a_origins")],
)
def test_cases_are_not_called_as_other_outputs_are(names: tuple[str, ...], what: str, tmp_path: Path) -> None:
    for name in names:
        (tmp_path / name).write_bytes(b"")
    jobs = plan([str(tmp_path / name) for name in names], tmp_path / "out")
    with pytest.raises(ConfigError, match=what):
        with_channels(jobs, NnunetData(root=tmp_path, classes="salt", ignore_values=[], bands=None))


@pytest.mark.parametrize("form", ["NFC", "NFD"])
def test_a_table_of_scenes_names_inputs_however_umlauts_are_written(tmp_path: Path, form: str) -> None:
    touch(source := tmp_path / f"{normalize(form, 'Süd')}.tif")
    table = tmp_path / "s.csv"
    for other in ("NFC", "NFD"):
        for ending in ("", ".tif"):
            table.write_text(f"scene,platform\n{normalize(other, 'Süd')}{ending},S1A\n", encoding="utf-8")
            (job,) = with_scenes(plan([str(source)], tmp_path / "out"), read_scenes(table))
            assert dict(job.said) == {"platform": "S1A"}
            assert job.source == source
