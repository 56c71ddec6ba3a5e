"""Nothing of seepseg asks the network for anything; that commands do not is in tests/cli/test_record.py."""

from __future__ import annotations

import os
import socket
import subprocess
import sys

import pytest

from tests.network import cut

EVERY_MODULE = (
    "import importlib, pkgutil, seepseg\n"
    "for module in pkgutil.walk_packages(seepseg.__path__, 'seepseg.'):\n"
    "    module.name == 'seepseg.__main__' or importlib.import_module(module.name)\n"
    "import albumentations, monai, mlflow, onnx, onnxruntime, onnxscript, tensorboard.main, torch.utils.tensorboard\n"
)
ASKS = "import socket; socket.create_connection(('192.0.2.1', 80), 1)"
QUIET = {"NO_ALBUMENTATIONS_UPDATE", "MLFLOW_DISABLE_TELEMETRY", "ORT_DISABLE_TELEMETRY", "DO_NOT_TRACK", "CI"}
"""What libraries heed, and seepseg must set by itself."""


def test_whoever_asks_is_noticed() -> None:
    import rasterio

    with cut() as asked:
        assert asked() == []
        with pytest.raises(OSError, match="the network is cut"):
            socket.create_connection(("192.0.2.1", 80), 1)
        assert len(asked()) == 1
    # Others' processes and libraries in C are noticed where the system lends a network of its own.
    for ask in (
        lambda: subprocess.run([sys.executable, "-c", ASKS], capture_output=True, check=True),
        lambda: rasterio.open("/vsicurl/http://192.0.2.1/x.tif"),
    ):
        with cut() as asked:
            with pytest.raises((subprocess.CalledProcessError, rasterio.errors.RasterioIOError)):
                ask()
            noticed = asked()
        assert bool(noticed) == (sys.platform == "linux" and os.geteuid() == 0)
    with cut() as asked:
        assert asked() == []
    # What the block has cut is whole behind it.
    assert socket.getaddrinfo("localhost", 80)


def test_importing_every_module_asks_for_nothing() -> None:
    kept = {name: value for name, value in os.environ.items() if name not in QUIET}
    with cut() as asked:
        done = subprocess.run(
            [sys.executable, "-W", "ignore", "-c", EVERY_MODULE], env=kept, capture_output=True, text=True, check=False
        )
        assert (done.returncode, asked()) == (0, []), done.stderr
