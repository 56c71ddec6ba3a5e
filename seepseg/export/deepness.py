"""What the Deepness plugin of QGIS reads in an ONNX file: metadata whose values are JSON."""

from __future__ import annotations

import json
from collections.abc import Sequence

from seepseg.export.graph import Form


def deepness_metadata(names: Sequence[str], form: Form, overlap: float) -> dict[str, str]:
    """Metadata by key, as the plugin's ModelBase reads them.

    There is no confidence threshold (0): the graph holds it, as odds, since the plugin's own is applied to each class
    alone. Small segments stay too: the plugin's filter is a median, which takes thin slicks away.

    Args:
        names: of the classes, background first.
        form: of the graph; without a pixel size, the user sets the resolution.
        overlap: share of a side that neighbouring tiles have in common.
    """
    values: dict[str, object] = {
        "model_type": "Segmentor",
        "class_names": {str(k): name for k, name in enumerate(names)},
        # Its code reads the first, its documentation names the second.
        "tile_size": form.size[0],
        "tiles_size": form.size[0],
        "tiles_overlap": round(100 * overlap),
        "seg_thresh": 0.0,
        "seg_small_segment": 0,
    }
    if form.pixel_size is not None:
        values["resolution"] = round(100 * form.pixel_size, 4)
    return {key: json.dumps(value) for key, value in values.items()}
