"""Appearance costs and embedding updates equal plain formulas; embeddings reduce id switches."""

from __future__ import annotations

import copy
from dataclasses import replace

import numpy as np
import pytest
from support.appearance import (
    Array,
    cosines,
    mahalanobis,
)
from support.tracking import (
    BOX,
    EMBEDDINGS,
    all_ids,
    count_id_switches,
    detect,
    frames,
    moments,
    run,
    unit,
    world,
)

from mot import boxes
from mot.config import build_tracker
from mot.embeddings import cosine_distance, normalize
from mot.trackers.appearance import moving_average


def states_and_costs(name: str) -> tuple[Array, Array, Array, object, list]:
    """Predicted states, track embeddings, box model, candidates and stages of one crowd frame."""
    tracker = build_tracker(name)
    stream, clock = world(1, 40), list(zip(range(40), frames(), strict=False))
    run(tracker, stream[:-1])
    before = copy.deepcopy(tracker)
    before._before_prediction()
    before._filter.predict(before._table.state)
    tracker.trace = []
    tracker.update(stream[-1], clock[-1][1])
    trace = tracker.trace[-1]
    found = stream[-1][trace.rows]
    return (
        before._table.state,
        before._table.extra["embedding"],
        tracker._model,
        found,
        trace.stages,
    )


@pytest.mark.parametrize("name", ["strongsort", "fairmot"])
def test_appearance_and_motion_are_mixed(name) -> None:
    state, embeddings, model, found, stages = states_and_costs(name)
    motion = mahalanobis(state, model, found)
    expected = 0.98 * cosines(embeddings, found.embeddings) + 0.02 * motion
    expected[motion > 9.4877] = np.inf
    assert stages[0].name == "appearance"
    assert stages[0].limit == 0.4
    assert 20 < np.isfinite(expected).sum() < expected.size
    np.testing.assert_allclose(stages[0].cost, expected, rtol=1e-4, atol=1e-4)


def test_botsort_takes_the_smaller_distance_within_both_gates() -> None:
    state, embeddings, model, found, stages = states_and_costs("botsort")
    overlap = boxes.iou(model.to_xyxy(state[0].T), found.boxes)
    cosine = cosines(embeddings, found.embeddings) / 2
    expected = 1 - overlap * found.scores
    for pair in np.ndindex(expected.shape):
        if 1 - overlap[pair] <= 0.5 and cosine[pair] <= 0.25:
            expected[pair] = min(expected[pair], cosine[pair])
    assert stages[0].limit == 0.8
    assert (expected < 1 - overlap * found.scores).sum() > 5
    # Costs above the limit are equivalent.
    np.testing.assert_allclose(np.minimum(stages[0].cost, 1), np.minimum(expected, 1), atol=1e-4)


@pytest.mark.parametrize("name", ["best", "botsort", "fairmot", "strongsort"])
def test_embeddings_are_a_moving_average(name) -> None:
    views = unit(EMBEDDINGS[0] + 0.2 * np.random.default_rng(1).normal(size=(15, 16)))
    views[7] = 0  # unknown
    tracker = build_tracker(name)
    run(tracker, [replace(detect(BOX), embeddings=view[None]) for view in views])
    average = views[0]
    for view in views[1:]:
        average = unit(0.9 * average + 0.1 * view) if view.any() else average
    np.testing.assert_allclose(tracker._table.extra["embedding"], average[None], atol=1e-5)


def test_unit_vectors_and_their_distances() -> None:
    vectors = normalize(np.array([[3.0, 4], [0, 0], [-6, -8], [4, -3]]))
    np.testing.assert_allclose(vectors, [[0.6, 0.8], [0, 0], [-0.6, -0.8], [0.8, -0.6]])
    np.testing.assert_allclose(cosine_distance(vectors[:2], vectors), [[0, 1, 2, 1], [1] * 4])
    known, unknown = vectors[:1], vectors[1:2]
    for old, new in ((known, unknown), (unknown, known)):
        np.testing.assert_allclose(moving_average(old, new, 0.9), known)


# Appearance reduces id switches


@pytest.fixture(scope="module")
def crossing_switches() -> dict[str, int]:
    """Id switches in six crossing streams; `NAME*`: without embeddings."""
    counts: dict[str, int] = {}
    for seed in range(1, 7):
        truth = moments("crossing", seed, 150)
        stream = [moment.detections for moment in truth]
        bare = [replace(d, embeddings=None) for d in stream]
        for name in ("best", "botsort", "deepsort", "fairmot", "strongsort"):
            counts[name] = counts.get(name, 0) + count_id_switches(run(name, stream), truth)
        for name in ("best", "boosttrack", "botsort", "bytetrack", "cbiou", "ocsort", "sort"):
            counts[f"{name}*"] = counts.get(f"{name}*", 0) + count_id_switches(
                run(name, bare), truth
            )
    return counts


def test_appearance_reduces_switches_where_streams_cross(crossing_switches) -> None:
    using = [count for name, count in crossing_switches.items() if not name.endswith("*")]
    without = [count for name, count in crossing_switches.items() if name.endswith("*")]
    assert max(using) < min(without)


@pytest.mark.parametrize("name", ["best", "botsort"])
def test_embeddings_improve_a_tracker(name, crossing_switches) -> None:
    assert crossing_switches[name] < 0.75 * crossing_switches[f"{name}*"]


def test_botsort_tracks_a_crowd_without_embeddings() -> None:
    truth = moments("crowd", 1, 150)
    bare = [replace(moment.detections, embeddings=None) for moment in truth]
    results = run("botsort", bare)
    assert len(all_ids(results)) < 60
    assert count_id_switches(results, truth) < count_id_switches(run("sort", bare), truth)
