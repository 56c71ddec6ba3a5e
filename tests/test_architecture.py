"""The order of imports and the one home of each library: the design, kept by a test."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

import seepseg

ROOT = Path(seepseg.__file__).parent
LAYERS = [
    {"errors", "lazy"}, {"classes", "bands"}, {"io"}, {"config", "archives"}, {"machine", "geo", "sentinel1"},
    {"objects", "figures", "scenes"},
    {"data", "models", "metrics", "pages", "synthetic"}, {"losses", "runs", "splits"}, {"inference"},
    {"training", "evaluation", "mapping"}, {"review", "passes"}, {"audit", "zones", "export", "stac"},
    {"atlas", "conditions"}, {"api"}, {"cli"},
]  # fmt: skip
HOMES = {
    "rasterio": {
        "io/raster.py", "io/image.py", "io/pam.py", "io/cog.py", "geo/mask.py", "objects/outlines.py",
        "conditions/winds.py", "synthetic/sar.py", "synthetic/sentinel1.py", "export/tiles.py",
    },
    "pyogrio": {"geo/vector.py"},
    "albumentations": {"data/augment.py"},
    "tifffile": {"io/tiff.py", "io/ifd.py", "io/segments.py", "synthetic/sar.py"},
    "matplotlib": {"figures/canvas.py", "figures/plots.py"},
    "jinja2": {"pages/template.py"},
    "markupsafe": {"pages/template.py"},
    "monai": {"models/build.py", "models/resnet.py", "models/encoder_weights.py"},
}  # fmt: skip
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


def test_imports_run_one_way() -> None:
    known = {p for parts in LAYERS for p in parts}
    upward = []
    for path in FILES:
        part = path.relative_to(ROOT).parts[0].removesuffix(".py")
        rooms = {tuple(module.split(".")[:2]) for module in imports(path)} if part in known else set()
        below = {room[1] for room in rooms if room[0] == "seepseg" and len(room) > 1} & (known - {part})
        upward += [f"{path.relative_to(ROOT)} imports {room}" for room in sorted(below) if layer(room) >= layer(part)]
    assert not upward


def test_no_room_is_over_its_size() -> None:
    rooms = {
        d.name: sum(len(f.read_text().splitlines()) for f in d.rglob("*.py")) for d in ROOT.iterdir() if d.is_dir()
    }
    assert {name: lines for name, lines in rooms.items() if lines > 2100} == {}


def test_the_layers_are_all_there_is() -> None:
    parts = {p.name.removesuffix(".py") for p in ROOT.iterdir() if p.suffix == ".py" or (p / "__init__.py").exists()}
    assert parts - {"__init__", "__main__"} == {p for layer in LAYERS for p in layer}


@pytest.mark.parametrize("library", HOMES)
def test_each_library_has_one_home(library: str) -> None:
    users = {str(p.relative_to(ROOT)) for p in FILES if any(m.split(".")[0] == library for m in imports(p))}
    assert users <= HOMES[library]


def test_only_the_checkpoint_module_loads_what_torch_saved() -> None:
    users = {str(p.relative_to(ROOT)) for p in FILES if names_torch_load(p)}
    assert users == {"models/saved.py"}


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


@cache
def called(path: Path) -> set[str]:
    """What a file calls, as it is written: `rasterio.open`, `frame.to_csv`."""
    calls = (node.func for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Call))
    return {ast.unparse(call) for call in calls}


PAGES = [path for path in FILES if path.name == "template.py" or "seepseg.pages" in path.read_text()]


def test_html_is_made_by_templates_alone() -> None:
    """No file escapes by hand, builds a tag of pieces, or calls text HTML; templates are constants and assets."""
    escaping = {str(p.relative_to(ROOT)) for p in FILES if any(m.startswith("html.") for m in imports(p))}
    assert escaping == set()
    assert {path.parent.name for path in PAGES} == {"atlas", "audit", "evaluation", "pages"}
    for path in PAGES:
        for node in ast.walk(ast.parse(path.read_text())):
            said = ast.unparse(node) if isinstance(node, ast.JoinedStr | ast.Call) else ""
            assert not (isinstance(node, ast.JoinedStr) and re.search(r"</?[a-z]", said)), (path, said)
            if not isinstance(node, ast.Call) or path.name == "template.py":
                continue
            made = ast.unparse(node.func)
            assert made != "Html" or not node.args, (path, said)
            if made == "fill":
                constant = isinstance(node.args[0], ast.Constant) or re.fullmatch(
                    r"[A-Z]+|asset\('\w+', '\w+\.html'\)", ast.unparse(node.args[0])
                )
                assert constant, (path, said)
    templates = [path.read_text() for path in ROOT.rglob("*.html")]
    assert len(templates) == 4
    assert not [text for text in templates if re.search(r"\|\s*safe|autoescape", text)]


GDAL = r"rasterio\.open|(rasterio\.)?(vrt\.)?WarpedVRT|(rasterio\.)?shutil\.copy|(rasterio\.)?(io\.)?MemoryFile"


@pytest.mark.parametrize(
    ("pattern", "home"),
    [
        (GDAL, "io/raster.py"),
        (r"pyogrio\..*", "geo/vector.py"),
        (r"yaml\.(safe_|full_|unsafe_)?load(_all)?|_Loader", "config/document.py"),
        (r"json\.loads?", "io/documents.py"),
        (r"(zipfile\.)?ZipFile", "archives/members.py"),
        (r"expat\.ParserCreate|.*fromstring|ElementTree\.parse|ET\..*", "io/documents.py"),
        (r".*\.to_csv", "io/table.py"),
    ],
)
def test_each_door_has_one_keeper(pattern: str, home: str) -> None:
    """What strangers send is opened in one place, which knows what to refuse; so is what a spreadsheet might run."""
    users = {str(p.relative_to(ROOT)) for p in FILES if any(re.fullmatch(pattern, call) for call in called(p))}
    assert users == {home}
