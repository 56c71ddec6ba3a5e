from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from seepseg.config import NnunetData, dump, load
from seepseg.config.nnunet import described, described_table
from seepseg.errors import ConfigError

OIL = {"channel_names": {"0": "VV"}, "labels": {"background": 0, "oil": 1}, "file_ending": ".png", "numTraining": 1}


def write(folder: Path, **changes: Any) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "dataset.json").write_text(json.dumps(OIL | changes))
    return folder


def test_classes_and_channels_are_those_of_dataset_json(tmp_path: Path) -> None:
    assert described(write(tmp_path)) == {
        "classes": [{"name": "oil", "values": [1]}], "ignore_values": [], "bands": None,
    }  # fmt: skip
    # In the order of values, whatever that of the names.
    labels = {"ignore": 3, "ship": 2, "background": 0, "oil": 1}
    several = described(write(tmp_path, labels=labels, channel_names={"0": "VV", "1": "VH"}, file_ending=".tif"))
    assert several["classes"] == [{"name": "oil", "values": [1]}, {"name": "ship", "values": [2]}]
    assert (several["ignore_values"], several["bands"]) == ([3], [1, 2])
    table = described_table(tmp_path / "dataset.json")
    assert (table.names, table.ignore_values) == (("background", "oil", "ship"), (3,))


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"labels": {"background": 0, "whole": [1, 2], "core": 2}}, "labels are regions"),
        ({"labels": {"0": "background", "1": "oil"}}, "labels are not whole numbers by name: it is in the form of nnU"),
        ({"labels": {"background": 0, "oil": True}}, "labels are not whole numbers by name"),
        ({"labels": {"background": 0, "oil": 2}}, "labels are not background = 0 and then 1, 2, … without a gap"),
        ({"labels": {"background": 0, "oil": 1, "ship": 1}}, "without a gap"),
        ({"labels": {"sea": 0, "oil": 1}}, "labels are not background = 0"),
        ({"labels": {"background": 0, "ignore": 1, "oil": 2}}, "ignore is 1, and not the highest label, 2"),
        ({"labels": {}}, "has no labels"),
        ({"labels": {"background": 0, "oil\n": 1}}, r"'oil\\n' is no name of a class"),
        ({"labels": {"background": 0, " ": 1}}, "' ' is no name of a class"),
        ({"labels": {"background": 0, "\ud800": 1}}, r"'\\ud800' is no name of a class"),
        ({"channel_names": None, "modality": {"0": "MRI"}}, "has no channel_names: it is in the form of nnU-Net 1"),
        ({"channel_names": {"1": "VV"}}, "channel_names are not numbered 0 to 0"),
        ({"file_ending": ".nii.gz"}, "file_ending is '.nii.gz'; seepseg reads pictures, .png, .tif, .tiff"),
        ({"dataset": {}}, "lists files under dataset"),
    ],
)
def test_what_seepseg_does_not_read_is_said_in_a_line(tmp_path: Path, changes: dict[str, Any], says: str) -> None:
    write(tmp_path, **changes)
    with pytest.raises(ValueError, match=says) as told:
        described(tmp_path)
    assert str(tmp_path / "dataset.json") in str(told.value)
    assert "\n" not in str(told.value)


@pytest.mark.parametrize("content", [None, "{", "[]"])
def test_a_file_that_is_none_is_a_mistake_in_the_config(tmp_path: Path, content: str | None) -> None:
    if content is not None:
        (tmp_path / "dataset.json").write_text(content)
    (tmp_path / "own.yaml").write_text(f"data: {{source: nnunet, root: {tmp_path}}}\n")
    with pytest.raises(ConfigError, match=r"data: .*dataset.json (is not there|cannot be read|holds no keys)"):
        load(tmp_path / "own.yaml")
    with pytest.raises(ConfigError, match=r"dataset.json"):
        described_table(tmp_path / "dataset.json")


def test_a_resolved_config_needs_no_dataset_json(tmp_path: Path) -> None:
    own = tmp_path / "own.yaml"
    own.write_text(
        f"data: {{source: nnunet, root: {write(tmp_path / 'there', labels=OIL['labels'] | {'ignore': 2})}}}\n"
        "model: {name: unet, channels: [8, 16], head: softmax}\nloss: dice_ce\ntrain: {epochs: 1}\n"
    )
    config = load(own)
    assert config.data.class_table().names == ("background", "oil")
    (tmp_path / "there" / "dataset.json").unlink()
    (tmp_path / "resolved.yaml").write_text(dump(config))
    assert load(tmp_path / "resolved.yaml") == config


def test_what_the_config_says_goes_before(tmp_path: Path) -> None:
    write(tmp_path, labels={"background": 0, "oil": 1, "ship": 2}, channel_names={"0": "VV", "1": "VH"})
    merged = NnunetData.model_validate({"root": tmp_path, "classes": [{"name": "any", "values": [1, 2]}], "bands": [2]})
    assert (merged.class_table().names, merged.bands) == (("background", "any"), [2])
