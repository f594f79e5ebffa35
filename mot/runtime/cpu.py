"""CPUs and memory that this process may use."""

from __future__ import annotations

import ctypes
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

# Options of glibc's mallopt, and their defaults.
_TRIM_THRESHOLD, _TRIM_DEFAULT = -1, 128 << 10
_MMAP_MAX, _MMAP_DEFAULT = -4, 65536
_NEVER = 2**31 - 1


def usable_cpus() -> int:
    """Number of CPUs that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


@contextmanager
def keep_freed_memory() -> Iterator[None]:
    """Keeps the memory of freed large arrays in the process.

    glibc returns each to the system and faults its pages in again for the next array: half the
    time of training on a CPU. Does nothing elsewhere.
    """
    libc = ctypes.CDLL(None) if sys.platform == "linux" else None
    mallopt = getattr(libc, "mallopt", lambda option, value: None)
    mallopt(_MMAP_MAX, 0)
    mallopt(_TRIM_THRESHOLD, _NEVER)
    try:
        yield
    finally:
        mallopt(_MMAP_MAX, _MMAP_DEFAULT)
        mallopt(_TRIM_THRESHOLD, _TRIM_DEFAULT)
