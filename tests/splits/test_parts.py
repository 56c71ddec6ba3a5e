from __future__ import annotations

import numpy as np

from seepseg.config import Split
from seepseg.splits.make import make_splits
from seepseg.splits.parts import shares
from tests.splits.catalogs import catalog_of


def test_shares_count_tiles_groups_and_pixels() -> None:
    catalog = catalog_of({"a": [{1}, {1}], "b": [{1, 2}], "c": [{1, 2, 3, 4, 5, 6, 7}]})
    splits = make_splits(catalog, Split(val=["b"], allow_missing_classes=True), 0)
    table = shares(catalog, splits)
    assert table.loc["val", ["tiles", "scenes", "seep 1", "seep 2", "seep 3"]].tolist() == [1, 1, 10, 10, 0]
    assert np.asarray(table.loc["train", ["tiles", "scenes", "seep 1"]]).tolist() == [3, 2, 30]
