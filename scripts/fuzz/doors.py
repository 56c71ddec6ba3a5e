"""The doors: for each, sound files in one folder, which of them is damaged and how, and what opens the folder."""

from __future__ import annotations

import hashlib
import io
import json
import os
import random
import shutil
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd
import shapely
import tifffile
import torch
from damage import bytes_damaged, damaged, tree_damaged
from PIL import Image

from seepseg.api.findings import read_findings
from seepseg.archives.unpacked import unpacked
from seepseg.classes import SALT, SEEP
from seepseg.conditions import winds
from seepseg.conditions.judges import _rows as read_conditions
from seepseg.config import NnunetData, Scaling, ScenesData, TgsData, TilesData, dump, load, parse
from seepseg.config.nnunet import described, described_table
from seepseg.data.scaling import MeasuredScaling
from seepseg.data.source import read_mask, read_pixels, source_of
from seepseg.evaluation.compare import compare
from seepseg.evaluation.rasters import evaluate_rasters
from seepseg.export.weights import read_weights, write_config, write_weights
from seepseg.geo.depth import radii
from seepseg.geo.frame import Frame, laea, read_shifts
from seepseg.geo.identity import read_scenes
from seepseg.geo.labels import read_layer
from seepseg.geo.nearby import read_nearby
from seepseg.geo.vector import Layer, layer_names, read_shapes, read_vectors, write_layers, write_vectors
from seepseg.io.image import inspect_image, open_image, read_image
from seepseg.io.table import read_table
from seepseg.mapping.manifest import Manifest
from seepseg.models.build import build_model
from seepseg.models.encoder_weights import load_encoder_weights
from seepseg.objects.rle import decode
from seepseg.passes.scenes import find_scenes, passes_of
from seepseg.review.edits import read_edits, sums_of, write_written
from seepseg.runs.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from seepseg.runs.staged import settle
from seepseg.sentinel1.pixels import open_scene
from seepseg.synthetic import write_nnunet, write_salt
from seepseg.synthetic.sentinel1 import write_product
from seepseg.zones.since import read_state

Files = dict[str, bytes]
Damage = Callable[[bytes, random.Random, str], bytes]

KINDS = {
    ".xml": "xml", ".safe": "xml", ".json": "json", ".jsonl": "json", ".geojson": "json", ".yaml": "yaml",
    ".csv": "csv", ".gpkg": "sqlite", ".zip": "zip", ".txt": "yaml",
}  # fmt: skip


@dataclass(frozen=True)
class Door:
    """A door.

    Attributes:
        made: writes sound files into an empty folder, and returns sets of those that lie in it together, by name.
        opened: opens the folder of one such set.
        damage: of a file by its name; by its ending elsewhere.
        documented: errors that are said to come, beside those of seepseg.
        mebibytes: of memory that it may take: the budget of docs/reliability.md, and room to work in.
        share: of the cases.
    """

    made: Callable[[Path], list[Files]]
    opened: Callable[[Path], object]
    damage: Mapping[str, Damage] = field(default_factory=dict)
    documented: tuple[type[Exception], ...] = ()
    mebibytes: int = 512
    share: float = 1.0

    def spoil(self, name: str, whole: bytes, rng: random.Random, canary: str) -> bytes:
        """A damaged copy of one of its files."""
        if name in self.damage:
            return self.damage[name](whole, rng, canary)
        return damaged(whole, KINDS.get(Path(name).suffix.lower(), "bytes"), rng, canary)


def taken(folder: Path, *names: str) -> Files:
    """The content of all files below a folder, or of some."""
    paths = [folder / n for n in names] or sorted(p for p in folder.rglob("*") if p.is_file())
    return {str(path.relative_to(folder)): path.read_bytes() for path in paths}


# Rasters.

LAYOUTS: tuple[dict[str, object], ...] = (
    {}, {"compression": "deflate", "predictor": 2}, {"compression": "lzw"},
    {"compression": "packbits", "rowsperstrip": 5}, {"tile": (16, 16), "compression": "zstd"},
    {"bigtiff": True}, {"byteorder": ">"},
)  # fmt: skip
PAM = b"""<PAMDataset><SRS>EPSG:32616</SRS><GeoTransform>5,1,0,3,0,-1</GeoTransform><PAMRasterBand band="1">
<NoDataValue>7</NoDataValue><Description>vv</Description><Scale>1</Scale></PAMRasterBand><Metadata><MDI key="A">1</MDI>
</Metadata><Metadata domain="RPC"><MDI key="LINE_OFF">1</MDI></Metadata><GCPList Projection="EPSG:4326"><GCP Pixel="1"
Line="2" X="3" Y="4"/></GCPList></PAMDataset>"""


def images(folder: Path) -> list[Files]:
    """TIFF in several layouts, PNG and JPEG, each alone, with a mask, and with an .aux.xml."""
    path, pixels, sets = folder / "a.tif", np.arange(40 * 33, dtype=np.uint16).reshape(40, 33), list[Files]()
    for layout in LAYOUTS:
        tifffile.imwrite(path, pixels, **layout)
        sets.append(taken(folder, "a.tif"))
    pictures = (("PNG", pixels), ("JPEG", pixels // 6), ("PNG", np.dstack([pixels // 6] * 3)))
    for kind, array in pictures:
        Image.fromarray(array if array.max() > 255 else array.astype(np.uint8)).save(path, kind)
        sets.append(taken(folder, "a.tif"))
    Image.fromarray((pixels // 6).astype(np.uint8)).convert("P").save(path, "PNG")
    sets.append(taken(folder, "a.tif"))
    write_geotiff(folder / "a.tif", count=1, A="1")
    sets.append(taken(folder, "a.tif"))
    tifffile.imwrite(folder / "m", pixels % 2 == 0, photometric="minisblack", compression="deflate")
    mask = (folder / "m").read_bytes()
    tifffile.imwrite(path, pixels)
    return [
        *sets,
        {"a.tif": path.read_bytes(), "a.tif.msk": mask, "a.tif.aux.xml": PAM},
        {"a.tif": sets[0]["a.tif"], "a.tif.aux.xml": PAM},
    ]


def open_images(folder: Path) -> None:
    """The pixels, read as of a tile and as of a scene."""
    path = folder / "a.tif"
    inspect_image(path)
    read_image(path)
    with open_image(path) as image:
        for row in range(0, image.height, 512):
            image.rows(row, min(row + 512, image.height))


def write_geotiff(path: Path, count: int = 2, **tags: str) -> None:
    """Bands with a place, names and tags."""
    import rasterio

    place = rasterio.transform.from_origin(-96, 31, 1, 1)
    with rasterio.open(
        path, "w", driver="GTiff", count=count, dtype="float32", height=4, width=5, crs="EPSG:4326", transform=place
    ) as raster:
        raster.write(np.full((count, 4, 5), 3, np.float32))
        raster.descriptions = ("u10", "v10")[:count]
        raster.update_tags(**tags)


def bathymetry(folder: Path) -> list[Files]:
    """Elevations with a place, in a GeoTIFF and in a PNG with an .aux.xml."""
    write_geotiff(folder / "d.tif")
    return [taken(folder)]


def open_bathymetry(folder: Path) -> None:
    """Radii of zones by it."""
    radii(folder / "d.tif", Frame(laea(-94, 29), 100.0), np.zeros((2, 2)), 2000.0)


def rasters(folder: Path) -> list[Files]:
    """Predictions and truth as another tool writes them: TIFF and PNG."""
    labels, sets = np.arange(64, dtype=np.uint8).reshape(8, 8) % 2, list[Files]()
    for ending in (".tif", ".png"):
        for name in ("p/a_class", "t/a_mask"):
            path = folder / f"{name}{ending}"
            path.parent.mkdir(exist_ok=True)
            tifffile.imwrite(path, labels) if ending == ".tif" else Image.fromarray(labels).save(path)
        sets.append(taken(folder))
        shutil.rmtree(folder / "p")
        shutil.rmtree(folder / "t")
    return sets


def open_rasters(folder: Path) -> None:
    """Scores of predictions."""
    for classes in (SEEP, SALT):
        each(lambda classes=classes: evaluate_rasters(folder / "p", folder / "t", classes))


# Vectors.

SHAPES = np.array(
    [
        shapely.box(-91, 28, -90.9, 28.1),
        shapely.box(-90.8, 28, -90.7, 28.1).difference(shapely.box(-90.78, 28.02, -90.72, 28.08)),
    ]
)
TABLE = pd.DataFrame(
    {"class_name": ["oil", "seep"], "object": [1, 2], "class": [1, 1], "x": [0.5, np.nan], "scene": ["a", "b"],
     "time": pd.to_datetime(["2021-04-01T05:00:00Z", None], utc=True)}
)  # fmt: skip


def vectors(ending: str) -> Callable[[Path], list[Files]]:
    """Makes two polygons in a file of one kind."""

    def made(folder: Path) -> list[Files]:
        if ending == ".shp":
            import pyogrio

            table = TABLE.drop(columns="time")
            columns = [
                table[c].to_numpy(object if table[c].dtype.kind in "OTU" or str(table[c].dtype) == "str" else None)
                for c in table
            ]
            pyogrio.raw.write(
                folder / "a.shp", shapely.to_wkb(SHAPES), columns, list(table), geometry_type="Polygon", crs="EPSG:4326"
            )
            return [taken(folder)]
        write_vectors(folder / f"a{ending}", SHAPES, TABLE, "EPSG:4326")
        sets = [taken(folder)]
        if ending == ".gpkg":
            write_layers(
                folder / "a.gpkg",
                [
                    Layer("a", SHAPES, TABLE, "EPSG:4326", style="<qgis/>"),
                    Layer("b", shapely.centroid(SHAPES), TABLE, "EPSG:4326", "Point"),
                ],
            )
            sets.append(taken(folder))
        return sets

    return made


def open_vectors(ending: str) -> Callable[[Path], None]:
    """Reads it as labels, as a mask, and as what is near."""

    def opened(folder: Path) -> None:
        path = folder / f"a{ending}"
        for opening in (
            lambda: read_vectors(path, box=(-91.0, 28.0, -90.0, 29.0), times_as_text=True),
            lambda: read_layer(path).classes(None, SEEP),
            lambda: read_shapes(path),
            lambda: layer_names(path) if ending != ".parquet" else None,
            lambda: read_nearby([path], 1000.0, 3.0),
        ):
            each(opening)

    return opened


def each(opening: Callable[[], object]) -> None:
    """Open something; an error of ours keeps nobody from trying the next."""
    from seepseg.errors import SeepsegError

    try:
        opening()
    except SeepsegError as error:
        one_line(error)


def one_line(error: Exception) -> None:
    """AssertionError where an error of ours takes more than a line."""
    assert "\n" not in str(error), f"an error of several lines: {error!r}"


# Text.


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


# Archives and checkpoints.


def archives(folder: Path) -> list[Files]:
    """A ZIP of a folder, one with an archive in it."""
    inner = io.BytesIO()
    with zipfile.ZipFile(inner, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("train/images/a.png", b"x" * 500)
    with zipfile.ZipFile(folder / "a.zip", "w") as archive:
        archive.writestr("train.zip", inner.getvalue())
        archive.writestr("depths.csv", b"id,z\na,1\n")
    return [{"a.zip": inner.getvalue()}, taken(folder)]


def open_archives(folder: Path) -> None:
    """Unpacked into a cache in the folder."""
    os.environ["SEEPSEG_CACHE"] = str(folder / "cache")
    try:
        unpacked(folder / "a.zip")
    finally:
        shutil.rmtree(folder / "cache", ignore_errors=True)
        left = [p.name for p in folder.parent.iterdir()] + [p.name for p in folder.iterdir()]
        assert set(left) <= {"case", "a.zip", "canaries", "tmp", "kept"}, f"unpacked outside: {left}"


def checkpoint() -> Checkpoint:
    """That of a small network."""
    tree = {
        "data": {"source": "seep", "root": "x", "split": {"val_fraction": 0.25}},
        "model": {"name": "unet", "channels": [8, 16, 32]},
        "loss": "dice_ce",
    }
    config = parse(tree, "test")
    weights = build_model(config.model, 1, len(SEEP)).state_dict()
    few = dict(list(weights.items())[:6])
    fit = {
        "head": config.model.head,
        "temperature": 1.0,
        "threshold": 0.5,
        "offsets": [],
        "min_pixels": 0,
        "split": "val",
        "tiles": ["a"],
    }
    scaling = MeasuredScaling(Scaling(), ((1.0,), (2.0,)), (0.5,), (0.25,))
    return Checkpoint(config, SEEP, scaling, few, None, fit, {"step": 7, "rows": [{"b": 1.5}]}, 0.25, 4)


def checkpoints(folder: Path) -> list[Files]:
    """A checkpoint."""
    save_checkpoint(folder / "c.pt", checkpoint())
    return [taken(folder)]


TRAILER = len(b"seepseg-sha256:") + 32
ODD_LEAVES = (
    torch.zeros(2), torch.zeros(0), torch.tensor(float("nan")), torch.eye(2).to_sparse(), torch.zeros(2, device="meta"),
    (1, 2), 2**70, -0.0,
)  # fmt: skip


def resealed(whole: bytes, rng: random.Random, canary: str) -> bytes:
    """A checkpoint with other content and a right trailer, as an attacker gives it."""
    body = whole[:-TRAILER]
    tree, buffer = torch.load(io.BytesIO(body), weights_only=True), io.BytesIO()
    try:
        torch.save(tree_damaged(tree, rng, canary, ODD_LEAVES), buffer)
    except (RecursionError, NotImplementedError, RuntimeError):  # more than torch can save
        buffer = io.BytesIO()
    body = buffer.getvalue() if rng.random() < 0.6 else body
    if not body or body == whole[:-TRAILER]:
        body = bytes_damaged(whole[:-TRAILER], rng, canary)
    return body + b"seepseg-sha256:" + hashlib.sha256(body).digest()


def encoder(folder: Path) -> list[Files]:
    """The state dict of a small ResNet."""
    torch.save(_resnet().state_dict(), folder / "e.pth")
    return [taken(folder)]


def open_encoder(folder: Path) -> None:
    """Compared with a network that has a ResNet."""
    load_encoder_weights(_resnet(), folder / "e.pth")


_NETWORK: list[torch.nn.Module] = []


def _resnet() -> torch.nn.Module:
    if not _NETWORK:
        from monai.networks.nets.resnet import ResNet

        _NETWORK.append(ResNet("basic", [1, 1, 1, 1], [2, 2, 2, 2], spatial_dims=2, n_input_channels=3, conv1_t_size=3))
    return _NETWORK[0]


def exported(folder: Path) -> list[Files]:
    """What was exported with weights."""
    write_weights([checkpoint()], folder)
    write_config([checkpoint()], folder)
    return [taken(folder)]


# What seepseg leaves and reads again.


def predictions(folder: Path) -> list[Files]:
    """A folder of predictions, as far as zones reads it."""
    lines = [
        {"begin": "k", "time": 1.0},
        {"name": "a", "key": "k", "unit": "u", "input": [1, 2], "outputs": {"a_class.tif": 1, "a.gpkg": 2},
         "identity": {"acquired": "2021-04-01T05:26:23Z", "platform": "S1A", "relative_orbit": 168, "product": "P"},
         "warnings": ["w"], "objects": 1, "km2": {"oil": 1.5}, "grades": [], "time": 2.0},
        {"name": "b", "key": "k", "unit": "u", "input": None, "outputs": {"b_class.tif": 1, "b.gpkg": 2},
         "identity": {}, "objects": 0, "time": 3.0},
    ]  # fmt: skip
    text = "".join(json.dumps(line) + "\n" for line in lines).encode()
    return [{"manifest.jsonl": text, **dict.fromkeys(("a_class.tif", "a.gpkg", "b_class.tif", "b.gpkg"), b"")}]


def open_predictions(folder: Path) -> None:
    """Its scenes and passes."""
    manifest = Manifest(folder, "k")
    manifest.begun()
    manifest.unsound()
    scenes, _ = find_scenes([folder])
    for scene in scenes:
        assert folder in scene.raster.resolve().parents, scene
    passes_of(scenes)


def findings(folder: Path) -> list[Files]:
    """The table of polygons that predict writes."""
    (folder / "findings.csv").write_text(
        "scene,acquired,object,class,class_name,pixels,mean_probability,area_m2,grade\n"
        "a,2021-04-01T05:26:23Z,1,1,oil,5,0.9,500.0,A\nb,,2,1,oil,7,0.8,700.0,\n"
    )
    return [taken(folder)]


def edited(folder: Path) -> list[Files]:
    """A package of zones that was edited since, and edits that were kept."""
    slicks = pd.DataFrame(
        {
            "scene": ["a", "b"],
            "object": [1, 2],
            "class": [1, 1],
            "verdict": ["ship", None],
            "class_new": None,
            "comment": None,
        }
    ).astype(dict.fromkeys(("verdict", "class_new", "comment"), object))
    zones = pd.DataFrame({"zone": [1, 2], "verdict": [None, "seep"], "class_new": None, "comment": None}).astype(
        dict.fromkeys(("verdict", "class_new", "comment"), object)
    )
    kept = pd.DataFrame(
        {
            "what": ["slick", "zone"],
            "zone": [0, 1],
            "scene": ["a", None],
            "object": [1, 0],
            "class": [1, 0],
            "verdict": ["ship", "seep"],
            "class_new": None,
            "comment": None,
        }
    )
    kept = kept.astype(dict.fromkeys(("what", "scene", "verdict", "class_new", "comment"), object))
    shapes = shapely.multipolygons(SHAPES, indices=[0, 1])
    write_layers(
        folder / "zones.gpkg",
        [Layer("zones", shapes, zones, "EPSG:32616"), Layer("slicks", shapes, slicks, "EPSG:32616")],
    )
    write_layers(folder / "review.gpkg", [Layer("review", shapes, kept, "EPSG:32616")])
    write_written(folder, slicks, sums_of(shapes), np.array([1, 2]))
    return [taken(folder)]


def open_edited(folder: Path) -> None:
    """All edits, and what they say of slicks."""
    os.utime(folder / "zones.gpkg", ns=(1, 1))
    slicks = pd.DataFrame({"scene": ["a", "b"], "object": [1, 2], "class": [1, 1]})
    edits = read_edits(folder)
    edits.on(slicks)
    edits.on_zones(pd.DataFrame({"zone": [1, 2]}))
    edits.left_out("a")


def state(folder: Path) -> list[Files]:
    """What zones notes for its next run, and a step that it was killed in."""
    said = {
        "crs": "EPSG:32616",
        "last": 2,
        "zones": [[1, 0.5, 1.5], [2, 3, 4]],
        "names": {"a": ["a", None, [1, 2], "/x/a_class.tif"]},
        "scenes": ["a"],
    }
    (folder / "state.json").write_text(json.dumps(said))
    return [taken(folder)]


def staged(folder: Path) -> list[Files]:
    """A folder of zones whose last run was killed while it put files in place."""
    from seepseg.runs.staged import NEXT, READY

    plan = {"put": ["a.csv", "cache/b.npz"], "remove": ["old.csv"], "before": {"a.csv": [1, 2]}}
    return [
        {
            f"{NEXT}/{READY}": json.dumps(plan).encode(),
            f"{NEXT}/a.csv": b"1",
            f"{NEXT}/cache/b.npz": b"2",
            "a.csv": b"0",
            "old.csv": b"0",
        }
    ]


def open_staged(folder: Path) -> None:
    """The step done; nothing outside may change."""
    beside = folder.parent / "beside"
    beside.touch()
    settle(folder)
    assert beside.exists(), "a file outside the folder was removed"


def scored(folder: Path) -> list[Files]:
    """Scores of two runs to compare."""
    rows = "scene,truth,prediction,pixels\n" + "".join(
        f"{s},{t},{p},{5 if t == p else 1}\n"
        for s in ("a", "b")
        for t in ("background", "oil")
        for p in ("background", "oil")
    )
    for name in ("one", "two"):
        (folder / name).mkdir()
        (folder / name / "matrices.csv").write_text(rows)
        (folder / name / "tiles.csv").write_text("tile,tgs_score\na,0.5\nb,1.0\n")
    return [taken(folder)]


# Sentinel-1, scenes, wind.


def products(folder: Path) -> list[Files]:
    """A product in a folder, in both schemas of noise."""
    sets = []
    for schema in ("azimuth", "range"):
        made = write_product(folder / schema, {"vv": np.full((24, 40), 0.01)}, schema=schema)
        made.rename(folder / schema / "p.SAFE")
        sets.append(taken(folder / schema))
    return sets


def open_products(folder: Path) -> None:
    """The product's rows."""
    with open_scene(folder / "p.SAFE", ("vv", "incidence")) as image:
        for row in range(0, min(image.height, 2000), 64):
            image.rows(row, min(row + 64, image.height))


def packed_products(folder: Path) -> list[Files]:
    """A product in a ZIP."""
    made = write_product(folder, {"vv": np.full((24, 40), 0.01)}, packed=True)
    return [{"p.zip": made.read_bytes()}]


def open_packed_products(folder: Path) -> None:
    """The product's rows."""
    os.environ["SEEPSEG_CACHE"] = str(folder / "cache")
    try:
        with open_scene(folder / "p.zip", ("vv",)) as image:
            image.rows(0, min(64, image.height))
    finally:
        shutil.rmtree(folder / "cache", ignore_errors=True)


def scenes(folder: Path) -> list[Files]:
    """A scene with polygons, an extent, a mask, and a table of when it was taken."""
    write_geotiff(folder / "a.tif")
    shapes = np.array([shapely.box(-95, 28, -93, 30), shapely.box(-93, 28, -92, 29)])
    table = pd.DataFrame({"class_name": ["oil", "oil"], "scene": ["a", "a"], "split": ["train", "val"]})
    write_vectors(folder / "labels.geojson", shapes, table, "EPSG:4326")
    (folder / "scenes.csv").write_text("scene,acquired,platform\na,2021-04-01T05:26:23Z,S1A\n")
    one = taken(folder)
    tifffile.imwrite(folder / "a_mask.tif", np.ones((4, 5), np.uint8))
    return [one, {**taken(folder, "a.tif", "a_mask.tif")}]


def open_scenes(folder: Path) -> None:
    """Its windows and their labels."""
    polygons = (folder / "labels.geojson").exists()
    more = (
        {"labels": ["labels.geojson"], "extent": ["labels.geojson"]}
        if polygons
        else {"labels": ["a_mask.tif"], "label_suffix": "_mask"}
    )
    table = folder / "scenes.csv" if polygons else None
    classes = [{"name": "oil", "values": [1]}]
    source = source_of(
        ScenesData(root=folder, images=["a.tif"], classes=classes, window=8, bands=[1], scenes=table, **more)
    )
    for tile in source.catalog().tiles[:4]:
        pixels = read_pixels(source, tile)
        read_mask(source, tile, pixels.raw.shape[1:])


def wind(folder: Path) -> list[Files]:
    """netCDF, GRIB and GeoTIFF."""
    from tests.conditions.test_winds import write_grib, write_netcdf

    write_netcdf(folder / "w")
    sets = [taken(folder)]
    write_grib(folder / "w")
    sets.append(taken(folder, "w"))
    write_geotiff(folder / "w", TIME="2021-04-01T05:00:00Z")
    return [*sets, taken(folder, "w")]


def open_wind(folder: Path) -> None:
    """The wind at a place."""
    winds._opened.cache_clear()
    winds._field.cache_clear()
    found = winds.read_winds([folder / "w"])
    found.nearest("2021-04-01T05:26:23Z")
    found.at(0, np.array([[-94.7, 28.3], [10.0, 0.0]]))


DOORS: dict[str, Door] = {
    "images": Door(images, open_images, mebibytes=1536, share=3),
    "bathymetry": Door(bathymetry, open_bathymetry, mebibytes=1536, share=0.5),
    "rasters of others": Door(rasters, open_rasters, mebibytes=1536),
    "GeoPackage": Door(vectors(".gpkg"), open_vectors(".gpkg"), share=0.3),
    "GeoJSON": Door(vectors(".geojson"), open_vectors(".geojson"), share=2),
    "Shapefile": Door(vectors(".shp"), open_vectors(".shp"), share=2),
    "FlatGeobuf": Door(vectors(".fgb"), open_vectors(".fgb"), share=2),
    "GeoParquet": Door(vectors(".parquet"), open_vectors(".parquet"), share=0.15),
    "tables of what is near": Door(near, lambda folder: read_nearby([folder / "a.csv"], 1000.0, 3.0), share=2),
    "configs": Door(configs, lambda folder: load(folder / "c.yaml"), share=2),
    "overrides": Door(overrides, open_overrides),
    "tables of scenes": Door(tables, open_tables, share=3),
    "run lengths": Door(run_lengths, open_run_lengths),
    "tables of tiles": Door(tiles, open_tiles),
    "nnU-Net": Door(nnunet, open_nnunet, documented=(ValueError,)),
    "archives": Door(archives, open_archives, share=2),
    "checkpoints": Door(checkpoints, lambda folder: load_checkpoint(folder / "c.pt"), {"c.pt": bytes_damaged}, share=2),
    "checkpoints, sealed": Door(
        checkpoints, lambda folder: load_checkpoint(folder / "c.pt"), {"c.pt": resealed}, share=2
    ),
    "encoder weights": Door(encoder, open_encoder),
    "exported weights": Door(exported, lambda folder: read_weights(folder)),
    "manifests": Door(predictions, open_predictions, share=3),
    "findings": Door(findings, lambda folder: read_findings(folder)),
    "edited packages": Door(edited, open_edited, share=0.15),
    "state of zones": Door(state, read_state, share=2),
    "interrupted zones": Door(staged, open_staged),
    "scores of runs": Door(scored, lambda folder: compare(folder / "one", folder / "two", "val")),
    "Sentinel-1": Door(products, open_products, mebibytes=1536, share=2),
    "Sentinel-1 in a ZIP": Door(packed_products, open_packed_products, mebibytes=1536),
    "scenes with labels": Door(scenes, open_scenes, mebibytes=1536),
    "wind": Door(wind, open_wind, mebibytes=1536, share=2),
}
