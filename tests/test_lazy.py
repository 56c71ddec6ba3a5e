from __future__ import annotations

import sys
from types import ModuleType

import pytest

from seepseg.lazy import attach


@pytest.fixture
def package(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """A package with a function of `textwrap`, and with `json.tool` as its own module."""
    package = ModuleType("json")
    monkeypatch.setitem(sys.modules, "json", package)
    package.hidden = 1  # type: ignore[attr-defined]
    package.__getattr__, package.__dir__ = attach(  # type: ignore[method-assign]
        "json", {"dedent": "textwrap", "tool": "json.tool"}
    )
    return package


def test_a_name_is_imported_when_it_is_used(package: ModuleType) -> None:
    assert "dedent" not in vars(package)
    assert package.dedent("  a") == "a"
    assert "dedent" in vars(package)


def test_nothing_else_is_there_or_shown(package: ModuleType) -> None:
    with pytest.raises(AttributeError, match="module 'json' has no attribute 'dedant'"):
        _ = package.dedant
    assert [name for name in dir(package) if not name.startswith("__")] == ["dedent", "tool"]
