"""Market-1501, and what is laid out as it is: each picture is a person, told by its file's name."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from mot.datasets.config import DataSettings
from mot.datasets.images import size_of
from mot.datasets.parsing import RawDataset, RawImage, RawObject
from mot.reid.evaluation.galleries import GALLERY, read_names
from mot.reid.evaluation.retrieval import OTHER

TRAIN = "bounding_box_train"
STRANGERS = "files have names that tell nobody, and are left out"


def read(settings: DataSettings) -> RawDataset:
    """The pictures to train on, or those of the folder `split`, without pictures of nothing, and in
    a gallery without those of nobody in particular."""
    folder = settings.source / (settings.split or TRAIN)
    folder = folder if settings.split or folder.is_dir() else settings.source
    named = read_names(folder)
    people = [
        (path, person)
        for path, person in zip(named.paths, named.ids.tolist(), strict=True)
        if person != OTHER or folder.name != GALLERY
    ]
    notes = ((STRANGERS, named.strangers),) if named.strangers else ()
    return RawDataset(_pictures(people), notes=notes)


def _pictures(people: list[tuple[Path, int]]) -> Iterator[RawImage]:
    for path, person in people:
        width, height = size_of(path) or (0, 0)
        whole = RawObject((0.0, 0.0, float(width), float(height)), track=person)
        yield RawImage(path, path.name, [whole] if width else [], (width, height))
