from __future__ import annotations

from pathlib import Path

import pytest

from seepseg.config import FocalTverskyLoss, dump, load, parse
from seepseg.errors import ConfigError

BASE = {"data": {"source": "seep", "root": "x"}}


def message(tree: dict[str, object]) -> str:
    with pytest.raises(ConfigError) as caught:
        parse(tree, "c.yaml")
    assert caught.value.exit_code == 2
    return caught.value.what


def write(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


def test_dump_and_load_give_the_same_config(tmp_path: Path) -> None:
    config = parse(BASE | {"model": {"name": "segresnet", "head": "sigmoid"}, "loss": "dice_bce"}, "t")
    assert load(write(tmp_path / "c.yaml", dump(config))) == config


def test_overrides_are_laid_over_the_file(tmp_path: Path) -> None:
    path = write(tmp_path / "c.yaml", "data: {source: seep, root: x}\nloss: dice_ce\n")
    config = load(path, ["optim.lr=1e-3", "loss=focal_tversky", "loss.gamma=2", "data.split.val=['a', 'b']"])
    assert config.optim.lr == 0.001  # PyYAML alone reads 1e-3 as text
    assert isinstance(config.loss, FocalTverskyLoss)
    assert config.loss.gamma == 2
    assert config.data.split.val == ["a", "b"]
    with pytest.raises(ConfigError, match="write it as key=value"):
        load(path, ["optim.lr"])


def test_a_key_given_twice_is_refused_with_its_line(tmp_path: Path) -> None:
    path = write(tmp_path / "c.yaml", "seed: 1\ndata: {source: seep, root: x}\nseed: 2\n")
    with pytest.raises(ConfigError, match=r"key 'seed' is given twice in .*c.yaml, line 3"):
        load(path)


@pytest.mark.parametrize(
    ("tree", "phrase"),
    [
        (BASE | {"modle": 1}, "unknown key modle (did you mean model?)"),
        # Keys of another section.
        (BASE | {"lr": 0.1}, "unknown key lr (did you mean optim.lr?)"),
        (BASE | {"epochs": 5}, "unknown key epochs (did you mean train.epochs?)"),
        (BASE | {"folds": 5}, "unknown key folds (did you mean data.split.folds?)"),
        ({"data": {"source": "seep", "allow_leak": True}}, "data.allow_leak (did you mean data.split.allow_leak?)"),
        (BASE | {"name": "x"}, "unknown key name (did you mean data.sampling.name or model.name or loss.name?)"),
        (BASE | {"quux": 1}, "unknown key quux"),
        # Keys of another choice.
        ({"data": {"source": "seep", "labels": "x"}}, "unknown key data.labels (only with data.source=scenes)"),
        (
            {"data": {"source": "tgs", "images": "x"}},
            "unknown key data.images (only with data.source=seep or tiles or nnunet or scenes)",
        ),
        (BASE | {"loss": {"name": "dice_bce", "gamma": 2}}, "loss.gamma (only with loss.name=focal_tversky)"),
        (
            BASE | {"stages": [{"epochs": 1, "schedule": {"name": "cosine", "factor": 2}}]},
            "stages.0.schedule.factor (only with stages.0.schedule.name=",
        ),
        ({"data": {"source": "seep"}}, "missing key data.root"),
        (
            {"data": {"source": "seeep", "root": "x"}},
            "data: 'seeep' is not one of 'seep', ",
        ),
        (BASE | {"train": {"epochs": "many"}}, "train.epochs: input should be a valid integer, unable to parse string"),
        (BASE | {"loss": "bce"}, "loss bce does not go with model.head softmax: use head sigmoid or binary"),
        (BASE | {"model": {"name": "unet", "head": "binary"}, "loss": "bce"}, "binary takes one foreground class"),
        (BASE | {"loss": {"name": "ce", "class_weights": [1]}}, "loss.class_weights has 1 numbers for 7 classes"),
        (
            {"data": {"source": "seep", "root": "x", "scaling": {"range": [9, 1]}}},
            "data.scaling: range: the first value must be below the second",
        ),
        ({"data": {"source": "seep", "root": "x", "name_pattern": "("}}, "data: name_pattern: "),
        (
            {"data": {"source": "seep", "root": "x", "classes": "seeep"}},
            "data.classes: 'seeep' is not one of 'seep', 'seep_binary' or 'salt' (did you mean seep?)",
        ),
        (
            {"data": {"source": "seep", "root": "x", "split": {"folds": 5, "test_fraction": 0.2}}},
            "data.split: folds leave no test part, every tile validates once: set test_fraction to 0",
        ),
        # A key of the data that is called as their source is.
        ({"data": {"source": "scenes", "root": "x", "split": {"by": "fil"}}}, "data.split.by: 'fil' is not one of"),
        ({"data": {"source": "scenes", "root": "x", "scenes": 3}}, "data.scenes: input is not a valid path"),
        ({"data": {"root": "x"}}, "missing key data.source"),
        (BASE | {"loss": {"gamma": 2}}, "missing key loss.name"),
    ],
)
def test_every_mistake_has_its_phrase(tree: dict[str, object], phrase: str) -> None:
    assert phrase in message(tree)


@pytest.mark.parametrize("name", ["045562", "1e5", "2020-01-01", "1:30", "off", "null", "0x1F", "007"])
def test_any_scene_name_survives_dump_and_load(tmp_path: Path, name: str) -> None:
    config = parse({"data": {"source": "seep", "root": "x", "split": {"val": [name]}}}, "t")
    assert load(write(tmp_path / "c.yaml", dump(config))) == config


def test_scalars_are_read_as_they_look(tmp_path: Path) -> None:
    path = write(tmp_path / "c.yaml", "data: {source: seep, root: x, split: {val: [045562, 2020-01-01]}}\n")
    config = load(path, ["runtime.amp=off", "seed=10", "data.nodata=-1"])
    assert config.data.split.val == ["045562", "2020-01-01"]  # PyYAML alone: octal 19314, and a date
    assert (config.runtime.amp, config.seed, config.data.nodata) == ("off", 10, -1.0)


@pytest.mark.parametrize(
    ("override", "says"),
    [
        ("train.epochs=1_0", "train: epochs: '1_0' is no number"),
        ("train.epochs='1_0'", "train: epochs: '1_0' is no number"),
        ("optim.lr=1_0.5", "optim: lr: '1_0.5' is no number"),  # YAML 1.1: 10.5
        ("optim.lr='٠.٥'", "optim.lr: input should be a valid number"),
        ("train.epochs=true", "train: epochs: True is no number"),
        ("loss.class_weights=[1, '1_6']", "loss: class_weights: '1_6' is no number"),
        ("optim.lr=0,5", "optim.lr: input should be a valid number, unable to parse string as a number, not '0,5'"),
        ("train.epochs=1:30", "train.epochs: input should be a valid integer"),  # YAML 1.1: 90
    ],
)
def test_what_only_a_program_takes_for_a_number_is_none(tmp_path: Path, override: str, says: str) -> None:
    path = write(tmp_path / "c.yaml", "data: {source: seep, root: x}\nloss: {name: ce}\n")
    with pytest.raises(ConfigError) as caught:
        load(path, [override])
    assert caught.value.what.startswith(says)
    with pytest.raises(ConfigError, match="seed: '1_0' is no number"):
        load(write(path, "data: {source: seep, root: x}\nseed: 1_0\n"))
    assert load(write(path, "data: {source: seep, root: x}\nseed: '12'\n")).seed == 12


@pytest.mark.parametrize(
    ("given", "names"),
    [
        ("041870", ["041870"]),
        ("045562", ["045562"]),  # PyYAML alone: octal 19314
        ("41870", ["41870"]),
        ("041870, s1", ["041870", "s1"]),
        ("[41870, s1]", ["41870", "s1"]),
        ("['a, b']", ["a, b"]),
        ("null", None),
    ],
)
def test_scenes_are_named_with_or_without_brackets(tmp_path: Path, given: str, names: object) -> None:
    path = write(tmp_path / "c.yaml", "data: {source: seep, root: x}\n")
    assert load(path, [f"data.split.val={given}"]).data.split.val == names


def test_a_scene_that_is_no_name_is_refused() -> None:
    assert message({"data": {"source": "seep", "root": "x", "split": {"test": 1.5}}}) == (
        "data.split.test.0: input should be a valid string, not 1.5"
    )


@pytest.mark.parametrize(
    ("given", "read"), [("auto", "auto"), ("nan", "nan"), ("null", None), ("0", 0.0), ("'0'", 0.0), ("-1.5", -1.5)]
)
def test_nodata_is_a_word_a_number_or_nothing(tmp_path: Path, given: str, read: object) -> None:
    path = write(tmp_path / "c.yaml", "data: {source: seep, root: x}\n")
    config = load(path, [f"data.nodata={given}"])
    assert config.data.nodata == read
    assert load(write(path, dump(config))) == config


def test_all_errors_are_told_at_once() -> None:
    text = message(BASE | {"optim": {"learning_rate": 1}, "train": {"epochs": 0}})
    assert "unknown key optim.learning_rate" in text
    assert "train.epochs" in text


def test_one_mistake_is_told_once() -> None:
    wrong = {"data": {"source": "seep", "root": "x", "nodata": "atuo"}}
    assert message(wrong) == "data.nodata: 'atuo' is not one of 'auto' or 'nan' (did you mean auto?)"
    wrong = {"data": {"source": "seep", "root": "x", "nodata": [1]}}
    assert message(wrong) == "data.nodata: input should be a valid number, not [1]"


@pytest.mark.parametrize("override", ["=1", ".=1", "train..epochs=1", "train.=1"])
def test_an_override_needs_every_name(tmp_path: Path, override: str) -> None:
    path = write(tmp_path / "c.yaml", "data: {source: seep, root: x}\n")
    with pytest.raises(ConfigError, match="cannot read override"):
        load(path, [override])


def test_nonsense(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="holds no keys"):
        load(write(tmp_path / "c.yaml", "- 1\n"))
    with pytest.raises(ConfigError, match="line 3"):
        load(write(tmp_path / "c.yaml", "a: 1\nb: [\n"))
    with pytest.raises(ConfigError, match="too deeply nested"):
        load(write(tmp_path / "c.yaml", "[" * 3000))


def test_a_mapping_is_the_content_of_a_file(tmp_path: Path) -> None:
    tree = {"data": {"source": "seep", "root": "x"}, "train": {"epochs": 3}}
    path = tmp_path / "a.yaml"
    path.write_text("data: {source: seep, root: x}\ntrain: {epochs: 3}\n")
    assert load(tree, ["train.epochs=5", "loss=dice"]) == load(path, ["train.epochs=5", "loss=dice"])
    assert tree == {"data": {"source": "seep", "root": "x"}, "train": {"epochs": 3}}
    with pytest.raises(ConfigError, match="unknown key trian .* in config"):
        load({"data": {"source": "seep", "root": "x"}, "trian": {}})
