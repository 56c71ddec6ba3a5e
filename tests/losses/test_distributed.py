"""Losses over several processes: each holds part of the batch, together they train on all of it."""

from __future__ import annotations

import warnings
from pathlib import Path

import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp

from seepseg.config import (
    BceLoss,
    CeLoss,
    DiceBceLoss,
    DiceCeLoss,
    DiceLoss,
    FocalTverskyLoss,
    Head,
    LossNode,
    LovaszHingeLoss,
    LovaszSoftmaxLoss,
    TwoHeadLoss,
)
from seepseg.losses.build import build_loss
from seepseg.losses.functional import global_sum
from seepseg.models.head import out_channels
from tests.conftest import end_process

K = 4
CASES: list[tuple[LossNode, Head]] = [
    (BceLoss(), "sigmoid"),
    (CeLoss(class_weights=[2, 1, 0.5]), "softmax"),
    (DiceLoss(class_weights=[2, 1, 0.5]), "softmax"),
    (DiceBceLoss(), "sigmoid"),
    (DiceCeLoss(), "softmax"),
    (FocalTverskyLoss(), "sigmoid"),
    (LovaszHingeLoss(elu=True), "binary"),
    (LovaszSoftmaxLoss(class_weights=[2, 1, 0.5]), "softmax"),
    (TwoHeadLoss(class_weight=0.5, class_weights=[2, 1, 0.5]), "two_head"),
    (DiceLoss(), "two_head"),
]


def batch(head: Head) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Weights of a 1×1 convolution, images (6, 2, 8, 8) and target with a class and valid pixels shared unevenly."""
    generator = torch.Generator().manual_seed(0)
    channels = out_channels(head, K)
    weight = torch.randn(channels, 2, generator=generator)
    images = torch.randn(6, 2, 8, 8, generator=generator)
    target = torch.randint(0, K - 1, (6, 8, 8), generator=generator)
    target[0, 0] = K - 1  # the last class stands on the first rank only
    target[4:, 2:] = 255  # and most of the second is ignored
    return weight, images, target


def gradient(case: int, tiles: slice) -> tuple[float, torch.Tensor]:
    config, head = CASES[case]
    weight, images, target = batch(head)
    weight.requires_grad_()
    classes = 2 if head == "binary" else K
    loss = build_loss(config, head, classes)(torch.einsum("kc,nchw->nkhw", weight, images[tiles]), target[tiles])[
        "loss"
    ]
    loss.backward()
    assert weight.grad is not None
    return loss.item(), weight.grad


def work(rank: int, folder: str) -> None:
    torch.set_num_threads(1)
    warnings.simplefilter("error", FutureWarning)
    dist.init_process_group("gloo", init_method=f"file://{folder}/meet", rank=rank, world_size=2)
    # Four tiles here, two there: the mean of the ranks' own losses would be wrong.
    tiles = slice(0, 4) if rank == 0 else slice(4, 6)
    found = []
    for case in range(len(CASES)):
        loss, grad = gradient(case, tiles)
        dist.all_reduce(grad)  # what DDP does: the mean over the ranks
        found.append((loss, grad / 2))
    if rank == 0:
        with torch.no_grad():
            # The other rank makes no such call: a collective would wait here for ever.
            alone = global_sum(torch.ones(3))
        torch.save({"found": found, "alone": alone}, f"{folder}/found.pt")
    dist.barrier()
    end_process()


@pytest.fixture(scope="module")
def two_ranks(tmp_path_factory: pytest.TempPathFactory) -> dict[str, object]:
    folder: Path = tmp_path_factory.mktemp("ranks")
    mp.spawn(work, (str(folder),), nprocs=2)
    return torch.load(folder / "found.pt", weights_only=True)


@pytest.mark.parametrize("case", range(len(CASES)), ids=[f"{c.name}-{h}" for c, h in CASES])
def test_two_ranks_have_the_loss_and_gradient_of_the_whole_batch(two_ranks: dict, case: int) -> None:
    loss, grad = gradient(case, slice(None))
    found_loss, found_grad = two_ranks["found"][case]
    assert found_loss == pytest.approx(loss, abs=1e-6)
    assert torch.allclose(found_grad, grad, rtol=0, atol=1e-6)


def test_without_gradients_nothing_is_reduced(two_ranks: dict) -> None:
    assert two_ranks["alone"].tolist() == [1, 1, 1]


def test_a_single_process_keeps_its_own_sum() -> None:
    x = torch.ones(2, requires_grad=True)
    assert global_sum(x) is x
