"""Decoded frames, of whatever pixel format, to upright BGR images."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from mot.opencv import cv2
from mot.types import Image
from mot.video.libav import av

if TYPE_CHECKING:
    from av.video.frame import VideoFrame

Matrix = tuple[int, int, int, int]  # a, b, c, d: (x, y) is shown at (a x + c y, b x + d y)


class Converter:
    """libav's own conversion, which knows every format, color matrix and range.

    It runs as a filter graph, whose images come from a pool: measured at 1080p, decoding to BGR
    takes 3.9 ms of processor a frame, 5.3 with `VideoFrame.to_ndarray`, which allocates.
    """

    def __init__(self) -> None:
        self._kind = ""
        self._graph: Any = None
        self._matrix: Matrix | None = None

    def __call__(self, frame: VideoFrame) -> Image:
        """(H, W, 3) uint8 BGR, contiguous, upright."""
        kind = _kind(frame)
        if kind != self._kind:
            self._kind, self._graph = kind, _to_bgr24(kind)
            # Once: asking a frame for its side data ties it into a cycle that only gc frees.
            self._matrix = display_matrix(frame)
        self._graph.push(frame)
        image: Image = np.ascontiguousarray(self._graph.pull().to_ndarray())
        return upright(image, self._matrix) if self._matrix else image


def _kind(frame: VideoFrame) -> str:
    """All that the conversion depends on, as the graph's source takes it."""
    return (
        f"video_size={frame.width}x{frame.height}:pix_fmt={frame.format.name}"
        f":colorspace={int(frame.colorspace)}:range={int(frame.color_range)}"
        ":time_base=1/90000:pixel_aspect=1/1"
    )


def _to_bgr24(kind: str) -> Any:
    graph = av.filter.Graph()
    graph.threads = 1  # more would take the decoder's cores
    source = graph.add("buffer", kind)
    bgr24 = graph.add("format", "bgr24")
    source.link_to(bgr24)
    bgr24.link_to(graph.add("buffersink"))
    graph.configure()
    return graph


def display_matrix(frame: VideoFrame) -> Matrix | None:
    """The linear part of how the image is to be shown; None: as it is stored."""
    data: Any = frame.side_data.get("DISPLAYMATRIX")
    if data is None:
        return None
    a, b, _, c, d, *_ = np.frombuffer(data, np.int32).tolist()
    return (a, b, c, d)


def shown_size(frame: VideoFrame) -> tuple[int, int]:
    """Width and height, upright."""
    matrix = display_matrix(frame)
    swapped = matrix is not None and _swaps_axes(matrix)
    return (frame.height, frame.width) if swapped else (frame.width, frame.height)


def _swaps_axes(matrix: Matrix) -> bool:
    a, b, _, _ = matrix
    return abs(a) < abs(b)


def upright(image: Image, matrix: Matrix) -> Image:
    """The image turned and mirrored by quarter turns as its matrix says."""
    a, b, c, d = matrix
    swapped = _swaps_axes(matrix)
    across, down = (c, b) if swapped else (a, d)
    turned: Image = cv2.transpose(image) if swapped else image
    if across < 0 or down < 0:
        turned = cv2.flip(turned, -1 if across < 0 and down < 0 else int(across < 0))
    return turned
