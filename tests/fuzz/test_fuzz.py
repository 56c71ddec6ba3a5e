"""Damaged files at every door, a few each; and the driver itself, which must see what it is there to see."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPTS = Path(__file__).parents[2] / "scripts" / "fuzz"


def fuzz(*words: str, before: str = "") -> subprocess.CompletedProcess[str]:
    """Run the driver, with lines of Python before it."""
    lines = ["import sys", f"sys.path.insert(0, {str(SCRIPTS)!r})", "import fuzz", before]
    lines += [f"sys.argv = ['fuzz', *{words!r}]", "sys.exit(fuzz.main())"]
    python = [sys.executable, "-W", "ignore", "-c", "\n".join(lines)]
    # From a folder that is not ours: names that are relative to it would be foreign.
    return subprocess.run(python, capture_output=True, text=True, timeout=600, check=False, env=os.environ, cwd="/")


linux = pytest.mark.skipif(sys.platform != "linux", reason="memory and opened files are as Linux counts them")


@linux
def test_damage_at_any_door_is_read_or_refused_in_one_line(tmp_path: Path) -> None:
    done = fuzz("--cases", "600", "--kept", str(tmp_path))
    said = "\n".join(f"{p.parent.name}: {p.read_text()[-800:]}" for p in tmp_path.glob("*/said.txt"))
    assert done.returncode == 0, done.stdout + done.stderr[-2000:] + said
    rows = re.findall(r"^\| (.+?) \| (\d+) \| (\d+) \| (\d+) \|", done.stdout, re.MULTILINE)
    assert len(rows) >= 31
    # Most damage is noticed, and some of it changes nothing that matters.
    _, cases, read, refused = rows[-1]
    assert int(read) + int(refused) == int(cases)
    assert min(int(read), int(refused)) > 50


BAD = """
import ctypes, os, signal, socket, subprocess
from functools import partial
from pathlib import Path
from doors.door import Door
from seepseg.errors import DataError
fuzz.SECONDS = 1

def opened(what, folder):
    if (folder / "a").read_bytes() == b"sound":
        return
    if what == "key":
        {}["x"]
    while what == "slow":
        pass
    if what == "memory":
        bytearray(b"x") * 2**28
    if what == "crash":
        os.kill(os.getpid(), signal.SIGSEGV)
    if what == "canary":  # as a library in C opens it
        libc = ctypes.CDLL(None)
        libc.close(libc.open(str(folder.parent / "canaries" / "secret.tif").encode(), 0))
    if what == "elsewhere":
        open("/etc/passwd").close()
    if what == "program":
        subprocess.run(["true"])
    if what == "network":
        try:
            socket.create_connection(("127.0.0.1", 9), 1)
        except OSError:
            pass
    raise DataError("damaged")

fuzz.DOORS.clear()
for what in ("key", "slow", "memory", "crash", "canary", "elsewhere", "program", "network", "nothing"):
    fuzz.DOORS[what] = Door(lambda folder: [{"a": b"sound"}], partial(opened, what), mebibytes=128)
"""


@linux
def test_what_a_case_may_not_do_is_counted_and_kept(tmp_path: Path) -> None:
    done = fuzz("--cases", "18", "--kept", str(tmp_path), before=BAD)
    rows = re.findall(r"^\| (\w+) \| (.+) \|$", done.stdout, re.MULTILINE)
    counts = {name: row.split(" | ")[:-1] for name, row in rows}
    # Cases, read, refused; untyped, slow, memory, foreign, crash.
    wanted = {
        "key": "2 0 0 2 0 0 0 0", "slow": "2 0 0 0 2 0 0 0", "memory": "2 0 0 0 0 2 0 0",
        "crash": "2 0 0 0 0 0 0 2", "nothing": "2 0 2 0 0 0 0 0", "all": "18 0 2 2 2 2 8 2",
    } | dict.fromkeys(("canary", "elsewhere", "program", "network"), "2 0 0 0 0 0 2 0")  # fmt: skip
    assert {name: " ".join(counts[name]) for name in wanted} == wanted, done.stdout + done.stderr[-2000:]
    assert done.returncode == 1
    kept = {path.parent.name for path in tmp_path.glob("*/a")}
    assert len(kept) == 16
    assert {"key-0-untyped", "slow-1-slow", "crash-1-crash"} <= kept
