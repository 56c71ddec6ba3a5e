"""Sentinel-1 GRD products: what one holds, and its pixels as calibrated backscatter."""

import re
from pathlib import Path

from seepseg.io.files import exists

_NAME = re.compile(r".+\.safe(\.zip)?|S1[A-Z]_.+\.zip", re.IGNORECASE)


def is_product(path: Path) -> bool:
    """Whether a path is a Sentinel-1 product: a folder with a manifest or named like one, a ZIP, a manifest."""
    return bool(_NAME.fullmatch(path.name)) or exists(path / "manifest.safe")
