"""Checkpoints into a network and out of it. Files are read as arrays alone: none can run code."""

from __future__ import annotations

import json
import pickle
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from torch import Tensor, nn

from mot.errors import MotError
from mot.files import write_bytes
from mot.runtime.key_mapping import LAYOUTS, Arrays, rename, strip_prefixes
from mot.runtime.load_report import Loaded
from mot.runtime.safetensors_header import KEY, read_metadata

__all__ = ["Loaded", "load_weights", "read_metadata", "save_weights"]

# What holds the arrays in a checkpoint of a training; averaged ones are better.
_WRAPPERS = (
    "ema",
    "ema_state_dict",
    "state_dict_ema",
    "model_ema",
    "state_dict",
    "model_state_dict",
    "model",
    "weights",
)
_COUNTER = "num_batches_tracked"  # of batch norms; no result depends on it


def load_weights(model: nn.Module, path: str | Path, partial: bool = False) -> Loaded:
    """Fill in a checkpoint; with `partial` what fits of it, and the rest is told."""
    path = Path(path)
    if path.suffix == ".weights":
        return _load_darknet(model, path, partial)
    state = {name: each for name, each in model.state_dict().items() if _COUNTER not in name}
    arrays, wrappers = _unwrap(path, _read(path))
    arrays, prefixes = strip_prefixes(arrays, state)
    arrays, layout = rename(arrays, state)
    faults = _faults(arrays, state)
    if not partial:
        _check(path, arrays, state, faults)
    fitting = [name for name in state if name in arrays and name not in faults]
    if not fitting:
        raise MotError(f"{path}: nothing in it fits: weights of another architecture")
    with torch.no_grad():
        for name in fitting:
            state[name].copy_(arrays[name])
    notes = [*wrappers, *(f"without {prefix}" for prefix in prefixes)]
    notes += [layout] * (layout != LAYOUTS[0].name)
    missing = tuple(name for name in state if name not in fitting)
    return Loaded(", ".join(notes), missing, tuple(n for n in arrays if n not in fitting))


def _load_darknet(model: nn.Module, path: Path, partial: bool) -> Loaded:
    loader = getattr(model, "load_darknet", None)
    if loader is None:
        raise MotError(f"{path}: Darknet's weights fit yolov3 alone, or --detector NETWORK.cfg")
    return Loaded("Darknet's order", loader(path, partial))


def _read(path: Path) -> Any:
    if not path.is_file():
        raise MotError(f"{path}: no such file")
    try:
        path.open("rb").close()
    except OSError as error:
        raise MotError(f"{path}: cannot be read ({error.strerror or error})") from None
    try:
        if path.suffix == ".safetensors":
            return safetensors.torch.load_file(path)
        return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # a broken file breaks its reader in many ways
        raise MotError(f"{path}: {_reason(error)}") from None


def _reason(error: Exception) -> str:
    code = re.search(r"(?:GLOBAL|class|global) `?([\w.]+)`? (?:was not|whose module)", str(error))
    if isinstance(error, pickle.UnpicklingError) and code:
        return (
            f"holds {code[1]}, and so may run code: only arrays are read; save its state_dict "
            "alone, best as .safetensors"
        )
    return "cannot be read as weights: truncated, or made by another program"


def _unwrap(path: Path, content: Any) -> tuple[Arrays, list[str]]:
    """The arrays in what holds them, and the names of that."""
    wrappers: list[str] = []
    while isinstance(content, Mapping):
        wrapper = next((key for key in _WRAPPERS if isinstance(content.get(key), Mapping)), None)
        if wrapper is None:
            break
        wrappers.append(f"its {wrapper}")
        content = content[wrapper]
    items = content.items() if isinstance(content, Mapping) else ()
    arrays = {str(name): each for name, each in items if _is_plain(each)}
    if not arrays:
        raise MotError(f"{path}: holds no arrays by name: save the network's state_dict")
    return {n: each for n, each in arrays.items() if _COUNTER not in n}, wrappers


def _is_plain(each: Any) -> bool:
    if not isinstance(each, Tensor) or each.is_complex():
        return False
    return each.layout == torch.strided and not (each.is_quantized or each.is_meta)


def _faults(arrays: Arrays, state: Arrays) -> dict[str, str]:
    """What is wrong with the arrays that have a place in the network."""
    faults = {}
    for name, ours in state.items():
        theirs = arrays.get(name)
        if theirs is None:
            continue
        if theirs.shape != ours.shape:
            faults[name] = f"is {_dims(theirs)}, the network's {_dims(ours)}"
        elif not theirs.isfinite().all():
            faults[name] = f"({_dims(theirs)}) holds NaN or infinite numbers"
        elif name.endswith("running_var") and (theirs < 0).any():
            faults[name] = f"({_dims(theirs)}) holds negative variances"
    return faults


def _check(path: Path, arrays: Arrays, state: Arrays, faults: Mapping[str, str]) -> None:
    """Raises what says most about the file."""
    missing = [name for name in state if name not in arrays]
    unexpected = [name for name in arrays if name not in state]
    if faults and 2 * len(missing) <= len(state):
        name, fault = next(iter(faults.items()))
        raise MotError(
            f"{path}: {name} {fault}{_others(faults)}: give the names, backbone, anchors and "
            "variant that it was trained with"
            if "network's" in fault
            else f"{path}: {name} {fault}{_others(faults)}: the file is damaged"
        )
    if missing:
        raise MotError(
            f"{path}: has no {missing[0]} ({_dims(state[missing[0]])}){_others(missing)}: "
            "weights of another architecture"
        )
    if unexpected:
        raise MotError(
            f"{path}: {unexpected[0]} ({_dims(arrays[unexpected[0]])}){_others(unexpected)} has "
            "no place in the network: weights of another architecture"
        )


def _others(names: Any) -> str:
    more = len(names) - 1
    return f" and {more} other{'s' * (more > 1)}" if more else ""


def _dims(array: Tensor) -> str:
    return "x".join(map(str, array.shape)) or "one number"


def save_weights(model: nn.Module, path: str | Path, metadata: Mapping[str, Any]) -> None:
    """Write a `.safetensors` file that tells what it holds (`families.metadata_of`)."""
    arrays = {
        name: each.detach().cpu().contiguous().clone() for name, each in model.state_dict().items()
    }
    content = safetensors.torch.save(arrays, {KEY: json.dumps(metadata)})
    write_bytes(Path(path), content)
