"""Two processes train as one would: the same weights, and sums that are equal to the last bit."""

from __future__ import annotations

import os
import pickle
import shutil
import subprocess
import sys
from datetime import timedelta
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp

from seepseg.config import LOSS_HEADS, Config, Predict, dump, parse, plain
from seepseg.errors import ConfigError, NonFiniteLossError, ResourceError
from seepseg.inference.score import Sums
from seepseg.runs.checkpoint import load_checkpoint
from seepseg.runs.folder import RunFolder
from seepseg.training.distributed import barrier, process_group
from seepseg.training.epoch import train_batches
from seepseg.training.prepare import prepare
from seepseg.training.run import assemble, train
from seepseg.training.step import train_step
from tests.conftest import end_process, tiny_config
from tests.training.trainers import validated

STEPS = 5


def recipe(root: Path, loss: str, norm: str, split: object = {"val_fraction": 0.25}) -> Config:
    data = {"source": "seep", "root": str(root), "split": split, "augment": {"preset": "seep"}}
    return tiny_config(
        root,
        data=data | ({"classes": "seep_binary"} if LOSS_HEADS[loss][0] == "binary" else {}),
        model={"name": "unet", "channels": [8, 16, 32], "num_res_units": 1, "head": LOSS_HEADS[loss][0], "norm": norm},
        loss=loss,
        # Rounding grows with the rate: at .05, merely turning the order of tiles round moves weights by 1.2e-6. The
        # hinge acts on logits and has the steepest gradients; class_ce is of few pixels.
        optim={"name": "sgd", "lr": 0.001 if loss in ("lovasz_hinge", "two_head") else 0.01, "clip_norm": None},
        schedule="constant",
        train={"epochs": 1, "batch_size": 4, "panels_every": 0, "ema_decay": None},
    )


def some_steps(config: Config) -> tuple[dict[str, torch.Tensor], Sums]:
    """Weights after five steps, and the sums of a validation."""
    torch.set_num_threads(1)
    trainer = assemble(config, prepare(config, None), torch.device("cpu"))
    for batch in islice(train_batches(trainer), STEPS):
        train_step(trainer, batch)
        trainer.progress.batch += 1
    return {k: v.clone() for k, v in trainer.model.named_parameters()}, validated(trainer)


def of_two(rank: int, configs: list[Config], folder: str) -> None:
    os.environ |= {"MASTER_ADDR": "127.0.0.1", "RANK": str(rank), "WORLD_SIZE": "2"}
    dist.init_process_group("gloo", init_method=f"file://{folder}/rendezvous", rank=rank, world_size=2)
    done = [some_steps(config) for config in configs]
    Path(folder, f"rank{rank}").write_bytes(pickle.dumps(done))
    end_process()


def both(configs: list[Config], folder: Path) -> list[list[tuple[dict[str, torch.Tensor], Sums]]]:
    mp.spawn(of_two, (configs, str(folder)), nprocs=2)
    return [pickle.loads((folder / f"rank{rank}").read_bytes()) for rank in (0, 1)]


def test_with_group_norm_two_processes_end_where_one_does(seep_root: Path, tmp_path: Path) -> None:
    configs = [recipe(seep_root, loss, "group") for loss in LOSS_HEADS]
    first, second = both(configs, tmp_path)
    for config, (ours, sums), (theirs, _) in zip(configs, first, second, strict=True):
        alone, _ = some_steps(config)
        for name, value in alone.items():
            assert torch.equal(ours[name], theirs[name]), (config.loss.name, name)
            assert torch.allclose(ours[name], value, rtol=0, atol=1e-6), (config.loss.name, name)
        assert sums.n_tiles > 0


def test_with_batch_norm_the_processes_agree(seep_root: Path, tmp_path: Path) -> None:
    first, second = both([recipe(seep_root, "dice_bce", "batch")], tmp_path)
    for (ours, _), (theirs, _) in zip(first, second, strict=True):
        assert all(torch.equal(value, theirs[name]) for name, value in ours.items())


def validate_untrained(rank: int, config: Config, folder: str) -> None:
    dist.init_process_group("gloo", init_method=f"file://{folder}/rendezvous", rank=rank, world_size=2)
    torch.set_num_threads(1)
    trainer = assemble(config, prepare(config, None), torch.device("cpu"))
    Path(folder, f"rank{rank}").write_bytes(pickle.dumps(validated(trainer)))
    end_process()


def test_validation_sums_are_those_of_one_process(seep_root: Path, tmp_path: Path) -> None:
    config = recipe(seep_root, "dice_bce", "batch")
    trainer = assemble(config, prepare(config, None), torch.device("cpu"))
    alone = validated(trainer)
    mp.spawn(validate_untrained, (config, str(tmp_path)), nprocs=2)
    for rank in (0, 1):
        shared: Sums = pickle.loads((tmp_path / f"rank{rank}").read_bytes())
        assert np.array_equal(shared.matrix, alone.matrix)
        assert np.array_equal(shared.tiles, alone.tiles)
        assert (shared.n_tiles, shared.tgs_tenths) == (alone.n_tiles, alone.tgs_tenths)
        assert shared.means() == alone.means()


def test_an_odd_number_of_validation_batches_keeps_no_process_waiting(seep_root: Path, tmp_path: Path) -> None:
    # One batch: the first process scores it and the second has nothing to do. A loss that were summed over the
    # processes here would wait for ever.
    config = recipe(seep_root, "dice_ce", "batch").model_copy(update={"predict": Predict(batch_size=1000)})
    alone = validated(assemble(config, prepare(config, None), torch.device("cpu")))
    assert list(alone.floats) == [0]
    mp.spawn(validate_untrained, (config, str(tmp_path)), nprocs=2)
    for rank in (0, 1):
        shared: Sums = pickle.loads((tmp_path / f"rank{rank}").read_bytes())
        assert shared.floats == alone.floats


def meet_trouble(rank: int, configs: list[Config], few: Config, folder: str) -> None:
    """NaN in a tile of the second process alone, under several losses; then a tile too few."""
    dist.init_process_group("gloo", init_method=f"file://{folder}/rendezvous", rank=rank, world_size=2)
    torch.set_num_threads(1)
    message, names = [], ""
    for config in configs:
        trainer = assemble(config, prepare(config, None), torch.device("cpu"))
        (batch,) = islice(train_batches(trainer), 1)
        names = ", ".join(batch.ids)
        if rank == 1:
            batch.image[0, 0, 32, 32] = torch.nan
        with pytest.raises(NonFiniteLossError) as caught:
            train_step(trainer, batch)
        message.append(str(caught.value))
    with pytest.raises(ConfigError) as refused:
        train(few, RunFolder(Path(folder, "run")), echo=lambda line: None)
    Path(folder, f"rank{rank}").write_bytes(pickle.dumps((message, names, str(refused.value))))
    end_process()


def test_what_two_processes_say_of_trouble(seep_root: Path, tmp_path: Path) -> None:
    root = tmp_path / "two"
    for kind in ("images", "masks"):
        (root / f"train_{kind}_256").mkdir(parents=True)
        for path in sorted((seep_root / f"train_{kind}_256").iterdir()):
            if not list((root / f"train_{kind}_256").glob(f"{path.stem.split('.')[0]}.*")):
                shutil.copy(path, root / f"train_{kind}_256")  # the first of each scene
    val = [path.stem.split(".")[0] for path in sorted((root / "train_masks_256").iterdir())][1:]
    few = recipe(root, "dice_bce", "batch", {"val": val, "test_fraction": 0, "allow_missing_classes": True})
    # Where a loss is summed over both processes, both see NaN.
    losses = [recipe(seep_root, loss, "batch") for loss in ("dice_bce", "bce")]
    mp.spawn(meet_trouble, (losses, few, str(tmp_path)), nprocs=2)
    (first, others, refused), (second, names, too) = (
        pickle.loads((tmp_path / f"rank{rank}").read_bytes()) for rank in (0, 1)
    )
    assert names != others
    # Both name the tiles of the process that met it, and its loss.
    assert first == second
    assert len(first) == 2
    assert all(line.startswith(f"the loss is nan at epoch 1, batch 1 in tiles {names}: ") for line in first)
    message = f"fewer training tiles (1) than processes (2) in {root}: start fewer processes, or give more tiles"
    assert (refused, too) == (message, message)
    assert not (tmp_path / "run" / "config.yaml").exists()


def wait_for_the_other(rank: int, folder: str) -> None:
    os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "0", "RANK": str(rank), "WORLD_SIZE": "2"}
    join = dist.init_process_group

    def by_file(backend: str, timeout: timedelta) -> None:
        join(backend, init_method=f"file://{folder}/rendezvous", rank=rank, world_size=2, timeout=timeout)

    dist.init_process_group = by_file  # no free port to look for
    try:
        with process_group("cpu"):
            barrier()
            if rank:
                os._exit(0)
            barrier()
    except ResourceError as error:
        Path(folder, "message").write_text(str(error))


def test_when_one_process_dies_the_other_says_so(tmp_path: Path) -> None:
    mp.spawn(wait_for_the_other, (str(tmp_path),), nprocs=2)
    message = (tmp_path / "message").read_text()
    assert message.startswith("another process of this run has ended or hangs in process 0 of 2: ")


def test_torchrun_of_two_ends_well_where_the_first_epoch_is_the_best(seep_root: Path, tmp_path: Path) -> None:
    """The form that the documentation gives; the last to finish reads best.pt that the first wrote an epoch before."""
    config = recipe(seep_root, "dice_bce", "batch")
    tree = {"optim": {"name": "sgd", "lr": 1e-12}, "train": {"epochs": 2, "batch_size": 4, "panels_every": 0}}
    (tmp_path / "c.yaml").write_text(dump(parse(plain(config) | tree, "test")))
    launcher = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m", "--"]
    words = ["seepseg", "train", str(tmp_path / "c.yaml"), "--run", str(tmp_path / "run"), "-q"]
    done = subprocess.run([sys.executable, *launcher, *words], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert load_checkpoint(tmp_path / "run" / "checkpoints" / "best.pt").score is not None
