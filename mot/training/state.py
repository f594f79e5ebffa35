"""All that a training has to remember, in one safetensors file: it goes on exactly from there."""

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
from mot.training.optimizers import Average

_KEY = "training"  # in the file's metadata


@dataclass(slots=True)
class Progress:
    epoch: int = 0  # that the next batch belongs to
    batch: int = 0  # the next one of the epoch
    step: int = 0  # of the optimiser
    best: float = -1.0  # score
    best_epoch: int = -1
    seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class State:
    """What changes while a network is trained."""

    model: nn.Module
    learned: nn.Module | None  # that the objective learns beside it
    optimiser: torch.optim.Optimizer
    average: Average | None
    scaler: torch.amp.GradScaler
    progress: Progress


def save_state(state: State, path: Path, recipe: Mapping[str, Any]) -> None:
    """Written beside, then renamed: whatever happens, the last one stays whole."""
    arrays = {f"model.{name}": each for name, each in state.model.state_dict().items()}
    if state.average:
        averaged = state.average.model.state_dict()
        arrays |= {f"average.{name}": each for name, each in averaged.items()}
    if state.learned:
        arrays |= {f"learned.{name}": each for name, each in state.learned.state_dict().items()}
    moments, numbers = _split(state.optimiser.state_dict()["state"])
    arrays |= {f"optimiser.{name}": each for name, each in moments.items()}
    arrays["random"] = torch.get_rng_state()
    device = _device_of(state.model)
    if device.type == "cuda":
        arrays["random_cuda"] = torch.cuda.get_rng_state(device)
    told = {
        "progress": asdict(state.progress),
        "optimiser": numbers,
        "average_steps": state.average.steps if state.average else 0,
        "scaler": state.scaler.state_dict(),
        "recipe": recipe,
    }
    whole = {name: each.detach().cpu().contiguous().clone() for name, each in arrays.items()}
    write_bytes(path, safetensors.torch.save(whole, {_KEY: json.dumps(told)}))


def read_recipe(path: Path) -> dict[str, Any]:
    """The tables that a checkpoint was made by."""
    recipe: dict[str, Any] = _told(path)["recipe"]
    return recipe


def load_state(state: State, path: Path) -> None:
    """Fill in what was saved, in place."""
    told = _told(path)
    arrays = safetensors.torch.load_file(path)
    try:
        state.model.load_state_dict(_under("model.", arrays))
        if state.learned:
            state.learned.load_state_dict(_under("learned.", arrays))
        if state.average:
            state.average.model.load_state_dict(_under("average.", arrays))
            state.average.steps = int(told["average_steps"])
        _restore_optimiser(state.optimiser, _under("optimiser.", arrays), told["optimiser"])
        state.scaler.load_state_dict(told["scaler"])
        torch.set_rng_state(arrays["random"])
        if "random_cuda" in arrays and _device_of(state.model).type == "cuda":
            torch.cuda.set_rng_state(arrays["random_cuda"], _device_of(state.model))
        for name, value in told["progress"].items():
            setattr(state.progress, name, value)
    except (RuntimeError, KeyError, TypeError, ValueError, AttributeError) as error:
        reason = " ".join(str(error).split())[:200]
        raise MotError(f"{path}: not of this recipe's training: {reason}") from None


def _device_of(model: nn.Module) -> torch.device:
    return next(model.parameters()).device


def _told(path: Path) -> dict[str, Any]:
    if not path.is_file():
        raise MotError(f"{path}: no such file: there is nothing to resume")
    try:
        with safetensors.safe_open(path, "pt") as file:
            told: dict[str, Any] = json.loads((file.metadata() or {})[_KEY])
            return told
    except (KeyError, ValueError, OSError, safetensors.SafetensorError):
        raise MotError(f"{path}: not a checkpoint of `mot train`, or damaged") from None


def _split(state: Mapping[int, Mapping[str, Any]]) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Tensors by name, and what is none."""
    moments: dict[str, Tensor] = {}
    numbers: dict[str, Any] = {}
    for index, each in state.items():
        for key, value in each.items():
            into = moments if isinstance(value, Tensor) else numbers
            into[f"{index}.{key}"] = value
    return moments, numbers


def _restore_optimiser(
    optimiser: torch.optim.Optimizer, moments: Mapping[str, Tensor], numbers: Mapping[str, Any]
) -> None:
    state: dict[int, dict[str, Any]] = {}
    for name, value in {**moments, **numbers}.items():
        index, _, key = name.partition(".")
        state.setdefault(int(index), {})[key] = value
    groups = optimiser.state_dict()["param_groups"]
    optimiser.load_state_dict({"state": state, "param_groups": groups})


def _under(prefix: str, arrays: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {
        name.removeprefix(prefix): each for name, each in arrays.items() if name.startswith(prefix)
    }
