"""Metadata of `.safetensors` files, read without PyTorch and without the tensors."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open

from mot.errors import MotError

KEY = "mot"  # of the JSON text among the file's metadata


def read_metadata(path: str | Path) -> dict[str, Any]:
    """Metadata that `save_weights` wrote; empty for files of other programs."""
    path = Path(path)
    if not path.is_file():
        raise MotError(f"{path}: no such file")
    try:
        with safe_open(path, framework="numpy") as file:
            metadata = json.loads((file.metadata() or {}).get(KEY, "{}"))
    except OSError as error:
        raise MotError(f"{path}: cannot be read ({error.strerror or error})") from None
    except (SafetensorError, ValueError, RecursionError):
        metadata = None
    if not isinstance(metadata, dict):
        raise MotError(f"{path}: not a .safetensors file: truncated or of another format")
    return metadata
