from __future__ import annotations

import io

import numpy as np
import torch
from sklearn.ensemble import ExtraTreesClassifier

from seepseg.objects.forest import AT_ONCE, Forest, grow_forest


def test_a_forest_worked_by_hand() -> None:
    # Tree one asks feature 1 ≤ .5: left says class 1, right asks feature 0 ≤ 2: left class 0, right class 2.
    # Tree two is a single leaf: half 1, half 2.
    forest = Forest(
        roots=np.array([0, 5], np.int32),
        feature=np.array([1, -1, 0, -1, -1, -1], np.int16),
        threshold=np.array([0.5, 0, 2, 0, 0, 0], np.float64),
        left=np.array([1, 0, 3, 0, 0, 0], np.int32),
        right=np.array([2, 0, 4, 0, 0, 0], np.int32),
        value=np.array(
            [[0, 0, 0], [0, 1, 0], [0, 0, 0], [1, 0, 0], [0, 0, 1], [0, 0.5, 0.5]],
            np.float32,
        ),
    )
    found = forest.probabilities(np.array([[9, 0.5], [2, 0.6], [2.1, 0.6]], np.float32))
    assert found.tolist() == [[0, 0.75, 0.25], [0.5, 0.25, 0.25], [0, 0.25, 0.75]]


def test_numpy_answers_as_scikit_learn_does() -> None:
    rng = np.random.default_rng(0)
    features = rng.normal(size=(300, 6)).astype(np.float32)
    # Classes 0 and 3 never occur: their probability is 0, and the columns stay where they are.
    classes = np.array([1, 2, 4])[np.digitize(features[:, 0] + rng.normal(size=300), [0, 1])]
    forest = grow_forest(features, classes, 5, trees=20, leaf=3, seed=7)
    # A class weighs as the root of its number, so each of its objects as one over that root.
    weight = np.array([1 / np.sqrt((classes == c).sum()) for c in classes])
    oracle = ExtraTreesClassifier(20, min_samples_leaf=3, max_features=0.5, random_state=7)
    oracle.fit(features, classes, weight / weight.mean())
    unseen = rng.normal(size=(AT_ONCE + 500, 6)).astype(np.float32)
    found = forest.probabilities(unseen)
    assert (found[:, [0, 3]] == 0).all()
    np.testing.assert_allclose(found[:, [1, 2, 4]], oracle.predict_proba(unseen), atol=1e-6)


def test_a_forest_survives_a_checkpoint() -> None:
    rng = np.random.default_rng(1)
    features = rng.normal(size=(50, 3)).astype(np.float32)
    forest = grow_forest(features, (features[:, 0] > 0).astype(np.int64), 2, trees=5, leaf=1, seed=0)
    buffer = io.BytesIO()
    torch.save(forest.to_plain(), buffer)
    buffer.seek(0)
    again = Forest.from_plain(torch.load(buffer, weights_only=True))
    assert np.array_equal(again.probabilities(features), forest.probabilities(features))
    # With one object a leaf, a forest knows what it has seen.
    assert np.array_equal(forest.probabilities(features).argmax(1), features[:, 0] > 0)
