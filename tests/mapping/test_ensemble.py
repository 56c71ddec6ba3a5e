from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from seepseg.classes import SALT
from seepseg.data.scaling import MeasuredScaling
from seepseg.errors import ConfigError
from seepseg.mapping.ensemble import load_ensemble
from seepseg.models.build import build_model
from seepseg.runs.checkpoint import Checkpoint, save_checkpoint
from tests.inference.test_scene_objects import asks
from tests.mapping.toy import SCALING, WIDER, recipe


def saved(path: Path, scaling: MeasuredScaling, *, objects: bool) -> Path:
    """A checkpoint of a small network, with an object classifier or without."""
    tree = recipe().model_dump(mode="json") | {"model": {"name": "unet", "channels": [4, 8], "head": "binary"}}
    config = recipe().model_validate(tree)
    held = asks("log_area", 0, 1, 0, 2).to_plain() if objects else {}
    weights = build_model(config.model, 1, 2).state_dict()
    save_checkpoint(path, Checkpoint(config, SALT, scaling, weights, objects=held))
    return path


def test_objects_are_shown_as_the_first_member_with_a_classifier_scales_them(tmp_path: Path) -> None:
    plain = saved(tmp_path / "plain.pt", SCALING, objects=False)
    expert = saved(tmp_path / "expert.pt", WIDER, objects=True)
    runtime = recipe().runtime
    for paths, shown in (([plain], 0), ([plain, expert], 1), ([expert, plain], 0), ([plain, expert, expert], 1)):
        assert load_ensemble(paths, runtime, tta=False).shown == shown


def test_classifiers_of_runs_that_differ_in_what_the_network_sees_answer_together(tmp_path: Path) -> None:
    # Objects are described from pixels in [0, 1], whatever is made of them for the network.
    smooth = replace(SCALING, config=SCALING.config.model_copy(update={"local": 65}))
    paths = [saved(tmp_path / f"{i}.pt", s, objects=True) for i, s in enumerate((SCALING, smooth))]
    assert load_ensemble(paths, recipe().runtime, tta=False).objects


def test_classifiers_of_other_scalings_do_not_answer_together(tmp_path: Path) -> None:
    paths = [saved(tmp_path / f"{i}.pt", s, objects=True) for i, s in enumerate((SCALING, WIDER))]
    with pytest.raises(ConfigError, match=r"another data.scaling than that of .*0.pt in .*1.pt: predict with one"):
        load_ensemble(paths, recipe().runtime, tta=False)
