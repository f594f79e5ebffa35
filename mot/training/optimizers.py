"""Steps: the optimiser, its rate over time, and the average of the weights."""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from mot.errors import MotError, nearest
from mot.training.recipe import Schedule, Start


def optimiser_of(model: nn.Module, schedule: Schedule) -> torch.optim.Optimizer:
    """Weights decay; biases and what normalises do not."""
    trained = [each for each in model.parameters() if each.requires_grad]
    groups = [
        {"params": [each for each in trained if each.ndim > 1], "weight_decay": schedule.decay},
        {"params": [each for each in trained if each.ndim <= 1], "weight_decay": 0.0},
    ]
    if schedule.optimiser == "adamw":
        return torch.optim.AdamW(groups, schedule.lr, (schedule.momentum, 0.999))
    return torch.optim.SGD(groups, schedule.lr, schedule.momentum, nesterov=schedule.momentum > 0)


def rate_at(step: int, per_epoch: int, schedule: Schedule) -> float:
    """The learning rate of a step, from 0. Of a short training no more than a fifth warms up."""
    warmup = min(schedule.warmup, per_epoch * schedule.epochs // 5)
    warm = min(1.0, (step + 1) / max(1, warmup))
    epoch = step / per_epoch
    if schedule.shape == "step":
        passed = sum(epoch >= end for end in schedule.steps)
        return schedule.lr * warm * 0.1**passed
    if schedule.shape == "cosine":
        share = min(1.0, epoch / schedule.epochs)
        fallen = (1 + math.cos(math.pi * share)) / 2
        return schedule.lr * warm * (schedule.least + (1 - schedule.least) * fallen)
    return schedule.lr * warm


class Average:
    """Weights averaged over the steps, younger ones more: they do better than the last ones."""

    def __init__(self, model: nn.Module, keeps: float) -> None:
        self.model = copy.deepcopy(model).eval().requires_grad_(False)
        self.keeps = keeps
        self.steps = 0

    @torch.no_grad()
    def update(self, model: nn.Module) -> None:
        self.steps += 1
        keeps = min(self.keeps, self.steps / (self.steps + 9))  # of a young average less
        ours, theirs = self.model.state_dict(), model.state_dict()
        floats = [name for name, each in ours.items() if each.is_floating_point()]
        kept = [ours[name] for name in floats]
        torch._foreach_lerp_(kept, [theirs[name].detach() for name in floats], 1 - keeps)
        for name in ours.keys() - set(floats):
            ours[name].copy_(theirs[name])


def freeze(model: nn.Module, start: Start) -> None:
    """What is not trained: the first stages of the backbone, and what norms know of the data; or
    all but one part."""
    if start.only:
        model.requires_grad_(False)
        _part(model, start.only).requires_grad_(True)
    for stage in _stages(model, start.frozen_stages):
        stage.requires_grad_(False)
    if start.frozen_norm:
        for module in model.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.requires_grad_(False)


def set_training(model: nn.Module, start: Start) -> None:
    """As `model.train()`, but for what is frozen."""
    if start.only:
        model.eval()
        _part(model, start.only).train()
        return
    model.train()
    frozen = _stages(model, start.frozen_stages)
    norms = [each for stage in frozen for each in stage.modules()]
    norms += list(model.modules()) if start.frozen_norm else []
    for module in norms:
        if isinstance(module, nn.BatchNorm2d):
            module.eval()


def _part(model: nn.Module, name: str) -> nn.Module:
    parts: dict[str, nn.Module] = dict(model.named_modules())
    if name not in parts:
        known = nearest(name, [each for each, _ in model.named_children()])
        raise MotError(f"model.only = {name!r}: the network has no such part: {known}")
    return parts[name]


def _stages(model: nn.Module, count: int) -> list[nn.Module]:
    if not count:
        return []
    backbone = getattr(model, "backbone", None)
    owner = getattr(backbone, "body", backbone) if backbone is not None else model
    layers = getattr(owner, "layers", owner)
    stages = list(layers.children())
    if count > len(stages):
        raise MotError(f"frozen_stages = {count}: the network has {len(stages)}")
    return stages[:count]


def norm_of(parameters: Sequence[Tensor]) -> Tensor:
    """Of all gradients together."""
    return torch.nn.utils.get_total_norm(
        [each.grad for each in parameters if each.grad is not None]
    )
