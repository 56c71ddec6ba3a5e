"""Atomic writes: complete or absent, and the user's line for every way a disk can refuse."""

import errno
import os
from pathlib import Path

import pytest

from seepseg.errors import ConfigError, ResourceError, SeepsegError
from seepseg.io.atomic import (
    TEMPORARY_PREFIX,
    atomic_path,
    write_bytes,
    write_error,
    write_text,
)


def test_writes_and_makes_parents(tmp_path: Path) -> None:
    write_bytes(tmp_path / "a/b/c.bin", [b"one", memoryview(b"two")])
    assert (tmp_path / "a/b/c.bin").read_bytes() == b"onetwo"
    write_text(tmp_path / "ä.txt", "ö\n")
    assert (tmp_path / "ä.txt").read_bytes() == b"\xc3\xb6\n"


def test_temporary_is_hidden_beside_and_keeps_the_suffix(tmp_path: Path) -> None:
    with atomic_path(tmp_path / "map.tif") as temporary:
        assert temporary.parent == tmp_path
        assert temporary.name.startswith(TEMPORARY_PREFIX)
        assert temporary.suffix == ".tif"
        temporary.write_text("x")
        assert not (tmp_path / "map.tif").exists()
    assert [p.name for p in tmp_path.iterdir()] == ["map.tif"]


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_failure_leaves_the_old_file_and_nothing_else(tmp_path: Path, error: type[BaseException]) -> None:
    target = tmp_path / "a.txt"
    target.write_text("old")

    def fail() -> None:
        with atomic_path(target) as temporary:
            temporary.write_text("half")
            raise error

    with pytest.raises(error):
        fail()
    assert target.read_text() == "old"
    assert list(tmp_path.iterdir()) == [target]


def test_permissions_are_the_umask_s(tmp_path: Path) -> None:
    (tmp_path / "plain").write_text("x")
    write_text(tmp_path / "ours", "x")
    assert (tmp_path / "ours").stat().st_mode == (tmp_path / "plain").stat().st_mode


def test_file_as_folder_and_folder_as_file(tmp_path: Path) -> None:
    (tmp_path / "f").write_text("x")
    with pytest.raises(ConfigError) as caught:
        write_text(tmp_path / "f" / "g", "x")
    assert str(caught.value) == f"a file is where a folder should be in {tmp_path}/f/g: choose another folder"
    (tmp_path / "d").mkdir()
    with pytest.raises(ConfigError, match="is a folder, not a file"):
        write_text(tmp_path / "d", "x")


def test_full_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(ResourceError) as caught:
        write_text(tmp_path / "a", "x")
    assert str(caught.value) == f"disk is full, or a quota is reached in {tmp_path}/a: free some space and run again"
    assert caught.value.exit_code == 5
    assert list(tmp_path.iterdir()) == []


def test_folder_that_cannot_be_synced_is_fine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    true_fsync, calls = os.fsync, []

    def files_only(descriptor: int) -> None:
        calls.append(descriptor)
        if len(calls) == 2:
            raise OSError(errno.EINVAL, "Invalid argument")
        true_fsync(descriptor)

    monkeypatch.setattr(os, "fsync", files_only)
    write_text(tmp_path / "a", "x")
    assert (tmp_path / "a").read_text() == "x"
    assert len(calls) == 2


@pytest.mark.parametrize(
    ("number", "kind", "what"),
    [
        (errno.EACCES, ConfigError, "not writable"),
        (errno.EROFS, ConfigError, "not writable"),
        (errno.ENAMETOOLONG, ConfigError, "name is too long"),
        (errno.EDQUOT, ResourceError, "disk is full, or a quota is reached"),
        (errno.EIO, ResourceError, "cannot be written (Input/output error)"),
    ],
)
def test_lines(number: int, kind: type[SeepsegError], what: str) -> None:
    error = write_error(OSError(number, os.strerror(number)), Path("out"))
    assert type(error) is kind
    assert error.what == what
