"""OC-SORT: each of its additions to SORT alone."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from support.tracking import BOX, NOTHING, all_ids, detect, frames, ids_by_row, run, walk

from mot import boxes
from mot.trackers.ocsort import OcSort, OcSortSettings
from mot.trackers.sort import Sort, SortSettings

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import filterpy.kalman


def sort_filter(box: np.ndarray) -> filterpy.kalman.KalmanFilter:
    kalman = filterpy.kalman.KalmanFilter(dim_x=7, dim_z=4)
    kalman.F, kalman.H = np.eye(7) + np.eye(7, k=4), np.eye(4, 7)
    kalman.R = np.diag([1.0, 1, 10, 10])
    kalman.P = np.diag([10.0, 10, 10, 10, 1e4, 1e4, 1e4])
    kalman.Q = np.diag([1, 1, 1, 1, 1e-2, 1e-2, 1e-4])
    kalman.x[:4, 0] = boxes.xyxy_to_xysr(box[None])[0]
    return kalman


@pytest.mark.parametrize("missed", [0, 1, 5, 20])
def test_a_recovered_track_is_filtered_along_the_straight_path(missed) -> None:
    """As if it had been detected in each frame of the gap, on the line from its last box."""
    before = [d.boxes[0].astype(float) for d in walk(10, speed=3)]
    again = before[-1] + [missed * 2 + 4, 3, missed * 2 + 8, 9]
    tracker = OcSort()
    run(tracker, [*walk(10, speed=3), *[NOTHING] * missed, detect(again)])
    ends = boxes.xyxy_to_cxcywh(np.array([before[-1], again]))
    share = np.linspace(0, 1, missed + 2)[1:, None]
    path = boxes.cxcywh_to_xyxy(ends[0] + share * (ends[1] - ends[0]))
    kalman = sort_filter(before[0])
    for box in [*before[1:], *path]:
        kalman.predict()
        kalman.update(boxes.xyxy_to_xysr(box[None])[0][:, None])
    x, v, xx, xv, vv = tracker._table.state[:, :, 0]
    np.testing.assert_allclose(np.append(x, v[:3]), kalman.x[:, 0], rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(np.append(xx, vv[:3]), kalman.P.diagonal(), rtol=1e-5)
    np.testing.assert_allclose(xv[:3], kalman.P.diagonal(4), rtol=1e-5)


@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize(("inertia", "chosen"), [(0.2, 0), (0.0, 1)])
def test_momentum_prefers_the_same_direction(sign, inertia, chosen) -> None:
    """Two detections, one ahead, and one behind that overlaps a little more."""
    stream = walk(10, speed=2 * sign)
    expected = stream[-1].boxes[0] + np.array([2, 0, 2, 0]) * sign
    ahead, behind = (expected + np.array([x, 0, x, 0]) * sign for x in (10, -9))
    tracker = OcSort(OcSortSettings(inertia=inertia))
    results = run(tracker, [*stream, detect([ahead, behind])])
    assert ids_by_row(results)[-1] == {chosen: 1}


def test_a_track_is_recovered_at_its_last_observation() -> None:
    """The prediction has moved out of reach; the last observation has not."""
    stream = walk(20, speed=9)
    results = run(OcSort(), [*stream, *[NOTHING] * 8, *[stream[-1]] * 6])
    assert all_ids(results) == [1]
    patient_sort = Sort(SortSettings(track_buffer=1.0))
    assert all_ids(run(patient_sort, [*stream, *[NOTHING] * 8, *[stream[-1]] * 6])) == [1, 2]


@pytest.mark.parametrize(("use", "ids"), [(True, [1]), (False, [1, 2])])
def test_low_scores_are_used_if_enabled(use, ids) -> None:
    """The score is low for longer than the buffer."""
    low = [detect(d.boxes, scores=[0.3]) for d in walk(60)]
    stream = [*walk(10), *low[10:50], *walk(60)[50:]]
    assert all_ids(run(OcSort(OcSortSettings(use_low_scores=use)), stream)) == ids


@pytest.mark.parametrize(("missed", "ids"), [(30, [1]), (31, [1, 2])])
def test_a_lost_track_keeps_its_id_within_the_buffer(missed, ids) -> None:
    stream = walk(60, speed=0)
    stream[10 : 10 + missed] = [NOTHING] * missed
    assert all_ids(run(OcSort(), stream)) == ids


def test_the_observed_boxes_are_reported() -> None:
    for tracks in run(OcSort(), [detect(BOX), detect(BOX + 3), detect(BOX - 2)]):
        assert (tracks.boxes % 1 == 0).all()


def test_a_gap_at_a_third_of_the_rate_is_bridged() -> None:
    stream = walk(90, speed=3)
    stream[45:60] = [NOTHING] * 15
    assert all_ids(run(OcSort(), stream[::3], frames(10))) == [1]
