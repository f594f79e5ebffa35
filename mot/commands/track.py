"""`mot track`: which streams, where the results go, the loop, the record of the run."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TextIO

from mot.commands.console import notify, progress, refuse_existing
from mot.commands.options import TrackingOptions, results_folder
from mot.commands.run_record import write_run
from mot.config import build_tracker
from mot.detectors import DEFAULT_DETECTOR
from mot.errors import MotError, as_user_error
from mot.files import atomic_writer
from mot.formats.track_text import FORMATS, Format
from mot.pipeline import Pipeline
from mot.settings import settings_of
from mot.types import Frame, Tracks
from mot.video.sources import FrameSource
from mot.video.streams import StreamSource

Sink = Callable[[Frame, Tracks], None]
STDOUT = "-"


@dataclass(frozen=True, slots=True)
class TrackOptions(TrackingOptions):
    """The flags of `mot track`, as given."""

    sources: tuple[str, ...]
    post: tuple[str, ...]
    out: str | None
    formats: tuple[str, ...]
    save_video: bool | None
    show: bool
    overwrite: bool
    quiet: bool


@dataclass(frozen=True, slots=True)
class TrackPlan:
    """One stream: how it is tracked and where its results go."""

    stream: StreamSource
    pipeline: Pipeline
    texts: dict[str, Path]  # by format
    video: Path | None

    @property
    def outputs(self) -> list[Path]:
        return [*self.texts.values(), *([self.video] if self.video else [])]


@dataclass(slots=True)
class Summary:
    """The result of one stream, for `run.json`."""

    name: str
    detections: str
    frames: int = 0
    images: int = 0
    ids: int = 0
    seconds: float = 0.0
    warnings: list[str] = field(default_factory=list)


class WindowClosed(Exception):
    """The user closed the window: the frames until then are the result."""


def run(options: TrackOptions) -> None:
    """Plan all streams and refuse what cannot be done, then track one after another."""
    tracker = build_tracker(options.tracker, **options.overrides("tracker"))
    streams = options.find_streams(options.sources)
    folder = Path(options.out).expanduser() if options.out else None
    folder = folder or results_folder("track", streams, options.sources[0])
    pipelines = [options.pipeline(stream, tracker, options.post) for stream in streams]
    both = zip(streams, pipelines, strict=True)
    plans = [_plan(stream, pipeline, folder, options) for stream, pipeline in both]
    for plan in plans:
        files = plan.pipeline.detections
        inputs = [*options.sources, *([files] if isinstance(files, str | Path) else [])]
        refuse_existing(plan.outputs, options.overwrite, inputs)
    _check_plans(plans, options)
    options.check_inputs(streams, pipelines, tracker, options.quiet)
    summaries: list[Summary] = []
    try:
        for plan in plans:
            summaries.append(_track(plan, options))
    finally:
        if summaries and options.out != STDOUT:
            settings = asdict(options) | {"tracker_settings": settings_of(tracker)}
            sources = [asdict(summary) for summary in summaries]
            path = write_run(folder, {"settings": settings, "sources": sources})
            notify(f"  {path}", options.quiet)


def _check_plans(plans: list[TrackPlan], options: TrackOptions) -> None:
    if len(plans) > 1:
        for plan in plans:
            if plan.stream.can_be_read_again:
                with plan.stream.open(_needs_images(plan, options)):  # a broken one fails now
                    continue
        if options.detections and Path(options.detections).is_file():
            raise MotError("--detections is one file for several sources: give a folder of files")
    once = [plan.stream.name for plan in plans if not plan.stream.can_be_read_again]
    if options.post and once and any(plan.video or options.show for plan in plans):
        raise MotError(f"--post draws in a second pass, and {once[0]} has none: add --no-video")


def _plan(
    stream: StreamSource, pipeline: Pipeline, folder: Path, options: TrackOptions
) -> TrackPlan:
    if options.out == STDOUT:
        return TrackPlan(stream, pipeline, {}, None)
    if options.save_video and not stream.has_images:
        raise MotError(f"{stream.name}: has no images to make a video of: leave out --save-video")
    with_video = stream.has_images if options.save_video is None else options.save_video
    texts = {name: folder / f"{stream.name}{FORMATS[name].suffix}" for name in options.formats}
    return TrackPlan(stream, pipeline, texts, folder / f"{stream.name}.mp4" if with_video else None)


def _track(plan: TrackPlan, options: TrackOptions) -> Summary:
    """Track one stream. An interruption keeps what was done, under partial names."""
    stream, pipeline = plan.stream, plan.pipeline
    detections = pipeline.detections or options.detector or DEFAULT_DETECTOR
    summary = Summary(stream.name, str(detections))
    ids: set[int] = set()
    started = time.perf_counter()
    with ExitStack() as stack:
        source = stack.enter_context(stream.open(_needs_images(plan, options)))
        shows = plan.video is not None or options.show
        again = (lambda: _reread(stream)) if shows and options.post else None
        tracked = stack.enter_context(closing(pipeline.run(source, again)))
        sinks = _sinks(stack, source, plan, options)
        advance = stack.enter_context(progress(source.name, source.expected, options.quiet))
        try:
            for frame, tracks in tracked:
                for sink in sinks:
                    sink(frame, tracks)
                ids.update(tracks.ids.tolist())
                summary.frames += 1
                summary.images += frame.image is not None
                advance(len(tracks))
        except WindowClosed:
            pass
        except KeyboardInterrupt as interrupt:
            if not source.is_live:  # the only way to end a camera, but not a file
                interrupt.add_note(f" after {summary.frames} frames of {summary.name}")
                raise
    summary.ids, summary.seconds = len(ids), round(time.perf_counter() - started, 3)
    summary.warnings = [*source.warnings, *(f"{source.name}: {w}" for w in pipeline.warnings)]
    _report(summary, plan, options)
    return summary


def _reread(stream: StreamSource) -> Iterator[Frame]:
    with stream.open(True) as again:
        yield from again


def _needs_images(plan: TrackPlan, options: TrackOptions) -> bool:
    return plan.pipeline.needs_images or plan.video is not None or options.show


def _sinks(
    stack: ExitStack, source: FrameSource, plan: TrackPlan, options: TrackOptions
) -> list[Sink]:
    """The writers of each frame and its tracks; the image is drawn on before it is shown."""
    sinks: list[Sink] = []
    for name, path in plan.texts.items():
        sinks.append(_text_sink(stack.enter_context(atomic_writer(path)), FORMATS[name]))
    if options.out == STDOUT:
        sinks.append(_print)
    if plan.video or options.show:
        sinks.append(_drawing_sink())
    if plan.video:
        sinks.append(_video_sink(stack, plan.video, source.fps))
    if options.show:
        sinks.append(_window_sink(stack, source.name))
    return sinks


def _text_sink(file: TextIO, form: Format) -> Sink:
    file.write(form.header)

    def write(frame: Frame, tracks: Tracks) -> None:
        file.write(form.lines(frame, tracks))

    return write


def _print(frame: Frame, tracks: Tracks) -> None:
    try:
        print(FORMATS["jsonl"].lines(frame, tracks), end="", flush=True)
    except BrokenPipeError:
        raise
    except OSError as error:
        raise as_user_error(error, Path("standard output")) from error


def _drawing_sink() -> Sink:
    from mot.render import Renderer

    renderer = Renderer()

    def draw(frame: Frame, tracks: Tracks) -> None:
        if frame.image is not None:
            renderer.draw(frame, tracks)

    return draw


def _video_sink(stack: ExitStack, path: Path, fps: float) -> Sink:
    from mot.video.writers import VideoWriter

    writer = stack.enter_context(VideoWriter(path, fps))

    def write(frame: Frame, tracks: Tracks) -> None:
        if frame.image is not None:
            writer.write(frame)

    return write


def _window_sink(stack: ExitStack, name: str) -> Sink:
    from mot.commands.window import Window

    window = stack.enter_context(Window(name))

    def show(frame: Frame, tracks: Tracks) -> None:
        if frame.image is not None and not window.show(frame.image):
            raise WindowClosed

    return show


def _report(summary: Summary, plan: TrackPlan, options: TrackOptions) -> None:
    rate = summary.frames / max(summary.seconds, 1e-9)
    notify(
        f"{summary.name}: {summary.ids} ids in {summary.frames} frames, "
        f"{summary.seconds:.1f} s ({rate:.0f} frames a second)",
        options.quiet,
    )
    if plan.video and not summary.images:
        summary.warnings.append(f"{summary.name}: no image was read, so no video was written")
    elif plan.video and summary.images < summary.frames:
        summary.warnings.append(
            f"{summary.name}: {summary.images} of {summary.frames} frames have images; "
            "the video holds those"
        )
    if options.save_video is None and not plan.stream.has_images:
        notify(f"  no images, so no video is written: {plan.stream.name}", options.quiet)
    for warning in summary.warnings:
        notify(f"  warning: {warning}")
    for path in plan.outputs:
        if path.exists():
            notify(f"  {path}", options.quiet)
