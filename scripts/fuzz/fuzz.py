#!/usr/bin/env python
"""Damages what strangers send and opens it, at every door: the answer must be sound, or one line of an error of ours.

A case is one damaged file among sound ones. It fails by another exception, by more than 5 seconds of computing, by more
memory than the door's budget, by ending its process, and by reading, writing, starting or calling anything outside its
folder. One line a door; each failure is kept with what it said; exit 1 where there is any. A seed gives the same cases.
"""

from __future__ import annotations

import argparse
import json
import os
import pickle
import random
import resource
import shutil
import signal
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))
os.environ.setdefault("OMP_NUM_THREADS", "1")

from doors import DOORS
from doors.door import Door, Files
from guard import Guard, Progress, bound_memory, peak

from seepseg.errors import SeepsegError
from tests.network import cut

SECONDS, HANGS = 5, 120
"""Of computing that a case may take, and by the clock: a machine may be busy."""
ROOM = 3072
"""MiB of address space that a process may take beyond what it has at its start."""
CHUNK = 200
"""Cases of one process."""
KINDS = ("untyped", "slow", "memory", "foreign", "crash")
"""How a case fails."""


def lay(folder: Path, files: Mapping[str, bytes]) -> None:
    """Write files into a folder that holds nothing else."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)


def case_of(door: Door, sets: list[Files], seed: str, canary: str) -> Files:
    """The files of a case."""
    rng = random.Random(seed)
    files = rng.choice(sets)
    content = [name for name, whole in files.items() if whole]
    name = rng.choice(content)
    return files | {name: door.spoil(name, files[name], rng, canary)}


def attempt(door: Door, folder: Path) -> tuple[str, str]:
    """What came of a case: "read", "refused" or "untyped", and what was said."""
    try:
        door.opened(folder)
    except SeepsegError as error:
        return "refused", error.what
    except door.documented as error:
        return "refused", str(error)
    return "read", ""


def run_cases(
    name: str, door: Door, sets: list[Files], cases: range, seed: int, room: Path, progress: Progress
) -> None:
    """Run cases in this process, which is a child, and keep those that fail."""
    folder = room / "case"
    (room / "tmp").mkdir(exist_ok=True)
    tempfile.tempdir = os.environ["TMPDIR"] = str(room / "tmp")
    guard = Guard(room)
    os.chdir(room / "tmp")  # the guard hears names without the open folder they are in
    os.sync = lambda: None  # seconds on a busy disk
    for files in sets:  # what is imported when it is first needed, is no part of a case
        lay(folder, files)
        outcome = attempt(door, folder)
        assert outcome[0] == "read", f"sound files are not read: {outcome[1]}"
    guard.touched()
    bound_memory(ROOM)
    _, read, refused, failed = progress.get()
    with cut() as asked:
        calls = len(asked())
        for number in cases:
            files = case_of(door, sets, f"{seed} {name} {number}", guard.canary)
            lay(folder, files)
            progress.put(number, read, refused, failed)
            signal.setitimer(signal.ITIMER_PROF, SECONDS)
            signal.alarm(HANGS)
            guard.on, kind, said = True, "", ""
            with peak() as taken:
                try:
                    kind, said = attempt(door, folder)
                except BaseException:
                    kind, said = "untyped", traceback.format_exc()
            guard.on = False
            signal.setitimer(signal.ITIMER_PROF, 0)
            signal.alarm(0)
            seen = [*guard.touched(), *asked()[calls:]]
            calls = len(asked())
            if seen:
                kind, said = "foreign", "\n".join(seen) + f"\n{said}"
            elif taken[0] > door.mebibytes:
                kind, said = "memory", f"{taken[0]} MiB over what it had, {door.mebibytes} allowed\n{said}"
            read, refused, failed = read + (kind == "read"), refused + (kind == "refused"), failed + (kind in KINDS)
            if kind in KINDS:
                keep(room, name, number, kind, said, files)
            progress.put(number + 1, read, refused, failed)


def keep(room: Path, name: str, number: int, kind: str, said: str, files: Mapping[str, bytes]) -> None:
    """Keep a case that failed."""
    kept = room / "kept" / f"{name.replace(' ', '_')}-{number}-{kind}"
    kept.parent.mkdir(exist_ok=True)
    lay(kept, files)
    (kept / "said.txt").write_text(said, errors="replace")


def one_chunk(name: str, sets: list[Files], cases: range, seed: int, out: Path) -> Counter[str]:
    """Counts of a chunk of cases, in processes of their own: one that is killed is followed by one for the rest."""
    door, progress, counts = DOORS[name], Progress(), Counter[str]()
    room = Path(tempfile.mkdtemp(prefix="fuzz-", dir="/dev/shm" if Path("/dev/shm").is_dir() else None))
    progress.put(cases.start, 0, 0, 0)
    while (at := progress.get()[0]) < cases.stop:
        child = os.fork()
        if not child:
            code = 1
            try:
                resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
                run_cases(name, door, sets, range(at, cases.stop), seed, room, progress)
                code = 0
            except BaseException:
                traceback.print_exc()
            finally:
                sys.stderr.flush()
                os._exit(code)
        _, status = os.waitpid(child, 0)
        number, read, refused, failed = progress.get()
        if os.WIFSIGNALED(status):
            sent = signal.Signals(os.WTERMSIG(status)).name
            kind = "slow" if sent in ("SIGPROF", "SIGALRM") else "crash"
            keep(
                room,
                name,
                number,
                kind,
                f"ended by {sent}",
                case_of(door, sets, f"{seed} {name} {number}", str(room / "canaries" / "secret.tif")),
            )
            progress.put(number + 1, read, refused, failed + 1)
        elif os.WEXITSTATUS(status):
            raise SystemExit(f"{name}: the harness failed at case {number}")
    _, counts["read"], counts["refused"], _ = progress.get()
    for kept in sorted((room / "kept").glob("*")):
        counts[kept.name.rpartition("-")[2]] += 1
        shutil.copytree(kept, out / kept.name, dirs_exist_ok=True)
    shutil.rmtree(room)
    return counts


def made(name: str, out: Path) -> list[Files]:
    """The sound files of a door, made in a process of its own, so that nothing it starts is inherited."""
    place = out / f"{name}.sound"
    if not (child := os.fork()):
        code = 1
        try:
            with tempfile.TemporaryDirectory() as folder:
                place.write_bytes(pickle.dumps(DOORS[name].made(Path(folder))))
            code = 0
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(code)
    if os.waitpid(child, 0)[1]:
        raise SystemExit(f"{name}: its sound files were not made")
    sets = pickle.loads(place.read_bytes())
    place.unlink()
    return sets


def chunks(names: list[str], first: int, total: int) -> Iterator[tuple[str, range]]:
    """Cases of all doors by their shares, a chunk at a time, so that each door is reached early."""
    whole = sum(DOORS[name].share for name in names)
    counts = {name: max(1, round(total * DOORS[name].share / whole)) for name in names}
    for start in range(0, max(counts.values()), CHUNK):
        for name, count in counts.items():
            if start < count:
                yield name, range(first + start, first + min(start + CHUNK, count))


def main() -> int:
    """Parse, damage, open, count."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cases", type=int, default=6000, help="of all doors together (default 6000)")
    parser.add_argument("--seconds", type=float, default=float("inf"), help="begin no more cases then (default never)")
    parser.add_argument("--seed", type=int, default=0, help="of the damage (default 0)")
    parser.add_argument("--first", type=int, default=0, help="number of the first case of each door (default 0)")
    parser.add_argument("--door", choices=DOORS, action="append", help="only this one; may be repeated")
    parser.add_argument("--kept", type=Path, default=Path("fuzz"), help="folder of cases that fail (default fuzz)")
    options = parser.parse_args()
    names, began = options.door or list(DOORS), time.monotonic()
    options.kept.mkdir(parents=True, exist_ok=True)
    sets = {name: made(name, options.kept) for name in names}
    counts: dict[str, Counter[str]] = {name: Counter() for name in names}
    spent = Counter[str]()
    for name, cases in chunks(names, options.first, options.cases):
        start = time.monotonic()
        if start - began > options.seconds:
            break
        counts[name] += one_chunk(name, sets[name], cases, options.seed, options.kept)
        spent[name] += time.monotonic() - start
        (options.kept / "counts.json").write_text(json.dumps(counts))
    print("| door | cases | read | refused | " + " | ".join(KINDS) + " | s |")
    print("|---" * (len(KINDS) + 5) + "|")
    for name, count in (*counts.items(), ("all", sum(counts.values(), Counter()))):
        row = [
            sum(count.values()),
            count["read"],
            count["refused"],
            *(count[k] for k in KINDS),
            round(spent[name] or time.monotonic() - began),
        ]
        print(f"| {name} | " + " | ".join(map(str, row)) + " |")
    return int(any(count[kind] for count in counts.values() for kind in KINDS))


if __name__ == "__main__":
    sys.exit(main())
