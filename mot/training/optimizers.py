"""The optimizer, its learning rate over time, EMA weights, and frozen parts of a network."""

from __future__ import annotations

import copy
import math
from collections.abc import Iterator

import torch
from torch import nn

from mot.errors import MotError, suggest
from mot.training.recipe import InitSettings, Schedule


def make_optimizer(model: nn.Module, schedule: Schedule) -> torch.optim.Optimizer:
    """Without weight decay of biases and norms."""
    trained = [each for each in model.parameters() if each.requires_grad]
    weights = [each for each in trained if each.ndim > 1]
    others = [each for each in trained if each.ndim <= 1]
    groups = [
        {"params": weights, "weight_decay": schedule.weight_decay},
        {"params": others, "weight_decay": 0.0},
    ]
    if schedule.optimizer == "adamw":
        return torch.optim.AdamW(groups, schedule.lr, (schedule.momentum, 0.999))
    return torch.optim.SGD(groups, schedule.lr, schedule.momentum, nesterov=schedule.momentum > 0)


def learning_rate(step: int, steps_per_epoch: int, schedule: Schedule) -> float:
    """Of a step, from 0. At most a fifth of a short training warms up."""
    warmup = min(schedule.warmup, steps_per_epoch * schedule.epochs // 5)
    warm = min(1.0, (step + 1) / max(1, warmup))
    epoch = step / steps_per_epoch
    if schedule.lr_schedule == "step":
        passed = sum(epoch >= milestone for milestone in schedule.milestones)
        return schedule.lr * warm * 0.1**passed
    if schedule.lr_schedule == "cosine":
        share = min(1.0, epoch / schedule.epochs)
        cosine = (1 + math.cos(math.pi * share)) / 2
        low = schedule.min_lr_ratio
        return schedule.lr * warm * (low + (1 - low) * cosine)
    return schedule.lr * warm


class EMA:
    """Exponential moving average of the weights."""

    def __init__(self, model: nn.Module, decay: float) -> None:
        self.model = copy.deepcopy(model).eval().requires_grad_(False)
        self.decay = decay
        self.steps = 0

    @torch.no_grad()
    def update(self, model: nn.Module) -> None:
        self.steps += 1
        decay = min(self.decay, self.steps / (self.steps + 9))  # lower at first
        ours, theirs = self.model.state_dict(), model.state_dict()
        floats = [name for name, each in ours.items() if each.is_floating_point()]
        averages = [ours[name] for name in floats]
        torch._foreach_lerp_(averages, [theirs[name].detach() for name in floats], 1 - decay)
        for name in ours.keys() - set(floats):
            ours[name].copy_(theirs[name])


def freeze(model: nn.Module, init: InitSettings) -> None:
    """Takes gradients from the first stages of the backbone and its batch norms, or from all but
    one part of the network."""
    if init.train_only:
        model.requires_grad_(False)
        _find_part(model, init.train_only).requires_grad_(True)
    for stage in _backbone_stages(model, init.frozen_stages):
        stage.requires_grad_(False)
    if init.frozen_norm:
        for norm in _batch_norms(model):
            norm.requires_grad_(False)


def set_train_mode(model: nn.Module, init: InitSettings) -> None:
    """`model.train()`, except for frozen parts."""
    if init.train_only:
        model.eval()
        _find_part(model, init.train_only).train()
        return
    model.train()
    for stage in _backbone_stages(model, init.frozen_stages):
        for norm in _batch_norms(stage):
            norm.eval()
    if init.frozen_norm:
        for norm in _batch_norms(model):
            norm.eval()


def _batch_norms(module: nn.Module) -> Iterator[nn.BatchNorm2d]:
    return (each for each in module.modules() if isinstance(each, nn.BatchNorm2d))


def _find_part(model: nn.Module, name: str) -> nn.Module:
    parts: dict[str, nn.Module] = dict(model.named_modules())
    if name not in parts:
        known = suggest(name, [each for each, _ in model.named_children()])
        raise MotError(f"model.train_only = {name!r}: the network has no such part: {known}")
    return parts[name]


def _backbone_stages(model: nn.Module, count: int) -> list[nn.Module]:
    """The first children of the backbone, of the body under its pyramid, or of Darknet's layers."""
    if not count:
        return []
    for name in ("backbone", "body", "layers"):
        model = dict(model.named_children()).get(name, model)
    stages = list(model.children())
    if count > len(stages):
        raise MotError(f"model.frozen_stages = {count}: the network has {len(stages)} stages")
    return stages[:count]
