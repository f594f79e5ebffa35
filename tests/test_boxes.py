"""Box arithmetic equals loops over Python numbers."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from mot import boxes

quick = settings(deadline=None, max_examples=100)
Box = tuple[float, float, float, float]
Array = npt.NDArray[np.float64]


def planes(min_size: int = 0) -> st.SearchStrategy[Array]:
    """(N, 4) xyxy in eighths of a pixel, which float32 holds exactly."""

    def to_xyxy(numbers: npt.NDArray[np.int64]) -> Array:
        corner, size = numbers[:, :2], numbers[:, 2:] % 8192 + min_size
        return np.concatenate([corner, corner + size], axis=1) / 8

    shape = st.tuples(st.integers(0, 7), st.just(4))
    # Few values, so that edges touch, boxes coincide and sizes are zero.
    number = st.one_of(st.sampled_from([0, 8, 16, 40]), st.integers(-16384, 16384))
    return arrays(np.int64, shape, elements=number).map(to_xyxy)


def area(box: Box) -> float:
    return (box[2] - box[0]) * (box[3] - box[1])


def intersection(a: Box, b: Box) -> float:
    width = min(a[2], b[2]) - max(a[0], b[0])
    height = min(a[3], b[3]) - max(a[1], b[1])
    return max(width, 0) * max(height, 0)


def union(a: Box, b: Box) -> float:
    return area(a) + area(b) - intersection(a, b)


def iou(a: Box, b: Box) -> float:
    return intersection(a, b) / union(a, b) if union(a, b) else 0.0


def containment(a: Box, b: Box) -> float:
    return intersection(a, b) / area(a) if area(a) else 0.0


OVERLAPS = [
    (boxes.intersection, intersection),
    (boxes.iou, iou),
    (boxes.containment, containment),
]


def xywh(box: Box) -> Box:
    return box[0], box[1], box[2] - box[0], box[3] - box[1]


def cxcywh(box: Box) -> Box:
    _, _, w, h = xywh(box)
    return (box[0] + box[2]) / 2, (box[1] + box[3]) / 2, w, h


def xyah(box: Box) -> Box:
    x, y, w, h = cxcywh(box)
    return x, y, (w / h if h else 0.0), h


def xysr(box: Box) -> Box:
    x, y, w, h = cxcywh(box)
    return x, y, w * h, (w / h if h else 0.0)


CONVERSIONS = [
    (boxes.xyxy_to_xywh, boxes.xywh_to_xyxy, xywh),
    (boxes.xyxy_to_cxcywh, boxes.cxcywh_to_xyxy, cxcywh),
    (boxes.xyxy_to_xyah, boxes.xyah_to_xyxy, xyah),
    (boxes.xyxy_to_xysr, boxes.xysr_to_xyxy, xysr),
]
ALL_CONVERSIONS = [function for pair in CONVERSIONS for function in pair[:2]]


def by_rows(scalar: Callable[[Box], Box], xyxy: Array) -> Array:
    return np.array([scalar(tuple(box)) for box in xyxy.tolist()]).reshape(-1, 4)


def by_pairs(scalar: Callable[[Box, Box], float], a: Array, b: Array) -> Array:
    pairs = [scalar(tuple(one), tuple(other)) for one in a.tolist() for other in b.tolist()]
    return np.array(pairs).reshape(len(a), len(b))


@pytest.mark.parametrize(("fast", "scalar"), OVERLAPS)
@given(planes(), planes())
@quick
def test_overlaps_equal_scalar_arithmetic(fast, scalar, a, b) -> None:
    result = fast(a, b)
    assert result.dtype == np.float32
    np.testing.assert_allclose(result, by_pairs(scalar, a, b), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(("fast", "scalar"), OVERLAPS)
@pytest.mark.parametrize("block", [1, 3, 10, 64])
@given(planes(), planes())
@settings(quick, max_examples=20)
def test_overlaps_do_not_depend_on_the_block_size(fast, scalar, block, a, b) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(boxes, "_BLOCK", block)
        np.testing.assert_allclose(fast(a, b), by_pairs(scalar, a, b), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(("fast", "scalar"), OVERLAPS)
@pytest.mark.parametrize("shape", [(128, 128), (129, 128), (3, 20000), (20000, 3), (16385, 1)])
def test_large_matrices_span_several_blocks(fast, scalar, shape) -> None:
    rng = np.random.default_rng(1)
    a, b = (np.cumsum(rng.integers(0, 400, (n, 2, 2)), axis=1).reshape(n, 4) for n in shape)
    result = fast(a, b)
    assert result.shape == shape
    rows, columns = (np.append(rng.integers(0, n, 40), [0, n - 1]) for n in shape)
    np.testing.assert_allclose(
        result[np.ix_(rows, columns)], by_pairs(scalar, a[rows], b[columns]), rtol=1e-5, atol=1e-5
    )


@pytest.mark.parametrize(("fast", "_scalar"), OVERLAPS)
@pytest.mark.parametrize("shape", [(0, 0), (0, 5), (5, 0), (0, 20000)])
def test_overlaps_of_no_boxes(fast, _scalar, shape) -> None:
    result = fast(*(np.zeros((count, 4), np.float32) for count in shape))
    assert result.shape == shape
    assert result.dtype == np.float32


@given(planes(), planes())
@quick
def test_iou_is_between_0_and_1_and_symmetric(a, b) -> None:
    overlaps = boxes.iou(a, b)
    assert ((overlaps >= 0) & (overlaps <= 1)).all()
    np.testing.assert_array_equal(overlaps, boxes.iou(b, a).T)


@pytest.mark.parametrize("box", [[1, 1, 1, 1], [1, 1, 5, 1], [1, 1, 1, 5]])
def test_an_empty_box_overlaps_nothing(box) -> None:
    empty, around = np.array([box], np.float32), np.array([[0, 0, 9, 9]], np.float32)
    for overlap in (boxes.intersection, boxes.iou, boxes.containment):
        assert overlap(empty, empty) == 0
        assert overlap(empty, around) == 0


@given(planes())
@quick
def test_nearer_boxes_occlude_others(xyxy) -> None:
    fractions = [
        max((containment(one, other) for other in xyxy if other[3] > one[3]), default=0.0)
        for one in xyxy
    ]
    np.testing.assert_allclose(boxes.occluded_fraction(xyxy), fractions, atol=1e-5)


def test_the_nearest_box_is_not_occluded() -> None:
    behind, before, beside = [0, 0, 10, 20], [5, 0, 15, 22], [40, 0, 50, 30]
    np.testing.assert_allclose(
        boxes.occluded_fraction(np.array([behind, before, beside], np.float32)), [0.5, 0, 0]
    )


@pytest.mark.parametrize(("to", "_back", "scalar"), CONVERSIONS)
@given(planes())
@quick
def test_conversions_equal_scalar_arithmetic(to, _back, scalar, xyxy) -> None:
    np.testing.assert_allclose(to(xyxy), by_rows(scalar, xyxy), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(("to", "back", "_scalar"), CONVERSIONS)
@given(planes(min_size=1))
@quick
def test_conversions_are_inverse(to, back, _scalar, xyxy) -> None:
    np.testing.assert_allclose(back(to(xyxy)), xyxy, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize(("to", "back", "_scalar"), CONVERSIONS)
@given(planes())
@quick
def test_empty_boxes_stay_finite_and_ordered(to, back, _scalar, xyxy) -> None:
    returned = back(to(xyxy))
    assert np.isfinite(returned).all()
    assert (returned[:, 2:] >= returned[:, :2]).all()


@pytest.mark.parametrize("convert", ALL_CONVERSIONS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_conversions_keep_type_and_shape(convert, dtype) -> None:
    for count in (0, 1, 5):
        result = convert(np.ones((count, 4), dtype))
        assert result.shape == (count, 4)
        assert result.dtype == dtype


def test_a_state_with_a_negative_area_becomes_an_empty_box() -> None:
    """SORT's Kalman filter can predict one."""
    xysr_rows = np.array([[3.0, 4, -5, 0.5], [3, 4, 5, -0.5], [3, 4, -5, -0.5], [3, 4, 0, 0]])
    np.testing.assert_array_equal(boxes.xysr_to_xyxy(xysr_rows), [[3, 4, 3, 4]] * 4)


@given(planes(), st.integers(1, 1000), st.integers(1, 1000))
@quick
def test_clip_equals_scalar_arithmetic(xyxy, width, height) -> None:
    expected = [
        [min(max(value, 0), limit) for value, limit in zip(box, (width, height) * 2, strict=True)]
        for box in xyxy.tolist()
    ]
    np.testing.assert_array_equal(
        boxes.clip(xyxy, width, height), np.array(expected).reshape(-1, 4)
    )


@given(planes())
@quick
def test_crops_are_the_pixels_inside_the_image(xyxy) -> None:
    image = np.arange(40 * 30).reshape(30, 40)
    for crop, box in zip(boxes.crop_images(image, xyxy), xyxy.tolist(), strict=True):
        left, top, right, bottom = map(round, box)  # halves to even, as NumPy rounds
        seen = [40 * y + x for y in range(30) for x in range(40) if left <= x < right]
        assert crop.ravel().tolist() == [pixel for pixel in seen if top <= pixel // 40 < bottom]


@given(planes(), st.sampled_from([0.0, 0.1, 0.5, 2.0]))
@quick
def test_buffer_equals_scalar_arithmetic(xyxy, ratio) -> None:
    def scalar(box: Box) -> Box:
        _, _, w, h = xywh(box)
        return box[0] - ratio * w, box[1] - ratio * h, box[2] + ratio * w, box[3] + ratio * h

    np.testing.assert_allclose(boxes.buffer(xyxy, ratio), by_rows(scalar, xyxy), atol=1e-9)


@given(planes())
@quick
def test_area_equals_scalar_arithmetic(xyxy) -> None:
    assert boxes.area(xyxy).tolist() == [area(tuple(box)) for box in xyxy.tolist()]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_inputs_are_not_modified(dtype) -> None:
    given_boxes = np.array([[1, 2, 30, 40], [-5, -5, 900, 900]], dtype)
    before = given_boxes.copy()
    for convert in ALL_CONVERSIONS:
        convert(given_boxes)[:] = math.pi
    for overlap, _ in OVERLAPS:
        overlap(given_boxes, given_boxes)[:] = math.pi
    boxes.clip(given_boxes, 10, 10)[:] = math.pi
    boxes.clip(given_boxes, 1e4, 1e4)[:] = math.pi
    boxes.buffer(given_boxes, 0.0)[:] = math.pi
    np.testing.assert_array_equal(given_boxes, before)
