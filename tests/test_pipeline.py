"""Frames, their detections and their tracks stay together."""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Iterator

import numpy as np
import pytest

import mot
from mot.errors import MotError
from mot.opencv import cv2
from mot.pipeline import detections_of, follow, from_images, from_table, only
from mot.trackers.sort import Sort
from mot.types import Detections, Frame, Image, Tracks

PERSON = [10, 10, 30, 60]


def frames(count: int | None = None, image: Image | None = None) -> Iterator[Frame]:
    numbers = itertools.count(1) if count is None else range(1, count + 1)
    return (Frame(image, index, (index - 1) / 30) for index in numbers)


def numbered(frame: Frame) -> Detections:
    """Detections from which the frame can be told."""
    return Detections.from_boxes([PERSON], [1], [frame.index])


class Spy:
    """A detector that remembers how it was called."""

    def __init__(self) -> None:
        self.groups: list[list[int]] = []

    def __call__(self, group: list[Frame]) -> list[Detections]:
        self.groups.append([frame.index for frame in group])
        return [numbered(frame) for frame in group]


@pytest.mark.parametrize(
    ("batch", "sizes"), [(1, [1] * 7), (2, [2, 2, 2, 1]), (3, [3, 3, 1]), (7, [7]), (100, [7])]
)
def test_frames_are_detected_in_batches_and_paired(batch, sizes) -> None:
    spy = Spy()
    pairs = list(detections_of(frames(7), spy, batch))
    assert [len(group) for group in spy.groups] == sizes
    assert [(f.index, d.labels.tolist()) for f, d in pairs] == [(i, [i]) for i in range(1, 8)]


def test_no_frames() -> None:
    spy = Spy()
    assert list(detections_of(iter(()), spy, 4)) == []
    assert spy.groups == []


@pytest.mark.parametrize("batch", [1, 4])
def test_an_endless_stream_is_read_a_batch_at_a_time(batch) -> None:
    spy = Spy()
    pairs = detections_of(frames(), spy, batch)
    assert spy.groups == []
    next(pairs)
    assert spy.groups == [[*range(1, batch + 1)]]


@pytest.mark.parametrize("count", [0, 1, 3])
def test_a_detector_that_answers_for_other_than_its_images_is_refused(count) -> None:
    with pytest.raises(ValueError, match="zip"):
        list(detections_of(frames(2), lambda group: [Detections.empty()] * count, 2))


@pytest.mark.parametrize("batch", [1, 3])
def test_several_workers_look_ahead_and_answer_in_order(batch) -> None:
    """Both are in the detector at a time, or this would wait for ever."""
    spy, both = Spy(), threading.Barrier(2, timeout=20)

    def detect(group: list[Frame]) -> list[Detections]:
        both.wait()
        time.sleep(0.02 * (group[0].index % 2))
        return spy(group)

    pairs = list(detections_of(frames(4 * batch), detect, batch, workers=2))
    assert [(f.index, d.labels.tolist()) for f, d in pairs] == [
        (i, [i]) for i in range(1, 4 * batch + 1)
    ]


def test_workers_are_few_frames_ahead_of_an_endless_stream_and_stop_with_it() -> None:
    spy = Spy()
    pairs = detections_of(frames(), spy, workers=2)
    for _ in range(10):
        next(pairs)
    pairs.close()
    assert len(spy.groups) <= 13
    assert not [t for t in threading.enumerate() if t.name.startswith("mot-detect")]


def test_a_workers_error_comes_in_its_turn() -> None:
    def detect(group: list[Frame]) -> list[Detections]:
        if group[0].index == 3:
            raise MotError("broken")
        return [numbered(frame) for frame in group]

    seen = []
    with pytest.raises(MotError, match="broken"):
        for frame, _ in detections_of(frames(9), detect, workers=2):
            seen.append(frame.index)
    assert seen == [1, 2]


def test_a_detector_sees_the_images() -> None:
    seen: list[Image] = []

    def detector(images: list[Image]) -> list[Detections]:
        seen.extend(images)
        return [Detections.empty()] * len(images)

    image = np.zeros((4, 6, 3), np.uint8)
    assert len(from_images(detector)(list(frames(3, image)))) == 3
    assert all(one is image for one in seen)
    with pytest.raises(ValueError, match="frame 1 has no image"):
        from_images(detector)(list(frames(1)))


def test_a_table_answers_for_every_frame() -> None:
    table = {2: numbered(Frame(None, 2, 0.0)), 9: Detections.empty()}
    found = from_table(table)(list(frames(3)))
    assert [detections.labels.tolist() for detections in found] == [[], [2], []]


@pytest.mark.parametrize(
    ("least", "labels", "kept"),
    [
        (None, None, [0, 1, 2, 3]),
        (0.5, None, [1, 2, 3]),
        (0.51, None, [2, 3]),
        (2, None, []),
        (None, [0], [0, 3]),
        (None, iter([0, 1]), [0, 2, 3]),
        (0.5, [0, 2], [1, 3]),
        (0.5, [], []),
    ],
)
def test_only_what_is_wanted_passes(least, labels, kept) -> None:
    scores, classes = [0.25, 0.5, 0.75, 1], [0, 2, 1, 0]
    everything = Detections.from_boxes([PERSON] * 4, scores, classes, np.arange(4).reshape(4, 1))
    detect = only(lambda group: [everything, Detections.empty()][: len(group)], least, labels)
    for _ in range(2):
        found, nothing = detect(list(frames(2)))
        assert found.scores.tolist() == [scores[row] for row in kept]
        assert found.labels.tolist() == [classes[row] for row in kept]
        assert found.embeddings is not None
        assert found.embeddings.ravel().tolist() == kept
        assert len(nothing) == 0


def test_follow_pairs_frames_with_their_tracks() -> None:
    detected = [(frame, Detections.from_boxes([PERSON])) for frame in frames(5)]
    followed = list(follow(detected, Sort()))
    assert [frame.index for frame, _ in followed] == [1, 2, 3, 4, 5]
    assert [tracks.ids.tolist() for _, tracks in followed] == [[1]] * 5


def test_follow_keeps_up_with_an_endless_stream() -> None:
    detected = ((frame, Detections.from_boxes([PERSON])) for frame in frames())
    followed = follow(detected, Sort())
    assert isinstance(next(followed)[1], Tracks)


@pytest.fixture
def pictures(tmp_path):
    folder = tmp_path / "walk"
    folder.mkdir()
    for number in range(1, 6):
        assert cv2.imwrite(str(folder / f"{number}.png"), np.zeros((48, 64, 3), np.uint8))
    return folder


def test_track_with_detections_from_a_file(pictures, tmp_path) -> None:
    path = tmp_path / "det.txt"
    path.write_text("".join(f"{n},-1,{10 + n},10,20,50,0.9,-1,-1,-1\n" for n in (1, 2, 3, 5)))
    found = list(mot.track(pictures, detections=path, tracker="sort"))
    assert [frame.index for frame, _ in found] == [1, 2, 3, 4, 5]
    assert [tracks.ids.tolist() for _, tracks in found[:4]] == [[1], [1], [1], []]
    assert all(frame.image is not None and frame.image.shape == (48, 64, 3) for frame, _ in found)


def test_track_with_the_default_detector_sees_nothing_in_black(pictures) -> None:
    assert [len(tracks) for _, tracks in mot.track(pictures)] == [0] * 5


@pytest.mark.parametrize(
    "wrong",
    [
        {"tracker": "srot"},
        {"detector": "moton"},
        {"detections": "gone.txt"},
        {"source": "gone.mp4"},
    ],
)
def test_track_names_what_is_wrong(pictures, wrong) -> None:
    name = next(iter(wrong.values()))
    with pytest.raises(MotError, match=name):
        list(mot.track(**{"source": pictures, **wrong}))
