"""One step of the optimiser on one batch, and advice where memory runs out."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext

import torch
from torch import Tensor, nn

from seepseg.classes import IGNORE
from seepseg.config import PlateauSchedule
from seepseg.data.loader import Batch
from seepseg.errors import NonFiniteLossError, ResourceError
from seepseg.inference.decode import most_probable
from seepseg.inference.score import of_batch
from seepseg.losses.functional import pixel_sums
from seepseg.metrics.confusion import confusion_matrix
from seepseg.models.head import probabilities
from seepseg.training.distributed import any_rank, of_ranks, rank, world
from seepseg.training.optim import after_plateau, rate_factor
from seepseg.training.state import Trainer

SCORED = 4
"""One training batch in so many is scored: scoring all of them slows training, and a quarter is enough to follow it."""


def train_step(trainer: Trainer, batch: Batch, lr: float | None = None) -> float:
    """The loss of a batch, on which the optimiser makes a step, at the rate of the schedule unless `lr` is given.

    A batch without a single labelled pixel is counted and skipped (NaN).

    Raises:
        NonFiniteLossError: the loss is NaN or infinite.
    """
    progress, device = trainer.progress, trainer.device
    torch.manual_seed(hash((trainer.config.seed, progress.epoch, progress.batch, rank())) % 2**63)
    image, mask = placed(trainer, batch)
    if not any_rank(bool(batch.mask.min() < IGNORE), device):
        progress.skipped += 1
        return math.nan
    for group in trainer.optimizer.param_groups:
        group["lr"] = rate(trainer) if lr is None else lr
    logits = forward(trainer, image)
    terms = trainer.loss(logits, mask)
    value = float(terms["loss"].item())
    if any_rank(not math.isfinite(value), device):
        raise not_finite(trainer, batch, logits, value)
    update(trainer, terms["loss"])
    count(trainer, logits.detach(), mask, terms)
    progress.step += 1
    return value


def forward(trainer: Trainer, image: Tensor) -> Tensor:
    """Logits (N, C, H, W) float32 of images (N, C, H, W), with a gradient.

    A compiled network takes whole batches only: compiling for each other shape would cost more than it brings, and what
    was compiled must not depend on where a run was resumed.
    """
    other = trainer.network is not trainer.model and image.shape != trainer.batch_shape
    stance = torch.compiler.set_stance("force_eager") if other else nullcontext()
    with stance, torch.autocast(trainer.device.type, trainer.dtype, enabled=trainer.dtype is not None):
        logits: Tensor = trainer.parallel(image)
    # The gradient of a loss lies in memory plane by plane, and every layer would have to rearrange it for itself.
    logits.register_hook(lambda g: g.contiguous(memory_format=torch.channels_last))  # type: ignore[no-untyped-call]
    return logits.float()


def not_finite(trainer: Trainer, batch: Batch, logits: Tensor, value: float) -> NonFiniteLossError:
    """The error of a loss that is not finite, the same in every process: it names the tiles it arose from."""
    ranks = of_ranks((bool(logits.isfinite().all()), value, batch.ids))
    # A region loss is summed over processes, so a NaN is the loss of all of them; the logits say where it arose.
    origin = [r for r in ranks if not r[0]] or [r for r in ranks if not math.isfinite(r[1])]
    return NonFiniteLossError(
        f"the loss is {origin[0][1]} at epoch {trainer.progress.epoch + 1}, batch {trainer.progress.batch + 1}",
        f"tiles {', '.join(name for _, _, ids in origin for name in ids)}",
        "check these tiles, lower optim.lr or set runtime.amp=off; last.pt holds the last good state",
    )


def update(trainer: Trainer, loss: Tensor) -> None:
    """Backward pass, clipping, the step, and the average of weights."""
    optimizer, scaler, clip_norm = trainer.optimizer, trainer.scaler, trainer.stage.optim.clip_norm
    optimizer.zero_grad(set_to_none=True)
    scaler.scale(loss).backward()  # type: ignore[no-untyped-call]
    if clip_norm:
        scaler.unscale_(optimizer)
        nn.utils.clip_grad_norm_(trainer.model.parameters(), clip_norm)
    scaler.step(optimizer)
    scaler.update()
    if trainer.ema:
        trainer.ema.update_parameters(trainer.model)


@torch.no_grad()
def count(trainer: Trainer, logits: Tensor, mask: Tensor, terms: dict[str, Tensor]) -> None:
    """Add a training batch to the sums of the epoch: its losses always, its scores every `SCORED` batches."""
    sums, number = trainer.sums, trainer.progress.batch
    entry = sums.floats[number * world() + rank()] = of_batch(terms, mask)
    if number % SCORED:
        return
    likely = probabilities(logits, trainer.loss.head)
    chosen = most_probable(likely, trainer.config.predict.threshold)
    # As bytes, a tenth of the time.
    matrix = confusion_matrix(mask.byte().cpu().numpy(), chosen.cpu().numpy(), len(trainer.data.classes))
    sums.matrix += matrix
    sums.tiles += matrix.sum(1) > 0
    sums.n_tiles += len(mask)
    entry |= {name: v.double().flatten().tolist() for name, v in pixel_sums(likely[:, 1:], mask).items()}


def rate(trainer: Trainer) -> float:
    """The learning rate of the current step: that of the stage times the factor of its schedule."""
    stage, progress = trainer.stage, trainer.progress
    step = progress.step - progress.stage_step
    factor = rate_factor(stage.schedule, step, trainer.steps_per_epoch, stage.epochs)
    if isinstance(stage.schedule, PlateauSchedule):
        factor *= after_plateau(stage.schedule, progress.val_losses, stage.optim.lr)
    return stage.optim.lr * factor


def placed(trainer: Trainer, batch: Batch) -> tuple[Tensor, Tensor]:
    """Image and mask of a batch on the device, in the memory layout of the network."""
    image = batch.image.to(trainer.device, non_blocking=True)
    return image.contiguous(memory_format=torch.channels_last), batch.mask.to(trainer.device, non_blocking=True)


@contextmanager
def advice_on_memory(trainer: Trainer) -> Iterator[None]:
    """Turn an out-of-memory error inside a `with` block into a ResourceError that names a smaller batch."""
    try:
        yield
    except RuntimeError as error:
        if not isinstance(error, torch.OutOfMemoryError) and "can't allocate memory" not in str(error):
            raise
        batch = trainer.config.train.batch_size
        raise ResourceError(
            f"out of memory with a batch of {batch}",
            f"device {trainer.device}",
            f"set train.batch_size={max(1, batch // 2)}, or a smaller network",
        ) from None
