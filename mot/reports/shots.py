"""What a picture of a mistake shows: which frames, which part of them, which boxes and words."""

from __future__ import annotations

import numpy as np

from mot.evaluation.diagnosis.with_gt.diagnosis import Event
from mot.evaluation.loading import Loaded
from mot.motfile import MotRows
from mot.render import colour_of
from mot.reports.panels import Box, Mark, Shot, Words
from mot.types import Image

_MARGIN = 1.5  # heights of the person that are shown on each side
_LEAST_HEIGHT = 16.0  # pixels of a person, that something is to be seen
_LEGEND = Words(
    "Dashed: ground truth. Coloured: result, thick what this is about, thin all others.",
    scale=0.4,
    ink=(150, 150, 150),
)


class _Boxes:
    """Of a file, by frame."""

    def __init__(self, rows: MotRows) -> None:
        self._rows = rows
        self._by_frame = dict(rows.by_frame())

    def at(self, frame: int) -> dict[int, Box]:
        """By id."""
        here = self._by_frame.get(frame, np.zeros(0, np.int64))
        xywh = self._rows.xywh[here].tolist()
        return {
            number: (left, top, width, height)
            for number, (left, top, width, height) in zip(
                self._rows.ids[here].tolist(), xywh, strict=True
            )
        }

    def frames_of(self, number: int, first: int, last: int) -> list[int]:
        frames = self._rows.frames[self._rows.ids == number]
        within: list[int] = np.sort(frames[(frames >= first) & (frames <= last)]).tolist()
        return within


class Album:
    """The shots and captions of a sequence's mistakes."""

    def __init__(self, loaded: Loaded, last: int | None) -> None:
        """`last` is the number of the last frame there is, in the whole sequence."""
        self._name = loaded.entry.name
        self._shift = loaded.first - 1  # from frames of the split to those of the sequence
        self._last = loaded.length if last is None else last - self._shift
        self._truth, self._result = _Boxes(loaded.truth), _Boxes(loaded.result)
        sequence = loaded.entry.truth.sequence
        self._size = sequence.size if sequence else None

    def has(self, event: Event) -> bool:
        """Whether there are frames of it: of a run its beginning, of a gap both ends."""
        return event.frame <= self._last

    def scale(self, image: Image) -> tuple[float, float]:
        """Of a frame to the coordinates of the boxes: videos may be smaller copies."""
        if not self._size:
            return 1.0, 1.0
        return image.shape[1] / self._size[0], image.shape[0] / self._size[1]

    def file_name(self, event: Event) -> str:
        number = event.result_id if event.kind == "false_alarm" else event.truth_id
        kind = event.kind.replace("_", "-")
        return f"{self._name}-{kind}-{event.frame + self._shift:06}-id{number}"

    def shots(self, event: Event) -> list[Shot]:
        """All of one size, around the person or, of a false alarm, the box."""
        frames = self._frames(event)
        about, number = self._about(event)
        boxes = [about.at(frame).get(number) for frame in frames]
        known = [box for box in boxes if box]
        height = max(_LEAST_HEIGHT, *(box[3] for box in known))
        width = max(box[2] for box in known)
        size = width + 2 * _MARGIN * height, (1 + 2 * _MARGIN) * height
        return [
            Shot(
                frame + self._shift,
                self._title(event, frame),
                _centre(known if box is None else [box]),
                size,
                tuple(self._marks(event, frame)),
            )
            for frame, box in zip(frames, boxes, strict=True)
        ]

    def _about(self, event: Event) -> tuple[_Boxes, int]:
        if event.kind == "false_alarm":
            assert event.result_id is not None
            return self._result, event.result_id
        assert event.truth_id is not None
        return self._truth, event.truth_id

    def _frames(self, event: Event) -> list[int]:
        """The first, one in the middle and the last of those that exist."""
        about, number = self._about(event)
        frames = about.frames_of(number, event.first_frame, min(event.last_frame, self._last))
        middle = frames[len(frames) // 2]
        if len(frames) == 2 and event.last_frame - event.first_frame > 1:
            middle = (event.first_frame + event.last_frame) // 2  # the person is not in the truth
        return sorted({frames[0], middle, frames[-1]})

    def _marks(self, event: Event, frame: int) -> list[Mark]:
        ids = {event.result_id, event.other_id}
        marks = [
            Mark("id", box, colour_of(number), f"id {number}")
            if number in ids
            else Mark("bystander", box, colour_of(number))
            for number, box in self._result.at(frame).items()
        ]
        person = self._truth.at(frame).get(event.truth_id) if event.truth_id is not None else None
        if person:
            marks.append(Mark("person", person, text=f"person {event.truth_id}"))
        return marks

    def _title(self, event: Event, frame: int) -> str:
        says = {"miss": "missed", "false_alarm": "on nobody"}.get(event.kind, "no match")
        if event.kind in ("switch", "fragment"):
            ids = {event.first_frame: event.other_id, event.last_frame: event.result_id}
            says = f"id {ids[frame]}" if frame in ids else says
        return f"frame {frame + self._shift}: {says}"

    def caption(self, event: Event) -> list[Words]:
        first, last = event.first_frame + self._shift, event.last_frame + self._shift
        when = f"frame {first}" if first == last else f"frames {first} to {last}"
        split = f" (the split begins with frame {self._shift + 1})" if self._shift else ""
        evidence = f"{event.evidence[:1].upper()}{event.evidence[1:]}"
        return [
            Words(f"{self._name}, {when}{split}: {_story(event)}", scale=0.55),
            Words(f"Likely cause: {event.cause}. {evidence}."),
            _LEGEND,
        ]


def _story(event: Event) -> str:
    """In a few words what happens, and to whom."""
    count = f"{event.frames} frame{'' if event.frames == 1 else 's'}"
    missed = f", after {count} without a match" if event.frames else ""
    match event.kind:
        case "switch":
            return f"person {event.truth_id} is id {event.other_id}, then {event.result_id}{missed}"
        case "fragment":
            return f"person {event.truth_id} is lost and found again{missed}"
        case "miss":
            return f"person {event.truth_id} is missed in {count}"
        case _:
            return f"id {event.result_id} is on nobody in {count}"


def _centre(boxes: list[Box]) -> tuple[float, float]:
    """Of their centres, the mean."""
    x, y, width, height = np.mean(boxes, axis=0).tolist()
    return x + width / 2, y + height / 2
