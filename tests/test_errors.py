from __future__ import annotations

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
