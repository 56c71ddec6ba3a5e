"""The device, threads, memory and number format a network runs with."""

from __future__ import annotations

import ctypes
import importlib.util
import os
import shutil
import sys
import sysconfig
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch

from seepseg.config import Runtime
from seepseg.errors import ConfigError
from seepseg.machine.cores import forks

DEVICES = ("cpu", "cuda", "mps")


def choose_device(name: str) -> torch.device:
    """The device of that name; "auto" is the GPU where there is one, else the CPU.

    Raises:
        ConfigError: there is no such device on this machine.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
        if device.type not in DEVICES:  # others hold no numbers, or are not tested
            raise RuntimeError(device.type)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError, NotImplementedError):
        have = ["cpu"] + [f"cuda:{i}" for i in range(torch.cuda.device_count())]
        raise ConfigError(
            f"device {name!r} is not there", "runtime.device", f"this machine has {', '.join(have)}; use auto"
        ) from None
    return device


def autocast_dtype(amp: str, device: torch.device) -> torch.dtype | None:
    """The format of automatic mixed precision on a device, None for plain float32.

    "auto" takes bfloat16 where the hardware multiplies it natively and float16 on older GPUs.

    Raises:
        ConfigError: fp16 on the CPU, which has no loss scaling.
    """
    if amp == "fp16" and device.type == "cpu":
        raise ConfigError("fp16 does not train on the CPU", "runtime.amp", "use bf16, off or auto")
    if amp != "auto":
        return {"bf16": torch.bfloat16, "fp16": torch.float16, "off": None}[amp]
    if device.type == "cuda":
        return torch.bfloat16 if torch.cuda.is_bf16_supported(including_emulation=False) else torch.float16
    return torch.bfloat16 if device.type == "cpu" and _cpu_has_bf16() else None


def compiler_missing(device: torch.device) -> str | None:
    """What to install before `torch.compile` works for a device; None where nothing is missing."""
    if device.type == "cuda":
        return None if importlib.util.find_spec("triton") else "the package triton"
    compiler = os.environ.get("CXX") or {"darwin": "clang++", "win32": "cl"}.get(sys.platform, "g++")
    if not shutil.which(compiler):
        return f"a C++ compiler ({compiler}; Debian and Ubuntu: apt install g++)"
    header = Path(sysconfig.get_path("include"), "Python.h")
    return None if header.exists() else "the header files of Python (Debian and Ubuntu: apt install python3-dev)"


def keep_freed_memory() -> None:
    """Let the C library keep what is freed for the next use, where it is glibc.

    Every layer allocates and frees tens of MiB, which glibc returns to the system each time; getting fresh pages takes
    a good part of a forward pass on the CPU.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None) if sys.platform == "linux" else None
    if mallopt is not None:
        trim_threshold, mmap_threshold, arena_max = -1, -3, -8
        # One arena: otherwise reader and writer threads would each keep memory of their own.
        mallopt(arena_max, 1)
        mallopt(trim_threshold, 2**31 - 1)
        # What is larger than a layer, such as the strip of a wide scene, goes back when freed.
        mallopt(mmap_threshold, 64 * 2**20)


def give_back_memory() -> None:
    """Give memory that is kept though it is free back to the system, where the C library is glibc."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None) if sys.platform == "linux" else None
    if trim is not None:
        trim(0)


def runtime_for(config: Runtime, device: str | None) -> Runtime:
    """The runtime a checkpoint is used with: its own, but on the device, threads and processes of this machine.

    The configs of folds that were trained several at a time name the few threads that each of them had.
    """
    workers = config.workers if forks() else 0
    return config.model_copy(update={"device": device or "auto", "threads": None, "workers": workers})


@contextmanager
def deterministic() -> Iterator[None]:
    """Let torch refuse operations whose result may vary from run to run on a GPU, for a `with` block."""
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # read once, when CUDA starts
    before = torch.are_deterministic_algorithms_enabled(), torch.backends.cudnn.benchmark
    torch.use_deterministic_algorithms(True)
    torch.backends.cudnn.benchmark = False
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(before[0])
        torch.backends.cudnn.benchmark = before[1]


def memory_gib(device: torch.device) -> float:
    """Peak memory so far, of the GPU or of this process, in GiB."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 2**30
    if sys.platform == "win32":
        return float("nan")  # Nothing in the standard library says.
    import resource

    # Linux counts in KiB, macOS in bytes.
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (2**30 if sys.platform == "darwin" else 2**20)


def set_threads(runtime: Runtime) -> None:
    """Set how memory is kept, and the number of CPU threads, on which the weights of a training depend."""
    keep_freed_memory()
    if runtime.threads:
        torch.set_num_threads(runtime.threads)


def with_threads(runtime: Runtime) -> Runtime:
    """The runtime with a number of CPU threads to train with: as many as cores that other programs leave idle.

    Its own number, or that of OMP_NUM_THREADS, comes first. The threads of torch wait for one another after each layer,
    so one that shares its core with another program holds up all.
    """
    if runtime.threads:
        return runtime
    threads = torch.get_num_threads()
    if threads > 1 and "OMP_NUM_THREADS" not in os.environ:
        threads = min(threads, max(1, round(idle_cores())))
    return runtime.model_copy(update={"threads": threads})


def idle_cores(seconds: float = 0.5) -> float:
    """Cores that this process may use and that are idle now, on average over the seconds; infinite where unknown."""
    if sys.platform != "linux":
        return float("inf")
    try:
        before = _idle_ticks()
        time.sleep(seconds)
        ticks = _idle_ticks() - before
    except OSError:
        return float("inf")
    return ticks / os.sysconf("SC_CLK_TCK") / seconds


def _idle_ticks() -> int:
    """Clock ticks that the cores of this process have been idle, or waiting for a disk, since the machine started."""
    rows = [line.split() for line in Path("/proc/stat").read_text().splitlines()]
    cores = {f"cpu{number}" for number in os.sched_getaffinity(0)}
    return sum(int(row[4]) + int(row[5]) for row in rows if row[0] in cores)


def _cpu_has_bf16() -> bool:
    capability = torch.cpu.get_capabilities() if hasattr(torch.cpu, "get_capabilities") else {}
    if capability:
        return bool(capability.get("avx512_bf16") or capability.get("amx_bf16") or capability.get("bf16"))
    return bool(torch.cpu._is_avx512_bf16_supported())
