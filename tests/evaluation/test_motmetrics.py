"""CLEAR and identity metrics equal motmetrics' where definitions agree; differences are named."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from support.evaluation import MADE_RESULTS, TRACKERS, real, tracked, world
from support.oracles import CLOSE, MOTMETRICS, World, as_rows, motmetrics_of
from support.random_worlds import crowd, walk, worlds

from mot.evaluation.protocols import PROTOCOLS, apply_protocol
from mot.evaluation.score import count_matches, match_boxes

IDENTITY = [name for name in MOTMETRICS if name.startswith("id")]


def score_with_both(
    each: World, protocol: str = "mot17"
) -> tuple[dict[str, float], dict[str, float]]:
    """Our metrics and motmetrics', by motmetrics' names."""
    seq = apply_protocol(each.gt, each.result, each.length, PROTOCOLS[protocol])["pedestrian"]
    ours, theirs = count_matches(match_boxes(seq)).of_sequence(), motmetrics_of(seq)
    theirs["motp"] = 1 - theirs["motp"]  # a distance in motmetrics
    found = {name: 0.0 if math.isnan(value) else float(value) for name, value in theirs.items()}
    return {name: ours[key] for name, key in MOTMETRICS.items()}, found


def assert_agree(each: World, names: list[str], protocol: str = "mot17") -> None:
    ours, theirs = score_with_both(each, protocol)
    off = {name: (ours[name], theirs[name]) for name in names}
    assert not {name: pair for name, pair in off.items() if abs(pair[0] - pair[1]) > CLOSE}


def far_apart(seed: int, tracks: int = 4, frames: int = 11) -> World:
    """Each box overlaps at most one other, so that there is only one possible matching.

    All tracks and a false positive are in every frame. With 11 frames no track can be matched in
    exactly 80 % of them.
    """
    rng = np.random.default_rng(seed)
    frame, track = np.divmod(np.arange(frames * tracks), tracks)
    size, rest = np.full((len(frame), 2), 20), np.ones((len(frame), 2))
    corner = np.column_stack([100 * track, frame])
    gt = np.column_stack([frame + 1, track, corner, size, rest])
    ids = track + tracks * (rng.random((frames, tracks)) < 0.2).cumsum(axis=0).ravel()
    off = rng.choice([0, 2, 5, 30], (len(frame), 1), p=[0.5, 0.2, 0.2, 0.1])
    result = np.column_stack([frame + 1, ids, corner + off, size, rest])
    ids_999 = np.column_stack([np.arange(frames) + 1, np.full(frames, 999)])
    false_positives = np.column_stack([ids_999, np.full((frames, 2), -500), np.ones((frames, 4))])
    detected = rng.random(len(result)) < rng.choice([0.3, 0.9, 1], tracks)[track]
    return World(as_rows(gt), as_rows(np.concatenate([result[detected], false_positives])), frames)


class TestAgreement:
    @pytest.mark.parametrize("seed", range(12))
    def test_all_metrics_of_boxes_far_apart(self, seed) -> None:
        assert_agree(far_apart(seed), list(MOTMETRICS))

    @settings(deadline=None, max_examples=12)
    @given(worlds())
    def test_identity_of_generated_worlds(self, generated) -> None:
        if len(generated.gt):
            assert_agree(generated, IDENTITY)

    @pytest.mark.parametrize("seed", range(3))
    def test_identity_of_crowds(self, seed) -> None:
        assert_agree(crowd(seed, 14, 4), IDENTITY)
        assert_agree(walk(seed, 8, 12), IDENTITY)

    @pytest.mark.parametrize("how", [*TRACKERS, "ground truth", "noise", "shifted"])
    def test_identity_of_a_real_sequence(self, shared: Path, how) -> None:
        folder = shared / "data/mot15/TUD-Campus"
        gt, length = real(folder)
        made = MADE_RESULTS[how](gt) if how in MADE_RESULTS else tracked(folder, "det", how, length)
        assert_agree(World(gt, made, length), IDENTITY, "mot15")

    @pytest.mark.parametrize("how", TRACKERS)
    def test_all_metrics_of_a_real_sequence(self, shared: Path, how) -> None:
        folder = shared / "data/mot17/MOT17-05"
        gt, length = real(folder, 100)
        assert_agree(World(gt, tracked(folder, "FRCNN", how, length), length), list(MOTMETRICS))


def boxes_at(*frames: int, number: int = 1, left: int = 0) -> list[tuple[int, ...]]:
    return [(frame, number, left, 0, 10, 20) for frame in frames]


class TestDifferences:
    """Ours agrees with TrackEval; see tests/evaluation/test_metrics.py."""

    def test_after_a_gap_motmetrics_continues_the_last_match(self) -> None:
        """A match has priority over a better one: in ours if it was in the previous frame, in
        motmetrics if it was the last match of the gt track at any time."""
        gt = boxes_at(1, 2, 3) + boxes_at(1, 2, 3, number=2, left=500)
        result = boxes_at(1) + boxes_at(1, 2, 3, number=2, left=500)
        result += boxes_at(3, left=3) + boxes_at(3, number=3)
        ours, theirs = score_with_both(world(gt, result, 3))
        assert (ours["num_switches"], theirs["num_switches"]) == (1, 0)
        assert ours["num_detections"] == theirs["num_detections"] == 5

    def test_a_match_of_the_previous_frame_continues_in_both(self) -> None:
        result = boxes_at(1, 2) + boxes_at(3, left=3) + boxes_at(3, number=3)
        assert_agree(world(boxes_at(1, 2, 3), result, 3), list(MOTMETRICS))

    def test_a_switch_after_a_gap_counts_in_both(self) -> None:
        """Even after many frames, compared with the last matched id."""
        each = world(boxes_at(*range(1, 31)), boxes_at(1) + boxes_at(30, number=2), 30)
        ours, theirs = score_with_both(each)
        assert ours["num_switches"] == theirs["num_switches"] == 1

    def test_tracks_matched_in_exactly_80_percent(self) -> None:
        """Mostly tracked in motmetrics, partly tracked in TrackEval."""
        ours, theirs = score_with_both(world(boxes_at(*range(1, 11)), boxes_at(*range(1, 9)), 10))
        assert (ours["mostly_tracked"], theirs["mostly_tracked"]) == (0, 1)
        assert (ours["partially_tracked"], theirs["partially_tracked"]) == (1, 0)

    def test_a_gap_in_the_ground_truth_is_no_fragment_in_motmetrics(self) -> None:
        other = boxes_at(1, 2, 3, number=2, left=500)
        each = world(boxes_at(1, 3) + other, boxes_at(1, 3) + other, 3)
        ours, theirs = score_with_both(each)
        assert (ours["num_fragmentations"], theirs["num_fragmentations"]) == (1, 0)

    def test_a_frame_without_results_is_a_fragment_in_motmetrics_only(self) -> None:
        ours, theirs = score_with_both(world(boxes_at(1, 2, 3), boxes_at(1, 3), 3))
        assert (ours["num_fragmentations"], theirs["num_fragmentations"]) == (0, 1)

    def test_rates_without_results(self) -> None:
        """Ours are 0; `score_with_both` replaces theirs, NaN, by 0."""
        assert_agree(world(boxes_at(1), [], 1), list(MOTMETRICS))
