"""Devices: which backends and GPUs this machine has, found without importing PyTorch."""

from __future__ import annotations

import ctypes
import os
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from mot.errors import MachineError, MotError

if TYPE_CHECKING:
    import torch


class OutOfMemory(MachineError):
    """The device has no memory for a batch of this size."""

    def __init__(self, message: str = "the device is out of memory") -> None:
        super().__init__(message)


def is_installed(module: str) -> bool:
    """Whether a module can be imported; it is not imported."""
    try:
        return module in sys.modules or find_spec(module) is not None
    except ImportError:
        return False


def require_torch(name: str) -> None:
    """Raises an error about the network `name` if PyTorch is missing for its first run."""
    if not is_installed("torch"):
        raise MotError(
            f"{name}: the first run needs PyTorch: pip install 'mot-tracking[torch]', or give an "
            ".onnx file that `mot export` wrote where PyTorch is installed"
        )


def has_gpu() -> bool:
    """Whether PyTorch may find a GPU. Asks the driver: importing PyTorch takes seconds."""
    if Path("/dev/kfd").exists():  # AMD
        return True
    try:
        driver = ctypes.CDLL("nvcuda.dll" if os.name == "nt" else "libcuda.so.1")
        count = ctypes.c_int(0)
        return (
            driver.cuInit(0) == 0
            and driver.cuDeviceGetCount(ctypes.byref(count)) == 0
            and (count.value > 0)
        )
    except (OSError, AttributeError):
        return False


def choose_device(name: str) -> torch.device:
    """PyTorch device of `--device`; `auto` is the GPU if there is one."""
    import torch

    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
        if device.type != "cuda":
            torch.zeros(1, device=device).cpu()
    except (RuntimeError, AssertionError):  # builds of PyTorch without this device raise either
        raise MotError(f"--device {name}: give cpu, cuda, cuda:1 or auto") from None
    if device.type == "cuda":
        count = torch.cuda.device_count() if torch.cuda.is_available() else 0
        if (device.index or 0) >= count:
            found = f"found {count} CUDA devices" if count else "found no CUDA device"
            raise MotError(f"--device {name}: {found}: give --device cpu or auto")
    return device
