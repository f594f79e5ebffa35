"""People cut out of the images of datasets, once, and kept in memory."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from mot import boxes as geometry
from mot.datasets.dataset import Annotations, DataSet, ImageRecord
from mot.datasets.identities import UNKNOWN_ID
from mot.datasets.images import read_image
from mot.datasets.problems import Problems
from mot.errors import MotError
from mot.runtime.preprocess import Size
from mot.training.augment.crop import MARGIN, resampled
from mot.training.data.batches import joined
from mot.types import FloatArray, Image, IntArray
from mot.video.background import in_background

# Kept larger than the input, so that boxes can be moved. A crop for an input of 64x128 takes 36 kB,
# one for 128x256 takes 142 kB; each process of torchrun has its own, workers share them.
_MOST_BYTES = 16 << 30
_MIN_HEIGHT = 20  # pixels; smaller crops show too little
_LEAST_SIDE = 2.0  # pixels of what the image holds of a box

UNREAD = "images cannot be read"
LOW = f"people are lower than {_MIN_HEIGHT} pixels, and left out"
UNSEEN = "people are not in their image, and left out"
UNKNOWN = "people have no identity, and are left out"


@dataclass(frozen=True, slots=True, eq=False)
class Crops(Sequence[ImageRecord]):
    """N people, each an image of one object; its label is the crop's place."""

    sources: Sequence[ImageRecord]  # that they were cut out of
    source: IntArray  # (N,) place of that image
    boxes: FloatArray  # (N, 4) xyxy there
    ids: IntArray  # (N,) from 0 without gaps
    sets: IntArray  # (N,) number of the dataset
    pixels: npt.NDArray[np.uint8]  # (M, H, W, 3) BGR, with a margin on each side
    rows: IntArray  # (N,) of the pixels

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int) -> ImageRecord:  # type: ignore[override]
        source = self.sources[int(self.source[index])]
        who = Annotations.of(self.boxes[index], labels=[index], ids=self.ids[index : index + 1])
        return ImageRecord(source.path, source.name, index, source.size, who)

    def read(self, crop: ImageRecord) -> Image:
        image: Image = self.pixels[self.rows[crop.number]]
        return image

    def full_image(self, index: int) -> tuple[Image, Annotations]:
        crop = self[index]
        return self.read(crop), crop.annotations

    def take(self, chosen: Any) -> Crops:
        """A selection, with its identities renumbered."""
        columns = ("source", "boxes", "ids", "sets", "rows")
        taken = replace(self, **{name: getattr(self, name)[chosen] for name in columns})
        return replace(taken, ids=np.unique(taken.ids, return_inverse=True)[1])

    @property
    def people(self) -> int:
        return int(self.ids.max(initial=-1)) + 1

    def shots(self, problems: Problems) -> Iterator[tuple[IntArray, Image]]:
        """The images that can be read, each with the crops in it."""
        edges = np.flatnonzero(np.diff(self.source)) + 1
        for rows in np.split(np.arange(len(self)), edges):
            try:
                if len(rows):
                    yield rows, read_image(self.sources[int(self.source[rows[0]])])
            except MotError as error:
                problems.note(UNREAD, [str(error)])


class _Wanted(NamedTuple):
    """One row each for who is to be cut out."""

    source: IntArray  # image
    boxes: FloatArray
    ids: IntArray
    sets: IntArray

    @classmethod
    def joined(cls, parts: Sequence[_Wanted]) -> _Wanted:
        return cls(*(np.concatenate(column) for column in zip(*parts, strict=True)))


def cut(datasets: Sequence[DataSet], size: Size, problems: Problems) -> Crops:
    """Of datasets with numbered identities, for an input of this size."""
    starts = np.cumsum([0, *map(len, datasets)]).tolist()
    wanted = _Wanted.joined(
        [_wanted_of(data, number, starts[number], problems) for number, data in enumerate(datasets)]
    )
    width, height = (round(side * (1 + 2 * MARGIN)) for side in size)
    count = len(wanted.ids)
    if count * width * height * 3 > _MOST_BYTES:
        raise MotError(
            f"{count} crops of {width}x{height} are too many to keep: set every in [[data.train]]"
        )
    pixels = np.zeros((count, height, width, 3), np.uint8)
    crops = Crops(joined(datasets), *wanted, pixels, np.arange(count))
    return crops.take(np.flatnonzero(_filled(crops, problems)))


def _wanted_of(data: DataSet, number: int, start: int, problems: Problems) -> _Wanted:
    source = data.annotations
    records = np.repeat(np.arange(len(data)), [len(record.annotations) for record in data])
    is_known = source.ids != UNKNOWN_ID
    is_low = source.boxes[:, 3] - source.boxes[:, 1] < _MIN_HEIGHT
    for kind, rows in ((UNKNOWN, ~is_known & ~source.ignored), (LOW, is_known & is_low)):
        problems.note(kind, (data[place].name for place in records[rows].tolist()))
    chosen = is_known & ~is_low & ~source.ignored
    sets = np.full(int(chosen.sum()), number)
    return _Wanted(start + records[chosen], source.boxes[chosen], source.ids[chosen], sets)


def _filled(crops: Crops, problems: Problems) -> npt.NDArray[np.bool_]:
    """(N,) which of the crops have their pixels now."""
    seen = np.zeros(len(crops), np.bool_)
    with closing(in_background(crops.shots(problems), depth=4)) as shots:
        for rows, image in shots:
            for row in rows.tolist():
                seen[row] = _keep(image, crops.boxes[row], crops.pixels[row])
            unseen = rows[~seen[rows]]
            name = crops.sources[int(crops.source[rows[0]])].name
            problems.note(UNSEEN, (f"{name} {crops.boxes[row].tolist()}" for row in unseen))
    return seen


def _keep(image: Image, box: FloatArray, into: Image) -> bool:
    """What the image holds of the box, with a margin; whether that is anything."""
    height, width = image.shape[:2]
    left, top, right, bottom = geometry.clip(box, width, height).tolist()
    wide, high = right - left, bottom - top
    if min(wide, high) < _LEAST_SIDE:
        return False
    x, y = MARGIN * wide, MARGIN * high
    window = left - x, top - y, right + x, bottom + y
    into[:] = resampled(image, window, False, (into.shape[1], into.shape[0]))
    return True
