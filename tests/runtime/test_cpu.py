"""CPUs of the process, and reuse of freed memory."""

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
from mot.runtime.cpu import keep_freed_memory

def page_faults_of_eight_arrays():
    np.ones(1 << 22)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(8):
        np.ones(1 << 22)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

freed = page_faults_of_eight_arrays()
with keep_freed_memory():
    print(freed, page_faults_of_eight_arrays())
"""


def test_usable_cpus() -> None:
    assert 1 <= usable_cpus() <= (os.cpu_count() or 1)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc has mallopt")
@pytest.mark.skipif("LD_PRELOAD" in os.environ, reason="another allocator may be loaded")
def test_freed_memory_is_reused() -> None:
    run = subprocess.run([sys.executable, "-c", PAGES], capture_output=True, text=True, check=True)
    freed, kept = map(int, run.stdout.split())
    assert 4 * kept < freed
