"""Decoding: from probabilities to one class a pixel, in one place and one order."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from seepseg.classes import IGNORE
from seepseg.config import Predict
from seepseg.objects import remove_small


def decode(probabilities: Tensor, valid: Tensor, config: Predict) -> NDArray[np.uint8]:
    """Class indices (N, H, W) of averaged probabilities (N, K, H, W); `IGNORE` where not valid (N, H, W).

    Without a threshold the likeliest of all K classes wins. With one, a pixel is foreground where
    1 − P(background) reaches it, and then the likeliest foreground class. Objects below `min_pixels` go last.
    """
    if config.threshold is None:
        indices = probabilities.argmax(1)
    else:
        foreground = 1 - probabilities[:, 0] >= config.threshold
        indices = (probabilities[:, 1:].argmax(1) + 1) * foreground
    classes = indices.to("cpu", torch.uint8).numpy()
    if config.min_pixels > 1:
        classes = np.stack([remove_small(c, config.min_pixels) for c in classes])
    return np.where(valid.cpu().numpy(), classes, np.uint8(IGNORE))
