"""Scoring results against ground truth: the functions behind `mot.evaluate` and `mot eval`."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

import numpy.typing as npt

from mot.evaluation.entries import pair_results
from mot.evaluation.loading import LoadedSequence, load_arrays, load_sequence
from mot.evaluation.protocols import apply_protocol, get_protocol
from mot.evaluation.score import Matches, Score, count_matches, match_boxes
from mot.evaluation.summary import Summary, summarize

OnSequence = Callable[[LoadedSequence, dict[str, Matches]], None]


def evaluate(
    results: str | Path | npt.ArrayLike,
    gt: str | Path | npt.ArrayLike,
    protocol: str | None = None,
    split: str = "all",
    length: int | None = None,
) -> Summary:
    """Score tracks against ground truth with HOTA, CLEAR MOT and identity metrics.

    The numbers equal TrackEval's.

    Args:
        results: a result file or a folder of NAME.txt files in MOTChallenge format, or an (N, 6) to
            (N, 10) array of such rows: frame (from 1), id, left, top, width, height (pixels),
            confidence, class, visibility.
        gt: ground truth as a file, a sequence folder, a dataset or a folder of NAME.txt files,
            paired with the results by name; or an array, whose seventh column is 1 for rows that
            count.
        protocol: mot15, mot16, mot17, mot20, dancetrack, sportsmot, bdd100k or plain; inferred from
            the name of the sequence and the ground truth if None.
        split: all, train-half or val-half of the frames of each sequence.
        length: frames of the sequence; by default from seqinfo.ini or the last ground-truth frame.

    Returns:
        The metrics per sequence and combined; rates are fractions.

    >>> import mot
    >>> gt = [[frame, 1, 10 + frame, 20, 30, 60, 1, 1, 1] for frame in range(1, 11)]
    >>> results = [[frame, 1 + frame // 6, 10 + frame, 20, 30, 60, 1] for frame in range(1, 11)]
    >>> scores = mot.evaluate(results, gt)
    >>> scores.mota, scores["IDSW"], round(scores.hota, 3)
    (0.9, 1, 0.707)
    """
    rules = get_protocol(protocol) if protocol else None
    results, gt = (
        Path(each).expanduser() if isinstance(each, str | Path) else each for each in (results, gt)
    )
    if isinstance(results, Path) and isinstance(gt, Path):
        entries = pair_results(results, gt)
        return evaluate_sequences(load_sequence(entry, rules, split, length) for entry in entries)
    return evaluate_sequences([load_arrays(results, gt, rules, split, length)])


def evaluate_sequences(
    sequences: Iterable[LoadedSequence], on_sequence: OnSequence | None = None
) -> Summary:
    """Score loaded sequences; `on_sequence` receives each with its matches by class."""
    scores: dict[str, dict[str, Score]] = {}
    for loaded in sequences:
        matches = match_classes(loaded)
        scores[loaded.entry.name] = {name: count_matches(each) for name, each in matches.items()}
        if on_sequence:
            on_sequence(loaded, matches)
    return summarize(scores)


def match_classes(loaded: LoadedSequence) -> dict[str, Matches]:
    """Match the boxes of each class of the sequence's protocol."""
    classes = apply_protocol(loaded.gt, loaded.result, loaded.length, loaded.protocol)
    return {name: match_boxes(seq) for name, seq in classes.items()}
