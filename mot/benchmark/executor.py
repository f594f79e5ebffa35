"""What every executor shares: the same work on many tasks, in any order."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Protocol, TypeVar

from mot.benchmark.work import ProgressUpdate, ReportProgress, S
from mot.errors import MotError

T = TypeVar("T")
OnProgress = Callable[[ProgressUpdate], None]
THREADS = {"OPENBLAS_NUM_THREADS": "1"}  # of each process: there are enough processes
POLL_INTERVAL = 0.1  # seconds


class Executor(Protocol):
    def __call__(
        self, work: Callable[[S, ReportProgress], T], tasks: Sequence[S]
    ) -> Iterator[tuple[S, T]]:
        """Each task with its result, as they finish; the first error is raised."""


def or_raise(result: T | MotError) -> T:
    """The result, unless it is an error that another process handed on."""
    if isinstance(result, MotError):
        raise result
    return result
