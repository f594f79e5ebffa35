"""Post-processing: interpolation, smoothing, merging, and dropping of short tracks."""

from __future__ import annotations

from dataclasses import fields

import numpy as np
import numpy.typing as npt
import pytest
from support.tracking import as_lists, frames, run, world

from mot.trackers.postprocess import (
    STEPS,
    Trajectories,
    drop_short,
    interpolate,
    merge,
    smooth,
    to_frames,
    to_trajectories,
)

Array = npt.NDArray[np.float64]
BOX = np.array([100.0, 100, 140, 200])


def path(
    number: int, at: npt.ArrayLike, speed: float = 2.0, start: float = 0.0, label: int = 0
) -> Trajectories:
    """A track detected in the frames `at`, on a straight line through `start` in frame 0."""
    times = np.asarray(at, np.int64)
    xyxy = BOX + np.outer(start + times * speed, [1, 0, 1, 0])
    ids, labels = (np.full(len(times), value) for value in (number, label))
    return Trajectories(ids, times, xyxy, np.ones(len(times)), labels, np.zeros(len(times), int))


def joined(*parts: Trajectories) -> Trajectories:
    names = [field.name for field in fields(Trajectories)]
    return Trajectories(*(np.concatenate([getattr(p, name) for p in parts]) for name in names))


def columns(result: Trajectories) -> list[list]:
    return [getattr(result, field.name).tolist() for field in fields(result)]


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("result", [to_trajectories([]), path(3, [5])], ids=["empty", "one box"])
def test_empty_and_single_box_results(step, result) -> None:
    processed = STEPS[step](result, {})
    expected = to_trajectories([]) if step == "short" else result
    assert columns(processed) == columns(expected)
    assert len(to_frames(processed)) == len(set(processed.frames.tolist()))


def test_to_trajectories_and_to_frames_are_inverse() -> None:
    results = run("deepsort", world())
    table = to_trajectories(
        (frame.index, tracks) for frame, tracks in zip(frames(), results, strict=False)
    )
    order = np.lexsort((table.frames, table.ids))
    assert order.tolist() == [*range(len(order))]
    again = to_frames(table)
    for index, tracks in enumerate(results, 1):
        if len(tracks):
            assert as_lists([again[index]]) == as_lists([tracks[np.argsort(tracks.ids)]])
        else:
            assert index not in again


# Linear


def test_a_gap_is_filled_with_a_straight_line() -> None:
    broken = Trajectories(
        ids=np.array([1, 1, 2]),
        frames=np.array([1, 4, 6]),
        xyxy=np.array([[0.0, 0, 10, 20], [3, 6, 16, 32], [9, 9, 10, 10]]),
        scores=np.array([0.4, 1.0, 0.5]),
        labels=np.array([7, 7, 8]),
        rows=np.array([2, 0, 1]),
    )
    ids, numbers, xyxy, scores, labels, rows = columns(interpolate(broken))
    assert ids == [1, 1, 1, 1, 2]
    assert numbers == [1, 2, 3, 4, 6]
    np.testing.assert_allclose(xyxy[1:3], [[1, 2, 12, 24], [2, 4, 14, 28]])
    np.testing.assert_allclose(scores, [0.4, 0.6, 0.8, 1.0, 0.5])
    assert labels == [7, 7, 7, 7, 8]
    assert rows == [2, -1, -1, 0, 1]


@pytest.mark.parametrize(("missing", "added"), [(0, 0), (1, 1), (20, 20), (21, 0), (500, 0)])
def test_long_gaps_are_not_filled(missing, added) -> None:
    result = joined(path(1, [1, 2, 3 + missing, 4 + missing]), path(2, [1, 900]))
    assert len(interpolate(result).ids) == 6 + added


def test_the_given_result_is_unchanged() -> None:
    result = joined(path(1, [1, 2, 5, 6]), path(2, [9, 10, 11, 14]))
    before = columns(result)
    for step in STEPS.values():
        step(result, {})
    assert columns(result) == before


# Gaussian smoothing


@pytest.mark.parametrize("length", [30, 599, 1500])
def test_smoothing_reduces_noise(length) -> None:
    clean = path(1, np.arange(1, length + 1))
    noise = np.random.default_rng(1).normal(0, 2, clean.xyxy.shape)
    noisy = Trajectories(*(getattr(clean, f.name) for f in fields(clean)))
    noisy.xyxy[:] += noise
    truth = path(1, np.arange(1, length + 1)).xyxy
    smoothed = smooth(noisy)
    assert smoothed.frames.tolist() == noisy.frames.tolist()
    assert np.abs(smoothed.xyxy - truth).mean() < 0.6 * np.abs(noise).mean()
    assert np.abs(np.diff(smoothed.xyxy - truth, axis=0)).max() < 2


def test_smoothing_follows_a_curve() -> None:
    times = np.arange(1, 200)
    bent = path(1, times, speed=0)
    bent.xyxy[:] += 60 * np.sin(times / 25)[:, None]
    np.testing.assert_allclose(smooth(bent).xyxy, bent.xyxy, atol=3)


def test_gsi_fills_gaps_too() -> None:
    filled = STEPS["gsi"](path(1, [*range(1, 20), *range(25, 40)]), {})
    assert filled.frames.tolist() == [*range(1, 40)]
    np.testing.assert_allclose(filled.xyxy, path(1, filled.frames).xyxy, atol=0.5)


@pytest.mark.parametrize("size", [0.0, 1e-6])
def test_boxes_without_area_are_smoothed(size) -> None:
    corner = 50 * np.sin(np.arange(40) / 5)[:, None] * np.ones(2)
    xyxy = np.concatenate([corner, corner + size], axis=1)
    empty = Trajectories(*(getattr(path(1, range(40)), f.name) for f in fields(Trajectories)))
    empty.xyxy[:] = xyxy
    smoothed = smooth(empty).xyxy
    assert np.isfinite(smoothed).all()
    assert (smoothed[:, 2:] >= smoothed[:, :2]).all()


# Merging


FIRST = path(1, range(1, 30))


@pytest.mark.parametrize("gap", [1, 10, 40])
def test_a_fragmented_track_is_merged(gap) -> None:
    merged = merge(joined(FIRST, path(5, range(29 + gap, 80))))
    assert set(merged.ids.tolist()) == {1}
    assert len(merged.ids) == 29 + 51 - gap


def test_several_fragments_are_merged() -> None:
    pieces = [path(number, range(20 * number, 20 * number + 15)) for number in (1, 2, 3, 4)]
    assert set(merge(joined(*pieces)).ids.tolist()) == {1}


@pytest.mark.parametrize(
    "second",
    [
        path(2, range(20, 60)),
        path(2, range(29, 60)),
        path(2, range(120, 160)),
        path(2, range(40, 80), start=200),
        path(2, range(40, 80), speed=-6, start=320),
        path(2, range(40, 80), label=1),
    ],
    ids=["overlaps", "shares a frame", "much later", "elsewhere", "reverses", "another class"],
)
def test_tracks_that_do_not_continue_are_not_merged(second) -> None:
    apart = joined(FIRST, second)
    assert columns(merge(apart)) == columns(apart)


def test_the_nearer_of_two_continuations_is_merged() -> None:
    near, far = path(2, range(35, 80), start=2), path(3, range(35, 80), start=12)
    assert set(merge(joined(FIRST, near, far)).ids.tolist()) == {1, 3}


def test_embeddings_forbid_or_allow_a_merge() -> None:
    """The second starts beside the first's path: too far, unless the embeddings are similar."""
    second = path(5, range(35, 80), start=40)
    apart = joined(FIRST, second)
    assert set(merge(apart).ids.tolist()) == {1, 5}
    similar = {1: np.array([1.0, 0.1]), 5: np.array([9.0, 1.0])}
    assert set(merge(apart, similar).ids.tolist()) == {1}
    straight = joined(FIRST, path(5, range(35, 80)))
    different = {1: np.array([1.0, 0.0]), 5: np.array([0.0, 1.0])}
    assert set(merge(straight).ids.tolist()) == {1}
    assert set(merge(straight, different).ids.tolist()) == {1, 5}


# Short tracks


@pytest.mark.parametrize(("min_frames", "kept"), [(1, [1, 2, 3]), (5, [2, 3]), (6, [3]), (99, [])])
def test_short_tracks_are_dropped(min_frames, kept) -> None:
    result = joined(path(1, range(4)), path(2, range(5)), path(3, range(30)))
    assert sorted(set(drop_short(result, min_frames).ids.tolist())) == kept
