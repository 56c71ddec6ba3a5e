"""The doors: for each, sound files in one folder, which of them is damaged and how, and what opens the folder."""

from __future__ import annotations

from damage import bytes_damaged

from doors.door import Door
from doors.own import edited, findings, open_edited, open_predictions, open_staged, predictions, scored, staged, state
from doors.packed import archives, checkpoints, encoders, exported, open_archives, open_encoder, repacked, resealed
from doors.rasters import bathymetry, images, open_bathymetry, open_images, open_rasters, rasters
from doors.scenes import (
    open_packed_products,
    open_products,
    open_scenes,
    open_wind,
    packed_products,
    products,
    scenes,
    wind,
)
from doors.text import (
    configs,
    near,
    nnunet,
    open_nnunet,
    open_overrides,
    open_run_lengths,
    open_tables,
    open_tiles,
    overrides,
    run_lengths,
    tables,
    tiles,
)
from doors.vectors import open_vectors, vectors
from seepseg.api.findings import read_findings
from seepseg.config import load
from seepseg.evaluation.compare import compare
from seepseg.export.weights import read_weights
from seepseg.geo.nearby import read_nearby
from seepseg.runs.checkpoint import load_checkpoint
from seepseg.zones.since import read_state

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
    "encoder weights": Door(encoders, open_encoder, {"resnet.pth": repacked, "lite.pth": repacked}),
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
