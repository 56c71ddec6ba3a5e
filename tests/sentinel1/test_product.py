"""What a Sentinel-1 product says it holds; and products that cannot be used, each in one clear line."""

from __future__ import annotations

import shutil
import zipfile
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from seepseg.errors import DataError
from seepseg.sentinel1.product import Product, open_product
from seepseg.synthetic.sentinel1 import START, write_product

NAME = "S1B_IW_GRDH_1SDV_20210401T052623_20210401T052623_026269_032297_ECC8"
SEA = np.full((40, 60), 0.05)


@pytest.fixture
def safe(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SEEPSEG_CACHE", str(tmp_path / "cache"))
    return write_product(tmp_path, {"vv": SEA, "vh": SEA / 5})


def opened(path: Path) -> Product:
    with open_product(path) as product:
        return product


def change(path: Path, was: str, now: str) -> None:
    text = path.read_text()
    assert was in text
    path.write_text(text.replace(was, now))


def refused(path: Path) -> str:
    with pytest.raises(DataError) as caught:
        opened(path)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_identity_is_what_the_manifest_says(safe: Path) -> None:
    assert safe.name == f"{NAME}.SAFE"
    identity = opened(safe).identity
    assert (identity.product, identity.platform, identity.mode) == (NAME, "S1B", "IW")
    assert (identity.polarisations, identity.direction) == (("vv", "vh"), "descending")
    assert (identity.start, identity.stop) == (START, START + timedelta(seconds=0.06))
    assert (identity.orbit, identity.relative_orbit, identity.processor) == (26269, 168, (3, 31))
    # Relative orbit of Sentinel-1B: (26269 − 27) mod 175 + 1 = 168. Corners are at the edge of the image.
    assert identity.footprint[3] == (-91, 28)
    assert len(identity.footprint) == 4


def test_what_a_manifest_does_not_say_is_unknown(safe: Path) -> None:
    change(safe / "manifest.safe", "relativeOrbitNumber", "x")
    change(safe / "manifest.safe", "s1:pass", "s1:x")
    change(safe / "manifest.safe", "gml:coordinates", "gml:x")
    identity = opened(safe.rename(safe.with_name("scene"))).identity
    assert (identity.product, identity.relative_orbit, identity.direction, identity.footprint) == (None, None, None, ())


def test_files_are_those_the_manifest_links_to_each_measurement(safe: Path) -> None:
    product = opened(safe)
    assert list(product.files) == ["vv", "vh"]
    stem = "s1b-iw-grd-vh-20210401t052623-20210401t052623-026269-032297-002"
    files = product.files["vh"]
    assert (files.measurement, files.annotation) == (f"measurement/{stem}.tiff", f"annotation/{stem}.xml")
    assert files.calibration == f"annotation/calibration/calibration-{stem}.xml"
    assert files.noise == f"annotation/calibration/noise-{stem}.xml"


def test_a_product_is_a_folder_or_its_manifest_or_a_zip(safe: Path, tmp_path: Path) -> None:
    (tmp_path / "zip").mkdir()
    packed = write_product(tmp_path / "zip", {"vv": SEA, "vh": SEA / 5}, packed=True)
    for path in (safe, safe / "manifest.safe", packed):
        with open_product(path) as product:
            assert (product.identity.product, product.path) == (NAME, path)
            assert product.read(product.files["vv"].annotation).startswith(b"<?xml")


def test_a_file_of_a_zip_is_on_disk_while_the_product_is_open(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SEEPSEG_CACHE", str(tmp_path / "cache"))
    with open_product(write_product(tmp_path, {"vv": SEA}, packed=True)) as product:
        path = product.local(product.files["vv"].measurement)
        assert path.read_bytes()[:2] == b"II"
        assert [p.suffix for p in (tmp_path / "cache").rglob("*") if p.is_file()] == [".tiff"]
    assert list((tmp_path / "cache").iterdir()) == []


def test_cog_products_have_other_names(tmp_path: Path) -> None:
    product = opened(write_product(tmp_path, {"hh": SEA}, cog=True))
    assert product.identity.product is not None
    assert product.identity.product.endswith("_COG")
    assert product.files["hh"].measurement.endswith("-001-cog.tiff")


@pytest.mark.parametrize(
    ("was", "now", "why"),
    [
        (">GRD<", ">SLC<", "is a Sentinel-1 product of type SLC (complex numbers burst by burst"),
        (">GRD<", ">OCN<", "is a Sentinel-1 product of type OCN (wind and waves, not an image)"),
        (">GRD<", ">ETA<", "is a Sentinel-1 product of type ETA (not GRD)"),
        ("s1sarl1:productType>", "s1sarl1:other>", "is no manifest of a Sentinel-1 product ('productType')"),
        (">IW<", ">WV<", "is a wave mode product"),
        ("MeasurementSchema", "Schema", "is no manifest of a Sentinel-1 product ('measurements')"),
        ("productvvAnnotation ", "nowhere ", "is no manifest of a Sentinel-1 product ('nowhere')"),
        ("./measurement/", "../../measurement/", "a file named '../../measurement/"),
        ("./measurement/", "/etc/", "a file named '/etc/"),
        ("./measurement/", "http://x/", "a file named 'http://x/"),
        ("safe:startTime>", "safe:x>", "is no manifest of a Sentinel-1 product ('startTime')"),
        ("28.000000,", "28.000000,1,", "is no manifest of a Sentinel-1 product (too many values"),
        ("<metadataSection>", "", "its metadata are damaged"),
        ("<xfdu:XFDU", "<!DOCTYPE x [<!ENTITY a 'a'>]><xfdu:XFDU", "have a document type"),
    ],
)  # fmt: skip
def test_manifests_that_cannot_be_used(safe: Path, was: str, now: str, why: str) -> None:
    change(safe / "manifest.safe", was, now)
    message = refused(safe)
    assert why in message
    assert str(safe) in message


def test_level_0_is_raw(safe: Path) -> None:
    change(safe / "manifest.safe", "level-1/grd", "level-0/standard")
    change(safe / "manifest.safe", "productType", "x")
    assert "is a Sentinel-1 product of type RAW (echoes that are not yet focused)" in refused(safe)


def test_an_annotation_that_is_missing_leaves_the_other_polarisation(safe: Path) -> None:
    vv, vh = sorted((safe / "annotation").glob("*.xml"), reverse=True)
    vv.unlink()
    assert list(opened(safe).files) == ["vh"]
    vh.unlink()
    assert f"no such file in {vh}" in refused(safe)


def test_an_annotation_of_another_product_is_refused(safe: Path, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    other = write_product(tmp_path / "other", {"vv": SEA}, start=datetime(2021, 4, 1, 5, 26, 48, tzinfo=UTC))
    (theirs,) = (other / "annotation").glob("*.xml")
    (ours,) = (safe / "annotation").glob("*-vv-*.xml")
    shutil.copy(theirs, ours)
    assert "belongs to VV of S1B at 2021-04-01 05:26:48, its product to VV of S1B at 05:26:23" in refused(safe)


def test_an_annotation_of_another_satellite_is_refused(safe: Path) -> None:
    change(safe / "manifest.safe", "<safe:number>B<", "<safe:number>A<")
    assert "belongs to VV of S1B at 2021-04-01 05:26:23, its product to VV of S1A" in refused(safe)


def test_no_product_at_all(tmp_path: Path) -> None:
    (tmp_path / "x.SAFE").mkdir()
    assert "no such file" in refused(tmp_path / "x.SAFE")
    assert "no such file" in refused(tmp_path / "nowhere.SAFE")
    (tmp_path / "x.zip").write_bytes(b"PNG, rather")
    assert "not a ZIP archive" in refused(tmp_path / "x.zip")


def zipped(path: Path, safe: Path, rename: Callable[[str], str]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for file in sorted(p for p in safe.rglob("*") if p.is_file()):
            archive.write(file, rename(str(file.relative_to(safe.parent))))
    return path


def test_zips_that_cannot_be_trusted(safe: Path, tmp_path: Path) -> None:
    assert "would land outside" in refused(zipped(tmp_path / "1.zip", safe, lambda name: f"../{name}"))
    assert "holds 0 Sentinel-1 products" in refused(
        zipped(tmp_path / "2.zip", safe, lambda n: n.replace("manifest", "x"))
    )
    path = zipped(tmp_path / "3.zip", safe, lambda name: name)
    with zipfile.ZipFile(path, "a") as archive:
        archive.write(safe / "manifest.safe", "other.SAFE/manifest.safe")
    assert "holds 2 Sentinel-1 products" in refused(path)
    with zipfile.ZipFile(tmp_path / "4.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.write(safe / "manifest.safe", "a/manifest.safe")
        archive.writestr("a/bomb.xml", bytes(2**27))
    assert "times its size" in refused(tmp_path / "4.zip")
    whole = zipped(tmp_path / "5.zip", safe, lambda name: name)
    content = whole.read_bytes()
    whole.write_bytes(content[: len(content) // 2])
    assert "cut short or damaged" in refused(whole)


def test_a_zip_whose_files_lie_at_its_top(safe: Path, tmp_path: Path) -> None:
    path = zipped(tmp_path / f"{NAME}.zip", safe, lambda name: name.partition("/")[2])
    assert opened(path).identity.product == NAME
