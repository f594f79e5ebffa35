"""`mot detect`: detections of each frame as text, JSON, COCO results, crops and video."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

from mot import boxes
from mot.commands.console import notify, progress, refuse_existing
from mot.commands.options import DetectorOptions
from mot.detectors.coco import coco_category_id
from mot.errors import MotError, as_user_error
from mot.files import atomic_writer
from mot.motfile import format_mot_rows
from mot.pipeline import Pipeline
from mot.types import Detections, Frame
from mot.video.sources import FrameRange, FrameSource
from mot.video.streams import StreamSource, find_streams

Sink = Callable[[Frame, Detections], None]
_SUFFIXES = {"mot": ".txt", "json": ".json", "coco": ".json"}


@dataclass(frozen=True, slots=True)
class DetectOptions(DetectorOptions):
    """The flags of `mot detect`, as given."""

    sources: tuple[str, ...]
    out: str | None
    format_name: str | None
    save_video: bool
    save_crops: str | None
    start: float | None
    end: float | None
    every: int
    overwrite: bool
    quiet: bool

    @property
    def chosen_format(self) -> str:
        if self.format_name:
            return self.format_name
        return "json" if Path(self.out or "").suffix.lower() == ".json" else "mot"


@dataclass(frozen=True, slots=True)
class DetectPlan:
    """One stream and its outputs."""

    stream: StreamSource
    text: Path
    video: Path | None


def run(options: DetectOptions) -> None:
    frame_range = FrameRange(options.start, options.end, options.every)
    streams = find_streams(options.sources, frame_range)
    without = next((stream.name for stream in streams if not stream.has_images), None)
    if without:
        raise MotError(f"{without}: has no images to detect in")
    plans = [_plan(stream, options, is_only=len(streams) == 1) for stream in streams]
    outputs = [path for plan in plans for path in (plan.text, plan.video) if path]
    refuse_existing(outputs, options.overwrite, options.sources)
    for plan in plans:
        _detect(plan, options.detection_pipeline(), options)


def _plan(stream: StreamSource, options: DetectOptions, is_only: bool) -> DetectPlan:
    suffix = _SUFFIXES[options.chosen_format]
    out = Path(options.out).expanduser() if options.out else Path("runs/detect") / stream.name
    if is_only and out.suffix.lower() in _SUFFIXES.values():
        return DetectPlan(stream, out, out.with_suffix(".mp4") if options.save_video else None)
    if out.suffix and not out.is_dir() and options.out:
        needed = f"a file ending in {suffix}" if is_only else "a folder for several sources"
        raise MotError(f"--out {out}: give {needed}")
    video = out / f"{stream.name}.mp4" if options.save_video else None
    return DetectPlan(stream, out / f"{stream.name}{suffix}", video)


def _detect(plan: DetectPlan, pipeline: Pipeline, options: DetectOptions) -> None:
    started, frames, count = time.perf_counter(), 0, 0
    with ExitStack() as stack:
        source = stack.enter_context(plan.stream.open(True))
        with_images = (frame for frame in source if frame.image is not None)
        detected = stack.enter_context(closing(pipeline.detect(with_images)))
        sinks = list(_sinks(stack, source, plan, pipeline.detector_names, options))
        advance = stack.enter_context(progress(source.name, source.expected, options.quiet))
        for frame, found in detected:
            for sink in sinks:
                sink(frame, found)
            frames, count = frames + 1, count + len(found)
            advance(len(found))
    seconds = time.perf_counter() - started
    notify(
        f"{plan.stream.name}: {count} detections in {frames} frames, {seconds:.1f} s "
        f"({frames / max(seconds, 1e-9):.0f} frames a second)",
        options.quiet,
    )
    for warning in source.warnings:
        notify(f"  warning: {warning}")
    for path in (plan.text, plan.video):
        if path and path.exists():
            notify(f"  {path}", options.quiet)


def _sinks(
    stack: ExitStack,
    source: FrameSource,
    plan: DetectPlan,
    names: tuple[str, ...],
    options: DetectOptions,
) -> Iterator[Sink]:
    """The writers of each frame; crops come before anything is drawn on the images."""
    if options.save_crops:
        folder = Path(options.save_crops).expanduser()
        yield _crop_sink(folder, plan.stream.name, options.overwrite)
    file = stack.enter_context(atomic_writer(plan.text))
    if options.chosen_format == "mot":
        yield _mot_sink(file, with_classes=bool(options.classes))
    else:
        rows = _coco_rows if options.chosen_format == "coco" else _json_rows
        yield _json_sink(stack, file, rows, names)
    if plan.video:
        yield _video_sink(stack, plan.video, source.fps, names)


def _mot_sink(file: TextIO, with_classes: bool) -> Sink:
    """MOT rows; column 8 is the class, from 1, if classes were chosen."""

    def write(frame: Frame, found: Detections) -> None:
        if not with_classes:
            ids = [-1] * len(found)
            file.write(format_mot_rows(frame.index, ids, found.boxes, found.scores.tolist()))
            return
        for row in range(len(found)):
            one = found[row : row + 1]
            tail = f"{int(one.labels[0]) + 1},-1,-1"
            file.write(format_mot_rows(frame.index, [-1], one.boxes, one.scores.tolist(), tail))

    return write


Rows = Callable[[Frame, Detections, tuple[str, ...]], list[dict[str, object]]]


def _json_sink(stack: ExitStack, file: TextIO, rows: Rows, names: tuple[str, ...]) -> Sink:
    """A JSON list that grows with each frame."""
    started = False
    file.write("[")

    def write(frame: Frame, found: Detections) -> None:
        nonlocal started
        for row in rows(frame, found, names):
            file.write((",\n" if started else "\n") + json.dumps(row))
            started = True

    stack.callback(lambda: file.write("\n]\n"))
    return write


def _json_rows(frame: Frame, found: Detections, names: tuple[str, ...]) -> list[dict[str, object]]:
    """One object per frame; boxes are left, top, right, bottom."""
    detections = [
        {"box": [round(side, 2) for side in box], "score": round(score, 4), "label": label}
        | ({"name": names[label]} if names else {})
        for box, score, label in zip(
            found.boxes.tolist(), found.scores.tolist(), found.labels.tolist(), strict=True
        )
    ]
    return [{"frame": frame.index, "time": round(frame.time, 6), "detections": detections}]


def _coco_rows(frame: Frame, found: Detections, names: tuple[str, ...]) -> list[dict[str, object]]:
    """Rows that COCO's `loadRes` reads."""
    return [
        {
            "image_id": frame.index,
            "category_id": coco_category_id(label, names),
            "bbox": [round(side, 2) for side in box],
            "score": round(score, 5),
        }
        for box, score, label in zip(
            boxes.xyxy_to_xywh(found.boxes).tolist(),
            found.scores.tolist(),
            found.labels.tolist(),
            strict=True,
        )
    ]


def _crop_sink(folder: Path, name: str, overwrite: bool) -> Sink:
    """Crops named like `NAME-000123-2.jpg`: the second detection of frame 123."""
    from mot.opencv import cv2

    refuse_existing(sorted(folder.glob(f"{name}-*.jpg"))[:1], overwrite)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise as_user_error(error, folder) from error

    def write(frame: Frame, found: Detections) -> None:
        assert frame.image is not None
        for number, crop in enumerate(boxes.crop_images(frame.image, found.boxes), 1):
            path = folder / f"{name}-{frame.index:06d}-{number}.jpg"
            if crop.size and not cv2.imwrite(str(path), crop):
                raise MotError(f"{path}: cannot be written: is the disk full?")

    return write


def _video_sink(stack: ExitStack, path: Path, fps: float, names: tuple[str, ...]) -> Sink:
    from mot.render import draw_detections
    from mot.video.writers import VideoWriter

    writer = stack.enter_context(VideoWriter(path, fps))

    def write(frame: Frame, found: Detections) -> None:
        draw_detections(frame, found, names)
        writer.write(frame)

    return write
