"""`mot convert`: tracks between formats, and datasets of images to COCO."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path

from mot.commands.console import notify, refuse_existing
from mot.datasets.load import DataSettings, guess, load
from mot.datasets.voc import is_voc
from mot.datasets.write_coco import coco_lines, folder_of
from mot.errors import MotError
from mot.files import atomic_writer
from mot.formats import FORMATS, VideoTracks, format_of, mot_text, read_videos, write_videos
from mot.motfile import find_sequences, is_sequence
from mot.settings import build_settings

_NOT_IN_NAMES = re.compile(r"[^\w.+-]+")
_SINGLE_VIDEO_FORMATS = ("mot", "cvat")  # that a folder of files is searched for
DETECTION = "coco-detection"  # COCO JSON of images, beside that of tracks


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
    source, name = options.source, options.to or format_of(options.out)
    if is_dataset(source, options.source_format, options.images, name):
        given = (source, options.source_format, options.images)
        notify(convert_dataset(given, options.out, name, options.overwrite), options.quiet)
        return
    found = read_source(source, options.source_format)
    outputs = plan_outputs(options.out, name, found)
    refuse_existing(outputs, options.overwrite, found.files)
    for note in found.notes:
        notify(f"warning: {note}")
    for path, videos in outputs.items():
        write_videos(path, videos, name)
        notify(f"{path}: {summary(videos)}", options.quiet)


@dataclass(frozen=True, slots=True)
class Found:
    """The videos of a SOURCE, and the files that they were read from."""

    name: str
    videos: list[VideoTracks]
    files: list[Path]
    notes: list[str] = field(default_factory=list)


def read_source(source: Path, name: str | None) -> Found:
    source = source.expanduser()
    if not source.is_dir():
        return Found(source.stem, read_videos(source, name), [source])
    stem = Path(os.path.abspath(source)).name
    files = [] if holds_sequences(source) else files_in(source, name)
    if files:
        return Found(stem, [video for file in files for video in read_videos(file, name)], files)
    if name not in (None, "mot"):
        raise MotError(f"{source}: no {FORMATS[name].suffix} file in it for --from {name}")
    return _read_sequences(source, stem)


def holds_sequences(folder: Path) -> bool:
    return any(map(is_sequence, chain([folder], folder.glob("*"), folder.glob("*/*"))))


def files_in(folder: Path, name: str | None) -> list[Path]:
    """Those of the format, else of the first format that has any."""
    for form in [name] if name else _SINGLE_VIDEO_FORMATS:
        files = sorted(p for p in folder.iterdir() if p.suffix.lower() == FORMATS[form].suffix)
        if files:
            return files
    return []


def _read_sequences(source: Path, stem: str) -> Found:
    sequences = find_sequences(source)
    files = [s.ground_truth for s in sequences if s.ground_truth]
    if not files:
        raise MotError(f"{source}: no gt/gt.txt: nothing to convert: name a file")
    videos = [
        mot_text.read_ground_truth(sequence) for sequence in sequences if sequence.ground_truth
    ]
    notes = [f"{s.folder}: has no gt/gt.txt: left out" for s in sequences if not s.ground_truth]
    return Found(stem, videos, files, notes)


def plan_outputs(out: Path, name: str, found: Found) -> dict[Path, list[VideoTracks]]:
    """The files to write. OUT with a suffix is a file; without one, or where there is one, it is
    a folder."""
    out, form = out.expanduser(), FORMATS[name]
    fits_one = form.holds_many or len(found.videos) == 1
    is_file = bool(out.suffix) and not out.is_dir()
    if is_file and fits_one:
        return {out: found.videos}
    if is_file and out.suffix.lower() == form.suffix:
        raise MotError(
            f"{out}: holds one video, not the {len(found.videos)} of {found.name}: "
            f"name a folder, with --to {name}"
        )
    if form.holds_many:
        return {out / f"{found.name}{form.suffix}": found.videos}
    return _one_a_file(out, form.suffix, found.videos)


def _one_a_file(
    folder: Path, suffix: str, videos: list[VideoTracks]
) -> dict[Path, list[VideoTracks]]:
    outputs: dict[Path, list[VideoTracks]] = {}
    for video in videos:
        path = folder / f"{file_stem(video.name)}{suffix}"
        if path in outputs:
            raise MotError(f"two videos would be written to {path}: give them other names")
        outputs[path] = [video]
    return outputs


def file_stem(name: str) -> str:
    """A video's name as that of a file in one folder, whatever it holds."""
    return _NOT_IN_NAMES.sub("_", name).strip("._") or "video"


def summary(videos: list[VideoTracks]) -> str:
    counts = {
        "video": len(videos),
        "track": sum(video.num_tracks for video in videos),
        "box": sum(len(video.rows) for video in videos),
    }
    plural = {"box": "boxes"}
    words = (
        f"{count} {word if count == 1 else plural.get(word, word + 's')}"
        for word, count in counts.items()
    )
    return ", ".join(words)


def is_dataset(source: Path, name: str | None, images: Path | None, to: str) -> bool:
    """Whether SOURCE is a dataset of images: by --from, --to, --images, or its files."""
    if to == DETECTION:
        return True
    if images and name in FORMATS:
        raise MotError(f"--images goes with a dataset of images, --from {name} with tracks")
    if name or images:
        return bool(images) or name not in FORMATS
    if not source.is_dir():
        return source.suffix.lower() == ".odgt"
    files = [] if holds_sequences(source) else files_in(source, None)
    return is_voc(files[0]) if files else guess(source) not in ("", "mot")


def convert_dataset(
    given: tuple[Path, str | None, Path | None], out: Path, to: str, overwrite: bool
) -> str:
    """Write COCO JSON from a source, its format and its image folder; returns a summary."""
    source, name, images = given
    path = _plan_output(source, out.expanduser(), to)
    refuse_existing([path], overwrite, [source])
    values = {"annotations": str(source), "images": str(images or ""), "format": name or ""}
    if values["format"] == DETECTION:
        values["format"] = "coco"
    data, problems = load(build_settings(DataSettings, values, "mot convert"), sizes=True)
    for line in problems.lines():
        notify(f"warning: {line}")
    folder = images.expanduser() if images else folder_of(data)
    with atomic_writer(path) as file:
        file.writelines(coco_lines(data, folder))
    ignored = int(data.annotations.ignored.sum())
    people = len(data.annotations) - ignored
    return f"{path}: {len(data)} images in {folder}, {people} boxes, {ignored} ignored"


def _plan_output(source: Path, out: Path, to: str) -> Path:
    if to not in ("coco", DETECTION):
        raise MotError(f"--to {to} holds tracks: a dataset of images becomes COCO: --to coco")
    return out if out.suffix and not out.is_dir() else out / f"{source.absolute().stem}.json"
