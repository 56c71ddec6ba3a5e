from __future__ import annotations

from pathlib import Path

import pytest
import torch

from seepseg.config import Runtime, dump
from seepseg.errors import ConfigError
from seepseg.machine.device import autocast_dtype, choose_device, set_threads
from tests.command import error
from tests.conftest import tiny_config

without_gpu = pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a GPU")


@without_gpu
@pytest.mark.parametrize("name", ["cuda", "cuda:0", "cuda:7", "nonsense", ""])
def test_a_device_that_is_not_there_is_the_users_to_fix(name: str) -> None:
    with pytest.raises(ConfigError) as caught:
        choose_device(name)
    assert str(caught.value) == f"device {name!r} is not there in runtime.device: this machine has cpu; use auto"
    assert caught.value.exit_code == 2


@without_gpu
def test_train_on_a_missing_gpu_exits_with_2(
    seep_root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = tmp_path / "c.yaml"
    config.write_text(dump(tiny_config(seep_root)))
    code, line = error(capsys, "train", config, "--run", tmp_path / "run", "--device", "cuda")
    assert (code, line) == (2, "device 'cuda' is not there in runtime.device: this machine has cpu; use auto")
    assert not (tmp_path / "run" / "config.yaml").exists()


@without_gpu
def test_auto_is_the_cpu_where_there_is_no_gpu() -> None:
    assert choose_device("auto") == torch.device("cpu")


def test_bfloat16_is_automatic_only_where_the_hardware_multiplies_it(monkeypatch: pytest.MonkeyPatch) -> None:
    for has, dtype in ((True, torch.bfloat16), (False, None)):
        monkeypatch.setattr("seepseg.machine.device._cpu_has_bf16", lambda has=has: has)
        assert autocast_dtype("auto", torch.device("cpu")) == dtype


def test_the_threads_of_the_config_are_set() -> None:
    set_threads(Runtime(threads=2))
    assert torch.get_num_threads() == 2
    set_threads(Runtime())
    assert torch.get_num_threads() == 2
