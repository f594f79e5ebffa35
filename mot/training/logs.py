"""The files of a run, and the one that has a line for each step and each measurement."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from mot.errors import MotError

LAST, BEST, LOG = "last.safetensors", "best.safetensors", "log.jsonl"
BOARD = "tensorboard"  # a folder


def read_log(path: Path) -> list[dict[str, Any]]:
    if not path.is_file():
        raise MotError(f"{path}: no such file: name a folder that `mot train` made")
    try:
        return [json.loads(line) for line in whole_lines(path)]
    except ValueError:
        raise MotError(f"{path}: not the log of a training") from None


def whole_lines(path: Path) -> list[str]:
    """A kill may leave half a line."""
    return [line for line in path.read_text("utf-8").splitlines(True) if line.endswith("}\n")]
