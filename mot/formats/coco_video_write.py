"""Writing COCO-style video JSON, as read by ByteTrack, mmtracking and TAO."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain
from typing import Any, NamedTuple

import numpy as np

from mot.formats.video_tracks import CROWD, PEDESTRIAN, UNKNOWN, VideoTracks, shortest_numbers
from mot.types import IntArray

_NO_IMAGE = -1  # previous of the first, next of the last image


class _Part(NamedTuple):
    """A video with its ids in the file."""

    video: VideoTracks
    number: int
    frames: IntArray  # frames with an image, sorted
    first_image: int


def format_lines(videos: Sequence[VideoTracks]) -> Iterator[str]:
    """The text of the file.

    Ids of videos, images and annotations are unique in the file, from 1; track ids are unchanged.
    """
    parts = _parts(videos)
    sections: dict[str, Iterable[dict[str, Any]]] = {
        "videos": (
            {
                "id": part.number,
                "name": part.video.name,
                "file_name": part.video.name,
                "fps": part.video.fps,
                **_size_entry(part.video),
                "length": part.video.length,
            }
            for part in parts
        ),
        "images": chain.from_iterable(map(_image_entries, parts)),
        "annotations": number_entries(chain.from_iterable(map(_annotation_entries, parts))),
        "categories": _category_entries(videos),
    }
    return json_document("tracks in video", sections)


def json_document(
    description: str, sections: Mapping[str, Iterable[Mapping[str, Any]]]
) -> Iterator[str]:
    """The text of a JSON object of lists, with one entry per line."""
    yield '{\n"info": ' + json.dumps({"description": description})
    for name, entries in sections.items():
        yield f',\n"{name}": ['
        for number, entry in enumerate(entries):
            yield (",\n" if number else "\n") + json.dumps(entry)
        yield "]"
    yield "\n}\n"


def _parts(videos: Sequence[VideoTracks]) -> list[_Part]:
    parts, first = [], 1
    for number, video in enumerate(videos, 1):
        frames = np.arange(1, video.length + 1)
        if video.images is not None:
            named = np.flatnonzero([bool(name) for name in video.images]) + 1
            frames = np.union1d(named, video.rows.frames)
        parts.append(_Part(video, number, frames, first))
        first += len(frames)
    return parts


def _size_entry(video: VideoTracks) -> dict[str, int]:
    return {"width": video.size[0], "height": video.size[1]} if video.size else {}


def _image_entries(part: _Part) -> Iterator[dict[str, Any]]:
    last_image = part.first_image + len(part.frames) - 1
    names = part.video.images
    for image, frame in enumerate(part.frames.tolist(), part.first_image):
        yield {
            "id": image,
            "file_name": (names and names[frame - 1]) or f"{part.video.name}/img1/{frame:06d}.jpg",
            "frame_id": frame,
            "frame_index": frame - 1,
            "video_id": part.number,
            **_size_entry(part.video),
            "prev_image_id": image - 1 if image > part.first_image else _NO_IMAGE,
            "next_image_id": image + 1 if image < last_image else _NO_IMAGE,
        }


def _annotation_entries(part: _Part) -> Iterator[dict[str, Any]]:
    rows = part.video.rows
    areas = rows.xywh[:, 2] * rows.xywh[:, 3]
    images = part.first_image + np.searchsorted(part.frames, rows.frames)
    boxes = zip(*map(shortest_numbers, rows.xywh.T), strict=True)
    columns = (
        images.tolist(),
        rows.ids.tolist(),
        boxes,
        shortest_numbers(areas),
        shortest_numbers(rows.scores),
    )
    known = (rows.classes.tolist(), shortest_numbers(rows.visibility))
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


def number_entries(entries: Iterable[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """Add ids from 1."""
    for number, entry in enumerate(entries, 1):
        yield {"id": number, **entry}


def _category_entries(videos: Sequence[VideoTracks]) -> Iterator[dict[str, Any]]:
    """The classes of the rows, and always the pedestrian."""
    names: dict[int, str] = {}
    for video in videos:
        for number in [PEDESTRIAN, *np.unique(video.rows.classes).tolist()]:
            names.setdefault(max(number, PEDESTRIAN), video.class_name(number))
    for number, name in sorted(names.items()):
        yield {"id": number, "name": name}
