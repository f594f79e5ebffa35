"""All tracking metrics of one sequence, and of several combined."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from mot.evaluation.clear import ClearCounts, ClearMatches, combine_clear, count_clear, match_clear
from mot.evaluation.hota import HotaCounts, HotaMatches, combine_hota, count_hota, match_hota
from mot.evaluation.identity import IdentityCounts, combine_identity, count_identity, match_identity
from mot.evaluation.protocols import Protocol, apply_protocol
from mot.evaluation.sequence_pairs import Mask, SequencePairs
from mot.motfile import MotRows

Metrics = dict[str, float]  # rates as fractions, counts as integers


@dataclass(frozen=True, slots=True, eq=False)
class Matches:
    """The matched pairs of a sequence by each metric family."""

    seq: SequencePairs
    hota: HotaMatches
    clear: ClearMatches
    identity: Mask


@dataclass(frozen=True, slots=True, eq=False)
class Score:
    """Counts of one class in one or several sequences, from which all metrics are computed."""

    hota: HotaCounts
    clear: ClearCounts
    identity: IdentityCounts
    counts: Metrics

    def of_sequence(self) -> Metrics:
        """The metrics of a single sequence."""
        rates = self.hota.values() | self.clear.values_of_sequence()
        return rates | self.identity.values() | self.counts

    def combined(self) -> Metrics:
        """The metrics of combined sequences or classes."""
        return self.hota.values() | self.clear.values() | self.identity.values() | self.counts


def match_boxes(seq: SequencePairs) -> Matches:
    return Matches(seq, match_hota(seq), match_clear(seq), match_identity(seq))


def count_matches(matches: Matches) -> Score:
    seq = matches.seq
    return Score(
        count_hota(seq, matches.hota),
        count_clear(seq, matches.clear),
        count_identity(seq, matches.identity),
        {
            "Dets": len(seq.result),
            "GT_Dets": len(seq.gt),
            "IDs": seq.result.num_tracks,
            "GT_IDs": seq.gt.num_tracks,
            "Frames": seq.length,
        },
    )


def score_rows(gt: MotRows, result: MotRows, length: int, protocol: Protocol) -> dict[str, Score]:
    """The score of each class of the protocol in one sequence of `length` frames."""
    classes = apply_protocol(gt, result, length, protocol)
    return {name: count_matches(match_boxes(seq)) for name, seq in classes.items()}


def combine_scores(scores: Sequence[Score]) -> Score:
    """Several sequences of a class, or several classes, as one."""
    totals: Metrics = {}
    for score in scores:
        totals = {name: totals.get(name, 0) + value for name, value in score.counts.items()}
    return Score(
        combine_hota([score.hota for score in scores]),
        combine_clear([score.clear for score in scores]),
        combine_identity([score.identity for score in scores]),
        totals,
    )
