"""The class of an object from what it looks like in its scene: the classifier as checkpoints hold it."""

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
    """Forests that answer together.

    Attributes:
        forests: each tells classes (K) from the `FEATURES`, then the belief of the network (K).
        tiles: ids of the tiles they were trained on; no score of any of them is decided by these forests.
    """

    forests: tuple[Forest, ...]
    tiles: frozenset[str]

    def may_judge(self, tiles: Iterable[str]) -> bool:
        """Whether it was trained on none of these tiles: no score is ever decided by what has seen the truth."""
        return self.tiles.isdisjoint(tiles)

    def choose(self, features: NDArray[np.float32], logs: NDArray[np.float64]) -> NDArray[np.uint8]:
        """The class index (n) of each object: the one its forests find likeliest on average.

        Objects without features, because they are too large to be looked at whole, get the class the network believes.

        Args:
            features: (n, F).
            logs: (n, K) mean log-probabilities of the network over each object.
        """
        known = ~np.isnan(features).any(1)
        asked = np.concatenate([features, belief(logs)], axis=1)[known]
        chosen = elect(logs)
        shares = [forest.probabilities(asked) for forest in self.forests]
        chosen[known] = np.mean(shares, axis=0).argmax(1)
        return chosen

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
                "its object classifier asks for features that this version does not compute",
                where,
                "train it again: seepseg train CONFIG --all-folds --resume",
            )
        return cls(tuple(Forest.from_plain(f) for f in plain["forests"]), frozenset(plain["tiles"]))


def together(classifiers: Sequence[ObjectClassifier | None]) -> ObjectClassifier | None:
    """The classifier of an ensemble: the forests of all members that have some.

    A member without takes part all the same: forests are asked about the objects that all networks outline together,
    and about what they believe on average, so no forest is of one network as a fit of its probabilities is.
    """
    known = [c for c in classifiers if c is not None]
    if not known:
        return None
    return ObjectClassifier(tuple(f for c in known for f in c.forests), frozenset().union(*(c.tiles for c in known)))


def belief(logs: NDArray[np.float64]) -> NDArray[np.float32]:
    """What the network believes of objects (n, K): mean log-probabilities less the highest of a foreground class."""
    return np.asarray(logs - logs[:, 1:].max(1, keepdims=True), dtype=np.float32)
