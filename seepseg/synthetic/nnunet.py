"""A made-up data set in the raw form of nnU-Net: cases of two channels, labels with an ignored value, dataset.json."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np

from seepseg.io.atomic import write_text
from seepseg.synthetic.products import KINDS
from seepseg.synthetic.sar import LOOKS, SATURATED, seep_scene, speckle

LABELS = {"background": 0, "seep": 1, "spill": 2, "look-alike": 3, "ignore": 4}
"""nnU-Net's labels; what was not seen is ignored."""
SCENE = 384
"""Pixels a side of the scenes that cases are cut from: slicks of all kinds find room."""


def write_nnunet(
    root: Path, *, scenes: int = 2, test_scenes: int = 1, side: int = 96, ending: str = ".png", seed: int = 0
) -> None:
    """Write scenes cut into cases `SCENE_CELL`, of which the last `test_scenes` are in imagesTs and labelsTs.

    Channels are the scene and a second look at it, as uint16 DN with 0 = no data.

    Args:
        root: the folder, called DatasetNNN_NAME by nnU-Net.
        scenes, test_scenes: of 384 × 384 pixels.
        side: of a case, in pixels.
        ending: of all files, ".png" or ".tif".
        seed: the same one gives the same bytes.
    """
    across = SCENE // side
    table = np.array([0, *(LABELS[KINDS[value]] for value in sorted(KINDS))], np.uint8)
    for number in range(scenes + test_scenes):
        part = "Tr" if number < scenes else "Ts"
        for folder in ("images", "labels"):
            (root / f"{folder}{part}").mkdir(parents=True, exist_ok=True)
        rng = np.random.default_rng([seed, number])
        image, mask = seep_scene(rng, SCENE, SCENE)
        again = np.clip(np.rint(speckle(rng, image.astype(np.float64), LOOKS)), image > 0, SATURATED).astype(np.uint16)
        labels = np.where(image > 0, table[mask], np.uint8(LABELS["ignore"]))
        for index in range(across**2):
            row, column = divmod(index, across)
            cell = np.s_[row * side : (row + 1) * side, column * side : (column + 1) * side]
            name = f"scene{number}_{index:02d}"
            for channel, pixels in enumerate((image, again)):
                cv2.imwrite(str(root / f"images{part}" / f"{name}_{channel:04d}{ending}"), pixels[cell])
            cv2.imwrite(str(root / f"labels{part}" / f"{name}{ending}"), labels[cell])
    said = {
        "channel_names": {"0": "first look", "1": "second look"},
        "labels": LABELS,
        "numTraining": scenes * across**2,
        "file_ending": ending,
    }
    write_text(root / "dataset.json", json.dumps(said, indent=1))
