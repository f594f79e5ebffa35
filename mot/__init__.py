"""Detect and track people in video, and measure it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from mot.config import build_tracker
    from mot.errors import MotError
    from mot.pipeline import track
    from mot.render import Renderer
    from mot.types import Detections, Frame, Tracks
    from mot.video import open_source, open_writer

# Name -> its module. Each is imported when it is first used: `import mot` costs nothing.
_HOMES = {
    "Detections": "mot.types",
    "Frame": "mot.types",
    "MotError": "mot.errors",
    "Renderer": "mot.render",
    "Tracks": "mot.types",
    "build_tracker": "mot.config",
    "open_source": "mot.video",
    "open_writer": "mot.video",
    "track": "mot.pipeline",
}
__all__ = [
    "Detections",
    "Frame",
    "MotError",
    "Renderer",
    "Tracks",
    "build_tracker",
    "open_source",
    "open_writer",
    "track",
]


def __getattr__(name: str) -> Any:
    from importlib import import_module

    if name not in _HOMES:
        raise AttributeError(f"module 'mot' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
