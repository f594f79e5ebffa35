"""What the machine lends: CPUs, and memory that is not asked for again and again."""

from __future__ import annotations

import os
import platform
import subprocess
import sys

import pytest

from mot.runtime.cpu import usable_cpus

PAGES = """
import resource
import numpy as np
from mot.runtime.cpu import freed_memory_kept

def pages_of_eight_arrays():
    np.ones(1 << 22)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(8):
        np.ones(1 << 22)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

given_back = pages_of_eight_arrays()
with freed_memory_kept():
    print(given_back, pages_of_eight_arrays())
"""


def test_the_cpus_that_may_be_used() -> None:
    assert 1 <= usable_cpus() <= (os.cpu_count() or 1)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc's can be told so")
@pytest.mark.skipif("LD_PRELOAD" in os.environ, reason="memory may be another's than glibc's")
def test_arrays_take_the_memory_that_others_left() -> None:
    run = subprocess.run([sys.executable, "-c", PAGES], capture_output=True, text=True, check=True)
    given_back, kept = map(int, run.stdout.split())
    assert 4 * kept < given_back
