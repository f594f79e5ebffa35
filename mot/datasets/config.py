"""One `[[data.train]]` table of a recipe: where a dataset is and what is taken from it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

BOXES = ("full", "visible")
OTHERS = ("ignore", "keep", "drop")
IDENTITIES = ("annotated", "boxes", "none")


@dataclass(frozen=True, slots=True)
class DataSettings:
    annotations: str  # a file, or a folder
    images: str = ""  # the folder that its names of images begin in; else looked for beside
    format: str = ""  # one of `loading.FORMATS`; else guessed
    split: str = ""  # of VOC: a list in ImageSets/Main, or a file; of YOLO: a folder in labels
    boxes: str = "full"  # or visible: the part that is seen
    clip: bool = False  # cut boxes at the edges of the image
    classes: tuple[str, ...] = ()  # the others are left out; else person, else all that there are
    others: str = "ignore"  # or keep, drop: riders and sitting people, where annotations mark them
    weight: float = 1.0  # 2: each image comes twice as often
    every: int = 1  # only every n-th image
    min_visibility: float = 0.0  # objects of which a smaller share is seen are ignored
    min_height: float = 0.0  # pixels; lower objects are ignored
    identities: str = "annotated"  # or boxes: each box is a new identity; or none
    gap: int = 50  # frames after which an embedder is to find people of a sequence again

    def __post_init__(self) -> None:
        _check_choice("boxes", self.boxes, BOXES)
        _check_choice("others", self.others, OTHERS)
        _check_choice("identities", self.identities, IDENTITIES)
        if not self.annotations:
            raise ValueError("annotations is empty: name a file or a folder")
        for key in ("every", "gap"):
            if getattr(self, key) < 1:
                raise ValueError(f"{key} = {getattr(self, key)} must be 1 or more")
        if self.min_visibility > 1:
            raise ValueError(f"min_visibility = {self.min_visibility} is a share, at most 1")

    @property
    def source(self) -> Path:
        return Path(self.annotations).expanduser()

    def image_folder(self, guesses: Iterable[Path]) -> Path:
        """As given, else the first existing candidate, else the last."""
        if self.images:
            return Path(self.images).expanduser()
        folders = list(guesses)
        return next((folder for folder in folders if folder.is_dir()), folders[-1])


def _check_choice(key: str, value: str, known: tuple[str, ...]) -> None:
    if value not in known:
        raise ValueError(f"{key} = {value!r} must be one of {', '.join(known)}")
