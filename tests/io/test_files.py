"""Which files are inputs, and which addresses are none."""

from __future__ import annotations

from pathlib import Path

import pytest

from seepseg.errors import ConfigError
from seepseg.io.files import image_files, local_path


def test_hidden_files_and_folders_are_no_inputs(tmp_path: Path) -> None:
    for name in ("b.TIF", "a.tif", "._a.tif", ".seepseg-1.tif", "Thumbs.db", ".trash/a.tif", "x/y.tif", "a.tif.msk"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    assert [str(p.relative_to(tmp_path)) for p in image_files(tmp_path, (".tif",))] == ["a.tif", "b.TIF", "x/y.tif"]


def test_a_hidden_folder_may_be_given(tmp_path: Path) -> None:
    (tmp_path / ".data").mkdir()
    (tmp_path / ".data/a.tif").touch()
    assert image_files(tmp_path / ".data", (".tif",)) == [tmp_path / ".data/a.tif"]


@pytest.mark.parametrize("text", ["s3://bucket/a.tif", "https://x/a.tif", "/vsis3/bucket/a.tif", "/vsicurl/http://x"])
def test_a_remote_address_is_told_as_it_was_typed(text: str) -> None:
    with pytest.raises(ConfigError) as caught:
        local_path(text)
    assert str(caught.value) == f"is a remote address, not a file in {text}: copy it here first"


@pytest.mark.parametrize("text", ["a.tif", "/data/x:y.tif", r"C:\data\a.tif", "vsi/a.tif", "s3/a.tif"])
def test_a_path_is_a_path(text: str) -> None:
    assert local_path(text) == Path(text)


def test_links_to_folders_are_followed_but_not_in_circles(tmp_path: Path) -> None:
    (tmp_path / "far").mkdir()
    (tmp_path / "far" / "a.tif").touch()
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "s").symlink_to(tmp_path / "far")
    (tmp_path / "far" / "back").symlink_to(tmp_path / "in")
    (tmp_path / "in" / "lost").symlink_to(tmp_path / "nowhere")
    assert image_files(tmp_path / "in", (".tif",)) == [tmp_path / "in" / "s" / "a.tif"]
