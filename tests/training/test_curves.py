from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from sklearn.metrics import precision_recall_fscore_support

from seepseg.training import curves
from seepseg.training.curves import BINS, PixelCounts, draw_training, precision_recall, probability_counts


def test_counts_of_three_pixels_by_hand() -> None:
    # Bin = floor(126 p): .5 → 63, 1 → 126, 0 → 0; the fourth pixel is ignored.
    likely = torch.tensor([0.5, 1.0, 0.0, 0.9]).view(1, 1, 2, 2)
    mask = torch.tensor([[[1, 0], [1, 255]]])
    counts = probability_counts(likely, mask)
    assert counts.shape == (1, 2, BINS)
    assert counts.nonzero().tolist() == [[0, 0, 126], [0, 1, 0], [0, 1, 63]]
    tp, fp, tn, fn, precision, recall = precision_recall(counts[0].numpy())
    # From 0 all are predicted: 2 right of 3. From bin 1 one of the two is found; from bin 64 none.
    assert [x[0] for x in (tp, fp, tn, fn)] == [2, 1, 0, 0]
    assert [x[63] for x in (tp, fp, tn, fn, precision, recall)] == [1, 1, 0, 1, 0.5, 0.5]
    assert [x[64] for x in (tp, fp, tn, fn, precision, recall)] == [0, 1, 0, 2, 0, 0]


def test_batches_add_up_to_what_scikit_learn_finds_at_each_threshold() -> None:
    torch.manual_seed(0)
    probabilities = torch.softmax(3 * torch.randn(6, 4, 9, 9), 1)
    mask = torch.randint(0, 4, (6, 9, 9))
    mask[0, :4] = 255
    pixels = PixelCounts()
    for part in (slice(0, 2), slice(2, 6)):
        pixels.update(probabilities[part], mask[part])
    counts = pixels.compute()
    assert counts is not None
    known = (mask != 255).flatten()
    for c in (1, 2, 3):
        _, _, _, _, precision, recall = precision_recall(counts[c - 1])
        p = probabilities[:, c].flatten()[known]
        for i in (0, 20, 63, 100):
            expected = precision_recall_fscore_support(
                (mask.flatten()[known] == c).numpy(), (p >= i / (BINS - 1)).numpy(), average="binary", zero_division=0.0
            )
            np.testing.assert_allclose((precision[i], recall[i]), expected[:2])


def test_no_batch_no_curve() -> None:
    assert PixelCounts().compute() is None


def rows(*scores: float) -> list[dict[str, float]]:
    """Epochs of a salt run in two stages, the second from the third epoch on; training is scored from the second."""
    made = []
    for n, score in enumerate(scores):
        row = {f"{part}/loss": 1 - score for part in ("train", "val")} | {"stage": 1.0 + (n > 1)}
        row |= {f"{part}/{m}/{k}": score for part in ("train", "val") for m in ("dice", "iou")
                for k in ("foreground", "macro") if part == "val" or n}  # fmt: skip
        made.append(row | {"val/tgs_score": score / 2, "val/tgs_score/nothing": 0.4})
    return made


def test_what_the_curves_of_a_run_show(monkeypatch: pytest.MonkeyPatch) -> None:
    shown: list[Any] = []
    monkeypatch.setattr(curves, "save_training", lambda *args: shown.append(args))
    draw_training(Path("c.png"), rows(0.2, 0.6, 0.8), 3, 2)
    draw_training(Path("c.png"), rows(0.2, 0.6, 0.8), 3, 8)
    path, panels, best, stages = shown[0]
    assert (path, best, stages) == (Path("c.png"), 3, [2])
    assert {title: list(lines) for title, lines in panels.items()} == {
        "loss": ["training", "validation"],
        "Dice": ["training", "validation"],
        "IoU": ["training", "validation"],
        "TGS score": ["validation", "validation, predicting nothing"],
    }
    assert panels["loss"]["validation"] == pytest.approx([0.8, 0.4, 0.2])
    assert np.isnan(panels["Dice"]["training"][0])
    assert panels["TGS score"]["validation, predicting nothing"] == [0.4] * 3
    # With several classes their mean is a curve of its own.
    assert list(shown[1][1]["IoU"]) == ["training", "validation", "training, macro", "validation, macro"]


@pytest.mark.parametrize("epochs", [1, 4])
def test_the_curves_are_a_picture(epochs: int, tmp_path: Path) -> None:
    draw_training(tmp_path / "c.png", rows(*np.linspace(0.2, 0.8, epochs)), epochs, 2)
    with Image.open(tmp_path / "c.png") as picture:
        colors = {color for _, color in picture.convert("RGB").getcolors(10**6) or ()}
    # Training is blue, validation vermilion.
    assert {(0x00, 0x72, 0xB2), (0xD5, 0x5E, 0x00)} <= colors
