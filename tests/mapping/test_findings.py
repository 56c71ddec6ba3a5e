from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from seepseg.classes import SALT, SEEP
from seepseg.errors import ConfigError
from seepseg.mapping.findings import check_submission, write_findings, write_submission
from seepseg.mapping.jobs import plan
from seepseg.mapping.outputs import Wanted
from seepseg.mapping.tiles import predict_tiles
from tests.mapping.toy import recipe, toy


def png(path: Path, pixels: list[list[int]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.array(pixels, np.uint8)).save(path)


def test_two_tiles_of_one_id_and_several_classes_make_no_submission(tmp_path: Path) -> None:
    for name in ("a/x", "a/y", "b/x"):
        png(tmp_path / "in" / f"{name}.png", [[1]])
    jobs = plan([str(tmp_path / "in")], tmp_path / "out", "png")
    with pytest.raises(ConfigError, match=r"a/x.png and .*b/x.png would both be x in submission.csv .*rename one"):
        check_submission(jobs, SALT)
    check_submission(jobs[:2], SALT)
    with pytest.raises(ConfigError, match="holds one class, and the run has 7 in --format tgs-csv"):
        check_submission(jobs[:2], SEEP)


def test_no_data_is_no_salt(tmp_path: Path) -> None:
    # Above 100 is salt; 255 is no data. Run lengths go down the columns: pixels 2 and 3 of 4.
    png(tmp_path / "in" / "x.png", [[255, 150], [150, 50]])
    jobs = plan([str(tmp_path / "in")], tmp_path / "out", "png")
    predict_tiles(jobs, toy(recipe(nodata=255)), Wanted())
    assert write_submission(jobs, tmp_path / "out").read_text() == "id,rle_mask\nx,2 2\n"


def test_where_nothing_has_polygons_any_more_no_findings_are_left(tmp_path: Path) -> None:
    for name in ("findings.gpkg", "findings.csv", "scenes.csv", "scene.gpkg"):
        (tmp_path / name).touch()
    write_findings([], dict, tmp_path, SALT)
    assert [path.name for path in tmp_path.iterdir() if path.name[0] != "."] == ["scene.gpkg"]
