"""MOTChallenge sequences: every frame is an image."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from mot import boxes
from mot.datasets.config import DataSettings
from mot.datasets.parsing import RawDataset, RawImage, RawObject
from mot.datasets.video_frames import frames_of_video
from mot.errors import MotError
from mot.formats import mot_text
from mot.formats.video_tracks import CROWD, MOT_CLASSES, PEDESTRIAN, UNKNOWN
from mot.motfile import MotRows, Sequence, any_video, find_sequences, list_images

# People on vehicles, who stand still, who are like people, in mirrors, in crowds.
_IGNORED = (2, 7, 8, 12, CROWD)


def read(settings: DataSettings) -> RawDataset:
    """Of sequences that differ in their public detections alone, one."""
    found = [each for each in find_sequences(settings.source) if each.ground_truth]
    if not found:
        raise MotError(f"{settings.source}: no gt/gt.txt in it: there is nothing to learn")
    sequences: dict[str, Sequence] = {}
    for sequence in found:
        sequences.setdefault(sequence.base_name, sequence)
    return RawDataset(_pictures([_with_pictures(each) for each in sequences.values()]))


def _with_pictures(sequence: Sequence) -> Sequence:
    """With those of its video, where it has no others."""
    if sequence.images:
        return sequence
    folder = sequence.folder
    video = any_video(folder, sequence.name)
    if video is None:
        raise MotError(
            f"{folder}: has no images: img1/ with 000001.jpg, ..., or {sequence.name}.mp4"
        )
    return replace(sequence, images=frames_of_video(video))


def _pictures(sequences: list[Sequence]) -> Iterator[RawImage]:
    for sequence in sequences:
        rows = mot_text.read_ground_truth(sequence).rows
        things = _things(rows, sequence.name)
        paths = _paths(sequence)
        missing = {frame: _missing(sequence, frame) for frame in things.keys() - paths.keys()}
        for frame, path in sorted({**paths, **missing}.items()):
            name = f"{sequence.name}/{path.name}"
            yield RawImage(path, name, things.get(frame, []), sequence.size or (0, 0))


def _paths(sequence: Sequence) -> dict[int, Path]:
    """The image of each frame from 1, whether files count from 0 or from 1."""
    assert sequence.images is not None
    paths = {int(p.stem): p for p in list_images(sequence.images) if p.stem.isdecimal()}
    shift = 1 if 0 in paths else 0
    return {number + shift: path for number, path in paths.items()}


def _missing(sequence: Sequence, frame: int) -> Path:
    assert sequence.images is not None
    return sequence.images / f"{frame:06d}.jpg"


def _things(rows: MotRows, name: str) -> dict[int, list[RawObject]]:
    """Those of each frame that has any."""
    xyxy = boxes.xywh_to_xyxy(rows.xywh).tolist()
    columns = (rows.classes.tolist(), rows.scores.tolist(), rows.visibility.tolist())
    ids, classes, scores, visibility = rows.ids.tolist(), *columns
    return {
        frame: [
            RawObject(
                tuple(xyxy[row]),
                _name_of(classes[row]),
                ignored=classes[row] in _IGNORED or scores[row] == 0,
                visibility=visibility[row] if visibility[row] != UNKNOWN else None,
                track=(name, ids[row]) if ids[row] != UNKNOWN else None,
            )
            for row in index.tolist()
        ]
        for frame, index in rows.by_frame()
    }


def _name_of(number: int) -> str:
    if number in (UNKNOWN, PEDESTRIAN, *_IGNORED):
        return "person"
    return MOT_CLASSES.get(number, f"class_{number}")
