"""One `[[data.train]]` table of a recipe: where a dataset is, and what is used of it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from mot.settings import bounds

# In the order in which `detect_format` tries them; the keys of `load.FORMATS`.
FORMAT_NAMES = tuple("crowdhuman coco market jde mot citypersons eurocity voc yolo".split())
COCO_DETECTION = "coco-detection"  # `mot convert`: COCO of images, beside that of tracks
BOXES = ("full", "visible")
OTHERS = ("ignore", "keep", "drop")
IDENTITIES = ("annotated", "boxes", "none")


@dataclass(frozen=True, slots=True)
class DataSettings:
    annotations: str  # a file or a folder
    images: str = ""  # folder of the image names; default: searched near the annotations
    format: str = ""  # one of FORMAT_NAMES; default: detected
    split: str = ""  # VOC: a list in ImageSets/Main, or a file; YOLO and Market-1501: a subfolder
    boxes: str = "full"  # or visible: the visible part
    clip: bool = False  # boxes to the image
    classes: tuple[str, ...] = ()  # default: person if there is such a class, else all
    others: str = "ignore"  # or keep, drop: riders and sitting persons, where annotated as such
    weight: float = 1.0  # how often each image is drawn in an epoch
    every: int = field(default=1, metadata=bounds(min=1))  # n: every n-th image only
    min_visibility: float = field(default=0.0, metadata=bounds(max=1))  # objects below are ignored
    min_height: float = 0.0  # pixels; smaller objects are ignored
    identities: str = "annotated"  # or boxes: each box is a new identity; or none
    # Minimum frames between a query and its gallery, in validation of embedders on sequences.
    gap: int = field(default=50, metadata=bounds(min=1))

    def __post_init__(self) -> None:
        for key, known in (("boxes", BOXES), ("others", OTHERS), ("identities", IDENTITIES)):
            value = getattr(self, key)
            if value not in known:
                raise ValueError(f"{key} = {value!r} must be one of {', '.join(known)}")
        if not self.annotations:
            raise ValueError("annotations is empty: name a file or a folder")

    @property
    def source(self) -> Path:
        return Path(self.annotations).expanduser()

    def image_folder(self, candidates: Iterable[Path]) -> Path:
        """`images` if it is set, else the first existing candidate, else the last candidate."""
        if self.images:
            return Path(self.images).expanduser()
        folders = list(candidates)
        return next((folder for folder in folders if folder.is_dir()), folders[-1])
