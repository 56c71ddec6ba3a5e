"""Decoding: from averaged probabilities to one class per pixel, in one place and one order."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from seepseg.classes import IGNORE
from seepseg.config import Head, Predict
from seepseg.errors import DataError
from seepseg.metrics.calibration import apply_temperature
from seepseg.objects.components import elect, label_objects, log_sums, remove_small
from seepseg.runs.fit import Fit


def decode(probabilities: Tensor, valid: Tensor, config: Predict, fit: Fit | None = None) -> NDArray[np.uint8]:
    """Class indices (N, H, W) of averaged probabilities (N, K, H, W); `IGNORE` where not valid (N, H, W).

    As `most_probable`; then, with `vote`, one class per object; objects below `min_pixels` go last. A fit gives
    temperature and offsets; its threshold and size are in the config already (`Fit.onto`).
    """
    indices = most_probable(probabilities, config.threshold, fit).cpu().numpy()
    classes = np.where(valid.cpu().numpy(), indices, np.uint8(IGNORE))
    if config.vote:
        planes = probabilities.permute(0, 2, 3, 1).float().cpu().numpy()
        classes = np.stack([vote(c, p) for c, p in zip(classes, planes, strict=True)])
    if config.min_pixels > 1:
        classes = np.stack([remove_small(c, config.min_pixels) for c in classes])
    return classes


def vote(classes: NDArray[np.uint8], probabilities: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Class indices (H, W) with one class per object, chosen by its mean log-probabilities (H, W, K)."""
    labels, count = label_objects(classes)
    if not count:
        return classes
    chosen = elect(log_sums(labels, probabilities, count + 1))
    return np.where(labels > 0, chosen[labels], classes)


def most_probable(probabilities: Tensor, threshold: float | None, fit: Fit | None = None) -> Tensor:
    """Class indices uint8 (N, H, W) of averaged probabilities (N, K, H, W).

    Without a threshold the most probable of all K classes wins, the first among equals. With one, a pixel is foreground
    where 1 − P(background), at the temperature of the fit, reaches it, and then the most probable foreground class,
    the offsets of the fit added to the logarithms. Classes are compared before the temperature: it keeps their order,
    but below 1 several may round to the same number.

    Raises:
        DataError: a probability is not a number.
    """
    background = probabilities[:, 0]
    nan = DataError("the network gives NaN", "", "set runtime.amp=off, or bf16 where there is a choice")
    if bool(background.isnan().any()):
        # A comparison with NaN is false, and the map would say background.
        raise nan
    # Nearly all of the sea is background. Where its probability is above one half nothing else can win, so the classes
    # are compared at the few other pixels only: comparing them everywhere takes longer than the network's softmax.
    if threshold is None:
        open_pixels = background < 0.501
    else:
        open_pixels = 1 - (calibrated(probabilities, fit)[:, 0] if fit else background) >= threshold
    indices = torch.zeros(background.shape, dtype=torch.uint8, device=background.device)
    candidates = probabilities.permute(0, 2, 3, 1)[open_pixels]
    if bool(candidates.isnan().any()):
        raise nan
    if threshold is None:
        indices[open_pixels] = candidates.argmax(1).to(torch.uint8)
    else:
        foreground = candidates[:, 1:]
        if fit and fit.offsets:
            foreground = foreground * torch.tensor(fit.offsets, device=foreground.device).exp()
        indices[open_pixels] = (foreground.argmax(1) + 1).to(torch.uint8)
    return indices


class Bound(NamedTuple):
    """Pixels that are background for certain, which is all that is asked of most of the sea.

    The margin of a pixel is the largest of its logits `first` … `last` − 1, with `relative` less that of the
    background.

    Attributes:
        margin: the largest at which it is certain.
        background: the probability of background above which it is certain.
    """

    first: int
    last: int
    relative: bool
    margin: float
    background: float


def background_bound(head: Head, n_classes: int, threshold: float | None, fit: Fit | None = None) -> Bound:
    """The pixels that `most_probable` calls background whatever their other logits.

    Without a threshold, those where no class has a larger logit (of a sigmoid: one above 0, probability one half).
    With threshold t and temperature T, those where even K − 1 classes of the largest logit would not reach t:
    (K − 1)·exp(margin / T) < t / (1 − t).
    """
    margin = 0.0
    if threshold is not None:
        temperature = fit.temperature if fit else 1.0
        odds = threshold / max(1 - threshold, 1e-9) / (n_classes - 1)
        # Beyond ±10, a probability is so near 0 or 1 that float32 rounds it visibly.
        small = odds < math.exp(-10)
        margin = -math.inf if small else min(temperature * math.log(odds), 10 * min(1, temperature)) - 0.02
    logits = {"softmax": (1, n_classes, True), "two_head": (0, 1, False)}.get(head, (0, n_classes - 1, False))
    return Bound(*logits, margin, 1 / (1 + math.exp(margin - 1e-3)))


def calibrated(probabilities: Tensor, fit: Fit | None, axis: int = 1) -> Tensor:
    """Averaged probabilities, classes along `axis`, at the temperature of a fit: what maps and reports show."""
    return apply_temperature(probabilities, fit.temperature, fit.head, axis) if fit else probabilities


def sure(probabilities: Tensor, threshold: float | None, fit: Fit | None) -> Tensor:
    """255 times the calibrated probability, uint8 (N, H, W), of the class that the network gives each pixel.

    Of averaged probabilities (N, K, H, W). A vote or an object classifier may choose another class.
    """
    own = most_probable(probabilities, threshold, fit).long()
    return (calibrated(probabilities, fit).gather(1, own[:, None])[:, 0] * 255).round().to(torch.uint8)


def uncertainty(probabilities: Tensor, axis: int = 1) -> Tensor:
    """Entropy of probabilities over its largest value log K, without `axis`: 0 = sure, 1 = all classes equal.

    Independent channels (sigmoid) are brought to a sum of one first; where all are 0, as outside the data, it is 0.
    """
    p = probabilities / probabilities.sum(axis, keepdim=True).clamp_min(1e-12)
    entropy: Tensor = torch.special.entr(p).sum(axis) / float(np.log(p.shape[axis]))
    return entropy.clamp(0, 1)
