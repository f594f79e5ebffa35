"""MOTChallenge sequences: each frame is an image."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from mot import boxes
from mot.datasets.config import DataSettings
from mot.datasets.parsing import RawDataset, RawImage, RawObject, contains
from mot.datasets.video_frames import extract_frames
from mot.errors import MotError
from mot.formats import mot_text
from mot.formats.video_tracks import CROWD, MOT_CLASSES, PEDESTRIAN, UNKNOWN
from mot.motfile import MotRows, Sequence, any_video, find_sequences, list_images

# Person on vehicle, static person, distractor, reflection, crowd.
_IGNORED = (2, 7, 8, 12, CROWD)


def detect(path: Path) -> bool:
    return contains(path, *(f"{parents}gt/gt.txt" for parents in ("", "*/", "*/*/")))


def read(settings: DataSettings) -> RawDataset:
    """Of sequences that differ only in their public detections, the first is used."""
    found = [each for each in find_sequences(settings.source) if each.ground_truth]
    if not found:
        raise MotError(f"{settings.source}: no gt/gt.txt in it: annotations are required")
    sequences: dict[str, Sequence] = {}
    for sequence in found:
        sequences.setdefault(sequence.base_name, sequence)
    return RawDataset(_build_images([_with_images(each) for each in sequences.values()]))


def _with_images(sequence: Sequence) -> Sequence:
    """The sequence with the frames of its video, if it has no images."""
    if sequence.images:
        return sequence
    folder = sequence.folder
    video = any_video(folder, sequence.name)
    if video is None:
        raise MotError(
            f"{folder}: has no images: img1/ with 000001.jpg, ..., or {sequence.name}.mp4"
        )
    return replace(sequence, images=extract_frames(video))


def _build_images(sequences: list[Sequence]) -> Iterator[RawImage]:
    for sequence in sequences:
        assert sequence.images is not None
        rows = mot_text.read_ground_truth(sequence).rows
        objects = _group_by_frame(rows, sequence.name)
        paths = _frame_paths(sequence.images)
        missing = {
            frame: sequence.images / f"{frame:06d}.jpg" for frame in objects.keys() - paths.keys()
        }
        for frame, path in sorted({**paths, **missing}.items()):
            name = f"{sequence.name}/{path.name}"
            yield RawImage(path, name, objects.get(frame, []), sequence.size or (0, 0))


def _frame_paths(folder: Path) -> dict[int, Path]:
    """The image of each frame from 1, whether its files are numbered from 0 or from 1."""
    paths = {int(path.stem): path for path in list_images(folder) if path.stem.isdecimal()}
    shift = 1 if 0 in paths else 0
    return {number + shift: path for number, path in paths.items()}


def _group_by_frame(rows: MotRows, name: str) -> dict[int, list[RawObject]]:
    """The objects of each frame that has any; `name` of the sequence."""
    xyxy = boxes.xywh_to_xyxy(rows.xywh).tolist()
    ids, classes = rows.ids.tolist(), rows.classes.tolist()
    scores, visibility = rows.scores.tolist(), rows.visibility.tolist()
    return {
        frame: [
            RawObject(
                tuple(xyxy[row]),
                _class_name(classes[row]),
                ignored=classes[row] in _IGNORED or scores[row] == 0,
                visibility=visibility[row] if visibility[row] != UNKNOWN else None,
                track=(name, ids[row]) if ids[row] != UNKNOWN else None,
            )
            for row in index.tolist()
        ]
        for frame, index in rows.by_frame()
    }


def _class_name(number: int) -> str:
    if number in (UNKNOWN, PEDESTRIAN, *_IGNORED):
        return "person"
    return MOT_CLASSES.get(number, f"class_{number}")
