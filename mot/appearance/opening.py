"""An embedder as it is named on the command line."""

from __future__ import annotations

from importlib import resources
from pathlib import Path

from mot.appearance import DEFAULT_EMBEDDER
from mot.appearance.embedder import Embedder, OnnxEmbedder
from mot.appearance.trained import SUFFIX, open_trained
from mot.models import installed_file

_BUILT_IN = Path(str(resources.files("mot").joinpath("weights", "embedder.onnx")))


def open_embedder(name: str, threads: int | None = None, device: str = "auto") -> Embedder:
    """The built-in one, that of an ONNX file, of what `mot train` wrote, or of an installed model
    of this name (`mot models`)."""
    if name == DEFAULT_EMBEDDER:
        return OnnxEmbedder(_BUILT_IN, threads, device)
    if Path(name).suffix == SUFFIX:
        return open_trained(Path(name).expanduser(), threads, device)
    return OnnxEmbedder(installed_file(name) or name, threads, device)
