from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from seepseg.errors import ConfigError
from seepseg.runs.staged import NEXT, settle, staged


class Killed(BaseException):
    """Stands for the end of a process: nothing after it runs."""


def files(folder: Path) -> dict[str, str]:
    return {str(p.relative_to(folder)): p.read_text() for p in folder.rglob("*") if p.is_file()}


OLD, NEW = {"a": "1", "b/c": "1", "gone": "1", "mine": "x"}, {"a": "2", "b/c": "2", "b/d": "2", "mine": "x"}


def begin(folder: Path) -> None:
    for name, text in OLD.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)


def change(folder: Path) -> None:
    with staged(folder, owned=("gone", "b/*")) as new:
        (new / "b").mkdir()
        for name in ("a", "b/c", "b/d"):
            (new / name).write_text("2")


def test_new_files_take_the_place_of_old_ones(tmp_path: Path) -> None:
    begin(tmp_path)
    change(tmp_path)
    assert files(tmp_path) == NEW


def test_a_failure_leaves_the_old_files(tmp_path: Path) -> None:
    begin(tmp_path)
    with pytest.raises(ZeroDivisionError), staged(tmp_path) as new:
        (new / "a").write_text("2")
        raise ZeroDivisionError
    assert files(tmp_path) == OLD


@pytest.mark.parametrize("at", range(40))
def test_killed_at_any_moment_it_is_all_old_or_all_new(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, at: int
) -> None:
    """The process ends before its n-th call of the system that changes a file; what is left is then settled."""
    begin(tmp_path)
    left = [at]

    def dying(call: Callable[..., object]) -> Callable[..., object]:
        def wrapped(*arguments: object, **words: object) -> object:
            left[0] -= 1
            if left[0] < 0:
                raise Killed
            return call(*arguments, **words)

        return wrapped

    with monkeypatch.context() as patch:
        for name in ("mkdir", "replace", "unlink", "open", "write_text"):
            patch.setattr(Path, name, dying(getattr(Path, name)))
        patch.setattr("shutil.rmtree", dying(lambda *_, **__: None))  # a dead process removes nothing
        with suppress(Killed):
            change(tmp_path)
    ready = (tmp_path / NEXT / "ready.json").is_file()
    settle(tmp_path)
    now = files(tmp_path)
    assert now in (OLD, NEW)
    if ready:
        assert now == NEW
    if at == 39:
        assert left[0] >= 0 and now == NEW  # the last case is not killed


def test_what_a_user_changed_meanwhile_is_not_lost(tmp_path: Path) -> None:
    begin(tmp_path)
    with pytest.raises(ConfigError, match="was changed while this ran"), staged(tmp_path, edited=("a",)) as new:
        (new / "a").write_text("2")
        (tmp_path / "a").write_text("mine, and longer")
    assert files(tmp_path) == OLD | {"a": "mine, and longer"}


def test_what_a_user_changed_before_it_was_settled_is_kept_aside(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    begin(tmp_path)
    with monkeypatch.context() as patch, pytest.raises(Killed), staged(tmp_path, edited=("a",)) as new:
        (new / "a").write_text("2")
        patch.setattr("seepseg.runs.staged.settle", lambda _: (_ for _ in ()).throw(Killed()))
    (tmp_path / "a").write_text("mine, and longer")
    settle(tmp_path)
    assert files(tmp_path) == OLD | {"a": "2", "a_edited_1": "mine, and longer"}
