"""Scoring: predictions of labelled tiles against truth, summed in integers so that order and sharding do not matter."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from seepseg.classes import IGNORE
from seepseg.config import Predict
from seepseg.data.loader import Batch
from seepseg.inference.decode import calibrated, decode
from seepseg.inference.predictor import Predictor, averaged
from seepseg.losses.build import Loss
from seepseg.losses.functional import pixel_sums
from seepseg.machine.ahead import in_streams
from seepseg.metrics.confusion import Scores, confusion_matrix, dice, scores
from seepseg.metrics.counts import Counts
from seepseg.metrics.salt_score import tgs_score
from seepseg.runs.fit import Fit


@dataclass
class Sums(Counts):
    """Sums over tiles.

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

    @classmethod
    def of_tile(cls, truth: NDArray[np.uint8], prediction: NDArray[np.uint8], n_classes: int) -> Sums:
        """Those of one tile, from class indices (H, W); 255 in truth counts nowhere."""
        matrix = confusion_matrix(truth, prediction, n_classes)
        tenths = round(10 * tgs_score(truth, prediction)) if n_classes == 2 else 0
        return cls(matrix, (matrix.sum(1) > 0).astype(np.int64), 1, tenths)

    def scores(self) -> Scores:
        """Scores of the confusion matrix."""
        return scores(self.matrix)

    @property
    def tgs_score(self) -> float | None:
        """Mean TGS score of the tiles."""
        return self.tgs_tenths / (10 * self.n_tiles) if self.n_tiles else None

    def means(self) -> dict[str, float | list[float]]:
        """Losses as means over tiles; `bce` and `soft_dice` per foreground class, from the pixel sums."""
        rows = [self.floats[number] for number in sorted(self.floats)]
        if not rows:
            return {}
        # Not every row holds every sum: training scores some batches only.
        names = dict.fromkeys(k for r in rows for k in r)
        total = {k: np.sum([r[k] for r in rows if k in r], axis=0) for k in names}
        out: dict[str, float | list[float]] = {
            k: float(v[0]) / max(float(total["tiles"][0]), 1) for k, v in total.items() if k.startswith("loss")
        }
        return out | (soft_means(total) if "tp" in total else {})


def soft_means(total: dict[str, NDArray[np.float64]]) -> dict[str, float | list[float]]:
    """BCE (mean over valid pixels) and soft Dice of each foreground class from summed `pixel_sums`."""
    return {
        "bce": (total["bce"] / max(float(total["count"][0]), 1)).tolist(),
        "soft_dice": np.nan_to_num(dice(total["tp"], total["fp"], total["fn"])).tolist(),
    }


@dataclass(frozen=True, eq=False)
class TileResult:
    """One scored tile.

    Attributes:
        image: (C, H, W) standardised.
        truth, prediction: (H, W) class indices, 255 = no data.
        probabilities: (K, H, W), averaged and calibrated, background first.
        sums: those of this tile.
    """

    id: str
    image: NDArray[np.float32]
    truth: NDArray[np.uint8]
    prediction: NDArray[np.uint8]
    probabilities: NDArray[np.float32]
    sums: Sums


@dataclass(frozen=True)
class Answer:
    """One predicted tile: id, image (C, h, w), truth (255 = not known) and class map (h, w), probabilities (K, h, w).

    The image is the one that was given to the network in evaluation, and as it is in its file in prediction.
    """

    id: str
    image: NDArray[Any]
    truth: NDArray[np.uint8]
    prediction: NDArray[np.uint8]
    probabilities: Tensor


Decide = Callable[[Iterator[Answer]], Iterator[Answer]]
"""Goes over the answers in their order and changes the classes of whole objects, which may reach over several tiles."""


@dataclass(frozen=True)
class Decoding:
    """How probabilities become classes.

    Attributes:
        config: `predict` of the config, with the threshold and the minimum size of a fit in it (`Fit.onto`).
        fit: gives temperature and class offsets.
        decide: decides whole objects, last.
    """

    config: Predict
    fit: Fit | None = None
    decide: Decide = lambda answers: answers


class Network(NamedTuple):
    """A network of an ensemble and its batches: the same tiles, as it scales them."""

    predictor: Predictor
    batches: Iterable[Batch]


class Pass(NamedTuple):
    """A batch after the network: number, logits (N, C, H, W), probabilities (N, K, H, W), masks (N, H, W).

    Of an ensemble the logits are those of the first network, and the probabilities the mean.
    """

    number: int
    logits: Tensor
    probabilities: Tensor
    masks: Tensor


def score(
    predictor: Predictor,
    batches: Iterable[tuple[int, Batch]],
    n_classes: int,
    decoding: Decoding,
    loss: Loss | None = None,
    on_tile: Callable[[TileResult], None] | None = None,
    on_batch: Callable[[Tensor, Tensor], None] | None = None,
    others: Sequence[Network] = (),
) -> Sums:
    """Sums over numbered batches of labelled tiles, as one network predicts them, or the mean of several.

    In passing, `on_tile` sees every tile, and `on_batch` the probabilities (N, K, H, W) and masks (N, H, W) of every
    batch.
    """
    total = Sums.empty(n_classes)
    floats: dict[int, dict[str, list[float]]] = {}

    def after_network(batch: Pass) -> None:
        if loss is not None:
            floats[batch.number] = _floats(loss, batch)
        if on_batch is not None:
            on_batch(batch.probabilities, batch.masks)

    for answer in decoding.decide(answers(predictor, batches, decoding, after_network, others)):
        sums = Sums.of_tile(answer.truth, answer.prediction, n_classes)
        total += sums
        if on_tile:
            planes = calibrated(answer.probabilities, decoding.fit, axis=0).cpu().numpy()
            on_tile(TileResult(answer.id, answer.image, answer.truth, answer.prediction, planes, sums))
    return replace(total, floats=floats)


def answers(
    predictor: Predictor,
    batches: Iterable[tuple[int, Batch]],
    decoding: Decoding,
    after_network: Callable[[Pass], None] = lambda batch: None,
    others: Sequence[Network] = (),
) -> Iterator[Answer]:
    """The tiles of numbered batches one by one, each decoded on its own; `after_network` sees every batch.

    The probabilities are those of the predictor, or their mean with those of `others`.
    """

    def passed(item: tuple[tuple[int, Batch], *tuple[Batch, ...]]) -> tuple[Tensor, Tensor]:
        (_, batch), *beside = item
        logits = predictor.logits(batch.image)
        own = [batch.within(predictor.probabilities(batch.image, logits))]
        for other, same in zip(others, beside, strict=True):
            own.append(same.within(other.predictor.probabilities(same.image)))
        return batch.within(logits), averaged(own)

    items = zip(batches, *(other.batches for other in others), strict=True)
    for ((number, batch), *_), (logits, probabilities) in in_streams(passed, items, predictor.device):
        with torch.inference_mode():
            after_network(Pass(number, logits, probabilities, batch.mask.to(predictor.device)))
            predicted = decode(probabilities, batch.valid, decoding.config, decoding.fit)
        truth, images = batch.mask.numpy().astype(np.uint8), batch.within(batch.image)
        for i, (h, w) in enumerate(batch.sizes):
            image = images[i, :, :h, :w].numpy()
            yield Answer(batch.ids[i], image, truth[i, :h, :w], predicted[i, :h, :w], probabilities[i, :, :h, :w])


def of_batch(terms: Mapping[str, Tensor], masks: Tensor) -> dict[str, list[float]]:
    """How many tiles of a batch have a label, and each of its mean losses times as many.

    A tile without a labelled pixel has no loss, and would only make the mean smaller.
    """
    n = int((masks != IGNORE).flatten(1).any(1).sum())
    return {"tiles": [float(n)]} | {k if k == "loss" else f"loss_{k}": [v.item() * n] for k, v in terms.items()}


def _floats(loss: Loss, batch: Pass) -> dict[str, list[float]]:
    soft = pixel_sums(batch.probabilities[:, 1:], batch.masks)
    losses = of_batch(loss(batch.logits, batch.masks), batch.masks)
    return losses | {k: v.double().flatten().tolist() for k, v in soft.items()}
