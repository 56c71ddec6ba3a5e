from __future__ import annotations

import numpy as np
import torch
from sklearn.metrics import precision_recall_fscore_support

from seepseg.training.curves import BINS, Curves, precision_recall, probability_counts


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
    curves = Curves()
    for part in (slice(0, 2), slice(2, 6)):
        curves.see(probabilities[part], mask[part])
    counts = curves.total()
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
    assert Curves().total() is None
