"""The work of `mot track`: which streams, where to, the loop, the record of it."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import ExitStack, closing
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TextIO

from mot.cli.track import CAMERA_METHODS, FollowOptions, Options
from mot.commands.console import progress, refuse_existing, tell
from mot.commands.open_detector import class_numbers, open_detector
from mot.commands.run_record import write_run
from mot.config import build_tracker
from mot.detectors import DEFAULT_DETECTOR
from mot.errors import MotError, as_user_error
from mot.files import written_beside
from mot.formats.embeddings import read_detections_with_embeddings
from mot.formats.track_text import FORMATS, Format
from mot.pipeline import (
    detections_of,
    embedder_for,
    follow,
    from_table,
    looked_at,
    min_embedding_score,
    only,
)
from mot.reid import NO_EMBEDDER
from mot.settings import settings_of
from mot.types import Detections, FloatArray, Frame, Tracker, Tracks
from mot.video.background import in_background
from mot.video.sources import Window
from mot.video.streams import FrameSource, StreamSource, detections_file, find_streams

Sink = Callable[[Frame, Tracks], None]
STDOUT = "-"


@dataclass(frozen=True, slots=True)
class Plan:
    """One stream: where its detections come from and where its results go."""

    job: StreamSource
    detections: Path | None  # None: a detector looks at the pictures
    texts: dict[str, Path]  # by format
    video: Path | None
    embedder: str | None  # that looks at the people


@dataclass(slots=True)
class Summary:
    """What became of one stream, for `run.json`."""

    name: str
    detections: str
    frames: int = 0
    pictures: int = 0
    people: int = 0  # different ones
    seconds: float = 0.0
    warnings: list[str] = field(default_factory=list)


def run(options: Options) -> None:
    """Plan everything and refuse what cannot be done, then track stream after stream."""
    tracker = build_tracker(options.tracker, **options.overrides("tracker"))
    jobs = find_streams(options.sources, Window(options.start, options.end, options.every))
    folder = _folder(jobs, options)
    plans = [_plan(job, folder, tracker, options) for job in jobs]
    for plan in plans:
        inputs: list[str | Path] = [*options.sources]
        inputs += [plan.detections] if plan.detections else []
        refuse_existing(_outputs(plan), options.overwrite, inputs)
    _check_parts(tracker, plans, options)
    summaries: list[Summary] = []
    try:
        for plan in plans:
            tracker.reset()
            summaries.append(_track(plan, tracker, options))
    finally:
        if summaries and options.out != STDOUT:
            settings = asdict(options) | {"tracker_settings": settings_of(tracker)}
            sources = [asdict(summary) for summary in summaries]
            path = write_run(folder, {"settings": settings, "sources": sources})
            tell(f"  {path}", options.quiet)


def _check_parts(tracker: Tracker, plans: list[Plan], options: Options) -> None:
    """Refuse what does not go together; say what is not used."""
    for plan in plans if len(plans) > 1 else []:
        if plan.job.can_be_read_again:
            with plan.job.open(_needs_pictures(plan, options)):  # a broken one is told at once
                continue
    if len(plans) > 1 and options.detections and Path(options.detections).is_file():
        raise MotError("--detections is one file for several sources: give a folder of files")
    check_senses(tracker, plans, options, options.quiet)
    once = [plan.job.name for plan in plans if not plan.job.can_be_read_again]
    if options.post and once and any(_shows_pictures(plan, options) for plan in plans):
        raise MotError(f"--post draws in a second pass, and {once[0]} has none: add --no-video")


def check_senses(tracker: Tracker, plans: list[Plan], options: FollowOptions, quiet: bool) -> None:
    """Refuse what people cannot look like, and a camera's motion that cannot be seen."""
    embedder = None if options.embedder == NO_EMBEDDER else options.embedder
    if options.embeddings and (len(plans) > 1 or plans[0].detections is None):
        raise MotError("--embeddings goes with one source and its --detections FILE")
    if options.embeddings and embedder:
        raise MotError("--embeddings and --embedder both say what people look like: give one")
    if (options.embeddings or embedder) and not getattr(tracker, "uses_embeddings", True):
        tell(f"{options.tracker} does not look at embeddings: they are not used", quiet)
    blind = [plan.job.name for plan in plans if not plan.job.has_pictures]
    if blind and embedder:
        raise MotError(f"--embedder: {blind[0]} has no pictures to look at")
    if blind and options.camera in CAMERA_METHODS:
        raise MotError(f"--camera {options.camera}: {blind[0]} has no pictures to see it in")


def _folder(jobs: list[StreamSource], options: Options) -> Path:
    if options.out:
        return Path(options.out).expanduser()
    if len(jobs) == 1:
        return Path("runs/track") / jobs[0].name
    first = Path(options.sources[0]).expanduser().absolute()
    return Path("runs/track") / (first.name if first.is_dir() else first.parent.name)


def _plan(job: StreamSource, folder: Path, tracker: Tracker, options: Options) -> Plan:
    detections = choose_detections(job, options)
    embedder = choose_embedder(job, detections, tracker, options)
    if options.out == STDOUT:
        return Plan(job, detections, {}, None, embedder)
    if options.save_video and not job.has_pictures:
        raise MotError(f"{job.name}: has no pictures to make a video of: leave out --save-video")
    with_video = job.has_pictures if options.save_video is None else options.save_video
    texts = {name: folder / f"{job.name}{FORMATS[name].suffix}" for name in options.formats}
    video = folder / f"{job.name}.mp4" if with_video else None
    return Plan(job, detections, texts, video, embedder)


def choose_detections(job: StreamSource, options: FollowOptions) -> Path | None:
    """The file to read them from; None: a detector looks at the pictures."""
    detections = None if options.detector else detections_file(job, options.detections)
    if detections is None and not job.has_pictures:
        raise MotError(f"{job.name}: has neither pictures nor detections: give --detections FILE")
    return detections


def choose_embedder(
    job: StreamSource, detections: Path | None, tracker: Tracker, options: FollowOptions
) -> str | None:
    if not options.embedder and (options.embeddings or not job.has_pictures):
        return None
    return embedder_for(tracker, options.embedder, detects=detections is None)


def _outputs(plan: Plan) -> list[Path]:
    return [*plan.texts.values(), *([plan.video] if plan.video else [])]


def _track(plan: Plan, tracker: Tracker, options: Options) -> Summary:
    """Track one stream. An interruption keeps what was done, under partial names."""
    summary = Summary(plan.job.name, str(plan.detections or _detector(options)))
    ids: set[int] = set()
    began = time.perf_counter()
    with ExitStack() as stack:
        source = stack.enter_context(plan.job.open(_needs_pictures(plan, options)))
        detected = observe(source, plan, tracker, options)
        mended = _mended(detected, tracker, plan, options) if options.post else None
        followed = mended or follow(detected, tracker)
        followed = stack.enter_context(closing(followed))
        sinks = _sinks(stack, source, plan, options)
        tick = stack.enter_context(progress(source.name, source.expected, options.quiet))
        try:
            for frame, tracks in followed:
                for sink in sinks:
                    sink(frame, tracks)
                ids.update(tracks.ids.tolist())
                summary.frames += 1
                summary.pictures += frame.image is not None
                tick(len(tracks))
        except Finished:
            pass
        except KeyboardInterrupt as interrupt:
            if not source.is_live:  # the one way to end a camera, but not a file
                interrupt.add_note(f" after {summary.frames} frames of {summary.name}")
                raise
    summary.people, summary.seconds = len(ids), round(time.perf_counter() - began, 3)
    summary.warnings = source.warnings
    _tell(summary, plan, options)
    return summary


def _needs_pictures(plan: Plan, options: Options) -> bool:
    return looks_at_pictures(plan, options) or _shows_pictures(plan, options)


def looks_at_pictures(plan: Plan, options: FollowOptions) -> bool:
    by_camera = options.camera in CAMERA_METHODS
    return plan.detections is None or by_camera or plan.embedder is not None


def _shows_pictures(plan: Plan, options: Options) -> bool:
    return plan.video is not None or options.show


def _mended(
    detected: Iterable[tuple[Frame, Detections]], tracker: Tracker, plan: Plan, options: Options
) -> Generator[tuple[Frame, Tracks], None, None]:
    """The tracks once all is known and mended; the pictures are then read a second time."""
    from mot.trackers.postprocess import accumulate_embeddings, collect, mend, spread

    frames: list[Frame] = []
    parts: list[tuple[int, Tracks]] = []
    looks: dict[int, FloatArray] = {}  # the sum of the embeddings of each track
    for frame, detections in detected:
        tracks = tracker.update(detections, frame)
        frames.append(replace(frame, image=None))
        parts.append((frame.index, tracks))
        if detections.embeddings is not None:
            accumulate_embeddings(looks, tracks, detections.embeddings)
    table, nobody = spread(mend(collect(parts), options.post, looks)), Tracks.empty()
    if not _shows_pictures(plan, options):
        yield from ((frame, table.get(frame.index, nobody)) for frame in frames)
        return
    with plan.job.open(True) as again:
        yield from ((frame, table.get(frame.index, nobody)) for frame in again)


def _detector(options: Options) -> str:
    return options.detector or DEFAULT_DETECTOR


def observe(
    source: FrameSource, plan: Plan, tracker: Tracker, options: FollowOptions
) -> Generator[tuple[Frame, Detections], None, None]:
    """Each frame with its detections, and with the camera's motion where that is asked for."""
    if plan.detections:
        detected = _from_file(source, plan, options)
    else:
        detected = _from_detector(source, tracker, options)
    if plan.embedder:
        least, is_chosen = min_embedding_score(tracker), options.embedder is not None
        detected = in_background(looked_at(detected, plan.embedder, least, is_chosen), depth=4)
    if options.camera is None:
        yield from detected
        return
    from mot.camera_motion import open_camera, with_camera

    estimate = open_camera(options.camera, plan.job.folder)
    yield from with_camera(detected, estimate)
    if estimate.failures:
        source.warnings.append(
            f"{source.name}: the camera's motion is not known in {estimate.failures} frames, "
            "where it is taken to stand still"
        )


def _from_detector(
    source: FrameSource, tracker: Tracker, options: FollowOptions
) -> Iterator[tuple[Frame, Detections]]:
    """A detector works in a thread of its own."""
    opened = open_detector(options, tracker)
    found = detections_of(source, opened.detect, opened.batch, opened.workers)
    yield from in_background(found, depth=4)


def _from_file(
    source: FrameSource, plan: Plan, options: FollowOptions
) -> Iterator[tuple[Frame, Detections]]:
    """Detections that do not fit are refused: for a sequence, whose length is known, at once."""
    assert plan.detections is not None
    table = read_detections_with_embeddings(plan.detections, options.embeddings)
    last_row = max(table, default=0)
    if plan.job.sequence and source.frame_count is not None:  # headers of videos only guess
        _check_fits(last_row, source.frame_count, plan)
    detect, last_frame = only(from_table(table), options.conf, class_numbers(options.classes)), 0
    for frame, detections in detections_of(source, detect):
        last_frame = frame.index
        yield frame, detections
    if not source.warnings and options.end is None:
        _check_fits(last_row, last_frame + options.every - 1, plan)


def _check_fits(last_row: int, last_frame: int, plan: Plan) -> None:
    if last_row > last_frame:
        raise MotError(
            f"{plan.detections}: has detections up to frame {last_row}, but {plan.job.name} ends "
            f"at frame {last_frame}: are they of another video?"
        )


def _sinks(stack: ExitStack, source: FrameSource, plan: Plan, options: Options) -> list[Sink]:
    """Where each frame and its tracks go; the picture is drawn on first."""
    sinks: list[Sink] = []
    for name, path in plan.texts.items():
        sinks.append(_text_sink(stack.enter_context(written_beside(path)), FORMATS[name]))
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
    from mot.commands.window import Window as Screen

    screen = stack.enter_context(Screen(name))

    def show(frame: Frame, tracks: Tracks) -> None:
        if frame.image is not None and not screen.show(frame.image):
            raise Finished

    return show


class Finished(Exception):
    """The person closed the window: what was done until then is the result."""


def _tell(summary: Summary, plan: Plan, options: Options) -> None:
    rate = summary.frames / max(summary.seconds, 1e-9)
    tell(
        f"{summary.name}: {summary.people} people in {summary.frames} frames, "
        f"{summary.seconds:.1f} s ({rate:.0f} frames a second)",
        options.quiet,
    )
    if plan.video and not summary.pictures:
        summary.warnings.append(f"{summary.name}: no picture was read, so no video was written")
    elif plan.video and summary.pictures < summary.frames:
        summary.warnings.append(
            f"{summary.name}: {summary.pictures} of {summary.frames} frames have pictures; "
            "the video holds those"
        )
    if options.save_video is None and not plan.job.has_pictures:
        tell(f"  no pictures, so no video is written: {plan.job.name}", options.quiet)
    for warning in summary.warnings:
        tell(f"  warning: {warning}")
    for path in _outputs(plan):
        if path.exists():
            tell(f"  {path}", options.quiet)
