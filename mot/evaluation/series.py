"""What frames and people add to the metrics, and the metrics of any of them together.

The matching is that of the whole sequence. A true positive weighs in the association as it does
there, so the metrics of parts are what those parts add, not what they would score alone.
"""

from __future__ import annotations

import numpy as np

from mot.evaluation.hota import ALPHAS
from mot.evaluation.scene import SequencePairs, Values
from mot.evaluation.score import Matches
from mot.types import IntArray

_STEPS = len(ALPHAS)
# Columns: true positives and their association at each threshold, then the ones below.
_TRUTH, _RESULT, _TP, _SWITCHES, _IDTP = range(2 * _STEPS, 2 * _STEPS + 5)
COLUMNS = 2 * _STEPS + 5
METRICS = ("HOTA", "DetA", "AssA", "MOTA", "IDF1")


def by_frame(matches: Matches) -> Values:
    """(frames, COLUMNS)"""
    scene = matches.scene
    return _collect(matches, scene.truth.frames, scene.result.frames, scene.length)


def by_block_and_person(matches: Matches, block: int) -> Values:
    """(blocks of so many frames, people of the truth and nobody, COLUMNS)

    A result box belongs to the person that it is matched to, else to nobody."""
    scene = matches.scene
    blocks, people = -(-scene.length // block), scene.truth.people + 1
    of_truth = scene.truth.frames // block * people + scene.truth.ids
    of_result = scene.result.frames // block * people + _person_of_results(scene, matches)
    return _collect(matches, of_truth, of_result, blocks * people).reshape(blocks, people, COLUMNS)


def _person_of_results(scene: SequencePairs, matches: Matches) -> IntArray:
    person = np.full(len(scene.result), scene.truth.people)
    pairs = scene.pairs[matches.hota.pairs]
    person[pairs.result] = scene.truth.ids[pairs.truth]
    return person


def _collect(matches: Matches, of_truth: IntArray, of_result: IntArray, groups: int) -> Values:
    """(groups, COLUMNS) that add up over groups and sequences; a group for each box."""
    scene, hota, clear = matches.scene, matches.hota, matches.clear
    table = np.zeros((groups, COLUMNS))
    of_pair = of_truth[scene.pairs.truth]
    group = of_pair[hota.pairs]
    weight = hota.ass_a[hota.couple]
    for step in range(_STEPS):
        reached = hota.level > step
        here = group[reached]
        table[:, step] = np.bincount(here, minlength=groups)
        table[:, _STEPS + step] = np.bincount(here, weight[reached, step], minlength=groups)
    counted = {
        _TRUTH: of_truth,
        _RESULT: of_result,
        _TP: of_pair[clear.pairs],
        _SWITCHES: of_pair[clear.pairs[clear.is_switch]],
        _IDTP: of_pair[matches.identity],
    }
    for column, found in counted.items():
        table[:, column] = np.bincount(found, minlength=groups)
    return table


def metrics_of(sums: Values) -> dict[str, Values]:
    """HOTA, DetA, AssA, MOTA and IDF1 of sums over groups: (..., COLUMNS) to (...)."""
    tp, association = sums[..., :_STEPS], sums[..., _STEPS : 2 * _STEPS]
    truth, result = sums[..., _TRUTH], sums[..., _RESULT]
    det_a = tp / np.maximum(1, (truth + result)[..., None] - tp)
    ass_a = association / np.maximum(1, tp)
    wrong = result - sums[..., _TP] + sums[..., _SWITCHES]
    return {
        "HOTA": np.sqrt(det_a * ass_a).mean(-1),
        "DetA": det_a.mean(-1),
        "AssA": ass_a.mean(-1),
        "MOTA": (sums[..., _TP] - wrong) / np.maximum(1, truth),
        "IDF1": sums[..., _IDTP] / np.maximum(1, (truth + result) / 2),
    }
