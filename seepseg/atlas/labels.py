"""Labels made of a review: the polygons of reviewed scenes as `source: scenes` reads them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
from shapely.affinity import translate

from seepseg.geo.vector import Layer, read_vectors, write_layers
from seepseg.review.edits import KEY, NO_SEEP, PACKAGE
from seepseg.zones.run import LABELS, Summary

IGNORED = "255"
"""Class of polygons that nobody is sure of; a recipe names it in `ignore_values`."""


def labelled(made: Summary) -> set[str]:
    """Names of the scenes of whose slicks anything was said."""
    said = made.edits.table
    return set(said.loc[said["what"] != "zone", "scene"].dropna())


def write_labels(out: Path, made: Summary) -> None:
    """Write OUT/labels.gpkg, of all scenes that are `labelled`.

    OUT has the zones.gpkg of the run.

    A polygon has the class that a user gave it; else its own where it was called a seep, reshaped or added. What is no
    seep is left out, and so becomes background. All others are `IGNORED`.
    """
    table = made.edits.table
    said = table[table["what"] != "zone"]
    scenes = labelled(made)
    if not scenes:
        return
    shapes, slicks, crs = read_vectors(out / PACKAGE, "slicks")
    reshaped = pd.MultiIndex.from_frame(said.loc[said["what"] == "reshaped", [*KEY]].astype(object))
    drawn = slicks["object"].isna() | pd.MultiIndex.from_frame(slicks[[*KEY]].astype(object)).isin(reshaped)
    own = slicks["class_name"].where(slicks["verdict"].eq("seep") | (slicks["verdict"].isna() & drawn))
    label = slicks["class_new"].fillna(own).fillna(IGNORED)
    no_seep = slicks["verdict"].isin(NO_SEEP) & slicks["class_new"].isna()
    take = (slicks["scene"].isin(scenes) & ~no_seep).to_numpy()
    chosen = slicks[take].assign(class_name=label[take])[["scene", "class_name", "verdict", "comment"]]
    if shifts := made.tables.frame.shifts:  # a scene's own pixels
        moves = [shifts.get(scene, (0.0, 0.0)) for scene in chosen["scene"]]
        shapes[take] = [translate(shape, -move[0], -move[1]) for shape, move in zip(shapes[take], moves, strict=True)]
    write_layers(out / LABELS, [Layer("labels", np.asarray(shapes[take]), chosen, crs)])
