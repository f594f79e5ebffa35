"""All metrics of a sequence, and of several together."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from mot.evaluation.clear import ClearCounts, ClearMatches, combine_clear, count_clear, match_clear
from mot.evaluation.hota import HotaCounts, HotaMatches, combine_hota, count_hota, match_hota
from mot.evaluation.identity import IdentityCounts, combine_identity, count_identity, match_identity
from mot.evaluation.protocols import Protocol, prepare
from mot.evaluation.scene import Mask, SequencePairs
from mot.motfile import MotRows

Metrics = dict[str, float]  # rates as fractions, counts as whole numbers


@dataclass(frozen=True, slots=True, eq=False)
class Matches:
    """Who was matched to whom in a scene, for each family of metrics."""

    scene: SequencePairs
    hota: HotaMatches
    clear: ClearMatches
    identity: Mask


@dataclass(frozen=True, slots=True, eq=False)
class Score:
    """What adds up of one class, in a sequence or in several."""

    hota: HotaCounts
    clear: ClearCounts
    identity: IdentityCounts
    counts: Metrics

    def of_sequence(self) -> Metrics:
        rates = self.hota.values() | self.clear.values_of_sequence()
        return rates | self.identity.values() | self.counts

    def combined(self) -> Metrics:
        return self.hota.values() | self.clear.values() | self.identity.values() | self.counts


def match(scene: SequencePairs) -> Matches:
    return Matches(scene, match_hota(scene), match_clear(scene), match_identity(scene))


def score(truth: MotRows, result: MotRows, length: int, protocol: Protocol) -> dict[str, Score]:
    """Each class of the protocol scored in one sequence of `length` frames."""
    scenes = prepare(truth, result, length, protocol)
    return {name: count(match(scene)) for name, scene in scenes.items()}


def count(matches: Matches) -> Score:
    scene = matches.scene
    return Score(
        count_hota(scene, matches.hota),
        count_clear(scene, matches.clear),
        count_identity(scene, matches.identity),
        {
            "Dets": len(scene.result),
            "GT_Dets": len(scene.truth),
            "IDs": scene.result.people,
            "GT_IDs": scene.truth.people,
            "Frames": scene.length,
        },
    )


def combine(scores: Sequence[Score]) -> Score:
    """Several sequences of a class, or several classes, as one."""
    return Score(
        combine_hota([score.hota for score in scores]),
        combine_clear([score.clear for score in scores]),
        combine_identity([score.identity for score in scores]),
        _sum(score.counts for score in scores),
    )


def _sum(counts: Iterable[Metrics]) -> Metrics:
    total: Metrics = {}
    for each in counts:
        total = {name: total.get(name, 0) + value for name, value in each.items()}
    return total
