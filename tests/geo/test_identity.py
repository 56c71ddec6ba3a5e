from __future__ import annotations

from pathlib import Path

import pytest

from seepseg.errors import ConfigError
from seepseg.geo.identity import Identity, identity_of, read_scenes

SENTINEL1 = "S1A_IW_GRDH_1SDV_20210401T052623_20210401T052648_037258_046400_C0A1"
RADARSAT2 = "RS2_OK1234_PK5678_DK9012_SCWA_20170430_084253_VV_VH_SGF"
ENVISAT = "ASA_WSM_1PNPDK20081110_205618_000000922073_00401_35024_0844"


@pytest.mark.parametrize("name", [SENTINEL1, f"{SENTINEL1}_COG", f"2021/{SENTINEL1}/vv", f"Subset_{SENTINEL1}_Orb_Cal"])
def test_a_sentinel_1_name(name: str) -> None:
    assert identity_of({}, name, {}) == Identity(
        "2021-04-01T05:26:23.000Z", "2021-04-01T05:26:48.000Z", "S1A", "IW", "VV+VH", 37258, product=SENTINEL1
    )


def test_a_sentinel_1_measurement() -> None:
    said = identity_of({}, "s1a-s3-grd-hh-20210401t052623-20210401t052648-037258-046400-001", {})
    assert said == Identity("2021-04-01T05:26:23.000Z", "2021-04-01T05:26:48.000Z", "S1A", "SM", "HH", 37258)


def test_names_of_radarsat_2_and_envisat() -> None:
    assert identity_of({}, f"{RADARSAT2}/imagery_VV", {}) == Identity(
        "2017-04-30T08:42:53.000Z", None, "RADARSAT-2", "SCWA", "VV+VH", product=RADARSAT2
    )
    # It took 92 seconds.
    assert identity_of({}, f"{ENVISAT}.N1", {}) == Identity(
        "2008-11-10T20:56:18.000Z", "2008-11-10T20:57:50.000Z", "ENVISAT", "WS", None, 35024, 401, product=ENVISAT
    )


@pytest.mark.parametrize(
    "name",
    [
        "20210401_scene", "041870.000022", "S1A_20210401T052623", f"{SENTINEL1}_minus_{SENTINEL1.replace('A_', 'B_')}",
        SENTINEL1.replace("20210401T052623", "20211301T052623"), f"X{RADARSAT2}",
    ],
)  # fmt: skip
def test_what_a_name_does_not_say_is_unknown(name: str) -> None:
    assert identity_of({}, name, {}).known == {}


def test_tags_go_before_names_and_tables_before_tags() -> None:
    tags = {
        "ACQUISITION_START_TIME": "2021-04-01T05:26:23.794457", "MISSION_ID": "S1A",
        "SATELLITE_IDENTIFIER": "SENTINEL-1",
        "ORBIT_DIRECTION": "DESCENDING", "ORBIT_NUMBER": "UNK", "TIFFTAG_DATETIME": "2024:01:01 00:00:00",
    }  # fmt: skip
    said = identity_of(tags, SENTINEL1, {"platform": "S1C"})
    assert (said.acquired, said.platform, said.direction, said.orbit) == (
        "2021-04-01T05:26:23.794Z", "S1C", "descending", 37258,
    )  # fmt: skip
    assert identity_of({"TIFFTAG_DATETIME": "2024:01:01 00:00:00"}, "s", {}) == Identity()
    # What is written to a raster is what is read from it.
    assert identity_of(said.tags, "s", {}) == said


def test_a_table_of_scenes(tmp_path: Path) -> None:
    path = tmp_path / "scenes.csv"
    path.write_text(
        "scene,objects,acquired,orbit,direction,polarisation\n"
        "a,3,2021-04-01 07:26:23+02:00,26269,Ascending,DV\nb,,2021-04-01T05:26Z,,,\nc,,,,,\n"
    )
    assert read_scenes(path) == {
        "a": {
            "acquired": "2021-04-01T05:26:23.000Z", "orbit": 26269, "direction": "ascending", "polarisation": "VV+VH",
        },
        "b": {"acquired": "2021-04-01T05:26:00.000Z"},
    }  # fmt: skip


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("scene,acquired\na,2021-04-01\n", "acquired of a is '2021-04-01' in .*: give date and time, as in"),
        ("scene,orbit\na,first\n", "orbit of a is 'first'"),
        ("scene,direction\na,up\n", "direction of a is 'up'"),
        ("scene,date\na,2021\n", "says nothing of a scene in .*: give columns of acquired, acquired_end"),
        ("name,acquired\na,2021-04-01T00:00\n", "it needs scene"),
        ("scene,acquired,Orbit\na,2021-04-01T00:00,3\n", "write the column as orbit, or rename it"),
    ],
)
def test_a_table_that_cannot_be_understood(tmp_path: Path, text: str, line: str) -> None:
    (tmp_path / "scenes.csv").write_text(text)
    with pytest.raises(ConfigError, match=line):
        read_scenes(tmp_path / "scenes.csv")
