from __future__ import annotations

from pathlib import Path

import numpy as np
import tifffile
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from seepseg.config import Predict
from seepseg.inference.decode import decode
from seepseg.inference.stream import Rows, whole_strip
from seepseg.mapping.objectwise import ObjectDecisions


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.integers(0, 10_000), st.integers(1, 30), st.integers(1, 9), st.booleans(), st.integers(0, 6))
def test_strips_decide_as_the_whole_does(
    tmp_path: Path, seed: int, height: int, strip: int, vote: bool, min_pixels: int
) -> None:
    rng = np.random.default_rng(seed)
    probabilities = rng.dirichlet([4, 1, 1, 1], (height, 20)).astype(np.float32)
    valid = rng.random((height, 20)) < 0.95
    config = Predict(vote=vote, min_pixels=min_pixels)
    batch = torch.from_numpy(probabilities).permute(2, 0, 1)[None]
    valid_batch = torch.from_numpy(valid)[None]
    first, whole = (decode(batch, valid_batch, c)[0] for c in (Predict(), config))
    decisions = ObjectDecisions(config, 4)
    for start in range(0, height, strip):
        part = slice(start, start + strip)
        pixels = Rows(np.zeros((1, *first[part].shape)), valid[part])
        decisions.see(whole_strip(pixels, first[part], torch.from_numpy(probabilities[part])))
    tifffile.imwrite(tmp_path / "first.tif", first)
    assert np.array_equal(np.concatenate(list(decisions.rewritten(tmp_path / "first.tif"))), whole)
