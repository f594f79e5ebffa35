"""Finds the image and the class of a dataset that the keys of a detections file name."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from mot.datasets.dataset import Dataset
from mot.errors import MotError
from mot.formats.video_tracks import find_class
from mot.motfile import base_name

ClassKey = int | str | None  # label in the dataset, name, or not given


@dataclass(frozen=True, slots=True)
class DatasetIndex:
    dataset: Dataset
    numbers: Mapping[int, int]  # position in the dataset of each image number
    names: Mapping[str, int]
    categories: Mapping[int, str] | None = None  # names by COCO id, if the ground truth is COCO

    @classmethod
    def of(cls, dataset: Dataset, categories: Mapping[int, str] | None = None) -> DatasetIndex:
        numbers = {record.number: row for row, record in enumerate(dataset)}
        names = {record.name: row for row, record in enumerate(dataset)}
        stems = [PurePosixPath(record.name).stem for record in dataset]
        counts = Counter(stems)  # unique names are accepted without folder and suffix too
        unique = {stem: row for row, stem in enumerate(stems) if counts[stem] == 1}
        return cls(dataset, numbers, {**unique, **names}, categories)

    def find_image(self, key: int | str) -> int | None:
        """Position in the dataset of an image number or name."""
        known: Mapping[Any, int] = self.names if isinstance(key, str) else self.numbers
        return known.get(key)

    def find_label(self, key: ClassKey) -> int | None:
        """Label in the dataset; None: a class that it does not have."""
        names = self.dataset.names
        if isinstance(key, str):
            same = [label for label, name in enumerate(names) if is_same_class(name, key)]
            return same[0] if same else None
        if key is None:
            return 0 if len(names) == 1 else None
        return key if 0 <= key < len(names) else None

    def class_of_category(self, number: int) -> ClassKey:
        """The class of a COCO id; without known ids labels are counted from 1."""
        return number - 1 if self.categories is None else self.categories.get(number, "")

    def find_frames(self, path: Path) -> Mapping[int, int]:
        """Positions in the dataset of the frames from 1 of one sequence: of the only one, or of
        that with the name of the file. If images belong to no sequence, by their numbers."""
        sequences: dict[str, dict[int, int]] = {}
        for row, record in enumerate(self.dataset):
            sequence, _, file = record.name.rpartition("/")
            stem = PurePosixPath(file).stem
            if not sequence or not stem.isdecimal():
                return self.numbers
            sequences.setdefault(sequence, {})[int(stem)] = row
        named = {base_name(name): frames for name, frames in sequences.items()}
        name = base_name(path.stem)
        if name not in named and len(named) > 1:
            raise MotError(f"{path}: name it after its sequence: {', '.join(sorted(named))}")
        frames = named[name] if name in named else next(iter(named.values()), {})
        return {frame + (0 in frames): row for frame, row in frames.items()}


def is_same_class(name: str, other: str) -> bool:
    """Whether two names are equal or synonyms, such as person and pedestrian."""
    number = find_class(name)
    return name == other or (number is not None and number == find_class(other))
