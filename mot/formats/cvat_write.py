"""Writing "CVAT for video 1.1", the XML that CVAT exports and imports.

A CVAT track is one object of one label, visible from its first box to the first `outside` box, so
each gap and each end has an `outside` box. Values that CVAT lacks (our id, score, visibility) are
attributes of the boxes, declared with the labels.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from decimal import Context, Decimal
from xml.sax.saxutils import escape, quoteattr

import numpy as np

from mot.formats.video_tracks import UNKNOWN, VideoTracks, find_class, shortest_numbers
from mot.types import IntArray

Number = int | float
_MIN_VISIBILITY = 0.5  # below it a box is marked occluded
# right = left + width in decimals without rounding, so that the width is read back exactly. Enough
# digits for 1e9 and the smallest float together.
_EXACT = Context(prec=400)
_NOT_IN_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_NUMBERS = ("id", "score", "visibility", "mot_class")


def format_lines(videos: Sequence[VideoTracks]) -> Iterator[str]:
    (video,) = videos
    yield '<?xml version="1.0" encoding="utf-8"?>\n<annotations>\n  <version>1.1</version>\n'
    yield from _meta(video)
    for number, rows in enumerate(_row_groups(video)):
        yield from _track(video, number, rows)
    yield "</annotations>\n"


def _meta(video: VideoTracks) -> Iterator[str]:
    yield "  <meta>\n    <task>\n"
    yield f"      <name>{_text(video.name)}</name>\n      <size>{video.length}</size>\n"
    yield "      <mode>interpolation</mode>\n      <start_frame>0</start_frame>\n"
    yield f"      <stop_frame>{max(video.length - 1, 0)}</stop_frame>\n"
    yield f"      <fps>{float(video.fps)!r}</fps>\n      <labels>\n"
    for label in dict.fromkeys(map(video.class_name, np.unique(video.rows.classes).tolist())):
        yield f"        <label><name>{_text(label)}</name><attributes>{_DECLARED}</attributes>"
        yield "</label>\n"
    yield "      </labels>\n"
    if video.size:
        width, height = video.size
        yield f"      <original_size><width>{width}</width><height>{height}</height>"
        yield "</original_size>\n"
    yield "    </task>\n  </meta>\n"


def _declaration(name: str, kind: str, default: str) -> str:
    return (
        f"<attribute><name>{name}</name><mutable>True</mutable><input_type>{kind}</input_type>"
        f"<default_value>{default}</default_value><values>{default}</values></attribute>"
    )


_DECLARED = "".join(
    [_declaration(name, "text", "") for name in _NUMBERS]
    + [_declaration("ignored", "checkbox", "false")]
)


def _row_groups(video: VideoTracks) -> list[IntArray]:
    """Row numbers of each CVAT track, by frame: one id of one class, or one row without id."""
    rows = video.rows
    if not len(rows):
        return []
    single = np.where(rows.ids < 0, np.arange(len(rows)), UNKNOWN)
    keys = np.stack([rows.ids, rows.classes, single], axis=1)
    _, group = np.unique(keys, axis=0, return_inverse=True)
    order = np.lexsort((rows.frames, group.reshape(-1)))
    starts = np.flatnonzero(np.diff(group.reshape(-1)[order])) + 1
    return np.split(order, starts)


def _track(video: VideoTracks, number: int, index: IntArray) -> Iterator[str]:
    rows = video.rows
    label = video.class_name(int(rows.classes[index[0]]))
    source = "auto" if rows.classes[index[0]] == UNKNOWN else "manual"
    yield f'  <track id="{number}" label={quoteattr(_legal(label))} source="{source}">\n'
    frames = (rows.frames[index] - 1).tolist()
    boxes = list(zip(*(shortest_numbers(column) for column in rows.xywh[index].T), strict=True))
    measures = (shortest_numbers(rows.scores[index]), shortest_numbers(rows.visibility[index]))
    ends = [*frames[1:], video.length + 1]
    columns = zip(index.tolist(), frames, ends, boxes, *measures, strict=True)
    for row, frame, following, xywh, score, visibility in columns:
        corners = _corners(*xywh)
        yield _box(frame, corners, int(0 <= visibility < _MIN_VISIBILITY))
        yield _attributes(video, row, score, visibility)
        yield "    </box>\n"
        if frame + 1 < min(following, video.length):
            yield _box(frame + 1, corners, outside=1) + "    </box>\n"
    yield "  </track>\n"


def _box(frame: int, corners: str, occluded: int = 0, outside: int = 0) -> str:
    return (
        f'    <box frame="{frame}" keyframe="1" outside="{outside}" occluded="{occluded}" '
        f'{corners} z_order="0">\n'
    )


def _corners(left: Number, top: Number, width: Number, height: Number) -> str:
    right = _EXACT.add(Decimal(str(left)), Decimal(str(width)))
    bottom = _EXACT.add(Decimal(str(top)), Decimal(str(height)))
    return f'xtl="{left}" ytl="{top}" xbr="{right}" ybr="{bottom}"'


def _attributes(video: VideoTracks, row: int, score: Number, visibility: Number) -> str:
    number = int(video.rows.classes[row])
    values: dict[str, object] = {"id": int(video.rows.ids[row]), "score": score}
    values["ignored"] = "true" if score == 0 else "false"
    if visibility != UNKNOWN:
        values["visibility"] = visibility
    if find_class(video.class_name(number)) != number:  # not implied by the label
        values["mot_class"] = number
    return "".join(
        f'      <attribute name="{name}">{value}</attribute>\n' for name, value in values.items()
    )


def _text(text: str) -> str:
    return escape(_legal(text))


def _legal(text: str) -> str:
    """Replace characters that are not allowed in XML."""
    return _NOT_IN_XML.sub("_", text)
