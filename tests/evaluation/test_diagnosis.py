"""Every mistake found once, and each cause where it is the truth."""

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

from mot.evaluation.diagnosis.with_gt.diagnosis import KINDS, Event, as_csv, causes, diagnose
from mot.evaluation.diagnosis.with_gt.features import covered
from mot.evaluation.entries import Entry, Truth, pair_up
from mot.evaluation.loading import Loaded, load
from mot.evaluation.protocols import PROTOCOLS, prepare
from mot.evaluation.score import Matches, count, match

FPS, LENGTH = 30.0, 120
WIDTH, HEIGHT = 40, 100


def loaded_of(world: World, protocol: str = "mot17", fps: float = FPS) -> Loaded:
    entry = Entry("a", Truth("a", Path("gt.txt"), world.length, fps), Path("a.txt"))
    return Loaded(entry, PROTOCOLS[protocol], world.truth, world.result, world.length, 1)


def matches_of(loaded: Loaded) -> Matches:
    scenes = prepare(loaded.truth, loaded.result, loaded.length, loaded.protocol)
    return match(next(iter(scenes.values())))


def events_of(world: World, protocol: str = "mot17", fps: float = FPS) -> list[Event]:
    loaded = loaded_of(world, protocol, fps)
    return diagnose(loaded, matches_of(loaded))


def totals(events: list[Event]) -> tuple[int, int, int, int]:
    """IDSW, Frag, FN and FP as the events have them."""
    number = Counter(event.kind for event in events)
    frames: Counter[str] = Counter()
    for event in events:
        frames[event.kind] += event.frames
    return number["switch"], number["fragment"], frames["miss"], frames["false_alarm"]


def assert_as_trackeval(world: World) -> None:
    (theirs,), _ = trackeval_in_memory([world])
    names = ("IDSW", "Frag", "CLR_FN", "CLR_FP")
    assert totals(events_of(world)) == tuple(int(theirs["CLEAR"][name]) for name in names)


@settings(max_examples=60, deadline=None)
@given(worlds())
def test_the_mistakes_are_those_that_trackeval_counts(world):
    assert_as_trackeval(world)


@pytest.mark.parametrize("seed", range(25))
def test_so_they_are_in_crowds_and_walks(seed):
    assert_as_trackeval(crowd(seed, 6, 8))
    assert_as_trackeval(walk(seed, 5, 9, frames=20))


@pytest.mark.parametrize("seed", range(10))
def test_runs_are_whole_and_cover_what_is_unmatched(seed):
    loaded = loaded_of(walk(seed, 5, 9, frames=30), "plain")
    matches = matches_of(loaded)
    scene, events = matches.scene, diagnose(loaded, matches)
    for kind, side, ends in (
        ("miss", scene.truth, scene.pairs.truth),
        ("false_alarm", scene.result, scene.pairs.result),
    ):
        matched = set(ends[matches.clear.pairs].tolist())
        lonely: dict[int, list[list[int]]] = {}
        for person in range(side.people):
            runs, last = lonely.setdefault(int(side.names[person]), []), True
            for box in np.flatnonzero(side.ids == person).tolist():  # in the order of the frames
                if box not in matched:
                    runs += [[]] * last
                    runs[-1] = [*runs[-1], int(side.frames[box]) + 1]
                last = box in matched
        expected = {
            (number, run[0], run[-1], len(run)) for number, runs in lonely.items() for run in runs
        }
        own = {"miss": "truth_id", "false_alarm": "result_id"}[kind]
        found = [
            (getattr(e, own), e.first_frame, e.last_frame, e.frames)
            for e in events
            if e.kind == kind
        ]
        assert len(found) == len(set(found)) and set(found) == expected


@pytest.mark.parametrize("name", ["MOT17-05", "MOT17-13"])
def test_real_detections_as_a_result(shared, tmp_path, name):
    """Neighbouring detections take turns under few ids: thousands of mistakes of all kinds."""
    folder = shared / "data/mot17" / name
    rows = np.loadtxt(folder / "det/FRCNN.txt", delimiter=",")
    rows = rows[np.lexsort((rows[:, 2], rows[:, 0]))]
    rank = np.arange(len(rows)) - np.searchsorted(rows[:, 0], rows[:, 0])
    rows[:, 1] = rank + 1
    np.savetxt(tmp_path / f"{name}.txt", rows, fmt="%g", delimiter=",")
    loaded = load(pair_up(tmp_path / f"{name}.txt", folder)[0])
    matches = matches_of(loaded)
    clear, events = count(matches).clear, diagnose(loaded, matches)
    assert totals(events) == (clear.switches, clear.fragments, clear.fn, clear.fp)
    assert min(totals(events)) > 30
    assert [event.frame for event in events] == sorted(event.frame for event in events)
    boxes = {
        (frame, number): tuple(box)
        for frame, number, box in zip(
            loaded.truth.frames.tolist(),
            loaded.truth.ids.tolist(),
            loaded.truth.xywh.tolist(),
            strict=True,
        )
    }
    for event in events:
        if event.truth_id is not None:
            assert event.truth_box == boxes[event.frame, event.truth_id]
        assert (event.truth_box is None) == (event.truth_id is None)
        assert (event.result_box is None) == (event.result_id is None)
        assert event.evidence


# Worlds in which the cause of a mistake is known. People stand side by side, all of them followed.


class SequencePairs:
    def __init__(self, people: int = 3) -> None:
        frame, person = np.divmod(np.arange(LENGTH * people), people)
        size = np.full(len(frame), WIDTH), np.full(len(frame), HEIGHT)
        place = 200.0 * person, np.full(len(frame), 300.0)
        ones = np.ones(len(frame))
        self.truth = np.column_stack([frame + 1, person + 1, *place, *size, ones, ones])
        self.result = self.truth.copy()
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

    def events(self, fps: float = FPS) -> list[Event]:
        truth = as_rows(self.truth)
        if self.visibility is not None:
            truth = dataclasses.replace(truth, visibility=self.visibility)
        return events_of(World(truth, as_rows(self.result), LENGTH), fps=fps)


def hidden_by_the_column(scene: SequencePairs) -> None:
    scene.drop("result", 11, 50, 59)
    scene.visibility = np.ones(len(scene.truth))
    scene.visibility[scene.where(scene.truth, 1, 50, 57)] = 0.125


def hidden_behind_two(scene: SequencePairs) -> None:
    """Neither of them hides half of the person; both together do."""
    scene.drop("result", 11, 50, 59)
    for number, shift in ((8, -25.0), (9, 25.0)):
        for side, own in (("truth", number), ("result", number + 10)):
            scene.add(side, own, range(1, LENGTH + 1), 1000.0 + number * 100)
            scene_table = getattr(scene, side)
            rows = scene.where(scene_table, own, 50, 59)
            scene_table[rows, 2:4] = shift, 305.0


def late(scene: SequencePairs) -> None:
    scene.drop("result", 11, 1, 10)


def gone_early(scene: SequencePairs) -> None:
    scene.drop("result", 11, 111, LENGTH)


def shaken(scene: SequencePairs) -> None:
    for table in (scene.truth, scene.result):
        table[table[:, 0] >= 50, 2] += 30.0
    scene.drop("result", 11, 50, 53)


def misplaced(scene: SequencePairs) -> None:
    scene.result[scene.where(scene.result, 11, 50, 59), 2] += 20.0  # an overlap of 1/3


def unsure(scene: SequencePairs) -> None:
    scene.result[:, 6] = 0.9
    scene.result[scene.where(scene.result, 11, 40, 49), 6] = 0.25
    scene.drop("result", 11, 50, 59)


def simply_missed(scene: SequencePairs) -> None:
    scene.drop("result", 11, 50, 59)


def left_out(scene: SequencePairs) -> None:
    scene.drop("truth", 1, 52, 99)
    scene.drop("result", 11, 50, 99)


GAPS: dict[str, list[Callable[[SequencePairs], None]]] = {
    "occlusion": [hidden_by_the_column, hidden_behind_two],
    "birth": [late],
    "death": [gone_early],
    "camera motion": [shaken],
    "localisation": [misplaced],
    "low score": [unsure],
    "unexplained": [simply_missed],
    "absence": [left_out],
}


@pytest.mark.parametrize(
    ("cause", "happen"), [(cause, happen) for cause, every in GAPS.items() for happen in every]
)
def test_the_cause_of_a_miss_and_of_its_fragment(cause, happen):
    scene = SequencePairs(people=8 if happen is shaken else 3)
    happen(scene)
    events = [event for event in scene.events() if event.truth_id == 1]
    (miss,) = (event for event in events if event.kind == "miss")
    assert (miss.cause, miss.other_id) == (cause, None if happen is late else 11)
    fragments = [event for event in events if event.kind == "fragment"]
    assert [event.cause for event in fragments] == [cause] * (cause not in ("birth", "death"))
    for fragment in fragments:
        assert fragment.first_frame == miss.first_frame - 1
        assert fragment.frames == miss.frames
        assert (fragment.result_id, fragment.other_id) == (11, 11)


@pytest.mark.parametrize("happen", [left_out, *(h for h in GAPS["occlusion"]), unsure, shaken])
def test_the_cause_of_a_switch_after_a_gap(happen):
    scene = SequencePairs(people=8 if happen is shaken else 3)
    happen(scene)
    scene.rename(11, 21, 50)
    (switch,) = (event for event in scene.events() if event.kind == "switch")
    assert happen in GAPS[switch.cause]
    assert (switch.truth_id, switch.result_id, switch.other_id) == (1, 21, 11)
    assert switch.first_frame == 49 and switch.frame == switch.last_frame


def test_evidence_has_the_numbers():
    def evidence(happen: Callable[[SequencePairs], None], kind: str = "miss") -> str:
        scene = SequencePairs(people=8 if happen is shaken else 3)
        happen(scene)
        return next(event.evidence for event in scene.events() if event.kind == kind)

    assert evidence(hidden_by_the_column) == "visibility 0.12 in 8 of 10 frames"
    assert evidence(hidden_behind_two).startswith("share not behind others 0.")
    assert evidence(late) == "within the person's first 11 frames"
    assert evidence(gone_early) == "within the person's last 11 frames"
    assert "moves by 0.30 heights" in evidence(shaken)
    assert evidence(misplaced) == "a box overlaps by only 0.33 for 10 frames"
    assert evidence(misplaced, "false_alarm").endswith("by only 0.33 for 10 frames")
    # Eight boxes of 0.25 before the gap, one of 0.9 after it.
    assert evidence(unsure) == "score 0.32 around it; nine in ten of the boxes have 0.90 or more"
    assert evidence(simply_missed).endswith("1.00 for 10 frames with no free box near")
    assert "for 48 frames" in evidence(left_out)


def test_ids_that_are_exchanged():
    scene = SequencePairs()
    scene.rename(11, 99, 60)
    scene.rename(12, 11, 60)
    scene.rename(99, 12, 60)
    first, second = (event for event in scene.events() if event.kind == "switch")
    assert first.cause == second.cause == "exchange"
    assert (first.truth_id, first.result_id, first.other_id) == (1, 12, 11)
    assert first.evidence == "ids exchanged with person 2"
    assert second.evidence == "ids exchanged with person 1"
    assert (first.first_frame, first.last_frame, first.frames) == (59, 60, 0)


def test_an_id_that_is_taken_over():
    scene = SequencePairs()
    scene.rename(11, 21, 60)
    scene.rename(12, 11, 65)
    found = {event.truth_id: event for event in scene.events() if event.kind == "switch"}
    assert found[1].cause == found[2].cause == "exchange"
    assert found[1].evidence == "id 11 went to person 2 in frame 65"
    assert found[2].evidence == "id 11 was person 1's until frame 59"


def test_an_exchange_because_the_other_one_was_hidden():
    scene = SequencePairs()
    scene.rename(11, 99, 60)
    scene.rename(12, 11, 60)
    scene.rename(99, 12, 60)
    scene.visibility = np.ones(len(scene.truth))
    scene.visibility[scene.where(scene.truth, 2, 58, 60)] = 0.25
    switches = [event for event in scene.events() if event.kind == "switch"]
    assert [event.cause for event in switches] == ["occlusion", "occlusion"]
    assert switches[0].evidence.startswith("person 2: visibility 0.25")
    assert switches[0].evidence.endswith("; ids exchanged with person 2")


@pytest.mark.parametrize(("frame", "cause"), [(5, "birth"), (60, "unexplained"), (115, "death")])
def test_a_new_id_out_of_nothing(frame, cause):
    scene = SequencePairs()
    scene.rename(11, 21, frame)
    (switch,) = scene.events()
    assert (switch.kind, switch.cause) == ("switch", cause)


# False alarms: what the id 13 or the id 30 does in frames in which it is on nobody.


def before_its_match(scene: SequencePairs) -> None:
    scene.drop("truth", 3, 1, 60)
    scene.drop("result", 13, 1, 55)


def after_its_match(scene: SequencePairs) -> None:
    scene.drop("truth", 3, 61, LENGTH)
    scene.drop("result", 13, 66, LENGTH)


def while_its_person_is_away(scene: SequencePairs) -> None:
    scene.drop("truth", 3, 50, 59)


def on_its_way(scene: SequencePairs) -> None:
    scene.result[scene.where(scene.result, 13, 50, 59), 2] += 100.0


def off_its_person(scene: SequencePairs) -> None:
    scene.result[scene.where(scene.result, 13, 50, 59), 2] += 20.0


def beside_another_id(scene: SequencePairs) -> None:
    scene.add("result", 30, range(50, 60), 403.0)


def on_what_does_not_count(scene: SequencePairs) -> None:
    scene.add("truth", 50, range(50, 60), 2000.0, flag=0)
    scene.add("result", 30, range(50, 60), 2000.0)


def weakly_somewhere(scene: SequencePairs) -> None:
    scene.add("result", 30, range(50, 60), 2000.0, flag=0.25)


def anywhere(scene: SequencePairs) -> None:
    scene.add("result", 30, range(50, 60), 2000.0)


FALSE_ALARMS = {
    "birth": before_its_match,
    "death": after_its_match,
    "absence": while_its_person_is_away,
    "drift": on_its_way,
    "localisation": off_its_person,
    "duplicate": beside_another_id,
    "unscored": on_what_does_not_count,
    "low score": weakly_somewhere,
    "background": anywhere,
}


@pytest.mark.parametrize("cause", FALSE_ALARMS)
def test_the_cause_of_a_false_alarm(cause):
    scene = SequencePairs()
    FALSE_ALARMS[cause](scene)
    (alarm,) = (event for event in scene.events() if event.kind == "false_alarm")
    assert alarm.cause == cause
    assert alarm.result_id == scene.result[:, 1].max()
    person, owner = {"duplicate": (3, 13), "localisation": (3, None)}.get(cause, (None, None))
    assert (alarm.truth_id, alarm.other_id) == (person, owner)
    assert str(alarm.frames) in alarm.evidence or cause == "low score"


def test_seconds_count_not_frames():
    """Ten frames without a box are a slow start at 5 frames a second, not at 30."""
    scene = SequencePairs()
    late(scene)
    assert [event.cause for event in scene.events(fps=30)] == ["birth"]
    assert [event.cause for event in scene.events(fps=5)] == ["unexplained"]


def test_equal_scores_are_never_low():
    scene = SequencePairs()
    scene.result[:, 6] = 0.1
    simply_missed(scene)
    anywhere(scene)
    scene.result[:, 6] = 0.1
    assert {event.cause for event in scene.events()} == {"unexplained", "background"}


@pytest.mark.parametrize("keep", ["truth", "result", "neither"])
def test_one_side_alone(keep):
    scene = SequencePairs()
    for side in {"truth", "result"} - {keep}:
        setattr(scene, side, np.zeros((0, 8)))
    events = scene.events()
    expected = {"truth": ["miss"] * 3, "result": ["false_alarm"] * 3, "neither": []}[keep]
    assert [event.kind for event in events] == expected
    assert all(event.frames == LENGTH for event in events)


def test_covered_is_what_a_mask_of_pixels_has():
    chance = np.random.default_rng(1)
    corner, size = chance.integers(0, 60, (40, 2)), 8 * chance.integers(1, 8, (40, 2))
    frames, ones = chance.integers(1, 4, 40), np.ones(40)
    table = np.column_stack([frames, np.arange(40), corner, size, chance.random(40) < 0.9, ones])
    shares = covered(as_rows(table), 3)
    for row, (frame, _, x, y, w, h, _, _) in enumerate(table.astype(int).tolist()):
        mask = np.zeros((200, 200), bool)
        for other, _, left, top, width, height, flag, _ in table.astype(int).tolist():
            if other == frame and flag and top + height > y + h:
                mask[top : top + height, left : left + width] = True
        expected = mask[y : y + h, x : x + w].mean() if table[row, 6] else 0
        assert shares[row] == pytest.approx(expected, abs=0.07)


def test_the_table_reads_back():
    scene = SequencePairs()
    misplaced(scene)
    scene.rename(12, 22, 60)
    events = scene.events()
    rows = list(csv.DictReader(io.StringIO(as_csv({'one, "two"': events, "none": []}))))
    assert [row["kind"] for row in rows] == [event.kind for event in events]
    assert {row["sequence"] for row in rows} == {'one, "two"'}
    for row, event in zip(rows, events, strict=True):
        assert (row["cause"], row["evidence"]) == (event.cause, event.evidence)
        assert int(row["frames"]) == event.frames
        assert int(row["truth_id"] or -1) == (-1 if event.truth_id is None else event.truth_id)
        if event.result_box:
            sides = ("left", "top", "width", "height")
            assert [float(row[f"result_{side}"]) for side in sides] == list(event.result_box)


def test_causes_are_counted_by_kind():
    scene = SequencePairs()
    misplaced(scene)
    scene.drop("result", 12, 70, 79)
    found = causes(scene.events())
    assert list(found) == list(KINDS)
    assert found["miss"] == {"localisation": 1, "unexplained": 1}
    assert found["switch"] == {}


def test_a_split_has_its_own_frames():
    """Those of the rows it was cut to, wherever in the sequence it begins."""
    scene = SequencePairs()
    simply_missed(scene)
    world = World(as_rows(scene.truth), as_rows(scene.result), LENGTH)
    loaded = dataclasses.replace(loaded_of(world), first=1000)
    assert {e.first_frame for e in diagnose(loaded, matches_of(loaded)) if e.kind == "miss"} == {50}


@settings(max_examples=30, deadline=None)
@given(worlds(kinds=(1, 4, 10)))
def test_each_class_has_its_own_mistakes(world):
    loaded = loaded_of(world, "bdd100k")
    scenes = prepare(loaded.truth, loaded.result, loaded.length, loaded.protocol)
    for matches in map(match, scenes.values()):
        clear = count(matches).clear
        expected = (clear.switches, clear.fragments, clear.fn, clear.fp)
        assert totals(diagnose(loaded, matches)) == expected
