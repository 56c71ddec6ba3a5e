"""Scores as functions of counts; for arrays: `score`, `score_objects`, `surface_dice`, `tgs_score`."""

from __future__ import annotations

from typing import TYPE_CHECKING

__all__ = ["ClassScores", "ObjectScores", "Score", "score", "score_objects", "surface_dice", "tgs_score"]

if TYPE_CHECKING:
    from seepseg.metrics.arrays import Score, score, score_objects, surface_dice, tgs_score
    from seepseg.metrics.confusion import ClassScores
    from seepseg.metrics.detection import ObjectScores
else:
    from seepseg.lazy import attach

    __getattr__, __dir__ = attach(
        __name__,
        dict.fromkeys(["Score", "score", "score_objects", "surface_dice", "tgs_score"], "seepseg.metrics.arrays")
        | {"ClassScores": "seepseg.metrics.confusion", "ObjectScores": "seepseg.metrics.detection"},
    )
