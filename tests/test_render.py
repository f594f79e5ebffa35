"""The Renderer draws boxes, ids and trails on the frame's own image."""

from __future__ import annotations

import itertools
import pickle

import numpy as np
import numpy.typing as npt
import pytest

from mot.render import Pen, Renderer, RenderSettings, color_of
from mot.types import Frame, Image, Tracks

SIZES = [(320, 240), (3840, 2160)]
GREY = 90
PLAIN = RenderSettings(trail=0, labels=False)


def canvas(width: int, height: int) -> Image:
    return np.full((height, width, 3), GREY, np.uint8)


def tracks(boxes: npt.ArrayLike, *, ids: list[int] | None = None, row: int = 0) -> Tracks:
    array = np.asarray(boxes, np.float32).reshape(-1, 4)
    count = len(array)
    numbers = np.arange(1, count + 1) if ids is None else np.array(ids)
    zeros = np.zeros(count, np.int64)
    return Tracks(numbers, array, np.ones(count, np.float32), zeros, zeros + row)


def draw(image: Image, found: Tracks, settings: RenderSettings = PLAIN, time: float = 0) -> Image:
    return Renderer(settings).draw(Frame(image, 1, time), found)


def changed(image: Image) -> npt.NDArray[np.bool_]:
    return (image != GREY).any(axis=2)


def border_boxes(width: int, height: int) -> list[list[int]]:
    """At, over and beyond every border and corner."""
    across = [-200, -20, 0, width // 2, width - 40, width - 10, width, width + 500]
    down = [-300, -40, 0, height // 2, height - 80, height - 10, height, height + 500]
    return [[x, y, x + 40, y + 80] for x in across for y in down]


def test_colors_are_stable_and_distinct() -> None:
    colors = [color_of(number) for number in range(1, 51)]
    assert colors == [color_of(number) for number in range(1, 51)]
    assert len(set(colors)) == 50
    assert all(0 <= part <= 255 and isinstance(part, int) for c in colors for part in c)


def test_successive_ids_have_clearly_different_colors() -> None:
    for one, other in itertools.pairwise(color_of(number) for number in range(1, 200)):
        assert np.abs(np.subtract(one, other)).max() >= 60


@pytest.mark.parametrize("size", SIZES)
def test_the_frame_image_is_drawn_on_in_place(size) -> None:
    image = canvas(*size)
    assert draw(image, tracks([[50, 60, 150, 200]])) is image
    assert image[60, 50].tolist() == list(color_of(1))
    assert image[199, 149].tolist() == list(color_of(1))
    assert image[130, 100].tolist() == [GREY] * 3
    rows, columns = np.nonzero(changed(image))
    assert (rows.min(), columns.min(), rows.max(), columns.max()) == pytest.approx(
        (60, 50, 199, 149), abs=Pen.for_image(image).stroke / 2
    )


def test_a_predicted_box_is_drawn_thinner() -> None:
    detected, predicted = (
        changed(draw(canvas(1920, 1080), tracks([[500, 300, 700, 800]], row=row))).sum()
        for row in (0, -1)
    )
    assert 0 < predicted < detected


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("text", ["1", "123456"])
def test_labels_stay_complete_inside_the_image(size, text) -> None:
    width, height = size
    middle = [width // 2, height // 2, width // 2 + 40, height // 2 + 80]
    image = canvas(*size)
    pen = Pen.for_image(image)
    pen.label(image, text, middle, (0, 255, 0))
    complete = int(changed(image).sum())
    assert complete > 60
    for box in border_boxes(*size)[:: 1 if width < 1000 else 7]:
        image[:] = GREY
        pen.label(image, text, box, (0, 255, 0))
        assert changed(image).sum() == complete, box


def test_a_label_is_above_its_box() -> None:
    image = canvas(320, 240)
    Pen.for_image(image).label(image, "7", [100, 100, 140, 180], (0, 255, 0))
    rows, columns = np.nonzero(changed(image))
    assert rows.max() < 100
    assert columns.min() == 100


def test_label_text_contrasts_with_its_background() -> None:
    light = np.array([0.114, 0.587, 0.299])
    for number in range(1, 51):
        image, color = canvas(320, 240), color_of(number)
        Pen.for_image(image).label(image, "88", [100, 100, 140, 180], color)
        label = image[changed(image)]
        assert np.abs(label @ light - np.dot(color, light)).max() > 100, number


@pytest.mark.parametrize("size", [*SIZES, (64, 2000), (1, 1), (8, 6)])
def test_boxes_anywhere_are_drawn_without_error(size) -> None:
    boxes = [*border_boxes(*size), [0, 0, *size], [5, 5, 5, 5], [-1e6, -1e6, 1e6, 1e6]]
    image = canvas(*size)
    draw(image, tracks(boxes), RenderSettings())
    assert changed(image).any()


@pytest.mark.parametrize("far", [4e4, 1e6, 4e8])
@pytest.mark.parametrize("trail", [0, 2])
def test_boxes_far_away_are_drawn_without_error(far, trail) -> None:
    boxes = [[far, far, far * 2, far * 2], [-far, -far, far, far], [-far, 10, 20, far]]
    near = [50, 60, 90, 140]
    image = draw(canvas(320, 240), tracks([*boxes, near]), RenderSettings(trail=trail))
    assert image[100, 50].tolist() == list(color_of(4))


@pytest.mark.parametrize("settings", [RenderSettings(), PLAIN])
def test_no_tracks_leave_the_image_unchanged(settings) -> None:
    assert not changed(draw(canvas(320, 240), Tracks.empty(), settings)).any()


def test_a_frame_without_an_image_is_rejected() -> None:
    with pytest.raises(ValueError, match="frame 9 has no image"):
        Renderer().draw(Frame(None, 9, 0.3), Tracks.empty())


def test_tracks_are_not_modified() -> None:
    found = tracks([[1.4, 2.6, 30, 40]])
    draw(canvas(320, 240), found, RenderSettings())
    assert found.boxes.tolist() == tracks([[1.4, 2.6, 30, 40]]).boxes.tolist()


def test_a_trail_follows_the_foot_point_and_expires() -> None:
    renderer = Renderer(RenderSettings(trail=1.0, labels=False))
    for index in range(10):
        box = [20 + 20 * index, 50, 40 + 20 * index, 100]
        renderer.draw(Frame(canvas(320, 240), index + 1, index / 10), tracks([box]))
    marks = {
        time: changed(renderer.draw(Frame(canvas(320, 240), 11, time), Tracks.empty()))
        for time in (1.0, 1.5, 2.5)
    }
    assert marks[1.0][98:103, 60:200].any(axis=0).all()
    assert 0 < marks[1.5].sum() < marks[1.0].sum()
    assert not marks[2.5].any()


def test_memory_is_constant_over_a_long_stream() -> None:
    """A new id in every frame, with trails of one second."""
    renderer, image = Renderer(RenderSettings(trail=1.0)), canvas(64, 48)
    sizes = []
    for index in range(600):
        found = tracks([[5, 5, 25, 45]], ids=[index + 1])
        renderer.draw(Frame(image, index + 1, index / 10), found)
        sizes.append(len(pickle.dumps(renderer)))
    assert max(sizes) < max(sizes[:100]) * 1.5


def test_two_renderers_share_no_trails() -> None:
    one, other = Renderer(), Renderer()
    one.draw(Frame(canvas(320, 240), 1, 0.0), tracks([[0, 0, 50, 50]]))
    image = canvas(320, 240)
    other.draw(Frame(image, 2, 0.1), Tracks.empty())
    assert not changed(image).any()


def test_without_trails_only_current_tracks_are_drawn() -> None:
    renderer = Renderer(PLAIN)
    renderer.draw(Frame(canvas(320, 240), 1, 0.0), tracks([[0, 0, 50, 50]]))
    image = canvas(320, 240)
    renderer.draw(Frame(image, 2, 0.1), Tracks.empty())
    assert not changed(image).any()
