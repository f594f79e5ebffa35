"""Embedders: against one crop at a time through OpenCV and ONNX Runtime, networks whose outputs are
plain arithmetic, and hostile files."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import mot
from mot.errors import MotError
from mot.motfile import read_tracks
from mot.opencv import cv2
from mot.types import Detections, Frame, Image
from mot.video import open_source

pytest.importorskip("onnxruntime", reason="ONNX Runtime is not installed")

from support.embedders import (
    MEAN,
    STD,
    mean_color,
    plain,
)

from mot.reid.embedder import OnnxEmbedder, attach_embeddings

RNG = np.random.default_rng(0)
NO_BOXES = np.zeros((0, 4), np.float32)


def test_only_detections_with_min_score_are_embedded() -> None:
    counts: list[int] = []

    def embedder(image: Image, xyxy: Any) -> Any:
        counts.append(len(xyxy))
        return np.ones((len(xyxy), 4), np.float32)

    boxes = [[0, 0, 9, 9], [5, 5, 20, 30], [30, 30, 40, 60]]
    frames = [
        (Frame(noise(), number, 0.0), Detections.from_boxes(boxes, scores=scores))
        for number, scores in enumerate(((0.9, 0.2, 0.6), (0.1, 0.2, 0.3), (0.9, 0.9, 0.9)), 1)
    ]
    attached = attach_embeddings(frames, embedder, min_score=0.6)
    embeddings = [detections.embeddings for _, detections in attached]
    assert counts == [2, 3, 3], "if no score is high enough, all are embedded"
    assert [each.any(axis=1).tolist() for each in embeddings] == [
        [True, False, True],
        [True] * 3,
        [True] * 3,
    ]


def noise(height: int = 360, width: int = 480) -> Image:
    """Smooth, so that a pixel more or less shows, and does not drown the rest."""
    small = RNG.integers(0, 256, (height // 8, width // 8, 3), np.uint8)
    return np.asarray(cv2.resize(small, (width, height), interpolation=cv2.INTER_CUBIC))


def boxes_in(height: int = 360, width: int = 480, count: int = 20) -> np.ndarray:
    """(N, 4) random boxes within the image, with fractions."""
    corners = np.sort(RNG.random((count, 2, 2)), axis=1) * [width - 4, height - 4]
    corners[:, 1] += 4
    return corners.reshape(-1, 4).astype(np.float32)


# Networks built here, which return the mean color of their input.


def striped() -> tuple[Image, np.ndarray]:
    """An image of columns of a color, 10 pixels wide, and a box within each."""
    colors = RNG.integers(0, 256, (130, 3), np.uint8)
    image = np.repeat(np.repeat(colors[None], 10, axis=1), 50, axis=0)
    left = 10.0 * np.arange(130)
    return image, np.stack([left + 1, left * 0 + 5, left + 9, left * 0 + 30], axis=1)


@pytest.mark.parametrize("shape", [["N", 3, 8, 4], [1, 3, 8, 4], ["N", 3, "H", "W"], [-1, 3, 8, 4]])
@pytest.mark.parametrize("threads", [None, 3])
def test_each_box_has_its_own_color(tmp_path, shape, threads) -> None:
    """More boxes than one batch of the network."""
    image, xyxy = striped()
    embedder = OnnxEmbedder(mean_color(tmp_path, shape), threads)
    assert embedder.size == ((128, 256) if shape[2] == "H" else (4, 8))
    found = embedder(image, xyxy.astype(np.float32))
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, [plain(color) for color in image[0, 5::10]], atol=1e-4)


def test_mean_and_std_of_the_metadata(tmp_path) -> None:
    image, xyxy = striped()
    mean, std = [0.5, 0.25, 0.125], [1.0, 0.5, 2.0]
    embedder = OnnxEmbedder(mean_color(tmp_path, metadata={"mean": mean, "std": std}))
    wanted = [plain(color, np.array(mean), np.array(std)) for color in image[0, 5::10]]
    np.testing.assert_allclose(embedder(image, xyxy.astype(np.float32)), wanted, atol=1e-5)


@pytest.mark.parametrize("metadata", ["rubbish", "[]", "null", '"x"', {}, {"names": ["person"]}])
def test_other_metadata_is_ignored(tmp_path, metadata) -> None:
    image, xyxy = striped()
    found = OnnxEmbedder(mean_color(tmp_path, metadata=metadata))(
        image, xyxy[:1].astype(np.float32)
    )
    np.testing.assert_allclose(found, [plain(image[0, 5])], atol=1e-5)


def test_boxes_are_clipped_and_vectors_outside_the_image_are_zero(tmp_path) -> None:
    image = np.zeros((40, 60, 3), np.uint8)
    image[:, :20], image[:, 20:] = (255, 0, 0), (0, 0, 255)
    xyxy = [[-50, -9, 20, 99], [40, 0, 1e6, 40], [70, 0, 90, 40], [-9, -9, 0, 0], [5, 5, 5, 30]]
    found = OnnxEmbedder(mean_color(tmp_path))(image, np.array(xyxy, np.float32))
    inside = [plain(color) for color in ((255, 0, 0), (0, 0, 255))]
    np.testing.assert_allclose(found, [*inside, *np.zeros((3, 3))], atol=1e-5)
    outside = OnnxEmbedder(mean_color(tmp_path))(image, np.array(xyxy[2:], np.float32))
    np.testing.assert_array_equal(outside, np.zeros((3, 3)))


@pytest.mark.parametrize("scale", [0.0, 1e-30, 1e30, np.nan, np.inf])
def test_vectors_are_finite_for_any_output(tmp_path, scale) -> None:
    image, xyxy = striped()
    found = OnnxEmbedder(mean_color(tmp_path, scale=scale))(image, xyxy.astype(np.float32))
    assert found.shape == (130, 3) and np.isfinite(found).all()
    Detections.from_boxes(xyxy, embeddings=found)
    if scale == 1e30:
        np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1, atol=1e-5)


def test_no_boxes(tmp_path) -> None:
    embedder = OnnxEmbedder(mean_color(tmp_path))
    assert len(embedder(noise(), NO_BOXES)) == 0


def test_embeddings_are_attached_to_frames(tmp_path) -> None:
    image, xyxy = striped()
    frames = [Frame(image, index, index / 10) for index in (1, 2, 3)]
    given = [Detections.from_boxes(each, labels=[7] * len(each)) for each in (xyxy, [], xyxy[3:5])]
    embedder = OnnxEmbedder(mean_color(tmp_path))
    found = list(attach_embeddings(zip(frames, given, strict=True), embedder))
    assert [frame.index for frame, _ in found] == [1, 2, 3]
    for (_, one), other in zip(found, given, strict=True):
        np.testing.assert_array_equal(one.boxes, other.boxes)
        np.testing.assert_array_equal(one.labels, other.labels)
    np.testing.assert_array_equal(found[2][1].embeddings, found[0][1].embeddings[3:5])
    assert found[1][1].embeddings is None


def test_frame_without_an_image_is_named(tmp_path) -> None:
    embedder = OnnxEmbedder(mean_color(tmp_path))
    blind = [(Frame(None, 12, 0.5), Detections.empty())]
    with pytest.raises(MotError, match=r"^frame 12 has no image"):
        list(attach_embeddings(blind, embedder))


# Files that are refused.


@pytest.mark.parametrize("name", ["mean", "std"])
@pytest.mark.parametrize(
    "value",
    ["x", None, [1], [1, 2, 3, 4], [[1, 2, 3]], {}, [1, 2, np.nan], 1],
)
def test_wrong_mean_or_std_is_named(tmp_path, name, value) -> None:
    path = mean_color(tmp_path, metadata={name: value})
    message = f"{path}: {name} in its metadata must be three numbers: export it again"
    assert refusal(path) == message


def test_std_of_zero_is_refused(tmp_path) -> None:
    assert "std in its metadata" in refusal(mean_color(tmp_path, metadata={"std": [1, 0, 1]}))


@pytest.mark.parametrize(
    ("shape", "fault"),
    [
        ([4, 3, 8, 4], "takes 4 crops at a time: export it for one, or for any number"),
        (["N", 1, 8, 4], "not crops (N, 3, height, width)"),
        (["N", 8, 4, 3], "not crops (N, 3, height, width)"),
        (["N", 3, 8], "not crops (N, 3, height, width)"),
    ],
)
def test_wrong_input_shape_is_refused(tmp_path, shape, fault) -> None:
    path = mean_color(tmp_path, shape)
    assert refusal(path).startswith(f"{path}: takes ")
    assert fault in refusal(path)


@pytest.mark.parametrize("content", [b"", b"rubbish", b"\x08\x08" + bytes(50), None])
def test_damaged_file_is_named(tmp_path, content) -> None:
    path = tmp_path / "net.onnx"
    path.write_bytes(mean_color(tmp_path).read_bytes()[:-40] if content is None else content)
    assert refusal(path).startswith(f"{path}: not a usable ONNX file")


def test_detector_is_refused() -> None:
    weights = Path(mot.__file__).parent / "weights/person.onnx"
    assert "not one vector: a detector is given as --detector" in refusal(weights)


def test_missing_file_and_folder_are_named(tmp_path) -> None:
    assert refusal(tmp_path / "gone.onnx") == f"{tmp_path / 'gone.onnx'}: no such file"
    assert refusal(tmp_path) == f"{tmp_path}: no such file"


def refusal(path: Path) -> str:
    with pytest.raises(MotError) as caught:
        OnnxEmbedder(path)
    assert "\n" not in str(caught.value)
    return str(caught.value)


# The real network.


@pytest.fixture(scope="session")
def osnet(shared) -> Path:
    return Path(shared / "data/weights/osnet_x0_25_msmt17.onnx")


def one_by_one(path: Path, image: Image, xyxy: np.ndarray) -> np.ndarray:
    """A plain reference: crop, resize, normalize, run, scale to length 1."""
    import onnxruntime

    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    vectors = []
    for left, top, right, bottom in np.rint(xyxy).astype(int):
        crop = cv2.cvtColor(image[top:bottom, left:right], cv2.COLOR_BGR2RGB)
        numbers = (cv2.resize(crop, (128, 256)) / 255 - MEAN) / STD
        blob = numbers.transpose(2, 0, 1)[None].astype(np.float32)
        (found,) = session.run(None, {session.get_inputs()[0].name: blob})
        vectors.append(found[0].astype(np.float64) / np.linalg.norm(found[0]))
    return np.array(vectors)


def test_osnet_equals_one_crop_at_a_time(osnet) -> None:
    image, xyxy = noise(), boxes_in()
    found = OnnxEmbedder(osnet)(image, xyxy)
    assert found.shape == (20, 512) and found.dtype == np.float32
    np.testing.assert_allclose(found, one_by_one(osnet, image, xyxy), atol=1e-5)
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1, atol=1e-5)


def test_osnet_reidentifies_people(osnet, shared) -> None:
    """In the first frames of PETS09-S2L1, each person is nearest to itself 20 frames later, not to
    one of the five others; chance is one in six."""
    folder = shared / "data/mot15/PETS09-S2L1"
    truth = read_tracks(folder / "gt/gt.txt")
    embedder = OnnxEmbedder(osnet)
    frames = [
        (truth[frame.index].ids, embedder(frame.image, truth[frame.index].boxes))
        for frame in open_source(folder / "PETS09-S2L1.mp4", every=20, end=16.0)
    ]
    right: list[bool] = []
    for (ids, vectors), (next_ids, next_vectors) in pairwise(frames):
        nearest = next_ids[(vectors @ next_vectors.T).argmax(axis=1)]
        right += (nearest == ids)[np.isin(ids, next_ids)].tolist()
    assert len(right) > 20
    assert np.mean(right) > 0.8
