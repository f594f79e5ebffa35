"""Where lies what is worth keeping between runs."""

from __future__ import annotations

import os
from pathlib import Path


def home() -> Path:
    """`MOT_HOME`, else `~/.cache/mot`."""
    named = os.environ.get("MOT_HOME")
    return Path(named).expanduser().absolute() if named else Path.home() / ".cache" / "mot"
