"""How far windowed maps are from the map of the whole scene at once, and how far a shifted grid moves them.

python scripts/bench/seams.py RUN SCENE [--size 1536]
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import torch
from monai.inferers.utils import sliding_window_inference
from numpy.typing import NDArray

from seepseg.config import Predict, Runtime
from seepseg.data.source import open_pixels
from seepseg.inference.stream import Rows, stream
from seepseg.mapping.ensemble import Ensemble, load_ensemble
from seepseg.mapping.scene import SceneRows
from seepseg.runs.folder import find_checkpoint

SHIFT = 64


def classes(team: Ensemble, rows: Rows, config: Predict) -> NDArray[np.int64]:
    """The class map of the engine."""
    parts = [s.probabilities.argmax(2).numpy() for s in stream(rows, team.members, len(team.classes), config)]
    return np.concatenate(parts)


@torch.inference_mode()
def monai(team: Ensemble, rows: Rows) -> NDArray[np.int64]:
    """The class map of MONAI's sliding window with its default weights, on the same input."""
    member = team.members[0]
    image = torch.from_numpy(member.image(rows))[None]
    blended = sliding_window_inference(image, 256, 8, member.predictor.probabilities, overlap=0.25)
    assert isinstance(blended, torch.Tensor)
    return blended[0].argmax(0).numpy()


def main() -> None:
    """Parse, predict, compare, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run", type=Path)
    parser.add_argument("scene", type=Path)
    parser.add_argument("--size", type=int, default=1536)
    parser.add_argument("--row", type=int, default=0)
    parser.add_argument("--column", type=int, default=0)
    given = parser.parse_args()
    team = load_ensemble([find_checkpoint(given.run)], Runtime(), tta=False)
    with open_pixels(team.source, given.scene) as opened:
        rows = SceneRows(opened, None).read(given.row, given.row + given.size)
    columns = slice(given.column, given.column + given.size)
    part = Rows(rows.raw[:, :, columns], rows.valid[:, columns])
    moved = Rows(np.pad(part.raw, ((0, 0), (SHIFT, 0), (SHIFT, 0))), np.pad(part.valid, ((SHIFT, 0), (SHIFT, 0))))
    small = Predict(window=256, overlap=0.25)
    maps = {
        "MONAI, its defaults (256, .25)": monai(team, part),
        "seepseg, window 256, overlap .25": classes(team, part, small),
        "seepseg, its defaults (512, .125)": classes(team, part, Predict()),
    }
    dense = classes(team, part, Predict(window=max(part.height, part.width), overlap=0))
    valid = part.valid
    foreground = int(((dense > 0) & valid).sum())
    print(f"{int(valid.sum())} valid pixels, {foreground} foreground in the map of the whole")
    for name, got in maps.items():
        differ = int(((got != dense) & valid).sum())
        print(f"{name:36s} differs in {differ} pixels ({100 * differ / valid.sum():.3f} %)")
    for name, config in (("256, .25", small), ("512, .125", Predict())):
        shifted = classes(team, moved, config)[SHIFT:, SHIFT:]
        differ = int(((shifted != classes(team, part, config)) & valid).sum())
        print(f"grid of {name} shifted by {SHIFT}: {differ} pixels change ({100 * differ / valid.sum():.3f} %)")


if __name__ == "__main__":
    main()
