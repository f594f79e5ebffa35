"""Selects the runtime of a PyTorch network: PyTorch on a GPU, ONNX Runtime on a CPU.

ONNX Runtime takes half the time on a CPU. A network is exported once and cached; with the cached
file, PyTorch is not even imported.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from mot.detectors.network import DetectorSettings, Network
from mot.detectors.onnx.network import OnnxNetwork
from mot.errors import MotError, suggest
from mot.runtime.devices import has_gpu, is_installed, require_torch
from mot.runtime.onnx_cache import export_to_cache, exported_path, open_exported
from mot.runtime.onnx_session import cpu_block
from mot.runtime.preprocess import InputSpec

if TYPE_CHECKING:
    from torch import nn

RUNTIMES = ("auto", "torch", "onnx")
_EXPORTERS = ("onnx", "onnxscript")


class TorchModel(Protocol):
    """A PyTorch detector, as `TorchNetwork` runs it."""

    @property
    def model(self) -> nn.Module: ...
    @property
    def spec(self) -> InputSpec: ...
    @property
    def names(self) -> tuple[str, ...]: ...  # of the classes


def open_network(
    name: str,
    settings: DetectorSettings,
    key: Callable[[], str],
    load: Callable[[], TorchModel],
) -> Network:
    """The network that `load` returns, on the best runtime; `name` is for messages.

    `key` returns a digest of everything the network depends on.
    """
    if not _wants_onnx(settings):
        return _open_torch(name, settings, load)
    path = exported_path(key())
    network = open_exported(path, _device(settings), OnnxNetwork)
    if network:
        if settings.partial:
            print(f"mot: {path}: partial weights: the rest is untrained", file=sys.stderr)
        return network
    require_torch(name)
    loaded = load()
    if _export(path, loaded, settings):
        return OnnxNetwork(path, _device(settings))
    return _on_torch(loaded, settings)


def open_exported_network(
    name: str, settings: DetectorSettings, path: Path, load: Callable[[], TorchModel]
) -> Network:
    """The network of an ONNX file, or the one that `load` returns if PyTorch is better."""
    if _wants_onnx(settings) or (settings.runtime == "auto" and not is_installed("torch")):
        return OnnxNetwork(path, _device(settings))
    return _open_torch(name, settings, load)


def _wants_onnx(settings: DetectorSettings) -> bool:
    if settings.runtime not in RUNTIMES:
        raise MotError(f"runtime = {settings.runtime!r}: {suggest(settings.runtime, RUNTIMES)}")
    if settings.runtime != "auto":
        return settings.runtime == "onnx"
    on_cpu = settings.device == "cpu" or (settings.device == "auto" and not has_gpu())
    return on_cpu and not settings.half and is_installed("onnxruntime")


def _device(settings: DetectorSettings) -> str:
    return "cpu" if (settings.device, settings.runtime) == ("auto", "auto") else settings.device


def _open_torch(name: str, settings: DetectorSettings, load: Callable[[], TorchModel]) -> Network:
    require_torch(name)
    return _on_torch(load(), settings)


def _on_torch(loaded: TorchModel, settings: DetectorSettings) -> Network:
    from mot.detectors.torch_network import TorchNetwork

    return TorchNetwork(loaded.model, loaded.spec, loaded.names, settings.device, settings.half)


def _export(path: Path, loaded: TorchModel, settings: DetectorSettings) -> bool:
    """Whether it was exported. With the runtime `auto`, a failure leaves the network on PyTorch."""
    if settings.runtime == "auto" and not all(map(is_installed, _EXPORTERS)):
        return False
    from mot.detectors.export import export

    try:
        export_to_cache(
            path,
            lambda file: export(loaded.model, loaded.spec, loaded.names, file, block=cpu_block()),
        )
    except MotError as error:
        if settings.runtime == "onnx":
            raise
        print(f"mot: {error}: using PyTorch instead", file=sys.stderr)
        return False
    return True
