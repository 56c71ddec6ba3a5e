from __future__ import annotations

import hashlib
import os
import random
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from seepseg.classes import SEEP
from seepseg.config import Scaling
from seepseg.data.scaling import MeasuredScaling
from seepseg.errors import CheckpointError
from seepseg.models.build import build_model
from seepseg.objects.features import FEATURES
from seepseg.runs import content
from seepseg.runs.checkpoint import (
    SCHEMA,
    Checkpoint,
    checkpoint_digest,
    load_checkpoint,
    load_weights,
    save_checkpoint,
)
from tests.conftest import tiny_config


def example() -> Checkpoint:
    scaling = MeasuredScaling(Scaling(), ((1.0,), (2.0,)), (0.5,), (0.25,))
    weights = {"a": torch.arange(6.0).view(2, 3), "n": torch.tensor(3)}
    return Checkpoint(
        tiny_config(Path("x")), SEEP, scaling, weights, None, {}, {"step": 7, "rows": [{"b": 1.5}]}, 0.25, 4
    )


def test_everything_comes_back(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "c.pt"
    before = example()
    save_checkpoint(path, before)
    after = load_checkpoint(path)
    assert all(torch.equal(before.weights[k], after.weights[k]) for k in before.weights)
    for name in ("config", "classes", "scaling", "ema", "decoding", "training", "score", "epoch"):
        assert getattr(after, name) == getattr(before, name), name
    assert [p.name for p in path.parent.iterdir()] == ["c.pt"]


def test_every_flipped_bit_and_every_cut_is_noticed(tmp_path: Path) -> None:
    path, broken = tmp_path / "c.pt", tmp_path / "broken.pt"
    save_checkpoint(path, example())
    content = path.read_bytes()
    rng = random.Random(0)
    for _ in range(200):
        spoilt = bytearray(content)
        spoilt[rng.randrange(len(content))] ^= 1 << rng.randrange(8)
        broken.write_bytes(spoilt)
        with pytest.raises(CheckpointError):
            load_checkpoint(broken)
    for end in range(0, len(content), max(1, len(content) // 100)):
        broken.write_bytes(content[:end])
        with pytest.raises(CheckpointError):
            load_checkpoint(broken)


def seal(path: Path, body: bytes) -> None:
    """Give a foreign file a valid trailer, as an attacker would."""
    path.write_bytes(body + b"seepseg-sha256:" + hashlib.sha256(body).digest())


def test_another_schema_says_what_to_do(tmp_path: Path) -> None:
    path = tmp_path / "c.pt"
    torch.save({"schema": SCHEMA + 1}, path)
    seal(path, path.read_bytes())
    with pytest.raises(CheckpointError, match=f"schema {SCHEMA + 1}, this seepseg reads {SCHEMA}"):
        load_checkpoint(path)
    for odd in (torch.zeros(2), torch.zeros(2).to_sparse(), "1", True):
        torch.save({"schema": odd}, path)
        seal(path, path.read_bytes())
        with pytest.raises(CheckpointError, match="its schema is no number"):
            load_checkpoint(path)


def test_weights_that_do_not_fit_name_the_first_difference() -> None:
    model = torch.nn.Linear(2, 3)
    with pytest.raises(CheckpointError) as caught:
        load_weights(model, {"weight": torch.zeros(4, 2), "bias": torch.zeros(3)}, "run")
    assert str(caught.value).startswith(
        "weights do not match: weight is (4, 2) in the checkpoint and (3, 2) in the config"
    )


def spoilt(path: Path, change: Callable[[dict[str, Any]], object]) -> Path:
    """A checkpoint of a network with a part of its content changed, and a right trailer."""
    model = build_model(tiny_config(Path("x")).model, 1, 8)
    save_checkpoint(path, replace(example(), weights=model.state_dict()))
    tree = torch.load(path, weights_only=True)
    change(tree)
    torch.save(tree, path)
    seal(path, path.read_bytes())
    return path


FIT = {"head": "sigmoid", "temperature": 1.0, "threshold": 0.5, "offsets": [], "min_pixels": 0}
FIT |= {"split": "val", "tiles": []}


@pytest.mark.parametrize(
    "change",
    [
        lambda t: t.pop("weights"),
        lambda t: t.update(weights=[1, 2]),
        lambda t: t["weights"].update(n=3),
        lambda t: t["weights"].update(n=torch.zeros(2, device="meta")),
        lambda t: t["weights"].update(n=torch.eye(3).to_sparse()),
        lambda t: t.update(ema="none"),
        lambda t: t.update(classes={}),
        lambda t: t.update(classes={"foreground": [{"name": "a"}]}),
        lambda t: t["classes"].update(foreground=[{"name": "a", "values": (1,), "color": "red"}]),
        lambda t: t["classes"].update(foreground=[]),
        lambda t: t.update(scaling=None),
        lambda t: t["scaling"].update(mean=()),
        lambda t: t["scaling"].update(mean=(0.0, 0.0, 0.0)),
        lambda t: t["scaling"].update(std=(0.0,)),
        lambda t: t["scaling"].update(limits=((float("nan"),), (1.0,))),
        lambda t: t["scaling"].update(limits=((1.0,),)),
        lambda t: t.update(decoding={"temperature": 1}),
        lambda t: t.update(decoding=FIT | {"temperature": 0.0}),
        lambda t: t.update(decoding=FIT | {"offsets": [1.0]}),
        lambda t: t.update(decoding=FIT | {"polygons": [1], "right": [1, 2]}),
        lambda t: t.update(objects={"features": list(FEATURES), "tiles": [], "forests": [{}]}),
        lambda t: t.update(objects={"features": list(FEATURES), "tiles": [], "forests": [CIRCLE]}),
        lambda t: t.update(objects={"features": list(FEATURES), "tiles": [], "forests": []}),
        lambda t: t.update(objects={"features": list(FEATURES), "tiles": [], "forests": [LEAF], "placed": [{}, {}]}),
        lambda t: t.update(objects={"features": list(FEATURES), "tiles": [], "forests": [LEAF], "placed": [PLACED]}),
        lambda t: t.update(training=[]),
        lambda t: t.update(score="high"),
        lambda t: t.update(epoch=None),
        lambda t: t.update(config={}),
        lambda t: t.update(config=[]),
        lambda t: t.clear(),
    ],
)  # fmt: skip
def test_a_right_trailer_with_wrong_content_is_one_line(tmp_path: Path, change: Callable[..., object]) -> None:
    with pytest.raises(CheckpointError) as caught:
        load_checkpoint(spoilt(tmp_path / "c.pt", change))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda t: t.update(config={}), r"its config is not readable here \(.*data.*\)"),
        (lambda t: t["scaling"].update(mean=(0.0,) * 3), r"seepseg writes \(scaling of 3 bands, the config has 1\)"),
        (lambda t: t.update(score="high"), r"not what seepseg writes \(score 'high' at epoch 4\)"),
        (lambda t: t.pop("weights"), r"not what seepseg writes \('weights'\)"),
    ],
)  # fmt: skip
def test_wrong_content_is_named(tmp_path: Path, change: Callable[..., object], said: str) -> None:
    with pytest.raises(CheckpointError, match=said):
        load_checkpoint(spoilt(tmp_path / "c.pt", change))


# A tree whose only node leads to itself: a classifier that never answers.
CIRCLE = {
    "roots": torch.zeros(1, dtype=torch.int32), "feature": torch.zeros(1, dtype=torch.int16),
    "threshold": torch.zeros(1, dtype=torch.float64), "left": torch.zeros(1, dtype=torch.int32),
    "right": torch.zeros(1, dtype=torch.int32), "value": torch.zeros(1, 8),
}  # fmt: skip
# A tree of one leaf; and a place whose objects are of scenes that it does not name.
LEAF = CIRCLE | {"feature": torch.full((1,), -1, dtype=torch.int16)}
PLACED = {
    "forest": LEAF,
    "sites": {
        "names": ("a",), "owner": torch.tensor([3]), "positions": torch.zeros(1, 2).double(),
        "classes": torch.tensor([1]), "roots": torch.ones(1).double(), "n_classes": 8, "unit": 0.0,
        "shifts": torch.zeros(1, 2).double(), "bright": torch.zeros(0, 2).double(),
        "shown": torch.zeros(0, dtype=torch.int64),
    },
}  # fmt: skip


@pytest.mark.parametrize("dtype", [torch.complex64, torch.int8, torch.float64, torch.bool])
def test_weights_of_another_type_of_numbers_are_refused(tmp_path: Path, dtype: torch.dtype) -> None:
    def change(tree: dict[str, Any]) -> None:
        name = next(iter(tree["weights"]))
        tree["weights"][name] = tree["weights"][name].to(dtype)

    checkpoint = load_checkpoint(spoilt(tmp_path / "c.pt", change))
    model = build_model(checkpoint.config.model, 1, 8)
    with pytest.raises(CheckpointError, match=f"is {str(dtype)[6:]} .* in the checkpoint and float32"):
        load_weights(model, checkpoint.weights, "run")


def test_a_checkpoint_that_would_grow_is_refused(tmp_path: Path) -> None:
    """torch also reads tensors that are packed in the file: 1 GB of zeros from 1 MB."""
    path, packed = tmp_path / "c.pt", tmp_path / "packed.pt"
    torch.save({"schema": SCHEMA, "weights": torch.zeros(2**20)}, path)
    with zipfile.ZipFile(path) as stored, zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as written:
        for name in stored.namelist():
            written.writestr(name, stored.read(name))
    seal(packed, packed.read_bytes())
    with pytest.raises(CheckpointError, match="compressed"):
        load_checkpoint(packed)


def test_a_pipe_is_no_checkpoint(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "c.pt")
    with pytest.raises(CheckpointError, match="is a pipe or device"):
        load_checkpoint(tmp_path / "c.pt")


def test_a_place_of_named_scenes_is_read(tmp_path: Path) -> None:
    """What the case above spoils is sound otherwise."""
    sound = PLACED | {"sites": PLACED["sites"] | {"owner": torch.tensor([0])}}
    plain = {"features": list(FEATURES), "tiles": [], "forests": [LEAF], "placed": [sound]}
    again = load_checkpoint(spoilt(tmp_path / "c.pt", lambda tree: tree.update(objects=plain)))
    assert again.objects["placed"][0]["sites"]["names"] == ("a",)


@pytest.mark.parametrize(
    ("score", "epoch", "sound"),
    [
        (None, 0, True), (0.5, 3, True), (1, 0, True), (float("nan"), 3, False), (float("inf"), 3, False),
        (True, 3, False), ("1", 3, False), (0.5, -1, False), (0.5, 1.0, False), (0.5, True, False), (None, -1, False),
    ],
)  # fmt: skip
def test_scores_and_epochs_are_numbers(score: object, epoch: object, sound: bool) -> None:
    tree = {"score": score, "epoch": epoch}
    if sound:
        assert content.numbers(tree) == tree
        return
    with pytest.raises(ValueError, match="at epoch"):
        content.numbers(tree)


def test_scaling_is_finite_and_of_the_bands_of_the_config() -> None:
    config, plain = tiny_config(Path("x")), example().scaling.to_plain()
    assert content.scaling(plain | {"shares": ((0.5, 0.5),)}, config).shares == ((0.5, 0.5),)
    assert content.scaling(plain | {"limits": None, "usual": 0.0}, config).limits is None
    nan = float("nan")
    for wrong in (
        {"mean": (0.5, 0.5)}, {"std": (0.5, 0.5)}, {"limits": ((1.0, 1.0), (2.0,))}, {"limits": ((1.0,), (2.0, 2.0))},
        {"shares": ((0.5,), (0.5,))}, {"mean": (nan,)}, {"std": (nan,)}, {"std": (0.0,)}, {"std": (-1.0,)},
        {"limits": ((1.0,), (nan,))}, {"usual": nan},
    ):  # fmt: skip
        with pytest.raises(ValueError, match="scaling"):
            content.scaling(plain | wrong, config)


def test_a_fit_is_of_the_head_and_its_classes() -> None:
    config, tree = tiny_config(Path("x")), {"objects": {}, "training": {}}
    for offsets in ([], [0.0] * 7):
        fit = FIT | {"offsets": offsets}
        assert content.fitted(tree | {"decoding": fit}, config, 8, "run") == tree | {"decoding": fit}
    assert content.fitted(tree | {"decoding": {}}, config, 8, "run")["decoding"] == {}
    for wrong in ({"offsets": [0.0] * 8}, {"offsets": [0.0] * 6}, {"head": "softmax"}, {"temperature": float("nan")}):
        with pytest.raises(ValueError, match="another head or other classes"):
            content.fitted(tree | {"decoding": FIT | wrong}, config, 8, "run")
    for name in ("decoding", "objects", "training"):
        with pytest.raises(ValueError, match="no table"):
            content.fitted({"decoding": {}, **tree} | {name: []}, config, 8, "run")


def test_weights_and_averages_are_tensors_by_name() -> None:
    state, none = {"a": torch.zeros(2)}, {"a": 1}
    assert content.states({"weights": state, "ema": None, "x": 1}) == {"weights": state, "ema": None}
    assert content.states({"weights": state, "ema": state})["ema"] is state
    for wrong in ({"weights": none, "ema": None}, {"weights": state, "ema": none}, {"weights": None, "ema": state}):
        with pytest.raises(ValueError, match="no tensors"):
            content.states(wrong)


def test_a_digest_is_that_of_the_content(tmp_path: Path) -> None:
    seal(tmp_path / "c.pt", b"content")
    assert checkpoint_digest(tmp_path / "c.pt") == hashlib.sha256(b"content").hexdigest()


def test_weights_that_are_lacking_or_too_many_are_named() -> None:
    model = torch.nn.Linear(2, 3)
    sound = {"weight": torch.ones(3, 2), "bias": torch.ones(3)}
    load_weights(model, sound, "run")
    assert model.bias.tolist() == [1, 1, 1]
    with pytest.raises(CheckpointError, match=r"bias is nothing in the checkpoint and \(3,\) in the config"):
        load_weights(model, {"weight": sound["weight"]}, "run")
    with pytest.raises(CheckpointError, match=r"more is \(\) in the checkpoint and nothing in the config"):
        load_weights(model, sound | {"more": torch.tensor(1.0)}, "run")


def test_no_file_and_no_trailer_are_said(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="no such checkpoint"):
        load_checkpoint(tmp_path / "none.pt")
    (tmp_path / "c.pt").write_bytes(b"x" * 100)
    with pytest.raises(CheckpointError, match="not a seepseg checkpoint, or cut short"):
        load_checkpoint(tmp_path / "c.pt")
    (tmp_path / "c.pt").write_bytes(b"x" * 53 + b"seepseg-sha256:" + bytes(32))
    with pytest.raises(CheckpointError, match="SHA-256 does not match"):
        load_checkpoint(tmp_path / "c.pt")
