"""seepseg: finds oil seeps in radar images of the sea and salt in seismic images.

The names below are all that a program needs, and they stay as they are (docs/python.md). Each is imported when it is
first used. The examples in their docstrings run where `seepseg demo` has left its folder.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

__version__ = "0.1.0"

# What albumentations, MLflow and onnxruntime obey when they are imported: else they look for newer versions, or tell
# their makers that they are used.
for _name in ("NO_ALBUMENTATIONS_UPDATE", "MLFLOW_DISABLE_TELEMETRY", "ORT_DISABLE_TELEMETRY"):
    os.environ.setdefault(_name, "true")

__all__ = [
    "Model",
    "Prediction",
    "__version__",
    "errors",
    "load",
    "losses",
    "metrics",
    "models",
    "read_findings",
    "train",
]

if TYPE_CHECKING:
    from seepseg import errors, losses, metrics, models
    from seepseg.api.findings import read_findings
    from seepseg.api.model import Model, load
    from seepseg.api.prediction import Prediction
    from seepseg.api.training import train
else:
    from seepseg.lazy import attach

    __getattr__, __dir__ = attach(
        __name__,
        {
            "Model": "seepseg.api.model",
            "Prediction": "seepseg.api.prediction",
            "errors": "seepseg.errors",
            "load": "seepseg.api.model",
            "losses": "seepseg.losses",
            "metrics": "seepseg.metrics",
            "models": "seepseg.models",
            "read_findings": "seepseg.api.findings",
            "train": "seepseg.api.training",
        },
    )
