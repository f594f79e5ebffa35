"""Tracks as text, frame by frame: MOTChallenge rows, CSV, JSON lines."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass

from mot import boxes
from mot.motfile import format_mot_rows
from mot.types import Frame, Tracks


@dataclass(frozen=True, slots=True)
class Format:
    """A text format of tracks."""

    suffix: str
    header: str
    lines: Callable[[Frame, Tracks], str]  # of one frame


def _mot(frame: Frame, tracks: Tracks) -> str:
    return format_mot_rows(frame.index, tracks.ids.tolist(), tracks.boxes, tracks.scores.tolist())


def _csv(frame: Frame, tracks: Tracks) -> str:
    xywh = boxes.xyxy_to_xywh(tracks.boxes).tolist()
    columns = (tracks.ids.tolist(), xywh, tracks.scores.tolist(), tracks.labels.tolist())
    start = f"{frame.index},{round(frame.time, 6)}"
    return "".join(
        f"{start},{track_id},{x:.2f},{y:.2f},{w:.2f},{h:.2f},{score:.4g},{label}\n"
        for track_id, (x, y, w, h), score, label in zip(*columns, strict=True)
    )


def _jsonl(frame: Frame, tracks: Tracks) -> str:
    """One line per frame, also without tracks; boxes are left, top, right, bottom."""
    columns = (tracks.ids, tracks.boxes, tracks.scores, tracks.labels)
    entries = [
        {
            "id": track_id,
            "box": [round(corner, 2) for corner in box],
            "score": round(score, 4),
            "label": label,
        }
        for track_id, box, score, label in zip(*(c.tolist() for c in columns), strict=True)
    ]
    return (
        json.dumps({"frame": frame.index, "time": round(frame.time, 6), "tracks": entries}) + "\n"
    )


FORMATS = {
    "mot": Format(".txt", "", _mot),
    "csv": Format(".csv", "frame,time,id,left,top,width,height,score,label\n", _csv),
    "jsonl": Format(".jsonl", "", _jsonl),
}
