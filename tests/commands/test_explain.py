"""Why a track was matched as it was: the explain_stages, and `mot explain`."""

from __future__ import annotations

import weakref
from pathlib import Path

import numpy as np
import pytest
from support.cli import complaint, mot
from support.tracking import frames, run

from mot.config import build_tracker
from mot.motfile import read_detections
from mot.trackers import TRACKERS
from mot.trackers.explain import explain_stages, find_track
from mot.trackers.stages import Stages, Trace
from mot.types import Detections, Tracks

FRAMES = 60
INF = float("inf")


@pytest.fixture(scope="module")
def crowd(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("world") / "crowd"
    flags = ("--scene", "crowd", "--seed", 3, "--frames", FRAMES, "--size", "320x240", "-q")
    assert mot("synth", *flags, "-o", folder) == 0
    return folder


def followed(folder: Path, tracker: str) -> list[Tracks]:
    """What `mot explain` sees; result i is of frame i + 1."""
    table = read_detections(folder / "det/det.txt")
    return run(tracker, [table.get(i, Detections.empty()) for i in range(1, FRAMES + 1)])


def told(capsys: pytest.CaptureFixture[str], folder: Path, *words: object) -> str:
    capsys.readouterr()
    assert mot("explain", folder, *words) == 0
    return " ".join(capsys.readouterr().out.split())


# The explain_stages


def one_stage(cost: list[list[float]], limit: float = 1.0, found: object = None) -> Trace:
    """Tracks 1, 2, ... in one matching; detections have the rows 10, 11, ..."""
    table = np.array(cost)
    trace = Trace(np.arange(1, len(table) + 1), 10 + np.arange(table.shape[1]), [])
    stages = Stages(*table.shape, trace.stages)
    everyone = np.ones(len(table), np.bool_)
    taking_part = np.ones(table.shape[1], np.bool_) if found is None else np.array(found)
    stages.match("IoU", table, limit, everyone, taking_part)
    return trace


@pytest.mark.parametrize(
    ("trace", "reason"),
    [
        (
            one_stage([[0.2, INF]]),
            "detection 10, 0.800 under the limit; there is no other candidate",
        ),
        (one_stage([[0.2, 0.5]]), "detection 10, 0.800 under the limit, and 0.300 cheaper than"),
        (
            one_stage([[0.2, 0.3], [0.1, 0.9]]),
            "detection 11, 0.700 under the limit; detection 10 was cheaper by 0.100, "
            "but went to track 2",
        ),
        (
            one_stage([[1.25, INF]]),
            "the cheapest costs 1.250, over the limit by 0.250: a limit above 1.250 would have",
        ),
        (
            one_stage([[0.4], [0.1]]),
            "detection 10 is below the limit at 0.400, but went to track 2",
        ),
        (one_stage([[INF, INF]]), "every detection is ruled out"),
        (one_stage([[0.1]], found=[False]), "no detection took part"),
        (one_stage([[]]), "no detection took part"),
    ],
)
def test_the_reason_of_a_stage(trace, reason) -> None:
    (verdict,) = explain_stages(trace, 0)
    assert verdict.reason.startswith(reason)


def test_candidates_are_the_cheapest_and_say_who_got_them() -> None:
    trace = one_stage([[0.9, 0.3, 0.5, INF], [0.9, 0.2, INF, INF]], found=[1, 1, 1, 0])
    (verdict,) = explain_stages(trace, 0)
    shown = [(c.row, c.cost, c.owner, c.chosen) for c in verdict.candidates]
    assert shown == [(11, 0.3, 2, False), (12, 0.5, 1, True), (10, 0.9, None, False)]
    assert len(next(explain_stages(trace, 0, max_candidates=2)).candidates) == 2


def test_stages_are_told_until_one_decides() -> None:
    trace = Trace(np.array([5, 0]), np.array([0]), [])
    stages = Stages(2, 1, trace.stages)
    everyone, everything = np.ones(2, np.bool_), np.ones(1, np.bool_)
    for name, limit in (("first", 0.3), ("second", 0.6), ("third", 0.9)):
        stages.match(name, np.array([[0.5], [INF]]), limit, everyone, everything)
    assert [verdict.stage for verdict in explain_stages(trace, 0)] == ["first", "second"]
    last = [*explain_stages(trace, 1)][-1]
    assert (last.stage, last.took_part) == ("third", True)


def test_a_track_that_got_its_id_in_this_frame_is_found_by_what_it_got() -> None:
    trace = one_stage([[0.1, INF], [INF, 0.2]])._replace(ids=np.array([4, 0]))
    box, one = np.zeros((2, 4)), np.ones(2)
    tracks = Tracks(np.array([4, 9]), box, one, one, np.array([10, 11]))
    assert [find_track(trace, tracks, number) for number in (4, 9, 7)] == [0, 1, None]


# Costs nothing when not asked for


@pytest.mark.parametrize("tracker", TRACKERS)
def test_nothing_is_kept_when_not_asked_for(tracker) -> None:
    follower = build_tracker(tracker)
    box = Detections.from_boxes([1, 1, 20, 40], embeddings=np.ones((1, 4)))
    for _, frame in zip(range(9), frames(), strict=False):
        follower.update(box, frame)
    assert follower.trace is None
    follower.trace = []
    follower.update(box, frame)
    assert [len(trace.ids) for trace in follower.trace] == [1]


@pytest.mark.parametrize(("record", "kept"), [(None, False), ([], True)])
def test_stages_keep_costs_where_there_is_a_record_alone(record, kept) -> None:
    stages, cost = Stages(2, 2, record), np.zeros((2, 2))
    alive = weakref.ref(cost)
    stages.match("IoU", cost, 1.0, np.ones(2, np.bool_), np.ones(2, np.bool_))
    del cost
    assert (alive() is not None) == kept


# The command


@pytest.mark.parametrize("tracker", ["best", "sort", "bytetrack", "ocsort", "cbiou", "boosttrack"])
def test_a_matched_track(crowd, capsys, tracker) -> None:
    tracks = followed(crowd, tracker)[39]
    number, row = int(tracks.ids[0]), int(tracks.detections[0])
    words = ("--tracker", tracker, "--frame", 40, "--id", number)
    text = told(capsys, crowd, *words)
    assert text.startswith(f"Frame 40, track {number}: got detection {row} ")
    assert "chosen" in text
    assert f"detection {row}, " in text
    assert "under the limit" in text


@pytest.mark.parametrize("tracker", ["deepsort", "strongsort", "fairmot", "botsort"])
def test_embeddings_and_camera_are_taken_into_account(crowd, capsys, tmp_path, tracker) -> None:
    motion = tmp_path / "gmc.txt"
    motion.write_text("".join(f"{i} 1 0 0 0 1 0\n" for i in range(FRAMES)))
    words = ("--embeddings", crowd / "det/embeddings.npy", "--camera", motion)
    text = told(capsys, crowd, *words, "--tracker", tracker, "--frame", 20, "--id", 1)
    assert text.startswith("Frame 20, track 1: got ")


def test_a_lost_track_is_told_what_it_missed(crowd, capsys) -> None:
    results = [set(tracks.ids.tolist()) for tracks in followed(crowd, "bytetrack")]
    frame, number = next(
        (index, min(gone))
        for index in range(2, FRAMES)
        if (gone := results[index - 2] - results[index - 1])
    )
    words = ("--tracker", "bytetrack", "--frame", frame, "--id", number)
    text = told(capsys, crowd, *words)
    assert text.startswith(f"Frame {frame}, track {number}: got no detection high scores: limit")
    assert "low scores: limit 0.5" in text


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--frame", 20, "--id", 999), "track 999 is not alive in frame 20; alive: "),
        (("--frame", 1, "--id", 1), "track 1 starts in frame 1: there was nothing to match"),
        (("--frame", 999, "--id", 1), "has no frame 999"),
        (("--frame", 20, "--id", 1, "--tracker", "srot"), "did you mean 'sort'?"),
        (
            ("--frame", 20, "--id", 1, "--tracker", "deepsort", "--embedder", "none"),
            "needs the embeddings",
        ),
        (("--frame", 20, "--id", 1, "--camera", "none.txt"), "none.txt: no such file"),
        (("--frame", 20, "--id", 1, "--embeddings", "none.npy"), "none.npy: no such file"),
        (("--frame", 20, "--id", 1, "--set", "tracker.x=1"), "unknown setting 'x'"),
        (("--frame", 0, "--id", 1), "not in the range"),
        (("--frame", 2), "Missing option '--id'"),
    ],
    ids=lambda value: " ".join(map(str, value)) if isinstance(value, tuple) else "",
)
def test_what_cannot_be_explained_is_said_in_a_line(crowd, capsys, words, said) -> None:
    assert said in complaint(capsys, "explain", crowd, *words)


def test_a_track_born_in_the_frame_had_nothing_to_match(crowd, capsys) -> None:
    """SORT reports whom it sees first at once, in the first frames."""
    before, after = (set(tracks.ids.tolist()) for tracks in followed(crowd, "sort")[:2])
    number = min(after - before)
    words = ("--tracker", "sort", "--frame", 2, "--id", number)
    assert f"track {number} starts in frame 2" in complaint(capsys, "explain", crowd, *words)


def test_an_empty_frame(tmp_path, capsys) -> None:
    (tmp_path / "bare/det").mkdir(parents=True)
    rows = (f"{i},-1,{100 + i},100,40,80,0.9\n" for i in (*range(1, 10), 12))
    (tmp_path / "bare/det/det.txt").write_text("".join(rows))
    text = told(capsys, tmp_path / "bare", "--frame", 11, "--id", 1)
    assert text.startswith("Frame 11, track 1: got no detection")
    assert "no detection took part in this stage" in text


def handmade(costs: list[list[float]], limit: float = 0.9) -> Trace:
    """One stage over all tracks, called 1, 2, ..., and all detections."""
    cost = np.array(costs)
    trace = Trace(np.arange(1, len(cost) + 1), np.arange(cost.shape[1]), [])
    Stages(*cost.shape, trace.stages).match("only", cost, limit)
    return trace


@pytest.mark.parametrize(
    ("costs", "said"),
    [
        ([[0.2], [0.95]], "all detections within the gates went to other tracks"),
        (
            [[0.2, np.inf], [0.95, 0.97]],
            "above 0.970 would have let detection 1, which no track got",
        ),
        ([[np.inf], [0.95]], "a limit above 0.950 would have let it be matched"),
        ([[0.2], [0.3]], "went to track 1: this minimizes"),
        ([[0.2], [np.inf]], "ruled out by a gate"),
    ],
)
def test_what_would_have_had_to_differ_is_true(costs, said) -> None:
    trace = handmade(costs)
    (verdict,) = explain_stages(trace, 1)
    assert said in verdict.reason


def test_the_chosen_one_is_shown_however_many_are_cheaper() -> None:
    """Seven tracks share seven detections; the last one's own is its dearest."""
    costs = np.full((7, 7), 0.8) - np.eye(7) * 0.7
    costs[6, :6], costs[6, 6] = 0.05, 0.85
    costs[np.arange(6), np.arange(6)] = 0.0
    costs[:6, 6] = np.inf
    (verdict,) = explain_stages(handmade(costs.tolist()), 6, max_candidates=3)
    assert [candidate.row for candidate in verdict.candidates if candidate.chosen] == [6]
