"""A bar for each piece of work that is going on at the same time."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

    from mot.benchmark.work import Step


@contextmanager
def watched(quiet: bool) -> Iterator[Callable[[Step], None]]:
    """What to tell of each step; shown on the standard error, where that is a terminal."""
    if quiet or not sys.stderr.isatty():
        yield lambda step: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bars:
        yield _watch(bars)


def _watch(bars: Progress) -> Callable[[Step], None]:
    running: dict[str, TaskID] = {}

    def watch(step: Step) -> None:
        if step.title not in running:
            running[step.title] = bars.add_task(step.title, total=step.total)
        bars.update(running[step.title], completed=step.done)
        if step.done == step.total:
            bars.remove_task(running.pop(step.title))

    return watch
