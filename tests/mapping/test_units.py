from __future__ import annotations

from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pytest
import tifffile
import torch
from torch import Tensor, nn

from seepseg.config import Predict, Runtime
from seepseg.errors import DataError
from seepseg.geo.grid import Grid
from seepseg.inference.predictor import Predictor
from seepseg.mapping import units
from seepseg.mapping.jobs import plan
from seepseg.mapping.outputs import Wanted
from seepseg.mapping.units import Recipe
from tests.mapping.toy import recipe, toy

RECIPE = Recipe((Path("best.pt"),), Runtime(threads=1), Predict(), False, Wanted())
PREDICT = {
    "window": 256, "overlap": 0.25, "margin": 16, "batch_size": 2, "tta": "d4", "threshold": 0.5, "vote": True,
    "min_pixels": 3, "min_area_m2": 9.0, "simplify": 1.0, "fill_holes": 4.0,
}  # fmt: skip
WANTED = {
    "probabilities": True, "vectors": None, "quicklook": False, "mask": Path("mask.tif"), "uncertainty": True,
    "image_format": "png", "grid": Grid(), "land": 0.0,
}  # fmt: skip


def test_every_field_changes_the_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever adds an option gives it another value here, and the key must notice it."""
    monkeypatch.chdir(tmp_path)
    Path("mask.tif").write_bytes(b"land")
    assert PREDICT.keys() == Predict.model_fields.keys()
    assert WANTED.keys() == {f.name for f in fields(Wanted)}
    ensemble = toy()
    bf16 = toy()
    bf16.members[0].predictor.dtype = torch.bfloat16
    others = {
        "checkpoints": [(RECIPE, replace(ensemble, tags={"SEEPSEG_MODEL": "another"}))],
        "runtime": [(RECIPE, bf16)],
        "config": [(replace(RECIPE, config=Predict(**{k: v})), ensemble) for k, v in PREDICT.items()],
        "tta": [(replace(RECIPE, tta=True), ensemble)],
        "wanted": [(replace(RECIPE, wanted=Wanted(**{k: v})), ensemble) for k, v in WANTED.items()],
        "fitted": [(replace(RECIPE, fitted=False), ensemble)],
    }
    assert others.keys() == {f.name for f in fields(Recipe)}
    changed = [one for pairs in others.values() for one in pairs]
    keys = {RECIPE.key(ensemble), *(recipe.key(team) for recipe, team in changed)}
    assert len(keys) == 1 + len(changed)


def test_a_mask_is_known_by_its_content(tmp_path: Path) -> None:
    mask, recipe = tmp_path / "land.tif", replace(RECIPE, wanted=Wanted(mask=tmp_path / "land.tif"))
    mask.write_bytes(b"land")
    before = recipe.key(toy())
    assert recipe.key(toy()) == before
    mask.write_bytes(b"more land")
    assert recipe.key(toy()) != before


class Lost(nn.Module):
    """A network whose answer is no number."""

    def forward(self, images: Tensor) -> Tensor:
        return images * torch.nan


def test_where_the_network_fails_a_unit_fails_and_not_the_batch(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, side in (("a", 16), ("b", 16), ("scene", 80)):
        tifffile.imwrite(tmp_path / f"{name}.tif", np.full((side, side), 150, np.uint16))
    jobs = plan([str(tmp_path / "*.tif")], tmp_path / "out")
    (member,), lost = toy().members, Predictor(Lost(), recipe(), torch.device("cpu"))
    ensemble = replace(toy(), members=(replace(member, predictor=lost),))
    monkeypatch.setattr(units, "load", lambda recipe: ensemble)
    answers = [units.work(unit, RECIPE) for unit in units.cut_units(jobs, ensemble)]
    assert [len(answer) for answer in answers] == [1, 2]
    assert all(isinstance(what, DataError) and "NaN" in what.what for answer in answers for what in answer)
