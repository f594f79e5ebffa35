"""The training loop: batches to losses, losses to steps, and validations between epochs."""

from __future__ import annotations

import multiprocessing
import signal
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import FrameType, TracebackType

import torch
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from mot.errors import MotError
from mot.runtime.checkpoints import save_weights
from mot.runtime.torch_layers import Normalize
from mot.training import distributed
from mot.training.criteria.base import Losses
from mot.training.data.batches import Batch
from mot.training.data_bundle import DataBundle
from mot.training.optimizers import EMA, freeze, learning_rate, make_optimizer, set_train_mode
from mot.training.recipe import find_differences
from mot.training.state import TrainingState, load_state, read_recipe, save_state
from mot.training.targets import Target
from mot.training.task import TrainingTask
from mot.training.train_logger import BEST, LAST, Progress, TrainLogger

_DTYPES = {
    "": torch.float32,
    "fp32": torch.float32,
    "fp16": torch.float16,
    "bf16": torch.bfloat16,
}


def activation_dtype(precision: str, device: torch.device) -> torch.dtype:
    """float32 on CPUs without instructions for 16 bits, which take ten times as long with them."""
    dtype = _DTYPES[precision]
    return dtype if device.type != "cpu" or _cpu_supports(dtype) else torch.float32


def _cpu_supports(dtype: torch.dtype) -> bool:
    """Whether oneDNN has instructions for it on this CPU."""
    name = {torch.float16: "_is_mkldnn_fp16_supported", torch.bfloat16: "_is_mkldnn_bf16_supported"}
    if dtype not in name:
        return True
    is_supported = getattr(torch.ops.mkldnn, name[dtype], None)  # absent in some builds
    return is_supported is not None and bool(is_supported())


class Interruption:
    """Delays Ctrl-C and the system's termination signal to the end of a step; a second signal
    ends at once."""

    def __init__(self) -> None:
        self.is_requested = False

    def __enter__(self) -> Interruption:
        self._handlers = {
            each: signal.signal(each, self._request) for each in (signal.SIGINT, signal.SIGTERM)
        }
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for each, handler in self._handlers.items():
            signal.signal(each, handler)

    def _request(self, number: int, frame: FrameType | None) -> None:
        if self.is_requested:
            raise KeyboardInterrupt
        self.is_requested = True
        if distributed.is_first() and multiprocessing.parent_process() is None:
            print("mot: saving after this step; press Ctrl-C again to quit now", file=sys.stderr)


class Trainer:
    def __init__(
        self, task: TrainingTask, data: DataBundle, folder: Path, device: torch.device
    ) -> None:
        self.task, self.data, self.folder, self.device = task, data, folder, device
        recipe = task.recipe
        self.schedule, self.init = recipe.schedule, recipe.init
        self.dtype = activation_dtype(self.schedule.precision, device)
        model = task.initial.model.to(device)
        model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        freeze(model, self.init)
        criterion = task.make_criterion(data).to(device)
        self.parameters = [each for each in criterion.parameters() if each.requires_grad]
        self.criterion = _distribute(criterion, device)
        self.normalize = Normalize(task.initial.spec, device)
        self.state = TrainingState(
            model,
            criterion.auxiliary,
            make_optimizer(criterion, self.schedule),
            EMA(model, self.schedule.ema) if self.schedule.ema else None,
            torch.amp.GradScaler(device.type, enabled=self.dtype is torch.float16),
            Progress(),
        )

    @property
    def steps(self) -> int:
        """Of the complete training."""
        return self.schedule.epochs * self._steps_per_epoch()

    def _steps_per_epoch(self) -> int:
        return -(-self.data.batches // self.schedule.accumulate)

    def resume(self) -> None:
        path = self.folder / LAST
        differences = find_differences(read_recipe(path), self.task.recipe.tables())
        if differences:
            raise MotError(f"{path}: was trained with another {', '.join(differences[:3])}")
        load_state(self.state, path)

    def run(self, logger: TrainLogger | None) -> None:
        """Trains to the last epoch; only the first process has a logger."""
        progress = self.state.progress
        with Interruption() as interruption:
            for epoch in range(progress.epoch, self.schedule.epochs):
                self._train_epoch(epoch, logger, interruption)
                progress.epoch, progress.batch = epoch + 1, 0
                if self._is_validated(epoch + 1):
                    self.save()  # a failing validation must not cost the epoch
                    self._validate(logger)
                self.save()
        if progress.best_epoch < 0 and distributed.is_first():
            self._save_best(self._final_model(), {})

    def _train_epoch(
        self, epoch: int, logger: TrainLogger | None, interruption: Interruption
    ) -> None:
        """From the next batch of the progress on."""
        progress = self.state.progress
        set_train_mode(self.state.model, self.init)
        for batches in self._accumulated(epoch):
            start = time.perf_counter()
            losses = self._step(batches)
            if logger:
                logger.step(progress, losses)
            progress.batch += len(batches)
            progress.seconds += time.perf_counter() - start
            if distributed.any_process(interruption.is_requested, self.device):
                self.save()
                raise KeyboardInterrupt
            if progress.step % self.schedule.save_interval == 0:
                self.save()

    def _accumulated(self, epoch: int) -> Iterator[list[Batch]]:
        """The batches of each step."""
        group: list[Batch] = []
        for batch in self.data.loader.epoch(epoch, self.state.progress.batch):
            group.append(batch)
            if len(group) == self.schedule.accumulate:
                yield group
                group = []
        if group:
            yield group

    def _step(self, batches: list[Batch]) -> dict[str, float]:
        """One step of the optimizer; returns what is logged."""
        state = self.state
        lr = learning_rate(state.progress.step, self._steps_per_epoch(), self.schedule)
        for group in state.optimizer.param_groups:
            group["lr"] = lr
        logged: dict[str, float] = {}
        for batch in batches:
            losses = self._losses(batch)
            parts = torch.stack(list(losses.values()))
            state.scaler.scale(parts.sum() / len(batches)).backward()  # type: ignore[no-untyped-call]
            means = distributed.mean_over_processes(parts.detach()).tolist()
            for name, loss in zip(losses, means, strict=True):
                logged[name] = logged.get(name, 0.0) + loss / len(batches)
            self._check_finite(logged, batch)
        grad_norm = self._update()
        state.progress.step += 1
        return {"lr": lr, "loss": sum(logged.values()), **logged, "grad_norm": grad_norm}

    def _losses(self, batch: Batch) -> Losses:
        images = self.normalize(batch.images.to(self.device, non_blocking=True))
        images = images.contiguous(memory_format=torch.channels_last)
        targets = [Target(*(part.to(self.device) for part in each)) for each in batch.targets]
        is_mixed = self.dtype is not torch.float32
        with torch.autocast(self.device.type, self.dtype, enabled=is_mixed):
            losses: Losses = self.criterion(images, targets)
        return losses

    def _update(self) -> float:
        """Steps the optimizer; returns the norm of the gradient."""
        state, clip = self.state, self.schedule.clip
        state.scaler.unscale_(state.optimizer)
        gradients = [each.grad for each in self.parameters if each.grad is not None]
        norm = torch.nn.utils.get_total_norm(gradients)
        if clip:
            torch.nn.utils.clip_grads_with_norm_(self.parameters, clip, norm)
        state.scaler.step(state.optimizer)
        state.scaler.update()
        state.optimizer.zero_grad(set_to_none=True)
        if state.ema:
            state.ema.update(state.model)
        return float(norm)

    def _check_finite(self, losses: Mapping[str, float], batch: Batch) -> None:
        wrong = [name for name, loss in losses.items() if not abs(loss) < float("inf")]
        if wrong:
            rows = batch.records.tolist()
            images = ", ".join(str(self.data.train[row].path) for row in rows[:3])
            more = f" and {len(rows) - 3} more" if len(rows) > 3 else ""
            last = self.folder / LAST
            kept = f"; {last} is from before" if last.exists() else ""
            raise MotError(
                f"step {self.state.progress.step}: the loss {wrong[0]} is {losses[wrong[0]]}, with "
                f"{images}{more}: lower schedule.lr, or check these images{kept}"
            )

    def _is_validated(self, epochs: int) -> bool:
        is_due = epochs % self.schedule.val_interval == 0 or epochs == self.schedule.epochs
        return is_due and len(self.data.val) > 0

    def _validate(self, logger: TrainLogger | None) -> None:
        """Validates the averaged weights, and saves them if they are the best."""
        progress = self.state.progress
        if logger:
            model = self._final_model()
            result = self.task.validate(model, self.data)
            logger.epoch(progress, result, self.task.headline)
            if result.score >= progress.best:  # of equals the last, which has learned the most
                progress.best, progress.best_epoch = result.score, progress.epoch
                self._save_best(model, result.metrics)
        distributed.wait_for_all()

    def _final_model(self) -> nn.Module:
        return self.state.ema.model if self.state.ema else self.state.model

    def _save_best(self, model: nn.Module, metrics: Mapping[str, float]) -> None:
        headline = {name: metrics[name] for name in self.task.headline if name in metrics}
        metadata = self.task.metadata(self.data)
        metadata |= {
            "trained": {"epoch": self.state.progress.epoch, **headline},
            "recipe": self.task.recipe.name,
        }
        save_weights(model, self.folder / BEST, metadata)

    def save(self) -> None:
        if distributed.is_first():
            save_state(self.state, self.folder / LAST, self.task.recipe.tables())
        distributed.wait_for_all()


def _distribute(criterion: nn.Module, device: torch.device) -> nn.Module:
    """Wraps the criterion if there are several processes."""
    if distributed.world_size() == 1:
        return criterion
    if device.type == "cuda":
        criterion = nn.SyncBatchNorm.convert_sync_batchnorm(criterion)  # type: ignore[no-untyped-call]
        return DistributedDataParallel(criterion, [device.index])
    return DistributedDataParallel(criterion)
