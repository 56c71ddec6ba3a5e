from __future__ import annotations

import os
from pathlib import Path

import pytest
import torch

from seepseg.config import Runtime, dump
from seepseg.errors import ConfigError
from seepseg.machine.device import (
    autocast_dtype,
    choose_device,
    deterministic,
    idle_cores,
    runtime_for,
    set_threads,
    with_threads,
)
from tests.command import error
from tests.conftest import tiny_config


def test_a_checkpoint_is_used_on_this_machine() -> None:
    there = Runtime(device="cuda:3", workers=2)
    assert runtime_for(there, None) == Runtime(device="auto", workers=2)
    assert runtime_for(there.model_copy(update={"threads": 1}), None).threads is None
    assert runtime_for(there, "cpu") == Runtime(device="cpu", workers=2)


def test_without_fork_loader_processes_are_refused_and_what_was_trained_with_them_is_read_without(
    seep_root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.platform", "darwin")
    assert runtime_for(Runtime(workers=2), "cpu").workers == 0  # it can, but should not
    monkeypatch.undo()
    monkeypatch.setattr("seepseg.machine.cores.get_all_start_methods", lambda: ["spawn"])
    assert runtime_for(Runtime(workers=2), "cpu").workers == 0
    config = tmp_path / "c.yaml"
    config.write_text(dump(tiny_config(seep_root, runtime={"workers": 1})))
    code, line = error(capsys, "train", config, "--run", tmp_path / "run")
    assert (code, line) == (
        2, "loader processes need a system that forks in runtime.workers: give -s runtime.workers=0",
    )  # fmt: skip
    assert not (tmp_path / "run").exists()


without_gpu = pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a GPU")


@without_gpu
@pytest.mark.parametrize("name", ["cuda", "cuda:0", "cuda:7", "nonsense", "", "meta"])
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
    for device in ("cuda", "meta"):
        code, line = error(capsys, "train", config, "--run", tmp_path / "run", "--device", device)
        assert (code, line) == (2, f"device {device!r} is not there in runtime.device: this machine has cpu; use auto")
        assert not (tmp_path / "run").exists()


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


@pytest.mark.parametrize(
    ("runtime", "environment", "idle", "threads"),
    [
        (None, None, 8.0, 4),  # never more than torch would take
        (None, None, 2.6, 3),  # 1.4 of 4 cores are busy
        (None, None, 0.3, 1),
        (2, None, 0.3, 2),
        (None, "4", 0.3, 4),
    ],
)
def test_training_takes_the_cores_that_are_idle_unless_told(
    monkeypatch: pytest.MonkeyPatch, runtime: int | None, environment: str | None, idle: float, threads: int
) -> None:
    monkeypatch.setattr(torch, "get_num_threads", lambda: 4)
    monkeypatch.setattr("seepseg.machine.device.idle_cores", lambda: idle)
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    if environment:
        monkeypatch.setenv("OMP_NUM_THREADS", environment)
    assert with_threads(Runtime(threads=runtime)).threads == threads


def test_idle_cores_are_counted_from_the_ticks_of_those_this_process_may_use(monkeypatch: pytest.MonkeyPatch) -> None:
    # 100 ticks a second, of 1 s: core 0 idles 90 ticks and waits for a disk for 10, core 2 idles 50: 1.5 cores. The
    # sum of all cores, and core 1, do not count.
    stat = "cpu {0} 0 0 {0} 0\ncpu0 5 0 0 {1} {2}\ncpu1 0 0 0 {0} 0\ncpu2 7 0 0 {3} 0\nintr 4 1 1 1 1 1\n"
    texts = iter([stat.format(1000, 100, 20, 300), stat.format(5000, 190, 30, 350)])
    monkeypatch.setattr(Path, "read_text", lambda self: next(texts))
    monkeypatch.setattr("time.sleep", lambda seconds: None)
    monkeypatch.setattr("sys.platform", "linux")
    monkeypatch.setattr("os.sched_getaffinity", lambda pid: {0, 2}, raising=False)
    monkeypatch.setattr("os.sysconf", lambda name: 100)
    assert idle_cores(1) == 1.5


def test_determinism_is_demanded_of_torch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CUBLAS_WORKSPACE_CONFIG", raising=False)
    monkeypatch.setattr(torch.backends.cudnn, "benchmark", True)
    with deterministic():
        assert torch.are_deterministic_algorithms_enabled()
        assert not torch.is_deterministic_algorithms_warn_only_enabled()
        assert not torch.backends.cudnn.benchmark
        assert os.environ["CUBLAS_WORKSPACE_CONFIG"] == ":4096:8"
    assert not torch.are_deterministic_algorithms_enabled()
    assert torch.backends.cudnn.benchmark
