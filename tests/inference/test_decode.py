from __future__ import annotations

import torch

from seepseg.config import Predict
from seepseg.inference.decode import decode

LIKELY = torch.tensor([[0.5, 0.3, 0.2], [0.45, 0.3, 0.25], [0.2, 0.1, 0.7]]).T.reshape(1, 3, 1, 3)
VALID = torch.ones(1, 1, 3, dtype=torch.bool)


def test_the_likeliest_class_wins_without_a_threshold() -> None:
    assert decode(LIKELY, VALID, Predict()).tolist() == [[[0, 0, 2]]]


def test_a_threshold_asks_foreground_first_and_class_then() -> None:
    # 1 − P(background): .5, .55, .8; the likeliest foreground classes are 1, 1, 2
    assert decode(LIKELY, VALID, Predict(threshold=0.55)).tolist() == [[[0, 1, 2]]]
    assert decode(LIKELY, VALID, Predict(threshold=0.5)).tolist() == [[[1, 1, 2]]]


def test_invalid_pixels_are_255_and_small_objects_go() -> None:
    valid = torch.tensor([[[True, True, False]]])
    assert decode(LIKELY, valid, Predict(threshold=0.5)).tolist() == [[[1, 1, 255]]]
    assert decode(LIKELY, VALID, Predict(threshold=0.55, min_pixels=2)).tolist() == [[[0, 1, 2]]]
    assert decode(LIKELY, VALID, Predict(threshold=0.55, min_pixels=3)).tolist() == [[[0, 0, 0]]]
