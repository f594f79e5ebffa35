"""DeepSORT: gallery, cascade and gate; the contract of all trackers that use embeddings."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from support.tracking import BOX, EMBEDDINGS, NOTHING, all_ids, detect, ids_by_row, run, unit, walk

from mot.config import build_tracker
from mot.errors import MotError
from mot.trackers import TRACKERS
from mot.trackers.deepsort import DeepSort, DeepSortSettings
from mot.trackers.sort import Sort
from mot.trackers.strongsort import StrongSort
from mot.types import Detections

NEEDING_EMBEDDINGS = ("deepsort", "fairmot", "strongsort")
USING_EMBEDDINGS = ("best", "botsort", *NEEDING_EMBEDDINGS)


def with_embeddings(detections: Detections, embeddings: object) -> Detections:
    return replace(detections, embeddings=np.atleast_2d(np.asarray(embeddings, np.float32)))


@pytest.mark.parametrize("budget", [5, 100])
def test_the_gallery_distance_equals_brute_force(budget) -> None:
    """Three objects; the distance is to the nearest of the last `budget` vectors of each."""
    rng = np.random.default_rng(1)
    three = detect(BOX + np.outer([0, 300, 600], [1, 0, 1, 0]))
    views = unit(EMBEDDINGS[:3] + 0.3 * rng.normal(size=(12, 3, 16)))
    tracker = DeepSort(DeepSortSettings(budget=budget))
    results = run(tracker, [with_embeddings(three, view) for view in views])
    assert ids_by_row(results)[-1] == {0: 1, 1: 2, 2: 3}
    queries = unit(rng.normal(size=(7, 16)))
    expected = [
        [min(1 - query @ view[row] for view in views[-budget:]) for query in queries]
        for row in range(3)
    ]
    boxes = detect(np.tile(BOX, (7, 1)))
    candidates = tracker._candidates(with_embeddings(boxes, queries))
    expected = np.array(expected)[:, candidates.rows]
    found = tracker._appearance_distance(candidates)
    np.testing.assert_allclose(found, expected, atol=1e-5)


@pytest.mark.parametrize(("make", "chosen"), [(DeepSort, 2), (StrongSort, 1)])
def test_the_cascade_prefers_the_most_recently_seen_track(make, chosen) -> None:
    """A detection between two tracks: more like the one lost for longer, but like both."""
    one, other = np.eye(16)[0], unit(np.eye(16)[0] + 0.5 * np.eye(16)[1])
    boxes = BOX + np.outer([0, 4], [1, 0, 1, 0])
    both = with_embeddings(detect(boxes), [one, other])
    alone = with_embeddings(detect(boxes[1]), other)
    last = with_embeddings(detect(boxes.mean(axis=0)), one)
    results = run(make(), [*[both] * 6, *[alone] * 3, last])
    assert ids_by_row(results[5:6]) == [{0: 1, 1: 2}]
    assert ids_by_row(results)[-1][0] == chosen


@pytest.mark.parametrize("tracker", NEEDING_EMBEDDINGS)
@pytest.mark.parametrize(("distance", "ids"), [(4, [1]), (300, [1, 2])])
def test_the_gate_rejects_distant_detections(tracker, distance, ids) -> None:
    moved = detect(BOX + np.array([distance, 0, distance, 0]))
    assert all_ids(run(tracker, [*[detect(BOX)] * 10, *[moved] * 10])) == ids


@pytest.mark.parametrize("tracker", NEEDING_EMBEDDINGS)
def test_appearance_reidentifies_an_occluded_object(tracker) -> None:
    """Another object appears at the predicted place at the same time."""
    hidden = [*walk(20, identity=0), *[NOTHING] * 15]
    out = [detect(d.boxes + np.float32(12), [0]) for d in walk(60)[35:]]
    stranger = [detect(d.boxes, [1]) for d in walk(60)[35:]]
    stream = hidden + [
        detect(np.concatenate([a.boxes, b.boxes]), [1, 0])
        for a, b in zip(stranger, out, strict=True)
    ]
    found = ids_by_row(run(tracker, stream))
    assert found[-1][1] == found[15][0] == 1
    assert found[-1][0] != 1
    assert 1 not in ids_by_row(run(Sort(), stream))[-1].values()


@pytest.mark.parametrize("tracker", NEEDING_EMBEDDINGS)
def test_missing_embeddings_are_an_error_if_needed(tracker) -> None:
    bare = [replace(d, embeddings=None) for d in walk(3)]
    with pytest.raises(MotError, match="needs the embeddings of the detections"):
        run(tracker, bare)
    assert all_ids(run(tracker, [NOTHING] * 3)) == []


@pytest.mark.parametrize("tracker", USING_EMBEDDINGS)
def test_another_embedding_dimension_is_refused(tracker) -> None:
    narrow = with_embeddings(walk(1)[0], EMBEDDINGS[0, :8])
    with pytest.raises(MotError, match="embeddings of 8 dimensions after 16"):
        run(tracker, [*walk(3), narrow])


@pytest.mark.parametrize("tracker", USING_EMBEDDINGS)
def test_an_empty_frame_may_have_any_embedding_dimension(tracker) -> None:
    empty = [Detections.from_boxes([], embeddings=np.zeros((0, width))) for width in (0, 16)]
    for first in empty:
        results = run(tracker, [first, *walk(5), *empty, *walk(9)[6:]])
        assert all_ids(results) == [1]


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_embeddings_that_are_not_finite_are_refused(bad) -> None:
    with pytest.raises(ValueError, match="row 0 is not finite"):
        with_embeddings(walk(1)[0], np.full(16, bad))


@pytest.mark.parametrize("tracker", USING_EMBEDDINGS)
@pytest.mark.parametrize("length", [1e-15, 1e15, 1e30])
def test_the_norm_of_embeddings_does_not_matter(tracker, length) -> None:
    stream = [with_embeddings(d, d.embeddings * length) for d in walk(10)]
    assert all_ids(run(tracker, stream)) == [1]


@pytest.mark.parametrize("tracker", USING_EMBEDDINGS)
def test_an_unknown_embedding_is_tracked_by_its_box(tracker) -> None:
    """A zero vector is unknown; it does not change the embedding of the track."""
    unknown = [with_embeddings(d, np.zeros(16)) for d in walk(60)]
    stream = [*walk(10), *unknown[10:20], *walk(30)[20:]]
    assert all_ids(run(tracker, stream)) == [1]
    assert all_ids(run(tracker, unknown[:20])) == [1]
    assert all_ids(run(tracker, [*unknown[:10], *walk(30)[10:]])) == [1]


def test_the_gallery_holds_no_unknown_embeddings() -> None:
    tracker = DeepSort()
    run(tracker, [*walk(5), *[with_embeddings(d, np.zeros(16)) for d in walk(8)[5:]]])
    assert tracker._table.extra["seen"].tolist() == [5]


@pytest.mark.parametrize("tracker", [name for name in TRACKERS if name not in NEEDING_EMBEDDINGS])
def test_other_trackers_work_without_embeddings(tracker) -> None:
    assert all_ids(run(tracker, [replace(d, embeddings=None) for d in walk(12)])) == [1]


@pytest.mark.parametrize("tracker", ["best", "botsort"])
def test_embeddings_may_come_and_go(tracker) -> None:
    bare = [replace(d, embeddings=None) for d in walk(30)]
    stream = [*bare[:10], *walk(20)[10:], *bare[20:]]
    assert all_ids(run(tracker, stream)) == [1]


@pytest.mark.parametrize("tracker", TRACKERS)
def test_trackers_declare_their_use_of_embeddings(tracker) -> None:
    built = build_tracker(tracker)
    assert built.uses_embeddings == (tracker in USING_EMBEDDINGS)
    assert built.needs_embeddings == (tracker in NEEDING_EMBEDDINGS)


@pytest.mark.parametrize(("missed", "ids"), [(30, [1]), (31, [1, 2])])
@pytest.mark.parametrize("tracker", ["deepsort", "strongsort"])
def test_a_track_lives_thirty_frames_without_a_detection(tracker, missed, ids) -> None:
    stream = [*[detect(BOX)] * 10, *[NOTHING] * missed, *[detect(BOX)] * 10]
    assert all_ids(run(tracker, stream)) == ids
