"""SORT equals the paper, and keeps every promise of a tracker."""

from __future__ import annotations

import itertools
import pickle
import warnings
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from types import SimpleNamespace

import lap
import numpy as np
import numpy.typing as npt
import pytest
from support import tracking as test_trackers

from mot.synthetic import make_world
from mot.trackers.sort import Sort, SortSettings
from mot.types import Detections, Frame, Tracks

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import filterpy.kalman

Array = npt.NDArray[np.float64]
PERSON = [100.0, 100, 140, 200]


def frames(fps: float = 30.0, start: float = 0.0) -> Iterator[Frame]:
    return (Frame(None, index, start + (index - 1) / fps) for index in itertools.count(1))


def run(stream: Iterable[Detections], fps: float = 30.0, start: float = 0.0) -> list[Tracks]:
    tracker = Sort()
    return [tracker.update(d, f) for d, f in zip(stream, frames(fps, start), strict=False)]


def world(seed: int, count: int, scene: str = "crowd") -> list[Detections]:
    return [m.detections for m in make_world(scene, seed, render=False).moments(count)]


def text_of(results: Iterable[Tracks]) -> list[tuple]:
    names = ("ids", "boxes", "scores", "labels", "detections")
    return [tuple(getattr(tracks, name).tolist() for name in names) for tracks in results]


def walk(count: int, speed: float = 2.0, box: Iterable[float] = PERSON) -> list[Detections]:
    """One person at a constant speed, seen without error."""
    step = np.array([speed, 0, speed, 0])
    return [Detections.from_boxes(np.array(box) + index * step) for index in range(count)]


# The paper, in matrices and loops


@dataclass
class PaperTrack:
    filter: filterpy.kalman.KalmanFilter
    name: int
    streak: int = 0  # detections in a row after the first
    missed: int = 0
    row: int = -1

    @classmethod
    def born(cls, box: Array, row: int, name: int) -> PaperTrack:
        kalman = filterpy.kalman.KalmanFilter(dim_x=7, dim_z=4)
        kalman.F = np.eye(7) + np.eye(7, k=4)
        kalman.H = np.eye(4, 7)
        kalman.R = np.diag([1.0, 1, 10, 10])
        kalman.P = np.diag([10.0, 10, 10, 10, 1e4, 1e4, 1e4])
        kalman.Q = np.diag([1, 1, 1, 1, 1e-2, 1e-2, 1e-4])
        kalman.x = np.concatenate([measure(box), np.zeros(3)])[:, None]
        return cls(kalman, name, row=row)

    @property
    def box(self) -> Array:
        x, y, area, aspect = self.filter.x[:4, 0]
        width = max(area * aspect, 0) ** 0.5
        height = area / width if width else 0.0
        return np.array([x - width / 2, y - height / 2, x + width / 2, y + height / 2])


def measure(box: Array) -> Array:
    """Centre, area and aspect."""
    w, h = box[2] - box[0], box[3] - box[1]
    return np.array([box[0] + w / 2, box[1] + h / 2, w * h, w / h])


def overlap(a: Array, b: Array) -> float:
    w, h = np.minimum(a[2:], b[2:]) - np.maximum(a[:2], b[:2])
    shared = max(w, 0) * max(h, 0)
    return shared / (np.prod(a[2:] - a[:2]) + np.prod(b[2:] - b[:2]) - shared)


class Paper:
    """Least score 0.5, least overlap 0.3, three hits, one frame lost."""

    def __init__(self) -> None:
        self.tracks: list[PaperTrack] = []
        self.frames = 0
        self.names = itertools.count()

    def update(self, detections: Detections) -> list[PaperTrack]:
        self.frames += 1
        rows = np.flatnonzero(detections.scores >= 0.5)
        seen = detections.boxes.astype(np.float64)
        for track in self.tracks:
            track.filter.predict()
            track.missed += 1
            track.row = -1
        for track, row in self.assign(rows, seen):
            track.filter.update(measure(seen[row])[:, None])
            track.streak = track.streak + 1 if track.missed == 1 else 1
            track.missed, track.row = 0, row
        taken = {track.row for track in self.tracks}
        new = [row for row in rows if row not in taken]
        self.tracks += [PaperTrack.born(seen[row], row, next(self.names)) for row in new]
        self.tracks = [track for track in self.tracks if track.missed <= 1]
        tried = self.frames <= 3
        return [t for t in self.tracks if t.row >= 0 and (tried or t.streak >= 3)]

    def assign(self, rows: npt.NDArray[np.int64], seen: Array) -> list[tuple[PaperTrack, int]]:
        if not self.tracks or not len(rows):
            return []
        cost = np.array([[1 - overlap(t.box, seen[row]) for row in rows] for t in self.tracks])
        _, chosen, _ = lap.lapjv(cost, extend_cost=True, cost_limit=0.7)
        pairs = zip(self.tracks, chosen, strict=True)
        return [(track, rows[column]) for track, column in pairs if column >= 0]


@pytest.mark.parametrize(("scene", "seed"), [("crowd", 1), ("crossing", 2), ("camera", 3)])
def test_equals_the_paper(scene, seed) -> None:
    stream = zip(world(seed, 200, scene), frames(), strict=False)
    ours_of, reported = test_trackers.names_beside(Paper(), Sort(), stream)
    assert reported > 500
    assert sorted(ours_of.values()) == list(range(1, len(ours_of) + 1))


# What every tracker promises


def test_ids_begin_at_one_and_are_given_in_order_without_gaps() -> None:
    ids = [number for tracks in run(world(4, 300)) for number in tracks.ids.tolist()]
    first_seen = list(dict.fromkeys(ids))
    assert len(first_seen) > 30
    assert sorted(first_seen) == list(range(1, len(first_seen) + 1))


def test_an_id_that_is_gone_does_not_come_back() -> None:
    nothing = [Detections.empty()] * 5
    results = run([*walk(10), *nothing, *walk(10), *nothing, *walk(10)])
    lives = [[r.ids.tolist() for r in results[start : start + 10]] for start in (0, 15, 30)]
    assert [sorted({i for ids in life for i in ids}) for life in lives] == [[1], [2], [3]]


def test_a_track_is_reported_after_its_hits_and_from_the_first_frames_at_once() -> None:
    early = [len(tracks) for tracks in run(walk(6))]
    late = [len(tracks) for tracks in run([*[Detections.empty()] * 9, *walk(6)])][9:]
    assert early == [1, 1, 1, 1, 1, 1]
    assert late == [0, 0, 0, 1, 1, 1]


@pytest.mark.parametrize(("missing", "ids"), [(1, [1]), (2, [1, 2])])
def test_a_track_outlives_one_missed_frame(missing, ids) -> None:
    stream = walk(20)
    stream[8 : 8 + missing] = [Detections.empty()] * missing
    assert sorted({i for tracks in run(stream) for i in tracks.ids.tolist()}) == ids


def test_settings_are_obeyed() -> None:
    stream = walk(12)
    stream[5:8] = [Detections.empty()] * 3
    tracker = Sort(SortSettings(min_hits=0, track_buffer=0.5))
    found = [tracker.update(d, f).ids.tolist() for d, f in zip(stream, frames(), strict=False)]
    assert found == [[1]] * 5 + [[]] * 3 + [[1]] * 4


@pytest.mark.parametrize("score", [0.49, 0.0, -1.0])
def test_low_scores_are_not_used(score) -> None:
    low = Detections.from_boxes([PERSON, [500, 100, 540, 200]], [0.9, score])
    assert [tracks.detections.tolist() for tracks in run([low] * 5)] == [[0]] * 5


@pytest.mark.parametrize("place", [0, 50, 99])
def test_empty_frames_anywhere(place) -> None:
    stream = world(1, 100)
    stream[place] = Detections.empty()
    results = run(stream)
    assert len(results[place]) == 0
    assert sum(map(len, results)) > 500


def test_nothing_at_all() -> None:
    assert [len(tracks) for tracks in run([Detections.empty()] * 5)] == [0] * 5


HOSTILE = {"two alike": [PERSON, PERSON], "three alike": [PERSON] * 3, **test_trackers.HOSTILE}


@pytest.mark.parametrize("boxes", HOSTILE.values(), ids=HOSTILE)
def test_hostile_boxes_are_carried(boxes) -> None:
    for tracks in run([Detections.from_boxes(boxes)] * 12):
        assert len(set(tracks.ids.tolist())) == len(tracks) <= len(boxes)
        assert len(set(tracks.detections.tolist())) == len(tracks)


@pytest.mark.parametrize("alike", [2, 3])
def test_boxes_alike_have_an_id_each(alike) -> None:
    results = run([Detections.from_boxes([PERSON] * alike)] * 10)
    assert [sorted(tracks.ids.tolist()) for tracks in results] == [[*range(1, alike + 1)]] * 10


def test_thousands_at_once() -> None:
    rng = np.random.default_rng(5)
    corner = rng.uniform(0, 9000, (2000, 2))
    crowd = Detections.from_boxes(np.concatenate([corner, corner + 30], axis=1))
    results = run([crowd] * 3)
    assert [len(set(tracks.ids.tolist())) for tracks in results] == [2000] * 3


def test_the_same_input_gives_the_same_output() -> None:
    stream = world(2, 60)
    assert text_of(run(stream)) == text_of(run(stream))


def test_two_trackers_do_not_see_each_other() -> None:
    one, other = Sort(), Sort()
    streams = world(1, 60), world(2, 60)
    together = [
        (one.update(a, frame), other.update(b, frame))
        for a, b, frame in zip(*streams, frames(), strict=False)
    ]
    for stream, results in zip(streams, zip(*together, strict=True), strict=True):
        assert text_of(results) == text_of(run(stream))


def test_reset_makes_a_new_tracker() -> None:
    tracker, stream = Sort(), world(3, 60)
    for detections, frame in zip(world(1, 40), frames(), strict=False):
        tracker.update(detections, frame)
    tracker.reset()
    again = [tracker.update(d, f) for d, f in zip(stream, frames(), strict=False)]
    assert text_of(again) == text_of(run(stream))


def test_results_outlast_the_next_update() -> None:
    stream, tracker = world(1, 20), Sort()
    kept, seen = [], []
    for detections, frame in zip(stream, frames(), strict=False):
        kept.append(tracker.update(detections, frame))
        seen += text_of(kept[-1:])
    assert text_of(kept) == seen


def test_the_callers_arrays_are_unchanged() -> None:
    whole = world(1, 30)[-1]
    given = [whole.boxes.copy(), whole.scores.copy(), whole.labels.copy()]
    run([Detections(*given)] * 5)
    for array, before in zip(given, (whole.boxes, whole.scores, whole.labels), strict=True):
        np.testing.assert_array_equal(array, before)
        assert array.flags.writeable


def with_ties(stream: list[Detections]) -> list[Detections]:
    return [Detections(d.boxes, np.ones(len(d)), d.labels) for d in stream]


@pytest.mark.parametrize("prepare", [list, with_ties])
def test_the_order_of_detections_changes_their_row_numbers_alone(prepare) -> None:
    rng, stream = np.random.default_rng(7), prepare(world(1, 100))
    orders = [rng.permutation(len(detections)) for detections in stream]
    shuffled = run([d[order] for d, order in zip(stream, orders, strict=True)])
    for plain, mixed, order in zip(run(stream), shuffled, orders, strict=True):
        back = SimpleNamespace(**{n: getattr(mixed, n) for n in Tracks.__dataclass_fields__})
        back.detections = order[mixed.detections]
        assert text_of([back]) == text_of([plain])


def test_the_order_of_equal_boxes_of_two_classes_does_not_matter() -> None:
    both = Detections.from_boxes([PERSON, PERSON], labels=[0, 1])
    results = [run([both[np.array(order)]] * 3)[-1] for order in ([0, 1], [1, 0])]
    labels = [dict(zip(r.ids.tolist(), r.labels.tolist(), strict=True)) for r in results]
    assert labels[0] == labels[1]


def test_float64_boxes_are_followed_like_float32_ones() -> None:
    stream = world(1, 60)
    doubled = [Detections.from_boxes(d.boxes.astype(np.float64), d.scores) for d in stream]
    assert text_of(run(doubled)) == text_of(run(stream))


def test_tracks_name_the_row_score_and_label_of_their_detection() -> None:
    labels = np.random.default_rng(1).integers(0, 2, 1000)
    stream = [Detections(d.boxes, d.scores, labels[: len(d)]) for d in world(1, 60)]
    for tracks, detections in zip(run(stream), stream, strict=True):
        seen = detections[tracks.detections]
        assert tracks.scores.tolist() == seen.scores.tolist()
        assert tracks.labels.tolist() == seen.labels.tolist()


def test_classes_never_mix() -> None:
    """One person whose class alternates is two, each seen in every second frame."""
    stream = [Detections.from_boxes([PERSON], labels=[index % 2]) for index in range(20)]
    tracker = Sort(SortSettings(min_hits=0))
    results = [tracker.update(d, f) for d, f in zip(stream, frames(), strict=False)]
    assert [tracks.ids.tolist() for tracks in results] == [[1], [2]] * 10
    assert [tracks.labels.tolist() for tracks in results] == [[0], [1]] * 10


def test_crossing_classes_are_followed_as_if_alone() -> None:
    left, right = walk(40, speed=6), walk(40, speed=-6, box=[340, 100, 380, 200])
    both = [
        Detections.from_boxes(np.concatenate([a.boxes, b.boxes]), labels=[0, 1])
        for a, b in zip(left, right, strict=True)
    ]
    alone = [tracks.boxes.tolist()[0] for tracks in run(left)]
    together = [dict(zip(t.labels.tolist(), t.boxes.tolist(), strict=True)) for t in run(both)]
    assert [boxes[0] for boxes in together] == alone


# The clock


@pytest.mark.parametrize("start", [0.04, 100.0, 36000.0])
def test_when_the_stream_begins_does_not_matter(start) -> None:
    stream = world(1, 60)
    assert text_of(run(stream, start=start)) == text_of(run(stream))


@pytest.mark.parametrize("speed", [2.0, 9.0])
def test_half_the_frame_rate_follows_the_same_people(speed) -> None:
    stream = walk(60, speed)
    full, half = run(stream)[::2], run(stream[::2], fps=15)
    assert [tracks.ids.tolist() for tracks in full] == [tracks.ids.tolist() for tracks in half]
    for one, other in zip(full[10:], half[10:], strict=True):
        np.testing.assert_allclose(one.boxes, other.boxes, atol=0.5)


def test_a_gap_in_time_is_predicted_over() -> None:
    """Half a second at 9 pixels a frame is far out of the last box, but where it is expected."""
    stream = walk(60, speed=9)
    kept = [*range(30), *range(45, 60)]
    tracker = Sort()
    ids = [
        tracker.update(stream[index], Frame(None, index + 1, index / 30)).ids.tolist()
        for index in kept
    ]
    assert ids == [[1]] * len(kept)


@pytest.mark.parametrize("fps", [5, 15, 30, 60])
def test_one_missed_frame_is_outlived_at_any_rate_up_to_thirty(fps) -> None:
    stream = walk(20, speed=1)
    stream[10] = Detections.empty()
    assert {i for tracks in run(stream, fps=fps) for i in tracks.ids.tolist()} == {1}


@pytest.mark.parametrize("times", [[0, 1e4, 1e4 + 0.1, 2e4], [5, 4, 3, 3, 3, 9]])
def test_a_clock_that_jumps_is_endured(times) -> None:
    tracker = Sort()
    for index, time in enumerate(times, 1):
        tracks = tracker.update(walk(1)[0], Frame(None, index, float(time)))
        assert np.isfinite(tracks.boxes).all()


def test_nothing_grows_over_a_long_stream() -> None:
    """20,000 frames: a world of 500 frames again and again."""
    stream, tracker = world(6, 500), Sort()
    sizes = []
    for detections, frame in zip(itertools.cycle(stream), frames(), strict=False):
        tracker.update(detections, frame)
        if frame.index % len(stream) == 0:
            sizes.append(len(pickle.dumps(tracker)))
        if frame.index == 20_000:
            break
    assert len(sizes) == 40
    assert max(sizes) < sizes[0] + 1000
