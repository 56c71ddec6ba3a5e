from __future__ import annotations

import doctest
import inspect
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch

import seepseg
from seepseg import losses, metrics, models

NAMES = {
    seepseg: [
        "Model",
        "Prediction",
        "__version__",
        "errors",
        "load",
        "losses",
        "metrics",
        "models",
        "read_findings",
        "train",
    ],
    losses: ["Loss", "build_loss"],
    metrics: ["ClassScores", "ObjectScores", "Score", "score", "score_objects", "surface_dice", "tgs_score"],
    models: ["build_model", "probabilities"],
}
"""Every public name. They are a promise: names may be added here, and none be changed or removed."""

SIGNATURES = """
load(run, fold=None, device='auto')
train(config, overrides=None, *, run=None, fold=None, all_folds=False, resume=False, init=None, device=None, progress)
read_findings(folder, *, geometry=False)
Model.bands
Model.class_names
Model.config
Model.evaluate(self, split='val', *, data=None, tta=False, threshold=None, fitted=True, out=None, progress)
Model.predict(self, image, *, probabilities=False, polygons=True, tta=False, threshold=None, fitted=True, mask=None,
land=None, name=None, crs=None, transform=None, nodata=None, progress)
Prediction.class_names
Prediction.classes
Prediction.crs
Prediction.findings
Prediction.gcps
Prediction.name
Prediction.polygons
Prediction.probabilities
Prediction.rgb
Prediction.save(self, folder, *, overwrite=False)
Prediction.transform
Prediction.warnings
build_loss(loss, head, n_classes, **options)
Loss.forward(self, logits, target)
score(truth, prediction, classes=None, *, ignore=255)
score_objects(truth, prediction, classes=None, *, ignore=255, pixel_size=None)
surface_dice(truth, prediction, classes=None, *, ignore=255, tolerance=1.0)
tgs_score(truth, prediction, *, ignore=None)
Score.table(self)
build_model(model, in_channels, n_classes, **options)
probabilities(logits, head)
"""


def signature(thing: Any) -> str:
    """Its parameters without annotations; a default that is a function is left out."""
    parameters = []
    for parameter in inspect.signature(thing).parameters.values():
        default = inspect.Parameter.empty if callable(parameter.default) else parameter.default
        parameters.append(parameter.replace(annotation=inspect.Parameter.empty, default=default))
    text = []
    for parameter in parameters:
        if parameter.kind is parameter.KEYWORD_ONLY and "*" not in text:
            text.append("*")
        text.append(str(parameter))
    return f"{thing.__qualname__}({', '.join(text)})"


def members(kind: type) -> Iterator[tuple[str, Any]]:
    """The public members of a class that it defines itself."""
    for name, member in sorted(vars(kind).items()):
        if not name.startswith("_") and (callable(member) or hasattr(member, "__doc__")):
            yield name, member


def public() -> Iterator[tuple[str, Any]]:
    """Everything public by its name."""
    for package, names in NAMES.items():
        for name in names:
            thing = getattr(package, name)
            if inspect.isclass(thing) or inspect.isfunction(thing):
                yield f"{package.__name__}.{name}", thing
                if thing in (seepseg.Model, seepseg.Prediction, losses.Loss, metrics.Score):
                    yield from ((f"{thing.__name__}.{n}", m) for n, m in members(thing))


@pytest.mark.parametrize("package", NAMES, ids=lambda package: package.__name__)
def test_the_public_names_are_these(package: ModuleType) -> None:
    assert sorted(package.__all__) == NAMES[package]
    assert [name for name in dir(package) if not name.startswith("__")] == [n for n in NAMES[package] if n[0] != "_"]
    assert all(hasattr(package, name) for name in NAMES[package])
    with pytest.raises(AttributeError, match="has no attribute 'laod'"):
        _ = package.laod


def test_their_signatures_are_these() -> None:
    expected = textwrap.dedent(SIGNATURES).replace(",\n", ", ").split("\n")[1:-1]
    found = []
    for name, thing in public():
        if inspect.isfunction(thing):
            found.append(signature(thing))
        elif not inspect.isclass(thing):
            found.append(name)
    fields = {"Score.matrix", "Score.images"}
    assert sorted(set(found) - fields) == sorted(expected)


def test_all_of_them_say_what_they_are() -> None:
    things = dict(public())
    assert len(things) > 25
    assert {name for name, thing in things.items() if not inspect.getdoc(thing)} == set()
    errors = [e for e in vars(seepseg.errors).values() if inspect.isclass(e) and issubclass(e, Exception)]
    assert len(errors) == 9 and all(e.__doc__ for e in errors)


EXAMPLES = [
    "load", "train", "read_findings", "Model.predict", "Model.evaluate", "Prediction", "Prediction.save",
    "build_loss", "build_model", "score", "score_objects", "surface_dice", "tgs_score", "Score.table",
]  # fmt: skip


@pytest.mark.parametrize("name", EXAMPLES)
def test_the_examples_of_docstrings_run(at_desk: Path, name: str) -> None:
    [thing] = {t for n, t in public() if n.endswith(f".{name}") or n == name}
    tests = doctest.DocTestFinder(recurse=False).find(thing, name, globs={})
    assert [len(test.examples) > 0 for test in tests] == [True]
    said: list[str] = []
    threads = torch.get_num_threads()
    doctest.DocTestRunner(optionflags=doctest.ELLIPSIS, verbose=False).run(tests[0], out=said.append)
    torch.set_num_threads(threads)
    assert said == []


def test_importing_it_imports_nothing_else() -> None:
    code = """
        import sys
        before = set(sys.modules)
        import seepseg
        new = {name.split(".")[0] for name in set(sys.modules) - before}
        assert not new & {"torch", "numpy", "pandas", "pydantic", "click", "rasterio", "monai"}, new
        assert {n for n in sys.modules if n.startswith("seepseg")} == {"seepseg", "seepseg.lazy"}
        seepseg.errors
        assert "numpy" not in sys.modules and "torch" not in sys.modules
    """
    subprocess.run([sys.executable, "-c", textwrap.dedent(code)], check=True)
