"""Commands in README.md and docs/: all of them parse, and all run on synthetic data that do not say why not.

A block with `<!-- not run: REASON -->` above it is only parsed. The others run page by page, in the order of the page,
in a folder that holds what the pages name (`world`). Trainings are made short: one epoch, a narrow network.
"""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import click
import pandas as pd
import pytest
import yaml

from seepseg import synthetic
from seepseg.cli.main import cli
from seepseg.config import load, parse, recipes
from seepseg.geo.vector import read_vectors, write_vectors
from tests.command import run
from tests.demos import small_demo
from tests.trees import write_documented

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
FENCE = re.compile(
    r"(?:^<!-- not run: (?P<reason>[^\n]+?) -->\n+)?^```(?P<language>[\w-]*)[^\n]*\n(?P<text>.*?)^```$", re.M | re.S
)
SHELLS = {"", "sh", "bash", "shell", "console"}
FILES = {"cp", "mv", "mkdir", "unzip"}
"""Programs that may stand between commands of seepseg in a block that runs."""
ENDLESS = {"monitor"}
"""Commands that run until somebody stops them: only parsed."""


@dataclass(frozen=True)
class Block:
    """A fenced block: its page, its text, and why it is not run."""

    page: Path
    line: int
    language: str
    text: str
    reason: str | None

    def __str__(self) -> str:
        return f"{self.page.relative_to(ROOT)}:{self.line}"

    def lines(self) -> list[list[str]]:
        """The words of each line that is a command; variables of a shell count as the number 1."""
        whole = re.sub(r"\\\n\s*", "", self.text)
        known = (line for line in whole.splitlines() if "seepseg" in line or line.split(" ")[0] in FILES)
        alone = (re.split(r" (?:\d?>|\|)", line)[0] for line in known)  # without what reads its output
        return [shlex.split(re.sub(r"\$\{?\w+\}?", "1", line), comments=True) for line in alone]

    def commands(self) -> list[list[str]]:
        """The arguments of each call of seepseg, also below torchrun, srun or variables."""
        return [words[words.index("seepseg") + 1 :] for words in self.lines() if "seepseg" in words]


def blocks(page: Path) -> Iterator[Block]:
    text = page.read_text()
    for match in FENCE.finditer(text):
        line = text[: match.start("text")].count("\n") + 1
        yield Block(page, line, match["language"], match["text"], match["reason"])


BLOCKS = [b for page in PAGES for b in blocks(page) if b.language in SHELLS and b.commands()]
CONFIGS = [b for page in PAGES for b in blocks(page) if b.language == "yaml" and re.search(r"^data:", b.text, re.M)]
INLINE = [(page, words) for page in PAGES for words in re.findall(r"(?<!`)`(seepseg [^`\n]+)`(?!`)", page.read_text())]


def resolved(arguments: list[str]) -> tuple[click.Command, list[str]]:
    """The command that arguments call, and its own arguments."""
    command, rest = cli, list(arguments)
    while isinstance(command, click.Group) and rest:
        word = rest.pop(0)
        if not word.startswith("-"):
            child = command.get_command(click.Context(command), word)
            assert child, f"no command {word}"
            command = child
    return command, rest


def test_there_are_commands() -> None:
    assert len(BLOCKS) > 20
    assert len({b.page for b in BLOCKS}) > 10


@pytest.mark.parametrize("block", BLOCKS, ids=str)
def test_a_block_parses(block: Block) -> None:
    for arguments in block.commands():
        command, rest = resolved(arguments)
        try:
            given = command.make_context("seepseg", list(rest)).params if rest else {}
        except click.ClickException as error:
            pytest.fail(f"seepseg {shlex.join(arguments)}: {error.format_message()}")
        except click.exceptions.Exit:
            continue  # --help, --version
        recipe = recipes().get(str(given.get("config")))
        if recipe:
            load(recipe, given.get("overrides", ()))


@pytest.mark.parametrize(("page", "words"), INLINE, ids=lambda value: str(value)[-60:])
def test_a_command_in_a_sentence_exists(page: Path, words: str) -> None:
    """The command and each of its options; what else stands there may be abridged."""
    names = re.findall(r"[\w.…/-]+", words.replace("\\|", "|"))[1:]
    command, index = cli, 0
    while isinstance(command, click.Group) and index < len(names) and names[index].islower():
        child = command.get_command(click.Context(command), names[index])
        if child is None and names[index].startswith("-"):
            break
        assert child, f"{page.name}: no command {names[index]} in `{words}`"
        command, index = child, index + 1
    known = {option for parameter in command.params for option in parameter.opts} | {"--help", "--debug", "--version"}
    assert {name for name in names[index:] if re.fullmatch(r"--?[a-z][\w-]*", name)} <= known, f"{page.name}: `{words}`"


@pytest.mark.parametrize("block", CONFIGS, ids=str)
def test_a_config_is_one(block: Block, tmp_path: Path) -> None:
    """Whole ones parse; of parts, every key exists."""
    tree = yaml.safe_load(block.text)
    if tree["data"].get("source") == "nnunet":  # its classes are read from the data set
        synthetic.write_nnunet(tmp_path, scenes=1, test_scenes=0)
        tree["data"]["root"] = str(tmp_path)
    if "model" in tree:
        parse(tree, str(block))
        return
    whole = {"source": "scenes", "root": "x", "classes": [{"name": "oil", "values": [1]}], **tree["data"]}
    parse({**tree, "data": whole}, str(block))


# What runs

SHORT = ("train.epochs=1", "train.panels_every=0", "runtime.threads=1", "runtime.device=cpu")
RUNS = {"seep_multiclass": "RUN", "own": "RUN", "seep_best_cpu": "FOLDS"}
"""Runs that pages speak of without training them, and which one of `world` stands for each."""


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with all that pages name: data, scenes, products, configs, runs."""
    root = tmp_path_factory.mktemp("world")
    synthetic.write_seep(root / "DATA", scenes=6, grid=(4, 4), tile=64, seed=1)
    synthetic.write_salt(root / "SALT", tiles=40, test_tiles=4, seed=1)
    shutil.make_archive(str(root / "competition_data"), "zip", root / "SALT")
    (root / "SCENES").mkdir()
    for number in (1, 2):
        synthetic.write_scene(root / "SCENES" / f"2021040{number}.tif", rows=180, cols=180, seed=number)
    (root / "documented").mkdir()
    write_documented(root / "documented")
    _own(root / "oil")
    shutil.copytree(root / "DATA", root / "MINE")
    network = {"name": "unet", "channels": [8, 16, 32], "num_res_units": 1}
    data = {"source": "seep", "root": "DATA", "augment": {"preset": "seep"}}
    runtime = {"amp": "off", "threads": 1, "device": "cpu"}
    tree = {"data": data, "model": network, "train": {"epochs": 1, "panels_every": 0}, "runtime": runtime}
    (root / "CONFIG").write_text(yaml.safe_dump(tree))
    train = [sys.executable, "-m", "seepseg", "train", "CONFIG", "--quiet"]
    for more in (["--run", "RUN"], ["--run", "FOLDS", "--all-folds", "-s", "data.split.folds=2"]):
        subprocess.run([*train, *more], cwd=root, check=True, capture_output=True)
    return root


def _own(root: Path) -> None:
    """Products, a file of polygons for each of those that are labelled, and one that nobody has looked at."""
    synthetic.write_products(root, scenes=4, side=384)
    shapes, table, crs = read_vectors(root / "slicks.gpkg")
    (root / "slicks").mkdir()
    for scene, rows in table.groupby("scene"):
        kinds = pd.DataFrame({"class_name": rows["kind"]})
        write_vectors(root / "slicks" / f"{scene}.gpkg", shapes[rows.index], kinds, crs)


def short(arguments: list[str]) -> list[str]:
    """A training of one epoch (of each stage), two folds, few trees and, where it is a U-Net, of a narrow network."""
    command, rest = resolved(arguments)
    name, overrides = arguments[0], list(SHORT)
    if name == "train" and "--resume" not in rest:
        given = command.make_context("train", list(rest)).params
        config = Path(str(given["config"]))
        recipe = load(recipes().get(str(config), config), given["overrides"])
        if recipe.stages:
            overrides = [*SHORT[1:], *(f"stages.{i}.epochs=1" for i in range(len(recipe.stages)))]
        if recipe.model.name == "unet" and not given["init"]:
            overrides.append("model.channels=[8, 16, 32]")
        if given["all_folds"] and recipe.data.split.folds:
            overrides.append("data.split.folds=2")
        if recipe.objects:
            overrides.append("objects.trees=10")
        if str(config).startswith("demo_"):
            overrides.append("data.split.allow_missing_classes=true")
    elif name == "demo" and "--zones" not in rest:
        overrides += ["model.channels=[8, 16, 32]", "data.split.allow_missing_classes=true"]
    else:
        return arguments
    return [*arguments, *(word for override in overrides for word in ("-s", override))]


def test_trainings_of_pages_are_made_short() -> None:
    given = ["train", "salt_best", "-s", "data.root=SALT"]
    assert {"stages.0.epochs=1", "stages.1.epochs=1"} <= set(short(given))
    assert {"train.epochs=1", "model.channels=[8, 16, 32]"} <= set(short(["train", "seep_multiclass"]))
    assert {"data.split.folds=2", "objects.trees=10"} <= set(short(["train", "seep_best_cpu", "--all-folds"]))
    assert "train.epochs=1" in short(["demo"])
    assert short(["demo", "--zones"]) == ["demo", "--zones"]


@pytest.mark.parametrize("page", sorted({b.page for b in BLOCKS if not b.reason}), ids=lambda p: p.name)
def test_a_page_runs(
    page: Path, world: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    here = tmp_path / "here"
    shutil.copytree(world, here)
    monkeypatch.chdir(here)
    small_demo(monkeypatch)
    for name, stand_in in RUNS.items():
        if f"train {name}" not in page.read_text():
            shutil.copytree(stand_in, f"runs/{name}")
    monkeypatch.setenv("SEEPSEG_CACHE", str(tmp_path / "cache"))
    for block in [b for b in CONFIGS if b.page == page and "model:" in b.text][:1]:
        Path("own.yaml").write_text(block.text.replace("/data/oil", "documented"))
    for block in [b for b in BLOCKS if b.page == page and not b.reason]:
        for words in block.lines():
            if "seepseg" not in words:
                subprocess.run(words, check=True)
            elif words[0] == "seepseg" and words[1] not in ENDLESS:
                code, _, err = run(capsys, *short(words[1:]))
                assert code == 0, f"{block}: {shlex.join(words)}\n{err}"
