from __future__ import annotations

from pathlib import Path

import pytest

import seepseg
from seepseg.config import find_config, load, purpose, recipes
from seepseg.errors import ConfigError

CONFIGS = Path(__file__).parents[2] / "configs"


def test_a_checkout_has_its_recipes_in_configs() -> None:
    assert recipes() == {path.stem: path for path in CONFIGS.glob("*.yaml")}


def test_an_installed_package_has_them_inside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # A folder of another project's beside the package, as site-packages may hold one, is not looked at.
    for path in (tmp_path / "seepseg/recipes/ours.yaml", tmp_path / "configs/theirs.yaml"):
        path.parent.mkdir(parents=True)
        path.write_text("# What for.\nseed: 1\n")
    monkeypatch.setattr(seepseg, "__file__", str(tmp_path / "seepseg/__init__.py"))
    assert recipes() == {"ours": tmp_path / "seepseg/recipes/ours.yaml"}
    assert purpose(recipes()["ours"]) == "What for."


def test_a_name_is_found_from_any_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert find_config(Path("seep_best_cpu")) == CONFIGS / "seep_best_cpu.yaml"
    assert find_config(Path("seep_best_cpu.yaml")) == CONFIGS / "seep_best_cpu.yaml"
    assert load(Path("salt_unet"), ["seed=3"]) == load(CONFIGS / "salt_unet.yaml", ["seed=3"])
    # A folder of that name is no config; a file of that name is one, and goes first.
    (tmp_path / "salt_unet").mkdir()
    assert find_config(Path("salt_unet")) == CONFIGS / "salt_unet.yaml"
    (tmp_path / "salt_best").write_text("")
    assert find_config(Path("salt_best")) == Path("salt_best")


@pytest.mark.parametrize(
    ("given", "line"),
    [
        ("seep_best_cp", "no such config in seep_best_cp: did you mean seep_best_cpu"),
        # The last part of a path that is not there here.
        ("configs/salt_unet.yaml", "no such config in configs/salt_unet.yaml: did you mean salt_unet or "),
        ("x9", "no such config in x9: give a YAML file or the name of a shipped recipe; `seepseg config list` shows"),
        ("x" * 300, "no such config in x"),
        (".", "is a folder, not a config in .: give a YAML file or the name of a shipped recipe"),
    ],
)
def test_what_is_no_config_is_said_with_the_nearest_names(
    given: str, line: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError) as caught:
        find_config(Path(given))
    assert str(caught.value).startswith(line)
