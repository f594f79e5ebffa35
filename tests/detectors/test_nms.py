"""NMS equals torchvision's, OpenCV's soft NMS, and plain loops written from the papers."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from mot import boxes as geometry
from mot.detectors import nms as module
from mot.detectors.nms import KINDS, NmsSettings, RankedBoxes, nms
from mot.types import Detections

quick = settings(deadline=None, max_examples=150)
ALL = NmsSettings(max_detections=10**6, max_candidates=10**6, score_floor=0.0)
LIMITS = [0.0, 0.2, 0.3, 1 / 3, 0.4, 0.5, 0.6, 0.65, 0.7, 0.9, 1.0]


class Candidates:
    """Boxes, scores and labels."""

    def __init__(self, xyxy, scores, labels) -> None:
        self.boxes = np.asarray(xyxy, np.float32).reshape(-1, 4)
        self.scores = np.asarray(scores, np.float32)
        self.labels = np.asarray(labels, np.int64)

    def __repr__(self) -> str:
        return f"Candidates({self.boxes.tolist()}, {self.scores.tolist()}, {self.labels.tolist()})"

    def __iter__(self):
        return iter((self.boxes, self.scores, self.labels))

    def nms(self, settings: NmsSettings) -> RankedBoxes:
        return nms(*self, settings)


@st.composite
def grids(draw, scale=1.0) -> Candidates:
    """Touching borders, duplicates, empty boxes, IoUs equal to the limit, equal scores."""
    count = draw(st.integers(0, 14))
    numbers = draw(arrays(np.int64, (count, 4), elements=st.integers(0, 6)))
    scores = draw(arrays(np.int64, count, elements=st.integers(0, 5))) / 5
    labels = draw(arrays(np.int64, count, elements=st.integers(-1, 1)))
    xyxy = np.concatenate([numbers[:, :2], numbers[:, :2] + numbers[:, 2:]], axis=1)
    return Candidates(xyxy * scale, scores, labels)


def crowd(seed: int, count: int, objects: int = 5, labels: int = 3) -> Candidates:
    """Noisy candidates around objects; some coordinates are below 0."""
    rng = np.random.default_rng(seed)
    height = rng.uniform(40, 200, objects)
    size = np.stack([0.4 * height, height], axis=1)
    center = rng.uniform(0, [300, 200], (objects, 2))
    owner, noise = rng.integers(0, objects, count), rng.normal(0, 1, (count, 4))
    middle = center[owner] + 0.12 * size[owner] * noise[:, :2]
    half = size[owner] * np.exp(0.15 * noise[:, 2:]) / 2
    xyxy = np.concatenate([middle - half, middle + half], axis=1)
    return Candidates(xyxy, rng.random(count), rng.integers(0, labels, count))


def crowds(max_count: int = 40) -> st.SearchStrategy[Candidates]:
    return st.builds(crowd, st.integers(0, 10**6), st.integers(0, max_count))


def scattered(seed: int, count: int) -> Candidates:
    rng = np.random.default_rng(seed)
    corner, size = rng.uniform(0, 1000, (count, 2)), rng.uniform(10, 80, (count, 2))
    return Candidates(
        np.concatenate([corner, corner + size], 1), rng.random(count), np.zeros(count)
    )


def iou32(a, b) -> float:
    """In float32 in the steps of torchvision; 0 for two empty boxes."""
    width = max(np.float32(0), min(a[2], b[2]) - max(a[0], b[0]))
    height = max(np.float32(0), min(a[3], b[3]) - max(a[1], b[1]))
    shared = width * height
    union = (a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - shared
    return float(shared / union) if union > 0 else 0.0


def diou(a, b) -> float:
    """Zheng et al., in Python floats."""
    a, b = a.tolist(), b.tolist()
    width = max(a[2], b[2]) - min(a[0], b[0])
    height = max(a[3], b[3]) - min(a[1], b[1])
    apart = (a[0] + a[2] - b[0] - b[2]) ** 2 / 4 + (a[1] + a[3] - b[1] - b[3]) ** 2 / 4
    shared = max(min(a[2], b[2]) - max(a[0], b[0]), 0) * max(min(a[3], b[3]) - max(a[1], b[1]), 0)
    union = (a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - shared
    return (shared / union if union else 0) - (apart / (width**2 + height**2) if apart else 0)


def by_score(candidates: Candidates) -> list[int]:
    return sorted(range(len(candidates.scores)), key=lambda row: -candidates.scores[row])


def are_rivals(candidates: Candidates, config: NmsSettings, one: int, other: int) -> bool:
    return not config.class_aware or candidates.labels[one] == candidates.labels[other]


def plain_clusters(candidates: Candidates, config: NmsSettings) -> dict[int, list[int]]:
    """Greedy NMS: each kept row, the best first, and the rows that it suppresses."""
    overlap = diou if config.kind == "diou" else iou32
    clusters: dict[int, list[int]] = {}
    waiting = by_score(candidates)
    while waiting:
        best, *waiting = waiting
        clusters[best] = [
            row
            for row in waiting
            if are_rivals(candidates, config, best, row)
            and overlap(candidates.boxes[best], candidates.boxes[row]) > config.iou
        ]
        waiting = [row for row in waiting if row not in clusters[best]]
    return clusters


def plain_soft(candidates: Candidates, config: NmsSettings) -> list[tuple[int, float]]:
    """Soft NMS: rows and lowered scores. Examples with near ties are skipped: rounding decides."""
    waiting = {row: float(candidates.scores[row]) for row in by_score(candidates)}
    taken = []
    while waiting:
        best = max(waiting, key=lambda row: waiting[row])
        score = waiting.pop(best)
        if score < config.score_floor:
            break
        assume(all(score - other > 1e-5 for other in waiting.values()))
        taken.append((best, score))
        for row in waiting:
            if are_rivals(candidates, config, best, row):
                overlap = iou32(candidates.boxes[best], candidates.boxes[row])
                waiting[row] *= plain_factor(overlap, config)
    return taken


def plain_factor(overlap: float, config: NmsSettings) -> float:
    if config.kind == "soft-gaussian":
        return math.exp(-(overlap**2) / config.sigma)
    return 1 - overlap if overlap > config.iou else 1.0


def assert_equal(one: RankedBoxes, other: RankedBoxes) -> None:
    for name in ("rows", "boxes", "scores", "labels"):
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name))


@pytest.mark.parametrize("scale", [1.0, 1e-3, 1e-6, 0.1, 300.0])
@given(st.data(), st.sampled_from(LIMITS), st.booleans())
@settings(quick, max_examples=60)
def test_hard_equals_plain_loops(scale, data, limit, class_aware) -> None:
    candidates = data.draw(grids(scale))
    config = replace(ALL, iou=limit, class_aware=class_aware)
    kept = candidates.nms(config)
    assert kept.rows.tolist() == list(plain_clusters(candidates, config))
    for name in ("boxes", "scores", "labels"):
        np.testing.assert_array_equal(getattr(kept, name), getattr(candidates, name)[kept.rows])


@pytest.mark.parametrize("kind", ["hard", "diou"])
@given(crowds(), st.floats(0, 1), st.booleans())
@quick
def test_greedy_kinds_equal_plain_loops_in_crowds(kind, candidates, limit, class_aware) -> None:
    config = replace(ALL, kind=kind, iou=limit, class_aware=class_aware)
    if kind == "diou":  # computed in another order than here
        overlaps = diou_matrix(candidates.boxes, candidates.boxes)
        assume(not (np.abs(overlaps - limit) < 1e-5).any())
    assert candidates.nms(config).rows.tolist() == list(plain_clusters(candidates, config))


@given(crowds(), st.floats(0.05, 0.95), st.booleans())
@quick
def test_weighted_boxes_are_cluster_means(candidates, limit, class_aware) -> None:
    config = replace(ALL, kind="weighted", iou=limit, class_aware=class_aware)
    kept, clusters = candidates.nms(config), plain_clusters(candidates, config)
    assert kept.rows.tolist() == list(clusters)
    np.testing.assert_array_equal(kept.scores, candidates.scores[kept.rows])
    np.testing.assert_array_equal(kept.labels, candidates.labels[kept.rows])
    for box, (best, others) in zip(kept.boxes, clusters.items(), strict=True):
        rows = [best, *others]
        mean = np.average(
            candidates.boxes[rows].astype(float), axis=0, weights=candidates.scores[rows]
        )
        np.testing.assert_allclose(box, mean, rtol=1e-6, atol=1e-4)


@pytest.mark.parametrize("kind", ["soft-linear", "soft-gaussian"])
@given(crowds(), st.floats(0.05, 0.95), st.booleans(), st.sampled_from([0.0, 0.1, 0.3]))
@quick
def test_soft_kinds_equal_plain_loops(kind, candidates, limit, class_aware, floor) -> None:
    config = replace(ALL, kind=kind, iou=limit, class_aware=class_aware, score_floor=floor)
    expected = plain_soft(candidates, config)
    kept = candidates.nms(config)
    assert kept.rows.tolist() == [row for row, _ in expected]
    np.testing.assert_allclose(kept.scores, [score for _, score in expected], atol=1e-6)
    np.testing.assert_array_equal(kept.boxes, candidates.boxes[kept.rows])


@pytest.mark.parametrize(("kind", "method"), [("soft-linear", 1), ("soft-gaussian", 2)])
@pytest.mark.parametrize("seed", range(5))
def test_soft_kinds_equal_opencv(kind, method, seed) -> None:
    cv2 = pytest.importorskip("cv2", reason="OpenCV is the reference")
    candidates = crowd(seed, 400, objects=20, labels=1)
    candidates.boxes = np.round(candidates.boxes)  # OpenCV takes integers
    config = NmsSettings(kind=kind, iou=0.375, score_floor=0.01, max_detections=400)
    xywh = geometry.xyxy_to_xywh(candidates.boxes).astype(int).tolist()
    scores, rows = cv2.dnn.softNMSBoxes(xywh, candidates.scores, 0.01, 0.375, 0, 0.5, method)
    kept = candidates.nms(config)
    assert kept.rows.tolist() == list(rows)
    np.testing.assert_allclose(kept.scores, scores, rtol=1e-4)


@pytest.mark.parametrize("scale", [1.0, 1e-3, 1e-6, 0.1])
@given(st.data(), st.sampled_from(LIMITS))
@settings(quick, max_examples=60)
def test_hard_equals_torchvision(scale, data, limit) -> None:
    torch = pytest.importorskip("torch", reason="torchvision is the reference")
    ops = pytest.importorskip("torchvision.ops", reason="torchvision is the reference")
    candidates = data.draw(grids(scale))
    xyxy, scores = torch.from_numpy(candidates.boxes), torch.from_numpy(candidates.scores)
    kept = candidates.nms(replace(ALL, iou=limit, class_aware=False))
    assert kept.rows.tolist() == ops.nms(xyxy, scores, limit).tolist()


@given(grids(), st.sampled_from(LIMITS))
@quick
def test_class_aware_equals_torchvision(candidates, limit) -> None:
    torch = pytest.importorskip("torch", reason="torchvision is the reference")
    ops = pytest.importorskip("torchvision.ops", reason="torchvision is the reference")
    tensors = [torch.from_numpy(part) for part in candidates]
    kept = candidates.nms(replace(ALL, iou=limit))
    assert kept.rows.tolist() == ops.batched_nms(*tensors, limit).tolist()


@pytest.mark.parametrize("make", [crowd, scattered])
@pytest.mark.parametrize("count", [1, 2, 1000, 5000])
@pytest.mark.parametrize("limit", [0.3, 0.65, 0.9])
def test_thousands_equal_torchvision(make, count, limit) -> None:
    torch = pytest.importorskip("torch", reason="torchvision is the reference")
    ops = pytest.importorskip("torchvision.ops", reason="torchvision is the reference")
    candidates = make(7, count)
    boxes, scores, labels = (torch.from_numpy(part) for part in candidates)
    kept = candidates.nms(replace(ALL, iou=limit, class_aware=False))
    assert kept.rows.tolist() == ops.nms(boxes, scores, limit).tolist()
    alone = [torch.where(labels == label)[0] for label in labels.unique()]
    rows = torch.cat([own[ops.nms(boxes[own], scores[own], limit)] for own in alone])
    expected = rows[scores[rows].argsort(descending=True, stable=True)]
    assert candidates.nms(replace(ALL, iou=limit)).rows.tolist() == expected.tolist()


@pytest.mark.parametrize("kind", KINDS)
@given(crowds(max_count=60), st.integers(0, 20), st.integers(1, 9))
@settings(quick, max_examples=40)
def test_block_sizes_and_the_maximum_change_no_rank(kind, candidates, count, block) -> None:
    config = replace(ALL, kind=kind, iou=0.4)
    everything = candidates.nms(config)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "_BLOCK", block)
        patch.setattr(module, "_MIN_BLOCK", block)
        patch.setattr(module, "_PREFETCH", block * 40)
        assert_equal(candidates.nms(config), everything)
        limited = candidates.nms(replace(config, max_detections=count))
    for name in ("rows", "scores", "boxes", "labels"):
        np.testing.assert_array_equal(getattr(limited, name), getattr(everything, name)[:count])


@pytest.mark.parametrize("kind", KINDS)
@given(grids())
@settings(quick, max_examples=40)
def test_labels_are_independent_and_scores_descend(kind, candidates) -> None:
    config = replace(ALL, kind=kind, iou=0.4)
    kept = candidates.nms(config)
    assert (np.diff(kept.scores) <= 0).all()
    assert len(set(kept.rows.tolist())) == len(kept)
    for label in (-1, 0, 1):
        own = candidates.labels == label
        alone = nms(*(part[own] for part in candidates), config)
        mine = kept.labels == label
        assert sorted(np.flatnonzero(own)[alone.rows]) == sorted(kept.rows[mine])
        np.testing.assert_array_equal(np.sort(alone.scores), np.sort(kept.scores[mine]))


def hostile_candidates() -> Candidates:
    """Rows 3 and 5 are valid."""
    box = [10, 20, 30, 60]
    broken = [[math.nan] * 4, [0, 0, math.inf, 9], [5, 5, 4, 9]], [[0, 0, 2e9, 9], [0, 9, 9, 8]]
    rows = [*broken[0], box, broken[1][0], [500, 20, 530, 60], broken[1][1], box, box, box]
    scores = [0.9, 0.9, 0.9, 0.8, 0.9, 0.7, 0.9, math.nan, math.inf, -math.inf]
    return Candidates(rows, scores, np.zeros(10))


@pytest.mark.parametrize("kind", KINDS)
def test_invalid_rows_are_dropped(kind) -> None:
    candidates = hostile_candidates()
    kept = candidates.nms(NmsSettings(kind))
    assert kept.rows.tolist() == [3, 5]
    assert len(Detections(kept.boxes, kept.scores, kept.labels)) == 2
    beyond_float32 = np.tile([0.0, 0.0, 1e300, 1e300], (10, 1))
    assert len(nms(beyond_float32, *list(candidates)[1:], NmsSettings(kind))) == 0


@pytest.mark.parametrize("kind", KINDS)
def test_no_candidates(kind) -> None:
    none = Candidates([], [], []).nms(NmsSettings(kind))
    assert (none.boxes.shape, none.scores.shape, none.labels.shape) == ((0, 4), (0,), (0,))
    assert (none.boxes.dtype, none.scores.dtype) == (np.float32, np.float32)
    assert (none.labels.dtype, none.rows.dtype) == (np.int64, np.int64)
    all_below = crowd(0, 20).nms(NmsSettings(kind, score_floor=2.0))
    assert len(all_below) == 0


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("limit", [0.0, 0.5, 1.0])
def test_a_thousand_copies(kind, limit) -> None:
    """The first is kept; others only if no limit suppresses them, or with lower scores."""
    candidates = Candidates([[10, 10, 50, 90]] * 1100, [0.5] * 1100, [0] * 1100)
    kept = candidates.nms(NmsSettings(kind, limit, score_floor=0.4))
    alone = limit < 1 or kind == "soft-gaussian"
    assert kept.rows.tolist() == list(range(1 if alone else 300))
    np.testing.assert_allclose(kept.boxes, candidates.boxes[: len(kept)], rtol=1e-6)


@pytest.mark.parametrize("kind", KINDS)
def test_only_the_best_candidates_are_used(kind) -> None:
    candidates = crowd(1, 50)
    best = np.argsort(-candidates.scores)[:10]
    kept = candidates.nms(NmsSettings(kind, 0.9, max_candidates=10))
    assert set(kept.rows) <= set(best)
    assert kept.rows[0] == best[0]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("floor", [0.0, 0.3, 0.5, 0.7, 1.0])
def test_a_score_at_the_floor_is_kept(kind, floor) -> None:
    candidates = Candidates(
        [[0, 0, 9, 9], [20, 0, 29, 9]], [floor, np.nextafter(np.float32(floor), -1)], [0, 0]
    )
    assert candidates.nms(NmsSettings(kind, score_floor=floor)).rows.tolist() == [0]


def test_labels_do_not_meet_below_0() -> None:
    candidates = Candidates([[90, 90, 100, 100], [-11, -11, -1, -1]], [0.9, 0.8], [0, 1])
    assert candidates.nms(ALL).rows.tolist() == [0, 1]


def test_a_far_candidate_does_not_change_the_others() -> None:
    """Labels are separated by offsets, which a far box makes large."""
    near = crowd(5, 200, labels=40)
    far = Candidates([*near.boxes, [0, 0, 9e8, 9e8]], [*near.scores, 0.01], [*near.labels, 41])
    for kind in ("hard", "diou"):
        config = replace(ALL, kind=kind)
        assert far.nms(config).rows[:-1].tolist() == near.nms(config).rows.tolist()


def test_kinds_differ_for_an_overlapping_pair() -> None:
    pair = Candidates([[0, 0, 40, 100], [10, 0, 50, 100]], [0.9, 0.8], [0, 0])  # IoU 0.6
    assert len(nms(*pair, NmsSettings(iou=0.5))) == 1
    soft = nms(*pair, NmsSettings("soft-linear", iou=0.5))
    np.testing.assert_allclose(soft.scores, [0.9, 0.8 * 0.4], rtol=1e-6)
    assert len(nms(*pair, NmsSettings("diou", iou=0.595))) == 2  # 0.6 - 100 / 12500
    assert len(nms(*pair, NmsSettings("diou", iou=0.59))) == 1


def test_a_cluster_with_scores_of_0_is_averaged_evenly() -> None:
    candidates = Candidates([[0, 0, 10, 10], [0, 0, 10, 12]], [0, 0], [0, 0])
    kept = candidates.nms(replace(ALL, kind="weighted"))
    np.testing.assert_allclose(kept.boxes, [[0, 0, 10, 11]])


@pytest.mark.parametrize("kind", KINDS)
def test_inputs_are_unchanged(kind) -> None:
    candidates, same = crowd(2, 60), crowd(2, 60)
    kept = candidates.nms(NmsSettings(kind, 0.3))
    kept.boxes[:], kept.scores[:], kept.labels[:] = 7, 7, 7
    for part, before in zip(candidates, same, strict=True):
        np.testing.assert_array_equal(part, before)


def test_invalid_arguments() -> None:
    with pytest.raises(ValueError, match="did you mean 'soft-linear'"):
        NmsSettings("soft-liner")
    with pytest.raises(ValueError, match="sigma"):
        NmsSettings(sigma=0)
    boxes, scores, labels = crowd(0, 3)
    for wrong in (
        (boxes[:2], scores, labels),
        (boxes, scores[:1], labels),
        (boxes.T, *(scores,) * 2),
    ):
        with pytest.raises(ValueError, match="boxes, scores and labels do not match"):
            nms(*wrong)


def diou_matrix(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """(N, M) distance IoUs."""
    rows, columns = np.indices((len(a), len(b))).reshape(2, -1)
    return geometry.paired_diou(a[rows], b[columns]).reshape(len(a), len(b))


@given(grids(), grids())
@quick
def test_distance_iou_equals_plain_loops(one, other) -> None:
    result = diou_matrix(one.boxes, other.boxes)
    assert result.dtype == np.float32
    expected = [[diou(a, b) for b in other.boxes] for a in one.boxes]
    np.testing.assert_allclose(result, np.reshape(expected, result.shape), atol=1e-6)


@given(crowds(), crowds())
@settings(quick, max_examples=40)
def test_distance_iou_equals_torchvision(one, other) -> None:
    torch = pytest.importorskip("torch", reason="torchvision is the reference")
    ops = pytest.importorskip("torchvision.ops", reason="torchvision is the reference")
    tensors = torch.from_numpy(one.boxes), torch.from_numpy(other.boxes)
    expected = ops.distance_box_iou(*tensors).numpy()
    np.testing.assert_allclose(diou_matrix(one.boxes, other.boxes), expected, atol=1e-5)


@given(crowds())
@settings(quick, max_examples=40)
def test_paired_iou_is_the_diagonal_of_the_matrix(candidates) -> None:
    one, other = candidates.boxes, candidates.boxes[::-1]
    np.testing.assert_array_equal(
        geometry.paired_iou(one, other), geometry.iou(one, other).diagonal()
    )


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e6])
@given(st.one_of(grids(), crowds()), crowds(), st.sampled_from([*LIMITS, 1e-5, 2e-5]))
@settings(quick, max_examples=30)
def test_near_pairs_contain_all_overlapping_pairs(dtype, scale, one, other, limit) -> None:
    a, b = (
        np.concatenate([w.boxes, w.boxes + 1e3]).astype(dtype) * dtype(scale) for w in (one, other)
    )
    rows, columns = geometry.near_pairs(a, b, limit)
    found = set(zip(rows.tolist(), columns.tolist(), strict=True))
    assert len(found) == len(rows)
    assert (np.diff(rows) >= 0).all()
    config = np.argwhere(geometry.iou(a, b) > limit)
    assert {tuple(pair) for pair in config.tolist()} <= found


def test_near_pairs_allow_for_float32_rounding() -> None:
    """Far from 0 the bounds of the search are rounded to sixteenths of a pixel."""
    one = np.array([[1e6, 0, 1e6 + 0.5, 1]], np.float32)
    inside = np.array([[1e6 + 0.25, 0, 1e6 + 0.5, 1]], np.float32)
    for a, b in ((one, inside), (inside, one)):
        rows, _ = geometry.near_pairs(a, b, 0.499)  # their IoU is 0.5
        assert len(rows) == 1


def test_near_pairs_are_few() -> None:
    for candidates in (scattered(1, 2000), crowd(1, 2000, objects=100)):
        rows, _ = geometry.near_pairs(candidates.boxes, candidates.boxes, 0.65)
        meeting = np.count_nonzero(geometry.iou(candidates.boxes, candidates.boxes))
        assert len(rows) < meeting / 2
    column = scattered(1, 2000).boxes * np.array([1e-3, 1, 1e-3, 1], np.float32)
    rows, _ = geometry.near_pairs(column, column, 0.65)
    assert len(rows) < 2000 * 2000 / 10
