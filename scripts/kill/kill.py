#!/usr/bin/env python
"""Kills commands of seepseg at random moments, runs them again, and compares what they leave with an undisturbed run.

A SIGKILL hits the command alone, with all its processes, or one of its worker processes. One line a kill; exit 1 when
weights, metrics or bytes differ at the end, when a run hangs or fails otherwise than it should, when a file that
carries the name of an output is not whole after a kill, or when anything half-written is left at the end.

Commands are forked from this process, which has imported everything, so that kills hit work and not imports.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import random
import shutil
import signal
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path

import psutil
import torch
from jobs import JOBS, KINDS, Job, lay_base

import seepseg.training.run  # noqa: F401 - what the commands import
from seepseg.cli.main import main as seepseg_main
from seepseg.errors import SeepsegError
from seepseg.io.atomic import TEMPORARY_PREFIX
from seepseg.runs.checkpoint import load_checkpoint

OUTSIDE = ("manifest", "failures", ".lock", "events.out", "state.json", ".written")
"""How the names of files begin that no promise is made about: they hold times."""
PATIENCE = 300
"""Seconds after which a command counts as hanging."""


def start(words: list[str], log: Path, cluster: bool) -> int:
    """The id of a process of its own group that runs a command."""
    if pid := os.fork():
        return pid
    os.setsid()
    output = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(output, 1)
    os.dup2(output, 2)
    sys.argv = ["seepseg", *words]
    if cluster:
        script = Path(__file__).with_name("cluster")
        os.execve(script, [str(script), *words[1:]], os.environ | {"PYTHON": sys.executable})
    try:
        seepseg_main()
    except SystemExit as end:
        os._exit(int(end.code or 0))
    finally:
        os._exit(99)


def wait(pid: int, seconds: float) -> int | None:
    """The exit code of a process that ends within some seconds (negative: its signal)."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if (done := os.waitpid(pid, os.WNOHANG))[0]:
            return os.waitstatus_to_exitcode(done[1])
        time.sleep(0.002)
    return None


def digest(path: Path) -> str:
    """What must be equal of a file: all bytes; weights, averages and forests of a checkpoint; metrics without speed."""
    if path.suffix == ".pt":
        checkpoint = load_checkpoint(path)
        states = [checkpoint.weights, checkpoint.ema or {}]
        content = b"".join(k.encode() + v.numpy().tobytes() for state in states for k, v in sorted(state.items()))
        content += repr((checkpoint.objects, checkpoint.decoding, checkpoint.score, checkpoint.epoch)).encode()
    elif path.name == "metrics.csv":
        rows = [line.split(",") for line in path.read_text().splitlines()]
        speed = [column for column, name in enumerate(rows[0]) if name == "tiles_per_second"]
        content = repr([[cell for column, cell in enumerate(row) if column not in speed] for row in rows]).encode()
    else:
        content = path.read_bytes()
    return hashlib.sha256(content).hexdigest()


def outputs(folder: Path, hidden: bool) -> dict[str, str]:
    """Digest of every output by its name; with what a kill left unfinished, where `hidden`."""
    found = {}
    for path in sorted(folder.rglob("*")):
        inside = path.relative_to(folder)
        if not path.is_file() or path.name.startswith(OUTSIDE):
            continue
        if hidden or not any(part.startswith((TEMPORARY_PREFIX, ".next")) for part in inside.parts):
            with suppress(FileNotFoundError):  # a worker that outlives its parent a little renames it
                found[str(inside)] = digest(path)
    return found


def aim(pid: int, rng: random.Random, cluster: bool) -> tuple[str, list[int]]:
    """What a kill hits, in words, and the ids of the processes."""
    children = psutil.Process(pid).children(recursive=True)
    whole = [pid, *(child.pid for child in children)]
    # The script of a cluster starts the command as one more child, which is no worker.
    workers = [child.pid for child in children if not (cluster and "predict" in child.cmdline())]
    if workers and rng.random() < 0.5:
        return "a worker", [rng.choice(workers)]
    return ("everything", whole) if cluster or rng.random() < 0.5 else ("the command", [pid])


class Killer:
    """Kills one job until it has been hit so many times."""

    def __init__(self, name: str, base: Path, folder: Path, rng: random.Random) -> None:
        self.name, self.job, self.base, self.folder, self.rng = name, JOBS[name], base, folder, rng
        folder.mkdir()
        self.log = folder / "log"

    def begin(self, out: Path) -> None:
        """Lay what the job finds when it begins."""
        if self.job.before:
            shutil.copytree(self.base / self.job.before, out)

    def start(self, out: Path) -> int:
        """Start the command, for the first time or again."""
        job: Job = self.job
        again = job.resume if (out / "config.yaml").exists() else ""
        words = f"{job.words} {again}".replace("BASE", str(self.base)).replace("OUT", str(out)).split()
        return start(words, self.log, job.cluster)

    def undisturbed(self) -> None:
        """Run it to its end, twice: the first also fills caches, and shows what of its outputs is always the same."""
        for name in ("first", "whole"):
            self.begin(self.folder / name)
            begin = time.monotonic()
            code = wait(self.start(self.folder / name), PATIENCE)
            self.seconds = time.monotonic() - begin
            if code != self.job.code:
                sys.exit(f"{self.name}: undisturbed, exit {code}: {self.log.read_text()}")
        self.whole = outputs(self.folder / "whole", hidden=True)
        if differ := compare(self.whole, outputs(self.folder / "first", hidden=True)):
            sys.exit(f"{self.name}: two undisturbed runs differ in {differ}")
        print(f"{self.name}: undisturbed {self.seconds:.1f} s, {len(self.whole)} outputs", flush=True)

    def kill(self, kills: int) -> int:
        """Kill it so many times, each run until it reaches its end; how many kills went well."""
        good = done = round_ = 0
        while done < kills:
            round_ += 1
            out = self.folder / f"killed_{round_}"
            self.begin(out)
            while True:
                pid = self.start(out)
                code = wait(pid, self.rng.uniform(0, 1) ** 0.7 * self.seconds if done < kills else PATIENCE)
                if code is None and done >= kills:
                    with suppress(ProcessLookupError):
                        os.killpg(pid, signal.SIGKILL)
                    problem = "hangs"
                    break
                if code is None:
                    done += 1
                    problem = self.hit(pid, out, done)
                    good += not problem
                    if problem:
                        break
                    continue
                problem = "" if code == self.job.code else f"exit {code}: {self.log.read_text().strip()[-400:]}"
                problem = problem or compare(self.whole, outputs(out, hidden=not self.job.litter))
                break
            print(f"{self.name} run {round_}: {problem or 'the same'}", flush=True)
            if problem:
                return good - 1
            shutil.rmtree(out)
        return good

    def hit(self, pid: int, out: Path, number: int) -> str:
        """Kill a running command, or one of its workers; the problem that there is then."""
        try:
            what, victims = aim(pid, self.rng, self.job.cluster)
        except psutil.NoSuchProcess:
            what, victims = "nothing", []
        for victim in victims:
            with suppress(ProcessLookupError):
                os.kill(victim, signal.SIGKILL)
        begin = time.monotonic()
        code = wait(pid, PATIENCE)
        problem = "hangs" if code is None else ""
        if what == "a worker" and code not in (0, self.job.code, 4, 5):
            problem = f"exit {code}: {self.log.read_text().strip()[-400:]}"
        try:
            here = outputs(out, hidden=False)
        except SeepsegError as error:
            return f"not whole: {error}"
        if not self.job.grows:
            problem = problem or ", ".join(n for n, d in here.items() if self.whole.get(n, d) != d)
        last = f", exit {code} {time.monotonic() - begin:.1f} s later" if what == "a worker" else ""
        print(f"{self.name} kill {number}: {what}, {len(here)} outputs{last}  {problem}", flush=True)
        return problem


def compare(one: dict[str, str], other: dict[str, str]) -> str:
    """The names of what differs."""
    return ", ".join(sorted(name for name in one.keys() | other.keys() if one.get(name) != other.get(name)))


def main() -> None:
    """Parse, kill, exit."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("jobs", nargs="*", help=f"of {', '.join(KINDS)} (all of a kind), or {', '.join(JOBS)}")
    parser.add_argument("--kills", type=int, default=50, help="SIGKILLs of each kind or job named (default 50)")
    parser.add_argument("--seed", type=int, default=0, help="of the moments (default 0)")
    options = parser.parse_args()
    torch.set_num_threads(1)
    rng = random.Random(options.seed)
    failed = False
    with tempfile.TemporaryDirectory() as name:
        base = Path(name) / "base"
        base.mkdir()

        def run(line: str) -> None:
            if wait(start(line.split(), Path(name) / "log", False), PATIENCE):
                sys.exit(f"{line}: {(Path(name) / 'log').read_text()}")

        lay_base(base, run)
        for kind in options.jobs or KINDS:
            names = KINDS.get(kind, [kind])
            good, left, shares = 0, options.kills, sum(JOBS[job].share for job in names)
            for job in names:
                kills = round(left * JOBS[job].share / shares)
                left, shares = left - kills, shares - JOBS[job].share
                killer = Killer(job, base, Path(name) / job, rng)
                killer.undisturbed()
                good += killer.kill(kills)
                shutil.rmtree(killer.folder)
            print(f"{kind}: {good} of {options.kills}", flush=True)
            failed |= good < options.kills
    sys.exit(failed)


if __name__ == "__main__":
    main()
