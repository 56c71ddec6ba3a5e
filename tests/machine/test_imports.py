"""What a process of our own leaves out of MONAI: nothing else misses it."""

from __future__ import annotations

import subprocess
import sys

SCRIPT = """
import sys, threading
from seepseg.machine.imports import TAKEN_ALONG, import_monai_alone
import_monai_alone()
import_monai_alone()
import torch
from seepseg.config import parse
from seepseg.models.build import build_model
assert "monai" in sys.modules
assert not TAKEN_ALONG & sys.modules.keys(), TAKEN_ALONG & sys.modules.keys()
for name in ("unet", "basic_unet", "attention_unet", "segresnet", "resunet_scse", "effunet_scse"):
    tree = {"data": {"source": "seep", "root": "x"}, "model": {"name": name}}
    network = build_model(parse(tree, "test").model, 1, 8).eval()
    assert network(torch.zeros(1, 1, 32, 32)).shape == (1, 8, 32, 32), name
import matplotlib.figure, pandas, scipy.signal, skimage.morphology, sklearn.metrics
from torch.utils.tensorboard import SummaryWriter
"""


def test_networks_need_nothing_that_monai_takes_along_and_others_still_get_it() -> None:
    done = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
