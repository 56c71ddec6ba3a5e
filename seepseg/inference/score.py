"""Scoring: predictions of labelled tiles against truth, summed in integers so that order and sharding do not matter."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray

from seepseg.config import Predict
from seepseg.data.loader import Batch
from seepseg.inference.decode import calibrated, decode
from seepseg.inference.predictor import Predictor
from seepseg.losses.build import Loss
from seepseg.losses.functional import pixel_sums
from seepseg.metrics.confusion import Scores, confusion_matrix, scores
from seepseg.metrics.salt_score import tgs_scores
from seepseg.runs.fit import Fit


@dataclass
class TileResult:
    """One scored tile.

    Attributes:
        image: (C, H, W) standardised.
        truth, prediction: (H, W) class indices, 255 = no data.
        matrix: its own confusion matrix (K, K).
        probabilities: (K, H, W), averaged and calibrated, background first.
    """

    id: str
    image: NDArray[np.float32]
    truth: NDArray[np.uint8]
    prediction: NDArray[np.uint8]
    matrix: NDArray[np.int64]
    probabilities: NDArray[np.float32]


@dataclass
class Sums:
    """What a pass over tiles adds up to.

    Attributes:
        matrix: confusion matrix (K, K), rows truth.
        tiles: tiles that hold each class (K).
        n_tiles: tiles scored.
        tgs_tenths: sum over tiles of ten times the TGS score; an integer, because a tile's score is k/10.
        floats: per batch, the losses and the soft sums; kept apart so that they are added in one order everywhere.
        seconds: time spent in the network.
    """

    matrix: NDArray[np.int64]
    tiles: NDArray[np.int64]
    n_tiles: int = 0
    tgs_tenths: int = 0
    floats: dict[int, dict[str, list[float]]] = field(default_factory=dict)
    seconds: float = 0.0

    @classmethod
    def empty(cls, n_classes: int) -> Sums:
        """Sums of nothing."""
        return cls(np.zeros((n_classes, n_classes), np.int64), np.zeros(n_classes, np.int64))

    def scores(self) -> Scores:
        """Scores of the confusion matrix."""
        return scores(self.matrix, self.tiles[1:].tolist())

    @property
    def tgs_score(self) -> float | None:
        """Mean TGS score of the tiles."""
        return self.tgs_tenths / (10 * self.n_tiles) if self.n_tiles else None

    def merge(self, other: Sums) -> Sums:
        """Both sums as one."""
        return Sums(
            self.matrix + other.matrix,
            self.tiles + other.tiles,
            self.n_tiles + other.n_tiles,
            self.tgs_tenths + other.tgs_tenths,
            self.floats | other.floats,
            self.seconds + other.seconds,
        )

    def means(self) -> dict[str, float | list[float]]:
        """Losses as means over tiles; `bce` and `soft_dice` per foreground class, from the pixel sums."""
        rows = [self.floats[number] for number in sorted(self.floats)]
        if not rows:
            return {}
        # Not every row holds every sum: training scores some batches only.
        names = dict.fromkeys(k for r in rows for k in r)
        total = {k: np.sum([r[k] for r in rows if k in r], axis=0) for k in names}
        out: dict[str, float | list[float]] = {
            k: float(v[0]) / float(total["tiles"][0]) for k, v in total.items() if k.startswith("loss")
        }
        return out | (soft_means(total) if "tp" in total else {})


def soft_means(total: dict[str, NDArray[np.float64]]) -> dict[str, float | list[float]]:
    """BCE (mean over valid pixels) and soft Dice of each foreground class from summed `pixel_sums`."""
    tp, fp, fn = total["tp"], total["fp"], total["fn"]
    return {
        "bce": (total["bce"] / max(float(total["count"][0]), 1)).tolist(),
        "soft_dice": (2 * tp / np.maximum(2 * tp + fp + fn, 1e-12)).tolist(),
    }


@torch.inference_mode()
def score(
    predictor: Predictor,
    batches: Iterable[tuple[int, Batch]],
    n_classes: int,
    config: Predict,
    loss: Loss | None = None,
    on_tile: Callable[[TileResult], None] | None = None,
    fit: Fit | None = None,
) -> Sums:
    """Sums over numbered batches of labelled tiles; `on_tile` sees every tile in passing.

    A fit lays its threshold and least size over those of the config.
    """
    config = fit.onto(config) if fit else config
    sums = Sums.empty(n_classes)
    for number, batch in batches:
        begin = time.perf_counter()
        logits = predictor.logits(batch.image)
        probabilities = predictor.probabilities(batch.image, logits)
        if predictor.device.type == "cuda":
            torch.cuda.synchronize(predictor.device)
        sums.seconds += time.perf_counter() - begin
        masks = batch.mask.to(predictor.device)
        if loss is not None:
            sums.floats[number] = _floats(loss, logits, probabilities, masks)
        predicted = decode(probabilities, batch.valid, config, fit)
        likely = calibrated(probabilities, fit).cpu().numpy() if on_tile else None
        truth = batch.mask.numpy().astype(np.uint8)
        for i, (height, width) in enumerate(batch.sizes):
            t, p = truth[i, :height, :width], predicted[i, :height, :width]
            matrix = confusion_matrix(t, p, n_classes)
            sums.matrix += matrix
            sums.tiles += matrix.sum(1) > 0
            sums.n_tiles += 1
            if n_classes == 2:
                sums.tgs_tenths += round(10 * float(tgs_scores(t[None], p[None])[0]))
            if on_tile and likely is not None:
                image = batch.image[i, :, :height, :width].numpy()
                on_tile(TileResult(batch.ids[i], image, t, p, matrix, likely[i, :, :height, :width]))
    return sums


def _floats(
    loss: Loss, logits: torch.Tensor, probabilities: torch.Tensor, masks: torch.Tensor
) -> dict[str, list[float]]:
    n = len(masks)
    terms = {"loss" if k == "loss" else f"loss_{k}": [v.item() * n] for k, v in loss(logits, masks).items()}
    soft = {k: v.double().flatten().tolist() for k, v in pixel_sums(probabilities[:, 1:], masks).items()}
    return {"tiles": [float(n)]} | terms | soft
