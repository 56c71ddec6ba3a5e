"""A review becomes labels that training on whole scenes reads."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from seepseg.atlas.labels import labelled, write_labels
from seepseg.classes import ClassTable, SegClass
from seepseg.geo.vector import Layer, read_vectors, write_layers
from seepseg.scenes.labels import read_layer
from seepseg.synthetic.vents import Sea, write_passes
from seepseg.zones.options import Options
from seepseg.zones.run import make_zones

SEA = Sea(vents=4, rates=(0.5, 0.8), passes=8, side=40_000, pixel=200, lookalikes=3, wakes=0)


def test_verdicts_become_labels(tmp_path: Path) -> None:
    out, zones = tmp_path / "out", tmp_path / "zones"
    write_passes(out, SEA, 3)
    assert labelled(make_zones([out], zones, Options(), more=(write_labels,))) == set()
    assert not (zones / "labels.gpkg").exists()
    shapes, table, crs = read_vectors(zones / "zones.gpkg", "slicks")
    discs, of_zones, _ = read_vectors(zones / "zones.gpkg", "zones")
    own = np.flatnonzero(table["scene"] == table["scene"].value_counts().idxmax())
    assert len(own) >= 5
    # Of one scene: a seep as it is, one of another class, a ship, and one with a new shape. The others are not known.
    table["verdict"] = table["verdict"].astype(object)
    table.loc[own[[0, 2]], "verdict"] = ["seep", "ship"]
    table.loc[own[1], "class_new"] = "thick" if table["class_name"][own[1]] == "thin" else "thin"
    shapes[own[3]] = shapes[own[3]].buffer(500)
    layers = [Layer("zones", discs, of_zones, crs), Layer("slicks", shapes, table, crs)]
    write_layers(zones / "zones.gpkg", layers)
    assert labelled(make_zones([out], zones, Options(), more=(write_labels,))) == {table["scene"][own[0]]}
    labels = read_layer(zones / "labels.gpkg")
    names = table["class_name"].to_numpy()[own]
    expected = [names[0], table["class_new"][own[1]], names[3], *["255"] * (len(own) - 4)]
    assert sorted(labels.table["class_name"]) == sorted(expected)
    assert set(labels.table["scene"]) == {table["scene"][own[0]]}
    classes = ClassTable((SegClass("thick", (1,), "#E69F00"), SegClass("thin", (2,), "#56B4E9")), ignore_values=(255,))
    indices = pd.Series(labels.classes(None, classes))
    assert (indices == 255).sum() == len(own) - 4
    assert max(shape.area for shape in labels.shapes) >= shapes[own[3]].area * 0.999
