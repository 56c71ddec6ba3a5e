"""Every shipped recipe, from data check to prediction on small synthetic data."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from seepseg.config import load, purpose, recipes
from seepseg.data.source import source_of
from seepseg.synthetic import write_products, write_salt, write_seep
from tests.command import run
from tests.trees import TREES, write_documented

CONFIGS = list(recipes().values())
SHRUNK: dict[str, object] = {"width": 0.25, "decoder": 8, "middle_blocks": 1, "init_filters": 8}
"""Keys of networks and what makes them small.

Encoders keep 16 channels: with eight or fewer, torch 2.13 on the CPU writes past its memory (channels last, float32) in
the backward pass of their 1×1 convolutions of stride 2.
"""


@pytest.fixture(scope="module")
def roots(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Small data for each recipe: in the layout of its own set, or of its source."""
    roots = {name: tmp_path_factory.mktemp(name) for name in ("seep", "tgs", "scenes", *TREES)}
    write_seep(roots["seep"], scenes=6, grid=(4, 4), tile=64, seed=2)
    write_salt(roots["tgs"], tiles=20, test_tiles=2, seed=2)
    write_products(roots["scenes"], scenes=4, side=256, seed=2)
    for name, write in TREES.items():
        write(roots[name])
    return {path.stem: roots[path.stem if path.stem in TREES else load(path).data.source] for path in CONFIGS}


def small(path: Path, root: Path) -> list[str]:
    """Overrides that leave a recipe what it is and make it a matter of seconds."""
    recipe = load(path)
    pairs: dict[str, object] = {
        "data.root": root,
        "data.split.val_fraction": 0.25,
        "data.split.allow_missing_classes": "true",
        "train.batch_size": 8,
        "train.panels_every": 0,
        "runtime.amp": "off",
        "runtime.device": "cpu",
        "runtime.threads": 1,
    }
    for key in ("channels", "features"):
        widths = getattr(recipe.model, key, None)
        if widths:
            pairs[f"model.{key}"] = [min(w, 8) for w in widths]
    pairs |= {f"model.{key}": value for key, value in SHRUNK.items() if hasattr(recipe.model, key)}
    if recipe.model.input:
        pairs["model.input.size"] = [min(size, 128) for size in recipe.model.input.size]
    stages = len(recipe.stages)
    pairs |= {f"stages.{k}.epochs": 1 for k in range(stages)} or {"train.epochs": 1}
    return [part for key, value in pairs.items() for part in ("-s", f"{key}={value}")]


def test_recipes_of_other_projects_are_whole() -> None:
    salt = ("resunet_scse_pad", "resunet_scse_resize", "xception", "preact_lovasz", "deeplabv3plus", "deeplabv3")
    assert {"seep_multiclass", "seep_binary", *(f"salt_{name}" for name in salt)} <= recipes().keys()
    for name in ("salt_preact_lovasz", "salt_resunet_scse_pad"):
        augment = load(recipes()[name]).data.augment
        assert min(augment.rotate, augment.roll) > 0
    assert load(recipes()["salt_deeplabv3"], ["model.low_level=true"]) == load(recipes()["salt_deeplabv3plus"])


@pytest.mark.parametrize("path", CONFIGS, ids=lambda p: p.stem)
def test_a_recipe_says_in_its_first_line_what_it_is_for(path: Path) -> None:
    # `seepseg config list` shows it: a sentence, which fits a line beside the name.
    assert purpose(path)[0].isupper()
    assert purpose(path).endswith(".")
    assert 20 < len(purpose(path)) <= 94


@pytest.mark.parametrize("path", CONFIGS, ids=lambda p: p.stem)
def test_a_recipe_draws_its_validation_tiles_from_any_data(path: Path) -> None:
    split = load(path).data.split
    # What a public set says is its test part, is.
    assert split.test in (None, ["test/*"])
    assert (split.val, split.file) == (None, None)


@pytest.mark.parametrize("path", CONFIGS, ids=lambda p: p.stem)
def test_a_recipe_trains_scores_and_predicts(
    path: Path, roots: dict[str, Path], capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    recipe = load(path)
    folder, root = tmp_path / "run", roots[path.stem]
    fold = ["--fold", "0"] if recipe.data.split.folds else []
    code, out, err = run(capsys, "train", path, "--run", folder, *fold, *small(path, root))
    assert code == 0, err
    assert "best score" in out
    code, _, err = run(capsys, "eval", folder, *fold, "--no-figures", "-o", tmp_path / "scores", "--tta")
    assert code == 0, err
    metrics = json.loads((tmp_path / "scores" / "metrics.json").read_text())
    assert metrics["n_tiles"] > 0
    assert len(metrics["classes"]) == len(recipe.data.class_table()) - 1
    assert ("tgs_score" in metrics) == (recipe.data.source == "tgs")
    tiles = source_of(recipe.data.model_copy(update={"root": root})).catalog().tiles
    inputs = list(dict.fromkeys(tile.image for tile in tiles))[:2]
    assert run(capsys, "predict", folder, *fold, *inputs, "-o", tmp_path / "maps")[0] == 0
    assert len(list((tmp_path / "maps").glob("*_class.*"))) == 2


def test_the_configs_of_the_data_page_are_whole(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    page = Path(__file__).parents[1] / "docs" / "data.md"
    configs = re.findall(r"```yaml\n(data:\n.*?)```", page.read_text(encoding="utf-8"), re.DOTALL)
    write_documented(tmp_path)
    # Three scenes of two tiles; six scenes; four tiles and two as the table says.
    expected = [
        "6 tiles of 3 scenes, 6 labelled (4 train, 2 val), 2",
        "6 tiles of 6",
        "6 tiles of 6 scenes, 6 labelled (4 t",
        # Two scenes of 2 × 2 windows, and one of a window.
        "9 tiles of 3 scenes, 9 labelled",
        # Two scenes of 2 × 2 cases.
        "8 tiles of 2 scenes, 8 labelled (4 val, 4 train), 3 foreground",
    ]
    for config, says in zip(configs, expected, strict=True):
        assert len(config.splitlines()) <= 16
        (tmp_path / "own.yaml").write_text(config)
        code, out, err = run(capsys, "data", "check", tmp_path / "own.yaml", "-s", f"data.root={tmp_path}")
        assert (code, err) == (0, ""), err
        assert out.startswith(f"ok: {says}")
