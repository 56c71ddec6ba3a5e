"""Every package that is pinned has a licence that is accepted, or is an exception that is explained."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[1] / "scripts" / "licences.py"
spec = importlib.util.spec_from_file_location("licences", SCRIPT)
assert spec
assert spec.loader
licences = importlib.util.module_from_spec(spec)
spec.loader.exec_module(licences)


def test_every_pinned_package_has_an_accepted_licence_or_is_explained() -> None:
    found = {name: spdx for name, _, spdx in licences.pinned()}
    others = {name: spdx for name, spdx in found.items() if not licences.accepted(spdx)}
    assert others == {name: spdx for name, (spdx, _) in licences.EXCEPTIONS.items()}
    assert len(found) > 200


@pytest.mark.parametrize(
    ("expression", "is_accepted"),
    [
        ("MIT", True),
        ("GPL-3.0 OR MIT", True),
        ("BSD-3-Clause AND GPL-3.0", False),
        ("Apache-2.0 WITH LLVM-exception AND (LGPL-2.1 OR BSD-2-Clause)", True),
        ("MPL-2.0", False),
        ("not said", False),
    ],
)
def test_all_parts_must_be_accepted_and_one_of_a_choice(expression: str, is_accepted: bool) -> None:
    assert licences.accepted(expression) == is_accepted
