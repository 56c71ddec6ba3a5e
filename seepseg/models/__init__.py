"""Networks and their heads, for any training loop: `build_model`, and `probabilities` of its logits."""

from __future__ import annotations

from typing import TYPE_CHECKING

__all__ = ["build_model", "probabilities"]

if TYPE_CHECKING:
    from seepseg.models.build import build_model
    from seepseg.models.head import probabilities
else:
    from seepseg.lazy import attach

    __getattr__, __dir__ = attach(
        __name__, {"build_model": "seepseg.models.build", "probabilities": "seepseg.models.head"}
    )
