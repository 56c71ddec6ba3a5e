"""Which bands of a file are meant where they are asked for by name: those it describes so, else by their order."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from seepseg.errors import DataError

Bands = Sequence[int] | Sequence[str]
"""1-based numbers, or names: "vv", "vh", "hh", "hv", "incidence"."""

_NAME = re.compile(r"(?<![a-z])(?:vv|vh|hh|hv|angle)(?![a-z])|incidence", re.IGNORECASE)
MAX_SHOWN = 8
_MEANS = {"angle": "incidence"}


def band_name(description: str) -> str | None:
    """What a description of a band names: "Sigma0_VV" is "vv"; None for nothing, or for more than one ("VV/VH")."""
    found = {word.lower() for word in _NAME.findall(description)}
    names = {_MEANS.get(word, word) for word in found}
    return names.pop() if len(names) == 1 else None


def numbered(
    bands: Bands, count: int, described: Mapping[int, str], path: Path, *, colours: bool = False, alpha: bool = False
) -> Sequence[int]:
    """The 1-based numbers of bands asked for by number or by name.

    Names are looked up in the file's own descriptions. In a file that names none of its bands they are its bands in
    order, if it has as many.

    Args:
        bands: what is asked for.
        count: bands in the file, alpha aside.
        described: what it calls them, by number.
        path: the file.
        colours: it says that they are red, green and blue.
        alpha: it has alpha besides.

    Raises:
        DataError: a name that it lacks or has twice, or it names none and has more or fewer bands, or colours.
    """
    names = [band for band in bands if isinstance(band, str)]
    if not names:
        return [band for band in bands if isinstance(band, int)]
    known: dict[str, list[int]] = {}
    for number, text in described.items():
        if 1 <= number <= count and (name := band_name(text)):
            known.setdefault(name, []).append(number)
    wanted = " and ".join(names)
    if not known:
        if colours:
            raise DataError(f"is a picture, not {wanted}", path, "save the bands as they were measured")
        if count != len(names):
            what = f"{count} band{'s' * (count > 1)}{' and alpha' * alpha}, not named"
            fix = "describe the bands, or save these alone, in this order"
            raise DataError(f"holds {what}, where {wanted} are wanted", path, fix)
        return range(1, count + 1)
    for name in names:
        if len(known.get(name, ())) != 1:
            what = f"has {len(known[name])} bands" if name in known else "has no band"
            shown = ", ".join(f"{number} is {described[number]!r}" for number in sorted(described)[:MAX_SHOWN])
            fix = "save it with one of each, or use a run of the bands that it has"
            raise DataError(f"{what} {name} ({shown})", path, fix)
    return [known[name][0] for name in names]
