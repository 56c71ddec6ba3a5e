#!/usr/bin/env python3
"""Small changes to the cores that their tests must notice: how many do, and the ones that do not.

    scripts/mutate.py [CORE...] [--most 40] [--seed 0]

Each mutant is one change of one line (`<` to `<=`, `+` to `-`, a constant by one, a condition turned round, a raise
left out, ...), tried on those tests of its module that call the function it is in. mutmut and cosmic-ray start Python
and collect tests for each mutant, of which importing torch and pandas is most; here they are imported and collected
once a module, and a mutant is a fork that changes the code of functions in place. No file is written.
"""

from __future__ import annotations

import argparse
import ast
import functools
import gc
import importlib
import os
import random
import resource
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import CodeType, FrameType, FunctionType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pytest

ROOT = Path(__file__).resolve().parents[1]
HEAVY = ["numba", "pandas", "scipy.optimize", "sklearn.metrics", "torch", "rasterio", "pyogrio", "hypothesis", "pytest"]
CORES = {
    "metrics": {f"metrics/{name}": f"metrics/test_{name}" for name in (
        "bootstrap", "boundary", "calibration", "confusion", "counts", "detection", "froc", "grades", "matching",
        "rates", "salt_score", "threshold",
    )},
    "run lengths": {"objects/rle": "objects/test_rle"},
    "splits": {f"splits/{name}": "splits" for name in ("folds", "groups", "make", "parts", "strata", "table")},
    "windows": {"inference/windows": "inference/test_windows", "inference/ring": "inference/test_ring"},
    "checkpoint": {"runs/checkpoint": "runs/test_checkpoint", "runs/content": "runs/test_checkpoint"},
    "manifest": {"mapping/manifest": "mapping/test_batch"},
    "budgets": {
        "io/tiff": "io/test_tiff", "io/ifd": "io/test_tiff", "io/segments": "io/test_tiff",
        "io/images": "io/test_images", "io/documents": "io/test_documents", "io/table": "io/test_table",
        "archives/members": "archives", "archives/unpacked": "archives",
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
    """The nodes of a tree but for annotations, decorators, what only a type checker sees, and defaults of fields."""
    for name, value in ast.iter_fields(tree):
        if name in ("annotation", "returns", "decorator_list", "type_params"):
            continue
        for node in value if isinstance(value, list) else [value]:
            checker = isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
            strict = isinstance(node, ast.keyword) and node.arg == "strict"  # of zip: a check of what cannot be
            fields = isinstance(tree, ast.ClassDef) and isinstance(node, ast.AnnAssign)
            if isinstance(node, ast.AST) and not (checker or strict or fields):
                yield node
                yield from _code(node)


def _codes(code: CodeType) -> Iterator[CodeType]:
    for inner in code.co_consts:
        if isinstance(inner, CodeType):
            yield inner
            yield from _codes(inner)


class Tried:
    """A plugin of pytest that runs the collected tests once per mutant of a module, each time in a fork.

    Functions get the code of the mutant, wherever they were imported to, and so do numbers of the module.
    """

    def __init__(self, module: str, chosen: Sequence[int]) -> None:
        self.name, self.path = f"seepseg.{module.replace('/', '.')}", ROOT / f"seepseg/{module}.py"
        self.chosen, self.killed, self.failed = chosen, 0, False

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        self.failed |= report.failed

    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        called, took = dict[pytest.Item, set[int]](), dict[pytest.Item, float]()
        for item in session.items:
            lines = called[item] = set[int]()

            def note(frame: FrameType, *_: object, lines: set[int] = lines) -> None:
                if frame.f_code.co_filename == str(self.path):
                    lines.add(frame.f_code.co_firstlineno)

            begin = time.process_time()
            sys.settrace(note)
            threading.settrace(note)
            fails = self._fails(item)
            sys.settrace(None)
            threading.settrace(None)  # type: ignore[arg-type]
            if fails:
                raise SystemExit(f"{item.nodeid} fails as it is")
            took[item] = time.process_time() - begin
        for i in self.chosen:
            tree = ast.parse(self.path.read_text())
            shown, change = list(changes(tree))[i]
            line = getattr(shown, "lineno", 0)
            functions = [f for f in ast.walk(tree) if isinstance(f, ast.FunctionDef)]
            spans = [(min(n.lineno for n in (f, *f.decorator_list)), f.end_lineno or 0) for f in functions]
            first, last = min((s for s in spans if s[0] <= line <= s[1]), default=(0, 0))
            tests = [item for item in session.items if not last or any(first <= n <= last for n in called[item])]
            before = ast.unparse(shown)
            change()
            after = ast.unparse(shown) or "pass"
            if self._noticed(ast.fix_missing_locations(tree), sorted(tests, key=took.__getitem__)):
                self.killed += 1
            else:
                after = f"not ({after})" if after == before else after
                print(f"  lives: {self.path.name}:{line}: {before}  ->  {after}", file=sys.__stderr__, flush=True)
        return True

    def _fails(self, item: pytest.Item) -> bool:
        self.failed = False
        item.ihook.pytest_runtest_protocol(item=item, nextitem=None)
        return self.failed

    def _noticed(self, tree: ast.Module, tests: Sequence[pytest.Item]) -> bool:
        if not (child := os.fork()):
            resource.setrlimit(resource.RLIMIT_CPU, (60, 60))  # one that does not end, or takes all memory, is noticed
            resource.setrlimit(resource.RLIMIT_AS, (2**34, 2**34))
            signal.alarm(600)
            try:
                self._become(tree)
                os._exit(any(map(self._fails, tests)))
            finally:
                os._exit(1)
        return os.waitpid(child, 0)[1] != 0

    def _become(self, tree: ast.Module) -> None:
        module, code = sys.modules[self.name], compile(tree, self.path, "exec", dont_inherit=True)
        codes = {(c.co_qualname, c.co_firstlineno): c for c in _codes(code)}
        fresh = {"__name__": self.name, "__file__": str(self.path)}
        exec(code, fresh)
        for held in gc.get_objects():
            if isinstance(held, functools._lru_cache_wrapper):
                held.cache_clear()
            elif isinstance(held, FunctionType) and held.__globals__ is module.__dict__:
                held.__code__ = codes.get((held.__qualname__, held.__code__.co_firstlineno), held.__code__)
        for name, value in fresh.items():
            old = vars(module).get(name)
            if isinstance(value, (int, float, tuple, dict)) and name[:2] != "__" and repr(old) != repr(value):
                for other in [m for key, m in sys.modules.items() if key.startswith(("seepseg", "tests"))]:
                    if vars(other).get(name) is old:
                        setattr(other, name, value)


def mutate(core: str, most: int, seed: int) -> tuple[int, int]:
    """How many mutants of a core are noticed, and of how many; prints the others."""
    sites = list[tuple[str, int]]()
    for module in CORES[core]:
        count = sum(1 for _ in changes(ast.parse((ROOT / f"seepseg/{module}.py").read_text())))
        sites += [(module, i) for i in range(count)]
    chosen = sorted(random.Random(seed).sample(sites, min(most, len(sites))))
    killed = 0
    for module in dict.fromkeys(module for module, _ in chosen):
        tests = [t if (ROOT / (t := f"tests/{name}")).is_dir() else f"{t}.py" for name in CORES[core][module].split()]
        reading, writing = os.pipe()
        if not os.fork():  # so that each module is imported by its own tests
            tried = Tried(module, [i for name, i in chosen if name == module])
            import pytest

            options = ["-q", "-s", "-p", "no:cacheprovider", "-p", "no:terminal", "-W", "ignore"]
            status = pytest.main([*options, *tests], plugins=[tried])
            os.write(writing, f"{tried.killed}".encode() if status in (0, 5) else b"")
            os._exit(0)
        os.close(writing)
        os.wait()
        if not (answer := os.read(reading, 20)):
            sys.exit(f"the tests of {module} fail as it is")
        killed += int(answer)
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
    os.environ["CI"] = "1"  # hypothesis then draws the same examples for each mutant
    os.environ["NUMBA_DISABLE_JIT"] = "1"  # its cache knows files by their date, and would serve the unchanged one
    for name in HEAVY:
        importlib.import_module(name)
    sums = [mutate(core, given.most, given.seed) for core in given.cores or CORES]
    killed, tried = map(sum, zip(*sums, strict=True))
    print(f"all: {killed} of {tried} noticed, {killed / tried:.0%}")


if __name__ == "__main__":
    main()
