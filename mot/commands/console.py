"""What several verbs share."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import click

if TYPE_CHECKING:
    from collections.abc import Iterable


class Ticker(Protocol):
    """A progress bar: told of each frame and how many people it shows."""

    def __call__(self, people: int) -> None: ...


@contextmanager
def progress(name: str, total: int | None, quiet: bool) -> Iterator[Ticker]:
    """A bar on the standard error, where that is a terminal."""
    if quiet or not sys.stderr.isatty():
        yield lambda people: None
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
        TextColumn("{task.fields[people]} people"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as bars:
        bar = bars.add_task(name, total=total, people=0, rate="")

        def tick(people: int) -> None:
            speed = bars.tasks[0].speed
            bars.update(bar, advance=1, people=people, rate=f"{speed:.0f} fps" if speed else "")

        yield tick


def tell(message: str, quiet: bool = False) -> None:
    """A line for the person, beside the data."""
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
            raise MotError(f"{path}: is what is read: choose another place")
        if path.exists() and not overwrite:
            raise MotError(f"{path}: exists: give --overwrite, or another place")


def several_of(known: tuple[str, ...]) -> Callable[..., tuple[str, ...]]:
    """A callback that reads names with commas between them."""

    def parse(context: click.Context, option: click.Parameter, text: str | None) -> tuple[str, ...]:
        if text is None:
            return ()
        names = tuple(dict.fromkeys(name.strip() for name in text.split(",") if name.strip()))
        if not names or any(name not in known for name in names):
            raise click.BadParameter(
                f"{text!r} is not one of {', '.join(known)}, or several of them"
            )
        return names

    return parse
