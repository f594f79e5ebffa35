"""`mot eval-embedder`: embed the crops, retrieve identities, show scores and plots."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from mot.commands.console import notify, progress, refuse_existing
from mot.commands.detector_tables import format_value, show_table
from mot.errors import MotError
from mot.files import json_safe, write_bytes, write_text
from mot.reid.embedder import Embedder
from mot.reid.evaluation.crops import EmbeddedCrops, embed_crops
from mot.reid.evaluation.galleries import (
    Gallery,
    GalleryRetrieval,
    read_galleries,
    search_gallery,
)
from mot.reid.open import open_embedder

_RANKS = (1, 5, 10)
_PLOTS = ("distances.png", "confusions.png")


@dataclass(frozen=True, slots=True)
class EvalEmbedderOptions:
    """The flags of `mot eval-embedder`, as given."""

    embedder: str
    sources: tuple[str, ...]
    gap: int
    every: int | None
    device: str
    plot: str | None
    json: str | None
    overwrite: bool
    quiet: bool


@dataclass(frozen=True, slots=True, eq=False)
class EmbedderScores:
    """An embedder on one dataset."""

    gallery: Gallery
    searched: GalleryRetrieval
    speed: float  # crops per second, including cropping, without reading images

    def as_dict(self) -> dict[str, Any]:
        queries, others, found = self.searched
        ids = self.gallery.ids[queries[found.answerable]]
        distance, rate = found.equal_error()
        return {
            "queries": int(found.answerable.sum()),
            "unanswerable": int((~found.answerable).sum()),
            "gallery": len(others),
            "ids": len(np.unique(ids)),
            **{f"rank-{rank}": found.cmc(rank) for rank in _RANKS},
            "mAP": found.mean_ap,
            "equal_error": {"distance": distance, "rate": rate},
            "crops_per_second": self.speed,
        }


def run(options: EvalEmbedderOptions) -> None:
    galleries = [
        gallery
        for source in options.sources
        for gallery in read_galleries(source, options.gap, options.every)
    ]
    folders = _plot_folders(galleries, options)
    plots = [folder / name for folder in folders for name in _PLOTS]
    outputs = [*plots, *([Path(options.json)] if options.json else [])]
    refuse_existing(outputs, options.overwrite, [options.embedder, *options.sources])
    embedder = open_embedder(options.embedder, device=options.device)
    scores = [_score(gallery, embedder, options) for gallery in galleries]
    _show(scores, options)
    for each, folder in zip(scores, folders, strict=False):
        _plot(each, folder)
        notify(str(folder), options.quiet)
    if options.json:
        found = {
            "embedder": options.embedder,
            "gap": options.gap,
            "every": options.every,
            "data": {each.gallery.name: json_safe(each.as_dict()) for each in scores},
        }
        write_text(Path(options.json), json.dumps(found, indent=1) + "\n")


def _plot_folders(galleries: Sequence[Gallery], options: EvalEmbedderOptions) -> list[Path]:
    """The folder of each dataset's plots; empty without --plot."""
    names = [gallery.name for gallery in galleries]
    repeated = next((name for name in names if names.count(name) > 1), None)
    if repeated:
        raise MotError(f"two datasets are named {repeated!r}: score them one at a time")
    if options.plot is None:
        return []
    folder = Path(options.plot).expanduser()
    return [folder / name for name in names] if len(names) > 1 else [folder]


def _score(gallery: Gallery, embedder: Embedder, options: EvalEmbedderOptions) -> EmbedderScores:
    for note in gallery.notes:
        notify(note, options.quiet)
    with progress(gallery.name, gallery.crops.batch_count, options.quiet) as tick:
        embedded = embed_crops(gallery.crops, embedder, tick)
    _check_crops(gallery, embedded, options)
    _check_vectors(embedded, options)
    searched = search_gallery(gallery, embedded)
    answerable = searched.retrieval.answerable
    if not answerable.any():
        raise MotError(f"{gallery.name}: none of its {len(answerable)} queries is in the gallery")
    missing = int((~answerable).sum())
    if missing:
        notify(
            f"{gallery.name}: left out: {missing} of {len(answerable)} queries "
            "without a correct match in the gallery",
            options.quiet,
        )
    speed = int(embedded.valid.sum()) / max(embedded.seconds, 1e-9)
    return EmbedderScores(gallery, searched, speed)


def _check_crops(gallery: Gallery, embedded: EmbeddedCrops, options: EvalEmbedderOptions) -> None:
    """Report unusable crops, each reason with an example."""
    faults = {
        "whose images are missing or cannot be read": embedded.unreadable,
        "without pixels inside their images": embedded.outside,
    }
    for fault, rows in faults.items():
        if len(rows):
            first = gallery.crops.name(int(rows[0]))
            notify(f"{gallery.name}: left out: {len(rows)} crops {fault} ({first})", options.quiet)
    for name, rows in (("queries", gallery.queries), ("gallery", gallery.gallery)):
        if not embedded.valid[rows].any():
            raise MotError(f"{gallery.name}: no crop of the {name} is usable")


def _check_vectors(embedded: EmbeddedCrops, options: EvalEmbedderOptions) -> None:
    vectors = embedded.vectors[embedded.valid]
    not_finite = int((~np.isfinite(vectors).all(axis=1)).sum())
    if not_finite:
        raise MotError(f"{options.embedder}: {not_finite} of its embeddings are not finite")
    zero = int((~vectors.any(axis=1)).sum())
    if zero == len(vectors):
        raise MotError(f"{options.embedder}: all of its embeddings are zero or not finite")
    if zero:
        notify(f"warning: {options.embedder}: {zero} embeddings are zero and match nothing")


def _show(scores: Sequence[EmbedderScores], options: EvalEmbedderOptions) -> None:
    rates = [*(f"rank-{rank}" for rank in _RANKS), "mAP"]
    rows = {}
    for each in scores:
        values = each.as_dict()
        counts = [str(values[name]) for name in ("queries", "gallery", "ids")]
        percents = [format_value(name, values[name]) for name in rates]
        rows[each.gallery.name] = [*counts, *percents, f"{each.speed:.0f}"]
    columns = ["queries", "gallery", "ids", *rates, "crops/s"]
    show_table(Path(options.embedder).stem, columns, rows)


def _plot(scores: EmbedderScores, folder: Path) -> None:
    from mot.opencv import cv2
    from mot.reports.reid import draw_confusions, gallery_crops, plot_distances

    gallery, found = scores.gallery, scores.searched.retrieval
    plot_distances(
        found.same, found.different, found.equal_error(), _thresholds(), folder / "distances.png"
    )
    sheet = draw_confusions(gallery.name, gallery_crops(gallery), *scores.searched)
    if sheet is not None:
        write_bytes(folder / "confusions.png", cv2.imencode(".png", sheet)[1].tobytes())


def _thresholds() -> Mapping[str, float]:
    """Cosine distances up to which trackers accept two embeddings as one object."""
    from mot.trackers.best import BestSettings
    from mot.trackers.botsort import BotSort, BotSortSettings
    from mot.trackers.deepsort import DeepSortSettings
    from mot.trackers.strongsort import StrongSortSettings

    return {
        "deepsort": DeepSortSettings().appearance_thresh,
        "strongsort, fairmot": StrongSortSettings().appearance_thresh,
        "best": BestSettings().appearance_thresh,
        # BoT-SORT compares half the distance.
        "botsort": BotSortSettings().appearance_thresh / BotSort.appearance_weight,
    }
