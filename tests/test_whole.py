"""Any small data set: what `data check` calls ok goes all the way, what it refuses, training refuses with that line.

SEEPSEG_EXAMPLES=500 scripts/test tests/test_whole.py draws more of them.
"""

from __future__ import annotations

import contextlib
import io
import os
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
import yaml
from hypothesis import HealthCheck, Phase, example, given, note, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from seepseg.cli.main import main


def seepseg(*words: object) -> tuple[int, str, list[str]]:
    """Exit code, standard output and the lines of errors of a command."""
    before, out, err = sys.argv, io.StringIO(), io.StringIO()
    sys.argv = ["seepseg", *map(str, words)]
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            main()
    except SystemExit as ended:
        lines = err.getvalue().splitlines()
        assert not any(line.startswith("Traceback") for line in lines), err.getvalue()
        return int(ended.code or 0), out.getvalue(), [line for line in lines if line.startswith("error: ")]
    finally:
        sys.argv = before
    raise AssertionError("the command line did not exit")


@dataclass(frozen=True)
class Tile:
    """A tile as it is drawn: `kind` of its pixels, and the values of its mask; None for no mask."""

    scene: str
    size: tuple[int, int]
    kind: str
    labels: tuple[int, ...] | None


TILES = st.builds(
    Tile,
    scene=st.sampled_from("abc"),
    # Mostly of one size, as tiles are.
    size=st.sampled_from([(16, 16)] * 4 + [(16, 24), (1, 1), (5, 40)]),
    kind=st.sampled_from(["noise"] * 4 + ["constant", "nodata", "holes"]),
    labels=st.sampled_from([(0, 1)] * 4 + [(0, 1, 2), (0,), (1,), (0, 7), None]),
)
SOUND = [Tile(scene, (16, 16), "noise", (0, 1, 2)) for scene in "aabbcc"]
UNLABELLED = [Tile("a", (16, 16), kind, None) for kind in ("constant", "holes")]  # and with NaN
DATA = st.fixed_dictionaries({}, optional={
    "nodata": st.sampled_from([0, "nan", None]),
    "ignore_values": st.just([7]),
    "scaling": st.sampled_from(["dataset", "scene", "tile"]).map(lambda basis: {"kind": "dn", "basis": basis}),
    "split": st.fixed_dictionaries({}, optional={
        "by": st.sampled_from(["group", "random"]), "val_fraction": st.sampled_from([0.5, 0.1]),
        "folds": st.sampled_from([2, 3]), "allow_missing_classes": st.just(True),
    }),
})  # fmt: skip
HEADS = {"softmax": "dice_ce", "sigmoid": "dice_bce", "two_head": "two_head"}


def pixels(tile: Tile, dtype: str, bands: int, seed: int) -> NDArray[Any]:
    """Raw values (H, W, bands)."""
    rng = np.random.default_rng(seed)
    values = rng.gamma(4, 500, (*tile.size, bands))
    if tile.kind == "constant":
        values[:] = 700
    if tile.kind != "noise" and tile.kind != "constant":
        empty = np.ones(tile.size, bool) if tile.kind == "nodata" else rng.random(tile.size) < 0.3
        values[empty] = np.nan if dtype == "float32" else 0
    return (np.minimum(values / 20, 255) if dtype == "uint8" else values).astype(dtype)


@settings(
    max_examples=int(os.environ.get("SEEPSEG_EXAMPLES", "6")),
    deadline=None,
    derandomize="SEEPSEG_EXAMPLES" not in os.environ,
    database=None,
    phases=[Phase.explicit, Phase.generate],  # a case takes seconds, and each is small
    suppress_health_check=list(HealthCheck),
)
@example(tiles=SOUND, dtype="uint16", bands=2, classes=2, data={"split": {"folds": 3}}, head="two_head")
@example(tiles=UNLABELLED, dtype="float32", bands=1, classes=1, data={"nodata": 0}, head="sigmoid")
@example(tiles=SOUND[1:], dtype="float32", bands=1, classes=1, data={"ignore_values": [2, 7]}, head="sigmoid")
@given(
    tiles=st.lists(TILES, min_size=1, max_size=8),
    dtype=st.sampled_from(["uint16", "uint8", "float32"]),
    bands=st.integers(1, 2),
    classes=st.integers(1, 2),
    data=DATA,
    head=st.sampled_from(list(HEADS)),
)
def test_what_the_check_calls_ok_goes_all_the_way_and_nothing_else(
    tiles: list[Tile], dtype: str, bands: int, classes: int, data: dict[str, Any], head: str
) -> None:
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        for folder in ("images", "masks"):
            (root / folder).mkdir()
        for number, tile in enumerate(tiles):
            stem = f"{tile.scene}_{number}"
            image = np.moveaxis(pixels(tile, dtype, bands, number), -1, 0)
            path = root / "images" / f"{stem}.tif"
            tifffile.imwrite(path, image, photometric="minisblack", planarconfig="separate" if bands > 1 else None)
            if tile.labels is not None:
                mask = np.resize(np.array(tile.labels, np.uint8), tile.size)
                tifffile.imwrite(root / "masks" / f"{stem}.tif", mask)
        table = [{"name": f"class {value}", "values": [value]} for value in range(1, classes + 1)]
        config = {
            "data": {"source": "tiles", "root": name, "classes": table, "bands": list(range(1, bands + 1))}
            | {"name_pattern": r"^(?P<group>[abc])_(?P<index>\d+)$"} | data,
            "model": {"name": "unet", "channels": [8, 16], "num_res_units": 0, "head": head},
            "loss": HEADS[head],
            "train": {"epochs": 1, "batch_size": 2, "panels_every": 0},
            "runtime": {"device": "cpu", "amp": "off", "threads": 1, "workers": 0},
        }  # fmt: skip
        (root / "c.yaml").write_text(yaml.safe_dump(config))
        fold = ["--fold", 0] if "folds" in data.get("split", {}) else []
        checked, ok, why = seepseg("data", "check", root / "c.yaml")
        note(f"check: {checked} {ok} {why}")
        trained, _, refused = seepseg("train", root / "c.yaml", "--run", root / "run", "-q", *fold)
        assert (trained, refused) == (checked, why)
        assert (len(why) == 1) == (checked != 0)
        if checked:
            assert not (root / "run").exists()
            return
        assert ok.startswith("ok: ")
        for words in (
            ["eval", root / "run", "-q", "--no-figures", *fold],
            ["predict", root / "run", root / "images", "-o", root / "maps", "-q", *fold],
            ["export", root / "run", "-o", root / "exported", "--format", "safetensors", *fold],
        ):
            code, out, lines = seepseg(*words)
            assert code == 0, (words, out, lines)
        assert len(list((root / "maps").glob("*_class.tif"))) == len(tiles)
        assert list((root / "exported").glob("*.safetensors"))
