"""Ctrl-C between two steps, when everything fits together."""

from __future__ import annotations

import multiprocessing
import signal
import sys
from types import FrameType, TracebackType

from mot.training import distributed


class Interruption:
    """The first Ctrl-C asks, a second one does not wait; an end that is asked for by the system
    counts as one."""

    def __init__(self) -> None:
        self.is_asked = False

    def __enter__(self) -> Interruption:
        self._before = {each: signal.signal(each, self._ask) for each in _ASKING}
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for each, handler in self._before.items():
            signal.signal(each, handler)

    def _ask(self, number: int, frame: FrameType | None) -> None:
        if self.is_asked:
            raise KeyboardInterrupt
        self.is_asked = True
        if distributed.is_first() and multiprocessing.parent_process() is None:
            print("mot: saving after this step; once more ends at once", file=sys.stderr)


_ASKING = (signal.SIGINT, signal.SIGTERM)
