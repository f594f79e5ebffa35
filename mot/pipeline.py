"""Frames -> detections -> embeddings -> tracks: the one place where frames become tracks."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import KW_ONLY, dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from mot.camera_motion import METHODS, open_camera, with_camera
from mot.config import as_tracker, build_detector, detector_settings, score_range
from mot.detectors import DEFAULT_DETECTOR
from mot.detectors.custom import CustomDetector
from mot.detectors.inference import class_labels, detect_in_batches, filter_detections
from mot.errors import MotError
from mot.formats.embedding_files import read_detections_with_embeddings
from mot.reid import DEFAULT_EMBEDDER, NO_EMBEDDER
from mot.reid.embedder import Embedder, attach_embeddings
from mot.reid.open import open_embedder
from mot.trackers import DEFAULT_TRACKER
from mot.trackers.postprocess import (
    STEPS,
    accumulate_embeddings,
    postprocess,
    to_frames,
    to_trajectories,
)
from mot.types import Detections, Detector, FloatArray, Frame, Image, Tracker, Tracks
from mot.video.arrays import as_frames
from mot.video.background import in_background
from mot.video.sources import FrameSource
from mot.video.streams import StreamSource, detections_file

_DEPTH = 4  # frames that each stage may be ahead of the next
_FILTERS = ("conf", "classes")  # settings that results of any detector can be filtered by

Detected = tuple[Frame, Detections]
Tracked = tuple[Frame, Tracks]
CameraMotionEstimate = Callable[[Frame, Detections], npt.NDArray[np.float64]]


class Step(NamedTuple):
    """One frame on its way through a pipeline."""

    frame: Frame
    detections: Detections
    tracks: Tracks


class Needs(NamedTuple):
    """What a pipeline runs, after its tracker's needs are known."""

    detector_settings: dict[str, Any]  # `conf` lowered, or raised, to the scores the tracker uses
    embedder: str | Embedder | None
    recompute: bool  # the embedder replaces embeddings that the detector or a file gives
    min_embedding_score: float  # detections below it get no embedding
    images: bool  # frames need their images


def resolve(
    tracker: Tracker | None,
    detector: str | None,
    detector_settings: Mapping[str, Any],
    embedder: str | Embedder | None = None,
    camera: str | None = None,
    can_embed: bool = True,
) -> Needs:
    """Decide what a tracker needs: low scores, embeddings, images.

    Args:
        tracker: None where frames are only detected in.
        detector: a name or file; None where detections are read, or a callable makes them.
        detector_settings: as given by the user; a `conf` in it is kept.
        embedder: a name, file or object; None: the built-in one if the tracker requires
            embeddings, or can use them and a detector runs; "none": no embedder.
        camera: a camera-motion method or file, or None.
        can_embed: False where frames have no images, or embeddings are read from a file.
    """
    settings, chosen = dict(detector_settings), embedder
    if detector:
        default_conf, sure_score = score_range(detector, settings)
        low = tracker.low_score_threshold if tracker else None
        conf = None
        if default_conf is not None:
            conf = sure_score if low is None else min(low, default_conf)
        settings |= {} if conf is None else {"conf": conf}
    if chosen is None and tracker and can_embed and tracker.uses_embeddings:
        chosen = DEFAULT_EMBEDDER if detector or tracker.needs_embeddings else None
    if isinstance(chosen, str) and chosen == NO_EMBEDDER:
        chosen = None
    return Needs(
        settings,
        chosen,
        embedder is not None,
        tracker.min_embedding_score if tracker else 0.0,
        detector is not None or chosen is not None or camera in METHODS,
    )


@dataclass(eq=False)
class Pipeline:
    """Detects, embeds and tracks the objects of one stream after another.

    Args:
        detector: a name, a file, or a callable (see `mot.detectors.custom.CustomDetector`);
            None: the built-in person detector, or none where `detections` are given.
        tracker: a name, a TOML file, a settings dataclass, or an object with
            `update(detections, frame) -> Tracks`; None: `detect` and `observe` alone.
        embedder: a name, a file, an object, or "none"; None: as the tracker needs it.
        camera: camera-motion compensation: "flow", "ecc", "orb", a file, or a function of a frame
            and its detections to a (2, 3) affine; None: the camera stands still.
        post: steps of post-processing, such as ("merge", "linear"), once all frames are tracked.
        detections: a MOTChallenge file or `Detections` by frame index, instead of a detector.
        embeddings: a .npy or .npz file with a row for each row of `detections`.
        conf: minimum score of detections.
        classes: class names or numbers to keep; None: people, or all that a custom detector finds.
        settings: other settings of the detector, such as {"width": 640, "device": "cuda"}.
        folder: where a camera-motion file may lie.
        has_images: False where frames come without images.

    >>> import numpy as np
    >>> def moving(image):
    ...     return [[int(image[0, 0, 0]), 20, int(image[0, 0, 0]) + 40, 120, 0.9]]
    >>> pipeline = Pipeline(detector=moving, tracker="bytetrack")
    >>> video = [np.full((200, 300, 3), 3 * n, np.uint8) for n in range(3)]
    >>> for frame, tracks in pipeline.run(video):
    ...     print(frame.index, tracks.ids.tolist())
    1 [1]
    2 [1]
    3 [1]
    """

    detector: str | Path | Callable[..., Any] | None = None
    tracker: Any = DEFAULT_TRACKER
    embedder: str | Path | Embedder | None = None
    camera: str | Path | CameraMotionEstimate | None = None
    post: Sequence[str] = ()
    _: KW_ONLY
    detections: str | Path | Mapping[int, Detections] | None = None
    embeddings: str | Path | None = None
    conf: float | None = None
    classes: Sequence[str | int] | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)
    folder: Path | None = None
    has_images: bool = True

    def __post_init__(self) -> None:
        if self.detector is not None and self.detections is not None:
            raise MotError("detector and detections both find the objects: give one of them")
        if self.embeddings is not None and self.embedder not in (None, NO_EMBEDDER):
            raise MotError("embeddings and embedder both give appearance: give one of them")
        if isinstance(self.detector, Path):
            self.detector = str(self.detector)
        if self.detector is None and self.detections is None:
            self.detector = DEFAULT_DETECTOR
        self.tracker: Tracker | None = as_tracker(self.tracker)
        self.post = _parse_post(self.post)
        self.warnings: list[str] = []  # complete when a run has ended
        self._settings, self._filters = self._split_settings()
        self.needs = resolve(
            self.tracker,
            self._detector_name,
            self._settings,
            str(self.embedder) if isinstance(self.embedder, Path) else self.embedder,
            self.camera if isinstance(self.camera, str) else None,
            self.has_images and self.embeddings is None,
        )

    @property
    def _detector_name(self) -> str | None:
        return self.detector if isinstance(self.detector, str) else None

    @property
    def needs_images(self) -> bool:
        """Whether frames need their images; without them a stream is read faster."""
        return self.needs.images or callable(self.detector) or callable(self.camera)

    def _split_settings(self) -> tuple[dict[str, Any], dict[str, Any]]:
        """The detector's settings, and the filters of results that it has no setting for."""
        values = dict(self.settings)
        values |= {key: v for key in _FILTERS if (v := getattr(self, key)) is not None}
        name = self._detector_name
        if name is not None:
            known = detector_settings(name)
            filters = {
                key: values.pop(key) for key in _FILTERS if key in values and key not in known
            }
            if "classes" in values:
                values["classes"] = tuple(map(str, values["classes"]))
            return values, filters
        strange = sorted(values.keys() - set(_FILTERS))
        if strange:
            raise MotError(f"{strange[0]} is a setting of a detector given by its name or file")
        return {}, values

    def run(
        self,
        frames: Iterable[Frame | Image],
        reread: Callable[[], Iterable[Frame]] | None = None,
    ) -> Generator[Tracked, None, None]:
        """Each frame with its tracks, as from a new stream: ids start from 1.

        Args:
            frames: an opened source, or any iterable of `Frame`s or of (H, W, 3) uint8 BGR arrays.
            reread: opens the same frames once more, for their images after post-processing;
                without it the frames of a post-processed result have no images.
        """
        yield from self.follow(self.observe(frames), reread)

    def steps(self, frames: Iterable[Frame | Image]) -> Generator[Step, None, None]:
        """Each frame with its detections and tracks, without post-processing."""
        with closing(self.observe(frames)) as observed:
            yield from self._update(observed)

    def follow(
        self,
        observed: Generator[Detected, None, None],
        reread: Callable[[], Iterable[Frame]] | None = None,
    ) -> Generator[Tracked, None, None]:
        """The tracks of frames whose detections are known, post-processed if `post` says so."""
        with closing(observed):
            steps = self._update(observed)
            if self.post:
                yield from self._post_processed(steps, reread)
            else:
                yield from ((step.frame, step.tracks) for step in steps)

    def observe(self, frames: Iterable[Frame | Image]) -> Generator[Detected, None, None]:
        """Each frame with all that the tracker gets: detections, embeddings, camera motion."""
        detected = self.detect(frames)
        if self.needs.embedder is not None:
            embedded = attach_embeddings(
                detected, self._embedder, self.needs.recompute, self.needs.min_embedding_score
            )
            detected = in_background(embedded, depth=_DEPTH)
        with closing(detected):
            if self.camera is None:
                yield from detected
            else:
                yield from self._with_camera_motion(detected)

    def detect(self, frames: Iterable[Frame | Image]) -> Generator[Detected, None, None]:
        """Each frame with its detections, from the detector or from the file of detections."""
        self.warnings.clear()
        if self.detections is not None:
            return self._look_up(frames)
        return in_background(self._run_detector(as_frames(frames)), depth=_DEPTH)

    def _run_detector(self, frames: Iterable[Frame]) -> Iterator[Detected]:
        detector, missing = self.open_detector, 0
        if detector.is_stateful:
            del self.open_detector  # the next stream gets a new one

        def detect(group: list[Frame]) -> list[Detections]:
            nonlocal missing
            images = [frame.image for frame in group if frame.image is not None]
            missing += len(group) - len(images)
            results = iter(detector(images) if images else [])
            return [
                Detections.empty() if frame.image is None else self._finished(next(results))
                for frame in group
            ]

        yield from detect_in_batches(frames, detect, detector.batch, detector.workers)
        if missing:
            self.warnings.append(f"{missing} frames without an image have no detections")

    @cached_property
    def open_detector(self) -> Detector:
        """The detector, opened when it is first needed."""
        if self._detector_name is not None:
            return build_detector(self._detector_name, **self.needs.detector_settings)
        if isinstance(self.detector, Detector):
            return self.detector
        assert callable(self.detector)
        return CustomDetector(self.detector)

    @cached_property
    def detector_names(self) -> tuple[str, ...]:
        """The detector's class names by label; empty where it has none."""
        return self.open_detector.names

    def _finished(self, detections: Detections) -> Detections:
        """Named and filtered."""
        if self.detector_names and not detections.names:
            detections = replace(detections, names=self.detector_names)
        labels = class_labels(self._filters.get("classes"), detections.names)
        return filter_detections(detections, self._filters.get("conf"), labels)

    def _look_up(self, frames: Iterable[Frame | Image]) -> Generator[Detected, None, None]:
        """Detections of a file; one that goes on beyond the last frame is of another video."""
        table = self._table
        last_row, last_frame = max(table, default=0), 0
        source = frames if isinstance(frames, FrameSource) else None
        if source and source.has_exact_length and source.frame_count is not None:
            check_fits(last_row, source.frame_count, self.detections, source.name)
        labels, nothing = class_labels(self._filters.get("classes"), ()), Detections.empty()
        for frame in as_frames(frames):
            last_frame = frame.index
            found = table.get(frame.index, nothing)
            yield frame, filter_detections(found, self._filters.get("conf"), labels)
        if source and not source.warnings and source.range.end is None:
            end = last_frame + source.range.every - 1
            check_fits(last_row, end, self.detections, source.name)

    @cached_property
    def _table(self) -> Mapping[int, Detections]:
        if isinstance(self.detections, Mapping):
            return self.detections
        assert self.detections is not None
        return read_detections_with_embeddings(self.detections, self.embeddings)

    @cached_property
    def _embedder(self) -> Embedder:
        chosen = self.needs.embedder
        assert chosen is not None
        return open_embedder(chosen) if isinstance(chosen, str) else chosen

    def _with_camera_motion(self, detected: Iterable[Detected]) -> Iterator[Detected]:
        if callable(self.camera):
            for frame, detections in detected:
                yield replace(frame, motion=self.camera(frame, detections)), detections
            return
        estimate = open_camera(str(self.camera), self.folder)
        yield from with_camera(detected, estimate)
        if estimate.failures:
            self.warnings.append(
                f"camera motion is unknown in {estimate.failures} frames, where a still camera is "
                "assumed"
            )

    def _update(self, observed: Iterable[Detected]) -> Iterator[Step]:
        if self.tracker is None:
            raise MotError("this pipeline has no tracker: give tracker=NAME")
        self.tracker.reset()
        for frame, detections in observed:
            tracks = self.tracker.update(detections, frame)
            if detections.names:
                tracks = replace(tracks, names=detections.names)
            yield Step(frame, detections, tracks)

    def _post_processed(
        self, steps: Iterable[Step], reread: Callable[[], Iterable[Frame]] | None
    ) -> Iterator[Tracked]:
        frames: list[Frame] = []
        parts: list[tuple[int, Tracks]] = []
        sums: dict[int, FloatArray] = {}  # of the embeddings of each track
        for frame, detections, tracks in steps:
            frames.append(replace(frame, image=None))
            parts.append((frame.index, tracks))
            if detections.embeddings is not None:
                accumulate_embeddings(sums, tracks, detections.embeddings)
        table, nothing = (
            to_frames(postprocess(to_trajectories(parts), self.post, sums)),
            Tracks.empty(),
        )
        for frame in reread() if reread else frames:
            yield frame, table.get(frame.index, nothing)


def _parse_post(steps: Sequence[str] | str) -> tuple[str, ...]:
    """Post-processing steps, from a sequence or from text with commas."""
    names = tuple(name.strip() for name in steps.split(",")) if isinstance(steps, str) else steps
    unknown = next((name for name in names if name not in STEPS), None)
    if unknown is not None:
        raise MotError(f"post: unknown step {unknown!r}: known: {', '.join(STEPS)}")
    return tuple(names)


def check_fits(last_row: int, last_frame: int, detections: object, name: str) -> None:
    """Refuse detections that go on beyond the last frame: they belong to another video."""
    if last_row > last_frame:
        source = "the detections" if isinstance(detections, Mapping) else detections
        raise MotError(
            f"{source}: has detections up to frame {last_row}, but {name} ends "
            f"at frame {last_frame}: are they of another video?"
        )


def choose_detections(
    stream: StreamSource, detections: str | None, detector: object | None
) -> Path | None:
    """The file of detections to track from; None: a detector runs on the images."""
    path = None if detector is not None else detections_file(stream, detections)
    if path is None and not stream.has_images:
        raise MotError(f"{stream.name}: has neither images nor detections: give --detections FILE")
    return path
