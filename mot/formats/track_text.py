"""Tracks as text: MOTChallenge rows, CSV, JSON lines."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass

from mot import boxes
from mot.motfile import mot_lines
from mot.types import Frame, Tracks


@dataclass(frozen=True, slots=True)
class Format:
    suffix: str
    header: str
    lines: Callable[[Frame, Tracks], str]


def _mot(frame: Frame, tracks: Tracks) -> str:
    return mot_lines(frame.index, tracks.ids.tolist(), tracks.boxes, tracks.scores.tolist())


def _csv(frame: Frame, tracks: Tracks) -> str:
    xywh = boxes.xyxy_to_xywh(tracks.boxes).tolist()
    columns = (tracks.ids.tolist(), xywh, tracks.scores.tolist(), tracks.labels.tolist())
    start = f"{frame.index},{round(frame.time, 6)}"
    return "".join(
        f"{start},{number},{x:.2f},{y:.2f},{w:.2f},{h:.2f},{score:.4g},{label}\n"
        for number, (x, y, w, h), score, label in zip(*columns, strict=True)
    )


def _jsonl(frame: Frame, tracks: Tracks) -> str:
    """One line a frame, also where nobody is in it; boxes are left, top, right, bottom."""
    columns = (tracks.ids, tracks.boxes, tracks.scores, tracks.labels)
    people = [
        {
            "id": number,
            "box": [round(corner, 2) for corner in box],
            "score": round(score, 4),
            "label": label,
        }
        for number, box, score, label in zip(*(c.tolist() for c in columns), strict=True)
    ]
    return json.dumps({"frame": frame.index, "time": round(frame.time, 6), "tracks": people}) + "\n"


FORMATS = {
    "mot": Format(".txt", "", _mot),
    "csv": Format(".csv", "frame,time,id,left,top,width,height,score,label\n", _csv),
    "jsonl": Format(".jsonl", "", _jsonl),
}
