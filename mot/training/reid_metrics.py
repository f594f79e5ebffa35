"""Retrieval metrics on validation data, of embedders and of detectors with embeddings."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import numpy as np

from mot import boxes
from mot.datasets.config import DataSettings
from mot.datasets.dataset import Annotations, DataSet
from mot.datasets.identities import numbered
from mot.datasets.load import load
from mot.datasets.problems import Problems
from mot.errors import MotError
from mot.reid.evaluation.crops import embed_crops
from mot.reid.evaluation.galleries import Gallery, read_galleries, search_gallery
from mot.reid.evaluation.retrieval import (
    BoolArray,
    IdentityEmbeddings,
    Retrieval,
    exclude_same_camera,
    retrieve,
)
from mot.reid.torch_embedder import TorchEmbedder
from mot.reports.reid import CropSource, draw_confusions, gallery_crops
from mot.runtime.preprocess import Size
from mot.training.augment.crop import CropAugment
from mot.training.augment.crop_settings import CropSettings
from mot.training.data.crops import Crops, cut
from mot.types import Detections, Image

_VIEWS = 2  # of a crop: a query and its match in the gallery
_RANKS = (1, 5)
_MIN_IOU = 0.5  # of an object and its detection
_MAX_QUERIES = 5000  # objects of a detector's validation; each is compared with all others


class RetrievalResult(NamedTuple):
    retrieval: Retrieval
    draw: Callable[[], Image | None]  # the worst confusions


class RetrievalSet(NamedTuple):
    """Queries and a gallery."""

    name: str
    crops: int  # number of both together
    evaluate: Callable[[TorchEmbedder], RetrievalResult]


@dataclass(frozen=True, slots=True)
class RetrievalSets:
    """The validation data of an embedder."""

    sets: tuple[RetrievalSet, ...]

    def __len__(self) -> int:
        """Number of crops."""
        return sum(each.crops for each in self.sets)


def summarize(sets: Sequence[RetrievalSet], results: Sequence[RetrievalResult]) -> dict[str, float]:
    """Mean metrics, and if there are several sets, those of each."""
    each = [_metrics(result.retrieval) for result in results]
    means = {name: float(np.mean([metrics[name] for metrics in each])) for name in each[0]}
    if len(sets) == 1:
        return means
    return means | {
        f"{name} {one.name}": value
        for one, metrics in zip(sets, each, strict=True)
        for name, value in metrics.items()
    }


def embedding_metrics(data: DataSet, found: Sequence[Detections]) -> dict[str, float]:
    """Retrieval metrics of a detector's embeddings: each object with an identity is a query among
    all others. An object has the embedding of its highest-scoring detection.

    Empty if detections have no embeddings, or if no identity is in several images.
    """
    parts = [
        _match_embeddings(record.annotations, detections, row)
        for row, (record, detections) in enumerate(zip(data, found, strict=True))
        if len(detections) and detections.embeddings is not None
    ]
    if not parts:
        return {}
    embeddings = IdentityEmbeddings(
        np.concatenate([part.vectors for part in parts]),
        np.concatenate([part.ids for part in parts]),
        np.concatenate([part.views for part in parts]),
    )
    embeddings = embeddings[np.arange(0, len(embeddings), 1 + len(embeddings) // _MAX_QUERIES)]
    retrieval = retrieve(embeddings, embeddings, exclude_same_camera)
    if not retrieval.answerable.any():
        return {}
    return {f"re-ID {name}": value for name, value in _metrics(retrieval).items()}


def _match_embeddings(
    annotations: Annotations, found: Detections, image: int
) -> IdentityEmbeddings:
    assert found.embeddings is not None
    objects = annotations[~annotations.ignored & (annotations.ids >= 0)]
    scores = found.scores * (boxes.iou(objects.boxes, found.boxes) >= _MIN_IOU)
    is_found = scores.any(axis=1)
    vectors = found.embeddings[scores[is_found].argmax(axis=1)]
    return IdentityEmbeddings(vectors, objects.ids[is_found] + 1, np.full(len(vectors), image))


def _metrics(retrieval: Retrieval) -> dict[str, float]:
    ranks = {f"rank-{rank}": retrieval.cmc(rank) for rank in _RANKS}
    return {"mAP": retrieval.mean_ap, **ranks}


def load_retrieval_sets(
    settings: DataSettings, size: Size, problems: Problems
) -> Iterator[RetrievalSet]:
    """Of sequences and Market-1501's folders by their identities; of datasets in which each box
    has its own identity, by two views of each box."""
    if settings.identities == "annotated":
        every = settings.every if settings.every > 1 else None
        for gallery in read_galleries(settings.source, settings.gap, every):
            yield RetrievalSet(gallery.name, len(gallery.ids), partial(_evaluate, gallery))
    else:
        data, found = load(settings)
        problems.add(found)
        known, _ = numbered([data], ["boxes"])
        crops = cut(known, size, problems)
        if not len(crops):
            raise MotError(f"{settings.annotations}: no usable crops for validation")
        yield two_view_set(settings.source.stem, crops, size)


def _evaluate(gallery: Gallery, embedder: TorchEmbedder) -> RetrievalResult:
    """As `mot eval-embedder`."""
    found = search_gallery(gallery, embed_crops(gallery.crops, embedder, lambda count: None))
    draw = partial(draw_confusions, gallery.name, gallery_crops(gallery), *found)
    return RetrievalResult(found.retrieval, draw)


def two_view_set(name: str, crops: Crops, size: Size) -> RetrievalSet:
    """Two augmented views of each crop, always the same: the first is searched among the second."""
    views = np.stack([_augment_all(crops, size, number) for number in range(_VIEWS)])
    ids = np.arange(1, len(crops) + 1)
    queries, gallery = np.arange(_VIEWS * len(crops)).reshape(_VIEWS, -1)
    flat = views.reshape(-1, *views.shape[2:])
    source = CropSource(
        np.tile(ids, _VIEWS),
        lambda row: f"view {row // len(crops) + 1}",
        lambda rows: {row: flat[row] for row in rows.tolist()},
    )

    def evaluate(embedder: TorchEmbedder) -> RetrievalResult:
        first, second = (IdentityEmbeddings(embedder.embed_batch(each), ids, ids) for each in views)
        found = retrieve(first, second, _exclude_none)
        return RetrievalResult(
            found, partial(draw_confusions, name, source, queries, gallery, found)
        )

    return RetrievalSet(name, _VIEWS * len(crops), evaluate)


def _exclude_none(queries: IdentityEmbeddings, gallery: IdentityEmbeddings) -> BoolArray:
    return np.zeros((len(queries), len(gallery)), np.bool_)


def _augment_all(crops: Crops, size: Size, view: int) -> Image:
    """(N, H, W, 3) BGR."""
    augment, count = CropAugment(CropSettings()), len(crops)
    images = [
        augment(crops.full_image, count, row, size, _VIEWS * row + view)[0] for row in range(count)
    ]
    return np.stack([each.permute(1, 2, 0).flip(2).numpy() for each in images])
