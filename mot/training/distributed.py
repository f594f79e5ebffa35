"""The processes of `torchrun`: each trains on its own share of a batch, and on its own device."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

import torch
import torch.distributed as dist
from torch import Tensor

_JOINED = "WORLD_SIZE"  # which torchrun sets


def rank() -> int:
    """Of this process; torchrun tells it before they have joined."""
    return int(os.environ.get("RANK", "0")) if _JOINED in os.environ else 0


def world() -> int:
    """How many processes there are."""
    return dist.get_world_size() if dist.is_initialized() else 1


def is_first() -> bool:
    """Whether this process writes and tells."""
    return rank() == 0


@contextmanager
def joined(device: torch.device) -> Iterator[torch.device]:
    """This process among those of torchrun, where it started them, and the device that is its."""
    if _JOINED not in os.environ:
        yield device
        return
    if device.type == "cuda":
        device = torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")))
        torch.cuda.set_device(device)
    dist.init_process_group("nccl" if device.type == "cuda" else "gloo")
    try:
        yield device
    finally:
        dist.destroy_process_group()


def mean_over_processes(value: Tensor) -> Tensor:
    """Gradients are averaged over the processes: dividing each loss by the mean number of objects
    makes their sum that of the whole batch."""
    if world() > 1:
        value = value.clone()
        dist.all_reduce(value)
        value /= world()
    return value


def anywhere(flag: bool, device: torch.device) -> bool:
    """Whether it is raised in one of the processes: they have to do the same."""
    if world() == 1:
        return flag
    raised = torch.tensor(int(flag), device=device)
    dist.all_reduce(raised, dist.ReduceOp.MAX)
    return bool(raised)


def wait_for_all() -> None:
    if world() > 1:
        dist.barrier()
