"""A forest of decision trees as plain arrays: grown by scikit-learn, kept in a checkpoint, evaluated by numpy."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

AT_ONCE = 1024
"""Objects classified at once: every tree's answer for each is in memory, and a noisy scene may have 100 000 objects."""


@dataclass(frozen=True, eq=False)
class Forest:
    """Extremely randomised trees (Geurts et al. 2006), the nodes of all of them in one table.

    Attributes:
        roots: (T) the first node of each tree.
        feature: (N) index of the feature that a node tests; −1 in a leaf.
        threshold: (N) the highest value that leads to the left.
        left, right: (N) the nodes below.
        value: (N, K) shares of the classes among the objects that reached the node.
    """

    roots: NDArray[np.int32]
    feature: NDArray[np.int16]
    threshold: NDArray[np.float64]
    left: NDArray[np.int32]
    right: NDArray[np.int32]
    value: NDArray[np.float32]

    def probabilities(self, features: NDArray[np.float32]) -> NDArray[np.float64]:
        """Class probabilities (n, K) of features (n, F): the mean over the trees."""
        parts = [self._answers(features[i : i + AT_ONCE]) for i in range(0, len(features), AT_ONCE)]
        return np.concatenate(parts) if parts else np.zeros((0, self.value.shape[1]))

    def _answers(self, features: NDArray[np.float32]) -> NDArray[np.float64]:
        rows = np.arange(len(features))[:, None]
        node = np.broadcast_to(self.roots, (len(features), len(self.roots)))
        while (self.feature[node] >= 0).any():
            goes_left = features[rows, np.maximum(self.feature[node], 0)] <= self.threshold[node]
            node = np.where(self.feature[node] < 0, node, np.where(goes_left, self.left[node], self.right[node]))
        return np.asarray(self.value[node].mean(1, dtype=np.float64))

    def check(self, n_classes: int, n_features: int) -> None:
        """Raise ValueError where these are no trees: a node leads to later ones only, so that each way has an end.

        And where they ask for a feature that is not among so many.
        """
        nodes, inner = len(self.feature), self.feature >= 0
        ends = np.stack([self.left, self.right])[:, inner] if len(self.left) == len(self.right) == nodes else None
        if (
            ends is None
            or self.threshold.shape != (nodes,)
            or self.value.shape != (nodes, n_classes)
            or not len(self.roots)
            or not (self.feature < n_features).all()
            or not ((self.roots >= 0) & (self.roots < nodes)).all()
            or not ((ends > np.flatnonzero(inner)) & (ends < nodes)).all()
            or not np.isfinite(self.value).all()
        ):
            raise ValueError("an object classifier that is no forest")

    def to_plain(self) -> dict[str, torch.Tensor]:
        """Tensors by name, for the checkpoint."""
        return {f.name: torch.from_numpy(getattr(self, f.name)) for f in fields(self)}

    @classmethod
    def from_plain(cls, plain: dict[str, Any]) -> Forest:
        """The forest that `to_plain` wrote."""
        return cls(**{f.name: plain[f.name].numpy() for f in fields(cls)})


def grow_forest(
    features: NDArray[np.float32], classes: NDArray[np.int64], n_classes: int, *, trees: int, leaf: int, seed: int
) -> Forest:
    """A forest grown on objects (n, F) of known classes (n); the weight of a class is the root of its number.

    With equal weights of classes, the most common one loses more than the others gain; without weights, the rare ones
    are lost.

    Args:
        trees: how many.
        leaf: minimum objects in a leaf.
        seed: the same one gives the same forest.
    """
    from sklearn.ensemble import ExtraTreesClassifier

    weight = 1 / np.sqrt(np.bincount(classes)[classes])
    # Half of the features at a node, not the root of their number: many of them are weak.
    ensemble = ExtraTreesClassifier(trees, min_samples_leaf=leaf, max_features=0.5, random_state=seed).fit(
        features, classes, weight / weight.mean()
    )
    first = np.cumsum([0] + [tree.tree_.node_count for tree in ensemble.estimators_]).astype(np.int32)
    grown = [tree.tree_ for tree in ensemble.estimators_]
    shares = np.concatenate([tree.value[:, 0] for tree in grown])
    value = np.zeros((first[-1], n_classes), np.float32)
    value[:, ensemble.classes_] = shares / shares.sum(1, keepdims=True)
    left, right = (
        np.concatenate([getattr(tree, side) + start for tree, start in zip(grown, first[:-1], strict=True)])
        for side in ("children_left", "children_right")
    )
    return Forest(
        roots=first[:-1],
        feature=np.concatenate([np.maximum(tree.feature, -1) for tree in grown]).astype(np.int16),
        threshold=np.concatenate([tree.threshold for tree in grown]),
        left=left.astype(np.int32),
        right=right.astype(np.int32),
        value=value,
    )
