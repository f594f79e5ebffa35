"""The readers' interface: frames that are converted to images only on demand."""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from mot.types import Image


@dataclass(frozen=True, slots=True)
class RawFrame:
    """A frame before its conversion to an image."""

    index: int  # from 1
    time: float  # seconds
    image: Callable[[], Image | None]  # (H, W, 3) uint8 BGR; None: it cannot be read


@dataclass(slots=True)
class SourceInfo:
    """Properties of a source, from its header, which may be wrong."""

    name: str  # stem of the names of outputs
    fps: float
    size: tuple[int, int] | None = None  # width, height
    frame_count: int | None = None
    is_live: bool = False


@dataclass
class Reader(ABC):
    """One opened source. It is read once, and closed in the thread that reads it."""

    info: SourceInfo
    stopped: threading.Event = field(default_factory=threading.Event)  # set by the consumer

    @abstractmethod
    def frames(self) -> Iterator[RawFrame]:
        """All frames in order; indices and times increase strictly."""

    def warnings(self) -> list[str]:
        """Warnings for the user after reading: one line each."""
        return []

    def close(self) -> None:  # noqa: B027 (most readers hold nothing open)
        """Release files and devices."""
