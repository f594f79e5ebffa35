"""Which image and which class of a dataset the words of a file mean."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from mot.datasets.dataset import DataSet
from mot.errors import MotError
from mot.formats.video_tracks import MOT_CLASSES, find_class
from mot.motfile import base_name

Class = int | str | None  # by the dataset's number, by name, or unknown


@dataclass(frozen=True, slots=True)
class Key:
    dataset: DataSet
    numbers: Mapping[int, int]  # of images, to their positions in the dataset
    names: Mapping[str, int]
    categories: Mapping[int, str] | None = None  # COCO's, where the ground truth is of COCO

    @classmethod
    def of(cls, dataset: DataSet, categories: Mapping[int, str] | None = None) -> Key:
        numbers = {record.number: place for place, record in enumerate(dataset)}
        names = {record.name: place for place, record in enumerate(dataset)}
        stems = [PurePosixPath(record.name).stem for record in dataset]
        counts = Counter(stems)  # an image is known without folder and suffix too
        alone = {stem: place for place, stem in enumerate(stems) if counts[stem] == 1}
        return cls(dataset, numbers, {**alone, **names}, categories)

    def place_of(self, record: int | str) -> int | None:
        known: Mapping[Any, int] = self.names if isinstance(record, str) else self.numbers
        return known.get(record)

    def label_of(self, value: Class) -> int | None:
        """None: a class that is not in the dataset."""
        names = self.dataset.names
        if isinstance(value, str):
            same = [label for label, name in enumerate(names) if is_same_class(name, value)]
            return same[0] if same else None
        if value is None:
            return 0 if len(names) == 1 else None
        return value if 0 <= value < len(names) else None

    def category(self, number: int) -> Class:
        """What COCO's number stands for; without a list of them labels are counted from 1."""
        return number - 1 if self.categories is None else self.categories.get(number, "")

    def frames(self, path: Path) -> Mapping[int, int]:
        """The positions of the frames, from 1, of the sequence that a file of detections is named
        after, or of the only one; by number where the images are of no sequence."""
        sequences: dict[str, dict[int, int]] = {}
        for place, record in enumerate(self.dataset):
            sequence, _, file = record.name.rpartition("/")
            stem = PurePosixPath(file).stem
            if not sequence or not stem.isdecimal():
                return self.numbers
            sequences.setdefault(sequence, {})[int(stem)] = place
        named = {base_name(name): frames for name, frames in sequences.items()}
        name = base_name(path.stem)
        if name not in named and len(named) > 1:
            raise MotError(f"{path}: name it after its sequence: {', '.join(sorted(named))}")
        frames = named[name] if name in named else next(iter(named.values()), {})
        return {frame + (0 in frames): place for frame, place in frames.items()}


def is_same_class(name: str, other: str) -> bool:
    """People have many names."""
    number = find_class(name)
    return name == other or (number is not None and number == find_class(other))


def mot_class(number: int) -> str:
    return MOT_CLASSES.get(number, "")
