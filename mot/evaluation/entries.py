"""Pairing result files with ground truth by name, in any folder layout."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from mot.errors import MotError, suggest
from mot.motfile import DEFAULT_FPS, Sequence, base_name, find_sequences, is_sequence, read_sequence

_NOT_RESULTS = (".det", ".gt", ".partial", "_summary", "_detailed")


@dataclass(frozen=True, slots=True)
class GroundTruth:
    """The ground truth of a sequence and its metadata."""

    name: str
    path: Path | None  # None: given as an array
    length: int | None = None  # frames; None: up to the last frame of the ground truth
    fps: float = DEFAULT_FPS
    sequence: Sequence | None = None


@dataclass(frozen=True, slots=True)
class Entry:
    """A sequence to score."""

    name: str
    gt: GroundTruth
    result: Path | None  # None: there is no result file, or it was given as an array


def find_ground_truths(gt: Path) -> list[GroundTruth]:
    """The ground truths of a file, a sequence folder, a dataset, or a folder of NAME.txt files."""
    if gt.is_file():
        return [_ground_truth_of_file(gt)]
    if not gt.is_dir():
        raise MotError(f"{gt}: no such file or folder of ground truth")
    files = sorted(path for path in gt.glob("*.txt") if path.is_file())
    if files and not is_sequence(gt):
        return [GroundTruth(path.stem.removesuffix(".gt"), path) for path in files]
    found = [_ground_truth_of_sequence(sequence) for sequence in find_sequences(gt)]
    with_gt = [gt for gt in found if gt]
    if not with_gt:
        raise MotError(f"{gt}: no sequence in it has a gt/gt.txt")
    return with_gt


def _ground_truth_of_file(path: Path) -> GroundTruth:
    """With the metadata of the sequence folder if the file is its `gt/gt.txt`."""
    folder = path.absolute().parent
    if folder.name == "gt" and (folder.parent / "seqinfo.ini").is_file():
        sequence = read_sequence(folder.parent)
        return GroundTruth(sequence.name, path, sequence.length, sequence.fps, sequence)
    name = folder.parent.name if folder.name == "gt" else path.stem.removesuffix(".gt")
    return GroundTruth(name, path)


def _ground_truth_of_sequence(sequence: Sequence) -> GroundTruth | None:
    if sequence.ground_truth is None:
        return None
    is_length_known = bool(sequence.images) or (sequence.folder / "seqinfo.ini").is_file()
    length = sequence.length if is_length_known else None
    return GroundTruth(sequence.name, sequence.ground_truth, length, sequence.fps, sequence)


def find_results(results: Path) -> dict[str, Path]:
    """Result files by sequence name: of a file, a folder of files, or a folder with `data/`."""
    if results.is_file():
        return {results.stem: results}
    if not results.is_dir():
        raise MotError(f"{results}: no such file or folder of results")
    for folder in (results, results / "data"):
        files = sorted(
            path
            for path in folder.glob("*.txt")
            if path.is_file() and not path.stem.endswith(_NOT_RESULTS)
        )
        if files:
            return {path.stem: path for path in files}
    raise MotError(f"{results}: no results in it (NAME.txt for each sequence)")


def pair_results(results: Path, gt: Path) -> list[Entry]:
    """One entry per result file, and one per ground truth without a result, sorted by name.

    `MOT17-02-FRCNN` and `MOT17-02` are the same sequence. A single result file is paired with its
    own sequence only, or with the only ground truth whatever its name.
    """
    truths, files = find_ground_truths(gt), find_results(results)
    if results.is_file() and len(truths) == 1:
        return [Entry(truths[0].name, truths[0], results)]
    entries = [
        Entry(name, _find_by_name(name, path, truths, gt), path) for name, path in files.items()
    ]
    if results.is_file():
        return entries
    covered = {base_name(entry.name) for entry in entries}
    missing = {base_name(truth.name): truth for truth in reversed(truths)}
    entries += [
        Entry(truth.name, truth, None) for base, truth in missing.items() if base not in covered
    ]
    return sorted(entries, key=lambda entry: entry.name)


def _find_by_name(name: str, path: Path, truths: list[GroundTruth], gt: Path) -> GroundTruth:
    """The ground truth of a result, by its exact name or its base name."""
    for truth in truths:
        if truth.name == name:
            return truth
    for truth in truths:
        if base_name(truth.name) == base_name(name):
            return truth
    known = suggest(name, [truth.name for truth in truths])
    raise MotError(f"{path}: {gt} has no ground truth of {name}: {known}")
