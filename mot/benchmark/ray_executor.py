"""The work on a Ray cluster. Results come back as text, so its nodes need no folder in common but
that of the data set."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from importlib import import_module
from typing import Any, TypeVar
from urllib.parse import urlsplit

from mot.benchmark.executors import PATIENCE, THREADS, Spread, Watch, or_raise
from mot.benchmark.work import Post, S, attempt
from mot.errors import MachineError, MotError

T = TypeVar("T")
_LONGEST = 5.0  # seconds


@contextmanager
def on_ray(jobs: int, watch: Watch, address: str | None) -> Iterator[Spread]:
    """A cluster at the address, or at RAY_ADDRESS; else a Ray of `jobs` CPUs on this machine."""
    try:
        queues, ray = import_module("ray.util.queue"), import_module("ray")
    except ImportError:
        raise MotError("--engine ray needs Ray: pip install 'mot-tracking[ray]'") from None
    _connect(ray, jobs, address or os.environ.get("RAY_ADDRESS"))
    try:
        steps = queues.Queue(actor_options={"num_cpus": 0})
        yield partial(_spread, ray, steps, watch)
    except ray.exceptions.RayError as error:
        first = next(iter(str(error).strip().splitlines()), type(error).__name__)
        raise MachineError(f"ray: {first}: what is finished is kept") from None
    finally:
        ray.shutdown()


def _connect(ray: Any, jobs: int, address: str | None) -> None:
    if address:
        _knock(address)
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    place = {"address": address} if address else {"address": "local", "num_cpus": jobs}
    try:
        ray.init(**place, include_dashboard=False, log_to_driver=False, logging_level="ERROR")
    except (ConnectionError, ValueError, RuntimeError) as error:
        raise MotError(f"--ray-address {address or 'local'}: {error}") from None


def _knock(address: str) -> None:
    """Ray itself waits for a quarter of an hour for a cluster that is not there."""
    place = urlsplit(address if "://" in address else f"//{address}")
    try:
        if place.hostname and place.port:
            socket.create_connection((place.hostname, place.port), _LONGEST).close()
    except (OSError, ValueError) as error:
        raise MotError(f"--ray-address {address}: no cluster there: {error}") from None


def _spread(
    ray: Any, steps: Any, watch: Watch, work: Callable[[S, Post], T], tasks: Sequence[S]
) -> Iterator[tuple[S, T]]:
    remote = ray.remote(num_cpus=1, runtime_env={"env_vars": THREADS})(_attempt)
    futures = {remote.remote(work, task, steps): task for task in tasks}
    waiting = list(futures)
    while waiting:
        done, waiting = ray.wait(waiting, timeout=PATIENCE)
        for step in steps.get_nowait_batch(steps.qsize()):
            watch(step)
        for future in done:
            yield futures[future], or_raise(ray.get(future))


def _attempt(work: Callable[[S, Post], T], task: S, steps: Any) -> T | MotError:
    return attempt(work, task, steps.put)
