"""An embedder as it is named on the command line."""

from __future__ import annotations

from pathlib import Path

from mot.errors import MotError
from mot.model_zoo import SHIPPED, how_to_get, installed_file
from mot.reid import DEFAULT_EMBEDDER
from mot.reid.embedder import Embedder, OnnxEmbedder
from mot.reid.trained import SUFFIX, open_trained


def open_embedder(name: str, threads: int | None = None, device: str = "auto") -> Embedder:
    """The built-in one, that of an ONNX file, of what `mot train` wrote, or of an installed model
    of this name (`mot models`)."""
    path = found_file(name)
    if path.suffix == SUFFIX:
        return open_trained(path, threads, device)
    return OnnxEmbedder(path, threads, device)


def found_file(name: str) -> Path:
    path = file_of(name)
    if not path.is_file():
        raise MotError(f"{path}: no such file{how_to_get(name)}")
    return path


def file_of(name: str) -> Path:
    """Where it lies, or should."""
    if name == DEFAULT_EMBEDDER:
        return SHIPPED / "embedder.onnx"
    return installed_file(name) or Path(name).expanduser()
