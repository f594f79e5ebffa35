"""The processes of `torchrun`: each trains on its own share of a batch, and on its own device."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

import torch
import torch.distributed as dist
from torch import Tensor

_LAUNCHED = "WORLD_SIZE"  # set by torchrun


def rank() -> int:
    """Of this process; known before the process group exists."""
    return int(os.environ.get("RANK", "0")) if _LAUNCHED in os.environ else 0


def world_size() -> int:
    return dist.get_world_size() if dist.is_initialized() else 1


def is_first() -> bool:
    """Whether this process writes files and messages."""
    return rank() == 0


@contextmanager
def process_group(device: torch.device) -> Iterator[torch.device]:
    """Joins the processes of torchrun, if it started this one; yields this process's device."""
    if _LAUNCHED not in os.environ:
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
    makes their sum that of the full batch."""
    if world_size() > 1:
        value = value.clone()
        dist.all_reduce(value)
        value /= world_size()
    return value


def any_process(flag: bool, device: torch.device) -> bool:
    """Whether the flag is set in any process, so that all do the same."""
    if world_size() == 1:
        return flag
    raised = torch.tensor(int(flag), device=device)
    dist.all_reduce(raised, dist.ReduceOp.MAX)
    return bool(raised)


def wait_for_all() -> None:
    if world_size() > 1:
        dist.barrier()
