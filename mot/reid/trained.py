"""An embedder that `mot train` wrote, on the run-time that it had better run on: PyTorch on a GPU,
else ONNX Runtime, for which it is exported once and kept."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from mot.detectors.select import digest, has, has_gpu
from mot.errors import MotError
from mot.home import home
from mot.reid.embedder import Embedder, OnnxEmbedder
from mot.reid.settings import ARCHITECTURE
from mot.runtime.safetensors_header import read_metadata

SUFFIX = ".safetensors"


def is_embedder(path: Path) -> bool:
    """Whether the file says that it holds one."""
    return path.suffix == SUFFIX and read_metadata(path).get("architecture") == ARCHITECTURE


def open_trained(path: Path, threads: int | None = None, device: str = "auto") -> Embedder:
    if not is_embedder(path):
        raise MotError(f"{path}: holds no embedder that `mot train` wrote")
    if device != "cpu" and (device != "auto" or has_gpu()):
        return _on_torch(path, device)
    kept = home() / "onnx" / f"{digest((path,), ARCHITECTURE)}.onnx"
    if not kept.is_file():
        _keep(path, kept)
    return OnnxEmbedder(kept, threads, "cpu")


def _on_torch(path: Path, device: str) -> Embedder:
    _need_torch(path)
    from mot.detectors.torch_network import choose_device
    from mot.reid.networks import load_embedder
    from mot.reid.settings import spec_of
    from mot.reid.torch_embedder import TorchEmbedder

    model, settings = load_embedder(path)
    return TorchEmbedder(model, spec_of(settings), choose_device(device))


def _keep(path: Path, kept: Path) -> None:
    """Export to the file, whoever else does the same."""
    _need_torch(path)
    from mot.reid.export import export_embedder
    from mot.reid.networks import load_embedder
    from mot.reid.settings import spec_of

    print(f"mot: exporting to ONNX, once, to be faster on a CPU: {kept}", file=sys.stderr)
    model, settings = load_embedder(path)
    own = kept.with_suffix(f".{os.getpid()}.onnx")
    export_embedder(model, spec_of(settings), own)
    os.replace(own, kept)


def _need_torch(path: Path) -> None:
    if not has("torch"):
        raise MotError(
            f"{path}: its first run needs PyTorch: pip install 'mot-tracking[torch]', or give the "
            "EMBEDDER.onnx that `mot export` writes where PyTorch is"
        )
