"""What the sheet of a tracking error shows: which frames, which part of them, boxes and text."""

from __future__ import annotations

import numpy as np

from mot.evaluation.diagnosis.with_gt.diagnosis import TrackingError
from mot.evaluation.loading import LoadedSequence
from mot.motfile import MotRows
from mot.render import color_of
from mot.reports.panels import Box, BoxMark, PanelSpec, TextLine
from mot.types import Image

_MARGIN = 1.5  # box heights around the object
_MIN_HEIGHT = 16.0  # pixels: zoom limit for tiny boxes
_LEGEND = TextLine(
    "Dashed: ground truth. Colored: result, thick if concerned by the error, else thin.",
    scale=0.4,
    color=(150, 150, 150),
)


class _BoxesByFrame:
    """The boxes of a file by frame and id."""

    def __init__(self, rows: MotRows) -> None:
        self._rows = rows
        self._by_frame = dict(rows.by_frame())

    def at(self, frame: int) -> dict[int, Box]:
        """id -> box."""
        here = self._by_frame.get(frame, np.zeros(0, np.int64))
        xywh = self._rows.xywh[here].tolist()
        return {
            number: (left, top, width, height)
            for number, (left, top, width, height) in zip(
                self._rows.ids[here].tolist(), xywh, strict=True
            )
        }

    def frames_of(self, track_id: int, first: int, last: int) -> list[int]:
        """The frames of a track from the first to the last, sorted."""
        frames = self._rows.frames[self._rows.ids == track_id]
        within: list[int] = np.sort(frames[(frames >= first) & (frames <= last)]).tolist()
        return within


class ErrorPanels:
    """Panels and captions of the errors of a sequence."""

    def __init__(self, loaded: LoadedSequence, last: int | None) -> None:
        """`last`: last available frame of the full sequence; None: unknown."""
        self._name = loaded.entry.name
        self._offset = loaded.first - 1  # from frames of the split to those of the full sequence
        self._last = loaded.length if last is None else last - self._offset
        self._gt, self._result = _BoxesByFrame(loaded.gt), _BoxesByFrame(loaded.result)
        sequence = loaded.entry.gt.sequence
        self._size = sequence.size if sequence else None

    def is_available(self, error: TrackingError) -> bool:
        """Whether the frames exist: of a run the first, of a switch or fragmentation both ends."""
        return error.frame <= self._last

    def scale(self, image: Image) -> tuple[float, float]:
        """x and y scale from box coordinates to the image: videos may be smaller copies."""
        if not self._size:
            return 1.0, 1.0
        return image.shape[1] / self._size[0], image.shape[0] / self._size[1]

    def file_name(self, error: TrackingError) -> str:
        number = error.result_id if error.kind == "false_positive" else error.gt_id
        kind = error.kind.replace("_", "-")
        return f"{self._name}-{kind}-{error.frame + self._offset:06}-id{number}"

    def specs(self, error: TrackingError) -> list[PanelSpec]:
        """Up to three panels of one size, centered on the track that the error is about."""
        frames = self._frames(error)
        boxes_by_frame, number = self._subject(error)
        boxes = [boxes_by_frame.at(frame).get(number) for frame in frames]
        known = [box for box in boxes if box]
        height = max(_MIN_HEIGHT, *(box[3] for box in known))
        width = max(box[2] for box in known)
        size = width + 2 * _MARGIN * height, (1 + 2 * _MARGIN) * height
        return [
            PanelSpec(
                frame + self._offset,
                self._title(error, frame),
                _mean_center(known if box is None else [box]),
                size,
                tuple(self._marks(error, frame)),
            )
            for frame, box in zip(frames, boxes, strict=True)
        ]

    def _subject(self, error: TrackingError) -> tuple[_BoxesByFrame, int]:
        """The result track of a false positive, the gt track of other errors."""
        if error.kind == "false_positive":
            assert error.result_id is not None
            return self._result, error.result_id
        assert error.gt_id is not None
        return self._gt, error.gt_id

    def _frames(self, error: TrackingError) -> list[int]:
        """The first, a middle and the last available frame."""
        boxes, number = self._subject(error)
        frames = boxes.frames_of(number, error.first_frame, min(error.last_frame, self._last))
        middle = frames[len(frames) // 2]
        if len(frames) == 2 and error.last_frame - error.first_frame > 1:
            middle = (error.first_frame + error.last_frame) // 2  # a gap in the ground truth
        return sorted({frames[0], middle, frames[-1]})

    def _marks(self, error: TrackingError, frame: int) -> list[BoxMark]:
        ids = {error.result_id, error.other_id}
        marks = [
            BoxMark("result", box, color_of(number), f"id {number}")
            if number in ids
            else BoxMark("other", box, color_of(number))
            for number, box in self._result.at(frame).items()
        ]
        gt_box = self._gt.at(frame).get(error.gt_id) if error.gt_id is not None else None
        if gt_box:
            marks.append(BoxMark("gt", gt_box, text=f"gt {error.gt_id}"))
        return marks

    def _title(self, error: TrackingError, frame: int) -> str:
        state = {"miss": "missed", "false_positive": "false positive"}.get(error.kind, "no match")
        if error.kind in ("switch", "fragment"):
            ids = {error.first_frame: error.other_id, error.last_frame: error.result_id}
            state = f"id {ids[frame]}" if frame in ids else state
        return f"frame {frame + self._offset}: {state}"

    def caption(self, error: TrackingError) -> list[TextLine]:
        first, last = error.first_frame + self._offset, error.last_frame + self._offset
        when = f"frame {first}" if first == last else f"frames {first} to {last}"
        split = f" (the split begins with frame {self._offset + 1})" if self._offset else ""
        evidence = f"{error.evidence[:1].upper()}{error.evidence[1:]}"
        return [
            TextLine(f"{self._name}, {when}{split}: {_describe(error)}", scale=0.55),
            TextLine(f"Likely cause: {error.cause}. {evidence}."),
            _LEGEND,
        ]


def _describe(error: TrackingError) -> str:
    """The error in a few words."""
    count = f"{error.frames} frame{'' if error.frames == 1 else 's'}"
    missed = f", after {count} without a match" if error.frames else ""
    match error.kind:
        case "switch":
            return f"gt {error.gt_id} changes from id {error.other_id} to {error.result_id}{missed}"
        case "fragment":
            return f"gt {error.gt_id} is matched again{missed}"
        case "miss":
            return f"gt {error.gt_id} is missed in {count}"
        case _:
            return f"id {error.result_id} is a false positive in {count}"


def _mean_center(boxes: list[Box]) -> tuple[float, float]:
    x, y, width, height = np.mean(boxes, axis=0).tolist()
    return x + width / 2, y + height / 2
