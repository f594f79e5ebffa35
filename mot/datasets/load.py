"""Datasets by format: each is read by its own module, and becomes one kind of value."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

from mot.datasets import citypersons, coco, crowdhuman, eurocity, jde, market, mot, voc, yolo
from mot.datasets.build import Loaded, collect
from mot.datasets.config import DataSettings
from mot.datasets.parsing import RawDataset
from mot.errors import MotError, suggest

__all__ = ["FORMATS", "DataSettings", "Loaded", "guess", "load"]

FORMATS: dict[str, Callable[[DataSettings], RawDataset]] = {
    "crowdhuman": crowdhuman.read,
    "coco": coco.read,
    "voc": voc.read,
    "mot": mot.read,
    "eurocity": eurocity.read,
    "citypersons": citypersons.read,
    "yolo": yolo.read,
    "jde": jde.read,
    "market": market.read,
}
_SUFFIXES = {".odgt": "crowdhuman", ".json": "coco", **dict.fromkeys(jde.LISTS, "jde")}
# Of a folder: the first format of which such a file lies in it.
_PATTERNS = (
    ("market", market.TRAIN),
    *(("jde", f"{stars}{jde.LABELS}") for stars in ("", "*/", "*/*/")),
    *(("mot", f"{stars}gt/gt.txt") for stars in ("", "*/", "*/*/")),
    ("citypersons", f"**/*{citypersons.SUFFIX}"),
    ("eurocity", "**/*.json"),
    ("voc", "*.xml"),
    ("voc", "Annotations/*.xml"),
    ("yolo", "labels/**/*.txt"),
    ("yolo", "**/*.txt"),
)


def load(settings: DataSettings, sizes: bool = False, absent: bool = False) -> Loaded:
    """The dataset, and what is wrong in it. With `sizes` each image has its size, which is read
    from the header of its file if it is not annotated. With `absent` images that are missing
    are kept: who has detections needs no images."""
    source = settings.source
    if not source.exists():
        raise MotError(f"{source}: no such file or folder")
    name = settings.format or guess(source)
    if not name:
        raise MotError(f"{source}: unknown format: give one of {', '.join(FORMATS)}")
    if name not in FORMATS:
        raise MotError(f"unknown format {name!r} of a dataset: {suggest(name, FORMATS)}")
    return collect(FORMATS[name](settings), settings, sizes, absent)


def guess(source: Path) -> str:
    """By suffix or by the content of the folder; empty if unknown."""
    if source.is_dir():
        return next(_guesses(source), "")
    return _SUFFIXES.get(source.suffix.lower(), "")


def _guesses(folder: Path) -> Iterator[str]:
    for name, pattern in _PATTERNS:
        if next(folder.glob(pattern), None):
            yield name
