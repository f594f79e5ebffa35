"""What the machine lends: CPUs, and memory that is not asked for again and again."""

from __future__ import annotations

import os
import platform

import numpy as np
import pytest

from mot.machine import freed_memory_kept, usable_cpus


def test_the_cpus_that_may_be_used() -> None:
    assert 1 <= usable_cpus() <= (os.cpu_count() or 1)


def pages_of_eight_arrays() -> int:
    """How often the system was asked for some."""
    import resource

    np.ones(1 << 22)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(8):
        np.ones(1 << 22)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc's can be told so")
@pytest.mark.skipif("LD_PRELOAD" in os.environ, reason="memory may be another's than glibc's")
def test_arrays_take_the_memory_that_others_left() -> None:
    with freed_memory_kept():
        kept = pages_of_eight_arrays()
    given_back = pages_of_eight_arrays()
    assert 4 * kept < given_back
