"""Pictures into a network's input and boxes back, batches, classes, tiles: with networks that find
what is painted, so that every answer is known."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mot.detectors.custom import CustomDetector
from mot.detectors.network import (
    DetectorSettings,
    NetworkDetector,
    RawDetections,
    choose_classes,
)
from mot.detectors.tiles import TiledDetector, Tiling, make_tiles, parse_tiling
from mot.errors import MachineError, MotError
from mot.opencv import cv2
from mot.runtime.devices import OutOfMemory
from mot.runtime.preprocess import (
    InputSpec,
    Letterbox,
    as_bgr,
    make_batch,
    make_letterbox,
    normalize,
    resolve_input_size,
)
from mot.types import Detections, Detector, Image

quick = settings(deadline=None, max_examples=40)
RNG = np.random.default_rng(0)
NAMES = ("car", "person", "dog")
COLOURS = ((0, 0, 255), (0, 255, 0), (255, 0, 0))  # BGR, of each class
sides = st.integers(1, 300)
Rectangle = tuple[int, int, int, int]  # left, top, right, bottom


def noise(height: int, width: int, *more: int) -> Image:
    return RNG.integers(0, 256, (height, width, *more), np.uint8)


def painted(width: int, height: int, rectangles: Sequence[Rectangle], label: int = 1) -> Image:
    image = np.zeros((height, width, 3), np.uint8)
    for left, top, right, bottom in rectangles:
        image[top:bottom, left:right] = COLOURS[label]
    return image


def seen_in(image: Image) -> tuple[np.ndarray, np.ndarray]:
    """(N, 4) boxes of the patches of each colour, and their labels."""
    found, labels = [np.zeros((0, 4))], [np.zeros(0, np.int64)]
    for label, colour in enumerate(COLOURS):
        low, high = np.array(colour) * 0.6, np.maximum(colour, 102.0)
        near = cv2.inRange(image, low, high)
        _, _, stats, _ = cv2.connectedComponentsWithStats(near, connectivity=4)
        left, top, width, height, _ = stats[1:].T
        found.append(np.stack([left, top, left + width, top + height], axis=1))
        labels.append(np.full(len(left), label))
    return np.concatenate(found).astype(np.float32), np.concatenate(labels)


class Painted:
    """A network that detects patches of color, with room for so many images at a time."""

    workers = 1

    def __init__(self, spec: InputSpec | None = None, room: int = 1000, score: float = 0.9) -> None:
        self.spec = spec or InputSpec(size=(160, 160))
        self.names = NAMES
        self.room, self.score = room, score
        self.batches: list[tuple[int, ...]] = []
        self.asked: list[tuple[float, list[int]]] = []

    def predict(self, canvas: Image, min_score: float, labels: np.ndarray) -> list[RawDetections]:
        self.batches.append(canvas.shape)
        self.asked.append((min_score, labels.tolist()))
        if len(canvas) > self.room:
            raise OutOfMemory
        return [self._candidates(image, labels) for image in canvas]

    def _candidates(self, image: Image, labels: np.ndarray) -> RawDetections:
        found, seen = seen_in(image)
        chosen = np.isin(seen, labels)
        looks = np.stack([found[:, 0], seen], axis=1).astype(np.float32)
        scores = np.full(int(chosen.sum()), self.score, np.float32)
        return RawDetections(found[chosen], scores, seen[chosen], looks[chosen])


class RawImage(Painted):
    """A network that finds in every picture what it is told to."""

    def __init__(self, xyxy: Any, scores: Any, labels: Any = None, **more: Any) -> None:
        super().__init__(**more)
        xyxy = np.asarray(xyxy, np.float32).reshape(-1, 4)
        labels = np.ones(len(xyxy), np.int64) if labels is None else np.asarray(labels, np.int64)
        looks = np.arange(len(xyxy), dtype=np.float32)[:, None]
        self.told = RawDetections(xyxy, np.asarray(scores, np.float32), labels, looks)

    def _candidates(self, image: Image, labels: np.ndarray) -> RawDetections:
        return self.told


def tiled(detect: Any, tiling: str) -> TiledDetector:
    """A function of a list of images, run on tiles."""
    return TiledDetector(CustomDetector(detect, takes_list=True), parse_tiling(tiling))


def detector_of(network: Painted, **changes: Any) -> NetworkDetector:
    return NetworkDetector(network, DetectorSettings(**changes))


def in_order(found: Detections) -> np.ndarray:
    """(N, 5) boxes and labels, sorted."""
    rows = np.concatenate([found.boxes, found.labels[:, None]], axis=1)
    return rows[np.lexsort(rows.T[::-1])]


# What a picture may be.


@pytest.mark.parametrize("height", [1, 7])
@pytest.mark.parametrize("width", [1, 5])
def test_any_picture_of_bytes_becomes_bgr(height, width) -> None:
    colour, grey = noise(height, width, 3), noise(height, width)
    np.testing.assert_array_equal(as_bgr(colour), colour)
    for picture in (grey, grey[:, :, None]):
        np.testing.assert_array_equal(as_bgr(picture), np.dstack([grey] * 3))
    transparent = np.dstack([colour, grey])
    np.testing.assert_array_equal(as_bgr(transparent), colour)


@pytest.mark.parametrize("view", [np.s_[::2], np.s_[:, ::-1], np.s_[..., ::-1], np.s_[2:4, 1:3]])
def test_a_view_becomes_a_whole(view) -> None:
    picture = noise(6, 8, 3)[view]
    assert not picture.flags.c_contiguous
    made = as_bgr(picture)
    assert made.flags.c_contiguous
    np.testing.assert_array_equal(made, picture)


@pytest.mark.parametrize(
    ("picture", "fault"),
    [
        (np.zeros((4, 4, 3)), "not of float64"),
        (np.zeros((4, 4, 3), np.float32), "not of float32"),
        (np.zeros((4, 4, 3), np.uint16), "not of uint16"),
        (np.zeros((4, 4), bool), "not of bool"),
        ([[0, 0], [0, 0]], "not of list"),
        (None, "not of NoneType"),
        (np.zeros((4, 4, 2), np.uint8), "not (4, 4, 2)"),
        (np.zeros((3, 4, 5), np.uint8), "not (3, 4, 5)"),
        (np.zeros(4, np.uint8), "not (4,)"),
        (np.zeros((1, 4, 4, 3), np.uint8), "not (1, 4, 4, 3)"),
        (np.zeros((0, 4, 3), np.uint8), "not (0, 4, 3)"),
        (np.zeros((4, 0), np.uint8), "not (4, 0)"),
    ],
    ids=lambda value: str(getattr(value, "shape", value)),
)
def test_anything_else_is_refused(picture, fault) -> None:
    with pytest.raises(MotError) as caught:
        as_bgr(picture)
    assert str(caught.value).endswith(fault)


# Where a picture lies in the input.


def ramps(width: int, height: int) -> Image:
    """Blue tells the column, green the row; red is full."""
    across, down = np.meshgrid(np.arange(width), np.arange(height))
    return np.stack([across, down, np.full_like(down, 255)], axis=2).astype(np.uint8)


def source_of(column: int, row: int, placed: Letterbox) -> tuple[float, float] | None:
    """Which place of the picture a pixel of the input shows: the inverse map, pixel by pixel."""
    found = []
    for pixel, scale, offset, side in zip(
        (column, row), placed.scale, placed.offset, placed.size, strict=True
    ):
        place_in_picture = (pixel + 0.5 - offset) / scale
        if not 0 <= place_in_picture <= side:
            return None
        found.append(min(max(place_in_picture - 0.5, 0), side - 1))
    return found[0], found[1]


@pytest.mark.parametrize("keeps_aspect", [True, False])
@pytest.mark.parametrize(
    ("size", "target"),
    [
        *[((64, 48), (64, 48)), ((64, 48), (96, 96)), ((48, 64), (96, 96)), ((255, 31), (64, 64))],
        *[((13, 200), (64, 32)), ((1, 1), (32, 32)), ((2, 250), (64, 64)), ((250, 2), (32, 64))],
    ],
)
def test_each_pixel_of_the_input_shows_what_the_inverse_map_says(size, target, keeps_aspect):
    spec = InputSpec(size=target, keeps_aspect=keeps_aspect)
    picture = ramps(*size)
    ((layer,), (placed,)) = make_batch([picture], spec, target)
    assert layer.shape == (target[1], target[0], 3)
    shown = 0
    for row in range(target[1]):
        for column in range(target[0]):
            source = source_of(column, row, placed)
            if source is None:
                assert layer[row, column].tolist() == [114, 114, 114]
            else:
                shown += 1
                assert np.abs(layer[row, column] - [*source, 255]).max() <= 1
    assert shown == round(size[0] * placed.scale[0]) * round(size[1] * placed.scale[1])


@quick
@given(st.tuples(sides, sides), st.tuples(sides, sides))
def test_a_picture_is_in_the_middle_and_as_large_as_fits(size, target) -> None:
    placed = make_letterbox(size, InputSpec(), target)
    inner = [side * scale for side, scale in zip(size, placed.scale, strict=True)]
    assert max(got - whole for got, whole in zip(inner, target, strict=True)) <= 1e-9
    assert min(abs(whole - got) for got, whole in zip(inner, target, strict=True)) <= 0.5
    for got, whole, offset in zip(inner, target, placed.offset, strict=True):
        assert 0 <= offset and abs(offset - (whole - got - offset)) <= 1 + 1e-6
    if min(inner) > 1.5:  # sides of one pixel at the least bend thin pictures
        assert abs(placed.scale[0] * size[1] - placed.scale[1] * size[1]) <= max(
            1.0, size[1] / size[0]
        )


@quick
@given(st.tuples(sides, sides), st.tuples(sides, sides), st.booleans(), st.integers(0, 10**6))
def test_boxes_come_back(size, target, keeps_aspect, seed) -> None:
    placed = make_letterbox(size, InputSpec(keeps_aspect=keeps_aspect), target)
    corners = np.sort(np.random.default_rng(seed).random((5, 2, 2)), axis=1)
    wanted = (corners * size).reshape(-1, 4).astype(np.float32)
    there = wanted * np.array(placed.scale * 2) + np.array(placed.offset * 2)
    back = placed.restore(there.astype(np.float32))
    np.testing.assert_allclose(back, wanted, atol=1e-4 * max(size) * max(1, 1 / min(placed.scale)))
    assert back.dtype == np.float32


def test_boxes_are_cut_to_the_picture() -> None:
    placed = make_letterbox((100, 50), InputSpec(), (200, 200))
    assert placed == Letterbox((100, 50), (2.0, 2.0), (0.0, 50.0))
    found = placed.restore(np.array([[-9, -9, 999, 999], [0, 0, 200, 40]], np.float32))
    assert found.tolist() == [[0, 0, 100, 50], [0, 0, 100, 0]]


def test_pictures_of_all_sizes_in_one_batch() -> None:
    spec = InputSpec(size=(96, 64))
    pictures = [noise(height, width, 3) for height, width in ((5, 9), (64, 96), (300, 20), (1, 1))]
    canvas, letterboxes = make_batch(pictures, spec, spec.size)
    assert canvas.shape == (4, 64, 96, 3)
    for layer, placed, picture in zip(canvas, letterboxes, pictures, strict=True):
        (alone,), (placed_alone,) = make_batch([picture], spec, spec.size)
        np.testing.assert_array_equal(layer, alone)
        assert placed == placed_alone
    np.testing.assert_array_equal(canvas[1], pictures[1])


def test_no_picture_at_all() -> None:
    canvas, letterboxes = make_batch([], InputSpec(), (64, 32))
    assert canvas.shape == (0, 32, 64, 3) and letterboxes == []
    assert normalize(canvas, InputSpec()).shape == (0, 3, 32, 64)
    network = Painted()
    assert detector_of(network)([]) == []
    assert network.batches == []


@pytest.mark.parametrize("is_rgb", [True, False])
@pytest.mark.parametrize("mean", [(0.0, 0.0, 0.0), (0.485, 0.456, 0.406)])
def test_numbers_of_the_network_are_as_its_spec_says(is_rgb, mean) -> None:
    std = (0.229, 0.224, 0.225)
    canvas = noise(5, 7, 3)[None]
    blob = normalize(canvas, InputSpec(mean=mean, std=std, is_rgb=is_rgb))
    channels = canvas[..., ::-1] if is_rgb else canvas
    wanted = (channels / 255 - np.array(mean)) / np.array(std)
    np.testing.assert_allclose(blob, wanted.transpose(0, 3, 1, 2), atol=1e-5)
    assert blob.dtype == np.float32


@pytest.mark.parametrize(
    ("wanted", "size"),
    [
        (None, (416, 256)),
        (416, (416, 256)),
        (832, (832, 512)),
        (100, (128, 64)),
        (1, (32, 32)),
        ((640, 384), (640, 384)),
        ((641, 1), (672, 32)),
    ],
)
def test_the_size_to_run_at(wanted, size) -> None:
    assert resolve_input_size(wanted, InputSpec(size=(416, 256))) == size


def test_a_size_that_no_memory_holds_is_refused() -> None:
    with pytest.raises(MotError, match=r"^--imgsz 100000x100000: too large: .*--tiles$"):
        resolve_input_size((100_000, 100_000), InputSpec())


def test_a_fixed_size_is_the_only_one() -> None:
    spec = InputSpec(size=(416, 256), is_fixed=True)
    assert resolve_input_size((400, 250), spec) == resolve_input_size(None, spec) == (416, 256)
    with pytest.raises(MotError, match=r"^--imgsz 832x512: this network only takes 416x256$"):
        resolve_input_size(832, spec)


# A network as a detector.

PEOPLE = [(10, 20, 40, 90), (60, 5, 75, 50), (100, 60, 140, 110)]


@pytest.mark.parametrize("size", [(160, 120), (320, 120), (160, 320)])
def test_boxes_are_those_of_the_picture(size) -> None:
    found = detector_of(Painted(InputSpec(size=(320, 320))))([painted(*size, PEOPLE)])[0]
    wanted = detections(PEOPLE)
    np.testing.assert_allclose(in_order(found), in_order(wanted), atol=1.01)
    assert found.boxes.dtype == np.float32 and set(found.labels.tolist()) == {1}


def detections(rectangles: Sequence[Rectangle], label: int = 1) -> Detections:
    return Detections.from_boxes(rectangles, labels=[label] * len(rectangles))


def test_frames_of_another_size_in_the_middle_of_a_stream() -> None:
    network = Painted(InputSpec(size=(640, 640)))
    sizes = [(160, 120), (160, 120), (320, 200), (141, 600), (160, 120)]
    found = detector_of(network, batch=2)([painted(*size, PEOPLE) for size in sizes])
    assert [shape[0] for shape in network.batches] == [2, 2, 1]
    for each in found:
        np.testing.assert_allclose(in_order(each), in_order(detections(PEOPLE)), atol=1.01)


@pytest.mark.parametrize("batch", [1, 2, 3, 7, 50])
def test_batches_change_nothing(batch) -> None:
    pictures = [painted(160, 160, [(5 * step, 20, 5 * step + 20, 90)]) for step in range(7)]
    network = Painted()
    found = detector_of(network, batch=batch)(pictures)
    assert [each.boxes[0, 0] for each in found] == [5 * step for step in range(7)]
    whole, rest = divmod(7, batch)
    assert [shape[0] for shape in network.batches] == [batch] * whole + [rest] * bool(rest)


def test_grey_transparent_and_sliced_pictures_are_looked_at() -> None:
    plain = painted(160, 160, PEOPLE)
    padded = np.zeros((160, 320, 4), np.uint8)
    padded[:, ::2, :3] = plain
    detector = detector_of(Painted())
    first, second, third = detector([plain, padded[:, ::2], plain[:, :, 1]])
    assert in_order(first).tolist() == in_order(second).tolist() != []
    assert len(third) == 0  # no colour
    with pytest.raises(MotError, match="uint8"):
        detector([plain / 255])


def test_the_batch_is_halved_when_memory_is_full(capsys) -> None:
    pictures = [painted(160, 160, [(5 * step, 20, 5 * step + 20, 90)]) for step in range(8)]
    network = Painted(room=3)
    detector = detector_of(network, batch=4)
    found = detector(pictures)
    assert [each.boxes[0, 0] for each in found] == [5 * step for step in range(8)]
    assert [shape[0] for shape in network.batches] == [4, 2, 2, 2, 2]
    assert capsys.readouterr().err == "mot: out of memory: going on with --batch 2\n"
    detector(pictures[:4])
    assert [shape[0] for shape in network.batches[5:]] == [2, 2]
    assert capsys.readouterr().err == ""


def test_the_batch_is_halved_from_what_did_not_fit(capsys) -> None:
    """Not from a larger one that was never tried."""
    network = Painted(room=1)
    detector_of(network, batch=64)([noise(9, 9, 3)] * 2)
    assert [shape[0] for shape in network.batches] == [2, 1, 1]
    assert capsys.readouterr().err == "mot: out of memory: going on with --batch 1\n"


def test_no_room_for_a_single_picture(capsys) -> None:
    detector = detector_of(Painted(room=0), batch=2)
    with pytest.raises(MachineError, match="no memory for one image: give a smaller --imgsz"):
        detector([noise(9, 9, 3)] * 3)


def test_the_network_is_asked_for_what_is_wanted() -> None:
    network = Painted()
    detector_of(network, conf=0.125, classes=("dog", "0"))([noise(9, 9, 3)])
    assert network.asked == [(0.125, [0, 2])]


@pytest.mark.parametrize(
    ("wanted", "names", "numbers"),
    [
        ((), NAMES, [1]),
        ((), ("body",), [0]),
        ((), ("pedestrian", "x", "person"), [0, 2]),
        ((), ("x", "y"), [0, 1]),
        (("dog", "car", "dog"), NAMES, [0, 2]),
        (("2", "1", "person"), NAMES, [1, 2]),
        (("person",), ("body",), [0]),
        (("3",), ("1", "2", "3"), [2]),
    ],
)
def test_classes_by_name_or_number(wanted, names, numbers) -> None:
    assert choose_classes(wanted, names).tolist() == numbers


@pytest.mark.parametrize(
    ("word", "fault"),
    [
        ("persn", "did you mean 'person'?"),
        ("tree", "known: car, dog, person"),
        ("3", "the network has 3 classes, from 0"),
        ("-1", "known: car, dog, person"),
        ("1.0", "known: car, dog, person"),
    ],
)
def test_an_unknown_class_is_named(word, fault) -> None:
    with pytest.raises(MotError) as caught:
        choose_classes([word], NAMES)
    assert str(caught.value) == f"--classes {word}: {fault}"


def apart(count: int) -> np.ndarray:
    """(N, 4) boxes that do not touch."""
    left = 12.0 * np.arange(count)
    return np.stack([left, left * 0, left + 10, left * 0 + 20], axis=1)


def test_the_best_are_kept_and_looks_stay_with_their_boxes() -> None:
    network = RawImage(apart(9), np.linspace(0.2, 0.9, 9), labels=np.arange(9) % 3)
    (found,) = detector_of(network, max_det=4)([noise(160, 160, 3)])
    np.testing.assert_array_equal(found.boxes, apart(9)[[8, 7, 6, 5]])
    assert found.embeddings.ravel().tolist() == [8, 7, 6, 5]
    assert found.labels.tolist() == [2, 1, 0, 2]


def test_overlaps_are_thinned_out_as_told() -> None:
    pair = [[0, 0, 100, 100], [0, 40, 100, 140]]  # IoU 3 / 7
    for overlap, count in ((0.42, 1), (0.43, 2)):
        (found,) = detector_of(RawImage(pair, [0.9, 0.8]), nms_iou=overlap)([noise(160, 160, 3)])
        assert len(found) == count
    (found,) = detector_of(RawImage(pair, [0.9, 0.8], [0, 1]), nms_iou=0.1)([noise(160, 160, 3)])
    assert len(found) == 2  # of two classes


def test_rubbish_from_a_network_is_dropped() -> None:
    nan, inf = np.nan, np.inf
    good = [5, 5, 9, 15]
    boxes = [good, [nan, 5, 9, 15], [5, 5, inf, 15], [9, 5, 5, 15], good, good, [5, 5, 5, 15]]
    scores = [0.5, 0.9, 0.9, 0.9, nan, inf, 0.9]
    (found,) = detector_of(RawImage(boxes, scores))([noise(160, 160, 3)])
    assert found.boxes.tolist() == [good]
    assert found.scores.tolist() == [0.5]
    assert found.embeddings.tolist() == [[0.0]]


def test_what_lies_in_the_margin_is_dropped_and_the_rest_cut() -> None:
    inside, above, both = [10, 50, 30, 100], [10, 0, 30, 39], [50, 10, 80, 70]
    (found,) = detector_of(RawImage([inside, above, both], [0.9, 0.8, 0.7]))([noise(80, 160, 3)])
    assert found.boxes.tolist() == [[10, 10, 30, 60], [50, 0, 80, 30]]


def test_people_who_are_told_of_whole_go_on_beyond_the_edges() -> None:
    inside, above, both = [10, 50, 30, 100], [10, 0, 30, 39], [50, 10, 170, 70]
    network = RawImage(
        [inside, above, both], [0.9, 0.8, 0.7], spec=InputSpec((160, 160), amodal=True)
    )
    (found,) = detector_of(network)([noise(80, 160, 3)])
    assert found.boxes.tolist() == [[10, 10, 30, 60], [50, -30, 170, 30]]


def test_whole_people_who_are_out_of_all_bounds_are_left_out() -> None:
    person, nobody = [10, 50, 30, 100], [-9e8, 0, 9e8, 99]
    network = RawImage([person, nobody], [0.8, 0.9], spec=InputSpec((160, 160), amodal=True))
    (found,) = detector_of(network)([noise(480, 640, 3)])
    assert found.boxes.tolist() == [[40, 120, 120, 320]]
    assert found.embeddings.tolist() == [[0.0]]


def test_nothing_found() -> None:
    for network in (Painted(), RawImage([], [])):
        (found,) = detector_of(network)([noise(9, 9, 3) // 9])
        assert found.boxes.shape == (0, 4)


def test_any_size_runs_at_the_size_that_was_asked_for() -> None:
    for wanted, size in (
        ({}, (160, 96)),
        ({"width": 320}, (320, 192)),
        ({"height": 320}, (320, 192)),
        ({"width": 300, "height": 100}, (320, 128)),
    ):
        network = Painted(InputSpec(size=(160, 96)))
        detector = detector_of(network, **wanted)
        detector([noise(9, 9, 3)])
        assert detector.size == size
        assert network.batches == [(1, size[1], size[0], 3)]


# A PyTorch model as a network.


@pytest.fixture(scope="session")
def torch() -> Any:
    return pytest.importorskip("torch", reason="PyTorch is not installed")


@pytest.fixture(scope="session")
def torch_network(torch) -> Any:
    return importlib.import_module("mot.detectors.torch_network")


def told_model(torch: Any, boxes: Any, scores: Any, *embeddings: Any) -> Any:
    """A model that gives this for any batch, and keeps what it was given."""

    class Model(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weight = torch.nn.Parameter(torch.zeros(1))
            self.seen = None

        def forward(self, images: Any) -> Any:
            self.seen = images
            outputs = (torch.tensor(each) for each in (boxes, scores, *embeddings))
            return tuple(each.expand(len(images), *each.shape) for each in outputs)

    return Model()


def test_a_torch_model_sees_what_its_spec_says(torch, torch_network) -> None:
    spec = InputSpec((64, 32), mean=(0.5, 0.4, 0.3), std=(0.2, 0.3, 0.4))
    canvas = noise(32, 64, 3)[None]
    model = told_model(torch, np.zeros((0, 4), np.float32), np.zeros((0, 3), np.float32))
    network = torch_network.TorchNetwork(model, spec, NAMES, "cpu")
    (found,) = network.predict(canvas, 0.5, np.array([1]))
    np.testing.assert_allclose(model.seen.numpy(), normalize(canvas, spec), atol=1e-5)
    assert found.boxes.shape == (0, 4) and found.embeddings is None
    half = torch_network.TorchNetwork(model, spec, NAMES, "cpu", half=True)
    half.predict(canvas, 0.5, np.array([1]))
    assert model.seen.dtype == torch.bfloat16


def test_a_torch_models_candidates_are_those_that_score(torch, torch_network) -> None:
    boxes = np.arange(16, dtype=np.float32).reshape(4, 4)
    scores = np.array(
        [[0.9, 0.5, 0.7], [0.1, 0.2, np.nan], [0.6, np.nan, 0.49], [0.9, 0.1, 0.6]], np.float32
    )
    looks = np.eye(4, dtype=np.float32)
    network = torch_network.TorchNetwork(
        told_model(torch, boxes, scores, looks), InputSpec((64, 32)), NAMES, "cpu"
    )
    labels = np.array([1, 2])
    for found in network.predict(np.zeros((2, 32, 64, 3), np.uint8), 0.5, labels):
        assert (found.scores >= 0.5).all()
        pairs = zip(found.embeddings.argmax(1).tolist(), found.labels.tolist(), strict=True)
        assert list(pairs) == [(0, 1), (0, 2), (3, 2)]
        np.testing.assert_array_equal(found.boxes, boxes[[0, 0, 3]])
        np.testing.assert_array_equal(found.scores, scores[[0, 0, 3], [1, 2, 2]])


def test_a_full_gpu_is_no_crash(torch, torch_network, capsys) -> None:
    model = told_model(torch, np.array([[1, 1, 9, 9]], np.float32), np.array([[0.0, 0.9, 0.0]]))
    whole = model.forward

    def forward(images: Any) -> Any:
        if len(images) > 1:
            raise torch.cuda.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB")
        return whole(images)

    model.forward = forward
    network = torch_network.TorchNetwork(model, InputSpec((64, 64)), NAMES, "cpu")
    found = detector_of(network, batch=2)([noise(64, 64, 3)] * 3)
    assert [len(each) for each in found] == [1, 1, 1]
    assert capsys.readouterr().err.count("\n") == 1


@pytest.mark.parametrize(
    ("name", "fault"),
    [
        ("vulkan", "give cpu, cuda, cuda:1 or auto"),
        ("meta", "give cpu, cuda, cuda:1 or auto"),
        ("tpu", "give cpu, cuda, cuda:1 or auto"),
        ("", "give cpu, cuda, cuda:1 or auto"),
        ("cuda:x", "give cpu, cuda, cuda:1 or auto"),
        ("cuda:99", "give --device cpu or auto"),
    ],
)
def test_a_wrong_device_is_named(torch_network, name, fault) -> None:
    with pytest.raises(MotError) as caught:
        torch_network.choose_device(name)
    assert str(caught.value).startswith(f"--device {name}: ")
    assert str(caught.value).endswith(fault)


def test_a_device_is_always_found(torch_network) -> None:
    assert torch_network.choose_device("cpu").type == "cpu"
    assert torch_network.choose_device("auto").type in ("cpu", "cuda")


@pytest.mark.parametrize("kind", ["soft-linear", "soft-gaussian"])
def test_what_soft_nms_lowers_below_the_least_score_is_left_out(kind) -> None:
    xyxy = [[10, 10, 50, 50], [12, 10, 52, 50], [90, 90, 120, 150]]
    for least, count in ((0.0, 3), (0.4, 2)):
        detector = detector_of(RawImage(xyxy, [0.9, 0.8, 0.5]), conf=least, nms=kind)
        scores = detector([noise(160, 160, 3)])[0].scores
        assert len(scores) == count and scores.min() >= least


# Tiles.


def see_all(images: list[Image]) -> list[Detections]:
    found = map(seen_in, images)
    return [Detections.from_boxes(boxes, labels=labels) for boxes, labels in found]


def see_large(least: float) -> Detector:
    """Blind to what is smaller than such a share of the picture's longer side."""

    def detect(images: list[Image]) -> list[Detections]:
        found = zip(see_all(images), images, strict=True)
        return [each[longer_side(each) >= least * max(image.shape)] for each, image in found]

    return detect


def longer_side(found: Detections) -> np.ndarray:
    return (found.boxes[:, 2:] - found.boxes[:, :2]).max(axis=1)


def scattered(seed: int, size: tuple[int, int], smallest: int, largest: int) -> list[Rectangle]:
    """Rectangles that do not touch."""
    rng = np.random.default_rng(seed)
    taken = np.zeros((size[1] + 2, size[0] + 2), bool)
    found = []
    for _ in range(60):
        width, height = (int(side) for side in rng.integers(smallest, largest + 1, 2))
        if width >= size[0] or height >= size[1]:
            continue
        left, top = int(rng.integers(0, size[0] - width)), int(rng.integers(0, size[1] - height))
        around = taken[top : top + height + 2, left : left + width + 2]
        if not around.any():
            around[:] = True
            found.append((left, top, left + width, top + height))
    return found


@quick
@given(st.integers(0, 10**6), st.sampled_from(["2x2", "3x3", "4x1", "1x5", "200x150", "64x500"]))
def test_tiles_find_what_the_whole_picture_shows(seed, tiling) -> None:
    rectangles = scattered(seed, (600, 400), 8, 250)
    image = painted(600, 400, rectangles, label=seed % 3)
    found = tiled(see_all, tiling)([image])[0]
    np.testing.assert_array_equal(in_order(found), in_order(detections(rectangles, seed % 3)))


@quick
@given(st.integers(0, 10**6), st.sampled_from(["3x3", "2x4", "220x220"]))
def test_small_ones_that_the_whole_picture_hides_are_found_once(seed, tiling) -> None:
    """They are at most as large as the overlap, so that each is whole in a tile."""
    rectangles = scattered(seed, (600, 600), 20, 30)
    image = painted(600, 600, rectangles)
    detector = see_large(least=0.058)  # 35 pixels of the picture, 20 of the largest tile
    assert len(detector([image])[0]) == 0
    found = tiled(detector, tiling)([image])[0]
    np.testing.assert_array_equal(in_order(found), in_order(detections(rectangles)))


@quick
@given(st.integers(0, 10**6))
def test_large_ones_that_no_tile_shows_are_found_once(seed) -> None:
    rectangles = scattered(seed, (600, 600), 150, 400)
    found = tiled(see_all, "6x6")([painted(600, 600, rectangles)])[0]
    np.testing.assert_array_equal(in_order(found), in_order(detections(rectangles)))


def test_one_on_a_border_and_one_on_the_crossing_of_all() -> None:
    """Of a 2x2 grid of 200x200 the borders are at 88 and 112."""
    rectangles = [(80, 20, 120, 60), (90, 90, 110, 110), (100, 150, 140, 190), (0, 95, 30, 105)]
    found = tiled(see_all, "2x2")([painted(200, 200, rectangles)])[0]
    np.testing.assert_array_equal(in_order(found), in_order(detections(rectangles)))


def test_neighbours_of_another_class_keep_what_a_border_cut() -> None:
    """The large one is whole; the small one before it is seen cut alone, and is another class."""

    def detect(images: list[Image]) -> list[Detections]:
        if len(images[0]) != 100:
            raise AssertionError("the whole picture is first")
        whole = Detections.from_boxes([[10, 10, 90, 90]], labels=[0])
        cut = Detections.from_boxes([[20, 20, 60, 50]], labels=[1])
        return [whole, cut, *([Detections.empty()] * (len(images) - 2))]

    found = tiled(detect, "2x2")([np.zeros((100, 100, 3), np.uint8)])[0]
    assert in_order(found).tolist() == [[10, 10, 90, 90, 0], [20, 20, 60, 50, 1]]


def test_who_is_guessed_beyond_a_border_is_found_once() -> None:
    """Who tells of people whole guesses how they go on where a tile cuts them: too far, here."""

    def detect(images: list[Image]) -> list[Detections]:
        nobody, person = Detections.empty(), Detections.from_boxes([[90, 40, 190, 340]])
        guess = Detections.from_boxes([[-137, -20, 13, 400]])  # of the right tile, from 177 on
        assert [image.shape[1] for image in images] == [400, 223, 223]
        return [nobody, person, guess]

    detector = tiled(detect, "2x1")
    (found,) = detector([np.zeros((400, 400, 3), np.uint8)])
    assert found.boxes.tolist() == [[90, 40, 190, 340]]


def test_tiles_of_a_network_are_the_networks_own_pictures() -> None:
    """With looks, batches and settings."""
    network = Painted(InputSpec(size=(320, 320)))
    detector = TiledDetector(detector_of(network, batch=3), parse_tiling("2x2"))
    (found,) = detector([painted(160, 160, PEOPLE)])
    np.testing.assert_allclose(in_order(found), in_order(detections(PEOPLE)), atol=1.01)
    assert found.embeddings.shape == (len(PEOPLE), 2)
    assert [shape[0] for shape in network.batches] == [3, 2]


@pytest.mark.parametrize("people", [[(10, 10, 30, 60)], []])
def test_tiles_without_people_do_not_lose_the_looks_of_others(people) -> None:
    """A part of the picture where nobody is has no looks to tell."""

    def detect(images: list[Image]) -> list[Detections]:
        found = [
            Detections.from_boxes(each.boxes, embeddings=each.boxes[:, :2] + 1)
            if len(each)
            else Detections.empty()
            for each in see_all(images)
        ]
        return found

    (found,) = tiled(detect, "2x2")([painted(200, 200, people)])
    assert found.boxes.tolist() == [list(each) for each in people]
    assert (found.embeddings is None) == (not people)


@pytest.mark.parametrize("size", [(1, 1), (3, 2), (1, 40), (33, 33), (700, 20)])
@pytest.mark.parametrize("tiling", ["4x4", "16x16", "32x32", "640x480"])
def test_small_pictures(size, tiling) -> None:
    image = painted(*size, [(0, 0, *size)])
    found = tiled(see_all, tiling)([image, image])
    assert [each.boxes.tolist() for each in found] == [[[0, 0, *size]]] * 2


def test_a_huge_picture() -> None:
    seen: list[int] = []

    def detect(images: list[Image]) -> list[Detections]:
        seen.append(len(images))
        return see_all(images)

    rectangles = [(3990, 1190, 4030, 1240), (10, 10, 40, 60), (0, 2000, 5990, 3000)]
    found = tiled(detect, "2000x2000")([painted(6000, 3000, rectangles)])[0]
    np.testing.assert_array_equal(in_order(found), in_order(detections(rectangles)))
    assert seen == [1 + 4 * 2]


def test_no_picture_in_tiles() -> None:
    assert tiled(see_all, "2x2")([]) == []


@quick
@given(sides, sides, st.integers(1, 16), st.integers(1, 16), st.sampled_from([0.0, 0.2, 0.5, 0.9]))
def test_a_grid_covers_the_picture_and_overlaps(width, height, columns, rows, overlap) -> None:
    expect_cover(Tiling(columns, rows, overlap), width, height)


@quick
@given(st.integers(1, 2000), st.integers(1, 2000), st.integers(32, 700), st.integers(32, 700))
def test_tiles_of_pixels_cover_the_picture_and_overlap(width, height, across, down) -> None:
    spans = expect_cover(Tiling(across, down), width, height)
    for places, wanted, whole in zip(spans, (across, down), (width, height), strict=True):
        assert all(end - start == min(wanted, whole) for start, end in places)


def expect_cover(tiling: Tiling, width: int, height: int) -> list[list[tuple[int, int]]]:
    places = list(make_tiles(tiling, width, height)) or [(0, 0, width, height)]
    across = sorted({(left, right) for left, _, right, _ in places})
    down = sorted({(top, bottom) for _, top, _, bottom in places})
    assert len(set(places)) == len(across) * len(down)
    for spans, side in ((across, width), (down, height)):
        assert spans[0][0] == 0 and max(end for _, end in spans) == side
        for (start, end), (after, _) in pairwise(spans):
            assert start < after <= end
            # Whole pixels cost one at each end.
            assert end - after >= tiling.overlap * (end - start) - 2
    return [across, down]


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        *[(text, "COLUMNSxROWS such as 2x2") for text in ("2", "2y2", "0x2", "-1x2", "x", "2x2x2")],
        *[(text, "COLUMNSxROWS such as 2x2") for text in ("", "2.0x2", "ax2")],
        *[(text, "neither a grid of up to 16x16") for text in ("17x2", "640x16", "31x31")],
    ],
)
def test_wrong_tiles_are_named(text, fault) -> None:
    with pytest.raises(MotError) as caught:
        parse_tiling(text)
    assert str(caught.value).startswith(f"--tiles {text}: ")
    assert fault in str(caught.value)


def test_an_overlap_is_a_share() -> None:
    assert parse_tiling("2X3") == Tiling(2, 3, 0.2)
    for overlap in (-0.1, 1.0, np.nan):
        with pytest.raises(MotError, match="give a share from 0 to below 1"):
            parse_tiling("2x2", overlap)
