"""A Ray cluster as an executor. Results come back as text: its nodes share only the dataset's
folder."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from importlib import import_module
from typing import Any, TypeVar
from urllib.parse import urlsplit

from mot.benchmark.executor import POLL_INTERVAL, THREADS, Executor, OnProgress, or_raise
from mot.benchmark.work import ReportProgress, S, attempt
from mot.errors import MachineError, MotError

T = TypeVar("T")
_TIMEOUT = 5.0  # seconds


@contextmanager
def on_ray(jobs: int, on_progress: OnProgress, address: str | None) -> Iterator[Executor]:
    """A cluster at the address, or at RAY_ADDRESS; else a Ray of `jobs` CPUs on this machine."""
    try:
        queues, ray = import_module("ray.util.queue"), import_module("ray")
    except ImportError:
        raise MotError("--engine ray needs Ray: pip install 'mot-tracking[ray]'") from None
    _connect(ray, jobs, address or os.environ.get("RAY_ADDRESS"))
    try:
        updates = queues.Queue(actor_options={"num_cpus": 0})
        yield partial(_execute, ray, updates, on_progress)
    except ray.exceptions.RayError as error:
        first = next(iter(str(error).strip().splitlines()), type(error).__name__)
        raise MachineError(f"ray: {first}: finished results are kept") from None
    finally:
        ray.shutdown()


def _connect(ray: Any, jobs: int, address: str | None) -> None:
    if address:
        _check_reachable(address)
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    place = {"address": address} if address else {"address": "local", "num_cpus": jobs}
    try:
        ray.init(**place, include_dashboard=False, log_to_driver=False, logging_level="ERROR")
    except (ConnectionError, ValueError, RuntimeError) as error:
        raise MotError(f"--ray-address {address or 'local'}: {error}") from None


def _check_reachable(address: str) -> None:
    """Fails within seconds; Ray itself waits a quarter of an hour for a missing cluster."""
    place = urlsplit(address if "://" in address else f"//{address}")
    try:
        if place.hostname and place.port:
            socket.create_connection((place.hostname, place.port), _TIMEOUT).close()
    except (OSError, ValueError) as error:
        raise MotError(f"--ray-address {address}: no cluster at this address: {error}") from None


def _execute(
    ray: Any,
    updates: Any,
    on_progress: OnProgress,
    work: Callable[[S, ReportProgress], T],
    tasks: Sequence[S],
) -> Iterator[tuple[S, T]]:
    remote = ray.remote(num_cpus=1, runtime_env={"env_vars": THREADS})(_attempt)
    futures = {remote.remote(work, task, updates): task for task in tasks}
    waiting = list(futures)
    while waiting:
        done, waiting = ray.wait(waiting, timeout=POLL_INTERVAL)
        for update in updates.get_nowait_batch(updates.qsize()):
            on_progress(update)
        for future in done:
            yield futures[future], or_raise(ray.get(future))


def _attempt(work: Callable[[S, ReportProgress], T], task: S, updates: Any) -> T | MotError:
    return attempt(work, task, updates.put)
