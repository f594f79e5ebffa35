"""The camera's motion: seen in pictures by each method, or read from a file."""

from __future__ import annotations

from collections.abc import Iterable

import cv2
import numpy as np
import numpy.typing as npt
import pytest

from mot.camera_motion import METHODS, CameraMotion, MotionFile, with_camera
from mot.errors import MotError
from mot.types import Detections, Frame, Image

Affine = npt.NDArray[np.float64]
STILL = np.eye(2, 3)
SIZE = (640, 480)
NOBODY = Detections.empty()


def texture(seed: int = 0, size: tuple[int, int] = SIZE) -> Image:
    """Blurred noise, coarse and fine."""
    rng = np.random.default_rng(seed)
    width, height = size
    noise = rng.normal(size=(height, width, 3)).astype(np.float32)
    grain = sum(cv2.GaussianBlur(noise, (0, 0), sigma) * sigma for sigma in (2, 5, 12))
    return np.clip(128 + 60 * grain, 0, 255).astype(np.uint8)


def motion(x: float = 0, y: float = 0, turn: float = 0, zoom: float = 1) -> Affine:
    """About the middle of the picture; `turn` in degrees."""
    affine = cv2.getRotationMatrix2D((SIZE[0] / 2, SIZE[1] / 2), turn, zoom)
    return affine + np.array([[0, 0, x], [0, 0, y]])


def seen_through(image: Image, affine: Affine) -> Image:
    return np.asarray(cv2.warpAffine(image, affine, SIZE, borderMode=cv2.BORDER_REFLECT))


def estimates(camera: CameraMotion, shots: Iterable[tuple[Image, Detections]]) -> list[Affine]:
    return [
        camera(Frame(image, index, index / 30), people)
        for index, (image, people) in enumerate(shots, 1)
    ]


def error(found: Affine, true: Affine) -> float:
    """Pixels, on average over the picture."""
    x, y = np.meshgrid(np.linspace(0, SIZE[0], 9), np.linspace(0, SIZE[1], 9))
    places = np.stack([x.ravel(), y.ravel(), np.ones(x.size)])
    return float(np.linalg.norm((found - true) @ places, axis=0).mean())


MOTIONS = {
    "still": motion(),
    "shift": motion(x=7.5, y=-4.25),
    "turn": motion(x=2, turn=1.0),
    "zoom": motion(y=3, zoom=1.015),
    "all": motion(x=-5, y=4, turn=-0.7, zoom=0.99),
}
# ECC is of rigid motions, as in StrongSORT.
CASES = [
    (method, case)
    for method in METHODS
    for case in MOTIONS
    if method != "ecc" or case not in ("zoom", "all")
]


@pytest.mark.parametrize(("method", "case"), CASES)
def test_a_known_motion_is_found(method, case) -> None:
    image = texture()
    camera = CameraMotion(method)
    shots = [(image, NOBODY), (seen_through(image, MOTIONS[case]), NOBODY)]
    first, second = estimates(camera, shots)
    assert error(first, STILL) == 0
    assert error(second, MOTIONS[case]) < 0.5
    assert camera.failures == 0


@pytest.mark.parametrize("method", METHODS)
def test_people_who_walk_are_not_the_camera(method) -> None:
    """They fill half of the picture and go the other way."""
    street, person = texture(), texture(1)[:400, :170]
    true, shots = motion(x=4, y=2), []
    for index, image in enumerate((street, seen_through(street, true))):
        lefts = np.array([40, 330]) - 9 * index
        for left in lefts:
            image[40:440, left : left + 170] = person
        boxes = [[left, 40, left + 170, 440] for left in lefts]
        shots.append((image, Detections.from_boxes(boxes)))
    assert error(estimates(CameraMotion(method), shots)[1], true) < 0.5


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(
    "pictures",
    [
        [np.full((480, 640, 3), 90, np.uint8)] * 3,
        [np.zeros((2, 3, 3), np.uint8)] * 3,
        [np.zeros((1, 4000, 3), np.uint8)] * 3,
        [texture(), np.full((480, 640, 3), 90, np.uint8), texture()],
    ],
    ids=["flat", "tiny", "thin", "lens covered"],
)
def test_where_nothing_is_seen_the_camera_stands_still_and_that_is_counted(
    method, pictures
) -> None:
    camera = CameraMotion(method)
    found = estimates(camera, [(picture, NOBODY) for picture in pictures])
    assert [affine.tolist() for affine in found] == [STILL.tolist()] * 3
    assert camera.failures == 2


@pytest.mark.parametrize("method", METHODS)
def test_a_picture_full_of_people_is_a_failure(method) -> None:
    everywhere = Detections.from_boxes([-1e6, -1e6, 1e6, 1e6])
    camera = CameraMotion(method)
    assert estimates(camera, [(texture(), everywhere)] * 2)[1].tolist() == STILL.tolist()
    assert camera.failures == 1


@pytest.mark.parametrize("method", METHODS)
def test_another_scene_does_not_move_the_people_far(method) -> None:
    found = estimates(CameraMotion(method), [(texture(1), NOBODY), (texture(2), NOBODY)])[1]
    assert error(found, STILL) < 0.5 * SIZE[0]


@pytest.mark.parametrize("method", METHODS)
def test_a_stream_may_change_its_size(method) -> None:
    large, small = texture(), texture(3, (320, 240))
    camera = CameraMotion(method)
    shots = [large, small, np.roll(small, 3, axis=1), large, seen_through(large, motion(x=5))]
    found = estimates(camera, [(image, NOBODY) for image in shots])
    expected = [STILL, STILL, motion(x=3), STILL, motion(x=5)]
    assert max(map(error, found, expected)) < 0.5
    assert camera.failures == 0


def test_pictures_are_unchanged() -> None:
    image, camera = texture(), CameraMotion()
    estimates(camera, [(image, NOBODY)] * 2)
    assert (image == texture()).all()


def test_an_unknown_method_is_answered_with_the_nearest() -> None:
    with pytest.raises(MotError, match="did you mean 'flow'"):
        CameraMotion("flwo")


# From a file


def test_a_file_holds_the_motion_of_each_frame(tmp_path) -> None:
    """Frames count from 0 there; those that are not there are counted."""
    path = tmp_path / "gmc.txt"
    path.write_text("0\t1\t0\t0\t0\t1\t0\n2\t0.9\t0.1\t5.5\t-0.1\t0.9\t-6\t\n")
    camera = MotionFile(path)
    found = [camera(Frame(None, index, 0.0), NOBODY).tolist() for index in (1, 2, 3)]
    assert found == [STILL.tolist(), STILL.tolist(), [[0.9, 0.1, 5.5], [-0.1, 0.9, -6]]]
    assert camera.failures == 1


@pytest.mark.parametrize(
    "text",
    [
        "0 1 0 0 0 1\n",
        "0 1 0 0 0 1 0 5\n",
        "hello\n",
        "0 1 0 nan 0 1 0\n",
        "0 1 0 0 0 inf 0\n",
        "nan 1 0 0 0 1 0\n",
    ],
)
def test_a_bad_file_is_refused(tmp_path, text) -> None:
    path = tmp_path / "gmc.txt"
    path.write_text(text)
    with pytest.raises(MotError, match=r"gmc\.txt"):
        MotionFile(path)


def test_a_missing_file_is_named(tmp_path) -> None:
    with pytest.raises(MotError, match=r"none\.txt: no such file"):
        MotionFile(tmp_path / "none.txt")


def test_frames_get_their_motion(tmp_path) -> None:
    path = tmp_path / "gmc.txt"
    path.write_text("0,1,0,0,0,1,0\n1,1,0,8,0,1,9\n")
    stream = [(Frame(None, index, index / 30), NOBODY) for index in (1, 2)]
    moved = list(with_camera(stream, MotionFile(path)))
    assert [frame.motion[:, 2].tolist() for frame, _ in moved] == [[0, 0], [8, 9]]
    assert [(frame.index, frame.time) for frame, _ in moved] == [(1, 1 / 30), (2, 2 / 30)]


def test_the_file_is_followed_over_frames_that_are_left_out(tmp_path) -> None:
    """Each frame shifts by its number, and the second doubles what came before it."""
    lines = ["0 1 0 0 0 1 0", "1 2 0 1 0 2 1", "2 1 0 2 0 1 2", "3 1 0 3 0 1 3"]
    (tmp_path / "gmc.txt").write_text("\n".join(lines))
    motion = MotionFile(tmp_path / "gmc.txt")
    whole = [motion(Frame(None, index, 0.0), Detections.empty()) for index in (1, 3, 6)]
    assert whole[0].tolist() == [[1, 0, 0], [0, 1, 0]]
    assert whole[1].tolist() == [[2, 0, 3], [0, 2, 3]]
    assert whole[2].tolist() == [[1, 0, 3], [0, 1, 3]]
    assert motion.failures == 2  # frames 5 and 6


def test_a_hole_in_a_sequence_is_counted_and_bridged() -> None:
    seen = CameraMotion("flow")
    texture = np.random.default_rng(0).integers(0, 255, (60, 80, 3), np.uint8)
    picture = cv2.resize(texture, (320, 240))
    shifted = np.roll(picture, 6, axis=1)
    motions = [
        seen(Frame(image, index, 0.0), Detections.empty())
        for index, image in enumerate((picture, None, shifted), 1)
    ]
    assert seen.failures == 1
    assert motions[1].tolist() == [[1, 0, 0], [0, 1, 0]]
    assert motions[2][0, 2] == pytest.approx(6, abs=0.5)
