"""Scoring: predictions of labelled tiles against truth, summed in integers so that order and sharding do not matter."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray

from seepseg.config import Predict
from seepseg.data.loader import Batch
from seepseg.inference.decode import decode
from seepseg.inference.predictor import Predictor
from seepseg.losses.build import Loss
from seepseg.losses.functional import pixel_sums
from seepseg.metrics.confusion import Scores, confusion_matrix, scores
from seepseg.metrics.salt_score import tgs_scores


@dataclass
class TileResult:
    """One scored tile: image (C, H, W) standardised, truth and prediction (H, W), its own confusion matrix (K, K)."""

    id: str
    image: NDArray[np.float32]
    truth: NDArray[np.uint8]
    prediction: NDArray[np.uint8]
    matrix: NDArray[np.int64]


@dataclass(frozen=True)
class Answer:
    """One tile as the network sees it: id, image (C, h, w), truth and class map (h, w), probabilities (K, h, w)."""

    id: str
    image: NDArray[np.float32]
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
    """

    matrix: NDArray[np.int64]
    tiles: NDArray[np.int64]
    n_tiles: int = 0
    tgs_tenths: int = 0
    floats: dict[int, dict[str, list[float]]] = field(default_factory=dict)

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
    decide: Decide = lambda answers: answers,
) -> Sums:
    """Sums over numbered batches of labelled tiles; `on_tile` sees every tile in passing."""
    sums = Sums.empty(n_classes)
    for answer in decide(answers(predictor, batches, config, loss, sums.floats)):
        t, p = answer.truth, answer.prediction
        matrix = confusion_matrix(t, p, n_classes)
        sums.matrix += matrix
        sums.tiles += matrix.sum(1) > 0
        sums.n_tiles += 1
        if n_classes == 2:
            sums.tgs_tenths += round(10 * float(tgs_scores(t[None], p[None])[0]))
        if on_tile:
            on_tile(TileResult(answer.id, answer.image, t, p, matrix))
    return sums


def answers(
    predictor: Predictor,
    batches: Iterable[tuple[int, Batch]],
    config: Predict,
    loss: Loss | None = None,
    floats: dict[int, dict[str, list[float]]] | None = None,
) -> Iterator[Answer]:
    """The tiles of numbered batches one by one; with a loss, its sums over each batch go into `floats`."""
    for number, batch in batches:
        logits = predictor.logits(batch.image)
        probabilities = predictor.probabilities(batch.image, logits)
        masks = batch.mask.to(predictor.device)
        if loss is not None and floats is not None:
            floats[number] = _floats(loss, logits, probabilities, masks)
        predicted = decode(probabilities, batch.valid, config)
        truth = batch.mask.numpy().astype(np.uint8)
        for i, (h, w) in enumerate(batch.sizes):
            image = batch.image[i, :, :h, :w].numpy()
            yield Answer(batch.ids[i], image, truth[i, :h, :w], predicted[i, :h, :w], probabilities[i, :, :h, :w])


def _floats(
    loss: Loss, logits: torch.Tensor, probabilities: torch.Tensor, masks: torch.Tensor
) -> dict[str, list[float]]:
    n = len(masks)
    terms = {"loss" if k == "loss" else f"loss_{k}": [v.item() * n] for k, v in loss(logits, masks).items()}
    soft = {k: v.double().flatten().tolist() for k, v in pixel_sums(probabilities[:, 1:], masks).items()}
    return {"tiles": [float(n)]} | terms | soft
