"""CLEAR and identity equal motmetrics' where it defines them alike; named tests where not."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from support.evaluation import MADE_UP, TRACKED_BY, real, tracked, world
from support.oracles import CLOSE, MOTMETRICS, World, as_rows, motmetrics_of
from support.random_worlds import crowd, walk, worlds

from mot.evaluation.protocols import PROTOCOLS, prepare
from mot.evaluation.score import count, match

IDENTITY = [name for name in MOTMETRICS if name.startswith("id")]


def both(each: World, protocol: str = "mot17") -> tuple[dict[str, float], dict[str, float]]:
    """Our numbers and theirs, under their names."""
    scene = prepare(each.truth, each.result, each.length, PROTOCOLS[protocol])["pedestrian"]
    ours, theirs = count(match(scene)).of_sequence(), motmetrics_of(scene)
    theirs["motp"] = 1 - theirs["motp"]  # theirs is a distance
    found = {name: 0.0 if math.isnan(value) else float(value) for name, value in theirs.items()}
    return {name: ours[key] for name, key in MOTMETRICS.items()}, found


def assert_agree(each: World, names: list[str], protocol: str = "mot17") -> None:
    ours, theirs = both(each, protocol)
    off = {name: (ours[name], theirs[name]) for name in names}
    assert not {name: pair for name, pair in off.items() if abs(pair[0] - pair[1]) > CLOSE}


def far_apart(seed: int, people: int = 4, frames: int = 11) -> World:
    """Each box overlaps one other at most, so that nobody can match differently.

    Everyone is in every frame, and so is a false alarm. With eleven frames nobody is followed for
    exactly four fifths of them.
    """
    chance = np.random.default_rng(seed)
    frame, person = np.divmod(np.arange(frames * people), people)
    size, rest = np.full((len(frame), 2), 20), np.ones((len(frame), 2))
    corner = np.column_stack([100 * person, frame])
    truth = np.column_stack([frame + 1, person, corner, size, rest])
    ids = person + people * (chance.random((frames, people)) < 0.2).cumsum(axis=0).ravel()
    off = chance.choice([0, 2, 5, 30], (len(frame), 1), p=[0.5, 0.2, 0.2, 0.1])
    result = np.column_stack([frame + 1, ids, corner + off, size, rest])
    alarm = np.column_stack([np.arange(frames) + 1, np.full(frames, 999)])
    alarms = np.column_stack([alarm, np.full((frames, 2), -500), np.ones((frames, 4))])
    seen = chance.random(len(result)) < chance.choice([0.3, 0.9, 1], people)[person]
    return World(as_rows(truth), as_rows(np.concatenate([result[seen], alarms])), frames)


class TestWhereTheyAgree:
    @pytest.mark.parametrize("seed", range(12))
    def test_everything_of_people_far_apart(self, seed) -> None:
        assert_agree(far_apart(seed), list(MOTMETRICS))

    @settings(deadline=None, max_examples=12)
    @given(worlds())
    def test_identity_of_drawn_worlds(self, drawn) -> None:
        if len(drawn.truth):
            assert_agree(drawn, IDENTITY)

    @pytest.mark.parametrize("seed", range(3))
    def test_identity_of_crowds(self, seed) -> None:
        assert_agree(crowd(seed, 14, 4), IDENTITY)
        assert_agree(walk(seed, 8, 12), IDENTITY)

    @pytest.mark.parametrize("how", [*TRACKED_BY, "the truth", "noise", "shifted"])
    def test_identity_of_a_real_sequence(self, shared: Path, how) -> None:
        folder = shared / "data/mot15/TUD-Campus"
        truth, length = real(folder)
        made = MADE_UP[how](truth) if how in MADE_UP else tracked(folder, "det", how, length)
        assert_agree(World(truth, made, length), IDENTITY, "mot15")

    @pytest.mark.parametrize("how", TRACKED_BY)
    def test_everything_of_a_real_sequence(self, shared: Path, how) -> None:
        folder = shared / "data/mot17/MOT17-05"
        truth, length = real(folder, 100)
        assert_agree(World(truth, tracked(folder, "FRCNN", how, length), length), list(MOTMETRICS))


def people_at(*frames: int, number: int = 1, left: int = 0) -> list[tuple[int, ...]]:
    return [(frame, number, left, 0, 10, 20) for frame in frames]


class TestWhereTheyDiffer:
    """Ours is as TrackEval has it, which tests/test_evaluation.py holds."""

    def test_after_a_gap_motmetrics_goes_on_with_the_last_match_there_ever_was(self) -> None:
        """A match is kept against a better one: ours if it was in the last frame, theirs if it
        was the person's last at any time."""
        truth = people_at(1, 2, 3) + people_at(1, 2, 3, number=2, left=500)
        result = people_at(1) + people_at(1, 2, 3, number=2, left=500)
        result += people_at(3, left=3) + people_at(3, number=3)
        ours, theirs = both(world(truth, result, 3))
        assert (ours["num_switches"], theirs["num_switches"]) == (1, 0)
        assert ours["num_detections"] == theirs["num_detections"] == 5

    def test_a_match_of_the_last_frame_is_kept_by_both(self) -> None:
        result = people_at(1, 2) + people_at(3, left=3) + people_at(3, number=3)
        assert_agree(world(people_at(1, 2, 3), result, 3), list(MOTMETRICS))

    def test_a_switch_after_a_gap_counts_for_both(self) -> None:
        """Even after many frames, against the last id that the person ever had."""
        each = world(people_at(*range(1, 31)), people_at(1) + people_at(30, number=2), 30)
        ours, theirs = both(each)
        assert ours["num_switches"] == theirs["num_switches"] == 1

    def test_of_exactly_four_fifths(self) -> None:
        """Mostly tracked begins there for motmetrics, beyond it for TrackEval."""
        ours, theirs = both(world(people_at(*range(1, 11)), people_at(*range(1, 9)), 10))
        assert (ours["mostly_tracked"], theirs["mostly_tracked"]) == (0, 1)
        assert (ours["partially_tracked"], theirs["partially_tracked"]) == (1, 0)

    def test_a_person_who_was_away_is_a_fragment_but_not_for_motmetrics(self) -> None:
        other = people_at(1, 2, 3, number=2, left=500)
        each = world(people_at(1, 3) + other, people_at(1, 3) + other, 3)
        ours, theirs = both(each)
        assert (ours["num_fragmentations"], theirs["num_fragmentations"]) == (1, 0)

    def test_a_frame_without_results_breaks_a_track_for_motmetrics_alone(self) -> None:
        ours, theirs = both(world(people_at(1, 2, 3), people_at(1, 3), 3))
        assert (ours["num_fragmentations"], theirs["num_fragmentations"]) == (0, 1)

    def test_rates_of_nothing(self) -> None:
        """Ours are 0; theirs, nan, are read as 0 by `both`."""
        assert_agree(world(people_at(1), [], 1), list(MOTMETRICS))
