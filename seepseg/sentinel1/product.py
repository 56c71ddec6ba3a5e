"""What a Sentinel-1 product holds: a folder, a ZIP, or the `manifest.safe` in its folder.

The manifest says so, not the names: products in the form of COGs have others.
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from xml.etree.ElementTree import Element

from seepseg.archives.members import Member, as_damage, open_archive, refuse_large
from seepseg.archives.unpacked import cache_folder, unpack_members
from seepseg.errors import DataError
from seepseg.io.atomic import TEMPORARY_PREFIX, write_error
from seepseg.io.documents import MAX_XML, parse_xml
from seepseg.io.files import open_regular
from seepseg.sentinel1.annotation import Annotation, check_same, read_annotation, utc

MANIFEST = "manifest.safe"
_NAME = re.compile(r"S1[A-Z]_(IW|EW|WV|S[1-6])_[A-Z]{3}[FHM_]_\w+", re.IGNORECASE)
_REFUSED = {
    "SLC": "complex numbers burst by burst, not yet on the ground",
    "RAW": "echoes that are not yet focused",
    "OCN": "wind and waves, not an image",
}


@dataclass(frozen=True)
class Identity:
    """Which acquisition a product is; None is unknown.

    Attributes:
        product: its name, without `.SAFE`.
        platform: "S1A".
        mode: "IW", "EW" or "SM".
        polarisations: "vv", "vh", "hh", "hv", in the product's order.
        start, stop: of the acquisition, UTC.
        orbit, relative_orbit: at its start.
        direction: "ascending" or "descending".
        footprint: corners (longitude, latitude).
        processor: version of the IPF, (3, 31).
    """

    product: str | None
    platform: str
    mode: str
    polarisations: tuple[str, ...]
    start: datetime
    stop: datetime
    orbit: int
    relative_orbit: int | None
    direction: str | None
    footprint: tuple[tuple[float, float], ...]
    processor: tuple[int, ...]


@dataclass(frozen=True)
class Files:
    """The files of one polarisation, as paths in the product; None where the manifest lists none."""

    measurement: str
    annotation: str
    calibration: str | None
    noise: str | None


@dataclass(frozen=True)
class Product:
    """A product that is open: its files can be read while it is.

    Attributes:
        path: as given.
        base: the folder or ZIP.
        identity: which acquisition it is.
        files, annotations: by polarisation.
        read: the content of a file in it, bounded.
        local: a file of it on disk; one in a ZIP is unpacked for as long as the product is open.
    """

    path: Path
    base: Path
    identity: Identity
    files: Mapping[str, Files]
    annotations: Mapping[str, Annotation]
    read: Callable[[str], bytes]
    local: Callable[[str], Path]


Access = tuple[Callable[[str], bytes], Callable[[str], Path], str]
"""`Product.read` and `Product.local`, and the name of the product's folder."""


@contextmanager
def open_product(path: Path) -> Iterator[Product]:
    """A GRD product, open while the block lasts.

    Raises:
        DataError: it is none, of another kind, lacks files, or a file in it is damaged.
        ResourceError: no room to unpack a file of a ZIP.
    """
    with ExitStack() as stack:
        base = path.parent if path.name == MANIFEST else path
        read, local, name = _folder(base) if base.is_dir() else _archive(base, stack)
        root = parse_xml(read(MANIFEST), base / MANIFEST)
        try:
            _refuse(root, base)
            identity, listed = _identity(root, name), _listed(root)
        except (KeyError, ValueError) as error:
            what = f"is no manifest of a Sentinel-1 product ({error})"
            raise DataError(what, base / MANIFEST, "copy it again") from None
        files, annotations = dict[str, Files](), dict[str, Annotation]()
        for each in listed:
            try:
                content = read(each.annotation)
            except DataError:  # of a polarisation that was left out to save room
                if each is listed[-1] and not files:
                    raise
                continue
            annotation = read_annotation(content, base / each.annotation)
            header = annotation.header
            ours = replace(header, platform=identity.platform, orbit=identity.orbit, start=identity.start)
            check_same(ours, header, base / each.annotation)
            files[header.polarisation], annotations[header.polarisation] = each, annotation
        yield Product(path, base, identity, files, annotations, read, local)


def _folder(base: Path) -> Access:
    def read(name: str) -> bytes:
        with open_regular(base / name) as stream:
            return stream.read(MAX_XML + 1)

    return read, lambda name: base / name, base.absolute().name


def _archive(path: Path, stack: ExitStack) -> Access:
    _, members = open_archive(path, stack)
    refuse_large(members, path)
    manifests = [m for m in members if m.parts[-1].lower() == MANIFEST]
    if len(manifests) != 1:
        raise DataError(f"holds {len(manifests)} Sentinel-1 products", path, "give a ZIP of one, or a folder")
    above = manifests[0].parts[:-1]
    inside = {"/".join(m.parts[len(above) :]): m for m in members if m.parts[: len(above)] == above}
    inside[MANIFEST] = manifests[0]

    def member(name: str) -> Member:
        if name not in inside:
            raise DataError("no such file", path / name, "the archive is not whole: copy it again")
        return inside[name]

    def read(name: str) -> bytes:
        damage = as_damage("is damaged", path / name, "copy the archive again")
        with damage, member(name).archive.open(member(name).info) as stream:
            return stream.read(MAX_XML + 1)

    def local(name: str) -> Path:
        cache = cache_folder()
        try:
            cache.mkdir(parents=True, exist_ok=True)
            # Not kept, unlike other archives: a year of products would fill any disk.
            room = stack.enter_context(tempfile.TemporaryDirectory(prefix=TEMPORARY_PREFIX, dir=cache))
            unpack_members([member(name)], Path(room) / "product", path)
        except OSError as error:
            raise write_error(error, cache) from error
        return Path(room).joinpath("product", *member(name).parts)

    return read, local, above[-1] if above else path.stem


def _refuse(root: Element, base: Path) -> None:
    """Raise DataError where a product is not GRD."""
    version = root.get("version", "")
    kind = _first(root, "productType") or ("RAW" if "level-0" in version else "OCN" if "level-2" in version else "")
    if _first(root, "mode") == "WV":
        raise DataError("is a wave mode product (small images 100 km apart)", base, "give IW, EW or SM")
    if not kind:
        raise KeyError("productType")
    if kind != "GRD":
        why = _REFUSED.get(kind, "not GRD")
        raise DataError(f"is a Sentinel-1 product of type {kind} ({why})", base, "give the GRD product of that time")


def _identity(root: Element, name: str) -> Identity:
    name = re.sub(r"\.safe$", "", name, flags=re.IGNORECASE)
    said = {key: _first(root, key) for key in ("number", "mode", "startTime", "stopTime", "orbitNumber")}
    if lacking := [key for key, text in said.items() if not text]:
        raise KeyError(lacking[0])
    relative, corners = _first(root, "relativeOrbitNumber"), _first(root, "coordinates")
    software = [e.get("version", "") for e in _named(root, "software") if "IPF" in e.get("name", "")]
    return Identity(
        name if _NAME.fullmatch(name) else None,
        f"S1{said['number']}",
        said["mode"],
        tuple((e.text or "").strip().lower() for e in _named(root, "transmitterReceiverPolarisation")),
        utc(said["startTime"]),
        utc(said["stopTime"]),
        int(said["orbitNumber"]),
        int(relative) if relative else None,
        _first(root, "pass").lower() or None,
        tuple((float(lon), float(lat)) for lat, lon in (pair.split(",") for pair in corners.split())),
        tuple(int(part) for part in re.findall(r"\d+", software[0] if software else "")),
    )


def _listed(root: Element) -> list[Files]:
    """The files of each polarisation: a measurement names what describes it, by identifiers of the manifest."""
    files = {e.get("ID", ""): e for e in root.iter("dataObject")}
    described = {e.get("ID", ""): e for e in root.iter("metadataObject")}
    result = []
    for unit in (u for u in _named(root, "contentUnit") if "MeasurementSchema" in u.get("repID", "")):
        names = {}
        for reference in unit.get("dmdID", "").split():
            element = files[_pointed(described[reference])]
            for kind in ("Product", "Calibration", "Noise"):
                if f"{kind}Schema" in element.get("repID", ""):
                    names[kind] = _href(element)
        measurement = _href(files[_pointed(unit)])
        result.append(Files(measurement, names["Product"], names.get("Calibration"), names.get("Noise")))
    if not result:
        raise KeyError("measurements")
    return result


def _pointed(element: Element) -> str:
    return next((e.get("dataObjectID", "") for e in element.iter("dataObjectPointer")), "")


def _href(element: Element) -> str:
    """The path of a file in the product; ValueError where it would lie outside."""
    href = next((e.get("href", "") for e in element.iter("fileLocation")), "")
    parts = [p for p in href.split("/") if p not in ("", ".")]
    if not parts or href.startswith("/") or ".." in parts or re.search(r"[\\:\0]", href):
        raise ValueError(f"a file named {href!r}")
    return "/".join(parts)


def _named(root: Element, name: str) -> Iterator[Element]:
    """Elements of a name, whatever their namespace."""
    return (e for e in root.iter() if e.tag.rpartition(":")[2] == name)


def _first(root: Element, name: str) -> str:
    """The text of the first element of a name, "" without one."""
    return next((e.text.strip() for e in _named(root, name) if e.text), "")
