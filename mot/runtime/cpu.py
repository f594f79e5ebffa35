"""What this machine lends to the process."""

from __future__ import annotations

import ctypes
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

# Options of glibc's mallopt, and what they are by default.
_TRIM_THRESHOLD, _TRIM_DEFAULT = -1, 128 << 10
_MMAP_MAX, _MMAP_DEFAULT = -4, 65536
_NEVER = 2**31 - 1


def usable_cpus() -> int:
    """Those that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


@contextmanager
def freed_memory_kept() -> Iterator[None]:
    """Large arrays that are freed stay with the process. glibc gives each back to the system, and
    gets its pages anew for the next: half of the time of a network that learns on a CPU."""
    mallopt = _mallopt()
    mallopt(_MMAP_MAX, 0)
    mallopt(_TRIM_THRESHOLD, _NEVER)
    try:
        yield
    finally:
        mallopt(_MMAP_MAX, _MMAP_DEFAULT)
        mallopt(_TRIM_THRESHOLD, _TRIM_DEFAULT)


def _mallopt() -> Callable[[int, int], object]:
    """That of glibc; elsewhere nothing is to be set."""
    libc = ctypes.CDLL(None) if sys.platform == "linux" else None
    return getattr(libc, "mallopt", lambda option, value: None)
