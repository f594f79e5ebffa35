"""Crops of the objects of datasets, cut once and kept in memory."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

from mot import boxes as geometry
from mot.datasets.dataset import UNKNOWN_ID, Annotations, BoolArray, Dataset, ImageRecord
from mot.datasets.images import read_image
from mot.datasets.problems import Problems
from mot.errors import MotError
from mot.runtime.preprocess import Size
from mot.training.augment.crop import MARGIN, resample
from mot.training.data.batches import concat_records
from mot.types import FloatArray, Image, IntArray
from mot.video.background import in_background

# Crops have a margin, so that boxes can be moved. One for an input of 64x128 takes 36 kB, one for
# 128x256 takes 142 kB. Workers share them; each process of torchrun has its own.
_MAX_BYTES = 16 << 30
_MIN_HEIGHT = 20  # pixels of a box
_MIN_SIDE = 2.0  # pixels of a box in the image

UNREADABLE = "images cannot be read"
TOO_SMALL = f"objects are lower than {_MIN_HEIGHT} pixels, and left out"
OUTSIDE = "objects are outside their image, and left out"
UNKNOWN = "objects have no identity, and are left out"


@dataclass(frozen=True, slots=True, eq=False)
class Crops(Sequence[ImageRecord]):
    """N crops, each an image record with one object, whose label is the row of the crop."""

    images: Sequence[ImageRecord]  # that they are cut from
    image_rows: IntArray  # (N,) row of the image of each crop
    boxes: FloatArray  # (N, 4) xyxy in that image
    ids: IntArray  # (N,) from 0 without gaps
    datasets: IntArray  # (N,) number of the dataset
    pixels: Image  # (M, H, W, 3) BGR, with a margin on each side
    pixel_rows: IntArray  # (N,) row of the pixels of each crop

    def __len__(self) -> int:
        return len(self.pixel_rows)

    def __getitem__(self, index: int) -> ImageRecord:  # type: ignore[override]
        image = self.images[int(self.image_rows[index])]
        one = Annotations.of(self.boxes[index], labels=[index], ids=self.ids[index : index + 1])
        return ImageRecord(image.path, image.name, index, image.size, one)

    def read(self, crop: ImageRecord) -> Image:
        pixels: Image = self.pixels[self.pixel_rows[crop.number]]
        return pixels

    def read_annotated(self, index: int) -> tuple[Image, Annotations]:
        crop = self[index]
        return self.read(crop), crop.annotations

    def select(self, rows: IntArray) -> Crops:
        """Some of the crops, with renumbered identities."""
        columns = ("image_rows", "boxes", "ids", "datasets", "pixel_rows")
        selected = replace(self, **{name: getattr(self, name)[rows] for name in columns})
        return replace(selected, ids=np.unique(selected.ids, return_inverse=True)[1])

    @property
    def num_ids(self) -> int:
        return int(self.ids.max(initial=-1)) + 1

    def read_images(self, problems: Problems) -> Iterator[tuple[IntArray, Image]]:
        """The rows of the crops of each image, and that image; unreadable ones are left out."""
        edges = np.flatnonzero(np.diff(self.image_rows)) + 1
        for rows in np.split(np.arange(len(self)), edges):
            try:
                if len(rows):
                    yield rows, read_image(self.images[int(self.image_rows[rows[0]])])
            except MotError as error:
                problems.add(UNREADABLE, [str(error)])


class _CropTable(NamedTuple):
    """The first columns of `Crops`, before their pixels are read."""

    image_rows: IntArray
    boxes: FloatArray
    ids: IntArray
    datasets: IntArray


def cut_crops(datasets: Sequence[Dataset], size: Size, problems: Problems) -> Crops:
    """The crops of datasets with numbered identities, for a network input of this size."""
    starts = np.cumsum([0, *map(len, datasets)]).tolist()
    tables = [
        _choose_objects(data, number, starts[number], problems)
        for number, data in enumerate(datasets)
    ]
    table = _CropTable(*(np.concatenate(column) for column in zip(*tables, strict=True)))
    width, height = (round(side * (1 + 2 * MARGIN)) for side in size)
    count = len(table.ids)
    if count * width * height * 3 > _MAX_BYTES:
        raise MotError(
            f"{count} crops of {width}x{height} are too many to keep: set every in [[data.train]]"
        )
    pixels = np.zeros((count, height, width, 3), np.uint8)
    crops = Crops(concat_records(datasets), *table, pixels, np.arange(count))
    return crops.select(np.flatnonzero(_fill_pixels(crops, problems)))


def _choose_objects(data: Dataset, number: int, start: int, problems: Problems) -> _CropTable:
    """The usable objects of one dataset, whose images begin at the row `start`."""
    source = data.annotations
    images = np.repeat(np.arange(len(data)), [len(record.annotations) for record in data])
    is_known = source.ids != UNKNOWN_ID
    is_small = source.boxes[:, 3] - source.boxes[:, 1] < _MIN_HEIGHT
    for kind, rows in ((UNKNOWN, ~is_known & ~source.ignored), (TOO_SMALL, is_known & is_small)):
        problems.add(kind, (data[image].name for image in images[rows].tolist()))
    chosen = is_known & ~is_small & ~source.ignored
    datasets = np.full(int(chosen.sum()), number)
    return _CropTable(start + images[chosen], source.boxes[chosen], source.ids[chosen], datasets)


def _fill_pixels(crops: Crops, problems: Problems) -> BoolArray:
    """(N,) whether each crop now has its pixels."""
    is_filled = np.zeros(len(crops), np.bool_)
    with closing(in_background(crops.read_images(problems), depth=4)) as images:
        for rows, image in images:
            for row in rows.tolist():
                is_filled[row] = _copy_crop(image, crops.boxes[row], crops.pixels[row])
            empty = rows[~is_filled[rows]]
            name = crops.images[int(crops.image_rows[rows[0]])].name
            problems.add(OUTSIDE, (f"{name} {crops.boxes[row].tolist()}" for row in empty))
    return is_filled


def _copy_crop(image: Image, box: FloatArray, pixels: Image) -> bool:
    """Copies the part of the box in the image, with a margin; False if it is too small."""
    height, width = image.shape[:2]
    left, top, right, bottom = geometry.clip(box, width, height).tolist()
    box_width, box_height = right - left, bottom - top
    if min(box_width, box_height) < _MIN_SIDE:
        return False
    x, y = MARGIN * box_width, MARGIN * box_height
    window = left - x, top - y, right + x, bottom + y
    pixels[:] = resample(image, window, False, (pixels.shape[1], pixels.shape[0]))
    return True
