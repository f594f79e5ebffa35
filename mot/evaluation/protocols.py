"""What counts in which benchmark, and the preparation of its sequences for scoring."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

import numpy as np

from mot import boxes
from mot.errors import MotError, nearest
from mot.evaluation.assignment import best_pairs_by_frame
from mot.evaluation.scene import EPS, Mask, SequencePairs, chosen_scene, make_scene
from mot.motfile import MotRows

_OVERLAP = 0.5
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
    """The rules of a benchmark."""

    name: str
    says: str  # in one line
    # The classes that are scored, each on its own; without any, every row counts as one class.
    classes: dict[str, int]
    # Results matched to a truth of these classes are left out, neither right nor wrong.
    distractors: tuple[int, ...] = ()
    known: range | None = None  # the classes that a ground truth may hold
    # Results that lie in a box of these classes, or of one with flag 0, and are matched to nothing
    # are left out.
    regions: tuple[int, ...] = ()
    says_pedestrians: bool = True  # results may not hold another class

    @property
    def is_multi_class(self) -> bool:
        return len(self.classes) > 1


_MOT17 = Protocol(
    "mot17",
    "class 1 counts; results on vehicles' riders, statues and reflections are left out",
    {PEDESTRIAN: 1},
    distractors=(2, 7, 8, 12),
    known=_MOT_CLASSES,
)
PROTOCOLS = {
    "mot15": Protocol("mot15", "every row with a flag other than 0 counts", {}),
    "mot16": replace(_MOT17, name="mot16"),
    "mot17": _MOT17,
    "mot20": replace(
        _MOT17,
        name="mot20",
        says=_MOT17.says.replace("vehicles'", "vehicles, their"),
        distractors=(2, 6, 7, 8, 12),
    ),
    "dancetrack": Protocol("dancetrack", "class 1 counts", {PEDESTRIAN: 1}),
    "sportsmot": Protocol("sportsmot", "class 1 counts", {PEDESTRIAN: 1}),
    "bdd100k": Protocol(
        "bdd100k",
        "eight classes, each on its own; unmatched results in ignored regions are left out",
        _BDD_CLASSES,
        regions=(3, 8, 9),
        says_pedestrians=False,
    ),
    "plain": Protocol(
        "plain",
        "every row with a flag other than 0 counts, of whatever class",
        {},
        says_pedestrians=False,
    ),
}
_BY_NAME = {  # how the sequences of a benchmark are called
    "mot16": re.compile(r"MOT16-\d+", re.I),
    "mot17": re.compile(r"MOT17-\d+", re.I),
    "mot20": re.compile(r"MOT20-\d+", re.I),
    "dancetrack": re.compile(r"dancetrack\d+", re.I),
    "sportsmot": re.compile(r"v_.+_c\d+$"),
}


def protocol_named(name: str) -> Protocol:
    if name not in PROTOCOLS:
        raise MotError(f"unknown protocol {name!r}: {nearest(name, PROTOCOLS)}")
    return PROTOCOLS[name]


def guess_protocol(name: str, truth: MotRows) -> Protocol:
    """By the sequence's name, else by whether its ground truth has classes."""
    for protocol, pattern in _BY_NAME.items():
        if pattern.match(name):
            return PROTOCOLS[protocol]
    classes = truth.classes
    has_classes = len(truth) and bool(((classes >= 1) & (classes <= _MOT_CLASSES[-1])).all())
    return PROTOCOLS["mot17" if has_classes else "mot15"]


def prepare(
    truth: MotRows, result: MotRows, length: int, protocol: Protocol
) -> dict[str, SequencePairs]:
    """The scene to score of each class."""
    counts = truth.scores.astype(np.int64) != 0  # a flag of 0.5 is 0, as TrackEval reads it
    if protocol.is_multi_class:
        return {
            name: _prepare_class(truth, result, length, number, protocol, counts)
            for name, number in protocol.classes.items()
        }
    if not protocol.classes:
        return {PEDESTRIAN: make_scene(truth, result, length, counts)}
    return {PEDESTRIAN: _prepare_pedestrians(truth, result, length, protocol, counts)}


def _prepare_pedestrians(
    truth: MotRows, result: MotRows, length: int, protocol: Protocol, counts: Mask
) -> SequencePairs:
    """Match with every row, zero-marked ones too; drop the results on distractors; then the truth
    that does not count."""
    scene = make_scene(truth, result, length)
    classes = truth.classes[scene.truth.rows]
    result_kept = np.ones(len(scene.result), np.bool_)
    if protocol.distractors:
        matched = scene.pairs[_best_overlaps(scene)]
        distracted = np.isin(classes[matched.truth], protocol.distractors)
        result_kept[matched.result[distracted]] = False
    counted = counts[scene.truth.rows] & (classes == protocol.classes[PEDESTRIAN])
    return chosen_scene(scene, counted, result_kept)


def _prepare_class(
    truth: MotRows, result: MotRows, length: int, number: int, protocol: Protocol, counts: Mask
) -> SequencePairs:
    """One of several classes. Unmatched results that lie by more than half in a region that is
    ignored are dropped: boxes of the classes that are not told apart, and crowds."""
    is_region = np.isin(truth.classes, protocol.regions) | ~counts
    kept, other = (truth.classes == number) & ~is_region, result.classes == number
    scene = make_scene(truth, result, length, kept, other)
    regions = make_scene(truth, result, length, is_region, other)
    ignored = _inside(regions, truth, result)
    ignored[scene.pairs.result[_best_overlaps(scene)]] = False
    chosen = chosen_scene(scene, np.ones(len(scene.truth), np.bool_), ~ignored)
    return replace(chosen, lies_in_columns=True)


def _best_overlaps(scene: SequencePairs) -> Mask:
    close = scene.pairs.iou >= _OVERLAP - EPS
    return best_pairs_by_frame(scene, np.where(close, scene.pairs.iou, 0.0))


def _inside(regions: SequencePairs, truth: MotRows, result: MotRows) -> Mask:
    """(result boxes,) that lie by more than half in one region."""
    pairs = regions.pairs
    region = boxes.xywh_to_xyxy(truth.xywh[regions.truth.rows[pairs.truth]])
    box = boxes.xywh_to_xyxy(result.xywh[regions.result.rows[pairs.result]])
    sides = np.minimum(region[:, 2:], box[:, 2:]) - np.maximum(region[:, :2], box[:, :2])
    within = sides.prod(axis=1) / boxes.area(box) > _OVERLAP + EPS
    inside = np.zeros(len(regions.result), np.bool_)
    inside[pairs.result[within]] = True
    return inside
