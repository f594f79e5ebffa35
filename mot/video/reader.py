"""What every kind of source gives: images that are converted only when they are wanted."""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from mot.types import Image


@dataclass(frozen=True, slots=True)
class RawFrame:
    """A frame before its conversion."""

    index: int  # from 1
    time: float  # seconds
    image: Callable[[], Image | None]  # (H, W, 3) uint8 BGR; None: it cannot be read


@dataclass(slots=True)
class Facts:
    """What a source says of itself before it is read; headers lie."""

    name: str  # stem for the names of outputs
    fps: float
    size: tuple[int, int] | None = None  # width, height
    frame_count: int | None = None
    is_live: bool = False


@dataclass
class Reader(ABC):
    """One opened source. It is read once, and closed in the thread that reads it."""

    facts: Facts
    stopped: threading.Event = field(default_factory=threading.Event)  # the consumer has gone

    @abstractmethod
    def frames(self) -> Iterator[RawFrame]:
        """Every image in order, indices rising, times rising."""

    def notes(self) -> list[str]:
        """What the user should know after the reading: one line each."""
        return []

    def close(self) -> None:  # noqa: B027 (most readers hold nothing open)
        """Let go of what is held open."""
