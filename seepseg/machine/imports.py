"""Quicker imports in a process of our own: MONAI without what it takes along."""

from __future__ import annotations

import sys
import threading
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType
from typing import Any

TAKEN_ALONG = {
    *("PIL", "cv2", "cupy", "ignite", "itk", "jsonschema", "matplotlib", "mlflow", "nibabel", "onnx", "onnxruntime"),
    *("pandas", "requests", "scipy", "skimage", "sklearn", "tensorboard", "tensorboardX", "torchvision"),
    *("transformers", "zarr"),
}
"""Packages that MONAI imports if they are installed, and does without if not: no network needs them."""


def import_monai_alone() -> None:
    """From here on, in this process, let MONAI import nothing but torch and numpy.

    Whatever is imported of it, it imports all of itself, and what it can use: two to four seconds, and 200 MiB that
    stay. Not for a process that others may use MONAI in: there, a part of it would seem to lack what is installed.
    """
    if "monai" not in sys.modules and not any(isinstance(finder, _Alone) for finder in sys.meta_path):
        sys.meta_path.insert(0, _Alone())


class _Alone:
    """Finds MONAI as usual; while it is being imported, what it would take along is not there for that thread."""

    def __init__(self) -> None:
        self._thread: int | None = None

    def find_spec(self, name: str, path: Any = None, target: ModuleType | None = None) -> ModuleSpec | None:
        """Where a module is; None where others may say."""
        if self._thread == threading.get_ident() and name.partition(".")[0] in TAKEN_ALONG:
            raise ModuleNotFoundError(f"{name} is not for MONAI", name=name)
        spec = PathFinder.find_spec(name, path, target) if name == "monai" else None
        if spec is None or spec.loader is None:
            return None
        run = spec.loader.exec_module

        def exec_module(module: ModuleType) -> None:
            self._thread = threading.get_ident()
            try:
                run(module)
            finally:
                self._thread = None

        spec.loader.exec_module = exec_module  # type: ignore[method-assign]
        return spec
