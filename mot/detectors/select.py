"""Which run-time a PyTorch model had better run on.

On a CPU ONNX Runtime takes half the time: there a model is exported once, and kept; while it is
kept, PyTorch is not even imported.
"""

from __future__ import annotations

import ctypes
import hashlib
import os
import sys
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from mot import __version__
from mot.detectors.network import DetectorSettings, Network
from mot.detectors.onnx.network import OnnxNetwork
from mot.errors import MotError, nearest
from mot.home import home
from mot.runtime.onnx_session import check_device, cpu_block

RUNTIMES = ("auto", "torch", "onnx")
_FORM = 3  # of the exported files: a larger number forgets those that are kept
_EXPORTERS = ("onnx", "onnxscript")
Loaded = tuple[Any, ...]  # the model, its InputSpec, the names of its classes, and maybe more


def network_of(
    settings: DetectorSettings, key: Callable[[], str], load: Callable[[], Loaded]
) -> Network:
    """The network of what `load` gives; `key` gives a digest of all that it depends on."""
    if not _wants_onnx(settings):
        return _on_torch(settings, _loaded(settings, load))
    path = home() / "onnx" / f"{key()}.onnx"
    network = _open_kept(path, settings)
    if network and settings.partial:
        print(
            f"mot: {path}: of weights that may fit in part: the rest is untrained", file=sys.stderr
        )
    if network is None:
        loaded = _loaded(settings, load)
        is_kept = _keep(path, loaded, settings)
        network = OnnxNetwork(path, _device(settings)) if is_kept else _on_torch(settings, loaded)
    return network


def ready_network(settings: DetectorSettings, path: Path, load: Callable[[], Loaded]) -> Network:
    """The network of an ONNX file that is there, or what `load` gives where PyTorch is better."""
    if _wants_onnx(settings) or (settings.runtime == "auto" and not has("torch")):
        return OnnxNetwork(path, _device(settings))
    return _on_torch(settings, _loaded(settings, load))


def digest(files: Sequence[Path], *others: object) -> str:
    """Of the bytes of files and of whatever else tells one network from another."""
    total = hashlib.sha256(repr((_FORM, __version__, others)).encode())
    for path in files:
        try:
            with path.open("rb") as file:
                total.update(hashlib.file_digest(file, "sha256").digest())
        except FileNotFoundError:
            raise MotError(f"{path}: no such file") from None
        except OSError as error:
            raise MotError(f"{path}: cannot be read ({error.strerror})") from None
    return total.hexdigest()


def _wants_onnx(settings: DetectorSettings) -> bool:
    if settings.runtime not in RUNTIMES:
        raise MotError(f"runtime = {settings.runtime!r}: {nearest(settings.runtime, RUNTIMES)}")
    if settings.runtime != "auto":
        return settings.runtime == "onnx"
    on_cpu = settings.device == "cpu" or (settings.device == "auto" and not has_gpu())
    return on_cpu and not settings.half and has("onnxruntime")


def _open_kept(path: Path | None, settings: DetectorSettings) -> Network | None:
    if path is None or not path.is_file():
        return None
    check_device(_device(settings))  # what is wrong with that is not the file's damage
    try:
        return OnnxNetwork(path, _device(settings))
    except MotError:
        if not has("torch"):
            raise
        return None  # damaged: made anew


def _device(settings: DetectorSettings) -> str:
    return "cpu" if (settings.device, settings.runtime) == ("auto", "auto") else settings.device


def _loaded(settings: DetectorSettings, load: Callable[[], Loaded]) -> Loaded:
    if has("torch"):
        return load()
    name = getattr(settings, "model", "") or settings.weights
    raise MotError(
        f"{name}: its first run needs PyTorch: pip install 'mot-tracking[torch]', or give the "
        "NETWORK.onnx that `mot export` writes where PyTorch is"
    )


def _on_torch(settings: DetectorSettings, loaded: Loaded) -> Network:
    from mot.detectors.torch_network import TorchNetwork

    model, spec, names, *_ = loaded
    return TorchNetwork(model, spec, names, settings.device, settings.half)


def _keep(path: Path, loaded: Loaded, settings: DetectorSettings) -> bool:
    """Export to the file, whoever else does the same; where that fails PyTorch must do."""
    if settings.runtime == "auto" and not all(map(has, _EXPORTERS)):
        return False
    from mot.detectors.export import export

    own = path.with_suffix(f".{os.getpid()}.onnx")
    print(f"mot: exporting to ONNX, once, to be faster on a CPU: {path}", file=sys.stderr)
    model, spec, names, *_ = loaded
    try:
        export(model, spec, names, own, block=cpu_block())
        os.replace(own, path)
    except MotError as error:
        if settings.runtime == "onnx":
            raise
        print(f"mot: {error}: going on with PyTorch", file=sys.stderr)
        return False
    return True


def has(module: str) -> bool:
    """Whether it is installed; it is not imported."""
    try:
        return module in sys.modules or find_spec(module) is not None
    except ImportError:
        return False


def has_gpu() -> bool:
    """Whether PyTorch may find one, told without the seconds that its import takes."""
    if Path("/dev/kfd").exists():  # AMD's
        return True
    try:
        driver = ctypes.CDLL("nvcuda.dll" if os.name == "nt" else "libcuda.so.1")
        count = ctypes.c_int(0)
        return (
            driver.cuInit(0) == 0
            and driver.cuDeviceGetCount(ctypes.byref(count)) == 0
            and (count.value > 0)
        )
    except (OSError, AttributeError):
        return False
