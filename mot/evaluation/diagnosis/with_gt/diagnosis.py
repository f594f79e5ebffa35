"""All errors of a result, one by one: id switches, fragmentations, misses, false positives.

The errors are those of CLEAR MOT: as many switches as IDSW, as many fragmentations as Frag, and
runs of misses and of false positives with FN and FP frames in total.
"""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np

from mot.evaluation.diagnosis.with_gt.false_positives import FALSE_POSITIVE_RULES, FalsePositives
from mot.evaluation.diagnosis.with_gt.features import (
    GtFeatures,
    ResultFeatures,
    Spans,
    TrackRows,
    compute_gt_features,
    compute_result_features,
)
from mot.evaluation.diagnosis.with_gt.id_swaps import find_id_swaps
from mot.evaluation.diagnosis.with_gt.lost_tracks import (
    ID_SWITCH_RULES,
    LOST_TRACK_RULES,
    IdSwitches,
    LostTracks,
)
from mot.evaluation.diagnosis.with_gt.rules import NEAR_IOU, SOON, find_causes
from mot.evaluation.loading import LoadedSequence
from mot.evaluation.score import Matches
from mot.evaluation.sequence_pairs import BoxTable, Mask
from mot.motfile import MotRows
from mot.types import IntArray

KINDS = {
    "switch": "the id on a gt track changes",
    "fragment": "a gt track is matched again after frames without a match",
    "miss": "a gt track has no match",
    "false_positive": "a result track has no match",
}
Box = tuple[float, float, float, float]  # left, top, width, height
_SIDES = ("left", "top", "width", "height")
_COLUMNS = (
    *("sequence", "kind", "cause", "first_frame", "last_frame", "frames"),
    *("gt_id", "result_id", "other_id"),
    *(f"{name}_{side}" for name in ("gt", "result") for side in _SIDES),
    "evidence",
)


@dataclass(frozen=True, slots=True)
class TrackingError:
    """An error; ids are those of the files, frames those of the split, from 1.

    Of a switch or fragmentation, `first_frame` is that of the match before and `last_frame` that of
    the match after it, with the boxes of the latter. A miss or false positive is a run of frames,
    with the boxes of its first; the other side's box is the one of largest IoU, from 0.2.
    """

    kind: str
    first_frame: int
    last_frame: int
    frames: int  # of the run; of a switch or a fragmentation, the missed frames in between
    gt_id: int | None
    result_id: int | None
    other_id: int | None  # the last id on the gt track; of a false positive, the id on its gt box
    gt_box: Box | None
    result_box: Box | None
    cause: str
    evidence: str

    @property
    def frame(self) -> int:
        """The frame of the boxes: of the new id, or the first of the run."""
        return self.last_frame if self.kind in ("switch", "fragment") else self.first_frame


def diagnose(loaded: LoadedSequence, matches: Matches) -> list[TrackingError]:
    """All errors with their likely causes, sorted by frame."""
    collector = _Collector(
        loaded,
        matches,
        compute_gt_features(loaded, matches),
        compute_result_features(loaded, matches),
    )
    errors = [
        *collector.switches(),
        *collector.fragments(),
        *collector.misses(),
        *collector.false_positives(),
    ]
    return sorted(errors, key=lambda error: error.frame)


@dataclass(frozen=True, slots=True, eq=False)
class _Boxes:
    """(S,) the boxes shown with S errors, as indices into the box tables; -1: none."""

    gt: IntArray
    result: IntArray
    other: IntArray  # result box of the other id


@dataclass(frozen=True, slots=True, eq=False)
class _Collector:
    """Collects the errors of each kind and finds their causes."""

    loaded: LoadedSequence
    matches: Matches
    gt: GtFeatures
    result: ResultFeatures

    def switches(self) -> list[TrackingError]:
        clear = self.matches.clear
        swaps = find_id_swaps(self.matches.seq, clear, SOON * self.gt.fps)
        case = IdSwitches(self.gt, *self._gaps_before(clear.is_switch), swaps)
        causes = [
            (cause, "; ".join(filter(None, (evidence, swaps.describe(index)))))
            for index, (cause, evidence) in enumerate(find_causes(ID_SWITCH_RULES, case))
        ]
        return self._gap_errors("switch", case, causes)

    def fragments(self) -> list[TrackingError]:
        case = LostTracks(self.gt, *self._gaps_before(self.matches.clear.is_fragment))
        return self._gap_errors("fragment", case, find_causes(LOST_TRACK_RULES, case))

    def misses(self) -> list[TrackingError]:
        rows, match = self.gt.rows, self.gt.match
        gap = rows.runs(match < 0)
        before, after = _adjacent_rows(rows, gap)
        case = LostTracks(self.gt, gap, before, after)
        boxes = _Boxes(
            gt=rows.order[gap.first],
            result=np.where(self.gt.free_iou >= NEAR_IOU, self.gt.free_box, -1)[gap.first],
            other=np.append(match, -1)[before],
        )
        frames = rows.frames[gap.first], rows.frames[gap.end - 1]
        causes = find_causes(LOST_TRACK_RULES, case)
        return self._errors("miss", frames, gap.lengths, boxes, causes)

    def false_positives(self) -> list[TrackingError]:
        features, rows = self.result, self.result.rows
        run = rows.runs(features.match < 0)
        gt_tracks = np.append(self.matches.seq.gt.ids, -1)[np.append(features.match, -1)]
        before, after = (gt_tracks[adjacent] for adjacent in _adjacent_rows(rows, run))
        nearest = np.where(
            features.taken_iou > features.free_iou, features.taken_box, features.free_box
        )
        nearest[np.maximum(features.taken_iou, features.free_iou) < NEAR_IOU] = -1
        gt_box = nearest[run.first]
        gt_row = np.append(self.gt.rows.position, -1)[gt_box]
        boxes = _Boxes(gt_box, rows.order[run.first], other=np.append(self.gt.match, -1)[gt_row])
        case = FalsePositives(features, self.gt.rows, run, before, after)
        frames = rows.frames[run.first], rows.frames[run.end - 1]
        causes = find_causes(FALSE_POSITIVE_RULES, case)
        return self._errors("false_positive", frames, run.lengths, boxes, causes)

    def _gaps_before(self, chosen: Mask) -> tuple[Spans, IntArray, IntArray]:
        """The gaps between the chosen matches and the previous matches of the same gt tracks."""
        seq, clear = self.matches.seq, self.matches.clear
        rows = self.gt.rows.position[seq.pairs.gt[clear.pairs]]
        after, before = rows[chosen], rows[clear.previous[chosen]]
        return Spans(before + 1, after), before, after

    def _gap_errors(
        self, kind: str, case: LostTracks, causes: list[tuple[str, str]]
    ) -> list[TrackingError]:
        match = self.gt.match
        boxes = _Boxes(self.gt.rows.order[case.after], match[case.after], match[case.before])
        return self._errors(kind, (case.first, case.last), case.gap.lengths, boxes, causes)

    def _errors(
        self,
        kind: str,
        frames: tuple[IntArray, IntArray],
        lengths: IntArray,
        boxes: _Boxes,
        causes: list[tuple[str, str]],
    ) -> list[TrackingError]:
        seq, loaded = self.matches.seq, self.loaded
        columns = zip(
            (frames[0] + 1).tolist(),
            (frames[1] + 1).tolist(),
            lengths.tolist(),
            _file_ids(seq.gt, boxes.gt),
            _file_ids(seq.result, boxes.result),
            _file_ids(seq.result, boxes.other),
            _xywh(seq.gt, loaded.gt, boxes.gt),
            _xywh(seq.result, loaded.result, boxes.result),
            causes,
            strict=True,
        )
        return [TrackingError(kind, *values, *cause) for *values, cause in columns]


def _adjacent_rows(rows: TrackRows, spans: Spans) -> tuple[IntArray, IntArray]:
    """The rows of the same track before and after each span; -1: none."""
    before = np.where(spans.first > rows.starts[spans.first], spans.first - 1, -1)
    after = np.where(spans.end < rows.ends[spans.first], spans.end, -1)
    return before, after


def _file_ids(table: BoxTable, boxes: IntArray) -> list[int | None]:
    ids = table.file_ids[table.ids]
    return [int(ids[box]) if box >= 0 else None for box in boxes.tolist()]


def _xywh(table: BoxTable, rows: MotRows, boxes: IntArray) -> list[Box | None]:
    xywh = rows.xywh[table.rows]
    return [tuple(xywh[box].tolist()) if box >= 0 else None for box in boxes.tolist()]


def count_causes(errors: Iterable[TrackingError]) -> dict[str, dict[str, int]]:
    """Kind -> cause -> number of errors, the most frequent cause first."""
    found = Counter((error.kind, error.cause) for error in errors)
    return {
        kind: {cause: count for (of_kind, cause), count in found.most_common() if of_kind == kind}
        for kind in KINDS
    }


def errors_as_csv(errors: Mapping[str, Iterable[TrackingError]]) -> str:
    """One line per error, from the errors of each sequence."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(_COLUMNS)
    for sequence, found in errors.items():
        for error in found:
            ids = (error.gt_id, error.result_id, error.other_id)
            writer.writerow(
                [
                    *(sequence, error.kind, error.cause),
                    *(error.first_frame, error.last_frame, error.frames),
                    *("" if number is None else number for number in ids),
                    *_box_cells(error.gt_box),
                    *_box_cells(error.result_box),
                    error.evidence,
                ]
            )
    return text.getvalue()


def _box_cells(box: Box | None) -> list[str]:
    return [f"{side:.2f}" for side in box] if box else [""] * len(_SIDES)
