"""Processes of this machine as an executor; leaving it by an error ends the work at once."""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager, suppress
from functools import partial
from multiprocessing.connection import Connection
from multiprocessing.queues import Queue
from queue import Empty
from threading import Thread
from typing import Any, TypeVar

from mot.benchmark.executor import POLL_INTERVAL, THREADS, Executor, OnProgress, or_raise
from mot.benchmark.work import ProgressUpdate, ReportProgress, S, attempt
from mot.errors import MachineError, MotError

T = TypeVar("T")


@contextmanager
def on_processes(jobs: int, on_progress: OnProgress) -> Iterator[Executor]:
    """So many processes."""
    context = multiprocessing.get_context("spawn")
    updates: Queue[ProgressUpdate] = context.Queue()
    lifeline, held = context.Pipe(duplex=False)
    others = multiprocessing.active_children()
    pool = ProcessPoolExecutor(jobs, context, _start_process, (updates, lifeline))
    try:
        yield partial(_execute, pool, updates, on_progress)
    except BrokenProcessPool:
        raise MachineError(
            "a process was killed: is the memory full? Finished results are kept: run the same "
            "command again, with fewer --jobs"
        ) from None
    except BaseException:
        for process in multiprocessing.active_children():
            if process not in others:
                process.terminate()
        _close_result_queue(pool)
        raise
    finally:
        pool.shutdown(cancel_futures=True)
        for end in (held, lifeline, updates):
            end.close()


def _close_result_queue(pool: ProcessPoolExecutor) -> None:
    """A process that ended in the middle of a message leaves the pool waiting for the rest, as long
    as this process holds the writing end too."""
    writer = getattr(getattr(pool, "_result_queue", None), "_writer", None)
    if writer is not None:
        writer.close()


def _execute(
    pool: ProcessPoolExecutor,
    updates: Queue[ProgressUpdate],
    on_progress: OnProgress,
    work: Callable[[S, ReportProgress], T],
    tasks: Sequence[S],
) -> Iterator[tuple[S, T]]:
    with _child_environment():
        futures = {pool.submit(_attempt, work, task): task for task in tasks}
    waiting = set(futures)
    while waiting:
        done, waiting = wait(waiting, POLL_INTERVAL, FIRST_COMPLETED)
        for update in _pending(updates):
            on_progress(update)
        for future in sorted(done, key=_has_failed):  # results are kept before an error is raised
            yield futures[future], or_raise(future.result())


def _has_failed(future: Future[Any]) -> bool:
    return future.exception() is not None or isinstance(future.result(), MotError)


def _pending(updates: Queue[ProgressUpdate]) -> Iterator[ProgressUpdate]:
    with suppress(Empty):
        while True:
            yield updates.get_nowait()


@contextmanager
def _child_environment() -> Iterator[None]:
    """Processes started here use one BLAS thread each, and leave Ctrl-C to this one."""
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


_report: ReportProgress


def _start_process(updates: Queue[ProgressUpdate], lifeline: Connection) -> None:
    """Run first in each process: it exits when the other end of its lifeline closes."""
    global _report
    _report = updates.put
    updates.cancel_join_thread()
    Thread(target=_exit_with_parent, args=(lifeline,), daemon=True).start()


def _exit_with_parent(lifeline: Connection) -> None:
    with suppress(EOFError, OSError):
        lifeline.recv()
    os._exit(1)


def _attempt(work: Callable[[S, ReportProgress], T], task: S) -> T | MotError:
    return attempt(work, task, _report)
