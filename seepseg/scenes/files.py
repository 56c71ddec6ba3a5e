"""The files of whole scenes, and which file or layer labels which scene."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from glob import has_magic
from pathlib import Path
from typing import NamedTuple
from unicodedata import normalize

from seepseg.archives.unpacked import folder_holding, unpacked
from seepseg.config import ScenesData
from seepseg.errors import DataError, listed
from seepseg.io.files import SUFFIXES, exists, image_names
from seepseg.scenes.labels import Layer, read_layer
from seepseg.sentinel1 import is_product

VECTORS = (".gpkg", ".geojson", ".json", ".shp", ".fgb", ".parquet")
MANIFEST = "manifest.safe"


def is_layer(path: Path) -> bool:
    """Whether a path is the name of one file of polygons, and no pattern."""
    return path.suffix.lower() in VECTORS and not has_magic(str(path))


class Labelling(NamedTuple):
    """What labels scenes.

    Attributes:
        of: by name of the scene, the file of its mask, or its polygons.
        named: whether it was chosen by the scene's name; otherwise there is one layer for all.
        warnings: what is odd.
    """

    of: Mapping[str, Path | Layer]
    named: bool = True
    warnings: tuple[str, ...] = ()


def scene_files(data: ScenesData, root: Path) -> dict[str, Path]:
    """Images and products by the names of their scenes; of a product its manifest, a ZIP being unpacked into the cache.

    Raises:
        DataError: there are none, or two of one name.
    """
    apart = {root / entry for entry in (*data.labels, *data.extent)}
    paths = dict.fromkeys(
        path
        for entry in data.images
        for path in _files(root, entry, "images", (*SUFFIXES, ".zip", MANIFEST))
        # Labels, also those in a folder of their own below the images, are no scenes.
        if not any(root / entry in folder.parents and folder in path.parents for folder in apart)
        if not (data.label_suffix and scene_name(path).endswith(data.label_suffix))
    )
    products = dict.fromkeys(product for path in paths if (product := _product(path)))
    images = (path for path in paths if not _product(path) and path.suffix.lower() != ".zip")
    scenes = _by_name([*products, *images], "images")
    if not scenes:
        what = f"no TIFF, PNG, JPEG or Sentinel-1 product in {listed(data.images)}"
        raise DataError(what, root, "set data.root and data.images")
    return {name: _manifest(path) if path in products else path for name, path in scenes.items()}


def labelling(data: ScenesData, root: Path, what: str, scenes: Mapping[str, Path]) -> Labelling:
    """What `data.labels` or `data.extent` says of scenes, by the names of files, or by a column of one for all.

    Raises:
        DataError: two files for one scene, none that belongs to any, or a layer for all that does not say whose it is.
    """
    suffixes = VECTORS if what == "extent" else (*VECTORS, *SUFFIXES)
    entries = getattr(data, what)
    files = list(dict.fromkeys(path for entry in entries for path in _files(root, entry, what, suffixes)))
    if not files:
        if not entries:
            return Labelling({})
        none = f"no {what}: no mask or layer of polygons in {listed(entries)}"
        raise DataError(none, root, f"set data.{what}, [] where there are none")
    suffix = data.label_suffix if what == "labels" else ""
    # Masks of no suffix may lie in another folder only: here, they would be the images.
    images = set(scenes.values())
    names = {file: scene_name(file) for file in files if file not in images}
    own = [file for file, name in names.items() if name.endswith(suffix) and name.removesuffix(suffix) in scenes]
    if own:
        named = _by_name(own, what, suffix).items()
        of = {name: read_layer(f) if f.suffix.lower() in VECTORS else f for name, f in named}
        others = [f.name for f in files if f not in own and f not in images]
        odd = f"{len(others)} files of data.{what} have the name of no scene and are not read ({listed(others[:3])} …)"
        return Labelling(of, warnings=(odd,) if others else ())
    layers = [f for f in files if f.suffix.lower() in VECTORS]
    if len(layers) != 1:
        example = f"scenes are {listed(sorted(scenes)[:3])} …, files {listed([f.name for f in files[:3]])} …"
        raise DataError(f"none of {len(files)} files has the name of a scene ({example})", root, f"set data.{what}")
    return _by_column(data, read_layer(layers[0]), what, scenes)


def _by_column(data: ScenesData, layer: Layer, what: str, scenes: Collection[str]) -> Labelling:
    """Polygons of a layer for all scenes, by the scene that a column names."""
    if not len(layer.shapes):
        raise DataError("holds no polygon", layer.path, f"set data.{what}, [] where there are none")
    column = data.scene_column or ("scene" if "scene" in layer.table else None)
    if column is None and (what == "extent" or len(scenes) == 1):
        return Labelling(dict.fromkeys(scenes, layer), named=False)
    if column is None:
        message = f"which of {len(scenes)} scenes a polygon lies on, is not said"
        raise DataError(message, layer.path, "set data.scene_column, or give a file for each scene, of its name")
    names = layer.column(column).map(lambda value: scene_name(Path(str(value))))
    of = {name: layer.where((names == name).to_numpy(bool)) for name in scenes if (names == name).any()}
    others = sorted(set(names) - set(scenes))
    if not of:
        example = f"scenes are {listed(sorted(scenes)[:3])} …, {column} is {listed(others[:3])} …"
        raise DataError(f"none of its {len(names)} polygons names a scene ({example})", layer.path, "rename them")
    odd = f"{layer.path.name} has polygons of {len(others)} scenes that are not there ({listed(others[:3])} …)"
    return Labelling(of, warnings=(odd,) if others else ())


def _files(root: Path, entry: str, what: str, suffixes: tuple[str, ...]) -> list[Path]:
    """A file, the files in a folder, or what a pattern stands for, that end in one of the suffixes."""
    path = root / entry
    if path.is_dir() and not is_product(path):
        return [path / name for name in image_names(path, suffixes)]
    if path.exists():
        return [path]
    anchor = Path(entry).anchor  # brackets in the name of the root are no pattern
    matches = sorted((root / anchor).glob(str(Path(entry).relative_to(anchor))))
    if not matches:
        raise DataError(f"no {what}", path, f"set data.root and data.{what}")
    return [file for match in matches for file in _files(root, str(match.absolute()), what, suffixes)]


def _by_name(paths: Iterable[Path], what: str, suffix: str = "") -> dict[str, Path]:
    """Files by the names of their scenes; DataError where two have one name."""
    by_name: dict[str, Path] = {}
    for path in paths:
        name = scene_name(path).removesuffix(suffix)
        if other := by_name.get(name):
            raise DataError(f"two {what} are named {name!r} ({other}, {path})", "", f"rename one, or set data.{what}")
        by_name[name] = path
    return by_name


def _product(path: Path) -> Path | None:
    """The product that a file is, or is part of."""
    if path.name == MANIFEST:
        return path.parent
    return next((above for above in (path, *path.parents) if is_product(above)), None)


def _manifest(product: Path) -> Path:
    """The manifest of a product; a ZIP stays unpacked, as its windows are read in any order."""
    return (folder_holding(unpacked(product), MANIFEST) if product.is_file() else product) / MANIFEST


def on_disk(folder: Path, name: str) -> Path:
    """The path of a name below a folder, each part as it is written there: some systems leave umlauts decomposed."""
    if name.isascii():
        return folder / name
    path = folder
    for part in Path(name).parts:
        forms = (part, normalize("NFC", part), normalize("NFD", part))
        path /= next((form for form in forms if exists(path / form)), part)
    return path


def scene_name(path: Path) -> str:
    """The name of a scene or of its labels, in NFC: that of the file without suffix, of a product without `.SAFE`."""
    name = normalize("NFC", path.name)
    for suffix in (*SUFFIXES, *VECTORS, ".zip", ".safe"):
        if name.lower().endswith(suffix):
            name = name[: -len(suffix)]
    return name
