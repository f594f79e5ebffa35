"""The contract of all trackers: each test runs over all names in `TRACKERS`."""

from __future__ import annotations

import itertools
import pickle
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.tracking import (
    BOX,
    EMBEDDINGS,
    HOSTILE,
    NOTHING,
    all_ids,
    as_lists,
    count_id_switches,
    detect,
    frames,
    ids_by_row,
    moments,
    run,
    shifted,
    unit,
    walk,
    world,
)

from mot import boxes
from mot.config import build_tracker
from mot.trackers import TRACKERS
from mot.types import Detections, Frame, Tracks


def merge_as_classes(*streams: list[Detections]) -> list[Detections]:
    """Several streams as one; each becomes a class of its own."""
    return [
        detect(
            np.concatenate([d.boxes for d in parts]),
            np.zeros(sum(map(len, parts)), int),  # the same embedding for all
            np.concatenate([d.scores for d in parts]),
            np.repeat(np.arange(len(parts)), [len(d) for d in parts]),
        )
        for parts in zip(*streams, strict=True)
    ]


def check(tracks: Tracks, detections: Detections) -> None:
    """Check the invariants of every result."""
    seen = tracks.detections[tracks.detections >= 0]
    assert len(set(tracks.ids.tolist())) == len(tracks)
    assert len(set(seen.tolist())) == len(seen)
    assert tracks.ids.min(initial=1) >= 1
    assert seen.max(initial=-1) < len(detections)
    assert np.isfinite(tracks.boxes).all()
    used = tracks.detections >= 0
    assert tracks.scores[used].tolist() == detections.scores[seen].tolist()
    assert tracks.labels[used].tolist() == detections.labels[seen].tolist()


# Ordinary and hostile input


@pytest.mark.parametrize("index", [0, 30, 59])
def test_an_empty_frame_anywhere(name, index) -> None:
    stream = world()
    stream[index] = NOTHING
    results = run(name, stream)
    assert (results[index].detections == -1).all()
    assert sum(map(len, results)) > 300


def test_only_empty_frames(name) -> None:
    assert [len(tracks) for tracks in run(name, [NOTHING] * 5)] == [0] * 5


def test_one_object(name) -> None:
    results = run(name, walk(12))
    assert all_ids(results) == [1]
    for tracks, detections in zip(results[4:], walk(12)[4:], strict=True):
        assert tracks.detections.tolist() == [0]
        np.testing.assert_allclose(tracks.boxes, detections.boxes, atol=3)


@pytest.mark.parametrize("count", [2, 3])
def test_identical_detections_get_an_id_each(name, count) -> None:
    results = run(name, [detect([BOX] * count, [0] * count)] * 10)
    assert [sorted(tracks.ids.tolist()) for tracks in results[4:]] == [[*range(1, count + 1)]] * 6


def test_a_thousand_objects(name) -> None:
    corner = np.stack(np.meshgrid(np.arange(40), np.arange(25)), axis=-1).reshape(-1, 2) * 50.0
    results = run(name, [detect(np.concatenate([corner, np.add(corner, [20, 40])], axis=1))] * 6)
    assert sorted(results[-1].ids.tolist()) == [*range(1, 1001)]
    assert ids_by_row(results[-2:-1]) == ids_by_row(results[-1:])


@pytest.mark.parametrize("hostile", HOSTILE.values(), ids=HOSTILE)
def test_hostile_boxes_are_tracked(name, hostile) -> None:
    detections = detect(hostile)
    for tracks in run(name, [detections] * 12):
        check(tracks, detections)


@pytest.mark.parametrize("then", [NOTHING, detect([0, 0, 1e9, 1e9])], ids=["absent", "present"])
def test_boxes_at_the_largest_coordinates_are_tracked(name, then) -> None:
    edges = 1e9 * np.linspace(0.8, 0.999, 12)
    stream = [detect([0, 0, edge, edge]) for edge in edges] + [then] * 4
    for tracks, detections in zip(run(name, stream), stream, strict=True):
        check(tracks, detections)


@pytest.mark.parametrize("apart", [0, 60, 500])
def test_classes_at_any_distance_are_tracked(name, apart) -> None:
    """Boxes that share pixels, rows of the image, or neither."""
    pair = detect([BOX, np.add(BOX, [0, apart, 0, apart])], labels=[0, 1])
    assert sorted(run(name, [pair] * 8)[-1].ids.tolist()) == [1, 2]


def test_the_callers_arrays_are_unchanged(name) -> None:
    last = world()[-1]
    parts = (last.boxes, last.scores, last.labels, last.embeddings)
    given = [part.copy() for part in parts]
    motion = np.array([[1.0, 0, 3], [0, 1, 4]])
    run(name, [Detections(*given)] * 6, (replace(frame, motion=motion) for frame in frames()))
    assert motion.tolist() == [[1, 0, 3], [0, 1, 4]]
    for array, before in zip(given, parts, strict=True):
        np.testing.assert_array_equal(array, before)
        assert array.flags.writeable


def test_float64_input_gives_the_same_output(name) -> None:
    doubled = [
        Detections(*(part.astype(np.float64) for part in (d.boxes, d.scores)), d.labels, embeddings)
        for d in world()
        for embeddings in [d.embeddings.astype(np.float64)]
    ]
    assert as_lists(run(name, doubled)) == as_lists(run(name, world()))


# Determinism and state


def test_the_same_input_gives_the_same_output(name) -> None:
    assert as_lists(run(name, world())) == as_lists(run(name, world()))


def test_two_trackers_are_independent(name) -> None:
    one, other = build_tracker(name), build_tracker(name)
    pairs = [
        (one.update(a, frame), other.update(b, frame))
        for a, b, frame in zip(world(1), world(2), frames(), strict=False)
    ]
    for seed, results in zip((1, 2), zip(*pairs, strict=True), strict=True):
        assert as_lists(results) == as_lists(run(name, world(seed)))


def test_reset_equals_a_new_tracker(name) -> None:
    tracker = build_tracker(name)
    run(tracker, world(1))
    tracker.reset()
    narrow = [replace(d, embeddings=unit(d.embeddings[:, :8] + 1)) for d in world(2)]
    assert as_lists(run(tracker, narrow)) == as_lists(run(name, narrow))


def test_results_do_not_change_with_the_next_update(name) -> None:
    tracker, kept, seen = build_tracker(name), [], []
    for detections, frame in zip(world(), frames(), strict=False):
        kept.append(tracker.update(detections, frame))
        seen += as_lists(kept[-1:])
    assert as_lists(kept) == seen


# Ids


def test_an_id_is_never_used_again(name) -> None:
    pause = [NOTHING] * 60
    results = run(
        name,
        [*walk(10, identity=0), *pause, *walk(10, identity=1), *pause, *walk(10, identity=2)],
    )
    assert [all_ids(results[start : start + 10]) for start in (0, 70, 140)] == [[1], [2], [3]]


def test_new_ids_are_above_all_earlier_ones(name) -> None:
    newest = 0
    results = run(name, world(4, 300))
    for tracks in results:
        new = [number for number in tracks.ids.tolist() if number > newest]
        assert sorted(new) == [*range(newest + 1, newest + 1 + len(new))]
        newest += len(new)
    assert sorted(all_ids(results)) == [*range(1, newest + 1)]
    assert newest > 30


def with_ties(stream: list[Detections]) -> list[Detections]:
    return [replace(d, scores=np.ones(len(d))) for d in stream]


@pytest.mark.parametrize("prepare", [list, with_ties])
def test_the_order_of_detections_changes_only_row_numbers(name, prepare) -> None:
    rng, stream = np.random.default_rng(7), prepare(world(1, 100))
    orders = [rng.permutation(len(detections)) for detections in stream]
    shuffled = run(name, [d[order] for d, order in zip(stream, orders, strict=True)])
    back = [
        replace(t, detections=np.append(order, -1)[t.detections])
        for t, order in zip(shuffled, orders, strict=True)
    ]
    assert as_lists(back) == as_lists(run(name, stream))


def test_the_order_of_equal_boxes_does_not_matter(name) -> None:
    """Two identical boxes that separate later differ in embedding or class only."""
    for labels in ([0, 0], [0, 1]):
        pair = detect([BOX, BOX], labels=labels)
        stream = [pair] * 6 + [
            replace(pair, boxes=pair.boxes + np.outer([-step, step], [1, 0, 1, 0]))
            for step in range(40)
        ]
        plain = run(name, stream)[-1]
        mixed = run(name, [detections[np.array([1, 0])] for detections in stream])[-1]
        assert mixed.boxes.tolist() == plain.boxes.tolist()
        assert mixed.ids.tolist() == plain.ids.tolist()


def test_tracks_lie_where_their_detections_are(name) -> None:
    overlaps = []
    for tracks, detections in zip(run(name, world()), world(), strict=True):
        check(tracks, detections)
        seen = tracks.detections >= 0
        overlap = boxes.iou(tracks.boxes[seen], detections.boxes[tracks.detections[seen]])
        overlaps += overlap.diagonal().tolist()
    assert min(overlaps) > 0.3
    assert np.mean(overlaps) > 0.8


# Classes


def test_crossing_classes_are_tracked_as_if_alone(name) -> None:
    """Two classes cross, and each is missed for some frames near the other."""
    left, right = walk(60, speed=6), walk(60, speed=-6, box=np.add(BOX, [354, 0, 354, 0]))
    left[34:37] = right[20:23] = [NOTHING] * 3
    results = run(name, merge_as_classes(left, right))
    for label, stream in enumerate((left, right)):
        alone = [tracks.boxes.tolist() for tracks in run(name, stream)]
        assert [tracks.boxes[tracks.labels == label].tolist() for tracks in results] == alone


def test_a_class_does_not_end_the_tracks_of_another(name) -> None:
    """A missed object keeps its id although another class is at the same place."""
    still = walk(30, speed=0)
    missed = [*still[:15], NOTHING, *still[16:]]
    for streams in ((missed, still), (still, missed)):
        results = run(name, merge_as_classes(*streams))
        for label in (0, 1):
            assert len({i for t in results for i in t.ids[t.labels == label].tolist()}) == 1


# Time


@pytest.mark.parametrize("start", [0.0, 0.04, 100.0, 36000.0])
def test_thirty_frames_a_second_equal_a_count_of_frames(name, start) -> None:
    """A clock that stands still counts frames too."""
    frozen = (Frame(None, index, 5.0) for index in itertools.count(1))
    assert as_lists(run(name, world(), frames(start=start))) == as_lists(run(name, world(), frozen))


@pytest.mark.parametrize("speed", [2.0, 5.0])
@pytest.mark.parametrize("every", [2, 3])
def test_lower_frame_rates_keep_the_id(name, every, speed) -> None:
    results = run(name, walk(90, speed)[::every], frames(30 / every))
    assert all_ids(results) == [1]
    assert sum(map(len, results[-15:])) == 15


def test_every_third_frame_of_a_crowd(name) -> None:
    thinned = moments("easy", 1, 150)[::3]
    results = run(name, [moment.detections for moment in thinned], frames(10))
    assert sum(map(len, results)) > 150
    assert count_id_switches(results, thinned) <= 3


@pytest.mark.parametrize("times", [[0, 1e4, 1e4 + 0.1, 2e4], [5, 4, 3, 3, 3, 9]])
def test_a_clock_that_jumps_is_tolerated(name, times) -> None:
    clock = [Frame(None, index, float(time)) for index, time in enumerate(times, 1)]
    for tracks, detections in zip(run(name, walk(9, 3), clock), walk(9), strict=False):
        check(tracks, detections)


# A moving camera


def test_a_known_camera_motion_changes_no_id(name) -> None:
    stream = [replace(d, boxes=np.round(d.boxes * 16) / 16) for d in world(1, 100)]
    path = np.random.default_rng(3).integers(-60, 60, (100, 2)).astype(float)
    steps = np.diff(path, axis=0, prepend=path[:1])
    clock = [
        replace(frame, motion=np.column_stack([np.eye(2), step]))
        for frame, step in zip(frames(), steps, strict=False)
    ]
    moved = run(name, shifted(stream, path), clock)
    assert ids_by_row(moved) == ids_by_row(run(name, stream))


def test_known_zoom_and_rotation_are_compensated(name) -> None:
    """A still crowd, scaled and rotated about the image's center."""
    corner = np.stack(np.meshgrid(np.arange(4), np.arange(3)), axis=-1).reshape(-1, 2) * 150.0
    box = np.concatenate([corner, np.add(corner, [50, 100])], axis=1)
    turn = 1.02 * np.array([[np.cos(0.02), -np.sin(0.02)], [np.sin(0.02), np.cos(0.02)]])
    motion = np.column_stack([turn, np.array([320, 180]) - turn @ [320, 180]])
    stream = []
    for _ in range(30):
        stream.append(detect(box))
        center, size = (box[:, :2] + box[:, 2:]) / 2, (box[:, 2:] - box[:, :2]) * 1.02
        center = center @ turn.T + motion[:, 2]
        box = np.concatenate([center - size / 2, center + size / 2], axis=1)
    clock = (replace(frame, motion=motion) for frame in frames())
    results = run(name, stream, clock)
    assert sorted(all_ids(results)) == [*range(1, 13)]
    assert len(results[-1]) == 12


# Long streams and random ones


def visits(count: int) -> Iterator[Detections]:
    """Two objects at a time, replaced by others every half second."""
    for index in range(count):
        visit, step = divmod(index, 15)
        start = np.array([[80.0 * (visit % 7), 100], [80.0 * (visit % 5), 300]]) + step * 2
        yield detect(
            np.concatenate([start, np.add(start, [40, 90])], axis=1),
            np.arange(2) + 2 * (visit % 400),
        )


LONG = [
    *((name, 4_000) for name in TRACKERS),
    *(pytest.param(name, 20_000, marks=pytest.mark.slow) for name in ("best", "deepsort")),
]


@pytest.mark.parametrize(("name", "length"), LONG)
def test_memory_does_not_grow_over_a_long_stream(name, length) -> None:
    tracker, sizes = build_tracker(name), []
    for detections, frame in zip(visits(length), frames(), strict=False):
        tracks = tracker.update(detections, frame)
        if frame.index % 1050 == 0:  # every combination of positions has occurred
            sizes.append(len(pickle.dumps(tracker)))
    assert tracks.ids.max() > length / 40
    assert max(sizes[1:]) < sizes[0] * 1.3 + 2000


COORDINATE = st.one_of(st.integers(-50, 700), st.sampled_from([-1e5, 0, 0, 100, 1e5]))
SIZE = st.one_of(st.integers(0, 200), st.sampled_from([0, 1e-3, 5e4]))
DETECTION = st.tuples(
    COORDINATE,
    COORDINATE,
    SIZE,
    SIZE,
    st.sampled_from([-1.0, 0, 0.05, 0.1, 0.3, 0.5, 0.6, 0.7, 0.9, 1]),  # score
    st.integers(0, 2),  # label
    st.integers(0, 9),  # identity; 9: unknown embedding
)


STEP = st.tuples(
    st.sampled_from(["new", "empty", "move", "move", "jump"]),
    st.lists(DETECTION, max_size=7),  # for "new"
    st.integers(-4, 4),  # pixels, for "move"
    st.sampled_from([1 / 30, 1 / 30, 0.1, 0.0, 5.0]),  # seconds
    st.booleans(),  # the camera moves
)
PAN = np.array([[1.0, 0.01, 5], [-0.01, 1, -3]])
WITH_UNKNOWN = np.vstack([EMBEDDINGS[:9], np.zeros(16)])


@settings(max_examples=30, deadline=None, derandomize=True)
@given(steps=st.lists(STEP, min_size=2, max_size=14))
@pytest.mark.parametrize("name", TRACKERS)
def test_random_streams_keep_the_invariants(name, steps) -> None:
    tracker, newest, table, time = build_tracker(name), 0, np.zeros((0, 7)), 0.0
    for index, (kind, rows, pixels, seconds, pans) in enumerate(steps, 1):
        table = np.array(rows, np.float64).reshape(-1, 7) if kind == "new" else table
        table[:, 0] += {"jump": 300, "move": pixels}.get(kind, 0)
        shown = table[:0] if kind == "empty" else table
        xyxy = boxes.xywh_to_xyxy(shown[:, :4])
        embeddings = WITH_UNKNOWN[shown[:, 6].astype(int)]
        detections = Detections.from_boxes(xyxy, shown[:, 4], shown[:, 5], embeddings)
        time += seconds
        tracks = tracker.update(detections, Frame(None, index, time, PAN if pans else None))
        check(tracks, detections)
        assert tracks.ids.max(initial=0) <= newest + len(table)
        newest = max(newest, int(tracks.ids.max(initial=0)))


# The constants of the papers

PUBLISHED = {
    "bytetrack": {
        "track_high_thresh": 0.6,
        "track_low_thresh": 0.1,
        "new_track_thresh": 0.7,
        "match_thresh": 0.9,
        "second_match_thresh": 0.5,
        "unconfirmed_match_thresh": 0.7,
        "track_buffer": 1.0,
        "duplicate_iou": 0.85,
    },
    "ocsort": {
        "track_high_thresh": 0.6,
        "iou_threshold": 0.3,
        "track_buffer": 1.0,
        "min_hits": 3,
        "delta_t": 3,
        "inertia": 0.2,
        "use_low_scores": False,
    },
    "botsort": {
        "track_high_thresh": 0.6,
        "track_low_thresh": 0.1,
        "new_track_thresh": 0.7,
        "match_thresh": 0.8,
        "proximity_thresh": 0.5,
        "appearance_thresh": 0.25,
    },
    "deepsort": {
        "appearance_thresh": 0.2,
        "max_iou_distance": 0.7,
        "max_age": 30,
        "n_init": 3,
    },
    "strongsort": {"appearance_thresh": 0.4, "embedding_momentum": 0.9, "appearance_weight": 0.98},
    "fairmot": {
        "track_high_thresh": 0.4,
        "appearance_thresh": 0.4,
        "match_thresh": 0.5,
        "unconfirmed_match_thresh": 0.7,
        "embedding_momentum": 0.9,
        "appearance_weight": 0.98,
    },
}


@pytest.mark.parametrize("tracker", PUBLISHED)
def test_the_published_constants_are_the_defaults(tracker) -> None:
    chosen = build_tracker(tracker).settings
    assert {key: getattr(chosen, key) for key in PUBLISHED[tracker]} == PUBLISHED[tracker]
