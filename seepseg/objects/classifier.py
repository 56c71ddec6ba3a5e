"""The classifier of objects by their features in their scene, as checkpoints hold it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from seepseg.errors import ConfigError
from seepseg.objects.components import elect
from seepseg.objects.features import FEATURES
from seepseg.objects.forest import Forest
from seepseg.objects.sites import Sites

Around = Sequence[NDArray[np.float32] | None]
"""What each member of a classifier knows of the surroundings of n objects: (n, P) `Sites.around`, or nothing."""


class Placed(NamedTuple):
    """What decides objects whose place is known: a forest on `Sites.around` too, and these sites."""

    forest: Forest
    sites: Sites

    def to_plain(self) -> dict[str, Any]:
        """Tensors and plain types, for the checkpoint."""
        return {"forest": self.forest.to_plain(), "sites": self.sites.to_plain()}

    @classmethod
    def from_plain(cls, plain: dict[str, Any]) -> Placed:
        """What `to_plain` wrote."""
        return cls(Forest.from_plain(plain["forest"]), Sites.from_plain(plain["sites"]))


class Member(NamedTuple):
    """What one training left: a forest for objects anywhere, and one for those where it knows the place, if it does."""

    forest: Forest
    placed: Placed | None = None

    def probabilities(self, inputs: NDArray[np.float32], near: NDArray[np.float32] | None) -> NDArray[np.float64]:
        """Class probabilities (n, K) from inputs (n, F + K) and, where they are known, `Sites.around` (n, P)."""
        shares = self.forest.probabilities(inputs)
        if self.placed and near is not None and (known := is_known(near)).any():
            shares[known] = self.placed.forest.probabilities(np.concatenate([inputs, near], axis=1)[known])
        return shares


@dataclass(frozen=True)
class ObjectClassifier:
    """Forests whose class probabilities are averaged.

    Attributes:
        members: each gives probabilities (K) from the `FEATURES`, then the network's `relative_logs` (K).
        tiles: ids of the tiles they were trained on; no score of any of them is decided by these forests.
    """

    members: tuple[Member, ...]
    tiles: frozenset[str]

    @property
    def sites(self) -> list[Sites | None]:
        """What each member knows of a place."""
        return [member.placed and member.placed.sites for member in self.members]

    def has_not_seen(self, tiles: Iterable[str]) -> bool:
        """Whether it was trained on none of these tiles; only then may it decide a score of theirs."""
        return self.tiles.isdisjoint(tiles)

    def choose(
        self, features: NDArray[np.float32], logs: NDArray[np.float64], around: Around = ()
    ) -> NDArray[np.uint8]:
        """The class index (n) of each object: the one of highest mean probability over the forests.

        Objects without features, because their window is too large, get the class that the network gives them.

        Args:
            features: (n, F).
            logs: (n, K) mean log-probabilities of the network over each object.
            around: of each member; none, where the place is not known.
        """
        described = is_known(features)
        inputs = np.concatenate([features, relative_logs(logs)], axis=1)[described]
        classes = elect(logs)
        shares = [
            member.probabilities(inputs, None if near is None else near[described])
            for member, near in zip(self.members, around or [None] * len(self.members), strict=True)
        ]
        classes[described] = np.mean(shares, axis=0).argmax(1)
        return classes

    def check(self, n_classes: int) -> None:
        """Raise ValueError where these are no forests, or no sites, of so many classes."""
        if not self.members:
            raise ValueError("an object classifier of no forest")
        inputs = len(FEATURES) + n_classes
        for forest, placed in self.members:
            forest.check(n_classes, inputs)
            if placed:
                placed.sites.check(n_classes)
                placed.forest.check(n_classes, inputs + placed.sites.size)

    def to_plain(self) -> dict[str, Any]:
        """Tensors and plain types, for the checkpoint."""
        plain = {
            "features": list(FEATURES),
            "tiles": sorted(self.tiles),
            "forests": [member.forest.to_plain() for member in self.members],
        }
        if any(self.sites):
            plain["placed"] = [member.placed and member.placed.to_plain() for member in self.members]
        return plain

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
        placed = plain.get("placed", [None] * len(plain["forests"]))
        members = (
            Member(Forest.from_plain(forest), known and Placed.from_plain(known))
            for forest, known in zip(plain["forests"], placed, strict=True)
        )
        return cls(tuple(members), frozenset(plain["tiles"]))


def together(classifiers: Sequence[ObjectClassifier | None]) -> ObjectClassifier | None:
    """The classifier of an ensemble: the forests of all members that have some.

    A member without any takes part all the same: forests classify the objects of the averaged probabilities, so none
    belongs to one network, as a fit does.
    """
    some = [c for c in classifiers if c is not None]
    if not some:
        return None
    tiles = frozenset[str]().union(*(c.tiles for c in some))
    return ObjectClassifier(tuple(member for c in some for member in c.members), tiles)


def is_known(features: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Which objects (n) have features (n, F), or a place."""
    return np.asarray(~np.isnan(features).any(1))


def relative_logs(logs: NDArray[np.float64]) -> NDArray[np.float32]:
    """Mean log-probabilities (n, K) of objects less their highest of a foreground class."""
    return np.asarray(logs - logs[:, 1:].max(1, keepdims=True), dtype=np.float32)
