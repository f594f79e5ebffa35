"""Box formats, overlaps and clipping of NumPy arrays.

Boxes are (N, 4) in pixels, half-open. Formats: `xyxy` corners; `xywh` left, top, width, height;
`cxcywh` center, width, height; `xyah` center, width / height, height; `xysr` center, area,
width / height. Conversions keep the floating type of their input and return one contiguous plane
per column (`result.T` is contiguous). Overlaps are computed plane by plane in float32, several
times faster than broadcasting (N, M, 2) in float64.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from mot.types import FloatArray, Image, IntArray

Boxes = npt.NDArray[np.floating[Any]]

_BLOCK = 16384  # pairs per block: temporaries of 64 KiB
_TINY = np.float32(1e-30)  # makes the IoU of two empty boxes 0, not NaN; changes no other IoU
_ROUNDING = 1e-5  # larger than the rounding error of a float32 IoU


# Corners and centers are two planes each: most steps below treat x and y, or both sizes, at once.


def xyxy_to_xywh(xyxy: Boxes) -> Boxes:
    planes = xyxy.T.copy()
    planes[2:] -= planes[:2]
    return planes.T


def xywh_to_xyxy(xywh: Boxes) -> Boxes:
    planes = xywh.T.copy()
    planes[2:] += planes[:2]
    return planes.T


def xyxy_to_cxcywh(xyxy: Boxes) -> Boxes:
    planes = xyxy.T.copy()
    planes[2:] -= planes[:2]
    planes[:2] += planes[2:] / 2
    return planes.T


def cxcywh_to_xyxy(cxcywh: Boxes) -> Boxes:
    planes = cxcywh.T.copy()
    planes[:2] -= planes[2:] / 2
    planes[2:] += planes[:2]
    return planes.T


def xyxy_to_xyah(xyxy: Boxes) -> Boxes:
    planes = xyxy_to_cxcywh(xyxy).T
    planes[2] = _ratio(planes[2], planes[3])
    return planes.T


def xyah_to_xyxy(xyah: Boxes) -> Boxes:
    planes = xyah.T.copy()
    planes[2] *= planes[3]
    return cxcywh_to_xyxy(planes.T)


def xyxy_to_xysr(xyxy: Boxes) -> Boxes:
    planes = xyxy_to_cxcywh(xyxy).T
    width, height = planes[2].copy(), planes[3].copy()
    planes[2] *= height
    planes[3] = _ratio(width, height)
    return planes.T


def xysr_to_xyxy(xysr: Boxes) -> Boxes:
    planes = xysr.T.copy()
    area, aspect = np.maximum(planes[2:], 0)
    width = np.sqrt(area * aspect, out=planes[2])
    planes[3] = _ratio(area, width)
    return cxcywh_to_xyxy(planes.T)


def area(xyxy: Boxes) -> Boxes:
    return (xyxy[:, 2] - xyxy[:, 0]) * (xyxy[:, 3] - xyxy[:, 1])


def clip(xyxy: Boxes, width: float, height: float) -> Boxes:
    """Boxes clipped to the image; a box outside of it becomes empty at the border."""
    return np.clip(xyxy, 0, np.array([width, height, width, height], xyxy.dtype))


def crop_images(image: Image, xyxy: Boxes) -> list[Image]:
    """The pixels of each box, rounded and clipped, as views of the image (empty if outside)."""
    height, width = image.shape[:2]
    corners = clip(xyxy, width, height).round().astype(np.int64).tolist()
    return [image[top:bottom, left:right] for left, top, right, bottom in corners]


def buffer(xyxy: Boxes, ratio: float) -> Boxes:
    """Boxes enlarged on each side by `ratio` of their width and height (C-BIoU)."""
    planes = xyxy.T.copy()
    margin = (planes[2:] - planes[:2]) * ratio
    planes[:2] -= margin
    planes[2:] += margin
    return planes.T


def intersection(a: Boxes, b: Boxes) -> FloatArray:
    """(N, M) intersection areas in square pixels."""
    return _blockwise(_intersection, a, b)


def iou(a: Boxes, b: Boxes) -> FloatArray:
    """(N, M) intersection over union; two empty boxes overlap by 0."""
    return _blockwise(_iou, a, b)


def height_iou(a: Boxes, b: Boxes) -> FloatArray:
    """(N, M) intersection over union of the vertical extents alone."""
    return _blockwise(_height_iou, a, b)


def containment(a: Boxes, b: Boxes) -> FloatArray:
    """(N, M) fraction of each box of `a` that lies inside each box of `b`."""
    return _blockwise(_containment, a, b)


def occluded_fraction(xyxy: Boxes) -> FloatArray:
    """(N,) largest fraction of each box that one nearer box covers.

    On flat ground, a box is nearer to the camera if its lower edge is lower in the image.
    """
    covered = containment(xyxy, xyxy)
    covered[xyxy[:, None, 3] >= xyxy[:, 3]] = 0
    fraction: FloatArray = covered.max(axis=1, initial=0)
    return fraction


def paired_iou(a: Boxes, b: Boxes) -> FloatArray:
    """(N,) IoU of each row of `a` with the same row of `b`."""
    return _paired(_iou, a, b)


def paired_diou(a: Boxes, b: Boxes) -> FloatArray:
    """(N,) distance IoU of each row of `a` with the same row of `b`."""
    return _paired(_diou, a, b)


def near_pairs(a: Boxes, b: Boxes, min_iou: float) -> tuple[IntArray, IntArray]:
    """Candidate pairs (rows of `a` in order, rows of `b`) for an IoU above `min_iou`.

    Contains every such pair and few others: the IoU of two boxes is at most that of their extents
    along either axis.
    """
    if len(a) == 0 or len(b) == 0:
        return np.zeros(0, np.int64), np.zeros(0, np.int64)
    planes, other = np.ascontiguousarray(a.T), np.ascontiguousarray(b.T)
    axis = _sparser_axis(other)
    order = np.argsort(other[axis])
    first, last = (
        np.searchsorted(other[axis][order], bound)
        for bound in _start_bounds(planes[axis::2], other[axis::2], min_iou)
    )
    counts = last - first
    positions = np.arange(counts.sum()) + np.repeat(first - (np.cumsum(counts) - counts), counts)
    starts = other[1 - axis][order][positions]
    low, high = _start_bounds(planes[1 - axis :: 2], other[1 - axis :: 2], min_iou)
    near = np.flatnonzero((np.repeat(low, counts) < starts) & (starts < np.repeat(high, counts)))
    return np.repeat(np.arange(len(a)), counts)[near], order[positions[near]]


def _sparser_axis(planes: Boxes) -> int:
    """The axis (0: x, 1: y) along which boxes are spaced farther apart, relative to their size."""
    width, height = (planes[2:] - planes[:2]).mean(axis=1)
    across, down = np.ptp(planes[:2], axis=1)
    return int(down * width > across * height)


def _start_bounds(a: Boxes, b: Boxes, min_iou: float) -> tuple[Boxes, Boxes]:
    """(N,) lowest and highest start of an extent of `b` that may overlap each extent of `a`.

    `a` and `b` are (2, N) and (2, M) starts and ends along one axis.
    """
    overlap = max(min_iou - _ROUNDING, 0.0)
    size, largest = a[1] - a[0], (b[1] - b[0]).max()
    slack = 8 * np.spacing(max(np.abs(a).max(), np.abs(b).max()))
    before = np.minimum(size * ((1 - overlap) / overlap), largest) if overlap else largest
    return a[0] - before - slack, a[0] + size * (1 - overlap) + slack


def _ratio(numerator: Boxes, denominator: Boxes) -> Boxes:
    """The quotient; 0 where the denominator is not positive."""
    zeros = np.zeros(len(numerator), numerator.dtype)
    return np.divide(numerator, denominator, out=zeros, where=denominator > 0)


# The kernels take planes: (4, n) and (4, M) arrays of left, top, right, bottom.


def _intersection(a: FloatArray, b: FloatArray) -> FloatArray:
    shared: FloatArray = np.minimum(a[2][:, None], b[2])
    shared -= np.maximum(a[0][:, None], b[0])
    np.maximum(shared, 0, out=shared)
    height = np.minimum(a[3][:, None], b[3])
    height -= np.maximum(a[1][:, None], b[1])
    np.maximum(height, 0, out=height)
    shared *= height
    return shared


def _union(a: FloatArray, b: FloatArray, shared: FloatArray) -> FloatArray:
    union: FloatArray = (_planar_area(a) + _TINY)[:, None] + _planar_area(b)
    union -= shared
    return union


def _iou(a: FloatArray, b: FloatArray) -> FloatArray:
    shared = _intersection(a, b)
    shared /= _union(a, b, shared)
    return shared


def _height_iou(a: FloatArray, b: FloatArray) -> FloatArray:
    shared: FloatArray = np.minimum(a[3][:, None], b[3])
    shared -= np.maximum(a[1][:, None], b[1])
    np.maximum(shared, 0, out=shared)
    union = (a[3] - a[1] + _TINY)[:, None] + (b[3] - b[1])
    union -= shared
    shared /= union
    return shared


def _diou(a: FloatArray, b: FloatArray) -> FloatArray:
    across = np.maximum(a[2][:, None], b[2]) - np.minimum(a[0][:, None], b[0])
    down = np.maximum(a[3][:, None], b[3]) - np.minimum(a[1][:, None], b[1])
    diagonal = _square_sum(across, down)
    across = (a[0] + a[2])[:, None] - (b[0] + b[2])  # twice the distance of the centers
    down = (a[1] + a[3])[:, None] - (b[1] + b[3])
    distance = _square_sum(across, down)
    distance /= np.maximum(4 * diagonal, _TINY)
    overlap = _iou(a, b)
    overlap -= distance
    return overlap


def _square_sum(x: FloatArray, y: FloatArray) -> FloatArray:
    x *= x
    y *= y
    x += y
    return x


def _containment(a: FloatArray, b: FloatArray) -> FloatArray:
    shared = _intersection(a, b)
    shared /= np.maximum(_planar_area(a), _TINY)[:, None]
    return shared


def _planar_area(planes: FloatArray) -> FloatArray:
    area: FloatArray = (planes[2] - planes[0]) * (planes[3] - planes[1])
    return area


def _paired(
    kernel: Callable[[FloatArray, FloatArray], FloatArray], a: Boxes, b: Boxes
) -> FloatArray:
    """Run a kernel on corresponding rows: (n, 1) results, each with its own column."""
    planes, other = np.ascontiguousarray(a.T, np.float32), np.ascontiguousarray(b.T, np.float32)
    return kernel(planes, other[:, :, None])[:, 0]


def _blockwise(
    kernel: Callable[[FloatArray, FloatArray], FloatArray], a: Boxes, b: Boxes
) -> FloatArray:
    """Run a kernel over blocks of rows, small enough for the cache and for malloc without mmap."""
    planes, other = np.ascontiguousarray(a.T, np.float32), np.ascontiguousarray(b.T, np.float32)
    count, step = len(a), max(1, _BLOCK // max(1, len(b)))
    if count <= step:
        return kernel(planes, other)
    result = np.empty((count, len(b)), np.float32)
    for start in range(0, count, step):
        rows = slice(start, start + step)
        result[rows] = kernel(planes[:, rows], other)
    return result
