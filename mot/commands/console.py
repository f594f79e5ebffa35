"""Messages, progress bars and the check of outputs, for all verbs."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterable

    from mot.benchmark.work import ProgressUpdate


class Advance(Protocol):
    """Advances a progress bar by one frame."""

    def __call__(self, objects: int) -> None: ...


@contextmanager
def progress(name: str, total: int | None, quiet: bool) -> Iterator[Advance]:
    """A bar on standard error, if it is a terminal."""
    if quiet or not sys.stderr.isatty():
        yield lambda objects: None
        return
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
    )

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]}"),
        TextColumn("{task.fields[objects]} objects"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as bars:
        bar = bars.add_task(name, total=total, objects=0, rate="")

        def advance(objects: int) -> None:
            speed = bars.tasks[0].speed
            bars.update(bar, advance=1, objects=objects, rate=f"{speed:.0f} fps" if speed else "")

        yield advance


def notify(message: str, quiet: bool = False) -> None:
    """Print a line on standard error, beside the data."""
    if not quiet:
        print(message, file=sys.stderr)


def refuse_existing(
    paths: Iterable[Path], overwrite: bool, inputs: Iterable[str | Path] = ()
) -> None:
    """Outputs that exist need --overwrite; those that are inputs are never replaced."""
    from mot.errors import MotError

    files = [Path(file) for file in inputs]
    for path in paths:
        if any(path.exists() and file.exists() and path.samefile(file) for file in files):
            raise MotError(f"{path}: is an input too: choose another output")
        if path.exists() and not overwrite:
            raise MotError(f"{path}: exists: give --overwrite, or another output")


@contextmanager
def progress_bars(quiet: bool) -> Iterator[Callable[[ProgressUpdate], None]]:
    """A bar on standard error for each piece of work that runs at the same time."""
    if quiet or not sys.stderr.isatty():
        yield lambda update: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    running: dict[str, TaskID] = {}
    with Progress(*columns, console=Console(stderr=True), transient=True) as bars:

        def show(update: ProgressUpdate) -> None:
            if update.title not in running:
                running[update.title] = bars.add_task(update.title, total=update.total)
            bars.update(running[update.title], completed=update.done)
            if update.done == update.total:
                bars.remove_task(running.pop(update.title))

        yield show
