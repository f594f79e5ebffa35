"""COCO-style video JSON, as the readers of ByteTrack, mmtracking and TAO expect it."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain
from typing import Any, NamedTuple

import numpy as np

from mot.formats.cocoreader import read
from mot.formats.model import CROWD, PEDESTRIAN, UNKNOWN, VideoTracks, plain
from mot.types import IntArray

__all__ = ["document", "lines", "numbered", "read"]
_NO_IMAGE = -1  # before the first and after the last


class _Part(NamedTuple):
    """A video's place in the file."""

    video: VideoTracks
    number: int
    frames: IntArray  # those that have an image, in order
    first_image: int


def lines(videos: Sequence[VideoTracks]) -> Iterator[str]:
    """Ids of videos, images and annotations count from 1 through the file; those of tracks are
    the video's own."""
    parts = _parts(videos)
    sections: dict[str, Iterable[dict[str, Any]]] = {
        "videos": map(_video_entry, parts),
        "images": chain.from_iterable(map(_image_entries, parts)),
        "annotations": numbered(chain.from_iterable(map(_annotation_entries, parts))),
        "categories": _category_entries(videos),
    }
    return document("tracks in video", sections)


def document(
    description: str, sections: Mapping[str, Iterable[Mapping[str, Any]]]
) -> Iterator[str]:
    """The text of a JSON file: an entry a line."""
    yield '{\n"info": ' + json.dumps({"description": description})
    for name, entries in sections.items():
        yield f',\n"{name}": ['
        yield from _joined(entries)
        yield "]"
    yield "\n}\n"


def _joined(entries: Iterable[Mapping[str, Any]]) -> Iterator[str]:
    separator = "\n"
    for entry in entries:
        yield separator + json.dumps(entry)
        separator = ",\n"


def _parts(videos: Sequence[VideoTracks]) -> list[_Part]:
    parts, first = [], 1
    for number, video in enumerate(videos, 1):
        frames = _frames_with_image(video)
        parts.append(_Part(video, number, frames, first))
        first += len(frames)
    return parts


def _frames_with_image(video: VideoTracks) -> IntArray:
    if video.images is None:
        return np.arange(1, video.length + 1)
    named = np.flatnonzero([bool(name) for name in video.images]) + 1
    return np.union1d(named, video.rows.frames)


def _video_entry(part: _Part) -> dict[str, Any]:
    video = part.video
    entry = {"id": part.number, "name": video.name, "file_name": video.name, "fps": video.fps}
    return {**entry, **_size_entry(video), "length": video.length}


def _size_entry(video: VideoTracks) -> dict[str, int]:
    return {"width": video.size[0], "height": video.size[1]} if video.size else {}


def _image_entries(part: _Part) -> Iterator[dict[str, Any]]:
    last_image = part.first_image + len(part.frames) - 1
    for image, frame in enumerate(part.frames.tolist(), part.first_image):
        yield {
            "id": image,
            "file_name": _image_name(part.video, frame),
            "frame_id": frame,
            "frame_index": frame - 1,
            "video_id": part.number,
            **_size_entry(part.video),
            "prev_image_id": image - 1 if image > part.first_image else _NO_IMAGE,
            "next_image_id": image + 1 if image < last_image else _NO_IMAGE,
        }


def _image_name(video: VideoTracks, frame: int) -> str:
    given = video.images[frame - 1] if video.images else ""
    return given or f"{video.name}/img1/{frame:06d}.jpg"


def _annotation_entries(part: _Part) -> Iterator[dict[str, Any]]:
    rows = part.video.rows
    areas = rows.xywh[:, 2] * rows.xywh[:, 3]
    images = part.first_image + np.searchsorted(part.frames, rows.frames)
    boxes = zip(*map(plain, rows.xywh.T), strict=True)
    columns = (images.tolist(), rows.ids.tolist(), boxes, plain(areas), plain(rows.scores))
    known = (rows.classes.tolist(), plain(rows.visibility))
    for image, track, box, area, score, number, visibility in zip(*columns, *known, strict=True):
        yield {
            "image_id": image,
            "video_id": part.number,
            **({"track_id": track, "instance_id": track} if track != UNKNOWN else {}),
            "category_id": max(number, PEDESTRIAN),
            **({"mot_class_id": number} if number < PEDESTRIAN else {}),
            "bbox": box,
            "area": area,
            "iscrowd": int(number == CROWD),
            "ignore": int(score == 0),
            "conf": score,
            "score": score,
            **({"visibility": visibility} if visibility != UNKNOWN else {}),
        }


def numbered(entries: Iterable[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    for number, entry in enumerate(entries, 1):
        yield {"id": number, **entry}


def _category_entries(videos: Sequence[VideoTracks]) -> Iterator[dict[str, Any]]:
    """Those of the rows, and always the pedestrian."""
    names: dict[int, str] = {}
    for video in videos:
        for number in [PEDESTRIAN, *np.unique(video.rows.classes).tolist()]:
            names.setdefault(max(number, PEDESTRIAN), video.label(number))
    for number, name in sorted(names.items()):
        yield {"id": number, "name": name}
