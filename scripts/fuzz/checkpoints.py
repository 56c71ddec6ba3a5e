#!/usr/bin/env python
"""Flips single bits of a checkpoint, spread over all of it, and opens checkpoints made to run something.

Each must be refused by one line. What an attack would do is to leave a file; that it does so where a pickle is obeyed,
is tried first, so that an attack that hurts nobody counts for nothing. Exit 1 if one was not refused, or ran.
"""

from __future__ import annotations

import argparse
import io
import itertools
import pickle
import pickletools
import sys
import tempfile
import warnings
import zipfile
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from hashlib import sha256
from pathlib import Path
from random import Random

import numpy as np
from monai.networks.nets.resnet import ResNet

from seepseg.classes import SEEP
from seepseg.config import Scaling, parse
from seepseg.data.scaling import MeasuredScaling
from seepseg.errors import CheckpointError
from seepseg.models.build import build_model
from seepseg.models.encoder_weights import load_encoder_weights
from seepseg.runs.arrays import read_arrays
from seepseg.runs.checkpoint import Checkpoint, load_checkpoint, save_checkpoint

Call = tuple[str, str, tuple[object, ...]]
"""Module, name and arguments of what a pickle says to call."""


def example(path: Path) -> None:
    """Write the checkpoint of a small network."""
    data = {"source": "seep", "root": "x", "split": {"val_fraction": 0.25}, "augment": {"preset": "seep"}}
    model = {"name": "unet", "channels": [4, 8, 16], "num_res_units": 1, "head": "sigmoid"}
    config = parse({"data": data, "model": model, "loss": "dice_bce", "train": {"epochs": 2}}, "example")
    weights = build_model(config.model, 1, 8).state_dict()
    scaling = MeasuredScaling(Scaling(), ((1.0,), (2.0,)), (0.5,), (0.25,))
    save_checkpoint(path, Checkpoint(config, SEEP, scaling, weights, weights, {}, {"step": 7}, 0.25, 4))


def flipped(content: bytes, count: int, seed: int) -> Iterator[bytes]:
    """Copies with one bit flipped each: a random one of each of `count` parts of the file."""
    rng, bits = Random(seed), 8 * len(content)
    edges = [bits * k // count for k in range(count + 1)]
    for first, last in itertools.pairwise(edges):
        at = rng.randrange(first, last)
        spoilt = bytearray(content)
        spoilt[at // 8] ^= 1 << at % 8
        yield bytes(spoilt)


def calls(proof: Path, evil: Path) -> list[Call]:
    """What leaves a file `proof`; `evil` is a script that does."""
    name, source = str(proof), f"open({str(proof)!r}, 'w').close()"
    return [
        ("os", "system", (f"touch {name}",)),
        ("posix", "system", (f"touch {name}",)),
        ("os", "mkdir", (name,)),
        ("subprocess", "call", (["touch", name],)),
        ("subprocess", "check_output", (["touch", name],)),
        ("builtins", "exec", (source,)),
        ("builtins", "eval", (source,)),
        ("__builtin__", "eval", (source,)),
        ("builtins", "open", (name, "w")),
        ("io", "open", (name, "w")),
        ("codecs", "open", (name, "w")),
        ("pathlib", "Path.touch", (proof,)),
        ("shutil", "copyfile", (str(evil), name)),
        ("runpy", "run_path", (str(evil),)),
        ("pickle", "loads", (pickle.dumps(_Reduced("os", "mkdir", (name,))),)),
        ("torch", "save", (1, name)),
        ("torch.storage", "_load_from_bytes", (pickle.dumps(_Reduced("os", "mkdir", (name,))),)),
        ("numpy", "save", (f"{name}.npy", 1)),
        ("numpy", "savetxt", (name, [1])),
    ]


class _Reduced:
    """Becomes a call when it is unpickled."""

    def __init__(self, module: str, name: str, arguments: tuple[object, ...]) -> None:
        self._what: Callable[..., object] = getattr(__import__(module), name)
        self._arguments = arguments

    def __reduce__(self) -> tuple[object, ...]:
        return self._what, self._arguments


def _body(value: object) -> bytes:
    """The opcodes of a value, without those that begin and end a pickle."""
    return pickletools.optimize(pickle.dumps(value, 2))[2:-1]


def pickles(call: Call) -> list[bytes]:
    """A tree as checkpoints have it, with the call in it: the opcodes by which pickles call."""
    module, name, arguments = call
    spoken = b"(" + b"".join(map(_body, arguments))
    old = f"{module}\n{name}\n".encode()
    new = b"".join(b"\x8c" + bytes([len(text)]) + text.encode() for text in (module, name)) + b"\x93"
    said = [b"c" + old + spoken + b"tR", spoken + b"i" + old, b"(c" + old + spoken[1:] + b"o"]
    said += [b"c" + old + b"q\x00h\x00" + spoken + b"tR", new + spoken + b"tR"]
    tree = b"}(" + _body("schema") + _body(1) + _body("weights")
    return [(b"\x80\x04" if how is said[-1] else b"\x80\x02") + tree + how + b"u." for how in said]


def files(attack: bytes, sound: bytes) -> list[bytes]:
    """Files that hold a pickle: alone, as torch writes, wrote before 1.6, and writes scripts; each with our sum too."""
    held = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(sound)) as old, zipfile.ZipFile(held, "w") as new:
        for name in old.namelist():
            new.writestr(name, attack if name.endswith("data.pkl") else old.read(name))
    script = io.BytesIO()
    with zipfile.ZipFile(script, "w") as new:
        for name in ("data.pkl", "constants.pkl", "attributes.pkl"):
            new.writestr(f"archive/{name}", attack)
        new.writestr("archive/version", "3")
    begin = pickle.dumps(0x1950A86A20F9469CFC6C, 2) + pickle.dumps(1001, 2) + pickle.dumps({"little_endian": True}, 2)
    forms = [attack, held.getvalue(), begin + attack, script.getvalue()]
    return [*forms, *(body + b"seepseg-sha256:" + sha256(body).digest() for body in forms)]


def obeyed(attack: bytes, proof: Path) -> bool:
    """Whether a pickle leaves the file where it is obeyed; it is removed again."""
    with suppress(Exception), warnings.catch_warnings(action="ignore"):  # it may leave a file open
        pickle.loads(attack)
    return _left(proof)


def _left(proof: Path) -> bool:
    found = list(proof.parent.glob(f"{proof.name}*"))
    for path in found:
        path.rmdir() if path.is_dir() else path.unlink()
    return bool(found)


def attack_all(folder: Path, some: slice = slice(None)) -> tuple[int, int, int]:
    """How many checkpoints that would run something were opened, how many of them were refused, and how many ran."""
    proof, evil, path = folder / "proof", folder / "evil.py", folder / "c.pt"
    evil.write_text(f"open({str(proof)!r}, 'w').close()\n")
    example(path)
    sound, opened, refused, ran = path.read_bytes()[:-47], 0, 0, 0
    network = ResNet("basic", [1] * 4, [2] * 4, spatial_dims=2, n_input_channels=3, conv1_t_size=3)
    for call in calls(proof, evil)[some]:
        for attack in pickles(call):
            if not obeyed(attack, proof):
                continue
            for content in files(attack, sound):
                path.write_bytes(content)
                for door in (load_checkpoint, partial(load_encoder_weights, network)):
                    opened += 1
                    try:
                        door(path)
                    except CheckpointError as error:
                        refused += "\n" not in str(error)
                    ran += _left(proof)
        # What a run leaves for the next one: an array of objects is a pickle.
        held = np.empty(1, object)
        held[0] = _Reduced("os", "mkdir", (str(proof),))
        np.savez(folder / "a.npz", a=held)
        opened, refused = opened + 1, refused + (read_arrays(folder / "a.npz", ["a"]) is None)
        ran += _left(proof)
    return opened, refused, ran


def main() -> int:
    """Parse, flip, attack, count."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--flips", type=int, default=1000, help="how many bits, one at a time (default 1000)")
    parser.add_argument("--checkpoint", type=Path, help="one that you have (default: of a small network)")
    parser.add_argument("--seed", type=int, default=0, help="of the places (default 0)")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder, refused = Path(name), 0
        path = options.checkpoint or folder / "sound.pt"
        if not options.checkpoint:
            example(path)
        load_checkpoint(path)
        content, spoilt = path.read_bytes(), folder / "spoilt.pt"
        for copy in flipped(content, options.flips, options.seed):
            spoilt.write_bytes(copy)
            try:
                load_checkpoint(spoilt)
            except CheckpointError as error:
                refused += "\n" not in str(error)
        print(f"single-bit flips of a checkpoint of {len(content)} bytes: refused {refused} of {options.flips}")
        opened, told, ran = attack_all(folder)
    print(f"checkpoints made to run something: {opened}, refused {told}, ran {ran}")
    return int(refused < options.flips or told < opened or ran > 0)


if __name__ == "__main__":
    sys.exit(main())
