"""The classifier of objects by their features in their scene, as checkpoints hold it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from seepseg.errors import ConfigError
from seepseg.objects.components import elect
from seepseg.objects.features import FEATURES
from seepseg.objects.forest import Forest


@dataclass(frozen=True)
class ObjectClassifier:
    """Forests whose class probabilities are averaged.

    Attributes:
        forests: each gives probabilities (K) from the `FEATURES`, then the network's `relative_logs` (K).
        tiles: ids of the tiles they were trained on; no score of any of them is decided by these forests.
    """

    forests: tuple[Forest, ...]
    tiles: frozenset[str]

    def has_not_seen(self, tiles: Iterable[str]) -> bool:
        """Whether it was trained on none of these tiles; only then may it decide a score of theirs."""
        return self.tiles.isdisjoint(tiles)

    def choose(self, features: NDArray[np.float32], logs: NDArray[np.float64]) -> NDArray[np.uint8]:
        """The class index (n) of each object: the one of highest mean probability over the forests.

        Objects without features, because their window is too large, get the class that the network gives them.

        Args:
            features: (n, F).
            logs: (n, K) mean log-probabilities of the network over each object.
        """
        described = ~np.isnan(features).any(1)
        inputs = np.concatenate([features, relative_logs(logs)], axis=1)[described]
        classes = elect(logs)
        shares = [forest.probabilities(inputs) for forest in self.forests]
        classes[described] = np.mean(shares, axis=0).argmax(1)
        return classes

    def to_plain(self) -> dict[str, Any]:
        """Tensors and plain types, for the checkpoint."""
        return {
            "features": list(FEATURES),
            "tiles": sorted(self.tiles),
            "forests": [forest.to_plain() for forest in self.forests],
        }

    @classmethod
    def from_plain(cls, plain: dict[str, Any], where: object) -> ObjectClassifier | None:
        """The classifier that `to_plain` wrote; None of an empty dict: none was trained.

        Raises:
            ConfigError: it was trained on other features than this version computes.
        """
        if not plain:
            return None
        if plain["features"] != list(FEATURES):
            raise ConfigError(
                "its object classifier needs features that this version does not compute",
                where,
                "train it again: seepseg train CONFIG --all-folds --resume",
            )
        return cls(tuple(Forest.from_plain(f) for f in plain["forests"]), frozenset(plain["tiles"]))


def together(classifiers: Sequence[ObjectClassifier | None]) -> ObjectClassifier | None:
    """The classifier of an ensemble: the forests of all members that have some.

    A member without any takes part all the same: forests classify the objects of the averaged probabilities, so none
    belongs to one network, as a fit does.
    """
    members = [c for c in classifiers if c is not None]
    if not members:
        return None
    tiles = frozenset[str]().union(*(c.tiles for c in members))
    return ObjectClassifier(tuple(forest for c in members for forest in c.forests), tiles)


def relative_logs(logs: NDArray[np.float64]) -> NDArray[np.float32]:
    """Mean log-probabilities (n, K) of objects less their highest of a foreground class."""
    return np.asarray(logs - logs[:, 1:].max(1, keepdims=True), dtype=np.float32)
