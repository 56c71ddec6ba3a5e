"""The notebooks of the documentation run from the first cell to the last, and lie in git without outputs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

FOLDER = Path(__file__).parents[2] / "docs" / "notebooks"
NOTEBOOKS = sorted(FOLDER.glob("*.ipynb"))
SHORT = {
    'write_seep(folder / "data", scenes=6)': 'write_seep(folder / "data", scenes=4, grid=(4, 4), tile=64)',
    '"train.epochs": 20}': '"train.epochs": 1, "model.channels": [8, 16, 32], "runtime.threads": 1}',
    "Sea(passes=40, lulls=0.15)": "Sea(passes=12, vents=8, rates=(0.5, 0.9), lulls=0.15, side=30_000.0)",
}
"""What is shorter in the test than for a reader; each stands in a notebook."""


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_runs(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    nbformat = pytest.importorskip("nbformat")
    nbclient = pytest.importorskip("nbclient")
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    text = path.read_text()
    for long, short in SHORT.items():
        text = text.replace(json.dumps(long)[1:-1], json.dumps(short)[1:-1])
    assert text != path.read_text()
    notebook = nbformat.reads(text, as_version=4)
    nbclient.NotebookClient(notebook, timeout=300, resources={"metadata": {"path": str(tmp_path)}}).execute()
    shown = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    assert any("image/png" in output.get("data", {}) for output in shown)
    assert any("text/html" in output.get("data", {}) for output in shown)  # a table
    assert not any("Error" in str(output.get("text", "")) for output in shown)


def test_every_shortening_stands_in_a_notebook() -> None:
    texts = [path.read_text() for path in NOTEBOOKS]
    assert [long for long in SHORT if not any(json.dumps(long)[1:-1] in text for text in texts)] == []


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_is_stored_without_outputs(path: Path) -> None:
    cells: list[dict[str, Any]] = json.loads(path.read_text())["cells"]
    code = [cell for cell in cells if cell["cell_type"] == "code"]
    assert code
    assert all(cell["outputs"] == [] and cell["execution_count"] is None for cell in code)
