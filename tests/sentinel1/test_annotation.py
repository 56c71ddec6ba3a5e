"""Tables of Sentinel-1 products: worked by hand, in both noise schemas, and what is no such file."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from seepseg.errors import DataError
from seepseg.sentinel1.annotation import check_same, read_annotation, read_calibration, read_noise

WHERE = Path("a.xml")
HEADER = """<adsHeader><missionId>S1A</missionId><productType>GRD</productType><polarisation>VV</polarisation>
<mode>IW</mode><swath>IW</swath><startTime>2021-08-09T17:39:53.153776</startTime>
<stopTime>2021-08-09T17:40:18.152800</stopTime><absoluteOrbitNumber>39156</absoluteOrbitNumber>
<missionDataTakeId>302867</missionDataTakeId><imageNumber>001</imageNumber></adsHeader>"""


def vector(name: str, lut: str, line: int, pixels: str, values: str) -> str:
    return f"<{name}><line>{line}</line><pixel count='9'>{pixels}</pixel><{lut} count='9'>{values}</{lut}></{name}>"


def calibration(*vectors: tuple[int, str, str], header: str = HEADER) -> bytes:
    text = "".join(vector("calibrationVector", "sigmaNought", *v) for v in vectors)
    return f"<calibration>{header}<calibrationVectorList>{text}</calibrationVectorList></calibration>".encode()


def noise(body: str) -> bytes:
    return f"<noise>{HEADER}{body}</noise>".encode()


def old_noise(*vectors: tuple[int, str, str]) -> bytes:
    text = "".join(vector("noiseVector", "noiseLut", *v) for v in vectors)
    return noise(f"<noiseVectorList>{text}</noiseVectorList>")


TWO = calibration((0, "0 4", "200 300"), (4, "0 2 4", "300 350 400"))


def test_a_table_is_bilinear_in_line_and_pixel() -> None:
    header, table = read_calibration(TWO, WHERE, 5)
    assert (header.platform, header.orbit, header.take, header.polarisation) == ("S1A", 39156, 302867, "vv")
    assert header.start == datetime(2021, 8, 9, 17, 39, 53, 153776, UTC)
    # Line 0: 200 + 25 a pixel; line 4: 300 + 25 a pixel; so 25 a line between.
    expected = 200 + 25 * np.arange(5)[:, None] + 25 * np.arange(5)
    assert table.block(range(5), range(5)).tolist() == expected.tolist()
    assert table.block(range(2, 3), range(1, 3)).tolist() == [[275, 300]]


def test_a_table_goes_on_for_one_interval_and_is_constant_from_there() -> None:
    _, table = read_calibration(calibration((-4, "0", "300"), (-2, "0", "280")), WHERE, 1)
    # 10 less each line, as far as line 0; before line -6 and after line 0 no more.
    assert table.block(range(-8, 3), range(1)).ravel().tolist() == [
        320,
        320,
        320,
        310,
        300,
        290,
        280,
        270,
        260,
        260,
        260,
    ]


def test_one_vector_is_for_all_lines() -> None:
    _, table = read_calibration(calibration((50, "0 1", "300 310")), WHERE, 2)
    assert table.block(range(2), range(2)).tolist() == [[300, 310], [300, 310]]


def test_noise_of_old_processors_is_one_table() -> None:
    header, table = read_noise(old_noise((0, "0 4", "10 50"), (2, "0 1 4", "30 40 70")), WHERE, 3, 5)
    assert header.polarisation == "vv"
    assert table.block(range(3), range(5)).tolist() == [
        [10, 20, 30, 40, 50],
        [20, 30, 40, 50, 60],
        [30, 40, 50, 60, 70],
    ]


def test_noise_since_ipf_2_90_is_a_table_times_factors_of_blocks() -> None:
    table = vector("noiseRangeVector", "noiseRangeLut", 0, "0 1 2 3", "10 20 40 50")
    block = (
        "<noiseAzimuthVector><swath>{}</swath><firstAzimuthLine>{}</firstAzimuthLine><firstRangeSample>{}"
        "</firstRangeSample><lastAzimuthLine>{}</lastAzimuthLine><lastRangeSample>{}</lastRangeSample>"
        "<line count='2'>{}</line><noiseAzimuthLut count='2'>{}</noiseAzimuthLut></noiseAzimuthVector>"
    )
    first = block.format("IW1", 0, 0, 2, 1, "0 2", "1.0 2.0")
    # Bursts end with lines one after the other.
    second = block.format("IW2", 0, 2, 2, 3, "0 1 2", "1 1 3")
    body = f"<noiseRangeVectorList>{table}</noiseRangeVectorList><noiseAzimuthVectorList>{first}{second}"
    _, eta = read_noise(noise(f"{body}</noiseAzimuthVectorList>"), WHERE, 3, 4)
    whole = [[10, 20, 40, 50], [15, 30, 40, 50], [20, 40, 120, 150]]
    assert eta.block(range(3), range(4)).tolist() == whole
    assert eta.block(range(1, 3), range(1, 3)).tolist() == [[30, 40], [40, 120]]


def test_a_factor_without_bounds_is_for_the_whole_image() -> None:
    table = vector("noiseRangeVector", "noiseRangeLut", 0, "0", "10")
    azimuth = "<noiseAzimuthVector><line>0</line><noiseAzimuthLut>3</noiseAzimuthLut></noiseAzimuthVector>"
    lists = f"<noiseRangeVectorList>{table}</noiseRangeVectorList><noiseAzimuthVectorList>{azimuth}"
    _, eta = read_noise(noise(f"{lists}</noiseAzimuthVectorList>"), WHERE, 2, 2)
    assert eta.block(range(2), range(2)).tolist() == [[30, 30], [30, 30]]


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (TWO[:-40], "its metadata are damaged"),
        (b"", "its metadata are damaged"),
        (b"<!DOCTYPE x [<!ENTITY a 'b'><!ENTITY c '&a;&a;'>]><calibration>&c;</calibration>", "document type"),
        (b"<calibration>" + b" " * 2**23, "over 8 MiB"),
        (b"<calibration/>", "0 vectors"),
        (calibration((0, "0 4", "100 200 300")), "3 values at 2 places"),
        (calibration((0, "", "")), "0 values at 0 places"),
        (calibration((0, "4 0", "100 200")), "do not increase"),
        (calibration((4, "0", "100"), (4, "0", "100")), "lines do not increase"),
        (calibration((0, "0 4", "100 nan")), "not finite"),
        (calibration((0, "0 4", "1e300 1")), "values above"),
        (calibration((0, "0 4", "100 0")), "sigmaNought is not above 0"),
        (calibration((0, "0", "100"), (4, "0", "200")), "or jumps"),
        (calibration((0, "0 4", "100 x")), "could not convert"),
        (calibration((0, "0 4", "100 200"), header=""), "adsHeader/missionId"),
        (TWO.replace(b"39156", b"no number"), "invalid literal"),
        (TWO.replace(b"2021-08-09T17:39:53.153776", b"yesterday"), "isoformat"),
    ],
)  # fmt: skip
def test_what_is_no_calibration_is_one_clear_line(content: bytes, why: str) -> None:
    with pytest.raises(DataError, match=why) as caught:
        read_calibration(content, WHERE, 5)
    assert "\n" not in str(caught.value)


def test_tables_of_an_absurd_width_are_refused() -> None:
    with pytest.raises(DataError, match="2 vectors for 1000000000 pixels"):
        read_calibration(TWO, WHERE, 10**9)


@pytest.mark.parametrize(
    ("was", "now", "why"),
    [
        ("S1A", "S1B", "belongs to VV of S1B"),
        ("VV", "VH", "belongs to VH of S1A at 2021-08-09 17:39:53, its product to VV of S1A"),
        ("39156", "39157", "belongs to"),
        ("17:39:53", "17:40:18", "at 2021-08-09 17:40:18, its product to VV of S1A at 17:39:53"),
    ],
)
def test_a_table_of_another_product_is_refused(was: str, now: str, why: str) -> None:
    ours, _ = read_calibration(TWO, WHERE, 5)
    theirs, _ = read_calibration(TWO.replace(was.encode(), now.encode()), WHERE, 5)
    check_same(ours, ours, WHERE)
    with pytest.raises(DataError, match=why):
        check_same(ours, theirs, WHERE)


def test_points_of_an_annotation_are_middles_of_pixels() -> None:
    point = "<geolocationGridPoint><line>{}</line><pixel>{}</pixel><latitude>{}</latitude><longitude>{}</longitude>"
    point += "<height>7</height><incidenceAngle>{}</incidenceAngle></geolocationGridPoint>"
    places = [(0, 0, 28, -91, 30), (0, 4, 28, -90, 34), (2, 0, 27, -91, 31), (2, 4, 27, -90, 39)]
    grid = "".join(point.format(*place) for place in places)
    image = "<numberOfSamples>5</numberOfSamples><numberOfLines>3</numberOfLines><rangePixelSpacing>1.0e+01"
    image += "</rangePixelSpacing><azimuthPixelSpacing>9.9</azimuthPixelSpacing>"
    done = "<thermalNoiseCorrectionPerformed>true</thermalNoiseCorrectionPerformed>"
    text = (
        f"<product>{HEADER}<imageAnnotation><imageInformation>{image}</imageInformation><processingInformation>"
        f"{done}</processingInformation></imageAnnotation><geolocationGrid><geolocationGridPointList>{grid}"
        "</geolocationGridPointList></geolocationGrid></product>"
    )
    annotation = read_annotation(text.encode(), WHERE)
    assert (annotation.height, annotation.width, annotation.spacing, annotation.denoised) == (3, 5, (10, 9.9), True)
    assert annotation.points[3].tolist() == [2.5, 4.5, -90, 27, 7]
    # Line 1 is between: 30.5 at the left, 36.5 at the right.
    assert annotation.incidence.block(range(1, 2), range(5)).tolist() == [[30.5, 32, 33.5, 35, 36.5]]


# A folder with a real product (S1B, 2021-04-01 05:26:23), and calibration and noise of the SLC product of its pass.
REFERENCE = os.environ.get("SEEPSEG_SENTINEL1", "")


@pytest.mark.data
@pytest.mark.skipif(not REFERENCE, reason="SEEPSEG_SENTINEL1 names no folder with a real product")
def test_a_real_product_is_read() -> None:
    (path,) = Path(REFERENCE).glob("*.SAFE/annotation/*-vv-*.xml")
    annotation = read_annotation(path.read_bytes(), path)
    assert (annotation.height, annotation.width, annotation.denoised) == (16685, 25788, False)
    assert annotation.points.shape == (210, 5)
    assert annotation.incidence.block(range(1), range(1)).item() == pytest.approx(30.74494585570506, rel=1e-6)
    (path,) = Path(REFERENCE).glob("calibration-*.xml")
    header, table = read_calibration(path.read_bytes(), path, 21632)
    assert (header.platform, header.orbit, table.values.shape) == ("S1B", 26269, (30, 21632))
    # Between vectors at lines 91 and 577, of which each starts with these values.
    middle = 331.5496 + (331.4861 - 331.5496) * (300 - 91) / (577 - 91)
    assert table.block(range(300, 301), range(1)).item() == pytest.approx(middle, rel=1e-6)
    (path,) = Path(REFERENCE).glob("noise-*.xml")
    _, eta = read_noise(path.read_bytes(), path, 13509, 21632)
    assert eta.block(range(1), range(1)).item() == pytest.approx(508.1391 * 1.156654, rel=1e-6)
