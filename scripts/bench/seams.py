"""How far windowed maps are from the map of the whole scene at once, and how far a shifted grid moves them.

    python scripts/bench/seams.py [--size 2304]               the network and scene of scripts/bench/scene.py
    python scripts/bench/seams.py RUN SCENE [--size 1536] [--row N] [--column N]

Everything but MONAI's map goes through files, as `seepseg predict` makes them.
"""

from __future__ import annotations

import argparse
import tempfile
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import rasterio
import torch
from monai.inferers.utils import sliding_window_inference
from numpy.typing import NDArray
from sea import checkpoint, write, write_scene

from seepseg.config import Predict, Runtime
from seepseg.data.source import open_pixels
from seepseg.inference.decode import most_probable
from seepseg.inference.stream import Rows
from seepseg.mapping.ensemble import Ensemble, load_ensemble
from seepseg.mapping.jobs import Job
from seepseg.mapping.outputs import Wanted
from seepseg.mapping.scene import SceneRows, predict_scene
from seepseg.models.head import probabilities
from seepseg.runs.find import find_checkpoint

SHIFT = 64
SMALL = {"window": 256, "overlap": 0.25}


def classes(scene: Path, team: Ensemble, **options: float) -> NDArray[np.uint8]:
    """The class map that seepseg makes of a file with other windows than the run's own."""
    changed = replace(team, config=team.config.model_copy(update=options))
    predict_scene(Job(scene, "map", scene.parent, False), changed, Wanted(vectors=(), quicklook=False))
    with rasterio.open(scene.parent / "map_class.tif") as source:
        pixels: NDArray[np.uint8] = source.read(1)
    return pixels


@torch.inference_mode()
def monai(rows: Rows, team: Ensemble) -> NDArray[np.uint8]:
    """The class map of MONAI's sliding window with its default weights, on the same input."""
    member = team.members[0]
    image = torch.from_numpy(member.image(rows))[None]
    logits = sliding_window_inference(image, 256, 8, member.predictor.logits, overlap=0.25)
    assert isinstance(logits, torch.Tensor)
    planes = probabilities(logits, member.predictor.head)
    return most_probable(planes, team.config.threshold, team.fit)[0].numpy()


def main() -> None:
    """Parse, predict, compare, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path, nargs="?")
    parser.add_argument("scene", type=Path, nargs="?")
    parser.add_argument("--size", type=int, default=2304)
    parser.add_argument("--row", type=int, default=0)
    parser.add_argument("--column", type=int, default=0)
    given = parser.parse_args()
    path = find_checkpoint(given.run) if given.run else checkpoint("plain")
    team = load_ensemble([path], Runtime(device="cpu"), tta=False)
    with tempfile.TemporaryDirectory() as folder:
        part, moved = Path(folder) / "part.tif", Path(folder) / "moved.tif"
        scene = given.scene or Path(folder) / "scene.tif"
        if not given.scene:
            write_scene(scene, given.size)
        with rasterio.open(scene) as source:
            window = rasterio.windows.Window(given.column, given.row, given.size, given.size)
            pixels, nodata = source.read(1, window=window), source.nodata
        empty = 0 if nodata is None else nodata
        write(part, pixels, nodata=empty)
        write(moved, np.pad(pixels, ((SHIFT, 0), (SHIFT, 0)), constant_values=empty), nodata=empty)
        with open_pixels(team.source, part) as opened:
            rows = SceneRows(opened, None).read(0, given.size)
        defaults = {"window": Predict().window, "overlap": Predict().overlap}
        maps = {
            "MONAI, its defaults (256, .25)": monai(rows, team),
            "seepseg, window 256, overlap .25": classes(part, team, **SMALL),
            "seepseg, its defaults (512, .125)": classes(part, team, **defaults),
        }
        dense = classes(part, team, window=given.size, overlap=0)
        shifted = {"256, .25": classes(moved, team, **SMALL), "512, .125": classes(moved, team, **defaults)}
    show(dense, rows.valid, maps, shifted)


def show(
    dense: NDArray[np.uint8],
    valid: NDArray[np.bool_],
    maps: dict[str, NDArray[np.uint8]],
    shifted: dict[str, NDArray[np.uint8]],
) -> None:
    """Print what differs from the map of the whole, and between two grids."""
    print(f"{int(valid.sum())} valid pixels, {int(((dense > 0) & valid).sum())} foreground in the map of the whole\n")
    print("| | pixels that differ |\n|---|---|")
    differ = partial(differing, valid=valid)
    for name, pixels in maps.items():
        print(f"| {name} | {differ(pixels, dense)} |")
    for (name, pixels), own in zip(shifted.items(), list(maps.values())[1:], strict=True):
        print(f"| grid of {name} shifted by {SHIFT} | {differ(pixels[SHIFT:, SHIFT:], own)} |")


def differing(one: NDArray[np.uint8], other: NDArray[np.uint8], valid: NDArray[np.bool_]) -> str:
    """Number and share of the valid pixels at which two maps differ."""
    number = int(((one != other) & valid).sum())
    return f"{number} ({number / valid.sum():.3%})"


if __name__ == "__main__":
    main()
