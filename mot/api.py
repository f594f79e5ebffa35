"""`mot.track`: one call from a source to tracks."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

from mot.pipeline import CameraMotionEstimate, Pipeline, Tracked, choose_detections
from mot.reid.embedder import Embedder
from mot.trackers import DEFAULT_TRACKER
from mot.types import Frame, Image
from mot.video.arrays import open_stream
from mot.video.sources import FrameRange
from mot.video.streams import StreamSource


def track(  # noqa: PLR0913 (one keyword for each part of the pipeline)
    source: str | Path | int | Iterable[Image],
    *,
    detector: str | Path | Callable[..., Any] | None = None,
    tracker: Any = DEFAULT_TRACKER,
    embedder: str | Path | Embedder | None = None,
    camera: str | Path | CameraMotionEstimate | None = None,
    detections: str | Path | None = None,
    classes: Sequence[str | int] | None = None,
    conf: float | None = None,
    imgsz: int | tuple[int, int] | None = None,
    device: str | None = None,
    post: Sequence[str] | str = (),
    start: float | None = None,
    end: float | None = None,
    every: int = 1,
    fps: float = 30.0,
) -> Generator[Tracked, None, None]:
    """Track the objects of a source, frame by frame.

    Args:
        source: a video, stream URL, camera number, folder or glob of images, MOTChallenge
            sequence, or any iterable of (H, W, 3) uint8 BGR arrays.
        detector: a name, a file, or any callable from an image, or a list of images, to
            `Detections`, an (N, 5) or (N, 6) array, or supervision's `Detections`.
        tracker: a name, a TOML file, a settings dataclass, or an object.
        embedder: a name, a file, an object, or "none"; None: as the tracker needs it.
        camera: camera-motion compensation: "flow", "ecc", "orb", or a file.
        detections: a MOTChallenge file, or a name in the sequence's `det` folder.
        classes: class names or numbers to keep.
        conf: minimum score of detections, 0 to 1.
        imgsz: network input size in pixels, the longer side or (width, height).
        device: "cpu", "cuda", "cuda:1" or "auto".
        post: post-processing steps, such as "merge,linear".
        start, end: seconds of the source; `end` is exclusive.
        every: take every n-th frame.
        fps: frame rate of an iterable of arrays; other sources have their own.

    Yields:
        `(frame, tracks)`: a `Frame` with `.image`, `.index` (from 1) and `.time`, and its `Tracks`.

    >>> import numpy as np
    >>> video = [np.zeros((90, 160, 3), np.uint8)] * 2
    >>> for frame, tracks in track(video, detector=lambda image: [[5, 5, 25, 60, 0.9]]):
    ...     print(frame.index, tracks.ids.tolist(), tracks.boxes.round().tolist())
    1 [1] [[5.0, 5.0, 25.0, 60.0]]
    2 [1] [[5.0, 5.0, 25.0, 60.0]]
    """
    stream = open_stream(source, FrameRange(start, end, every), fps)
    settings: dict[str, Any] = {} if device is None else {"device": device}
    if imgsz is not None:
        width, height = (imgsz, 0) if isinstance(imgsz, int) else imgsz
        settings |= {"width": width, "height": height}
    wanted = None if detections is None else str(detections)
    file = choose_detections(stream, wanted, detector)
    pipeline = Pipeline(
        detector if file is None else None,
        tracker,
        embedder,
        camera,
        post,
        detections=file,
        conf=conf,
        classes=classes,
        settings=settings,
        folder=stream.folder,
        has_images=stream.has_images,
    )
    return _run_stream(stream, pipeline)


def _run_stream(stream: StreamSource, pipeline: Pipeline) -> Generator[Tracked, None, None]:
    def reread() -> Iterator[Frame]:
        with stream.open(True) as again:
            yield from again

    with (
        stream.open(True) as source,
        closing(pipeline.run(source, reread if stream.can_be_read_again else None)) as tracked,
    ):
        yield from tracked
