from __future__ import annotations

import errno

import pytest

from seepseg import errors


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (errors.ConfigError("x"), 2), (errors.DataError("x"), 3), (errors.CheckpointError("x"), 3),
        (errors.NonFiniteLossError("x"), 3), (errors.SomeFailedError("x"), 4), (errors.ResourceError("x"), 5),
        (errors.LockedError("x"), 6), (errors.InterruptedRun(15, "x"), 143), (errors.InterruptedRun(2, "x"), 130),
    ],
)  # fmt: skip
def test_exit_codes(error: errors.SeepsegError, code: int) -> None:
    assert error.exit_code == code


def test_the_line_says_what_where_and_how_to_fix() -> None:
    assert str(errors.DataError("cut short", "a.tif", "copy it again")) == "cut short in a.tif: copy it again"
    assert str(errors.DataError("cut short")) == "cut short"


def test_an_error_is_one_line_whatever_it_names() -> None:
    assert str(errors.DataError("of two\nlines", "a\r\nb.tif", "fix\u2028it")) == "of two lines in a b.tif: fix it"


def test_what_the_machine_lacks_is_not_the_files_fault() -> None:
    try:
        try:
            raise OSError("/d/a.tif: Too many open files")  # as GDAL says it
        except OSError as cause:
            raise ValueError("read failed") from cause
    except ValueError as error:
        wrapped = error
    for error in (OSError(errno.EMFILE, "Too many open files"), wrapped):
        line = errors.shortage(error, "a.tif")
        assert line
        assert str(line) == "too many files are open in a.tif: raise their limit with `ulimit -n`"
    memory = errors.shortage(OSError(errno.ENOMEM, "Cannot allocate memory"), "a.tif")
    assert memory
    assert (memory.exit_code, memory.what) == (5, "out of memory")
    assert errors.shortage(OSError(errno.ENOENT, "No such file"), "a.tif") is None
