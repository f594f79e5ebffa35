"""Work in another thread, behind a bounded queue: producing items, or consuming them."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from typing import Generic, TypeVar

T = TypeVar("T")

# Seconds to wait for a thread whose consumer has gone. It ends after the item in hand; one that
# hangs in a read (a silent camera or pipe) is a daemon and is left to its own time-out.
PATIENCE = 2.0


class Channel(Generic[T]):
    """A bounded queue between two threads that either end may close."""

    def __init__(self, depth: int) -> None:
        self._depth = max(1, depth)
        self._items: deque[T] = deque()
        self._changed = threading.Condition()
        self._finished = False  # nothing more will be put
        self._abandoned = False  # nothing more will be taken

    def put(self, item: T) -> bool:
        """Wait for room; False when the taker has gone."""
        with self._changed:
            self._changed.wait_for(lambda: self._abandoned or len(self._items) < self._depth)
            if not self._abandoned:
                self._items.append(item)
                self._changed.notify_all()
            return not self._abandoned

    def __iter__(self) -> Iterator[T]:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._items or self._finished)
                if not self._items:
                    return
                item = self._items.popleft()
                self._changed.notify_all()
            yield item

    def finish(self) -> None:
        with self._changed:
            self._finished = True
            self._changed.notify_all()

    def abandon(self) -> None:
        with self._changed:
            self._abandoned = True
            self._items.clear()
            self._changed.notify_all()


def in_background(items: Iterable[T], depth: int = 8) -> Generator[T, None, None]:
    """The same items, produced in a thread of their own, at most `depth` ahead.

    An exception of `items` is raised here in its turn. However this generator is left, the
    thread stops after the item in hand, and a generator given as `items` is closed in it.
    """
    channel: Channel[T] = Channel(depth)
    errors: list[BaseException] = []
    thread = threading.Thread(
        target=_produce, args=(items, channel, errors), name="mot-produce", daemon=True
    )
    thread.start()
    try:
        yield from channel
        if errors:
            raise errors[0]
    finally:
        channel.abandon()
        thread.join(PATIENCE)


def _produce(items: Iterable[T], channel: Channel[T], errors: list[BaseException]) -> None:
    try:
        _pour(items, channel)
    except BaseException as error:
        errors.append(error)
    finally:
        channel.finish()


def _pour(items: Iterable[T], channel: Channel[T]) -> None:
    try:
        for item in items:
            if not channel.put(item):
                return
    finally:
        if isinstance(items, Generator):
            items.close()


class Worker(Generic[T]):
    """Calls `work` on each item, in a thread of its own, with at most `depth` waiting.

    The thread's exception is raised by the next `put` or by `finish`.
    """

    def __init__(self, work: Callable[[T], None], depth: int = 8) -> None:
        self._work = work
        self._channel: Channel[T] = Channel(depth)
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="mot-consume", daemon=True)
        self._thread.start()

    def put(self, item: T) -> None:
        if not self._channel.put(item):
            self.finish()

    def finish(self) -> None:
        """Wait until everything that was put is done."""
        self._channel.finish()
        self._thread.join()
        if self._error:
            raise self._error

    def _run(self) -> None:
        try:
            for item in self._channel:
                self._work(item)
        except BaseException as error:
            self._error = error
        finally:
            self._channel.abandon()
