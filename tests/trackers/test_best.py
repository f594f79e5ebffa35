"""`best`: camera drift, re-identification, occlusion and ambiguous matches."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from support.tracking import (
    BOX,
    NOTHING,
    all_ids,
    as_lists,
    count_id_switches,
    detect,
    ids_by_row,
    moments,
    run,
    shifted,
    world,
)

from mot.trackers.best import Best, BestSettings, _min_of_others
from mot.trackers.table import CONFIRMED, LOST
from mot.types import Detections

NO_DRIFT = BestSettings(drift_pairs=10_000)  # never enough pairs to estimate drift


def street(count: int, length: int = 60) -> list:
    """Separate objects with random constant speeds, without embeddings."""
    rng = np.random.default_rng(2)
    corner = np.stack(np.divmod(np.arange(count), 4), axis=1) * 150.0
    speed = rng.integers(-2, 3, (count, 2))
    return [
        replace(detect(np.concatenate([at, np.add(at, [40, 100])], axis=1)), embeddings=None)
        for at in (corner + index * speed / 2 for index in range(length))
    ]


def jitter(length: int, reach: int) -> np.ndarray:
    """(T, 2) offsets of a shaking camera, up to `reach` pixels."""
    return np.random.default_rng(3).integers(-reach, reach + 1, (length, 2)).astype(float)


@pytest.mark.parametrize("reach", [4, 10])
def test_a_shaking_camera_changes_no_id(reach) -> None:
    stream = street(12)
    shaken = run(Best(), shifted(stream, jitter(60, reach)))
    assert ids_by_row(shaken) == ids_by_row(run(Best(), stream))


def test_drift_compensation_reduces_switches_in_a_crowd() -> None:
    truth = moments("crowd", 1, 100)
    shaken = shifted([replace(d, embeddings=None) for d in world(1, 100)], jitter(100, 6))
    compensated, without = (
        count_id_switches(run(Best(s), shaken), truth) for s in (BestSettings(), NO_DRIFT)
    )
    assert compensated < without


@pytest.mark.parametrize(("count", "same"), [(3, True), (12, False)])
def test_drift_needs_enough_pairs(count, same) -> None:
    shaken = shifted(street(count), jitter(60, 4))
    assert (as_lists(run(Best(), shaken)) == as_lists(run(Best(NO_DRIFT), shaken))) == same


def test_drift_is_robust_to_an_outlier() -> None:
    """One moving object in five does not change the median."""
    still = street(1, 30)[0].boxes + np.outer(150 * np.arange(5), [1, 0, 1, 0])
    stream = [detect(still + np.outer([0, 0, 0, 0, 1], [0, t, 0, t])) for t in range(30)]
    for tracks in run(Best(), stream)[1:]:
        np.testing.assert_allclose(tracks.boxes[:4], still[:4], atol=1e-3)


def uninformative(stream: list, seed: int = 4) -> list:
    """The same embedding for all, plus noise, as in a team in uniform."""
    rng = np.random.default_rng(seed)
    return [replace(each, embeddings=1 + 0.5 * rng.normal(size=(len(each), 64))) for each in stream]


def test_appearance_reidentifies_a_lost_track() -> None:
    """Two seconds of occlusion, then 80 pixels away from the prediction."""
    before, after = (
        [each] * 20 for each in (detect(BOX, identities=[3]), detect(BOX + 80, identities=[3]))
    )
    stream = [*before, *[NOTHING] * 60, *after]
    assert all_ids(run(Best(), stream)) == [1]
    stranger = [detect(BOX + 80, identities=[5])] * 20
    assert all_ids(run(Best(), [*stream[:80], *stranger])) == [1, 2]
    bare = [replace(each, embeddings=None) for each in stream]
    assert all_ids(run(Best(), bare)) == [1, 2]


def test_an_occluder_does_not_change_the_embedding() -> None:
    """A red object stops in front of a blue one: the crop of the blue one is mostly red."""
    blue, red = np.eye(2)
    behind, front = BOX, BOX + [0, 0, 0, 5]
    mixed = (blue + 3 * red) / 10**0.5
    alone = Detections.from_boxes([behind], embeddings=blue[None])
    for beside, expected in ((front, blue), (front + 300, mixed)):
        both = Detections.from_boxes([behind, beside], embeddings=np.array([mixed, red]))
        tracker = Best()
        run(tracker, [alone] * 10 + [both] * 40)
        assert tracker._table.extra["embedding"][0] @ expected > 0.99


@pytest.mark.parametrize(
    ("phases", "second_cost", "taken"),
    [
        ((CONFIRMED, LOST), 0.05, []),  # within twice the margin
        ((CONFIRMED, LOST), 0.03, [1]),
        ((CONFIRMED, CONFIRMED), 0.05, [1]),
        ((LOST, LOST), 0.05, [1]),
        ((LOST, CONFIRMED), 0.05, [1]),
    ],
)
def test_a_lost_track_needs_twice_the_margin(phases, second_cost, taken) -> None:
    tracker = Best()
    run(tracker, [detect([BOX, BOX + 200], identities=[1, 2])] * 3)
    tracker._table.phases[:] = phases
    left = tracker._reject_ambiguous(np.array([[0.10], [second_cost]]))
    assert np.isfinite(left[:, 0]).nonzero()[0].tolist() == taken


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_uninformative_embeddings_do_little_harm(seed) -> None:
    truth = moments("crossing", seed, 150)
    stream = [moment.detections for moment in truth]
    bare = [replace(d, embeddings=None) for d in stream]
    trusting = BestSettings(appearance_margin=0.0)
    counts = [
        count_id_switches(run(Best(s), d), truth)
        for s, d in ((None, bare), (None, uninformative(stream)), (trusting, uninformative(stream)))
    ]
    assert counts[1] < 1.5 * counts[0] + 3
    assert counts[1] < counts[2] / 2


@pytest.mark.parametrize("shape", [(1, 1), (1, 5), (4, 1), (4, 5), (0, 3), (3, 0)])
@pytest.mark.parametrize("axis", [0, 1])
def test_min_of_others_equals_brute_force(shape, axis) -> None:
    cost = np.random.default_rng(1).integers(0, 4, shape).astype(float)
    cost[cost == 3] = np.inf
    expected = np.empty_like(cost)
    for index in np.ndindex(shape):
        line = cost[:, index[1]] if axis == 0 else cost[index[0]]
        expected[index] = np.delete(line, index[axis]).min(initial=np.inf)
    np.testing.assert_array_equal(_min_of_others(cost, axis), expected)


def test_embeddings_reduce_switches() -> None:
    truth = moments("crossing", 2, 150)
    stream = [moment.detections for moment in truth]
    bare = [replace(d, embeddings=None) for d in stream]
    assert count_id_switches(run(Best(), stream), truth) < count_id_switches(
        run(Best(), bare), truth
    )
