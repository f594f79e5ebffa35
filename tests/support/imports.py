"""Helpers of several tests: imports."""

from __future__ import annotations

import subprocess
import sys

BLOCK = """
import sys
class Block:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {blocked!r}:
            raise ImportError(f"{{name}} is blocked")
sys.meta_path.insert(0, Block())
"""


TORCH = ["torch", "torchvision", "timm"]


def run_without(blocked: list[str], code: str) -> subprocess.CompletedProcess[str]:
    program = BLOCK.format(blocked=blocked) + code
    return subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
