"""Checkpoints: the complete state of a training in one safetensors file, to resume it exactly."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
import torch
from torch import Tensor, nn

from mot.errors import MotError
from mot.files import write_bytes
from mot.training.optimizers import EMA
from mot.training.train_logger import Progress

_KEY = "training"  # in the metadata of the file


@dataclass(frozen=True, slots=True)
class TrainingState:
    """Everything that changes during a training."""

    model: nn.Module
    auxiliary: nn.Module | None  # heads of the criterion
    optimizer: torch.optim.Optimizer
    ema: EMA | None
    scaler: torch.amp.GradScaler
    progress: Progress


def save_state(state: TrainingState, path: Path, recipe: Mapping[str, Any]) -> None:
    """Writes a temporary file and renames it: `path` is always complete."""
    tensors = _add_prefix("model.", state.model.state_dict())
    if state.ema:
        tensors |= _add_prefix("ema.", state.ema.model.state_dict())
    if state.auxiliary:
        tensors |= _add_prefix("auxiliary.", state.auxiliary.state_dict())
    moments, numbers = _split(state.optimizer.state_dict()["state"])
    tensors |= _add_prefix("optimizer.", moments)
    tensors["rng"] = torch.get_rng_state()
    device = _device(state.model)
    if device.type == "cuda":
        tensors["rng_cuda"] = torch.cuda.get_rng_state(device)
    metadata = {
        "progress": asdict(state.progress),
        "optimizer": numbers,
        "ema_steps": state.ema.steps if state.ema else 0,
        "scaler": state.scaler.state_dict(),
        "recipe": recipe,
    }
    copies = {name: each.detach().cpu().contiguous().clone() for name, each in tensors.items()}
    write_bytes(path, safetensors.torch.save(copies, {_KEY: json.dumps(metadata)}))


def read_recipe(path: Path) -> dict[str, Any]:
    """The recipe's tables of a checkpoint."""
    recipe: dict[str, Any] = _read_metadata(path)["recipe"]
    return recipe


def load_state(state: TrainingState, path: Path) -> None:
    """Restores the state of a checkpoint in place."""
    metadata = _read_metadata(path)
    tensors = safetensors.torch.load_file(path)
    try:
        state.model.load_state_dict(_with_prefix("model.", tensors))
        if state.auxiliary:
            state.auxiliary.load_state_dict(_with_prefix("auxiliary.", tensors))
        if state.ema:
            state.ema.model.load_state_dict(_with_prefix("ema.", tensors))
            state.ema.steps = int(metadata["ema_steps"])
        moments = _with_prefix("optimizer.", tensors)
        _restore_optimizer(state.optimizer, moments, metadata["optimizer"])
        state.scaler.load_state_dict(metadata["scaler"])
        torch.set_rng_state(tensors["rng"])
        if "rng_cuda" in tensors and _device(state.model).type == "cuda":
            torch.cuda.set_rng_state(tensors["rng_cuda"], _device(state.model))
        for name, value in metadata["progress"].items():
            setattr(state.progress, name, value)
    except (RuntimeError, KeyError, TypeError, ValueError, AttributeError) as error:
        reason = " ".join(str(error).split())[:200]
        raise MotError(f"{path}: not a checkpoint of this recipe: {reason}") from None


def _device(model: nn.Module) -> torch.device:
    return next(model.parameters()).device


def _read_metadata(path: Path) -> dict[str, Any]:
    if not path.is_file():
        raise MotError(f"{path}: no such file: there is nothing to resume")
    try:
        with safetensors.safe_open(path, "pt") as file:
            metadata: dict[str, Any] = json.loads((file.metadata() or {})[_KEY])
    except (KeyError, ValueError, OSError, safetensors.SafetensorError):
        raise MotError(f"{path}: not a checkpoint of `mot train`, or damaged") from None
    if "ema_steps" not in metadata:
        raise MotError(f"{path}: a checkpoint of an earlier version: train without --resume")
    return metadata


def _split(state: Mapping[int, Mapping[str, Any]]) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Tensors of an optimizer's state, and its other values, by INDEX.KEY."""
    moments: dict[str, Tensor] = {}
    numbers: dict[str, Any] = {}
    for index, values in state.items():
        for key, value in values.items():
            into = moments if isinstance(value, Tensor) else numbers
            into[f"{index}.{key}"] = value
    return moments, numbers


def _restore_optimizer(
    optimizer: torch.optim.Optimizer, moments: Mapping[str, Tensor], numbers: Mapping[str, Any]
) -> None:
    state: dict[int, dict[str, Any]] = {}
    for name, value in {**moments, **numbers}.items():
        index, _, key = name.partition(".")
        state.setdefault(int(index), {})[key] = value
    groups = optimizer.state_dict()["param_groups"]
    optimizer.load_state_dict({"state": state, "param_groups": groups})


def _add_prefix(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {f"{prefix}{name}": each for name, each in tensors.items()}


def _with_prefix(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The tensors under a prefix, without it."""
    return {
        name.removeprefix(prefix): each for name, each in tensors.items() if name.startswith(prefix)
    }
