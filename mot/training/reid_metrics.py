"""How well a network tells people apart that it was not trained on, epoch after epoch."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
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
from mot.reid.evaluation.crops import look
from mot.reid.evaluation.galleries import Gallery, read_galleries, search
from mot.reid.evaluation.retrieval import BoolArray, Looks, Retrieval, retrieve, same_camera
from mot.reid.torch_embedder import TorchEmbedder
from mot.reports.reid_confusions import Portraits, draw_worst, portraits_of
from mot.runtime.preprocess import Size
from mot.training.augment.crop import CropAugment
from mot.training.augment.crop_settings import CropSettings
from mot.training.data.crops import Crops, cut
from mot.types import Detections, Image

_VIEWS = 2  # of a crop, of which one looks for the other
_RANKS = (1, 5)
_FOUND = 0.5  # IoU from which a detection is a person
_MOST = 5000  # people whom a detector finds, each of whom is looked for among all


class Tried(NamedTuple):
    found: Retrieval
    drawn: Callable[[], Image | None]  # the worst confusions


class Trial(NamedTuple):
    """People to be found among others."""

    name: str
    crops: int  # how many
    run: Callable[[TorchEmbedder], Tried]


class Trials(DataSet):
    """Instead of the pictures that a detector is measured on."""

    def __init__(self, trials: Sequence[Trial]) -> None:
        super().__init__((), ())
        self.trials = tuple(trials)

    def __len__(self) -> int:
        return sum(trial.crops for trial in self.trials)


def figures_of(trials: Sequence[Trial], tried: Sequence[Tried]) -> dict[str, float]:
    """Their means, and where there are several, each one's."""
    found = [_figures(each.found) for each in tried]
    means = {name: float(np.mean([figures[name] for figures in found])) for name in found[0]}
    each = {
        f"{name} {trial.name}": value
        for trial, figures in zip(trials, found, strict=True)
        for name, value in figures.items()
    }
    return means | (each if len(found) > 1 else {})


def known_again(data: DataSet, found: Sequence[Detections]) -> dict[str, float]:
    """Of those who are told to be in several pictures, by what a detector tells of them: of each
    the surest detection that covers them. Nothing where it tells of none, or nobody comes again."""
    seen = [
        _known(picture.annotations, detections, place)
        for place, (picture, detections) in enumerate(zip(data, found, strict=True))
        if len(detections) and detections.embeddings is not None
    ]
    if not seen:
        return {}
    looks = Looks(
        np.concatenate([each.vectors for each in seen]),
        np.concatenate([each.ids for each in seen]),
        np.concatenate([each.places for each in seen]),
    )
    looks = looks[np.arange(0, len(looks), 1 + len(looks) // _MOST)]
    retrieval = retrieve(looks, looks, same_camera)
    if not retrieval.answerable.any():
        return {}
    return {f"looks {name}": value for name, value in _figures(retrieval).items()}


def _known(told: Annotations, found: Detections, place: int) -> Looks:
    assert found.embeddings is not None
    people = told[~told.ignored & (told.ids >= 0)]
    fits = found.scores * (boxes.iou(people.boxes, found.boxes) >= _FOUND)
    is_found = fits.any(axis=1)
    vectors = found.embeddings[fits[is_found].argmax(axis=1)]
    return Looks(vectors, people.ids[is_found] + 1, np.full(len(vectors), place))


def _figures(retrieval: Retrieval) -> dict[str, float]:
    ranks = {f"rank-{count}": retrieval.within(count) for count in _RANKS}
    return {"mAP": retrieval.mean_precision, **ranks}


def trials_of(settings: DataSettings, size: Size, problems: Problems) -> Iterator[Trial]:
    """Of sequences and Market-1501's folders, whose people come again; of other data sets, where
    each box is someone else, by two views of each."""
    if settings.identities == "told":
        every = settings.every if settings.every > 1 else None
        for gallery in read_galleries(settings.source, settings.gap, every):
            yield Trial(gallery.name, len(gallery.ids), partial(_search, gallery))
    else:
        data, found = load(settings)
        problems.add(found)
        known, _ = numbered([data], ["boxes"])
        crops = cut(known, size, problems)
        if not len(crops):
            raise MotError(f"{settings.annotations}: nobody in it could be looked for")
        yield trial_of_views(settings.source.stem, crops, size)


def _search(gallery: Gallery, embedder: TorchEmbedder) -> Tried:
    """As `mot eval-embedder` does."""
    searched = search(gallery, look(gallery.crops, embedder, lambda count: None))
    return Tried(
        searched.found, partial(draw_worst, gallery.name, portraits_of(gallery), *searched)
    )


def trial_of_views(name: str, crops: Crops, size: Size) -> Trial:
    """Two views of each, the same ones each time: the one is looked for among the others."""
    views = np.stack([_views(crops, size, turn) for turn in range(_VIEWS)])
    people = np.arange(1, len(crops) + 1)
    queries, others = np.arange(_VIEWS * len(crops)).reshape(_VIEWS, -1)
    flat = views.reshape(-1, *views.shape[2:])
    shown = Portraits(
        np.tile(people, _VIEWS),
        lambda row: f"view {row // len(crops) + 1}",
        lambda rows: {row: flat[row] for row in rows.tolist()},
    )

    def run(embedder: TorchEmbedder) -> Tried:
        first, second = (Looks(embedder.of_crops(each), people, people) for each in views)
        found = retrieve(first, second, _nothing)
        return Tried(found, partial(draw_worst, name, shown, queries, others, found))

    return Trial(name, _VIEWS * len(crops), run)


def _nothing(queries: Looks, gallery: Looks) -> BoolArray:
    return np.zeros((len(queries), len(gallery)), np.bool_)


def _views(crops: Crops, size: Size, turn: int) -> Image:
    """(N, H, W, 3) BGR."""
    change, count = CropAugment(CropSettings()), len(crops)
    made = [
        change(crops.whole, count, place, size, _VIEWS * place + turn)[0] for place in range(count)
    ]
    return np.stack([each.permute(1, 2, 0).flip(2).numpy() for each in made])
