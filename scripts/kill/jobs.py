"""What `kill.py` kills: a table of commands, and the folder of small data that they work on."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from seepseg.config import dump, parse
from seepseg.synthetic import write_products, write_scene, write_seep
from seepseg.synthetic.vents import Sea, write_passes

Seepseg = Callable[[str], None]
"""Runs a command line without `seepseg`, and raises an error where it fails."""


@dataclass(frozen=True)
class Job:
    """A command that is killed.

    Attributes:
        words: of its command line; BASE is the folder of `lay_base`, OUT what it makes.
        resume: more words for when it is run again and OUT/config.yaml is there.
        code: its exit code.
        grows: its files change until it ends; else each is what it will be from the moment that it is there.
        share: of 50 kills of its kind.
        litter: a kill may leave hidden files in its folder, which may be deleted.
        before: a folder in BASE that OUT is a copy of when it begins.
        cluster: it runs in the script `cluster`.
    """

    words: str
    resume: str = ""
    code: int = 0
    grows: bool = False
    share: int = 5
    litter: bool = False
    before: str = ""
    cluster: bool = False


JOBS: Mapping[str, Job] = {
    "train": Job("train BASE/plain.yaml --run OUT -q", "--resume", grows=True, share=14),
    "train-workers": Job("train BASE/plain.yaml --run OUT -q -s runtime.workers=2", "--resume", grows=True, share=12),
    "train-stages": Job("train BASE/stages.yaml --run OUT -q", "--resume", grows=True, share=12),
    "train-compiled": Job("train BASE/plain.yaml --run OUT -q -s runtime.compile=on", "--resume", grows=True, share=5),
    "train-folds": Job("train BASE/folds.yaml --run OUT -q --all-folds --jobs 2 --resume", grows=True, share=7),
    "predict": Job("predict BASE/run BASE/in -o OUT -q --probabilities --uncertainty", code=4, share=18),
    "predict-safe": Job("predict BASE/run_safe BASE/sar/products BASE/sar/new -o OUT -q --stac", share=16),
    "predict-processes": Job("predict BASE/run BASE/in -o OUT -q --executor processes --workers 2", code=4, share=6),
    "predict-dask": Job("predict BASE/run BASE/in -o OUT -q --executor dask --workers 2", code=4, share=6),
    "predict-cluster": Job("predict BASE/run BASE/in -o OUT -q --executor dask", code=4, cluster=True, share=4),
    "zones": Job("zones BASE/passes -o OUT -q"),
    "zones-again": Job("zones BASE/passes -o OUT -q", before="zones", grows=True),
    "export": Job("export BASE/run -o OUT --overwrite", grows=True),
    "eval": Job("eval BASE/run -o OUT -q --fit --report --maps", grows=True, litter=True),
    "stats": Job("data stats BASE/plain.yaml -o OUT -q", grows=True, litter=True),
    "report": Job("data report BASE/plain.yaml -o OUT -q", grows=True, litter=True),
    "split": Job("data split BASE/plain.yaml -o OUT -q", grows=True, litter=True),
    "suspects": Job("data suspects BASE/run -o OUT -q", grows=True, litter=True),
    "tile": Job("data tile BASE/scenes.yaml -o OUT -q"),
    "rank": Job("rank BASE/maps -o OUT/queue.csv -q", grows=True, litter=True),
}

KINDS = {
    "train": [name for name in JOBS if name.startswith("train")],
    "batch": [name for name in JOBS if name.startswith("predict")],
    "other": [name for name in JOBS if not name.startswith(("train", "predict"))],
}
"""Jobs that share the kills of one promise: training, batches, everything else that writes."""

NETWORK = {"name": "unet", "channels": [8, 16, 32], "num_res_units": 1, "dropout": 0.1, "head": "sigmoid"}
STAGES = [{"loss": "bce", "epochs": 1, "schedule": "constant"}, {"loss": "dice_bce", "epochs": 2}]
FOLDS = {"folds": 2, "allow_missing_classes": True}
SEA = Sea(vents=4, rates=(0.5, 0.8), passes=16, side=40_000, pixel=200, lookalikes=1, wakes=0)


def lay_base(base: Path, seepseg: Seepseg) -> None:
    """Lay data, configs, trained runs and maps for all jobs."""
    write_seep(base / "data", scenes=4, grid=(5, 5), tile=64, seed=1)
    write_products(base / "sar", scenes=3, side=256)
    # Checkpoints after nearly every step, so that what is resumed is seldom a whole epoch.
    train = {"epochs": 3, "batch_size": 8, "panels_every": 0, "checkpoint_minutes": 0.0005}
    data = {"source": "seep", "root": str(base / "data"), "augment": {"preset": "seep", "speckle": 0.1}}
    kinds = [{"name": name, "values": [value]} for value, name in enumerate(("seep", "spill", "look-alike"), 1)]
    scenes = {
        "source": "scenes", "root": str(base / "sar"), "images": "products", "labels": "slicks.gpkg",
        "attribute": "kind", "bands": ["vv"], "classes": kinds, "window": 64,
        "split": {"val_fraction": 0.5, "allow_missing_classes": True}, "scaling": {"kind": "db"},
    }  # fmt: skip
    trees: dict[str, dict[str, Any]] = {
        "plain": {"data": data, "train": train | {"panels_every": 1}},
        "stages": {"data": data, "train": {k: v for k, v in train.items() if k != "epochs"}, "stages": STAGES},
        "folds": {"data": data | {"split": FOLDS}, "train": train | {"epochs": 2}, "objects": {"trees": 5},
                  "predict": {"threshold": 0.3, "tta": "none"}},
        "scenes": {"data": scenes, "train": train | {"epochs": 2}, "predict": {"window": 64}},
        "long": {"data": data | {"classes": "seep_binary"}, "train": train | {"epochs": 12},
                 "predict": {"window": 128, "min_pixels": 20}},
    }  # fmt: skip
    for name, tree in trees.items():
        common = {
            "model": NETWORK,
            "loss": "dice_bce",
            "runtime": {"device": "cpu", "amp": "off", "threads": 1, "compile": "off"},
        }
        (base / f"{name}.yaml").write_text(dump(parse(common | tree, "scripts/kill/jobs.py")))
    seepseg(f"train {base}/long.yaml --run {base}/run -q")
    seepseg(f"train {base}/scenes.yaml --run {base}/run_safe -q")
    (base / "in").mkdir()
    for number in range(3):
        write_scene(base / "in" / f"scene{number}.tif", rows=500, cols=400 + number, seed=number)
        (base / "in" / f"scene{number}_mask.tif").unlink()
    for path in sorted((base / "data" / "train_images_256").iterdir())[:20]:
        shutil.copy(path, base / "in")
    (base / "in" / "text.tif").write_text("no TIFF at all")
    seepseg(f"predict {base}/run_safe {base}/sar/products -o {base}/maps -q")
    write_passes(base / "passes", SEA, 3)
    write_passes(base / "fewer", Sea(**vars(SEA) | {"passes": 10}), 3)
    seepseg(f"zones {base}/fewer -o {base}/zones -q")
