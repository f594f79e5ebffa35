"""What the makers of shipped weights share."""

from __future__ import annotations

import hashlib
from pathlib import Path

FOLDER = Path(__file__).resolve().parent.parent / "mot" / "weights"


def told_of(path: Path) -> str:
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    return f"{path.name}  {path.stat().st_size / 1e6:.2f} MB  {digest}"
