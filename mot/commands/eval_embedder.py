"""The work of `mot eval-embedder`: look at everybody, look for each among the others, tell."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from mot.cli.eval_embedder import Options
from mot.commands.console import progress, refuse_existing, tell
from mot.commands.detector_tables import show_table, told
from mot.errors import MotError
from mot.files import plain, write_text
from mot.reid.embedder import Embedder
from mot.reid.evaluation.crops import Looked, look
from mot.reid.evaluation.galleries import Gallery, read_galleries, search
from mot.reid.evaluation.retrieval import Retrieval
from mot.reid.open import open_embedder
from mot.types import IntArray

_RANKS = (1, 5, 10)
PLOTS = ("distances.png", "confusions.png")


@dataclass(frozen=True, slots=True, eq=False)
class Measured:
    """An embedder on one data set."""

    gallery: Gallery
    queries: IntArray  # (Q,) rows of the crops that could be seen
    others: IntArray  # (G,)
    found: Retrieval
    speed: float  # crops a second, with their cutting, without the reading of pictures

    def as_dict(self) -> dict[str, Any]:
        answerable = self.found.answerable
        ids = self.gallery.ids[self.queries[answerable]]
        distance, share = self.found.equal_error()
        return {
            "queries": int(answerable.sum()),
            "unanswerable": int((~answerable).sum()),
            "gallery": len(self.others),
            "people": len(np.unique(ids)),
            **{f"rank-{rank}": self.found.within(rank) for rank in _RANKS},
            "mAP": self.found.mean_precision,
            "equal_error": {"distance": distance, "share": share},
            "crops_per_second": self.speed,
        }


def run(options: Options) -> None:
    galleries = [
        gallery
        for source in options.sources
        for gallery in read_galleries(source, options.gap, options.every)
    ]
    folders = _folders(galleries, options)
    _check_outputs(folders, options)
    embedder = open_embedder(options.embedder, device=options.device)
    measured = [_measure(gallery, embedder, options) for gallery in galleries]
    _show(measured, options)
    for each, folder in zip(measured, folders, strict=False):
        from mot.commands.eval_embedder_plots import plot

        plot(each, folder)
        tell(str(folder), options.quiet)
    if options.json:
        write_text(Path(options.json), json.dumps(_as_dict(measured, options), indent=1) + "\n")


def _folders(galleries: Sequence[Gallery], options: Options) -> list[Path]:
    """Where the plots of each go, if there are any."""
    names = [gallery.name for gallery in galleries]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice:
        raise MotError(f"two data sets are called {twice!r}: measure them one after the other")
    if options.plot is None:
        return []
    folder = Path(options.plot).expanduser()
    return [folder / name for name in names] if len(names) > 1 else [folder]


def _check_outputs(folders: Sequence[Path], options: Options) -> None:
    plots = [folder / name for folder in folders for name in PLOTS]
    outputs = [*plots, *([Path(options.json)] if options.json else [])]
    refuse_existing(outputs, options.overwrite, [options.embedder, *options.sources])


def _measure(gallery: Gallery, embedder: Embedder, options: Options) -> Measured:
    for note in gallery.notes:
        tell(note, options.quiet)
    with progress(gallery.name, gallery.crops.shot_count, options.quiet) as tick:
        looked = look(gallery.crops, embedder, tick)
    _tell_unseen(gallery, looked, options)
    _check_vectors(looked, options)
    searched = search(gallery, looked)
    answerable = searched.found.answerable
    if not answerable.any():
        raise MotError(f"{gallery.name}: none of its {len(answerable)} queries is in the gallery")
    without = int((~answerable).sum())
    if without:
        tell(
            f"{gallery.name}: left out: {without} of {len(answerable)} queries, for whom there is "
            "no right one to find",
            options.quiet,
        )
    speed = int(looked.seen.sum()) / max(looked.seconds, 1e-9)
    return Measured(gallery, *searched, speed)


def _tell_unseen(gallery: Gallery, looked: Looked, options: Options) -> None:
    """Each with an example."""
    faults = {
        "whose pictures are missing or cannot be read": looked.unread,
        "without an area within their picture": looked.outside,
    }
    for fault, rows in faults.items():
        if len(rows):
            first = gallery.crops.name(int(rows[0]))
            tell(f"{gallery.name}: left out: {len(rows)} crops {fault} ({first})", options.quiet)
    for name, rows in (("queries", gallery.queries), ("gallery", gallery.gallery)):
        if not looked.seen[rows].any():
            raise MotError(f"{gallery.name}: no crop of the {name} can be seen")


def _check_vectors(looked: Looked, options: Options) -> None:
    vectors = looked.vectors[looked.seen]
    unsound = int((~np.isfinite(vectors).all(axis=1)).sum())
    if unsound:
        raise MotError(f"{options.embedder}: {unsound} of its vectors are not finite")
    unknown = int((~vectors.any(axis=1)).sum())
    if unknown == len(vectors):
        raise MotError(f"{options.embedder}: all of its vectors are zero or not finite")
    if unknown:
        tell(f"warning: {options.embedder}: {unknown} vectors are zero: they are like nobody")


def _show(measured: Sequence[Measured], options: Options) -> None:
    shares = [*(f"rank-{rank}" for rank in _RANKS), "mAP"]
    rows = {}
    for each in measured:
        values = each.as_dict()
        counts = [str(values[name]) for name in ("queries", "gallery", "people")]
        percents = [told(name, values[name]) for name in shares]
        rows[each.gallery.name] = [*counts, *percents, f"{each.speed:.0f}"]
    columns = ["queries", "gallery", "people", *shares, "crops/s"]
    show_table(Path(options.embedder).stem, columns, rows)


def _as_dict(measured: Sequence[Measured], options: Options) -> dict[str, Any]:
    return {
        "embedder": options.embedder,
        "gap": options.gap,
        "every": options.every,
        "data": {each.gallery.name: plain(each.as_dict()) for each in measured},
    }
