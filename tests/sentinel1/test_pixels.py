"""σ0 of Sentinel-1 products: worked by hand, constant over products of constant backscatter, the same in any strips."""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from seepseg.errors import ConfigError, DataError
from seepseg.io.image import Pixels
from seepseg.sentinel1.coarse import INCIDENCE, lattice_of
from seepseg.sentinel1.pixels import inspect_scene, open_scene
from seepseg.synthetic.sentinel1 import ground, write_product

Field = NDArray[np.float64]


def pixels(path: Path, bands: tuple[str, ...] = ("vv",), **options: Any) -> Pixels:
    with open_scene(path, bands, **options) as scene:
        return scene.rows(0, scene.height)


def with_numbers(folder: Path, numbers: NDArray[np.uint16], ipf: str = "003.31", step: int = 0) -> Path:
    """A product of these digital numbers: A is 200 and `step` more for each pixel and line, η 600 everywhere."""
    safe = write_product(folder, {"vv": np.full(numbers.shape, 0.05)}, schema="range", ipf=ipf)
    (tiff,) = safe.glob("measurement/*")
    tifffile.imwrite(tiff, numbers, photometric="minisblack", metadata=None)
    height, width = numbers.shape

    def vectors(name: str, lut: str, corners: list[list[float]]) -> str:
        return "".join(
            f"<{name}><line>{line}</line><pixel>0 {width - 1}</pixel><{lut}>{a} {b}</{lut}></{name}>"
            for line, (a, b) in zip((0, height - 1), corners, strict=True)
        )

    far, last = step * (width - 1), step * (height - 1)
    gains = vectors("calibrationVector", "sigmaNought", [[200, 200 + far], [200 + last, 200 + far + last]])
    tables = {"calibration": f"<calibrationVectorList>{gains}</calibrationVectorList>"}
    tables["noise"] = f"<noiseVectorList>{vectors('noiseVector', 'noiseLut', [[600, 600]] * 2)}</noiseVectorList>"
    for kind, text in tables.items():
        (path,) = safe.glob(f"annotation/calibration/{kind}-*")
        path.write_text(re.sub(r"<(\w+)List>.*</\1List>", text, path.read_text()))
    return safe


def test_backscatter_worked_by_hand(tmp_path: Path) -> None:
    numbers = np.full((5, 5), 60, np.uint16)
    numbers[2, 3], numbers[0, 0], numbers[4, 4] = 24, 0, 65535
    safe = with_numbers(tmp_path, numbers, step=25)
    raw, valid = pixels(safe)
    assert raw.dtype == np.float32
    # A = 200 + 25·2 + 25·2 = 300: (3600 − 600) / 90000.
    assert raw[0, 2, 2] == pytest.approx(1 / 30, rel=1e-6)
    assert raw[0, 1, 3] == pytest.approx(3000 / 300**2, rel=1e-6)
    assert raw[0, 4, 4] == pytest.approx((65535**2 - 600) / 400**2, rel=1e-6)
    # Power below the noise is that of DN 1, and valid; only DN 0 is not: A = 200 + 75 + 50 there.
    assert raw[0, 2, 3] == pytest.approx(1 / 325**2, rel=1e-6)
    assert np.argwhere(~valid).tolist() == [[0, 0]]
    raw, _ = pixels(safe, decibels=True)
    assert raw[0, 2, 2] == pytest.approx(-14.7712, abs=1e-4)  # 10·log10 1/30
    raw, _ = pixels(safe, denoise=False)
    assert raw[0, 2, 2] == pytest.approx(0.04, rel=1e-6)  # 3600 / 90000
    assert raw[0, 2, 3] == pytest.approx(576 / 325**2, rel=1e-6)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"schema": "range", "ipf": "002.72"},
        {"schema": "removed"},
        {"packed": True},
        {"cog": True},
        {"cog": True, "packed": True},
    ],
    ids=["azimuth", "range", "removed", "zip", "cog", "cog-zip"],
)
def test_constant_backscatter_is_constant_everywhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: Any
) -> None:
    monkeypatch.setenv("SEEPSEG_CACHE", str(tmp_path / "cache"))
    sea = {"vv": np.full((150, 210), 0.05), "vh": np.full((150, 210), 0.01)}
    # With so large a scale, digital numbers are round to 1 in 16000: 5e-4 dB at the most.
    path = write_product(tmp_path, sea, scale=1e5, **options)
    with open_scene(path, ("vh", "vv"), decibels=True) as scene:
        raw, valid = scene.rows(0, 150)
        assert scene.warnings == ()
    assert valid.all()
    assert np.abs(raw[0] + 20).max() < 1e-3
    assert np.abs(raw[1] - 10 * np.log10(0.05)).max() < 1e-3


def test_a_scene_says_what_it_is_and_where(tmp_path: Path) -> None:
    path = write_product(tmp_path, {"vv": np.full((50, 70), 0.05)})
    with open_scene(path, ("vv", "incidence")) as scene:
        assert (scene.kind, scene.height, scene.width, scene.bands, scene.dtype) == ("SAFE", 50, 70, 2, np.float32)
        raw, _ = scene.window(slice(10, 12), slice(3, 70))
        place = scene.georeference
    # 15 degrees over 69 pixels.
    assert raw[1, 0] == pytest.approx(30 + 15 / 69 * np.arange(3, 70), rel=1e-6)
    assert (raw.shape, len(place.gcps)) == ((2, 2, 67), 10 * 21)
    row, column, x, y, z = place.gcps[-1]
    assert (row, column, z) == (49.5, 69.5, 0)
    assert (x, y) == pytest.approx([float(v) for v in ground(np.float64(49), np.float64(69))], abs=1e-9)
    assert place.gcps_crs_wkt is not None
    assert place.tags["RELATIVE_ORBIT_NUMBER"].isdigit()
    assert place.tags["PRODUCT_NAME"] == path.stem
    angle = lattice_of(place.tags, INCIDENCE)
    assert angle is not None
    # In GDAL's coordinates the middle of the first pixel is at .5.
    assert (angle.rows[0], angle.rows[-1], angle.columns[0], angle.columns[-1]) == (0.5, 49.5, 0.5, 69.5)
    row = 30 + 15 / 69 * (angle.columns - 0.5)
    assert angle.values == pytest.approx(np.broadcast_to(row, angle.values.shape), abs=2e-3)
    (path / "measurement").rename(path / "elsewhere")
    info = inspect_scene(path, ("vv", "incidence"))
    assert (info.kind, info.height, info.width, info.bands, info.dtype) == ("SAFE", 50, 70, 2, np.float32)
    assert "WGS 84" in place.gcps_crs_wkt


def test_the_incidence_angle_alone_needs_no_calibration(tmp_path: Path) -> None:
    path = write_product(tmp_path, {"vv": np.full((50, 70), 0.05)})
    shutil.rmtree(path / "annotation" / "calibration")
    raw, valid = pixels(path, ("incidence",))
    assert (raw[0, 0, 0], raw[0, -1, -1], valid.all()) == (30, 45, True)


def test_no_data_is_where_any_band_has_none(tmp_path: Path) -> None:
    vv, vh = np.full((2, 20, 30), 0.05)
    vv[3, 4] = vh[5, 6] = np.nan
    _, valid = pixels(write_product(tmp_path, {"vv": vv, "vh": vh}), ("vv", "vh"))
    assert np.argwhere(~valid).tolist() == [[3, 4], [5, 6]]


def test_noise_that_is_removed_already_stays_so(tmp_path: Path) -> None:
    safe = with_numbers(tmp_path, np.full((5, 5), 40, np.uint16))
    (annotation,) = safe.glob("annotation/*.xml")
    done = "<thermalNoiseCorrectionPerformed>true"
    annotation.write_text(annotation.read_text().replace(done.replace("true", "false"), done))
    assert pixels(safe).raw[0, 2, 2] == pytest.approx(0.04, rel=1e-6)


def test_noise_without_scale_is_left_in_with_a_word(tmp_path: Path) -> None:
    safe = with_numbers(tmp_path, np.full((5, 5), 40, np.uint16), ipf="002.36")
    (noise,) = safe.glob("annotation/calibration/noise-*")
    noise.write_text(noise.read_text().replace("600 600", "1.2e-09 1.1e-09"))
    with open_scene(safe) as scene:
        assert scene.rows(2, 3).raw[0, 0, 2] == pytest.approx(0.04, rel=1e-6)
        assert scene.warnings == ("noise is not removed: its processor (IPF 2.36) wrote it without its scale",)


def dirty(rng: np.random.Generator, height: int, width: int) -> tuple[NDArray[np.uint16], NDArray[np.bool_]]:
    """Digital numbers with speckled noise of 600 and dark borders on all sides, and where they were measured."""
    sea = 600 * rng.gamma(4, 0.25, (height, width))
    measured = np.zeros((height, width), bool)
    measured[40:-24, 70:-55] = True
    numbers = np.where(measured, np.rint(np.sqrt(sea)), rng.integers(0, 12, sea.shape)).astype(np.uint16)
    numbers[:, :20] = 0
    return np.maximum(numbers, measured).astype(np.uint16), measured


def test_border_noise_of_old_processors_is_no_data(tmp_path: Path) -> None:
    numbers, measured = dirty(np.random.default_rng(0), 200, 300)
    safe = with_numbers(tmp_path, numbers, ipf="002.72")
    _, valid = pixels(safe)
    # Nothing of the border is left; of what was measured, at most two blocks of 16 pixels from each side.
    assert not (valid & ~measured).any()
    assert valid[40 + 32 : -24 - 32, 70 + 32 : -55 - 32].all()
    # Since 2.90 what is not 0 was measured.
    (tmp_path / "new").mkdir()
    _, valid = pixels(with_numbers(tmp_path / "new", numbers))
    assert (valid == (numbers > 0)).all()


def test_borders_worked_by_hand(tmp_path: Path) -> None:
    """Of an η of 600, 60² is measured and 5² is less than half: blocks of 16 pixels from each edge, and one more."""
    numbers = np.full((200, 300), 60, np.uint16)
    numbers[:20, 32:64] = 5  # one block, and 4 rows of the next
    numbers[160:, 96:208] = 5  # two blocks, and 8 rows of the next
    numbers[80:100, :33] = 5  # two blocks, and a column
    numbers[120, 299 - 17 :] = 5  # one block, and two columns
    measured = np.ones(numbers.shape, bool)
    measured[:32, 32:64] = False
    measured[152:, 96:208] = False
    measured[80:100, :48] = False
    measured[120, 300 - 32 :] = False
    path = with_numbers(tmp_path, numbers, ipf="002.72")
    assert (pixels(path)[1] == measured).all()
    with open_scene(path) as scene:
        # Rows whose sides are known and rows whose sides are not, in one window that is less than a row.
        assert (scene.rows(0, 90).valid == measured[:90]).all()
        assert (scene.window(slice(70, 130), slice(20, 290)).valid == measured[70:130, 20:290]).all()


def test_borders_are_looked_for_before_the_processor_that_leaves_none(tmp_path: Path) -> None:
    numbers = np.full((64, 64), 60, np.uint16)
    numbers[:, :16] = 5
    (tmp_path / "new").mkdir()
    assert pixels(with_numbers(tmp_path / "new", numbers, ipf="002.90"))[1].all()
    (tmp_path / "old").mkdir()
    assert not pixels(with_numbers(tmp_path / "old", numbers, ipf="002.89"))[1][:, :32].any()


def test_a_sea_as_dark_as_the_noise_is_no_border(tmp_path: Path) -> None:
    numbers = np.rint(np.sqrt(600 * np.random.default_rng(0).gamma(4, 0.25, (100, 200)))).astype(np.uint16)
    _, valid = pixels(with_numbers(tmp_path, np.maximum(numbers, 1), ipf="002.72"))
    assert valid.all()


@pytest.fixture(scope="module")
def products(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """A clean one of two bands, one with borders to be found, and a COG, whose blocks are taller than a strip."""
    rng = np.random.default_rng(0)
    first, second, third = (tmp_path_factory.mktemp(name) for name in ("new", "old", "cog"))
    sea = {p: s * rng.gamma(4, 0.25, (90, 130)) for p, s in (("vv", 0.02), ("vh", 0.003))}
    cog = write_product(third, {"vv": 0.02 * rng.gamma(4, 0.25, (1100, 40))}, cog=True)
    return [write_product(first, sea), with_numbers(second, dirty(rng, 150, 260)[0], ipf="002.72"), cog]


@settings(max_examples=30)
@given(data=st.data())
def test_strips_and_windows_are_parts_of_the_whole(products: list[Path], data: st.DataObject) -> None:
    number = data.draw(st.integers(0, 2))
    bands = (("vh", "vv", "incidence"), ("vv",), ("incidence", "vv"))[number]
    with open_scene(products[number], bands, decibels=data.draw(st.booleans())) as scene:
        whole = scene.rows(0, scene.height)
        edges = sorted(data.draw(st.lists(st.integers(0, scene.height), max_size=4)))
        strips = [scene.rows(a, b) for a, b in zip([0, *edges], [*edges, scene.height], strict=True)]
        top, left = data.draw(st.integers(0, scene.height)), data.draw(st.integers(0, scene.width))
        window = slice(top, top + data.draw(st.integers(0, 99))), slice(left, left + data.draw(st.integers(0, 99)))
        part = scene.window(*window)
    assert np.concatenate([s.raw for s in strips], axis=1).tobytes() == whole.raw.tobytes()
    assert (np.concatenate([s.valid for s in strips]) == whole.valid).all()
    assert part.raw.tobytes() == whole.raw[:, *window].tobytes()
    assert (part.valid == whole.valid[window]).all()


def test_bands_that_are_not_there(tmp_path: Path) -> None:
    path = write_product(tmp_path, {"vv": np.full((20, 30), 0.05)})
    with pytest.raises(DataError, match="has no VH, only VV"):
        pixels(path, ("vv", "vh"))
    with pytest.raises(ConfigError, match="no band 'xx' in data.bands: use some of vv, vh"):
        pixels(path, ("xx",))
    with pytest.raises(ConfigError, match="no band"):
        pixels(path, ())


@pytest.mark.parametrize("kind", ["calibration", "noise"])
def test_tables_that_are_missing_or_of_another_polarisation(tmp_path: Path, kind: str) -> None:
    path = write_product(tmp_path, {"vv": np.full((20, 30), 0.05), "vh": np.full((20, 30), 0.01)})
    vh, vv = sorted(path.glob(f"annotation/calibration/{kind}-*"))
    shutil.copy(vh, vv)
    with pytest.raises(DataError, match=r"belongs to VH of S1B at 2021-04-01 05:26:23, its product to VV") as caught:
        pixels(path)
    assert str(vv) in str(caught.value)
    vv.unlink()
    with pytest.raises(DataError, match=f"no such file in .*{kind}"):
        pixels(path)
    manifest = path / "manifest.safe"
    manifest.write_text(manifest.read_text().replace(f"{kind}vvAnnotation ", ""))
    with pytest.raises(DataError, match=f"lists no {kind} of VV"):
        pixels(path)


def test_measurements_that_do_not_fit(tmp_path: Path) -> None:
    path = write_product(tmp_path, {"vv": np.full((20, 30), 0.05)})
    (tiff,) = path.glob("measurement/*")
    content = tiff.read_bytes()
    tiff.write_bytes(content[: len(content) - 100])
    with pytest.raises(DataError, match="lie past the end of the file"):
        pixels(path)
    tifffile.imwrite(tiff, np.ones((20, 29), np.uint16), photometric="minisblack")
    with pytest.raises(DataError, match="is 20×29 of uint16, its annotation says 20×30 of uint16"):
        pixels(path)
    tifffile.imwrite(tiff, np.ones((20, 30), np.float32), photometric="minisblack")
    with pytest.raises(DataError, match="is 20×30 of float32"):
        pixels(path)
    tiff.unlink()
    with pytest.raises(DataError, match="no such file"):
        pixels(path)
