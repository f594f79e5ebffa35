"""Detect and track objects in video, and measure how well.

>>> import mot, numpy
>>> video = [numpy.zeros((90, 160, 3), numpy.uint8)] * 2
>>> for frame, tracks in mot.track(video, detector=lambda image: [[5, 5, 25, 60, 0.9]]):
...     print(frame.index, tracks.ids.tolist())
1 [1]
2 [1]
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mot.api import track
    from mot.config import build_detector, build_tracker
    from mot.errors import MotError
    from mot.evaluation.api import evaluate
    from mot.formats.supervision import from_supervision, to_supervision
    from mot.pipeline import Pipeline
    from mot.reid.open import open_embedder
    from mot.render import Renderer
    from mot.types import Detections, Frame, Tracks
    from mot.video import open_source, open_writer

# Name -> its module, imported when the name is first used: `import mot` costs nothing.
_MODULES = {
    "Detections": "mot.types",
    "Frame": "mot.types",
    "MotError": "mot.errors",
    "Pipeline": "mot.pipeline",
    "Renderer": "mot.render",
    "Tracks": "mot.types",
    "build_detector": "mot.config",
    "build_tracker": "mot.config",
    "evaluate": "mot.evaluation.api",
    "from_supervision": "mot.formats.supervision",
    "open_embedder": "mot.reid.open",
    "open_source": "mot.video",
    "open_writer": "mot.video",
    "to_supervision": "mot.formats.supervision",
    "track": "mot.api",
}
__all__ = [
    "Detections",
    "Frame",
    "MotError",
    "Pipeline",
    "Renderer",
    "Tracks",
    "build_detector",
    "build_tracker",
    "evaluate",
    "from_supervision",
    "open_embedder",
    "open_source",
    "open_writer",
    "to_supervision",
    "track",
]
__version__ = "0.2.0"


def __getattr__(name: str) -> Any:
    from importlib import import_module

    if name not in _MODULES:
        raise AttributeError(f"module 'mot' has no attribute {name!r}")
    return getattr(import_module(_MODULES[name]), name)


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
