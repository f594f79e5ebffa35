"""The evaluation protocols of benchmarks: which boxes count, and which are ignored."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

import numpy as np

from mot import boxes
from mot.errors import MotError, suggest
from mot.evaluation.assignment import assign_by_frame
from mot.evaluation.sequence_pairs import EPS, Mask, SequencePairs, pair_boxes
from mot.motfile import MotRows

_THRESHOLD = 0.5
PEDESTRIAN = "pedestrian"
_MOT_CLASSES = range(1, 14)
_BDD_CLASSES = {
    "pedestrian": 1,
    "rider": 2,
    "car": 4,
    "bus": 5,
    "truck": 6,
    "train": 7,
    "motorcycle": 10,
    "bicycle": 11,
}


@dataclass(frozen=True, slots=True)
class Protocol:
    """The rules of a benchmark. Ground-truth rows with flag 0 never count."""

    name: str
    # Class name -> number, each scored separately; empty: all rows are one class.
    classes: dict[str, int]
    # Results matched to ground truth of these classes are ignored.
    distractors: tuple[int, ...] = ()
    gt_classes: range | None = None  # class numbers that the ground truth may contain
    # Unmatched results inside a box of these classes, or of one with flag 0, are ignored.
    regions: tuple[int, ...] = ()
    pedestrians_only: bool = True  # reject results of other classes

    @property
    def is_multi_class(self) -> bool:
        return len(self.classes) > 1


# Distractors: persons on vehicles, static persons, distractors, reflections.
_MOT17 = Protocol("mot17", {PEDESTRIAN: 1}, distractors=(2, 7, 8, 12), gt_classes=_MOT_CLASSES)
PROTOCOLS = {
    "mot15": Protocol("mot15", {}),
    "mot16": replace(_MOT17, name="mot16"),
    "mot17": _MOT17,
    # Non-motorized vehicles are distractors too.
    "mot20": replace(_MOT17, name="mot20", distractors=(2, 6, 7, 8, 12)),
    "dancetrack": Protocol("dancetrack", {PEDESTRIAN: 1}),
    "sportsmot": Protocol("sportsmot", {PEDESTRIAN: 1}),
    "bdd100k": Protocol("bdd100k", _BDD_CLASSES, regions=(3, 8, 9), pedestrians_only=False),
    "plain": Protocol("plain", {}, pedestrians_only=False),
}
_SEQUENCE_NAMES = {
    "mot16": re.compile(r"MOT16-\d+", re.I),
    "mot17": re.compile(r"MOT17-\d+", re.I),
    "mot20": re.compile(r"MOT20-\d+", re.I),
    "dancetrack": re.compile(r"dancetrack\d+", re.I),
    "sportsmot": re.compile(r"v_.+_c\d+$"),
}


def get_protocol(name: str) -> Protocol:
    if name not in PROTOCOLS:
        raise MotError(f"unknown protocol {name!r}: {suggest(name, PROTOCOLS)}")
    return PROTOCOLS[name]


def infer_protocol(sequence: str, gt: MotRows) -> Protocol:
    """By the name of the sequence; otherwise mot17 if the ground truth has classes, else mot15."""
    for protocol, pattern in _SEQUENCE_NAMES.items():
        if pattern.match(sequence):
            return PROTOCOLS[protocol]
    classes = gt.classes
    has_classes = len(gt) and bool(((classes >= 1) & (classes <= _MOT_CLASSES[-1])).all())
    return PROTOCOLS["mot17" if has_classes else "mot15"]


def apply_protocol(
    gt: MotRows, result: MotRows, length: int, protocol: Protocol
) -> dict[str, SequencePairs]:
    """The boxes and pairs to score, by class. `length`: frames of the sequence."""
    counts = gt.scores.astype(np.int64) != 0  # truncated as in TrackEval: a flag of 0.5 is 0
    if protocol.is_multi_class:
        return {
            name: _prepare_class(gt, result, length, number, protocol, counts)
            for name, number in protocol.classes.items()
        }
    if not protocol.classes:
        return {PEDESTRIAN: pair_boxes(gt, result, length, counts)}
    return {PEDESTRIAN: _prepare_pedestrians(gt, result, length, protocol, counts)}


def _prepare_pedestrians(
    gt: MotRows, result: MotRows, length: int, protocol: Protocol, counts: Mask
) -> SequencePairs:
    """Match all gt rows, drop results matched to distractors, then drop gt that does not count."""
    seq = pair_boxes(gt, result, length)
    classes = gt.classes[seq.gt.rows]
    keep_result = np.ones(len(seq.result), np.bool_)
    if protocol.distractors:
        matched = seq.pairs[_match_by_iou(seq)]
        is_distractor = np.isin(classes[matched.gt], protocol.distractors)
        keep_result[matched.result[is_distractor]] = False
    keep_gt = counts[seq.gt.rows] & (classes == protocol.classes[PEDESTRIAN])
    return seq.filter_boxes(keep_gt, keep_result)


def _prepare_class(
    gt: MotRows, result: MotRows, length: int, number: int, protocol: Protocol, counts: Mask
) -> SequencePairs:
    """One of several classes, without unmatched results that lie mostly in an ignored region."""
    is_region = np.isin(gt.classes, protocol.regions) | ~counts
    keep_gt, keep_result = (gt.classes == number) & ~is_region, result.classes == number
    seq = pair_boxes(gt, result, length, keep_gt, keep_result)
    regions = pair_boxes(gt, result, length, is_region, keep_result)
    ignored = _lie_inside(regions, gt, result)
    ignored[seq.pairs.result[_match_by_iou(seq)]] = False
    kept = seq.filter_boxes(np.ones(len(seq.gt), np.bool_), ~ignored)
    return replace(kept, column_major=True)


def _match_by_iou(seq: SequencePairs) -> Mask:
    """(E,) the pairs matched frame by frame by IoU alone, of at least the threshold."""
    close = seq.pairs.iou >= _THRESHOLD - EPS
    return assign_by_frame(seq, np.where(close, seq.pairs.iou, 0.0))


def _lie_inside(regions: SequencePairs, gt: MotRows, result: MotRows) -> Mask:
    """(result boxes,) whether more than half of the box lies inside one region."""
    pairs = regions.pairs
    region = boxes.xywh_to_xyxy(gt.xywh[regions.gt.rows[pairs.gt]])
    box = boxes.xywh_to_xyxy(result.xywh[regions.result.rows[pairs.result]])
    sides = np.minimum(region[:, 2:], box[:, 2:]) - np.maximum(region[:, :2], box[:, :2])
    within = sides.prod(axis=1) / boxes.area(box) > _THRESHOLD + EPS
    inside = np.zeros(len(regions.result), np.bool_)
    inside[pairs.result[within]] = True
    return inside
