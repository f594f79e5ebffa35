"""Checkpoints: weights files into a network and back. Only tensors are read: no code runs."""

from __future__ import annotations

import json
import pickle
import re
import sys
from collections.abc import Mapping, Sized
from pathlib import Path
from typing import Any, NamedTuple, Protocol, runtime_checkable

import safetensors.torch
import torch
from torch import Tensor, nn

from mot.errors import MotError
from mot.files import write_bytes
from mot.runtime.key_mapping import NAMINGS, Arrays, map_names, strip_prefixes
from mot.runtime.safetensors_metadata import KEY

# Keys that hold the tensors in a training checkpoint; averaged weights come first.
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
_COUNTER = "num_batches_tracked"  # of batch norms; no output depends on it
_MAX_LISTED = 3


class LoadReport(NamedTuple):
    """Which tensors of a weights file fit a network."""

    renamed: str  # how the names in the file differed; empty if they did not
    missing: tuple[str, ...] = ()  # tensors of the network that keep their values
    unexpected: tuple[str, ...] = ()  # tensors of the file that are not used

    def __str__(self) -> str:
        parts = [f"read with {self.renamed}"] * bool(self.renamed)
        parts += [f"not loaded, still untrained: {_list(self.missing)}"] * bool(self.missing)
        parts += [f"not used: {_list(self.unexpected)}"] * bool(self.unexpected)
        return "; ".join(parts) or "everything fits"

    def log(self, path: Path) -> None:
        """Writes one line to the standard error if anything differed."""
        if any(self):
            print(f"mot: {path}: {self}", file=sys.stderr)


def _list(names: tuple[str, ...]) -> str:
    more = f" and {len(names) - _MAX_LISTED} more" if len(names) > _MAX_LISTED else ""
    return ", ".join(names[:_MAX_LISTED]) + more


@runtime_checkable
class DarknetLoader(Protocol):
    """A network that can read Darknet's `.weights`."""

    def load_darknet(self, path: Path, partial: bool = False) -> tuple[str, ...]: ...


def load_weights(model: nn.Module, path: str | Path, partial: bool = False) -> LoadReport:
    """Loads a checkpoint into the model. With `partial` only the tensors that fit."""
    path = Path(path)
    if path.suffix == ".weights":
        if not isinstance(model, DarknetLoader):
            raise MotError(f"{path}: Darknet weights only fit yolov3 or --detector NETWORK.cfg")
        return LoadReport("Darknet's order", model.load_darknet(path, partial))
    state = {name: each for name, each in model.state_dict().items() if _COUNTER not in name}
    arrays, wrappers = _unwrap(path, _read(path))
    arrays, prefixes = strip_prefixes(arrays, state)
    arrays, naming = map_names(arrays, state)
    faults = _find_faults(arrays, state)
    if not partial:
        _check_complete(path, arrays, state, faults)
    fitting = [name for name in state if name in arrays and name not in faults]
    if not fitting:
        raise MotError(f"{path}: no tensor fits: weights of another architecture")
    with torch.no_grad():
        for name in fitting:
            state[name].copy_(arrays[name])
    notes = [*wrappers, *(f"without {prefix}" for prefix in prefixes)]
    notes += [naming] * (naming != NAMINGS[0].name)
    missing = tuple(name for name in state if name not in fitting)
    return LoadReport(", ".join(notes), missing, tuple(n for n in arrays if n not in fitting))


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
            f"holds {code[1]}, which may run code: only tensors are read; save the bare "
            "state_dict, best as .safetensors"
        )
    return "not readable as weights: truncated or of another format"


def _unwrap(path: Path, content: Any) -> tuple[Arrays, list[str]]:
    """The tensors of a checkpoint, and the keys that held them."""
    wrappers: list[str] = []
    while isinstance(content, Mapping):
        wrapper = next((key for key in _WRAPPERS if isinstance(content.get(key), Mapping)), None)
        if wrapper is None:
            break
        wrappers.append(f"its {wrapper}")
        content = content[wrapper]
    items = content.items() if isinstance(content, Mapping) else ()
    arrays = {str(name): each for name, each in items if _is_dense(each)}
    if not arrays:
        raise MotError(f"{path}: has no named tensors: save the state_dict of the network")
    return {n: each for n, each in arrays.items() if _COUNTER not in n}, wrappers


def _is_dense(each: Any) -> bool:
    if not isinstance(each, Tensor) or each.is_complex():
        return False
    return each.layout == torch.strided and not (each.is_quantized or each.is_meta)


def _find_faults(arrays: Arrays, state: Arrays) -> dict[str, str]:
    """What is wrong with tensors of the file that the network has too, by name."""
    faults = {}
    for name, ours in state.items():
        theirs = arrays.get(name)
        if theirs is None:
            continue
        if theirs.shape != ours.shape:
            faults[name] = f"is {_dims(theirs)}, in the network {_dims(ours)}"
        elif not theirs.isfinite().all():
            faults[name] = f"({_dims(theirs)}) has NaN or infinite values"
        elif name.endswith("running_var") and (theirs < 0).any():
            faults[name] = f"({_dims(theirs)}) has negative variances"
    return faults


def _check_complete(path: Path, arrays: Arrays, state: Arrays, faults: Mapping[str, str]) -> None:
    """Raises the most telling of the faults."""
    missing = [name for name in state if name not in arrays]
    unexpected = [name for name in arrays if name not in state]
    if faults and 2 * len(missing) <= len(state):
        name, fault = next(iter(faults.items()))
        raise MotError(
            f"{path}: {name} {fault}{_others(faults)}: give the names, backbone, anchors and "
            "variant of its training"
            if "in the network" in fault
            else f"{path}: {name} {fault}{_others(faults)}: the file is damaged"
        )
    if missing:
        raise MotError(
            f"{path}: has no {missing[0]} ({_dims(state[missing[0]])}){_others(missing)}: "
            "weights of another architecture"
        )
    if unexpected:
        raise MotError(
            f"{path}: {unexpected[0]} ({_dims(arrays[unexpected[0]])}){_others(unexpected)}: not "
            "in the network: weights of another architecture"
        )


def _others(names: Sized) -> str:
    more = len(names) - 1
    return f" and {more} other{'s' * (more > 1)}" if more else ""


def _dims(array: Tensor) -> str:
    return "x".join(map(str, array.shape)) or "a scalar"


def save_weights(model: nn.Module, path: str | Path, metadata: Mapping[str, Any]) -> None:
    """Writes a `.safetensors` file with metadata, which `read_metadata` returns."""
    arrays = {
        name: each.detach().cpu().contiguous().clone() for name, each in model.state_dict().items()
    }
    content = safetensors.torch.save(arrays, {KEY: json.dumps(metadata)})
    write_bytes(Path(path), content)
