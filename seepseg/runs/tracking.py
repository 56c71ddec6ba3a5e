"""MLflow, for those who follow many runs in one place: it gets the numbers that TensorBoard gets."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any

from seepseg.config.training import Tracking
from seepseg.errors import ConfigError, InterruptedRun
from seepseg.io.atomic import write_text
from seepseg.io.documents import parse_json
from seepseg.machine.progress import Echo
from seepseg.runs.folder import RunFolder

Send = Callable[[Mapping[str, float], int], None]
"""Called with numbers by name and their epoch."""

EXPERIMENT = "seepseg"
ENVIRONMENT = {
    "MLFLOW_ALLOW_FILE_STORE": "true",  # it works, and only gets nothing new
    # A server that is gone holds up training once, for a quarter of a minute instead of an hour: other processes wait
    # half a minute for the one that sends.
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "6",
}


def check_tracking(tracking: Tracking) -> None:
    """Raise ConfigError where MLflow is asked for and not installed."""
    if tracking.mlflow and importlib.util.find_spec("mlflow") is None:
        raise ConfigError("MLflow is not installed", "tracking.mlflow", "pip install 'seepseg[mlflow]'")


@contextmanager
def tracked(place: str, folder: RunFolder, recipe: Mapping[str, object], echo: Echo) -> Iterator[Send]:
    """Send to the MLflow run of a run folder for a `with` block; a resumed run continues its own.

    Whatever goes wrong there is one warning, and training goes on without it.

    Args:
        place: a folder or URI.
        recipe: the parameters of a new MLflow run.
    """
    link: _Link | None = None

    def attempt(work: Callable[[], Any]) -> Any:
        nonlocal link
        try:
            return work()
        except Exception as error:
            link = None
            reason = (str(error).splitlines() or [type(error).__name__])[0]
            echo(f"warning: MLflow at {place} gets no more numbers: {reason}")

    def send(numbers: Mapping[str, float], epoch: int) -> None:
        if link:
            attempt(partial(link.send, numbers, epoch))

    link, status = attempt(partial(_Link, place, folder, recipe)), "FAILED"
    try:
        yield send
        status = "FINISHED"
    except (InterruptedRun, KeyboardInterrupt):
        status = "KILLED"
        raise
    finally:
        if link:
            attempt(partial(link.client.set_terminated, link.run, status))


class _Link:
    """The way to one MLflow run, whose id is kept in the run folder."""

    def __init__(self, place: str, folder: RunFolder, recipe: Mapping[str, object]) -> None:
        for name, value in ENVIRONMENT.items():
            os.environ.setdefault(name, value)
        from mlflow.entities import Param
        from mlflow.exceptions import MlflowException
        from mlflow.tracking import MlflowClient

        is_uri = "://" in place or place == "databricks" or place.startswith("file:")
        uri = place if is_uri else Path(place).absolute().as_uri()
        self.client: Any = MlflowClient(tracking_uri=uri)
        known = parse_json(folder.mlflow.read_text()) if folder.mlflow.exists() else {}
        self._continued, self._last = known.get("uri") == uri, dict[str, int]()
        if self._continued:
            self.run: str = known["run"]
            self.client.update_run(self.run, status="RUNNING")
            return
        if self.client.get_experiment_by_name(EXPERIMENT) is None:
            with suppress(MlflowException):  # another fold has made it in between
                self.client.create_experiment(EXPERIMENT)
        experiment: Any = self.client.get_experiment_by_name(EXPERIMENT)
        root = folder.root.resolve()
        name = f"{root.parent.name}/{root.name}" if root.name.startswith("fold_") else root.name
        self.run = self.client.create_run(
            experiment.experiment_id, run_name=name, tags={"folder": str(root)}
        ).info.run_id
        parameters = [Param(legal(key), str(value)) for key, value in recipe.items()]
        for first in range(0, len(parameters), 100):  # the most that MLflow takes at a time
            self.client.log_batch(self.run, params=parameters[first : first + 100])
        write_text(folder.mlflow, json.dumps({"uri": uri, "run": self.run}) + "\n")

    def send(self, numbers: Mapping[str, float], epoch: int) -> None:
        """Send numbers; those of an epoch that a killed process sent before its checkpoint are there already."""
        from mlflow.entities import Metric

        keys = {legal(name): value for name, value in numbers.items()}
        for key in (keys.keys() - self._last.keys()) if self._continued else ():
            self._last[key] = max((point.step for point in self.client.get_metric_history(self.run, key)), default=0)
        new = {key: value for key, value in keys.items() if epoch > self._last.get(key, 0)}
        self._last |= dict.fromkeys(new, epoch)
        now = round(1000 * time.time())
        self.client.log_batch(self.run, metrics=[Metric(key, value, now, epoch) for key, value in new.items()])


def legal(name: str) -> str:
    """A name without the characters that MLflow refuses."""
    return re.sub(r"[^\w\-. /]", "_", name)
