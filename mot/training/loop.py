"""The loop: batches to losses, losses to steps, and once an epoch the measure of it all."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from mot.detectors.torch_network import normaliser
from mot.errors import MotError
from mot.runtime.checkpoints import save_weights
from mot.training import distributed
from mot.training.data.batches import Batch
from mot.training.data_bundle import DataBundle
from mot.training.distributed import mean_over_processes
from mot.training.initial_model import InitialModel
from mot.training.interruption import Interruption
from mot.training.logs import BEST, LAST
from mot.training.objectives import Objective
from mot.training.optimizers import Average, freeze, norm_of, optimiser_of, rate_at, set_training
from mot.training.recipe import Recipe, differences
from mot.training.state import Progress, State, load_state, read_recipe, save_state
from mot.training.targets import Target
from mot.training.task import Task
from mot.training.train_logger import TrainLogger

_DTYPES = {
    "": torch.float32,
    "fp32": torch.float32,
    "fp16": torch.float16,
    "bf16": torch.bfloat16,
}


def dtype_of(precision: str, device: torch.device) -> torch.dtype:
    """Of activations. CPUs that do not know it take ten times as long in half of the bytes."""
    dtype = _DTYPES[precision]
    return dtype if device.type != "cpu" or _cpu_knows(dtype) else torch.float32


def _cpu_knows(dtype: torch.dtype) -> bool:
    """Whether oneDNN has instructions for it here."""
    name = {torch.float16: "_is_mkldnn_fp16_supported", torch.bfloat16: "_is_mkldnn_bf16_supported"}
    if dtype not in name:
        return True
    asked = getattr(torch.ops.mkldnn, name[dtype], None)
    return asked is not None and bool(asked())


class ModelWithLoss(nn.Module):
    """A network and what it is trained to do, as one step needs them."""

    def __init__(self, model: nn.Module, objective: Objective) -> None:
        super().__init__()
        self.model = model
        self.objective = objective
        self.learned = getattr(objective, "learned", None)  # that no detector needs

    def forward(self, images: Tensor, targets: list[Target]) -> dict[str, Tensor]:
        return self.objective(images, targets)


class Training:
    def __init__(
        self,
        recipe: Recipe,
        task: Task,
        begun: InitialModel,
        materials: DataBundle,
        folder: Path,
        device: torch.device,
    ) -> None:
        self.recipe, self.task, self.folder, self.device = recipe, task, folder, device
        self.begun, self.materials = begun, materials
        schedule, model = recipe.schedule, begun.model.to(device)
        self.dtype = dtype_of(schedule.precision, device)
        model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        freeze(model, recipe.start)
        lesson = ModelWithLoss(model, task.objective(recipe, begun, materials)).to(device)
        self.trained = [each for each in lesson.parameters() if each.requires_grad]
        self.lesson = _shared(lesson, device)
        self.normalised = normaliser(begun.spec, device)
        self.state = State(
            model,
            lesson.learned,
            optimiser_of(lesson, schedule),
            Average(model, schedule.ema) if schedule.ema else None,
            torch.amp.GradScaler(device.type, enabled=self.dtype is torch.float16),
            Progress(),
        )

    @property
    def steps(self) -> int:
        """Of the whole training."""
        return self.recipe.schedule.epochs * self._steps_per_epoch()

    def _steps_per_epoch(self) -> int:
        return -(-self.materials.batches // self.recipe.schedule.accumulate)

    def resume(self) -> None:
        path = self.folder / LAST
        differing = differences(read_recipe(path), self.recipe.tables())
        if differing:
            raise MotError(f"{path}: was trained with another {', '.join(differing[:3])}")
        load_state(self.state, path)

    def run(self, diary: TrainLogger | None) -> None:
        progress = self.state.progress
        with Interruption() as interruption:
            for epoch in range(progress.epoch, self.recipe.schedule.epochs):
                self._epoch(epoch, diary, interruption)
                progress.epoch, progress.batch = epoch + 1, 0
                if self._is_measured(epoch + 1):
                    self.save()  # what measuring may cost is not an epoch
                    self._measure(diary)
                self.save()
        if progress.best_epoch < 0 and distributed.is_first():
            self._keep(self._averaged(), {})

    def _epoch(self, epoch: int, diary: TrainLogger | None, interruption: Interruption) -> None:
        """From the batch that comes next."""
        progress, every = self.state.progress, self.recipe.schedule.save
        set_training(self.state.model, self.recipe.start)
        for batches in self._groups(epoch):
            began = time.perf_counter()
            told = self._step(batches)
            if diary:
                diary.step(progress, told)
            progress.batch += len(batches)
            progress.seconds += time.perf_counter() - began
            if distributed.anywhere(interruption.is_asked, self.device):
                self.save()
                raise KeyboardInterrupt
            if progress.step % every == 0:
                self.save()

    def _groups(self, epoch: int) -> Iterator[list[Batch]]:
        """Those that make up a step."""
        group: list[Batch] = []
        for batch in self.materials.loader.epoch(epoch, self.state.progress.batch):
            group.append(batch)
            if len(group) == self.recipe.schedule.accumulate:
                yield group
                group = []
        if group:
            yield group

    def _step(self, batches: list[Batch]) -> dict[str, float]:
        """One step of the optimiser; what is told of it."""
        state, schedule = self.state, self.recipe.schedule
        rate = rate_at(state.progress.step, self._steps_per_epoch(), schedule)
        for group in state.optimiser.param_groups:
            group["lr"] = rate
        told: dict[str, float] = {}
        for batch in batches:
            losses = self._losses(batch)
            parts = torch.stack(list(losses.values()))
            state.scaler.scale(parts.sum() / len(batches)).backward()  # type: ignore[no-untyped-call]
            means = mean_over_processes(parts.detach()).tolist()
            for name, loss in zip(losses, means, strict=True):
                told[name] = told.get(name, 0.0) + loss / len(batches)
            self._check(told, batch)
        norm = self._update()
        state.progress.step += 1
        return {"lr": rate, "loss": sum(told.values()), **told, "norm": norm}

    def _losses(self, batch: Batch) -> dict[str, Tensor]:
        images = self.normalised(batch.images.to(self.device, non_blocking=True))
        images = images.contiguous(memory_format=torch.channels_last)
        targets = [Target(*(part.to(self.device) for part in each)) for each in batch.targets]
        is_mixed = self.dtype is not torch.float32
        with torch.autocast(self.device.type, self.dtype, enabled=is_mixed):
            losses: dict[str, Tensor] = self.lesson(images, targets)
        return losses

    def _update(self) -> float:
        """Take the step; the norm of the gradient."""
        state, clip = self.state, self.recipe.schedule.clip
        state.scaler.unscale_(state.optimiser)
        norm = norm_of(self.trained)
        if clip:
            torch.nn.utils.clip_grads_with_norm_(self.trained, clip, norm)
        state.scaler.step(state.optimiser)
        state.scaler.update()
        state.optimiser.zero_grad(set_to_none=True)
        if state.average:
            state.average.update(state.model)
        return float(norm)

    def _check(self, losses: dict[str, float], batch: Batch) -> None:
        wrong = [name for name, loss in losses.items() if not abs(loss) < float("inf")]
        if wrong:
            places = batch.pictures.tolist()
            pictures = ", ".join(str(self.materials.train[place].path) for place in places[:3])
            more = f" and {len(places) - 3} more" if len(places) > 3 else ""
            last = self.folder / LAST
            kept = f"; {last} is from before" if last.exists() else ""
            raise MotError(
                f"step {self.state.progress.step}: the loss {wrong[0]} is {losses[wrong[0]]}, with "
                f"{pictures}{more}: lower schedule.lr, or look at these pictures{kept}"
            )

    def _is_measured(self, epochs: int) -> bool:
        schedule = self.recipe.schedule
        due = epochs % schedule.validate == 0 or epochs == schedule.epochs
        return due and len(self.materials.val) > 0

    def _measure(self, diary: TrainLogger | None) -> None:
        """Of the averaged weights; the best are kept."""
        progress = self.state.progress
        if diary:
            model = self._averaged()
            measured = self.task.measure(model, self.begun, self.materials)
            diary.epoch(progress, measured, self.task.HEADLINE)
            if measured.score >= progress.best:  # of equals the last, which has learned the most
                progress.best, progress.best_epoch = measured.score, progress.epoch
                self._keep(model, measured.figures)
        distributed.wait_for_all()

    def _averaged(self) -> nn.Module:
        return self.state.average.model if self.state.average else self.state.model

    def _keep(self, model: nn.Module, figures: Mapping[str, float]) -> None:
        headline = {name: figures[name] for name in self.task.HEADLINE if name in figures}
        trained = {"epoch": self.state.progress.epoch, **headline}
        told = self.task.described(self.begun, self.materials)
        told |= {"trained": trained, "recipe": self.recipe.name}
        save_weights(model, self.folder / BEST, told)

    def save(self) -> None:
        if distributed.is_first():
            save_state(self.state, self.folder / LAST, self.recipe.tables())
        distributed.wait_for_all()


def _shared(lesson: ModelWithLoss, device: torch.device) -> nn.Module:
    """Over the processes, where there are several."""
    if distributed.world() == 1:
        return lesson
    if device.type == "cuda":
        lesson = nn.SyncBatchNorm.convert_sync_batchnorm(lesson)  # type: ignore[no-untyped-call]
        return DistributedDataParallel(lesson, [device.index])
    return DistributedDataParallel(lesson)
