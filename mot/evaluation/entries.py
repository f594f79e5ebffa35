"""Which result belongs to which ground truth, by their names; no fixed tree is asked for."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from mot.errors import MotError, nearest
from mot.motfile import DEFAULT_FPS, Sequence, base_name, find_sequences, is_sequence, read_sequence

_NOT_RESULTS = (".det", ".gt", ".partial", "_summary", "_detailed")


@dataclass(frozen=True, slots=True)
class Truth:
    """The ground truth of a sequence, and what is known of it."""

    name: str
    path: Path
    length: int | None = None  # frames; None: as far as the ground truth goes
    fps: float = DEFAULT_FPS
    sequence: Sequence | None = None


@dataclass(frozen=True, slots=True)
class Entry:
    """A sequence to score."""

    name: str
    truth: Truth
    result: Path | None  # None: there is none, and nothing counts as found


def find_truths(gt: Path) -> list[Truth]:
    """Of a file, a sequence folder, a data set, or a folder of files called after sequences."""
    if gt.is_file():
        return [_truth_of_file(gt)]
    if not gt.is_dir():
        raise MotError(f"{gt}: no such file or folder of ground truth")
    files = sorted(path for path in gt.glob("*.txt") if path.is_file())
    if files and not is_sequence(gt):
        return [Truth(path.stem.removesuffix(".gt"), path) for path in files]
    truths = [_truth_of_sequence(sequence) for sequence in find_sequences(gt)]
    found = [truth for truth in truths if truth]
    if not found:
        raise MotError(f"{gt}: no sequence in it has a gt/gt.txt")
    return found


def _truth_of_file(path: Path) -> Truth:
    """The sequence folder that a `gt/gt.txt` stands in tells more than the file."""
    folder = path.absolute().parent
    if folder.name == "gt" and (folder.parent / "seqinfo.ini").is_file():
        sequence = read_sequence(folder.parent)
        return Truth(sequence.name, path, sequence.length, sequence.fps, sequence)
    name = folder.parent.name if folder.name == "gt" else path.stem.removesuffix(".gt")
    return Truth(name, path)


def _truth_of_sequence(sequence: Sequence) -> Truth | None:
    if sequence.ground_truth is None:
        return None
    length = sequence.length if _length_is_known(sequence) else None
    return Truth(sequence.name, sequence.ground_truth, length, sequence.fps, sequence)


def _length_is_known(sequence: Sequence) -> bool:
    return sequence.images is not None or (sequence.folder / "seqinfo.ini").is_file()


def find_results(results: Path) -> dict[str, Path]:
    """Result files by sequence: a file, a folder of them, or one with `data/` in it."""
    if results.is_file():
        return {results.stem: results}
    if not results.is_dir():
        raise MotError(f"{results}: no such file or folder of results")
    for folder in (results, results / "data"):
        files = sorted(path for path in folder.glob("*.txt") if _is_result(path))
        if files:
            return {path.stem: path for path in files}
    raise MotError(f"{results}: no results in it (NAME.txt for each sequence)")


def _is_result(path: Path) -> bool:
    return path.is_file() and not path.stem.endswith(_NOT_RESULTS)


def pair_up(results: Path, gt: Path) -> list[Entry]:
    """An entry for each result, and one for each sequence that has none; by name.

    `MOT17-02-FRCNN` and `MOT17-02` are the same sequence. A single result file is about its own
    sequence, whatever else the ground truth holds, and goes with a single ground truth of any name.
    """
    truths, files = find_truths(gt), find_results(results)
    if results.is_file() and len(truths) == 1:
        return [Entry(truths[0].name, truths[0], results)]
    entries = [
        Entry(name, _truth_for(name, path, truths, gt), path) for name, path in files.items()
    ]
    if results.is_file():
        return entries
    covered = {base_name(entry.name) for entry in entries}
    missing = {base_name(truth.name): truth for truth in reversed(truths)}
    entries += [
        Entry(truth.name, truth, None) for base, truth in missing.items() if base not in covered
    ]
    return sorted(entries, key=lambda entry: entry.name)


def _truth_for(name: str, path: Path, truths: list[Truth], gt: Path) -> Truth:
    for truth in truths:
        if truth.name == name:
            return truth
    for truth in truths:
        if base_name(truth.name) == base_name(name):
            return truth
    known = nearest(name, [truth.name for truth in truths])
    raise MotError(f"{path}: {gt} has no ground truth of {name}: {known}")
