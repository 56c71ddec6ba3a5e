"""Losses over the whole batch, without ignored pixels, for any training loop: `build_loss`."""

from __future__ import annotations

from typing import TYPE_CHECKING

__all__ = ["Loss", "build_loss"]

if TYPE_CHECKING:
    from seepseg.losses.build import Loss, build_loss
else:
    from seepseg.lazy import attach

    __getattr__, __dir__ = attach(__name__, dict.fromkeys(__all__, "seepseg.losses.build"))
