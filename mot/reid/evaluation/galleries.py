"""Re-ID galleries: datasets in Market-1501's layout, and sequences with ground truth."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from mot import boxes
from mot.datasets.market import DISTRACTOR, GALLERY, QUERIES, CropFolder, read_crop_folder
from mot.errors import MotError
from mot.formats.mot_text import read_ground_truth
from mot.formats.video_tracks import PEDESTRIAN, UNKNOWN, select_rows
from mot.motfile import MotRows, Sequence, find_sequences
from mot.reid.evaluation.crops import CropFiles, Crops, EmbeddedCrops, FrameCrops
from mot.reid.evaluation.retrieval import (
    Exclusion,
    IdentityEmbeddings,
    Retrieval,
    exclude_same_camera,
    exclude_sooner_than,
    retrieve,
)
from mot.types import IntArray
from mot.video.footage import find_footage

DEFAULT_GAP = 50  # frames
_FRAMES = 150  # frames of a sequence that are used, or up to twice as many
_MIN_VISIBILITY = 0.3


@dataclass(frozen=True, slots=True, eq=False)
class Gallery:
    """N crops with ids, and which of them are queries and gallery."""

    name: str
    crops: Crops
    ids: IntArray  # (N,)
    views: IntArray  # (N,) camera, or frame of a sequence
    queries: IntArray  # (Q,) rows
    gallery: IntArray  # (G,) rows
    exclusion: Exclusion
    notes: tuple[str, ...] = ()


class GalleryRetrieval(NamedTuple):
    queries: IntArray  # (Q,) rows of the valid crops
    gallery: IntArray  # (G,) rows
    retrieval: Retrieval


def search_gallery(gallery: Gallery, embedded: EmbeddedCrops) -> GalleryRetrieval:
    """Ranks the valid crops of the gallery for each valid query."""
    embeddings = IdentityEmbeddings(embedded.vectors, gallery.ids, gallery.views)
    queries, others = (rows[embedded.valid[rows]] for rows in (gallery.queries, gallery.gallery))
    found = retrieve(embeddings[queries], embeddings[others], gallery.exclusion)
    return GalleryRetrieval(queries, others, found)


def read_galleries(
    source: str | Path, gap: int = DEFAULT_GAP, every: int | None = None
) -> list[Gallery]:
    """Galleries of a folder in Market-1501's layout, of a sequence, or of a dataset of sequences.

    In a sequence, a query ranks the objects of frames at least `gap` later. Only every `every`-th
    frame is used.
    """
    path = Path(source).expanduser()
    if not path.is_dir():
        raise MotError(f"{path}: {'not a folder' if path.exists() else 'no such folder'}")
    if any((path / part).is_dir() for part in (QUERIES, GALLERY)):
        return [_read_market(path)]
    if not any(any(path.glob(f"{above}gt/gt.txt")) for above in ("", "*/", "*/*/")):
        raise MotError(
            f"{path}: contains neither {QUERIES}/ and {GALLERY}/, as Market-1501, nor a sequence "
            "with gt/gt.txt"
        )
    sequences: dict[str, Sequence] = {}  # one of those that only differ in their detections
    for sequence in find_sequences(path):
        if sequence.ground_truth:
            sequences.setdefault(sequence.base_name, sequence)
    galleries, errors = [], []
    for sequence in sequences.values():
        try:
            galleries.append(read_sequence_gallery(sequence, gap, every))
        except MotError as error:
            errors.append(error)
    if not galleries:
        raise errors[0]
    notes = tuple(f"left out: {error}" for error in errors)
    galleries[0] = replace(galleries[0], notes=notes)
    return galleries


def _read_market(folder: Path) -> Gallery:
    parts = {folder / name: read_crop_folder(folder / name) for name in (QUERIES, GALLERY)}
    queries, gallery = parts.values()
    rows = np.arange(len(queries.paths) + len(gallery.paths))
    ids = np.concatenate([queries.ids, gallery.ids])
    if (queries.ids == DISTRACTOR).any():  # ids of this dataset start at 0
        ids += 1
    return Gallery(
        folder.absolute().name,
        CropFiles(queries.paths + gallery.paths),
        ids,
        np.concatenate([queries.cameras, gallery.cameras]),
        rows[: len(queries.paths)],
        rows[len(queries.paths) :],
        exclude_same_camera,
        tuple(_note(path, part) for path, part in parts.items() if part.unnamed),
    )


def _note(path: Path, folder: CropFolder) -> str:
    names = ", ".join([*folder.unnamed[:3], *["..."][: len(folder.unnamed) > 3]])
    return f"{path}: left out {len(folder.unnamed)} files without an id in their name ({names})"


def read_sequence_gallery(sequence: Sequence, gap: int, every: int | None) -> Gallery:
    """Gallery of a sequence with ground truth, as far as it has images."""
    assert sequence.ground_truth is not None
    footage = find_footage(sequence.name, sequence.folder)
    if footage is None:
        raise MotError(f"{sequence.folder}: has no images: no img1/ and no video")
    truth = read_ground_truth(sequence).rows
    last = min(truth.last_frame, footage.last or truth.last_frame)
    step = every or max(1, last // _FRAMES)
    used = _is_usable(truth) & (truth.frames <= last) & ((truth.frames - 1) % step == 0)
    objects = select_rows(truth, np.flatnonzero(used))
    _check_gap(sequence, objects, gap)
    xyxy = boxes.xywh_to_xyxy(objects.xywh).astype(np.float32)
    rows = np.arange(len(objects))
    return Gallery(
        sequence.name,
        FrameCrops(footage, objects.frames, xyxy, sequence.size),
        np.where(objects.ids == DISTRACTOR, objects.ids.max() + 1, objects.ids),
        objects.frames,
        rows,
        rows,
        exclude_sooner_than(gap),
    )


def _is_usable(truth: MotRows) -> npt.NDArray[np.bool_]:
    """(N,) pedestrians that are flagged to be evaluated and visible enough."""
    counted = (truth.ids >= 0) & np.isin(truth.classes, (PEDESTRIAN, UNKNOWN)) & (truth.scores != 0)
    visible = (truth.visibility == UNKNOWN) | (truth.visibility >= _MIN_VISIBILITY)
    usable: npt.NDArray[np.bool_] = counted & visible
    return usable


def _check_gap(sequence: Sequence, objects: MotRows, gap: int) -> None:
    """Raises if no object is visible for longer than the gap."""
    if not len(objects):
        raise MotError(f"{sequence.ground_truth}: no usable object in the frames with images")
    spans = [np.ptp(objects.frames[objects.ids == number]) for number in np.unique(objects.ids)]
    longest = int(max(spans))
    if longest < gap:
        smaller = f"a gap of {max(1, longest // 2)}" if longest else "a smaller --every"
        raise MotError(
            f"{sequence.folder}: no object appears {gap} frames later, the longest {longest} "
            f"(where there are images): give {smaller}"
        )
