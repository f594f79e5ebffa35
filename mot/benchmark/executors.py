"""Where the work is done: in processes of this machine, or on a Ray cluster.

An engine is a context manager that gives a `Spread`: it does the same work on many tasks, in
whatever order, and hands each back with what came of it. Leaving it by an error ends the work at
once.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import AbstractContextManager, contextmanager, suppress
from functools import partial
from multiprocessing.connection import Connection
from multiprocessing.queues import Queue
from queue import Empty
from threading import Thread
from typing import Any, Protocol, TypeVar

from mot.benchmark.work import Post, S, Step, attempt
from mot.errors import MachineError, MotError

T = TypeVar("T")
Watch = Callable[[Step], None]
THREADS = {"OPENBLAS_NUM_THREADS": "1"}  # in each process: there are enough of these
PATIENCE = 0.1  # seconds between two looks at how far the work is


class Spread(Protocol):
    def __call__(self, work: Callable[[S, Post], T], tasks: Sequence[S]) -> Iterator[tuple[S, T]]:
        """Each task with what came of it, as they finish; the first error is raised."""


@contextmanager
def on_processes(jobs: int, watch: Watch, address: str | None = None) -> Iterator[Spread]:
    context = multiprocessing.get_context("spawn")
    steps: Queue[Step] = context.Queue()
    lifeline, held = context.Pipe(duplex=False)
    others = multiprocessing.active_children()
    pool = ProcessPoolExecutor(jobs, context, _begin, (steps, lifeline))
    try:
        yield partial(_spread, pool, steps, watch)
    except BrokenProcessPool:
        raise MachineError(
            "a process was killed: is the memory full? What is finished is kept: run the same "
            "command again, with fewer --jobs"
        ) from None
    except BaseException:
        for process in multiprocessing.active_children():
            if process not in others:
                process.terminate()
        _hear_the_end(pool)
        raise
    finally:
        pool.shutdown(cancel_futures=True)
        for end in (held, lifeline, steps):
            end.close()


def _hear_the_end(pool: ProcessPoolExecutor) -> None:
    """A process that was ended half-way through a message leaves the pool waiting for the rest,
    for as long as this process too could write it."""
    writer = getattr(getattr(pool, "_result_queue", None), "_writer", None)
    if writer is not None:
        writer.close()


def _spread(
    pool: ProcessPoolExecutor,
    steps: Queue[Step],
    watch: Watch,
    work: Callable[[S, Post], T],
    tasks: Sequence[S],
) -> Iterator[tuple[S, T]]:
    with _quiet_start():
        futures = {pool.submit(_attempt, work, task): task for task in tasks}
    waiting = set(futures)
    while waiting:
        done, waiting = wait(waiting, PATIENCE, FIRST_COMPLETED)
        for step in _arrived(steps):
            watch(step)
        for future in sorted(done, key=_is_bad):  # what is done is kept before all is given up
            yield futures[future], or_raise(future.result())


def _is_bad(future: Future[Any]) -> bool:
    return future.exception() is not None or isinstance(future.result(), MotError)


def _arrived(steps: Queue[Step]) -> Iterator[Step]:
    with suppress(Empty):
        while True:
            yield steps.get_nowait()


def or_raise(found: T | MotError) -> T:
    if isinstance(found, MotError):
        raise found
    return found


@contextmanager
def _quiet_start() -> Iterator[None]:
    """Processes started here use one thread each for algebra, and leave Ctrl-C to this one."""
    before = {name: os.environ.get(name) for name in THREADS}
    os.environ.update(THREADS)
    has_masks = hasattr(signal, "pthread_sigmask")
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT}) if has_masks else None
    try:
        yield
    finally:
        for name, value in before.items():
            os.environ.pop(name) if value is None else os.environ.update({name: value})
        if mask is not None:
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)


_post: Post


def _begin(steps: Queue[Step], lifeline: Connection) -> None:
    """Of a process: it ends when the other end of its lifeline is closed, or has died."""
    global _post
    _post = steps.put
    steps.cancel_join_thread()
    Thread(target=_end_with, args=(lifeline,), daemon=True).start()


def _end_with(lifeline: Connection) -> None:
    with suppress(EOFError, OSError):
        lifeline.recv()
    os._exit(1)


def _attempt(work: Callable[[S, Post], T], task: S) -> T | MotError:
    return attempt(work, task, _post)


def on_ray(jobs: int, watch: Watch, address: str | None = None) -> AbstractContextManager[Spread]:
    from mot.benchmark.ray_executor import on_ray

    return on_ray(jobs, watch, address)


Engine = Callable[[int, Watch, str | None], AbstractContextManager[Spread]]
ENGINES: dict[str, Engine] = {"local": on_processes, "ray": on_ray}
