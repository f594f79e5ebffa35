"""`mot convert`: tracks between formats, and datasets of images to COCO."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path

from mot.commands.console import notify, refuse_existing
from mot.datasets.config import COCO_DETECTION
from mot.datasets.load import DataSettings, detect_format, load_dataset
from mot.datasets.voc import is_annotation_file
from mot.datasets.write_coco import common_folder, format_coco
from mot.errors import MotError
from mot.files import atomic_writer
from mot.formats import FORMATS, VideoTracks, format_of, mot_text, read_videos, write_videos
from mot.motfile import find_sequences, is_sequence
from mot.settings import build_settings

_INVALID_IN_NAMES = re.compile(r"[^\w.+-]+")
_SINGLE_VIDEO_FORMATS = ("mot", "cvat")  # that a folder of files is searched for


@dataclass(frozen=True, slots=True)
class ConvertOptions:
    """The flags of `mot convert`, as given."""

    source: Path
    out: Path
    to: str | None
    source_format: str | None
    images: Path | None
    overwrite: bool
    quiet: bool


def run(options: ConvertOptions) -> None:
    target_format = options.to or format_of(options.out)
    if _is_dataset(options, target_format):
        _convert_dataset(options, target_format)
    else:
        _convert_tracks(options, target_format)


def _is_dataset(options: ConvertOptions, target_format: str) -> bool:
    """Whether SOURCE is a dataset of images, not tracks: by --from, --to, --images, or content."""
    source, name = options.source, options.source_format
    if target_format == COCO_DETECTION:
        return True
    if options.images and name in FORMATS:
        raise MotError(f"--images goes with a dataset of images, --from {name} with tracks")
    if name or options.images:
        return name not in FORMATS
    if not source.is_dir():
        return source.suffix.lower() == ".odgt"
    files = [] if _has_sequences(source) else _find_files(source, None)
    if files:
        return is_annotation_file(files[0])
    return detect_format(source) not in ("", "mot")


def _convert_dataset(options: ConvertOptions, target_format: str) -> None:
    if target_format not in ("coco", COCO_DETECTION):
        raise MotError(
            f"--to {target_format} is for tracks: a dataset of images becomes COCO: --to coco"
        )
    source, out = options.source, options.out.expanduser()
    if not out.suffix or out.is_dir():
        out = out / f"{source.absolute().stem}.json"
    refuse_existing([out], options.overwrite, [source])
    source_format = options.source_format or ""
    values = {
        "annotations": str(source),
        "images": str(options.images or ""),
        "format": "coco" if source_format == COCO_DETECTION else source_format,
    }
    settings = build_settings(DataSettings, values, "mot convert")
    data, problems = load_dataset(settings, read_sizes=True)
    for line in problems.lines():
        notify(f"warning: {line}")
    folder = options.images.expanduser() if options.images else common_folder(data)
    with atomic_writer(out) as file:
        file.writelines(format_coco(data, folder))
    ignored = int(data.annotations.ignored.sum())
    objects = len(data.annotations) - ignored
    counts = f"{len(data)} images in {folder}, {objects} boxes, {ignored} ignored"
    notify(f"{out}: {counts}", options.quiet)


@dataclass(frozen=True, slots=True)
class _TrackSource:
    """The videos of SOURCE, and the files that they were read from."""

    name: str
    videos: list[VideoTracks]
    files: list[Path]
    warnings: list[str] = field(default_factory=list)


def _convert_tracks(options: ConvertOptions, target_format: str) -> None:
    source = _read_tracks(options.source.expanduser(), options.source_format)
    outputs = _plan_outputs(options.out.expanduser(), target_format, source)
    refuse_existing(outputs, options.overwrite, source.files)
    for warning in source.warnings:
        notify(f"warning: {warning}")
    for path, videos in outputs.items():
        write_videos(path, videos, target_format)
        notify(f"{path}: {_summarize(videos)}", options.quiet)


def _read_tracks(source: Path, name: str | None) -> _TrackSource:
    if not source.is_dir():
        return _TrackSource(source.stem, read_videos(source, name), [source])
    stem = Path(os.path.abspath(source)).name
    files = [] if _has_sequences(source) else _find_files(source, name)
    if files:
        videos = [video for file in files for video in read_videos(file, name)]
        return _TrackSource(stem, videos, files)
    if name not in (None, "mot"):
        raise MotError(f"{source}: no {FORMATS[name].suffix} file in it for --from {name}")
    return _read_sequences(source, stem)


def _has_sequences(folder: Path) -> bool:
    return any(map(is_sequence, chain([folder], folder.glob("*"), folder.glob("*/*"))))


def _find_files(folder: Path, name: str | None) -> list[Path]:
    """The files of the format, by default of the first format that has any."""
    for each in [name] if name else _SINGLE_VIDEO_FORMATS:
        suffix = FORMATS[each].suffix
        files = sorted(path for path in folder.iterdir() if path.suffix.lower() == suffix)
        if files:
            return files
    return []


def _read_sequences(source: Path, stem: str) -> _TrackSource:
    sequences = find_sequences(source)
    files = [each.ground_truth for each in sequences if each.ground_truth]
    if not files:
        raise MotError(f"{source}: no gt/gt.txt: nothing to convert: name a file")
    videos = [mot_text.read_ground_truth(each) for each in sequences if each.ground_truth]
    warnings = [
        f"{each.folder}: has no gt/gt.txt: left out" for each in sequences if not each.ground_truth
    ]
    return _TrackSource(stem, videos, files, warnings)


def _plan_outputs(
    out: Path, target_format: str, source: _TrackSource
) -> Mapping[Path, list[VideoTracks]]:
    """The videos of each file to write. OUT is a folder if it has no suffix, or if it is one."""
    suffix, holds_many = FORMATS[target_format].suffix, FORMATS[target_format].holds_many
    is_file = bool(out.suffix) and not out.is_dir()
    if is_file and (holds_many or len(source.videos) == 1):
        return {out: source.videos}
    if is_file and out.suffix.lower() == suffix:
        raise MotError(
            f"{out}: holds one video, not the {len(source.videos)} of {source.name}: "
            f"name a folder, with --to {target_format}"
        )
    if holds_many:
        return {out / f"{source.name}{suffix}": source.videos}
    outputs: dict[Path, list[VideoTracks]] = {}
    for video in source.videos:
        path = out / f"{file_stem(video.name)}{suffix}"
        if path in outputs:
            raise MotError(f"two videos would be written to {path}: give them other names")
        outputs[path] = [video]
    return outputs


def file_stem(name: str) -> str:
    """A video's name as a file name without suffix, whatever characters it has."""
    return _INVALID_IN_NAMES.sub("_", name).strip("._") or "video"


def _summarize(videos: Sequence[VideoTracks]) -> str:
    tracks = sum(video.num_tracks for video in videos)
    boxes = sum(len(video.rows) for video in videos)
    return ", ".join(
        f"{count} {singular if count == 1 else plural}"
        for count, singular, plural in (
            (len(videos), "video", "videos"),
            (tracks, "track", "tracks"),
            (boxes, "box", "boxes"),
        )
    )
