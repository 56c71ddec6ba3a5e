"""seepseg monitor: TensorBoard on run folders."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import click

from seepseg.cli.options import FILE


@click.command()
@click.argument("runs", type=FILE, default=Path("runs"))
@click.option("--port", type=int, default=6006, show_default=True)
@click.option("--host", default="localhost", show_default=True)
def command(runs: Path, port: int, host: str) -> None:
    """Open TensorBoard on RUNS, a run folder or a folder of them; Ctrl-C ends it."""
    from seepseg.errors import ConfigError

    if not runs.is_dir():
        raise ConfigError("no such folder", runs, "give a run folder that `seepseg train` made")
    arguments = ["--logdir", str(runs), "--port", str(port), "--host", host]
    done = subprocess.run([sys.executable, "-m", "tensorboard.main", *arguments], check=False)
    if done.returncode:
        raise ConfigError(
            f"TensorBoard ended with code {done.returncode}",
            f"{host}:{port}",
            "see its message above; a port in use wants another --port",
        )
