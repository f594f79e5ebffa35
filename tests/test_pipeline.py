"""The pipeline: frames, detections and tracks stay together; needs are resolved once."""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import mot
from mot.detectors.inference import class_labels, detect_in_batches, filter_detections
from mot.errors import MotError
from mot.opencv import cv2
from mot.pipeline import Pipeline, resolve
from mot.trackers import Sort, SortSettings
from mot.types import Detections, Detector, Frame, Image, Tracks

PERSON = [10, 10, 30, 60]


def frames(count: int | None = None, image: Image | None = None) -> Iterator[Frame]:
    numbers = itertools.count(1) if count is None else range(1, count + 1)
    return (Frame(image, index, (index - 1) / 30) for index in numbers)


def images(count: int) -> list[Image]:
    """Gray images of 96x64; the gray value is the number, from 0."""
    return [np.full((64, 96, 3), number, np.uint8) for number in range(count)]


def numbered(frame: Frame) -> Detections:
    """One detection, labelled with the frame's index."""
    return Detections.from_boxes([PERSON], [1], [frame.index])


class Spy:
    """A detector that records its calls."""

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
    pairs = list(detect_in_batches(frames(7), spy, batch))
    assert [len(group) for group in spy.groups] == sizes
    assert [(f.index, d.labels.tolist()) for f, d in pairs] == [(i, [i]) for i in range(1, 8)]


def test_no_frames() -> None:
    spy = Spy()
    assert list(detect_in_batches(iter(()), spy, 4)) == []
    assert spy.groups == []


@pytest.mark.parametrize("batch", [1, 4])
def test_an_endless_stream_is_read_a_batch_at_a_time(batch) -> None:
    spy = Spy()
    pairs = detect_in_batches(frames(), spy, batch)
    assert spy.groups == []
    next(pairs)
    assert spy.groups == [[*range(1, batch + 1)]]


@pytest.mark.parametrize("count", [0, 1, 3])
def test_a_wrong_number_of_results_is_refused(count) -> None:
    with pytest.raises(ValueError, match="zip"):
        list(detect_in_batches(frames(2), lambda group: [Detections.empty()] * count, 2))


@pytest.mark.parametrize("batch", [1, 3])
def test_several_workers_run_ahead_and_results_stay_in_order(batch) -> None:
    """Two workers are in the detector at a time, or the barrier times out."""
    spy, both = Spy(), threading.Barrier(2, timeout=20)

    def detect(group: list[Frame]) -> list[Detections]:
        both.wait()
        time.sleep(0.02 * (group[0].index % 2))
        return spy(group)

    pairs = list(detect_in_batches(frames(4 * batch), detect, batch, workers=2))
    assert [(f.index, d.labels.tolist()) for f, d in pairs] == [
        (i, [i]) for i in range(1, 4 * batch + 1)
    ]


def test_workers_are_few_frames_ahead_of_an_endless_stream_and_stop_with_it() -> None:
    spy = Spy()
    pairs = detect_in_batches(frames(), spy, workers=2)
    for _ in range(10):
        next(pairs)
    pairs.close()  # type: ignore[attr-defined]
    assert len(spy.groups) <= 13
    assert not [t for t in threading.enumerate() if t.name.startswith("mot-detect")]


def test_the_error_of_a_worker_comes_in_its_turn() -> None:
    def detect(group: list[Frame]) -> list[Detections]:
        if group[0].index == 3:
            raise MotError("broken")
        return [numbered(frame) for frame in group]

    seen = []
    with pytest.raises(MotError, match="broken"):
        for frame, _ in detect_in_batches(frames(9), detect, workers=2):
            seen.append(frame.index)
    assert seen == [1, 2]


@pytest.mark.parametrize(
    ("min_score", "labels", "kept"),
    [
        (None, None, [0, 1, 2, 3]),
        (0.5, None, [1, 2, 3]),
        (0.51, None, [2, 3]),
        (2, None, []),
        (None, [0], [0, 3]),
        (None, (0, 1), [0, 2, 3]),
        (0.5, [0, 2], [1, 3]),
        (0.5, [], []),
    ],
)
def test_detections_are_filtered_by_score_and_label(min_score, labels, kept) -> None:
    scores, classes = [0.25, 0.5, 0.75, 1], [0, 2, 1, 0]
    everything = Detections.from_boxes([PERSON] * 4, scores, classes, np.arange(4).reshape(4, 1))
    found = filter_detections(everything, min_score, labels)
    assert found.scores.tolist() == [scores[row] for row in kept]
    assert found.labels.tolist() == [classes[row] for row in kept]
    assert found.embeddings is not None
    assert found.embeddings.ravel().tolist() == kept
    assert len(filter_detections(Detections.empty(), min_score, labels)) == 0


def test_classes_are_names_or_numbers() -> None:
    assert class_labels(None, ()) is None
    assert class_labels(["person"], ()) == (0, 1), "0 without classes, 1 in MOTChallenge's files"
    assert class_labels(["car", 7], ("person", "car")) == (1, 7)
    with pytest.raises(MotError, match="--classes dog: give class numbers, or person"):
        class_labels(["dog"], ())


def test_detections_of_a_table_belong_to_their_frames() -> None:
    table = {2: numbered(Frame(None, 2, 0.0)), 3: Detections.empty()}
    pipeline = Pipeline(tracker=None, detections=table)
    found = [detections.labels.tolist() for _, detections in pipeline.detect(frames(3))]
    assert found == [[], [2], []]


def test_tracks_come_with_their_frames_and_ids_start_anew_in_each_run() -> None:
    table = {index: Detections.from_boxes([PERSON]) for index in range(1, 6)}
    pipeline = Pipeline(tracker=Sort(SortSettings()), detections=table)
    for _ in range(2):
        tracked = list(pipeline.run(frames(5)))
        assert [frame.index for frame, _ in tracked] == [1, 2, 3, 4, 5]
        assert [tracks.ids.tolist() for _, tracks in tracked] == [[1]] * 5


def test_a_run_keeps_up_with_an_endless_stream() -> None:
    pipeline = Pipeline(lambda image: [PERSON], "sort")
    tracked = pipeline.run(np.zeros((64, 96, 3), np.uint8) for _ in itertools.count())
    assert isinstance(next(tracked)[1], Tracks)
    tracked.close()
    assert not [t for t in threading.enumerate() if t.name.startswith("mot")]


def test_steps_hold_detections_and_tracks() -> None:
    pipeline = Pipeline(lambda image: [PERSON], "sort")
    steps = list(pipeline.steps(images(3)))
    assert [step.frame.index for step in steps] == [1, 2, 3]
    assert all(step.detections.boxes.tolist() == [PERSON] for step in steps)
    assert [step.tracks.ids.tolist() for step in steps] == [[1]] * 3


def test_frames_without_an_image_have_no_detections_and_one_warning() -> None:
    image = np.zeros((64, 96, 3), np.uint8)
    mixed = [Frame(image, 1, 0.0), Frame(None, 2, 0.1), Frame(image, 3, 0.2), Frame(None, 4, 0.3)]
    pipeline = Pipeline(lambda image: [PERSON], tracker=None)
    assert [len(found) for _, found in pipeline.detect(mixed)] == [1, 0, 1, 0]
    assert pipeline.warnings == ["2 frames without an image have no detections"]


# A user's own detector, in every shape that it may have.
def one_image(image: Image) -> Any:
    return np.array([[*PERSON, 0.9, 0]])


def many_images(images: list[Image]) -> Any:
    return [one_image(image) for image in images]


def unnamed_list(batch_of_frames: Any) -> Any:
    """Fails on a single image, as a list of two-dimensional rows."""
    assert all(image.ndim == 3 for image in batch_of_frames)
    return [Detections.from_boxes([PERSON], [0.9]) for _ in batch_of_frames]


class Model:
    def __call__(self, image: Image) -> Any:
        return Detections.from_boxes([PERSON], [0.9])


def supervised(image: Image) -> Any:
    supervision = pytest.importorskip("supervision", reason="supervision is not installed")
    return supervision.Detections(
        xyxy=np.array([PERSON], float), confidence=np.array([0.9]), class_id=np.array([0])
    )


@pytest.mark.parametrize(
    "detector",
    [one_image, many_images, unnamed_list, Model(), supervised, lambda x: [[*PERSON, 0.9]]],
)
def test_any_callable_is_a_detector(detector) -> None:
    tracked = list(mot.track(images(4), detector=detector, tracker="bytetrack"))
    assert [frame.index for frame, _ in tracked] == [1, 2, 3, 4]
    assert [tracks.ids.tolist() for _, tracks in tracked] == [[1]] * 4
    assert np.allclose(tracked[0][1].boxes, [PERSON])


@pytest.mark.parametrize("nothing", [None, [], np.zeros((0, 6)), np.zeros((0, 4))])
def test_a_detector_may_find_nothing(nothing) -> None:
    tracked = list(mot.track(images(2), detector=lambda image: nothing))
    assert [len(tracks) for _, tracks in tracked] == [0, 0]


@pytest.mark.parametrize(
    ("result", "fault"),
    [
        (np.zeros((2, 7)), r"ndarray of shape \(2, 7\)"),
        ("people", "str"),
        ([[0, 0, float("nan"), 5]], "not finite"),
        ([[9, 9, 2, 2]], "reversed"),
    ],
)
def test_an_unusable_result_of_a_detector_is_named(result, fault) -> None:
    with pytest.raises(MotError, match=fault):
        list(mot.track(images(2), detector=lambda image: result))


def test_an_error_inside_a_detector_is_its_own() -> None:
    def broken(image: Image) -> Any:
        raise ZeroDivisionError("mine")

    with pytest.raises(ZeroDivisionError, match="mine"):
        list(mot.track(images(2), detector=broken))


def test_conf_and_classes_filter_the_results_of_any_detector() -> None:
    def detect(image: Image) -> Any:
        return [[*PERSON, 0.9, 0], [40, 10, 60, 60, 0.9, 2], [70, 10, 90, 60, 0.2, 0]]

    tracked = mot.track(images(2), detector=detect, conf=0.5, classes=[0])
    assert [tracks.boxes.round().tolist() for _, tracks in tracked] == [[PERSON]] * 2


def test_a_setting_of_a_network_is_refused_for_a_callable() -> None:
    with pytest.raises(MotError, match="device is a setting of a detector given by its name"):
        mot.track(images(1), detector=one_image, device="cpu")


class CountingTracker:
    """A user's own tracker."""

    def __init__(self) -> None:
        self.seen: list[int] = []

    def update(self, detections: Detections, frame: Frame) -> Tracks:
        self.seen.append(frame.index)
        count = len(detections)
        ids = np.arange(1, count + 1)
        return Tracks(ids, detections.boxes, detections.scores, detections.labels, ids - 1)


def test_any_object_with_update_is_a_tracker() -> None:
    tracker = CountingTracker()
    tracked = list(mot.track(images(3), detector=one_image, tracker=tracker))
    assert tracker.seen == [1, 2, 3]
    assert [tracks.ids.tolist() for _, tracks in tracked] == [[1]] * 3


def test_a_tracker_is_a_settings_dataclass_too() -> None:
    tracked = mot.track(images(3), detector=one_image, tracker=SortSettings(min_hits=0))
    assert [tracks.ids.tolist() for _, tracks in tracked] == [[1]] * 3


def test_a_callable_estimates_camera_motion() -> None:
    def shift(frame: Frame, detections: Detections) -> Any:
        return np.array([[1.0, 0, 5], [0, 1, 0]])

    pipeline = Pipeline(one_image, "sort", camera=shift)
    assert all(frame.motion[0, 2] == 5 for frame, _ in pipeline.observe(images(3)))


def test_post_processing_fills_gaps_and_rereads_images() -> None:
    box = Detections.from_boxes([PERSON])
    table = {1: box, 2: box, 4: box, 5: box}
    pipeline = Pipeline(
        tracker=SortSettings(track_buffer=1.0, min_hits=0), post="linear", detections=table
    )
    tracked = list(pipeline.run(frames(5)))
    assert [tracks.ids.tolist() for _, tracks in tracked] == [[1]] * 5
    assert all(frame.image is None for frame, _ in tracked)
    with_images = pipeline.run(frames(5), lambda: frames(5, np.zeros((4, 4, 3), np.uint8)))
    assert all(frame.image is not None for frame, _ in with_images)
    with pytest.raises(MotError, match="post: unknown step 'liner'"):
        Pipeline(post=["liner"])


def test_start_end_and_every_choose_frames_of_arrays() -> None:
    tracked = mot.track(
        images(30), detector=one_image, start=0.2, end=0.7, every=2, fps=10, tracker="sort"
    )
    assert [frame.index for frame, _ in tracked] == [3, 5, 7]


def test_arrays_that_are_no_images_are_named() -> None:
    with pytest.raises(MotError, match=r"frame 1: an image must be a \(H, W, 3\) uint8 BGR array"):
        list(mot.track([np.zeros((4, 4), np.uint8)], detector=one_image))
    with pytest.raises(MotError, match="float64"):
        list(mot.track([np.zeros((4, 4, 3))], detector=one_image))


@pytest.fixture
def image_folder(tmp_path: Path) -> Path:
    folder = tmp_path / "walk"
    folder.mkdir()
    for number in range(1, 6):
        assert cv2.imwrite(str(folder / f"{number}.png"), np.zeros((48, 64, 3), np.uint8))
    return folder


def test_track_with_detections_from_a_file(image_folder, tmp_path) -> None:
    path = tmp_path / "det.txt"
    path.write_text("".join(f"{n},-1,{10 + n},10,20,50,0.9,-1,-1,-1\n" for n in (1, 2, 3, 5)))
    found = list(mot.track(image_folder, detections=path, tracker="sort"))
    assert [frame.index for frame, _ in found] == [1, 2, 3, 4, 5]
    assert [tracks.ids.tolist() for _, tracks in found[:4]] == [[1], [1], [1], []]
    assert all(frame.image is not None and frame.image.shape == (48, 64, 3) for frame, _ in found)


def test_detections_that_go_on_beyond_the_last_frame_are_refused(image_folder, tmp_path) -> None:
    path = tmp_path / "det.txt"
    path.write_text("9,-1,10,10,20,50,0.9,-1,-1,-1\n")
    with pytest.raises(MotError, match=r"up to frame 9, but walk ends at frame 5: are they of"):
        list(mot.track(image_folder, detections=path))


def test_track_with_the_default_detector_finds_nothing_in_black(image_folder) -> None:
    assert [len(tracks) for _, tracks in mot.track(image_folder)] == [0] * 5


@pytest.mark.parametrize(
    "wrong",
    [
        {"tracker": "srot"},
        {"detector": "moton"},
        {"detections": "gone.txt"},
        {"source": "gone.mp4"},
    ],
)
def test_track_names_what_is_wrong(image_folder, wrong) -> None:
    name = next(iter(wrong.values()))
    with pytest.raises(MotError, match=name):
        list(mot.track(**{"source": image_folder, **wrong}))


def test_low_scores_are_detected_for_the_trackers_that_use_them(tmp_path) -> None:
    low, high = mot.build_tracker("bytetrack"), mot.build_tracker("sort")

    def settings(tracker, detector, given):
        return resolve(tracker, detector, given).detector_settings

    assert settings(low, "person", {"width": 320}) == {"width": 320, "conf": 0.1}
    assert settings(high, "person", {}) == {"conf": 0.5}, "the score it is sure from"
    assert settings(high, "person", {"conf": 0.3}) == {"conf": 0.3}
    assert settings(high, "retinanet", {}) == {}, "which states no such score"
    assert settings(low, "person", {"conf": 0.4}) == {"conf": 0.4}
    assert settings(low, "motion", {}) == {}, "whose scores cannot be chosen from"
    assert settings(None, "person", {}) == {"conf": 0.5}, "nothing is tracked"
    file = tmp_path / "sure.toml"
    file.write_text('detector = "person"\nconf = 0.5\n')
    assert settings(low, str(file), {}) == settings(high, str(file), {}) == {}
    file.write_text('detector = "person"\nwidth = 320\n')
    assert settings(low, str(file), {}) == {"conf": 0.1}


@pytest.mark.parametrize(
    ("tracker", "detector", "embedder", "can_embed", "expected"),
    [
        ("best", "person", None, True, "person"),
        ("best", None, None, True, None),
        ("deepsort", None, None, True, "person"),
        ("deepsort", None, None, False, None),
        ("sort", "person", None, True, None),
        ("best", "person", "none", True, None),
        ("sort", "person", "mine.onnx", True, "mine.onnx"),
        ("best", "person", "mine.onnx", False, "mine.onnx"),
    ],
)
def test_the_embedder_is_chosen_by_what_the_tracker_needs(
    tracker, detector, embedder, can_embed, expected
) -> None:
    needs = resolve(mot.build_tracker(tracker), detector, {}, embedder, can_embed=can_embed)
    assert needs.embedder == expected
    assert needs.recompute == (embedder is not None)
    assert needs.images == (detector is not None or expected is not None)


def test_camera_methods_need_images_and_files_do_not() -> None:
    assert resolve(None, None, {}, camera="flow").images
    assert not resolve(None, None, {}, camera="gmc.txt").images


def test_class_names_reach_the_tracks() -> None:
    class Named(Detector):
        names = ("person", "car")

        def __call__(self, images):
            return [Detections.from_boxes([PERSON], [0.9], [1]) for _ in images]

    tracked = list(mot.track(images(2), detector=Named()))
    assert [tracks.class_names for _, tracks in tracked] == [["car"]] * 2
