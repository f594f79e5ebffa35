"""Every error is found once, with the right cause where the cause is known."""

from __future__ import annotations

import csv
import dataclasses
import io
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from support.oracles import World, as_rows, trackeval_in_memory
from support.random_worlds import crowd, walk, worlds

from mot.evaluation.diagnosis.with_gt.diagnosis import (
    KINDS,
    TrackingError,
    count_causes,
    diagnose,
    errors_as_csv,
)
from mot.evaluation.diagnosis.with_gt.features import occluded_fractions
from mot.evaluation.entries import Entry, GroundTruth, pair_results
from mot.evaluation.loading import LoadedSequence, load_sequence
from mot.evaluation.protocols import PROTOCOLS, apply_protocol
from mot.evaluation.score import Matches, count_matches, match_boxes

FPS, LENGTH = 30.0, 120
WIDTH, HEIGHT = 40, 100


def loaded_of(world: World, protocol: str = "mot17", fps: float = FPS) -> LoadedSequence:
    entry = Entry("a", GroundTruth("a", Path("gt.txt"), world.length, fps), Path("a.txt"))
    return LoadedSequence(entry, PROTOCOLS[protocol], world.gt, world.result, world.length, 1)


def matches_of(loaded: LoadedSequence) -> Matches:
    classes = apply_protocol(loaded.gt, loaded.result, loaded.length, loaded.protocol)
    return match_boxes(next(iter(classes.values())))


def errors_of(world: World, protocol: str = "mot17", fps: float = FPS) -> list[TrackingError]:
    loaded = loaded_of(world, protocol, fps)
    return diagnose(loaded, matches_of(loaded))


def totals(errors: list[TrackingError]) -> tuple[int, int, int, int]:
    """IDSW, Frag, FN and FP of the errors."""
    number = Counter(error.kind for error in errors)
    frames: Counter[str] = Counter()
    for error in errors:
        frames[error.kind] += error.frames
    return number["switch"], number["fragment"], frames["miss"], frames["false_positive"]


def assert_as_trackeval(world: World) -> None:
    (theirs,), _ = trackeval_in_memory([world])
    names = ("IDSW", "Frag", "CLR_FN", "CLR_FP")
    assert totals(errors_of(world)) == tuple(int(theirs["CLEAR"][name]) for name in names)


@settings(max_examples=60, deadline=None)
@given(worlds())
def test_errors_are_those_that_trackeval_counts(world):
    assert_as_trackeval(world)


@pytest.mark.parametrize("seed", range(25))
def test_errors_of_crowds_and_walks(seed):
    assert_as_trackeval(crowd(seed, 6, 8))
    assert_as_trackeval(walk(seed, 5, 9, frames=20))


@pytest.mark.parametrize("seed", range(10))
def test_runs_are_maximal_and_cover_all_unmatched_boxes(seed):
    loaded = loaded_of(walk(seed, 5, 9, frames=30), "plain")
    matches = matches_of(loaded)
    seq, errors = matches.seq, diagnose(loaded, matches)
    for kind, table, ends in (
        ("miss", seq.gt, seq.pairs.gt),
        ("false_positive", seq.result, seq.pairs.result),
    ):
        matched = set(ends[matches.clear.pairs].tolist())
        unmatched: dict[int, list[list[int]]] = {}
        for track in range(table.num_tracks):
            runs, last = unmatched.setdefault(int(table.file_ids[track]), []), True
            for box in np.flatnonzero(table.ids == track).tolist():  # in the order of the frames
                if box not in matched:
                    runs += [[]] * last
                    runs[-1] = [*runs[-1], int(table.frames[box]) + 1]
                last = box in matched
        expected = {
            (number, run[0], run[-1], len(run))
            for number, runs in unmatched.items()
            for run in runs
        }
        id_field = {"miss": "gt_id", "false_positive": "result_id"}[kind]
        found = [
            (getattr(e, id_field), e.first_frame, e.last_frame, e.frames)
            for e in errors
            if e.kind == kind
        ]
        assert len(found) == len(set(found)) and set(found) == expected


@pytest.mark.parametrize("name", ["MOT17-05", "MOT17-13"])
def test_real_detections_as_a_result(shared, tmp_path, name):
    """Ids by position: thousands of errors of all kinds."""
    folder = shared / "data/mot17" / name
    rows = np.loadtxt(folder / "det/FRCNN.txt", delimiter=",")
    rows = rows[np.lexsort((rows[:, 2], rows[:, 0]))]
    rank = np.arange(len(rows)) - np.searchsorted(rows[:, 0], rows[:, 0])
    rows[:, 1] = rank + 1
    np.savetxt(tmp_path / f"{name}.txt", rows, fmt="%g", delimiter=",")
    loaded = load_sequence(pair_results(tmp_path / f"{name}.txt", folder)[0])
    matches = matches_of(loaded)
    clear, errors = count_matches(matches).clear, diagnose(loaded, matches)
    assert totals(errors) == (clear.switches, clear.fragments, clear.fn, clear.fp)
    assert min(totals(errors)) > 30
    assert [error.frame for error in errors] == sorted(error.frame for error in errors)
    boxes = {
        (frame, number): tuple(box)
        for frame, number, box in zip(
            loaded.gt.frames.tolist(),
            loaded.gt.ids.tolist(),
            loaded.gt.xywh.tolist(),
            strict=True,
        )
    }
    for error in errors:
        if error.gt_id is not None:
            assert error.gt_box == boxes[error.frame, error.gt_id]
        assert (error.gt_box is None) == (error.gt_id is None)
        assert (error.result_box is None) == (error.result_id is None)
        assert error.evidence


# Scenarios with known causes: objects side by side, all of them tracked.


class Scenario:
    def __init__(self, tracks: int = 3) -> None:
        frame, track = np.divmod(np.arange(LENGTH * tracks), tracks)
        size = np.full(len(frame), WIDTH), np.full(len(frame), HEIGHT)
        position = 200.0 * track, np.full(len(frame), 300.0)
        ones = np.ones(len(frame))
        self.gt = np.column_stack([frame + 1, track + 1, *position, *size, ones, ones])
        self.result = self.gt.copy()
        self.result[:, 1] += 10
        self.visibility: np.ndarray | None = None

    def drop(self, side: str, number: int, first: int, last: int) -> None:
        table = getattr(self, side)
        setattr(self, side, table[~self.where(table, number, first, last)])

    @staticmethod
    def where(table: np.ndarray, number: int, first: int, last: int) -> np.ndarray:
        inside = (table[:, 0] >= first) & (table[:, 0] <= last)
        return inside & (table[:, 1] == number)

    def add(self, side: str, number: int, frames: range, x: float, **columns: float) -> None:
        row = {"y": 300.0, "flag": 1.0, "kind": 1.0} | columns
        box = (x, row["y"], WIDTH, HEIGHT, row["flag"], row["kind"])
        table = getattr(self, side)
        setattr(self, side, np.concatenate([table, [(f, number, *box) for f in frames]]))

    def rename(self, number: int, other: int, first: int, last: int = LENGTH) -> None:
        self.result[self.where(self.result, number, first, last), 1] = other

    def errors(self, fps: float = FPS) -> list[TrackingError]:
        gt = as_rows(self.gt)
        if self.visibility is not None:
            gt = dataclasses.replace(gt, visibility=self.visibility)
        return errors_of(World(gt, as_rows(self.result), LENGTH), fps=fps)


def occluded_by_column(scenario: Scenario) -> None:
    scenario.drop("result", 11, 50, 59)
    scenario.visibility = np.ones(len(scenario.gt))
    scenario.visibility[scenario.where(scenario.gt, 1, 50, 57)] = 0.125


def occluded_by_two(scenario: Scenario) -> None:
    """Neither occludes half of the object; both together do."""
    scenario.drop("result", 11, 50, 59)
    for number, shift in ((8, -25.0), (9, 25.0)):
        for side, own in (("gt", number), ("result", number + 10)):
            scenario.add(side, own, range(1, LENGTH + 1), 1000.0 + number * 100)
            table = getattr(scenario, side)
            rows = scenario.where(table, own, 50, 59)
            table[rows, 2:4] = shift, 305.0


def late_start(scenario: Scenario) -> None:
    scenario.drop("result", 11, 1, 10)


def early_end(scenario: Scenario) -> None:
    scenario.drop("result", 11, 111, LENGTH)


def camera_motion(scenario: Scenario) -> None:
    for table in (scenario.gt, scenario.result):
        table[table[:, 0] >= 50, 2] += 30.0
    scenario.drop("result", 11, 50, 53)


def badly_localized(scenario: Scenario) -> None:
    scenario.result[scenario.where(scenario.result, 11, 50, 59), 2] += 20.0  # an overlap of 1/3


def low_score(scenario: Scenario) -> None:
    scenario.result[:, 6] = 0.9
    scenario.result[scenario.where(scenario.result, 11, 40, 49), 6] = 0.25
    scenario.drop("result", 11, 50, 59)


def unexplained_miss(scenario: Scenario) -> None:
    scenario.drop("result", 11, 50, 59)


def gap_in_gt(scenario: Scenario) -> None:
    scenario.drop("gt", 1, 52, 99)
    scenario.drop("result", 11, 50, 99)


GAPS: dict[str, list[Callable[[Scenario], None]]] = {
    "occlusion": [occluded_by_column, occluded_by_two],
    "track start": [late_start],
    "track end": [early_end],
    "camera motion": [camera_motion],
    "localization": [badly_localized],
    "low score": [low_score],
    "unexplained": [unexplained_miss],
    "gt gap": [gap_in_gt],
}


@pytest.mark.parametrize(
    ("cause", "modify"), [(cause, modify) for cause, every in GAPS.items() for modify in every]
)
def test_causes_of_misses_and_fragmentations(cause, modify):
    scenario = Scenario(tracks=8 if modify is camera_motion else 3)
    modify(scenario)
    errors = [error for error in scenario.errors() if error.gt_id == 1]
    (miss,) = (error for error in errors if error.kind == "miss")
    assert (miss.cause, miss.other_id) == (cause, None if modify is late_start else 11)
    fragments = [error for error in errors if error.kind == "fragment"]
    assert [error.cause for error in fragments] == [cause] * (
        cause not in ("track start", "track end")
    )
    for fragment in fragments:
        assert fragment.first_frame == miss.first_frame - 1
        assert fragment.frames == miss.frames
        assert (fragment.result_id, fragment.other_id) == (11, 11)


@pytest.mark.parametrize(
    "modify", [gap_in_gt, *(h for h in GAPS["occlusion"]), low_score, camera_motion]
)
def test_causes_of_switches_after_gaps(modify):
    scenario = Scenario(tracks=8 if modify is camera_motion else 3)
    modify(scenario)
    scenario.rename(11, 21, 50)
    (switch,) = (error for error in scenario.errors() if error.kind == "switch")
    assert modify in GAPS[switch.cause]
    assert (switch.gt_id, switch.result_id, switch.other_id) == (1, 21, 11)
    assert switch.first_frame == 49 and switch.frame == switch.last_frame


def test_evidence_contains_the_numbers():
    def evidence(modify: Callable[[Scenario], None], kind: str = "miss") -> str:
        scenario = Scenario(tracks=8 if modify is camera_motion else 3)
        modify(scenario)
        return next(error.evidence for error in scenario.errors() if error.kind == kind)

    assert evidence(occluded_by_column) == "visibility 0.12 in 8 of 10 frames"
    assert evidence(occluded_by_two).startswith("unoccluded fraction 0.")
    assert evidence(late_start) == "within the first 11 frames of the gt track"
    assert evidence(early_end) == "within the last 11 frames of the gt track"
    assert "move by 0.30 heights" in evidence(camera_motion)
    assert evidence(badly_localized) == "IoU with a free result box is only 0.33 for 10 frames"
    assert evidence(badly_localized, "false_positive").endswith("is only 0.33 for 10 frames")
    # Eight boxes of 0.25 before the gap, one of 0.9 after it.
    assert evidence(low_score) == (
        "mean score 0.32 around the gap; 90 % of the boxes have at least 0.90"
    )
    assert evidence(unexplained_miss).endswith("1.00 for 10 frames; no free result box overlaps")
    assert "in 48 frames" in evidence(gap_in_gt)


def test_swapped_ids():
    scenario = Scenario()
    scenario.rename(11, 99, 60)
    scenario.rename(12, 11, 60)
    scenario.rename(99, 12, 60)
    first, second = (error for error in scenario.errors() if error.kind == "switch")
    assert first.cause == second.cause == "id swap"
    assert (first.gt_id, first.result_id, first.other_id) == (1, 12, 11)
    assert first.evidence == "ids swapped with gt track 2"
    assert second.evidence == "ids swapped with gt track 1"
    assert (first.first_frame, first.last_frame, first.frames) == (59, 60, 0)


def test_an_id_that_moves_to_another_track():
    scenario = Scenario()
    scenario.rename(11, 21, 60)
    scenario.rename(12, 11, 65)
    found = {error.gt_id: error for error in scenario.errors() if error.kind == "switch"}
    assert found[1].cause == found[2].cause == "id swap"
    assert found[1].evidence == "id 11 went to gt track 2 in frame 65"
    assert found[2].evidence == "id 11 was on gt track 1 until frame 59"


def test_a_swap_while_the_other_track_is_occluded():
    scenario = Scenario()
    scenario.rename(11, 99, 60)
    scenario.rename(12, 11, 60)
    scenario.rename(99, 12, 60)
    scenario.visibility = np.ones(len(scenario.gt))
    scenario.visibility[scenario.where(scenario.gt, 2, 58, 60)] = 0.25
    switches = [error for error in scenario.errors() if error.kind == "switch"]
    assert [error.cause for error in switches] == ["occlusion", "occlusion"]
    assert switches[0].evidence.startswith("gt track 2: visibility 0.25")
    assert switches[0].evidence.endswith("; ids swapped with gt track 2")


@pytest.mark.parametrize(
    ("frame", "cause"), [(5, "track start"), (60, "unexplained"), (115, "track end")]
)
def test_a_new_id(frame, cause):
    scenario = Scenario()
    scenario.rename(11, 21, frame)
    (switch,) = scenario.errors()
    assert (switch.kind, switch.cause) == ("switch", cause)


# False positives of id 13 or id 30.


def before_its_match(scenario: Scenario) -> None:
    scenario.drop("gt", 3, 1, 60)
    scenario.drop("result", 13, 1, 55)


def after_its_match(scenario: Scenario) -> None:
    scenario.drop("gt", 3, 61, LENGTH)
    scenario.drop("result", 13, 66, LENGTH)


def in_a_gap_of_its_gt_track(scenario: Scenario) -> None:
    scenario.drop("gt", 3, 50, 59)


def between_gt_tracks(scenario: Scenario) -> None:
    scenario.result[scenario.where(scenario.result, 13, 50, 59), 2] += 100.0


def badly_localized_box(scenario: Scenario) -> None:
    scenario.result[scenario.where(scenario.result, 13, 50, 59), 2] += 20.0


def duplicate_box(scenario: Scenario) -> None:
    scenario.add("result", 30, range(50, 60), 403.0)


def on_ignored_gt(scenario: Scenario) -> None:
    scenario.add("gt", 50, range(50, 60), 2000.0, flag=0)
    scenario.add("result", 30, range(50, 60), 2000.0)


def low_score_in_background(scenario: Scenario) -> None:
    scenario.add("result", 30, range(50, 60), 2000.0, flag=0.25)


def in_background(scenario: Scenario) -> None:
    scenario.add("result", 30, range(50, 60), 2000.0)


FALSE_POSITIVES = {
    "track start": before_its_match,
    "track end": after_its_match,
    "gt gap": in_a_gap_of_its_gt_track,
    "drift": between_gt_tracks,
    "localization": badly_localized_box,
    "duplicate": duplicate_box,
    "ignored gt": on_ignored_gt,
    "low score": low_score_in_background,
    "background": in_background,
}


@pytest.mark.parametrize("cause", FALSE_POSITIVES)
def test_causes_of_false_positives(cause):
    scenario = Scenario()
    FALSE_POSITIVES[cause](scenario)
    (found,) = (error for error in scenario.errors() if error.kind == "false_positive")
    assert found.cause == cause
    assert found.result_id == scenario.result[:, 1].max()
    gt_id, other_id = {"duplicate": (3, 13), "localization": (3, None)}.get(cause, (None, None))
    assert (found.gt_id, found.other_id) == (gt_id, other_id)
    assert str(found.frames) in found.evidence or cause == "low score"


def test_thresholds_are_in_seconds():
    """Ten frames are within the start of a track at 30 fps, not at 5."""
    scenario = Scenario()
    late_start(scenario)
    assert [error.cause for error in scenario.errors(fps=30)] == ["track start"]
    assert [error.cause for error in scenario.errors(fps=5)] == ["unexplained"]


def test_equal_scores_are_never_low():
    scenario = Scenario()
    scenario.result[:, 6] = 0.1
    unexplained_miss(scenario)
    in_background(scenario)
    scenario.result[:, 6] = 0.1
    assert {error.cause for error in scenario.errors()} == {"unexplained", "background"}


@pytest.mark.parametrize("keep", ["gt", "result", "neither"])
def test_empty_gt_or_result(keep):
    scenario = Scenario()
    for name in {"gt", "result"} - {keep}:
        setattr(scenario, name, np.zeros((0, 8)))
    errors = scenario.errors()
    expected = {"gt": ["miss"] * 3, "result": ["false_positive"] * 3, "neither": []}[keep]
    assert [error.kind for error in errors] == expected
    assert all(error.frames == LENGTH for error in errors)


def test_occluded_fractions_equal_pixel_masks():
    rng = np.random.default_rng(1)
    corner, size = rng.integers(0, 60, (40, 2)), 8 * rng.integers(1, 8, (40, 2))
    frames, ones = rng.integers(1, 4, 40), np.ones(40)
    table = np.column_stack([frames, np.arange(40), corner, size, rng.random(40) < 0.9, ones])
    fractions = occluded_fractions(as_rows(table), 3)
    for row, (frame, _, x, y, w, h, _, _) in enumerate(table.astype(int).tolist()):
        mask = np.zeros((200, 200), bool)
        for other, _, left, top, width, height, flag, _ in table.astype(int).tolist():
            if other == frame and flag and top + height > y + h:
                mask[top : top + height, left : left + width] = True
        expected = mask[y : y + h, x : x + w].mean() if table[row, 6] else 0
        assert fractions[row] == pytest.approx(expected, abs=0.07)


def test_the_csv_table():
    scenario = Scenario()
    badly_localized(scenario)
    scenario.rename(12, 22, 60)
    errors = scenario.errors()
    rows = list(csv.DictReader(io.StringIO(errors_as_csv({'one, "two"': errors, "none": []}))))
    assert [row["kind"] for row in rows] == [error.kind for error in errors]
    assert {row["sequence"] for row in rows} == {'one, "two"'}
    for row, error in zip(rows, errors, strict=True):
        assert (row["cause"], row["evidence"]) == (error.cause, error.evidence)
        assert int(row["frames"]) == error.frames
        assert int(row["gt_id"] or -1) == (-1 if error.gt_id is None else error.gt_id)
        if error.result_box:
            sides = ("left", "top", "width", "height")
            assert [float(row[f"result_{side}"]) for side in sides] == list(error.result_box)


def test_causes_counted_by_kind():
    scenario = Scenario()
    badly_localized(scenario)
    scenario.drop("result", 12, 70, 79)
    found = count_causes(scenario.errors())
    assert list(found) == list(KINDS)
    assert found["miss"] == {"localization": 1, "unexplained": 1}
    assert found["switch"] == {}


def test_frames_are_those_of_the_split():
    """Wherever in the sequence the split begins."""
    scenario = Scenario()
    unexplained_miss(scenario)
    world = World(as_rows(scenario.gt), as_rows(scenario.result), LENGTH)
    loaded = dataclasses.replace(loaded_of(world), first=1000)
    assert {e.first_frame for e in diagnose(loaded, matches_of(loaded)) if e.kind == "miss"} == {50}


@settings(max_examples=30, deadline=None)
@given(worlds(kinds=(1, 4, 10)))
def test_classes_are_diagnosed_separately(world):
    loaded = loaded_of(world, "bdd100k")
    classes = apply_protocol(loaded.gt, loaded.result, loaded.length, loaded.protocol)
    for matches in map(match_boxes, classes.values()):
        clear = count_matches(matches).clear
        expected = (clear.switches, clear.fragments, clear.fn, clear.fp)
        assert totals(diagnose(loaded, matches)) == expected
