"""Loads a dataset in any of the known formats.

To add a format: write a module with `read` and `detect`, add it to `FORMATS`, and its name to
`config.FORMAT_NAMES`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from mot.datasets import citypersons, coco, crowdhuman, eurocity, jde, market, mot, voc, yolo
from mot.datasets.build import LoadedDataset, build_dataset
from mot.datasets.config import DataSettings
from mot.datasets.parsing import RawDataset
from mot.errors import MotError, suggest

__all__ = ["FORMATS", "DataSettings", "LoadedDataset", "detect_format", "load_dataset"]


@dataclass(frozen=True, slots=True)
class DatasetFormat:
    read: Callable[[DataSettings], RawDataset]
    detect: Callable[[Path], bool]  # whether a file or folder is in this format


# In the order in which they are tried: the files of later ones may lie in folders of earlier ones.
FORMATS = {
    "crowdhuman": DatasetFormat(crowdhuman.read, crowdhuman.detect),
    "coco": DatasetFormat(coco.read, coco.detect),
    "market": DatasetFormat(market.read, market.detect),
    "jde": DatasetFormat(jde.read, jde.detect),
    "mot": DatasetFormat(mot.read, mot.detect),
    "citypersons": DatasetFormat(citypersons.read, citypersons.detect),
    "eurocity": DatasetFormat(eurocity.read, eurocity.detect),
    "voc": DatasetFormat(voc.read, voc.detect),
    "yolo": DatasetFormat(yolo.read, yolo.detect),
}


def load_dataset(
    settings: DataSettings, read_sizes: bool = False, keep_missing: bool = False
) -> LoadedDataset:
    """The dataset, and its problems.

    Args:
        read_sizes: read image sizes that are not annotated from the files' headers.
        keep_missing: keep images whose files are missing, for scoring given detections.
    """
    source = settings.source
    if not source.exists():
        raise MotError(f"{source}: no such file or folder")
    name = settings.format or detect_format(source)
    if not name:
        raise MotError(f"{source}: unknown format: give one of {', '.join(FORMATS)}")
    if name not in FORMATS:
        raise MotError(f"unknown dataset format {name!r}: {suggest(name, FORMATS)}")
    return build_dataset(FORMATS[name].read(settings), settings, read_sizes, keep_missing)


def detect_format(source: Path) -> str:
    """Name of the format of a file or folder; empty if it is unknown."""
    return next((name for name, each in FORMATS.items() if each.detect(source)), "")
