"""The training loop: epochs of steps, validation, checkpoints; exact under resume and under several processes."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from seepseg.classes import IGNORE, ClassTable
from seepseg.config import Config, PlateauSchedule
from seepseg.data.dataset import Draw, TileDataset
from seepseg.data.loader import Batch, collate, epoch_draws, in_batches, load_batches
from seepseg.data.scaling import FittedScaling
from seepseg.errors import ConfigError, InterruptedRun, NonFiniteLossError, ResourceError
from seepseg.figures import panel
from seepseg.inference.decode import decode
from seepseg.inference.device import autocast_dtype
from seepseg.inference.predictor import Predictor
from seepseg.inference.score import Sums, score
from seepseg.losses.build import Loss
from seepseg.losses.functional import pixel_sums
from seepseg.metrics.confusion import confusion_matrix
from seepseg.models.head import probabilities
from seepseg.runs.checkpoint import Checkpoint, load_weights, save_checkpoint
from seepseg.runs.folder import RunFolder
from seepseg.training.board import Board, Row, part_row
from seepseg.training.distributed import any_rank, rank, same_buffers, sum_over_ranks, world
from seepseg.training.ema import average_weights
from seepseg.training.guard import StopSignal
from seepseg.training.optim import after_plateau, build_optimizer, rate_factor

PANELS = 4
SCORED = 4
"""Every how manieth training batch is scored."""

Tick = Callable[[int, int], None]
"""(batches done, of how many in the epoch)"""


@dataclass
class Progress:
    """Where a run stands; with weights, optimiser and loss scaler all that resuming needs.

    Random state is not among it: order, augmentation and dropout are functions of seed, epoch and step.
    """

    epoch: int = 0
    batch: int = 0
    step: int = 0
    skipped: int = 0
    best: float | None = None
    best_epoch: int = 0
    val_losses: list[float] = field(default_factory=list)
    rows: list[Row] = field(default_factory=list)


class Trainer:
    """One network, its optimiser and its data."""

    def __init__(
        self,
        config: Config,
        classes: ClassTable,
        scaling: FittedScaling,
        model: nn.Module,
        loss: Loss,
        train: TileDataset,
        val: TileDataset,
        device: torch.device,
    ) -> None:
        if config.train.batch_size % world():
            raise ConfigError(
                f"batch size {config.train.batch_size} on {world()} processes",
                "train.batch_size",
                "give a multiple of the number of processes",
            )
        self.config, self.classes, self.scaling, self.device = config, classes, scaling, device
        self.model, self.loss, self.train, self.val = model, loss, train, val
        self.optimizer = build_optimizer(model, config.optim)
        self.ema = average_weights(model, config.train.ema_decay) if config.train.ema_decay else None
        self.dtype = autocast_dtype(config.runtime.amp, device)
        self.scaler = torch.amp.GradScaler(device.type, enabled=self.dtype == torch.float16)
        self.steps_per_epoch = len(in_batches([Draw(0)] * len(train), config.train.batch_size, drop_last=True))
        self.progress = Progress()
        self.sums = self._no_sums()
        self._parallel: nn.Module = DistributedDataParallel(model) if world() > 1 else model

    # --- the whole way -----------------------------------------------------------------------------------------------

    def fit(self, folder: RunFolder, stop: StopSignal, tell: Callable[[str], None], tick: Tick) -> None:
        """Train to the last epoch, leaving checkpoints, metrics.csv and TensorBoard in the folder.

        Raises:
            NonFiniteLossError: the loss is NaN or infinite; the message names the tiles.
            InterruptedRun: a signal came; the state is saved.
            ResourceError: memory gave out.
        """
        self.train.preload()
        self.val.preload()
        board = Board(folder.board, self.progress.epoch + 1) if rank() == 0 else None
        if rank() == 0 and self.progress.rows:
            # A kill may have come between the checkpoint and the table.
            folder.write_metrics(self.progress.rows)
        try:
            while self.progress.epoch < self.config.train.epochs and not self._out_of_patience():
                begin = time.perf_counter()
                done = self._train_epoch(folder, stop, tick)
                seconds = time.perf_counter() - begin
                row = self._finish_epoch(folder, stop, done * self.config.train.batch_size / seconds)
                if board:
                    board.row(row, self.progress.epoch)
                    if self._panels_due():
                        board.panels(self.panels(), self.progress.epoch)
                    tell(self._line(row))
        except torch.OutOfMemoryError:
            raise self._no_room() from None
        except RuntimeError as error:
            if "can't allocate memory" in str(error):
                raise self._no_room() from None
            raise
        finally:
            if board:
                board.close()
        if self._out_of_patience():
            tell(f"stopped early: no better score for {self.config.train.early_stopping} epochs")

    def _train_epoch(self, folder: RunFolder, stop: StopSignal, tick: Tick) -> int:
        """The rest of the current epoch; how many steps it took."""
        self._parallel.train()
        saved, done = time.monotonic(), 0
        for batch in self._train_batches():
            self.step(batch)
            self.progress.batch += 1
            done += 1
            tick(self.progress.batch, self.steps_per_epoch)
            if any_rank(stop.number is not None, self.device):
                self._interrupt(folder, stop)
            if time.monotonic() - saved > 60 * self.config.train.checkpoint_minutes and world() == 1:
                self._save(folder)
                saved = time.monotonic()
        return done

    def step(self, batch: Batch) -> float:
        """One step of the optimiser on a batch; the loss.

        A batch without a single labelled pixel is counted and skipped.

        Raises:
            NonFiniteLossError: the loss is NaN or infinite.
        """
        progress = self.progress
        torch.manual_seed(hash((self.config.seed, progress.epoch, progress.batch, rank())) % 2**63)
        image, mask = self._placed(batch)
        labelled = bool((batch.mask != IGNORE).any())
        if not any_rank(labelled, self.device):
            progress.skipped += 1
            return math.nan
        for group in self.optimizer.param_groups:
            group["lr"] = self.rate()
        with torch.autocast(self.device.type, self.dtype, enabled=self.dtype is not None):
            logits = self._parallel(image)
        logits = logits.float()
        terms = self.loss(logits, mask)
        value = float(terms["loss"].item())
        if any_rank(not math.isfinite(value), self.device):
            raise NonFiniteLossError(
                f"the loss is {value} at epoch {progress.epoch + 1}, batch {progress.batch + 1}",
                f"tiles {', '.join(batch.ids)}",
                "look at these tiles, lower optim.lr or set runtime.amp=off; last.pt holds the last good state",
            )
        self.optimizer.zero_grad(set_to_none=True)
        self.scaler.scale(terms["loss"]).backward()
        if self.config.optim.clip_norm:
            self.scaler.unscale_(self.optimizer)
            nn.utils.clip_grad_norm_(self.model.parameters(), self.config.optim.clip_norm)
        self.scaler.step(self.optimizer)
        self.scaler.update()
        if self.ema:
            self.ema.update_parameters(self.model)
        self._count(logits.detach(), mask, terms)
        progress.step += 1
        return value

    def _finish_epoch(self, folder: RunFolder, stop: StopSignal, tiles_per_second: float) -> Row:
        """Validate, note the numbers, and save best and last."""
        progress = self.progress
        same_buffers(self.model, *([self.ema] if self.ema else []))

        def look_up() -> None:
            # Validation of a large set outlasts the patience of whoever sent the signal. Resumed, it is done again.
            if stop.number is not None and world() == 1:
                self._interrupt(folder, stop)

        val = self.validate(look_up)
        progress.epoch, progress.batch = progress.epoch + 1, 0
        train_sums = sum_over_ranks(Sums(self.sums.matrix, self.sums.tiles, self.sums.n_tiles, 0, self.sums.floats))
        row = {
            "epoch": float(progress.epoch),
            "lr": self.optimizer.param_groups[0]["lr"],
            "tiles_per_second": tiles_per_second,
            "skipped_batches": float(progress.skipped),
        }
        row |= part_row("train", train_sums, self.classes) | part_row("val", val, self.classes)
        self.sums = self._no_sums()
        progress.val_losses.append(row["val/loss"])
        progress.rows.append(row)
        current = row.get(self._monitored(), 0.0)
        better = progress.best is None or current > progress.best
        if better:
            progress.best, progress.best_epoch = current, progress.epoch
        if rank() == 0:
            # Best before last: killed in between, the epoch is done again and writes the same best.
            if better:
                save_checkpoint(folder.best, self.checkpoint(resumable=False))
            self._save(folder)
            folder.write_metrics(progress.rows)
        return row

    def validate(self, before_batch: Callable[[], None] = lambda: None) -> Sums:
        """Sums over the validation tiles with the averaged weights, shared out among the processes.

        `before_batch` is called before each batch and may raise.
        """
        network = self.ema.module if self.ema else self.model
        network.eval()
        predictor = Predictor(network, self.config, self.device)
        mine = [(i, b) for i, b in enumerate(self._val_batches()) if i % world() == rank()]
        loader = load_batches(self.val, [b for _, b in mine], 0)

        def numbered() -> Iterator[tuple[int, Batch]]:
            for (number, _), batch in zip(mine, loader, strict=True):
                before_batch()
                yield number, batch

        return sum_over_ranks(score(predictor, numbered(), len(self.classes), self.config.predict, self.loss))

    def panels(self) -> dict[str, NDArray[np.uint8]]:
        """Image, truth, prediction and error of the validation tiles with the most classes, by tile name."""
        network = self.ema.module if self.ema else self.model
        network.eval()
        held = (self.val.catalog.pixels()[:, 1:] > 0).sum(1)
        chosen = np.argsort(-held, kind="stable")[:PANELS]
        batch = collate([self.val[Draw(int(i))] for i in chosen])
        predictor = Predictor(network, self.config, self.device)
        predicted = decode(predictor.probabilities(batch.image), batch.valid, self.config.predict)
        return {
            name: panel(
                batch.image[i, 0, :h, :w].numpy(),
                batch.mask[i, :h, :w].numpy().astype(np.uint8),
                predicted[i, :h, :w],
                self.classes,
            )
            for i, (name, (h, w)) in enumerate(zip(batch.ids, batch.sizes, strict=True))
        }

    # --- state -------------------------------------------------------------------------------------------------------

    def checkpoint(self, *, resumable: bool = True) -> Checkpoint:
        """The state as a checkpoint; without what only resuming needs unless `resumable`."""
        progress = self.progress
        training: dict[str, Any] = {}
        if resumable:
            training = {
                "world": world(),
                "progress": dict(vars(progress)),
                "optimizer": self.optimizer.state_dict(),
                "scaler": self.scaler.state_dict(),
                "updates": int(self.ema.n_averaged) if self.ema else 0,
                "sums": {
                    "matrix": self.sums.matrix.tolist(),
                    "tiles": self.sums.tiles.tolist(),
                    "n_tiles": self.sums.n_tiles,
                    "floats": self.sums.floats,
                },
            }
        return Checkpoint(
            self.config,
            self.classes,
            self.scaling,
            self.model.state_dict(),
            self.ema.module.state_dict() if self.ema else None,
            {},
            training,
            progress.best,
            progress.epoch,
        )

    def restore(self, checkpoint: Checkpoint, where: object) -> None:
        """Take up the state of a checkpoint that `checkpoint` made."""
        state = checkpoint.training
        self.start_from(checkpoint, where)
        load_weights(self.model, checkpoint.weights, where)
        self.optimizer.load_state_dict(state["optimizer"])
        self.scaler.load_state_dict(state["scaler"])
        if self.ema:
            self.ema.n_averaged.fill_(state["updates"])
        self.progress = Progress(**state["progress"])
        sums = state["sums"]
        self.sums = Sums(
            np.array(sums["matrix"], np.int64), np.array(sums["tiles"], np.int64), sums["n_tiles"], 0, sums["floats"]
        )

    def start_from(self, checkpoint: Checkpoint, where: object) -> None:
        """Take the weights of a checkpoint, the averaged ones where it has them, and nothing else."""
        load_weights(self.model, checkpoint.ema or checkpoint.weights, where)
        if self.ema:
            load_weights(self.ema.module, checkpoint.ema or checkpoint.weights, where)

    def rate(self) -> float:
        """The learning rate of the current step."""
        schedule, lr = self.config.schedule, self.config.optim.lr
        factor = rate_factor(schedule, self.progress.step, self.steps_per_epoch, self.config.train.epochs)
        if isinstance(schedule, PlateauSchedule):
            factor *= after_plateau(schedule, self.progress.val_losses, lr)
        return lr * factor

    def first_batches(self, count: int) -> Iterator[Batch]:
        """The first batches of training, for a dry run."""
        self._parallel.train()
        for _, batch in zip(range(count), self._train_batches(), strict=False):
            yield batch

    # --- parts -------------------------------------------------------------------------------------------------------

    def _train_batches(self) -> Iterator[Batch]:
        """What is left of the epoch; each process takes its share of every batch."""
        draws = epoch_draws(self.train.catalog, self.config.data.sampling, self.config.seed, self.progress.epoch)
        batches = in_batches(draws, self.config.train.batch_size, drop_last=True)[self.progress.batch :]
        mine = [b[rank() :: world()] for b in batches]
        return iter(load_batches(self.train, mine, self.config.runtime.workers, pin=self.device.type == "cuda"))

    def _val_batches(self) -> list[list[Draw]]:
        """Fixed blocks of the catalog's order, whatever the number of processes."""
        return in_batches([Draw(i) for i in range(len(self.val))], self.config.predict.batch_size, drop_last=False)

    def _placed(self, batch: Batch) -> tuple[torch.Tensor, torch.Tensor]:
        image = batch.image.to(self.device, non_blocking=True)
        if self.config.runtime.channels_last:
            image = image.contiguous(memory_format=torch.channels_last)
        return image, batch.mask.to(self.device, non_blocking=True)

    @torch.no_grad()
    def _count(self, logits: torch.Tensor, mask: torch.Tensor, terms: dict[str, torch.Tensor]) -> None:
        """Add a training batch to the sums of the epoch: losses always, scores of every fourth batch.

        Scoring all of them slows training, and a quarter of them tells as much.
        """
        losses = {("loss" if n == "loss" else f"loss_{n}"): [v.item() * len(mask)] for n, v in terms.items()}
        entry = self.sums.floats[self.progress.batch * world() + rank()] = {"tiles": [float(len(mask))]} | losses
        if self.progress.batch % SCORED:
            return
        k = len(self.classes)
        likely = probabilities(logits, self.loss.head)
        matrix = confusion_matrix(mask, likely.argmax(1), k)
        self.sums.matrix += matrix
        self.sums.tiles += matrix.sum(1) > 0
        self.sums.n_tiles += len(mask)
        entry |= {name: v.double().flatten().tolist() for name, v in pixel_sums(likely[:, 1:], mask).items()}

    def _no_sums(self) -> Sums:
        return Sums.empty(len(self.classes))

    def _save(self, folder: RunFolder) -> None:
        save_checkpoint(folder.last, self.checkpoint())

    def _interrupt(self, folder: RunFolder, stop: StopSignal) -> None:
        # Several processes hold partial sums each; they go back to the last full epoch instead.
        if world() == 1:
            self._save(folder)
        raise InterruptedRun(stop.number or 15, "stopped by a signal, state saved", folder.root, "go on with --resume")

    def _monitored(self) -> str:
        names = {"macro_dice": "val/dice/macro", "foreground_dice": "val/dice/foreground", "tgs_score": "val/tgs_score"}
        if self.config.train.monitor != "auto":
            return names[self.config.train.monitor]
        if len(self.classes) > 2:
            return names["macro_dice"]
        return names["tgs_score" if self.config.data.source == "tgs" else "foreground_dice"]

    def _out_of_patience(self) -> bool:
        patience = self.config.train.early_stopping
        return patience is not None and self.progress.epoch - self.progress.best_epoch >= patience

    def _panels_due(self) -> bool:
        every, epoch = self.config.train.panels_every, self.progress.epoch
        return every > 0 and (epoch % every == 0 or epoch == self.config.train.epochs)

    def _line(self, row: Row) -> str:
        score_name = self._monitored()
        return (
            f"epoch {self.progress.epoch:3d}/{self.config.train.epochs}  loss {row.get('train/loss', math.nan):.4f}  "
            f"val loss {row['val/loss']:.4f}  foreground Dice {row.get('val/dice/foreground', 0):.3f}"
            f"  {score_name.removeprefix('val/')} {row.get(score_name, 0):.4f}"
            f"{' *' if self.progress.best_epoch == self.progress.epoch else ''}"
            f"  {row['tiles_per_second']:.1f} tiles/s"
        )

    def _no_room(self) -> ResourceError:
        batch = self.config.train.batch_size
        return ResourceError(
            f"out of memory with a batch of {batch}",
            f"device {self.device}",
            f"set train.batch_size={max(1, batch // 2)}, or a smaller network",
        )
