"""The options that several verbs share, and the pipeline that they describe."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from mot.camera_motion import METHODS
from mot.commands.console import notify
from mot.config import detector_settings
from mot.detectors import DEFAULT_DETECTOR, DETECTORS
from mot.errors import MotError
from mot.pipeline import Pipeline, choose_detections
from mot.reid import NO_EMBEDDER
from mot.settings import parse_overrides
from mot.types import Tracker
from mot.video.sources import FrameRange
from mot.video.streams import StreamSource, find_streams

# Settings of network detectors, and the flags that give them.
_NETWORK_FLAGS = {
    "weights": "--weights",
    "partial": "--partial",
    "width": "--imgsz",
    "height": "--imgsz",
    "nms_iou": "--iou",
    "batch": "--batch",
    "device": "--device",
    "half": "--half",
    "max_det": "--max-det",
}


@dataclass(frozen=True, slots=True)
class DetectorOptions:
    """The flags of every verb that runs a detector, as given."""

    groups: ClassVar[tuple[str, ...]] = ("detector",)  # that --set accepts

    detector: str | None
    weights: str | None
    partial: bool
    imgsz: tuple[int, int] | None  # the second is 0 where only one was given
    conf: float | None
    iou: float | None
    classes: tuple[str, ...] | None
    batch: int | None
    device: str | None
    half: bool
    max_det: int | None
    tiles: str | None
    settings: tuple[str, ...]  # GROUP.KEY=VALUE

    def overrides(self, group: str) -> dict[str, Any]:
        """The values that --set gives for a group."""
        return parse_overrides(self.settings, self.groups)[group]

    def detector_settings(self) -> dict[str, Any]:
        """The given flags as settings of a detector; a flag wins over --set."""
        width, height = self.imgsz or (None, None)
        flags = {
            "weights": self.weights,
            "partial": self.partial or None,
            "width": width,
            "height": height,
            "conf": self.conf,
            "nms_iou": self.iou,
            "classes": self.classes,
            "batch": self.batch,
            "device": self.device,
            "half": self.half or None,
            "max_det": self.max_det,
            "tiles": self.tiles,
        }
        given = {key: value for key, value in flags.items() if value is not None}
        return {**self.overrides("detector"), **given}

    def check_detector_flags(self) -> None:
        """Refuse flags of networks for a detector that is none."""
        name = self.detector or DEFAULT_DETECTOR
        if name not in DETECTORS:
            return
        unknown = self.detector_settings().keys() - detector_settings(name)
        unknown -= self.overrides("detector").keys()
        for key in (key for key in _NETWORK_FLAGS if key in unknown):
            raise MotError(f"{_NETWORK_FLAGS[key]}: {name} is not a network: leave it out")

    def detection_pipeline(self) -> Pipeline:
        """A pipeline that detects, without a tracker."""
        self.check_detector_flags()
        return Pipeline(self.detector, tracker=None, settings=self.detector_settings())


@dataclass(frozen=True, slots=True)
class TrackingOptions(DetectorOptions):
    """The flags that decide which tracks come out, as given."""

    groups: ClassVar[tuple[str, ...]] = ("tracker", "detector")

    detections: str | None
    embeddings: str | None
    embedder: str | None
    camera: str | None
    tracker: str
    start: float | None
    end: float | None
    every: int

    def find_streams(self, sources: tuple[str, ...]) -> list[StreamSource]:
        return find_streams(sources, FrameRange(self.start, self.end, self.every))

    def pipeline(
        self, stream: StreamSource, tracker: Tracker, post: tuple[str, ...] = ()
    ) -> Pipeline:
        """The pipeline of one stream; nothing is opened before it runs."""
        detections = choose_detections(stream, self.detections, self.detector)
        settings = self.detector_settings()
        if detections is None:
            self.check_detector_flags()
        else:  # of a file; flags of networks have no meaning there
            settings = {key: settings[key] for key in ("conf", "classes") if key in settings}
        return Pipeline(
            self.detector if detections is None else None,
            tracker,
            self.embedder,
            self.camera,
            post,
            detections=detections,
            embeddings=self.embeddings,
            settings=settings,
            folder=stream.folder,
            has_images=stream.has_images,
        )

    def check_inputs(
        self,
        streams: Sequence[StreamSource],
        pipelines: Sequence[Pipeline],
        tracker: Tracker,
        quiet: bool,
    ) -> None:
        """Refuse combinations that cannot work; say which inputs are not used."""
        embedder = None if self.embedder == NO_EMBEDDER else self.embedder
        if self.embeddings and (len(streams) > 1 or pipelines[0].detections is None):
            raise MotError("--embeddings goes with one source and its --detections FILE")
        if (self.embeddings or embedder) and not tracker.uses_embeddings:
            notify(f"{self.tracker} does not use embeddings: they are ignored", quiet)
        without = next((stream.name for stream in streams if not stream.has_images), None)
        if without and embedder:
            raise MotError(f"--embedder: {without} has no images to crop")
        if without and self.camera in METHODS:
            raise MotError(f"--camera {self.camera}: {without} has no images")


def results_folder(verb: str, streams: Sequence[StreamSource], first_source: str) -> Path:
    """`runs/VERB/NAME`, named after the only stream or after the folder that holds several."""
    if len(streams) == 1:
        return Path("runs") / verb / streams[0].name
    path = Path(first_source).expanduser().absolute()
    return Path("runs") / verb / (path.name if path.is_dir() else path.parent.name)
