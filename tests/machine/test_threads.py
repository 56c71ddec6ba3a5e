from __future__ import annotations

import threading

import pytest

from seepseg.machine.threads import errors_once


class Keeping(threading.Thread):
    """A thread that fails, and may keep its error for who waits for it."""

    def __init__(self, keeps: bool) -> None:
        super().__init__()
        self.exception: Exception | None = None
        self._keeps = keeps

    def run(self) -> None:
        error = ValueError("failed")
        if self._keeps:
            self.exception = error
        raise error


def test_only_an_error_that_a_thread_keeps_is_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    shown: list[threading.Thread | None] = []
    hook = lambda failed: shown.append(failed.thread)  # noqa: E731  (the hook must be the same object afterwards)
    monkeypatch.setattr(threading, "excepthook", hook)
    kept, lost, later = Keeping(True), Keeping(False), Keeping(True)
    with errors_once():
        for thread in (kept, lost):
            thread.start()
            thread.join()
    assert shown == [lost]
    assert threading.excepthook is hook
    later.start()
    later.join()
    assert shown == [lost, later]


def test_a_block_that_fails_leaves_the_hook_as_it_was() -> None:
    before = threading.excepthook
    with pytest.raises(OSError, match="no board"), errors_once():
        raise OSError("no board")
    assert threading.excepthook is before
