"""The work of `mot detect`."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

from mot import boxes
from mot.cli.detect import Options
from mot.commands.console import progress, refuse_existing, tell
from mot.commands.open_detector import OpenDetector, open_detector
from mot.detectors.coco import category_number
from mot.errors import MotError, as_user_error
from mot.files import written_beside
from mot.motfile import mot_lines
from mot.pipeline import detections_of
from mot.types import Detections, Frame
from mot.video.background import in_background
from mot.video.sources import Window
from mot.video.streams import FrameSource, StreamSource, find_streams

Sink = Callable[[Frame, Detections], None]
_SUFFIXES = {"mot": ".txt", "json": ".json", "coco": ".json"}


@dataclass(frozen=True, slots=True)
class Plan:
    job: StreamSource
    text: Path
    video: Path | None


def run(options: Options) -> None:
    jobs = find_streams(options.sources, Window(options.start, options.end, options.every))
    blind = [job.name for job in jobs if not job.has_pictures]
    if blind:
        raise MotError(f"{blind[0]}: has no pictures to look at")
    form = _format(options)
    plans = [_plan(job, form, options, alone=len(jobs) == 1) for job in jobs]
    outputs = [path for plan in plans for path in (plan.text, plan.video) if path]
    refuse_existing(outputs, options.overwrite, options.sources)
    for plan in plans:
        _detect(plan, form, open_detector(options), options)


def _format(options: Options) -> str:
    if options.form:
        return options.form
    suffix = Path(options.out or "").suffix.lower()
    return "json" if suffix == ".json" else "mot"


def _plan(job: StreamSource, form: str, options: Options, alone: bool) -> Plan:
    out = Path(options.out).expanduser() if options.out else Path("runs/detect") / job.name
    if alone and out.suffix.lower() in _SUFFIXES.values():
        return Plan(job, out, out.with_suffix(".mp4") if options.save_video else None)
    if out.suffix and not out.is_dir() and options.out:
        what = (
            "a folder for several sources" if not alone else f"a file ending in {_SUFFIXES[form]}"
        )
        raise MotError(f"--out {out}: give {what}")
    video = out / f"{job.name}.mp4" if options.save_video else None
    return Plan(job, out / f"{job.name}{_SUFFIXES[form]}", video)


def _detect(plan: Plan, form: str, opened: OpenDetector, options: Options) -> None:
    began, frames, people = time.perf_counter(), 0, 0
    with ExitStack() as stack:
        source = stack.enter_context(plan.job.open(True))
        pictures = (frame for frame in source if frame.image is not None)  # not the holes
        found_in = detections_of(pictures, opened.detect, opened.batch, opened.workers)
        detected = in_background(found_in, depth=4)
        detected = stack.enter_context(closing(detected))
        sinks = list(_sinks(stack, source, plan, form, opened.names, options))
        tick = stack.enter_context(progress(source.name, source.expected, options.quiet))
        for frame, found in detected:
            for sink in sinks:
                sink(frame, found)
            frames, people = frames + 1, people + len(found)
            tick(len(found))
    seconds = time.perf_counter() - began
    tell(
        f"{plan.job.name}: {people} detections in {frames} frames, {seconds:.1f} s "
        f"({frames / max(seconds, 1e-9):.0f} frames a second)",
        options.quiet,
    )
    for warning in source.warnings:
        tell(f"  warning: {warning}")
    for path in (plan.text, plan.video):
        if path and path.exists():
            tell(f"  {path}", options.quiet)


def _sinks(
    stack: ExitStack,
    source: FrameSource,
    plan: Plan,
    form: str,
    names: tuple[str, ...],
    options: Options,
) -> Iterator[Sink]:
    """Crops come before anything is drawn on the pictures."""
    if options.save_crops:
        yield _crop_sink(Path(options.save_crops).expanduser(), plan.job.name, options.overwrite)
    file = stack.enter_context(written_beside(plan.text))
    if form == "mot":
        yield _mot_sink(file, several=bool(options.classes))
    else:
        yield _json_sink(stack, file, _coco_rows if form == "coco" else _json_rows, names)
    if plan.video:
        yield _video_sink(stack, plan.video, source.fps, names)


def _mot_sink(file: TextIO, several: bool) -> Sink:
    """Column 8 is the class, from 1, where classes were asked for."""

    def write(frame: Frame, found: Detections) -> None:
        if not several:
            ids = [-1] * len(found)
            file.write(mot_lines(frame.index, ids, found.boxes, found.scores.tolist()))
            return
        for row in range(len(found)):
            one = found[row : row + 1]
            tail = f"{int(one.labels[0]) + 1},-1,-1"
            file.write(mot_lines(frame.index, [-1], one.boxes, one.scores.tolist(), tail))

    return write


Rows = Callable[[Frame, Detections, tuple[str, ...]], list[dict[str, object]]]


def _json_sink(stack: ExitStack, file: TextIO, rows: Rows, names: tuple[str, ...]) -> Sink:
    """A list that is written while the detector works."""
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
    """One object a frame; boxes are left, top, right, bottom."""
    people = [
        {"box": [round(side, 2) for side in box], "score": round(score, 4), "label": label}
        | ({"name": names[label]} if names else {})
        for box, score, label in zip(
            found.boxes.tolist(), found.scores.tolist(), found.labels.tolist(), strict=True
        )
    ]
    return [{"frame": frame.index, "time": round(frame.time, 6), "detections": people}]


def _coco_rows(frame: Frame, found: Detections, names: tuple[str, ...]) -> list[dict[str, object]]:
    """As COCO's `loadRes` reads them."""
    return [
        {
            "image_id": frame.index,
            "category_id": category_number(label, names),
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
    """`NAME-000123-2.jpg`: the second one of frame 123."""
    from mot.opencv import cv2

    refuse_existing(sorted(folder.glob(f"{name}-*.jpg"))[:1], overwrite)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise as_user_error(error, folder) from error

    def write(frame: Frame, found: Detections) -> None:
        assert frame.image is not None
        for number, crop in enumerate(boxes.cut_out(frame.image, found.boxes), 1):
            path = folder / f"{name}-{frame.index:06d}-{number}.jpg"
            if crop.size and not cv2.imwrite(str(path), crop):
                raise MotError(f"{path}: cannot be written: is there room?")

    return write


def _video_sink(stack: ExitStack, path: Path, fps: float, names: tuple[str, ...]) -> Sink:
    from mot.render import draw_detections
    from mot.video.writers import VideoWriter

    writer = stack.enter_context(VideoWriter(path, fps))

    def write(frame: Frame, found: Detections) -> None:
        draw_detections(frame, found, names)
        writer.write(frame)

    return write
