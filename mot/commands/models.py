"""`mot models`."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from mot import model_zoo as models
from mot.commands.console import notify

_WIDE = 180  # columns of letters that all is shown in, also where the output is no terminal
_SHORT = ("model", "input", "MB", "licence", "here")  # on a narrow terminal


def show_models() -> None:
    from rich import box
    from rich.console import Console
    from rich.table import Table

    console = Console(width=None if sys.stdout.isatty() else _WIDE, highlight=False)
    is_short = console.width < _WIDE
    table = Table(box=box.SIMPLE_HEAD, show_edge=False)
    rows = [_row(model) for model in models.known_models().values()]
    titles = [title for title in rows[0] if title in _SHORT or not is_short]
    for title in titles:
        right = title in ("MB", "input")
        table.add_column(title, no_wrap=title != "licence", justify="right" if right else "left")
    for row in rows:
        table.add_row(*(row[title] for title in titles))
    console.print(table)
    rest = "; source, sha256 and more: mot models | cat" if is_short else ""
    notify(f"kept in {models.models_dir()}; download one with: mot models get NAME{rest}")


def _row(model: models.Model) -> dict[str, str]:
    weights = model.files[-1]
    digits = weights.sha256[:8] or weights.sha256_prefix or "not known"
    is_by_hand = not all(file.url for file in model.files)
    return {
        "model": model.name,
        "kind": model.kind,
        "input": "x".join(map(str, model.input)),
        "MB": f"{model.megabytes:g}",
        "sha256": digits,
        "licence": model.licence,
        "trained on": model.trained_on,
        "source": model.source.removeprefix("https://"),
        "here": "yes" if models.is_installed(model) else "by hand" if is_by_hand else "no",
    }


def fetch(name: str, again: bool, quiet: bool) -> None:
    model = models.find_model(name)
    with _watched(quiet) as on_progress:
        digests = models.download(model, on_progress, again)
    for file in model.files:
        if not (file.sha256 or file.sha256_prefix):
            digest = digests[file.name]
            notify(f"warning: what the sha256 of {file.name} must be is not known; it is {digest}")
    notify(f"{name}: {models.model_path(model)}", quiet)


def show_path(name: str) -> None:
    model = models.find_model(name)
    print(models.model_path(model))
    if not models.is_installed(model):
        notify(f"{name} is not there yet: mot models get {name}")


@contextmanager
def _watched(quiet: bool) -> Iterator[models.OnProgress]:
    """A bar on the standard error for each file, where that is a terminal."""
    if quiet or not sys.stderr.isatty():
        yield lambda name, done, total: None
        return
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        DownloadColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
        TransferSpeedColumn,
    )

    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn())
    more = (TransferSpeedColumn(), TimeRemainingColumn())
    with Progress(*columns, *more, console=Console(stderr=True), transient=True) as bars:
        tasks = {}

        def watch(name: str, done: int, total: int) -> None:
            if name not in tasks:
                tasks[name] = bars.add_task(name, total=total or None)
            bars.update(tasks[name], completed=done)

        yield watch
