"""The work of `mot convert`."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path

from mot.errors import MotError
from mot.formats import FORMATS, VideoTracks, mottext, read_videos
from mot.motfile import find_sequences, is_sequence

_NOT_IN_NAMES = re.compile(r"[^\w.+-]+")
_ONE_A_FILE = ("mot", "cvat")  # what a folder of files is looked through for


@dataclass(frozen=True, slots=True)
class Found:
    """What a SOURCE holds, and the files that it was read from."""

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
    for form in [name] if name else _ONE_A_FILE:
        files = sorted(p for p in folder.iterdir() if p.suffix.lower() == FORMATS[form].suffix)
        if files:
            return files
    return []


def _read_sequences(source: Path, stem: str) -> Found:
    sequences = find_sequences(source)
    files = [s.ground_truth for s in sequences if s.ground_truth]
    if not files:
        raise MotError(f"{source}: no gt/gt.txt: nothing to convert: name a file")
    videos = [mottext.read_truth(sequence) for sequence in sequences if sequence.ground_truth]
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
        "track": sum(video.track_count for video in videos),
        "box": sum(len(video.rows) for video in videos),
    }
    plural = {"box": "boxes"}
    words = (
        f"{count} {word if count == 1 else plural.get(word, word + 's')}"
        for word, count in counts.items()
    )
    return ", ".join(words)
