from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from seepseg.evaluation.evaluate import Options, evaluate
from seepseg.evaluation.tables import forget
from seepseg.inference.labelled import open_labelled
from seepseg.runs.fit import Fit
from seepseg.runs.folder import RunFolder
from seepseg.training.run import train
from tests.conftest import tiny_config


def test_a_run_is_scored_alike_again_and_elsewhere(seep_root: Path, tmp_path: Path) -> None:
    config = tiny_config(seep_root, train={"epochs": 1, "batch_size": 8, "panels_every": 0})
    folder = RunFolder(tmp_path / "run")
    train(config, folder, echo=lambda line: None)
    parts = [open_labelled(folder.best, config.runtime, "val")]
    left: list[int] = []
    options = Options(figures=False)
    first = evaluate(parts, "val", folder.eval("val"), options, lambda done, of: left.append(of - done))
    assert left == list(range(first.n_tiles - 1, -1, -1))
    assert not (folder.eval("val") / "tiles.png").exists()
    assert evaluate(parts, "val", tmp_path / "elsewhere") == first
    assert (tmp_path / "elsewhere" / "tiles.png").exists()
    # What a fit was found by stays as long as there is one.
    files = [tmp_path / "elsewhere" / name for name in ("grades.csv", "threshold.png", "fold_0/area.csv")]
    for file in files:
        file.parent.mkdir(exist_ok=True)
        file.write_text("old")
    fit = Fit("softmax", 1.0, 0.5, (), 0, "val", parts[0].ids)
    evaluate([replace(parts[0], fit=fit)], "val", tmp_path / "elsewhere", options)
    assert all(file.exists() for file in files)
    evaluate(parts, "val", tmp_path / "elsewhere", options)
    assert not any(file.exists() for file in files)


def test_nothing_stale_stays_beside_new_scores(tmp_path: Path) -> None:
    for name in ("report.html", "tiles.csv", "mine.txt"):
        (tmp_path / name).write_text("old")
    forget(tmp_path, "report.html", "tiles.csv")  # somebody's folder, not one of ours
    assert (tmp_path / "report.html").exists()
    (tmp_path / "metrics.json").write_text("{}")
    (tmp_path / "maps" / "fold_0").mkdir(parents=True)
    (tmp_path / "maps" / "fold_0" / "a.png").write_bytes(b"")
    forget(tmp_path, "report.html", "tiles.csv", "maps/**/*.png")
    assert sorted(p.name for p in tmp_path.rglob("*") if p.is_file()) == ["metrics.json", "mine.txt"]
