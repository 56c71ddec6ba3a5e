"""The order of imports and the one home of each library: the design, kept by a test."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import seepseg

ROOT = Path(seepseg.__file__).parent
LAYERS = [
    {"errors"}, {"classes"}, {"config"}, {"io"}, {"objects", "figures"}, {"data"}, {"models", "losses", "metrics"},
    {"runs"}, {"inference"}, {"training"}, {"evaluation"}, {"cli"},
]  # fmt: skip
HOMES = {
    "rasterio": {"io/raster.py", "io/cog.py", "io/mask.py", "io/trace.py", "io/place.py", "data/synthetic/sar.py"},
    "pyogrio": {"io/vector.py"},
    "albumentations": {"data/augment.py"},
    "tifffile": {"io/tiff.py", "io/ifd.py", "data/synthetic/sar.py"},
    "matplotlib": {"figures/canvas.py", "figures/plots.py"},
    "monai": {"models/build.py", "models/resnet.py", "models/encoder_weights.py"},
}
FILES = sorted(ROOT.rglob("*.py"))


def imports(path: Path) -> Iterator[str]:
    """Every module that a file imports, at its top or inside a function, relative imports written out."""
    package = ("seepseg", *path.relative_to(ROOT).parts[:-1])
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = package[: len(package) + 1 - node.level] if node.level else ()
            module = ".".join((*above, *([node.module] if node.module else [])))
            yield module
            yield from (f"{module}.{alias.name}" for alias in node.names)


def layer(part: str) -> int:
    return next(i for i, parts in enumerate(LAYERS) if part in parts)


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(ROOT)))
def test_imports_run_one_way(path: Path) -> None:
    part = path.relative_to(ROOT).parts[0].removesuffix(".py")
    if part in ("__init__", "__main__"):
        return
    known = {p for parts in LAYERS for p in parts}
    for module in imports(path):
        below = module.split(".")
        if below[0] == "seepseg" and len(below) > 1 and below[1] in known and below[1] != part:
            # losses read models.head, where logits become probabilities
            allowed = layer(below[1]) < layer(part) or (part, below[1]) == ("losses", "models")
            assert allowed, f"{path.name} imports {module}"


def test_the_layers_are_all_there_is() -> None:
    parts = {p.name.removesuffix(".py") for p in ROOT.iterdir() if p.suffix == ".py" or (p / "__init__.py").exists()}
    assert parts - {"__init__", "__main__"} == {p for layer in LAYERS for p in layer}


@pytest.mark.parametrize("library", HOMES)
def test_each_library_has_one_home(library: str) -> None:
    users = {str(p.relative_to(ROOT)) for p in FILES if any(m.split(".")[0] == library for m in imports(p))}
    assert users <= HOMES[library]


def test_only_the_checkpoint_module_loads_what_torch_saved() -> None:
    users = {str(p.relative_to(ROOT)) for p in FILES if names_torch_load(p)}
    assert users == {"runs/checkpoint.py", "models/encoder_weights.py"}


def names_torch_load(path: Path) -> bool:
    attributes = (n for n in ast.walk(ast.parse(path.read_text())) if isinstance(n, ast.Attribute))
    called = any(n.attr == "load" and isinstance(n.value, ast.Name) and n.value.id == "torch" for n in attributes)
    return called or "torch.load" in imports(path)


def test_relative_imports_are_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(globals(), "ROOT", tmp_path)
    (tmp_path / "io").mkdir()
    path = tmp_path / "io" / "a.py"
    path.write_text("from ..cli import main\nfrom . import b\nfrom torch import load\n")
    assert list(imports(path)) == [
        "seepseg.cli", "seepseg.cli.main", "seepseg.io", "seepseg.io.b", "torch", "torch.load",
    ]  # fmt: skip
    assert names_torch_load(path)
