"""Hostile machines: whatever a machine lacks, or takes away while a command works, is one line and an exit code.

Nothing half-written is left, and the same command goes on when the machine is well again.
"""

from __future__ import annotations

import locale
import os
import resource
import shlex
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest

from seepseg.cli.main import main
from seepseg.config import dump
from seepseg.inference.score import Sums
from seepseg.io import atomic
from seepseg.runs.folder import RunFolder, folder_lock
from seepseg.synthetic import write_products, write_scene
from seepseg.synthetic.vents import Sea, write_passes
from seepseg.training import loop
from seepseg.training.run import train
from seepseg.training.state import Trainer
from tests.command import error, run
from tests.conftest import tiny_config

ROOT = Path(__file__).parents[2]
COMMANDS = {
    "train": "train BASE/c.yaml --run OUT",
    "predict": "predict BASE/run BASE/in -o OUT --probabilities",
    "zones": "zones BASE/passes -o OUT",
    "export": "export BASE/run -o OUT --format safetensors --overwrite",
    "eval": "eval BASE/run -o OUT --report",
    "stats": "data stats BASE/c.yaml -o OUT",
    "report": "data report BASE/c.yaml -o OUT",
    "tile": "data tile BASE/scenes.yaml -o OUT",
    "rank": "rank BASE/maps -o OUT/queue.csv",
}
"""Commands that write; BASE is the folder below, OUT what they make."""
TIMED = ("manifest", ".written", ".lock", "state.json", "tiles.yaml", ".seepseg-")
NOBODY = 65534
LOCKED = ("train", "predict", "zones", "export", "tile")


@pytest.fixture(scope="module")
def base(seep_root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A trained run and something for each command to work on."""
    folder = tmp_path_factory.mktemp("base")
    config = tiny_config(seep_root, train={"epochs": 1, "batch_size": 8, "panels_every": 0})
    (folder / "c.yaml").write_text(dump(config))
    train(config, RunFolder(folder / "run"), echo=lambda line: None)
    for number in range(2):
        write_scene(folder / "in" / f"scene{number}.tif", rows=150, cols=140, seed=number)
        (folder / "in" / f"scene{number}_mask.tif").unlink()
    write_products(folder / "sar", scenes=2, side=96)
    kinds = [{"name": name, "values": [value]} for value, name in enumerate(("seep", "spill", "look-alike"), 1)]
    data = {
        "source": "scenes", "root": str(folder / "sar"), "images": "products", "labels": "slicks.gpkg",
        "attribute": "kind", "bands": ["vv"], "classes": kinds, "window": 64, "scaling": {"kind": "db"},
    }  # fmt: skip
    (folder / "scenes.yaml").write_text(dump(tiny_config(folder, data=data)))
    sea = Sea(vents=3, rates=(0.6, 0.8), passes=8, side=20_000, pixel=200, lookalikes=1, wakes=0)
    write_passes(folder / "passes", sea, 3)
    write_passes(folder / "maps", Sea(**vars(sea) | {"passes": 2}), 3)
    return folder


def words(name: str, base: Path, out: Path) -> list[str]:
    return COMMANDS[name].replace("BASE", str(base)).replace("OUT", str(out)).split()


def unfinished(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.name.startswith((".seepseg-", ".next"))]


@contextmanager
def limited(what: int, value: int) -> Iterator[None]:
    """Lower a limit of this process for a `with` block."""
    before = resource.getrlimit(what)
    resource.setrlimit(what, (value, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(what, before)


@pytest.mark.parametrize(("kib", "name"), [(1, name) for name in COMMANDS] + [(20, "train"), (20, "predict")])
def test_a_quota_is_one_line_and_the_command_goes_on_without_it(
    base: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], kib: int, name: str
) -> None:
    """Files up to 1 or 20 KiB, as a quota or a full disk leaves them: the system says so at the write."""
    out = tmp_path / "out"
    command = words(name, base, out)
    with limited(resource.RLIMIT_FSIZE, kib * 2**10):
        code, line = error(capsys, *command)
    assert code == 5, line
    assert unfinished(out) == []
    more = ["--resume"] if (out / "config.yaml").exists() and name == "train" else []
    assert run(capsys, *command, *more)[0] == 0


@pytest.mark.parametrize("name", ["train", "predict", "zones"])
def test_a_full_disk_is_one_line_and_the_command_goes_on_with_more(
    base: Path, small_disk: Callable[[int], Path], capfd: pytest.CaptureFixture[str], name: str
) -> None:
    out = small_disk(40) / "out"
    command = words(name, base, out)
    code, _, err = run(capfd, *command)
    assert code == 5
    assert [line for line in err.splitlines() if not line.startswith("warning: ")] == [err.splitlines()[-1]]
    assert unfinished(out) == []
    small_disk(50_000)
    more = ["--resume"] if (out / "config.yaml").exists() and name == "train" else []
    assert run(capfd, *command, *more)[0] == 0


@contextmanager
def at_write(number: int, action: Callable[[], None]) -> Iterator[None]:
    """Do something just before the file of this number is written, for a `with` block."""
    scratch, count = atomic.scratch_path, 0

    def counted(path: Path) -> AbstractContextManager[Path]:
        nonlocal count
        count += 1
        if count == number:
            action()
        return scratch(path)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(atomic, "scratch_path", counted)
        yield
    assert count >= number, "fewer files were written"


@pytest.mark.parametrize("name", LOCKED)
def test_a_folder_that_becomes_read_only_is_one_line_and_the_command_goes_on(
    base: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    out, user = tmp_path / "out", os.geteuid()
    command = words(name, base, out)

    def permit(mode: int) -> None:
        for folder in (out, *(path for path in out.rglob("*") if path.is_dir())):
            folder.chmod(mode)

    def forbid() -> None:
        permit(0o555)
        if not user:  # whom permissions do not bind
            for folder in (base, *base.parents[:-1], *tmp_path.parents[:-1], tmp_path):
                folder.chmod(folder.stat().st_mode | 0o055)
            os.seteuid(NOBODY)

    try:
        with at_write(3, forbid):
            code, line = error(capsys, *command)
    finally:
        os.seteuid(user)
    assert (code, line.startswith("not writable in ")) == (2, True), line
    permit(0o755)
    more = ["--resume"] if name == "train" else []
    assert run(capsys, *command, *more)[0] == 0
    assert unfinished(out) == []


@pytest.mark.parametrize("name", ["predict", "zones", "export", "tile"])
def test_a_folder_that_is_removed_is_an_error_and_made_again(
    base: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    out, command = tmp_path / "out", words(name, base, tmp_path / "out")
    with at_write(3, lambda: shutil.rmtree(out)):
        code, line = error(capsys, *command)
    assert code == 5, line
    again = ["--overwrite"] if name == "tile" else []
    assert run(capsys, *command, *again)[0] == 0
    whole = tmp_path / "whole"
    assert run(capsys, *words(name, base, whole))[0] == 0
    assert names(out) == names(whole)


def names(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


@pytest.mark.filterwarnings("error::pytest.PytestUnhandledThreadExceptionWarning")  # TensorBoard's writer
def test_a_training_whose_folder_is_removed_ends_and_leaves_no_other(
    base: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    validate = loop.validate

    def removing(trainer: Trainer, before_batch: Callable[[], None], on_batch: None) -> Sums:
        shutil.rmtree(tmp_path / "out")
        return validate(trainer, before_batch, on_batch)

    monkeypatch.setattr(loop, "validate", removing)
    code, line = error(capsys, *words("train", base, tmp_path / "out"))
    assert (code, line) == (5, f"the folder was removed while this ran in {tmp_path / 'out'}: run the command again")
    assert not (tmp_path / "out" / "checkpoints").exists()


def killed_at_write(number: int, command: list[str]) -> None:
    """Run a command in a copy of this process, which kills itself just before the file of this number."""
    if pid := os.fork():
        _, status = os.waitpid(pid, 0)
        assert os.waitstatus_to_exitcode(status) == -signal.SIGKILL
        return
    try:
        sys.argv = ["seepseg", *command]
        with at_write(number, lambda: os.kill(os.getpid(), signal.SIGKILL)):
            main()
    finally:
        os._exit(99)


@pytest.mark.parametrize("name", [name for name in COMMANDS if name != "train"])
def test_killed_before_any_file_the_command_ends_with_the_same_files(
    base: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    """Trainings are killed in tests/training; `scripts/kill/kill.py` kills all of them at random moments."""
    whole, out = tmp_path / "whole", tmp_path / "out"
    assert run(capsys, *words(name, base, whole))[0] == 0
    for number in (1, 2, 3) if name != "rank" else (1, 2):
        killed_at_write(number, words(name, base, out))
    assert run(capsys, *words(name, base, out))[0] == 0
    assert different(whole, out) == []


def different(one: Path, other: Path) -> list[str]:
    """Names of files that are not the same in two folders; those that hold times or paths of folders are left out."""
    kept = {name for name in names(one) | names(other) if not Path(name).name.startswith(TIMED)}
    return sorted(
        name for name in kept if not ((a := one / name).is_file() and (b := other / name).is_file())
        or a.read_bytes() != b.read_bytes()
    )  # fmt: skip


@pytest.mark.parametrize("name", LOCKED)
def test_the_second_of_two_processes_on_one_folder_is_told(
    base: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    with folder_lock(tmp_path / "out"):
        code, line = error(capsys, *words(name, base, tmp_path / "out"))
        assert names(tmp_path / "out") == {".lock"}
    assert (code, "another seepseg process works here" in line) == (6, True)


@pytest.mark.parametrize("name", COMMANDS)
def test_sixty_four_descriptors_are_enough_and_none_is_one_line(
    base: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    listed = list(Path("/proc/self/fd").iterdir())  # that of the listing itself is closed since
    open_now = {int(path.name) for path in listed if path.is_symlink()}
    free = [number for number in range(len(open_now) + 60) if number not in open_now]
    with limited(resource.RLIMIT_NOFILE, free[59] + 1):
        assert run(capsys, *words(name, base, tmp_path / "many"))[0] == 0
    with limited(resource.RLIMIT_NOFILE, free[0]):
        code, line = error(capsys, *words(name, base, tmp_path / "few"))
    assert (code, "too many files are open" in line) == (5, True), line
    assert unfinished(tmp_path) == []


@pytest.mark.parametrize("kib", [8, 128], ids=["none for locks", "none for a batch"])
def test_no_shared_memory_is_one_line_and_no_endless_wait(base: Path, tmp_path: Path, kib: int) -> None:
    """A worker's error would be printed by a thread, and the loader wait for its batch for ever."""
    shared = f"mount -t tmpfs -o size={kib}k none /dev/shm"
    command = shlex.join([sys.executable, "-m", "seepseg", *words("train", base, tmp_path / "out"), "-q"])
    if subprocess.run(["unshare", "-m", "bash", "-c", shared], capture_output=True, check=False).returncode:
        pytest.skip("mounting takes root")
    script = f"{shared} && exec {command} -s runtime.workers=1"
    done = subprocess.run(
        ["unshare", "-m", "bash", "-c", script], capture_output=True, text=True, check=False, cwd=ROOT
    )
    advice = "enlarge it, or give -s runtime.workers=0"
    assert (done.returncode, done.stderr) == (5, f"error: no room for a batch in /dev/shm: {advice}\n")


@pytest.fixture
def german(tmp_path: Path) -> Iterator[None]:
    """The locale of a country that writes 1,5, for the C libraries of this process."""
    made = subprocess.run(
        ["localedef", "-i", "de_DE", "-f", "UTF-8", str(tmp_path / "de_DE.UTF-8")], capture_output=True, check=False
    )
    if made.returncode:
        pytest.skip("localedef has no de_DE")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LOCPATH", str(tmp_path))
        before = locale.setlocale(locale.LC_ALL)
        locale.setlocale(locale.LC_ALL, "de_DE.UTF-8")
        assert locale.localeconv()["decimal_point"] == ","
        yield
        locale.setlocale(locale.LC_ALL, before)


@pytest.mark.parametrize("name", ["predict", "zones", "stats", "tile"])
def test_where_numbers_have_a_comma_files_are_the_same(
    base: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], request: pytest.FixtureRequest, name: str
) -> None:
    assert run(capsys, *words(name, base, tmp_path / "point"))[0] == 0
    request.getfixturevalue("german")
    assert run(capsys, *words(name, base, tmp_path / "comma"))[0] == 0
    assert different(tmp_path / "point", tmp_path / "comma") == []


def test_without_a_home_or_a_reader_everything_is_done(base: Path, tmp_path: Path) -> None:
    """A home that cannot be written to, and output whose reader leaves after the first line."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("XDG_", "MPL"))}
    command = shlex.join([sys.executable, "-m", "seepseg", *words("stats", base, tmp_path / "out")])
    done = subprocess.run(
        ["bash", "-c", f"{command} | head -n 1; exit ${{PIPESTATUS[0]}}"],
        capture_output=True, text=True, check=False, cwd=ROOT, env=environment | {"HOME": "/dev/null"},
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    assert "examples.png" in names(tmp_path / "out")
