from __future__ import annotations

import numpy as np

from seepseg.config import Config
from seepseg.training.panels import panels
from tests.training.trainers import trainer_of


def test_panels_show_the_tiles_with_the_most_classes(tiny: Config) -> None:
    trainer = trainer_of(tiny)
    pictures = panels(trainer)
    assert len(pictures) == 4
    held = {t.id: sum(p > 0 for p in (t.pixels or ())[1:]) for t in trainer.data.val.catalog.tiles}
    assert sorted((held[name] for name in pictures), reverse=True) == sorted(held.values(), reverse=True)[:4]
    for picture in pictures.values():
        assert picture.dtype == np.uint8
        assert picture.shape[2] == 3
