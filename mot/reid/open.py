"""Opens embedders by name or file, on the best runtime."""

from __future__ import annotations

from pathlib import Path

from mot.errors import MotError
from mot.model_zoo import SHIPPED, how_to_get, installed_file
from mot.reid import DEFAULT_EMBEDDER
from mot.reid.embedder import CropEmbedder, OnnxEmbedder
from mot.reid.settings import ARCHITECTURE
from mot.runtime.devices import choose_device, has_gpu, require_torch
from mot.runtime.onnx_cache import digest, export_to_cache, exported_path, open_exported
from mot.runtime.safetensors_metadata import read_metadata

_SUFFIX = ".safetensors"


def open_embedder(name: str, threads: int | None = None, device: str = "auto") -> CropEmbedder:
    """Opens an embedder.

    Args:
        name: `person`, which ships with mot, a model of `mot models`, an .onnx file, or a
            .safetensors file that `mot train` wrote.
        threads: CPU threads; None: up to 8.
        device: `auto`, `cpu`, `cuda`, `cuda:1`.

    A .safetensors file runs on PyTorch on a GPU. On a CPU it is exported to ONNX once, and cached.
    """
    path = require_embedder_file(name)
    if path.suffix != _SUFFIX:
        return OnnxEmbedder(path, threads, device)
    if not is_embedder(path):
        raise MotError(f"{path}: not an embedder that `mot train` wrote")
    if device != "cpu" and (device != "auto" or has_gpu()):
        return _open_torch(path, device)
    cached = exported_path(digest((path,), ARCHITECTURE))

    def open_file(file: Path, device: str) -> OnnxEmbedder:
        return OnnxEmbedder(file, threads, device)

    embedder = open_exported(cached, "cpu", open_file)
    if embedder is None:
        _export(path, cached)
        embedder = open_file(cached, "cpu")
    return embedder


def embedder_path(name: str) -> Path:
    """Path of the file of an embedder, which may not exist."""
    if name == DEFAULT_EMBEDDER:
        return SHIPPED / "embedder.onnx"
    return installed_file(name) or Path(name).expanduser()


def require_embedder_file(name: str) -> Path:
    """Path of the file of an embedder; raises if it does not exist."""
    path = embedder_path(name)
    if not path.is_file():
        raise MotError(f"{path}: no such file{how_to_get(name)}")
    return path


def is_embedder(path: Path) -> bool:
    """Whether this is a weights file of an embedder, according to its metadata."""
    return path.suffix == _SUFFIX and read_metadata(path).get("architecture") == ARCHITECTURE


def _open_torch(path: Path, device: str) -> CropEmbedder:
    require_torch(str(path))
    from mot.reid.networks import load_embedder
    from mot.reid.torch_embedder import TorchEmbedder

    model, settings = load_embedder(path)
    return TorchEmbedder(model, settings.input_spec, choose_device(device))


def _export(path: Path, cached: Path) -> None:
    require_torch(str(path))
    from mot.reid.export import export_embedder
    from mot.reid.networks import load_embedder

    model, settings = load_embedder(path)
    export_to_cache(cached, lambda file: export_embedder(model, settings.input_spec, file))
