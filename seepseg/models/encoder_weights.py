"""ImageNet weights for encoders, from a local file or an installed package that carries one."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from monai.networks.nets.resnet import ResNet, ResNetBottleneck
from torch import Tensor, nn

from seepseg.config import ModelNode
from seepseg.errors import CheckpointError, ConfigError, DataError
from seepseg.models.efficientnet import EfficientNetLite
from seepseg.models.packaged import PACKAGE, weights_file
from seepseg.models.saved import is_state, load_saved, read_file

STEMS = ("conv1.weight", "_conv_stem.weight")
COUNTER = "num_batches_tracked"
"""Batch norm's count of batches: torchvision's older files have none, and nothing here reads it."""


@dataclass(frozen=True)
class WeightsReport:
    """Which tensors of a file went into an encoder.

    Attributes:
        source: the file.
        matched: names of the encoder that the file filled.
        missing: names of the encoder that the file lacks; counters of batch norm only, anything else is an error.
        unexpected: names of the file that the encoder lacks; those of its classifier, and of blocks that a shorter
            EfficientNet leaves out, anything else is an error.
        folded: names whose RGB channels were folded to another number of bands.
    """

    source: Path
    matched: tuple[str, ...]
    missing: tuple[str, ...]
    unexpected: tuple[str, ...]
    folded: tuple[str, ...]

    def __str__(self) -> str:
        """One line for the user."""
        parts = [f"{len(self.matched)} of {len(self.matched) + len(self.missing)} tensors filled"]
        parts += [f"{', '.join(self.folded)} folded from RGB"] if self.folded else []
        parts += [f"not in the file: {len(self.missing)} counters of batch norm"] if self.missing else []
        few = len(self.unexpected) <= 2
        parts += [f"not used: {', '.join(self.unexpected) if few else len(self.unexpected)}"] if self.unexpected else []
        return f"encoder weights {self.source}: {'; '.join(parts)}"


def start_encoder(model: nn.Module, config: ModelNode) -> WeightsReport | None:
    """What `model.encoder_weights` filled in a network of `build_model`; None where the config names no weights.

    For the start of a training only: a checkpoint brings its own weights, and its file may be gone by then.

    Raises:
        SeepsegError: see `load_encoder_weights` and `weights_file`.
    """
    path = weights_file(config)
    return load_encoder_weights(model, path) if path else None


def load_encoder_weights(model: nn.Module, path: Path) -> WeightsReport:
    """Which tensors of a file went into the encoder of a network, which is changed in place.

    A stem for R, G and B becomes one for n bands: for n = 3 as it is; for n = 1 the sum of the three, which does to a
    grey image what the RGB stem does to the same image three times over; otherwise each band gets the sum divided by n,
    so that n equal bands again give the response of three.

    Args:
        model: holds an encoder.
        path: a state dict of tensors, as `torch.save` wrote it; read with `weights_only`, so that it runs no code.

    Raises:
        ConfigError: the file is not there, or the network has no such encoder.
        CheckpointError: the file is no state dict, or not that of this encoder; the message names the first difference.
    """
    encoder = next((m for m in model.modules() if isinstance(m, ResNet | EfficientNetLite)), None)
    if encoder is None:
        raise ConfigError("the network has no encoder to fill", "model.encoder_weights", "remove the key")
    kind, unused = _kind(encoder)
    advice = f"give {kind}"
    tensors, own = _read(path, advice), encoder.state_dict()
    # An error must leave no half-filled encoder: everything is compared first, then copied.
    missing = [n for n in own if n not in tensors]
    unexpected = [n for n in tensors if n not in own]
    foreign = [n for n in missing if not n.endswith(COUNTER)] + [n for n in unexpected if not re.match(unused, n)]
    if foreign:
        holder, lacks = ("encoder", "file") if foreign[0] in own else ("file", "encoder")
        reason = f"{len(foreign)} tensors have no counterpart, first {foreign[0]}: the {holder} has it, the {lacks} not"
        raise CheckpointError(reason, path, advice)
    filled = {n: _fold(v, own[n].shape[1]) if n in STEMS else v for n, v in tensors.items() if n in own}
    for name, value in filled.items():
        if value.shape != own[name].shape:
            shapes = f"{tuple(tensors[name].shape)} in the file and {tuple(own[name].shape)} in the encoder"
            raise CheckpointError(f"{name} is {shapes}", path, advice)
    encoder.load_state_dict(filled, strict=False)
    folded = tuple(n for n in filled if filled[n] is not tensors[n])
    return WeightsReport(path, tuple(filled), tuple(missing), tuple(unexpected), folded)


def _kind(encoder: ResNet | EfficientNetLite) -> tuple[str, str]:
    """The file an encoder can be filled from, in words, and a pattern of the names in it that an encoder lacks."""
    if isinstance(encoder, EfficientNetLite):
        left_out = "" if encoder.whole else r"|_blocks\.1[1-5]\."
        return f"EfficientNet-Lite0's state dict, as {PACKAGE} has it", rf"_conv_head\.|_bn1\.|_fc\.{left_out}"
    depth = 50 if isinstance(encoder.layer1[0], ResNetBottleneck) else 34
    return f"torchvision's state dict of resnet{depth}", r"fc\."


def _read(path: Path, advice: str) -> dict[str, Tensor]:
    try:
        tree = load_saved(read_file(path))
    except DataError as error:
        raise ConfigError(
            f"cannot be read ({error.what})", f"model.encoder_weights {path}", "give a readable .pth file"
        ) from None
    except Exception as error:
        # torch's own message advises to switch the protection off.
        reason = "holds more than tensors" if "weights_only" in str(error).lower() else "damaged or of another kind"
        raise CheckpointError(f"not a state dict ({reason})", path, advice) from None
    if not is_state(tree):
        raise CheckpointError(
            "not a state dict (names and dense tensors)", path, "save `model.state_dict()` alone and give that"
        )
    return dict(tree)


def _fold(stem: Tensor, bands: int) -> Tensor:
    """An RGB stem (C, 3, k, k) as one for `bands` bands; anything else as it is."""
    if stem.ndim != 4 or stem.shape[1] != 3 or bands == 3:
        return stem
    return (stem.sum(1, keepdim=True) / bands).expand(-1, bands, -1, -1)
