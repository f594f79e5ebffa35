"""The terms of a cost in a trace equal plain formulas, and its explanation is true."""

from __future__ import annotations

import copy
from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pytest
from support.appearance import cosines, mahalanobis
from support.tracking import EMBEDDINGS, NOTHING, detect, frames, run, unit, world

from mot.config import build_tracker
from mot.trackers import TRACKERS
from mot.trackers.appearance import AppearanceTracker
from mot.trackers.base import BaseTracker
from mot.trackers.explain import Basis, explain_stages, find_detection
from mot.trackers.stages import CostTerms, Stages, Trace
from mot.types import Tracks

Array = npt.NDArray[np.float64]
INF = float("inf")
USING_EMBEDDINGS = ("best", "botsort", "deepsort", "fairmot", "strongsort")
STILL = np.eye(2, 3)  # camera motion; with it `best` does not estimate drift


# The terms of a cost


def traced(name: str, count: int = 30) -> tuple[BaseTracker, Trace, object]:
    """The tracker after prediction of a crowd frame, its trace, and the candidates in order."""
    tracker = build_tracker(name)
    clock = [replace(frame, motion=STILL) for _, frame in zip(range(count), frames(), strict=False)]
    stream = world(1, count)
    run(tracker, stream[:-1], clock)
    before = copy.deepcopy(tracker)
    before._before_prediction()
    before._filter.predict(before._table.state)
    tracker.trace = []
    tracker.update(stream[-1], clock[-1])
    (trace,) = tracker.trace
    return before, trace, stream[-1][trace.rows]


def plain_iou(one: Array, other: Array) -> float:
    width, height = np.minimum(one[2:], other[2:]) - np.maximum(one[:2], other[:2])
    shared = max(width, 0) * max(height, 0)
    areas = [(box[2] - box[0]) * (box[3] - box[1]) for box in (one, other)]
    return float(shared / (sum(areas) - shared))


@pytest.mark.parametrize("name", [name for name in TRACKERS if name != "cbiou"])
def test_overlap_is_that_of_the_predicted_boxes(name) -> None:
    before, trace, found = traced(name)
    predicted = before._model.to_xyxy(before._table.state[0].T)
    expected = [[1 - plain_iou(one, other) for other in found.boxes] for one in predicted]
    np.testing.assert_allclose(trace.terms.overlap, expected, atol=1e-4)
    assert (trace.terms.overlap < 0.5).sum() > 5


def test_the_overlap_of_cbiou_is_that_of_its_own_prediction() -> None:
    """At a constant speed C-BIoU's prediction is exact; the Kalman filter's is not."""
    tracker = build_tracker("cbiou")
    stream = [detect([100 + 9 * i, 100, 140 + 9 * i, 200]) for i in range(4)]
    run(tracker, stream[:-1])
    tracker.trace = []
    tracker.update(stream[-1], [*zip(range(4), frames(), strict=False)][-1][1])
    np.testing.assert_allclose(tracker.trace[0].terms.overlap, 0, atol=1e-6)


@pytest.mark.parametrize("name", USING_EMBEDDINGS)
def test_appearance_is_the_cosine_distance_to_the_track(name) -> None:
    """Two still objects, detected in every frame."""
    noise = np.random.default_rng(2).normal(size=(9, 2, EMBEDDINGS.shape[1]))
    vectors = unit(EMBEDDINGS[:2] + 0.15 * noise)
    boxes = [[100, 100, 140, 200], [400, 100, 440, 200]]
    stream = [replace(detect(boxes), embeddings=frame) for frame in vectors]
    tracker = build_tracker(name)
    run(tracker, stream[:-1])
    tracker.trace = []
    tracker.update(stream[-1], [*zip(range(9), frames(), strict=False)][-1][1])
    trace = tracker.trace[0]
    expected = np.empty((2, 2))
    for row in (0, 1):
        memory = vectors[:-1, row]
        average = memory[0]
        for vector in memory[1:]:
            average = unit(0.9 * average + 0.1 * vector)
        known = memory if name == "deepsort" else [average]
        expected[row] = [min(1 - v @ new for v in known) for new in vectors[-1]]
    np.testing.assert_allclose(trace.terms.appearance, expected[:, trace.rows], atol=1e-5)


@pytest.mark.parametrize("name", ["deepsort", "fairmot", "strongsort"])
def test_motion_is_the_squared_mahalanobis_distance(name) -> None:
    before, trace, found = traced(name)
    expected = mahalanobis(before._table.state, before._model, found)
    np.testing.assert_allclose(trace.terms.motion, expected, rtol=1e-4)


@pytest.mark.parametrize("name", ["best", "botsort", "fairmot", "strongsort"])
def test_appearance_of_a_crowd(name) -> None:
    before, trace, found = traced(name)
    expected = cosines(before._table.extra["embedding"], found.embeddings)
    np.testing.assert_allclose(trace.terms.appearance, expected, atol=1e-5)


@pytest.mark.parametrize("name", TRACKERS)
def test_nothing_is_computed_without_a_trace(name, monkeypatch) -> None:
    monkeypatch.setattr(BaseTracker, "_cost_terms", None)
    monkeypatch.setattr(AppearanceTracker, "_cost_terms", None)
    assert len(run(name, world(1, 5))) == 5


def test_without_embeddings_there_is_no_appearance() -> None:
    tracker = build_tracker("best")
    stream = [replace(each, embeddings=None) for each in world(1, 5)]
    tracker.trace = []
    run(tracker, stream)
    assert all(trace.terms.appearance is None for trace in tracker.trace)


def test_an_empty_frame_has_terms_too() -> None:
    for name in TRACKERS:
        tracker = build_tracker(name)
        run(tracker, world(1, 5))
        tracker.trace = []
        tracker.update(NOTHING, [*zip(range(6), frames(), strict=False)][-1][1])
        terms = tracker.trace[0].terms
        assert terms.overlap.shape == (len(tracker.trace[0].ids), 0)


# The formula of a cost


def explain_cost(stage: str, cost: float, terms: dict[str, float], **weights: float) -> Basis:
    """The explanation of the cost of one track and one detection."""
    arrays = {name: np.array([[number]]) for name, number in terms.items()}
    trace = Trace(np.array([1]), np.array([0]), [], CostTerms(**arrays, **weights))
    Stages(1, 1, trace.stages).match(stage, np.array([[cost]]), 0.9)
    (verdict,) = explain_stages(trace, 0)
    basis = verdict.candidates[0].basis
    assert basis
    return basis


NEAR = {"overlap": 0.4, "appearance": 0.3, "motion": 2.0}


@pytest.mark.parametrize(
    ("cost", "terms", "weights", "rule"),
    [
        (0.3, NEAR, {}, "appearance"),
        (0.4, NEAR, {}, "overlap"),
        (0.98 * 0.3 + 0.02 * 2, NEAR, {"appearance_weight": 0.98}, "0.98 appearance + 0.02 motion"),
        (0.4, NEAR, {"appearance_weight": 0.98}, "overlap"),
        (0.15, {"overlap": 0.4, "appearance": 0.3}, {"appearance_weight": 0.5}, "0.5 appearance"),
        (0.45, NEAR, {"appearance_share": 0.5}, "overlap + 0.5 appearance"),
        (0.4, NEAR, {"appearance_share": 0.5}, "overlap"),
        (0.2, {"overlap": 0.4, "appearance": INF}, {}, "overlap"),
        (0.2, {"overlap": 0.4}, {}, "overlap"),
    ],
)
def test_the_formula_of_a_cost(cost, terms, weights, rule) -> None:
    assert explain_cost("stage", cost, terms, **weights).rule == rule


@pytest.mark.parametrize(
    ("stage", "terms", "rule"),
    [
        ("appearance", {"overlap": INF, "appearance": 0.1, "motion": 99.0}, "another class"),
        ("appearance", {"overlap": 0.4, "appearance": 0.1, "motion": 9.5}, "motion over 9.5"),
        ("appearance", {"overlap": 0.4, "appearance": INF, "motion": 1.0}, "no embedding"),
        (
            "appearance",
            {"overlap": 0.4, "appearance": 0.1, "motion": 1.0},
            "another match is nearly as good",
        ),
        ("high scores", {"overlap": 1.0, "appearance": 0.1, "motion": 99.0}, "no overlap"),
        ("high scores", {"overlap": 0.8}, "too little overlap"),
    ],
)
def test_the_gate_that_rules_a_pair_out(stage, terms, rule) -> None:
    basis = explain_cost(stage, INF, terms)
    assert basis.rule == rule
    assert (basis.overlap, basis.appearance, basis.motion) == (
        terms["overlap"],
        terms.get("appearance"),
        terms.get("motion"),
    )


def test_the_formula_of_every_cost_of_a_crowd_is_true() -> None:
    rules = set()
    weights = {"best": 0.995, "botsort": 0.5, "deepsort": 1.0, "strongsort": 0.98}
    for name, weight in weights.items():
        _, trace, _ = traced(name)
        for track in range(len(trace.ids)):
            for verdict in explain_stages(trace, track, max_candidates=99):
                for candidate in verdict.candidates:
                    basis, cost = candidate.basis, candidate.cost
                    if "appearance" in basis.rule.split(" + ")[0]:
                        motion = (1 - weight) * (basis.motion or 0)
                        assert cost == pytest.approx(weight * basis.appearance + motion, abs=1e-4)
                    elif cost == INF and basis.rule != "another match is nearly as good":
                        assert basis.overlap == 1 or basis.motion > 9.4877
                    rules.add(basis.rule)
    assert rules >= {
        "overlap",
        "overlap + 0.5 appearance",
        "0.995 appearance + 0.005 motion",
        "0.5 appearance",
        "appearance",
        "0.98 appearance + 0.02 motion",
    }


def test_excluded_candidates_are_ordered_by_appearance() -> None:
    embeddings = np.array([[0.5, 0.1, 0.3, 0.4]])
    cost = np.array([[INF, INF, 0.3, INF]])
    trace = Trace(np.array([1]), np.arange(4), [], CostTerms(np.ones((1, 4)), embeddings))
    Stages(1, 4, trace.stages).match("stage", cost, 0.9)
    (verdict,) = explain_stages(trace, 0, max_candidates=3)
    assert [candidate.row for candidate in verdict.candidates] == [2, 1, 3]
    assert verdict.omitted == 1


def test_find_detection() -> None:
    trace = Trace(np.array([4, 5]), np.array([7, 8]), [])
    Stages(2, 2, trace.stages).match("stage", np.array([[INF, 0.1], [INF, INF]]), 0.9)
    box, one = np.zeros((4, 4)), np.ones(4)
    tracks = Tracks(np.array([4, 5, 6, 9]), box, one, one, np.array([8, -1, 7, -1]))
    assert [find_detection(trace, tracks, number) for number in (4, 5, 6, 9, 3)] == [
        8,
        None,
        7,
        None,
        None,
    ]
