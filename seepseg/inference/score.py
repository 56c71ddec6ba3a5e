"""Scoring: predictions of labelled tiles against truth, summed in integers so that order and sharding do not matter."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

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


@dataclass(frozen=True)
class Answer:
    """One tile: id, image (C, h, w), truth (255 = not known) and class map (h, w), probabilities (K, h, w).

    The image is the one that was given to the network in evaluation, and as it is in its file in prediction.
    """

    id: str
    image: NDArray[Any]
    truth: NDArray[np.uint8]
    prediction: NDArray[np.uint8]
    probabilities: torch.Tensor


Decide = Callable[[Iterator[Answer]], Iterator[Answer]]
"""Goes over the answers in their order and changes predictions by what it knows of more than one tile."""


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


def score(
    predictor: Predictor,
    batches: Iterable[tuple[int, Batch]],
    n_classes: int,
    config: Predict,
    loss: Loss | None = None,
    on_tile: Callable[[TileResult], None] | None = None,
    on_batch: Callable[[torch.Tensor, torch.Tensor], None] | None = None,
    fit: Fit | None = None,
    decide: Decide = lambda answers: answers,
) -> Sums:
    """Sums over numbered batches of labelled tiles.

    In passing, `on_tile` sees every tile, and `on_batch` the probabilities (N, K, H, W) and masks (N, H, W) of every
    batch. The threshold and least size of a fit are in the config already (`Fit.onto`).
    """
    sums = Sums.empty(n_classes)

    def on_logits(number: int, logits: torch.Tensor, probabilities: torch.Tensor, masks: torch.Tensor) -> None:
        if loss is not None:
            sums.floats[number] = _floats(loss, logits, probabilities, masks)
        if on_batch is not None:
            on_batch(probabilities, masks)

    for answer in decide(answers(predictor, batches, config, fit, sums, on_logits)):
        t, p = answer.truth, answer.prediction
        matrix = confusion_matrix(t, p, n_classes)
        sums.matrix += matrix
        sums.tiles += matrix.sum(1) > 0
        sums.n_tiles += 1
        if n_classes == 2:
            sums.tgs_tenths += round(10 * float(tgs_scores(t[None], p[None])[0]))
        if on_tile:
            likely = calibrated(answer.probabilities, fit, axis=0).cpu().numpy()
            on_tile(TileResult(answer.id, answer.image, t, p, matrix, likely))
    return sums


def answers(
    predictor: Predictor,
    batches: Iterable[tuple[int, Batch]],
    config: Predict,
    fit: Fit | None = None,
    sums: Sums | None = None,
    on_logits: Callable[[int, torch.Tensor, torch.Tensor, torch.Tensor], None] | None = None,
) -> Iterator[Answer]:
    """The tiles of numbered batches one by one; the network's time is added to `sums`.

    `on_logits` sees number, logits, probabilities and masks of every batch.
    """
    for number, batch in batches:
        with torch.inference_mode():
            begin = time.perf_counter()
            logits = predictor.logits(batch.image)
            probabilities = batch.within(predictor.probabilities(batch.image, logits))
            if predictor.device.type == "cuda":
                torch.cuda.synchronize(predictor.device)
            if sums is not None:
                sums.seconds += time.perf_counter() - begin
            if on_logits is not None:
                on_logits(number, batch.within(logits), probabilities, batch.mask.to(predictor.device))
            predicted = decode(probabilities, batch.valid, config, fit)
        truth, images = batch.mask.numpy().astype(np.uint8), batch.within(batch.image)
        for i, (h, w) in enumerate(batch.sizes):
            image = images[i, :, :h, :w].numpy()
            yield Answer(batch.ids[i], image, truth[i, :h, :w], predicted[i, :h, :w], probabilities[i, :, :h, :w])


def _floats(
    loss: Loss, logits: torch.Tensor, probabilities: torch.Tensor, masks: torch.Tensor
) -> dict[str, list[float]]:
    n = len(masks)
    terms = {"loss" if k == "loss" else f"loss_{k}": [v.item() * n] for k, v in loss(logits, masks).items()}
    soft = {k: v.double().flatten().tolist() for k, v in pixel_sums(probabilities[:, 1:], masks).items()}
    return {"tiles": [float(n)]} | terms | soft
