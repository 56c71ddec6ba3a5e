"""Pictures of validation tiles while a run goes on."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from seepseg.data.dataset import Draw
from seepseg.data.loader import collate
from seepseg.figures import panel
from seepseg.inference.decode import decode
from seepseg.inference.predictor import Predictor
from seepseg.training.state import Trainer

PANELS = 4


def panels(trainer: Trainer) -> dict[str, NDArray[np.uint8]]:
    """Image, truth, prediction and error of the validation tiles with the most classes, by tile name."""
    val, config = trainer.data.val, trainer.config
    trainer.predicts.eval()
    held = (val.catalog.pixels()[:, 1:] > 0).sum(1)
    chosen = np.argsort(-held, kind="stable")[:PANELS]
    batch = collate([val[Draw(int(i))] for i in chosen])
    predictor = Predictor(trainer.predicts, config, trainer.device)
    predicted = decode(batch.within(predictor.probabilities(batch.image)), batch.valid, config.predict)
    images = batch.within(batch.image)
    return {
        name: panel(
            images[i, 0, :h, :w].numpy(),
            batch.mask[i, :h, :w].numpy().astype(np.uint8),
            predicted[i, :h, :w],
            trainer.data.classes,
        )
        for i, (name, (h, w)) in enumerate(zip(batch.ids, batch.sizes, strict=True))
    }
