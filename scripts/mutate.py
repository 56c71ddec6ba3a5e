#!/usr/bin/env python3
"""Small changes to the cores that their tests must notice: how many do, and the ones that do not.

    scripts/mutate.py [CORE...] [--most 40] [--seed 0]

Each mutant is one change of one line (`<` to `<=`, `+` to `-`, a constant by one, a condition turned round, a raise
left out, ...), tried in a process of its own on the tests of its module. mutmut and cosmic-ray start Python for each
mutant, of which importing torch and pandas is most; here a process that has imported them forks. Nothing is written.
"""

from __future__ import annotations

import argparse
import ast
import copy
import importlib
import importlib.abc
import importlib.machinery
import os
import random
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from types import ModuleType

ROOT = Path(__file__).resolve().parents[1]
HEAVY = [
    "numpy", "numba", "pandas", "scipy.ndimage", "scipy.optimize", "scipy.spatial", "scipy.stats", "skimage.measure",
    "sklearn.metrics", "shapely", "torch", "monai.networks.nets", "albumentations", "tifffile", "PIL.Image", "rasterio",
    "pyogrio", "pydantic", "yaml", "click", "rich", "hypothesis", "pytest",
]  # fmt: skip
CORES = {
    "metrics": {f"metrics/{name}": f"metrics/test_{name}" for name in (
        "bootstrap", "boundary", "calibration", "confusion", "counts", "detection", "froc", "grades", "matching",
        "rates", "salt_score", "threshold",
    )},
    "run lengths": {"objects/rle": "objects/test_rle"},
    "splits": {f"splits/{name}": "splits" for name in ("folds", "groups", "make", "parts", "strata", "table")},
    "windows": {"inference/windows": "inference/test_windows", "inference/ring": "inference/test_ring"},
    "checkpoint": {"runs/checkpoint": "runs/test_checkpoint", "runs/content": "runs/test_checkpoint"},
    "manifest": {"mapping/manifest": "mapping/test_manifest"},
    "budgets": {
        "io/tiff": "io/test_tiff io/test_image", "io/ifd": "io/test_tiff", "io/segments": "io/test_tiff",
        "io/images": "io/test_images io/test_image docs/test_budgets",
        "io/documents": "io/test_documents docs/test_budgets", "io/table": "io/test_table docs/test_budgets",
        "archives/members": "archives docs/test_budgets", "archives/unpacked": "archives",
    },
    "clustering": {"zones/cluster": "zones/test_cluster"},
    "sigma nought": {"sentinel1/coarse": "sentinel1/test_coarse", "sentinel1/pixels": "sentinel1/test_pixels"},
}  # fmt: skip
"""Modules of each core and where their tests are, without .py."""

SWAPS: dict[type[ast.AST], type[ast.AST]] = {
    ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt, ast.Eq: ast.NotEq, ast.NotEq: ast.Eq,
    ast.In: ast.NotIn, ast.NotIn: ast.In, ast.Is: ast.IsNot, ast.IsNot: ast.Is, ast.And: ast.Or, ast.Or: ast.And,
    ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Div, ast.Div: ast.Mult, ast.FloorDiv: ast.Mult,
    ast.Mod: ast.Mult, ast.Pow: ast.Mult, ast.BitAnd: ast.BitOr, ast.BitOr: ast.BitAnd,
}  # fmt: skip
NAMES = {"min": "max", "max": "min", "any": "all", "all": "any", "maximum": "minimum", "minimum": "maximum"}
Change = Callable[[], None]


def changes(tree: ast.AST) -> Iterator[tuple[ast.AST, Change]]:
    """What can be changed in a tree, in order: the statement or expression to show, and a function that does it."""
    for node in _code(tree):
        match node:
            case ast.Compare(ops=[op]) if type(op) in SWAPS:
                yield node, lambda n=node, op=op: setattr(n, "ops", [SWAPS[type(op)]()])
            case ast.BinOp(op=op) | ast.BoolOp(op=op) | ast.AugAssign(op=op) if type(op) in SWAPS:
                yield node, lambda n=node, op=op: setattr(n, "op", SWAPS[type(op)]())
            case ast.If(test=test) | ast.IfExp(test=test) | ast.While(test=test):
                yield test, lambda n=node, t=test: setattr(n, "test", ast.UnaryOp(ast.Not(), t))
            case ast.Constant(value=bool(value)):
                yield node, lambda n=node, v=value: setattr(n, "value", not v)
            case ast.Constant(value=int(value) | float(value)):
                yield node, lambda n=node, v=value: setattr(n, "value", v + 1)
            case ast.Raise():
                yield node, lambda n=node: setattr(n, "__class__", ast.Pass)
            case ast.Call(func=ast.Name(id=name) as func) if name in NAMES:
                yield node, lambda f=func: setattr(f, "id", NAMES[f.id])
            case ast.Call(func=ast.Attribute(attr=name) as func) if name in NAMES:
                yield node, lambda f=func: setattr(f, "attr", NAMES[f.attr])


def _code(tree: ast.AST) -> Iterator[ast.AST]:
    """The nodes of a tree but for annotations, decorators and what only a type checker sees."""
    for field, value in ast.iter_fields(tree):
        if field in ("annotation", "returns", "decorator_list", "type_params"):
            continue
        for node in value if isinstance(value, list) else [value]:
            if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
                continue
            if isinstance(node, ast.keyword) and node.arg == "strict":  # of zip: a check of what cannot be
                continue
            if isinstance(node, ast.AST):
                yield node
                yield from _code(node)


class Mutated(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Serves one module from a changed tree."""

    def __init__(self, name: str, path: Path, tree: ast.Module) -> None:
        self.name, self.path, self.tree = name, path, tree

    def find_spec(self, name: str, *_: object) -> importlib.machinery.ModuleSpec | None:
        if name != self.name:
            return None
        return importlib.machinery.ModuleSpec(name, self, origin=str(self.path))

    def exec_module(self, module: ModuleType) -> None:
        module.__file__ = str(self.path)
        exec(compile(self.tree, self.path, "exec"), module.__dict__)


def noticed(module: str, tests: list[str], tree: ast.Module, limit: float) -> bool:
    """Whether the tests of a module fail, or do not end, with this tree for it."""
    if not (child := os.fork()):
        null = os.open(os.devnull, os.O_RDWR)
        for stream in (0, 1, 2):
            os.dup2(null, stream)
        os.setsid()
        sys.meta_path.insert(0, Mutated(f"seepseg.{module.replace('/', '.')}", ROOT / f"seepseg/{module}.py", tree))
        import pytest

        options = ["-x", "-q", "-p", "no:cacheprovider", "-W", "ignore::pytest.PytestAssertRewriteWarning"]
        os._exit(pytest.main([*options, *tests]) != 0)
    end = time.monotonic() + limit
    while time.monotonic() < end:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            with suppress(ProcessLookupError):
                os.killpg(child, signal.SIGKILL)
            return status != 0
        time.sleep(0.02)
    os.killpg(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return True


def mutate(core: str, most: int, seed: int) -> tuple[int, int]:
    """How many mutants of a core are noticed, and of how many; prints the others."""
    sites = list[tuple[str, int]]()
    for module in CORES[core]:
        count = sum(1 for _ in changes(ast.parse((ROOT / f"seepseg/{module}.py").read_text())))
        sites += [(module, i) for i in range(count)]
    chosen = sorted(random.Random(seed).sample(sites, min(most, len(sites))))
    limits, killed = dict[str, float](), 0
    for module, i in chosen:
        tests = [t if (ROOT / (t := f"tests/{name}")).is_dir() else f"{t}.py" for name in CORES[core][module].split()]
        tree = ast.parse((ROOT / f"seepseg/{module}.py").read_text())
        if module not in limits:
            begin = time.monotonic()
            if noticed(module, tests, copy.deepcopy(tree), 600):
                sys.exit(f"the tests of {module} fail as it is")
            limits[module] = 20 + 3 * (time.monotonic() - begin)
        shown, change = list(changes(tree))[i]
        before, line = ast.unparse(shown), getattr(shown, "lineno", 0)
        change()
        after = ast.unparse(shown) or "pass"
        after = f"not ({after})" if after == before else after
        if noticed(module, tests, ast.fix_missing_locations(tree), limits[module]):
            killed += 1
        else:
            print(f"  lives: {module}.py:{line}: {before}  ->  {after}", flush=True)
    print(f"{core}: {killed} of {len(chosen)} noticed ({len(sites)} possible)", flush=True)
    return killed, len(chosen)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("cores", nargs="*", metavar="CORE", choices=[*CORES, []], help=", ".join(CORES))
    parser.add_argument("--most", type=int, default=40, help="mutants per core")
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    os.chdir(ROOT)
    sys.path.insert(0, str(ROOT))
    sys.dont_write_bytecode = True  # neither a changed module nor anything that it made may stay
    os.environ["CI"] = "1"  # hypothesis then draws the same examples for each mutant
    os.environ["NUMBA_DISABLE_JIT"] = "1"  # its cache knows files by their date, and would serve the unchanged one
    for name in HEAVY:
        importlib.import_module(name)
    sums = [mutate(core, given.most, given.seed) for core in given.cores or CORES]
    killed, tried = map(sum, zip(*sums, strict=True))
    print(f"all: {killed} of {tried} noticed, {killed / tried:.0%}")


if __name__ == "__main__":
    main()
