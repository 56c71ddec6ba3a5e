"""Doors of text: configs, overrides, tables, run lengths, other data sets."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from doors.door import Files, each, taken
from seepseg.conditions.judges import _rows as read_conditions
from seepseg.config import NnunetData, TgsData, TilesData, dump, load, parse
from seepseg.config.nnunet import described, described_table
from seepseg.data.source import read_mask, read_pixels, source_of
from seepseg.geo.frame import read_shifts
from seepseg.geo.identity import read_scenes
from seepseg.io.table import read_table
from seepseg.objects.rle import decode
from seepseg.synthetic import write_nnunet, write_salt


def near(folder: Path) -> list[Files]:
    """A table of ships."""
    (folder / "a.csv").write_text(
        'lon,lat,name,kind,time\n-91,28,A,ship,2021-04-01T05:00:00Z\n-91.5,28.5,"B, c",rig,\n'
    )
    return [taken(folder)]


def configs(folder: Path) -> list[Files]:
    """Recipes, whole and as users shorten them."""
    sets = []
    for name in ("seep_multiclass", "salt_unet", "demo_sentinel1"):
        text = dump(load(Path(name)))
        sets.append({"c.yaml": text.encode()})
    short = b"""data:
  {source: seep, root: x, classes: [{name: oil, values: [1]}], split: {by: group, val: '041870, 045590'}}
model: {name: unet, head: binary}
loss: dice_bce
"""
    return [*sets, {"c.yaml": short}, {"c.yaml": short + b"seed: &a 1\ntrain: {epochs: *a}\n"}]


def overrides(folder: Path) -> list[Files]:
    """Dotted overrides, one a line."""
    lines = ["train.epochs=5", "data.classes=[{name: oil, values: [1]}]", "optim.lr=1e-3", "data.split.val=[a, b]"]
    lines += ["model={name: unet, channels: [8, 16]}", "loss=dice_ce", "runtime.threads=2"]
    return [{"o.txt": "\n".join(lines).encode()}]


def open_overrides(folder: Path) -> None:
    """The recipe with each of them, and with all."""
    lines = (folder / "o.txt").read_bytes().decode("utf-8", "replace").split("\n")
    tree = {
        "data": {"source": "seep", "root": "x", "classes": "seep_binary"},
        "model": {"name": "unet"},
        "loss": "dice_ce",
    }
    for line in lines:
        each(lambda line=line: load(tree, [line]))
    load(tree, lines)


def tables(folder: Path) -> list[Files]:
    """Tables of scenes, shifts, conditions, splits; each is read as all of them."""
    return [
        {"t.csv": text.encode()}
        for text in (
            "scene,acquired,platform,orbit,direction,polarisation\na,2021-04-01T05:26:23Z,S1A,2,ascending,VV+VH\nb,,,,,\n",
            "scene,column,row\na,1.5,-2\nb,0,0\n",
            "scene,wind_speed,incidence\na,5,35\nb,,\n",
            "id,split,fold\na,train,0\nb,val,1\n",
            "\ufeffid;scene\r\n'=a,'-b\r\n",
        )
    ]


def open_tables(folder: Path) -> None:
    """A table as each that it might be."""
    path = folder / "t.csv"
    for opening in (
        lambda: read_scenes(path),
        lambda: read_shifts(path),
        lambda: read_conditions([path]),
        lambda: read_table(path, "id", ["split"]),
    ):
        each(opening)


def run_lengths(folder: Path) -> list[Files]:
    """Salt tiles with a table of run lengths and one of depths."""
    write_salt(folder, tiles=3, test_tiles=0, seed=1)
    kept = {n: c for n, c in taken(folder).items() if n.endswith(".csv") or "images" in n}
    return [kept]


def open_run_lengths(folder: Path) -> None:
    """All tiles and their masks."""
    text = (folder / "train.csv").read_bytes()[-400:].decode("utf-8", "replace").rpartition(",")[2]
    each(lambda: decode(text.strip('"\r\n'), (101, 101), "x"))
    source = source_of(TgsData(root=folder, masks="rle"))
    for tile in source.catalog().tiles:
        read_mask(source, tile, read_pixels(source, tile).raw.shape[1:])


def tiles(folder: Path) -> list[Files]:
    """Tiles that a table lists."""
    for name in ("a", "b"):
        Image.fromarray(np.arange(64, dtype=np.uint8).reshape(8, 8)).save(folder / f"{name}.png")
        Image.fromarray(np.arange(64, dtype=np.uint8).reshape(8, 8) // 32).save(folder / f"{name}_m.png")
    (folder / "t.csv").write_text("image,mask,id,scene,split,fold\na.png,a_m.png,a,s,train,0\nb.png,,b,t,val,1\n")
    return [taken(folder)]


def open_tiles(folder: Path) -> None:
    """All tiles and their masks."""
    source = source_of(TilesData(root=folder, table="t.csv", classes=[{"name": "oil", "values": [1]}]))
    for tile in source.catalog().tiles:
        read_mask(source, tile, read_pixels(source, tile).raw.shape[1:])


def nnunet(folder: Path) -> list[Files]:
    """A data set of nnU-Net."""
    write_nnunet(folder, scenes=1, test_scenes=0, side=192)
    whole = taken(folder)
    return [{name: whole[name] for name in whole if name == "dataset.json" or "_00_" in name or "_00." in name}]


def open_nnunet(folder: Path) -> None:
    """Its description, as classes, as a config, and the cases."""
    each(lambda: described_table(folder / "dataset.json"))
    each(lambda: parse({"data": {"source": "nnunet", "root": str(folder)}, "model": "unet", "loss": "dice_bce"}, "c"))
    described(folder)
    source = source_of(NnunetData(root=folder))
    read_pixels(source, source.catalog().tiles[0])
