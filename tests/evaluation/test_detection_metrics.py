"""The metrics of detection beside pycocotools and beside plain slow versions of themselves."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from support.detection_oracles import (
    SIZE,
    World,
    cover,
    iou,
    plain_crowdhuman,
    plain_jaccard,
    plain_pictures,
    plain_voc,
    pycocotools_eval,
    random_world,
)

from mot.datasets.dataset import Annotations, DataSet, ImageRecord
from mot.evaluation.detection import errors as wrong
from mot.evaluation.detection import pairs as sides_module
from mot.evaluation.detection.coco import THRESHOLDS, average_precision, coco_scores
from mot.evaluation.detection.crowdhuman import SCORES, crowdhuman_scores, jaccard_indices
from mot.evaluation.detection.matching import match_coco, match_crowdhuman
from mot.evaluation.detection.pairs import DetectionPairs, clipped, put_side_by_side
from mot.evaluation.detection.pr_curve import best_operation, operation_at
from mot.evaluation.detection.scores import Scores, evaluate, whole_curve
from mot.evaluation.detection.splits import BY_OCCLUSION, BY_SIZE, split_scores
from mot.evaluation.detection.voc import voc_scores
from mot.types import Detections

CLOSE = 1e-12


def sides_of(world: World) -> DetectionPairs:
    return put_side_by_side(world.dataset, world.found)


def world_of(pictures: list[tuple[Annotations, Detections]]) -> World:
    told = [
        ImageRecord(Path(f"{number}.jpg"), str(number), number, SIZE, annotations)
        for number, (annotations, _) in enumerate(pictures, 1)
    ]
    return World(DataSet(["person"], told), [found for _, found in pictures])


def headline(world: World, limits: tuple[int, ...]) -> np.ndarray:
    """In the order of pycocotools' stats."""
    scores = coco_scores(sides_of(world), limits)
    return np.array(
        [
            *(scores.ap, scores.ap50, scores.ap75),
            *scores.ap_of.values(),
            *scores.recall.values(),
            *scores.recall_of.values(),
        ]
    )


def pycocotools_s(world: World, limits: tuple[int, ...]) -> np.ndarray:
    """Its own summary, which takes the limits for 1, 10 and 100, or fails."""
    found = pycocotools_eval(world, limits)
    precision, recall = found.eval["precision"], found.eval["recall"]

    def mean(values: np.ndarray) -> float:
        known = values[values > -1]
        return known.mean() if known.size else math.nan

    return np.array(
        [
            *(mean(precision[level, :, :, 0, -1]) for level in (slice(None), 0, 5)),
            *(mean(precision[:, :, :, area, -1]) for area in (1, 2, 3)),
            *(mean(recall[:, :, 0, limit]) for limit in range(len(limits))),
            *(mean(recall[:, :, area, -1]) for area in (1, 2, 3)),
        ]
    )


@pytest.mark.parametrize("limits", [(1, 10, 100), (2, 5, 9)])
@pytest.mark.parametrize("classes", [1, 3])
@pytest.mark.parametrize("grid", [4.0, 0.0])
def test_coco_is_what_pycocotools_says(limits, classes, grid) -> None:
    pytest.importorskip("pycocotools", reason="pycocotools is the reference")
    for seed in range(4):
        world = random_world(seed, classes=classes, grid=grid)
        expected = pycocotools_s(world, limits)
        assert np.nanmin(expected[:3]) > 0.02
        np.testing.assert_allclose(headline(world, limits), expected, atol=CLOSE, rtol=0)


def test_coco_on_real_boxes_is_what_pycocotools_says(shared) -> None:
    pytest.importorskip("pycocotools", reason="pycocotools is the reference")
    from mot.datasets.load import DataSettings, load

    data = load(DataSettings(str(shared / "data/person/val.json"))).data
    chance = np.random.default_rng(0)
    found = []
    for picture in data:
        told = picture.annotations.boxes
        near = np.repeat(told, 3, axis=0) + chance.normal(0, 8, (3 * len(told), 4))
        near[:, 2:] = np.maximum(near[:, 2:], near[:, :2])
        found.append(Detections.from_boxes(near, chance.random(len(near)).round(2)))
    world = World(data, found)
    assert data.annotations.ignored.any()
    limits = (1, 10, 100)
    np.testing.assert_allclose(
        headline(world, limits), pycocotools_s(world, limits), atol=CLOSE, rtol=0
    )


@pytest.mark.parametrize("seed", range(4))
def test_objects_that_are_set_aside_are_pycocotools_ignored_ones(seed) -> None:
    """They are matched one to one by IoU, and regions are not."""
    pytest.importorskip("pycocotools", reason="pycocotools is the reference")
    world = random_world(seed, pictures=20)
    sides = sides_of(world)
    aside = np.random.default_rng(seed).random(len(sides.truth)) < 0.3
    found = pycocotools_eval(world, (100,), aside.tolist(), [[0, 1e10]])
    expected = found.eval["precision"][:, :, 0, 0, 0].mean(axis=1)
    objects = int((~aside & ~sides.truth.ignored).sum())
    hits = match_coco(sides, THRESHOLDS, aside)
    ours = average_precision(sides.found.scores, hits, objects)
    np.testing.assert_allclose(ours, expected, atol=CLOSE, rtol=0)
    plain = average_precision(sides.found.scores, match_coco(sides, THRESHOLDS), sides.objects)
    assert np.abs(plain - expected).max() > 1e-3


@pytest.mark.parametrize("grid", [4.0, 0.0])
@pytest.mark.parametrize("seed", range(5))
def test_crowdhuman_is_what_the_plain_version_says(seed, grid) -> None:
    world = random_world(seed, grid=grid)
    scores = crowdhuman_scores(clipped(sides_of(world), world.dataset))
    area, miss_rate = plain_crowdhuman(world)
    assert 0 < area < 1
    np.testing.assert_allclose([scores.ap, scores.miss_rate], [area, miss_rate], atol=CLOSE, rtol=0)


@pytest.mark.parametrize("seed", range(5))
def test_the_jaccard_index_is_what_the_plain_version_says(seed) -> None:
    """Where no two choices of pairs are equally good, which would leave out other boxes."""
    world = random_world(seed, grid=0.0)
    cut = clipped(sides_of(world), world.dataset)
    expected = [plain_jaccard(world, threshold) for threshold in SCORES.tolist()]
    np.testing.assert_allclose(jaccard_indices(cut), expected, atol=CLOSE, rtol=0)
    scores = crowdhuman_scores(cut)
    assert scores.jaccard == pytest.approx(max(expected), abs=CLOSE)
    assert scores.jaccard_threshold == SCORES[int(np.argmax(expected))]


@pytest.mark.parametrize("grid", [4.0, 0.0])
@pytest.mark.parametrize("seed", range(5))
def test_voc_is_what_the_plain_version_says(seed, grid) -> None:
    world = random_world(seed, grid=grid)
    told = world.dataset.annotations
    order = [np.argsort(picture.annotations.ignored, kind="stable") for picture in world.dataset]
    assert len(told)
    pictures = [  # the plain version looks at objects first, and the first of equals wins
        replace(picture, annotations=picture.annotations[rows])
        for picture, rows in zip(world.dataset, order, strict=True)
    ]
    world = World(DataSet(world.dataset.names, pictures), world.found)
    scores = voc_scores(sides_of(world))
    np.testing.assert_allclose([scores.ap, scores.ap07], plain_voc(world), atol=CLOSE, rtol=0)


def test_the_best_f1_is_the_best_of_all_thresholds() -> None:
    for seed in range(6):
        world = random_world(seed)
        curve = whole_curve(sides_of(world))
        best = best_operation(curve)
        everywhere = [operation_at(curve, score) for score in np.unique(curve.scores)]
        assert best.f1 == max(each.f1 for each in everywhere)
        assert best == operation_at(curve, best.threshold)
        harmonic = 2 * best.precision * best.recall / (best.precision + best.recall)
        assert best.f1 == pytest.approx(harmonic)


def test_a_threshold_counts_its_own_score() -> None:
    box = [10, 10, 40, 80]
    world = world_of(
        [(Annotations.of([box]), Detections.from_boxes([box, [70, 5, 90, 40]], [0.5, 0.5]))]
    )
    best = evaluate(world.dataset, world.found).best
    assert (best.threshold, best.precision, best.recall) == (0.5, 0.5, 1.0)


@pytest.mark.parametrize("seed", range(6))
def test_mistakes_are_what_the_plain_version_says(seed) -> None:
    world = random_world(seed, pictures=40)
    threshold = 0.3
    found = wrong.find_mistakes(sides_of(world), threshold)
    expected = dict.fromkeys([*wrong.NAMES.values(), "missed"], 0)
    for picture in plain_pictures(world, cut=False):
        free, taken, false = list(picture.objects), [], []
        for score, box in picture.found:
            if score < threshold:
                continue
            best = max(reversed(free), key=lambda other, box=box: iou(box, other), default=None)
            if best and iou(box, best) >= 0.5:
                free.remove(best)
                taken.append(best)
                expected["right"] += 1
            elif any(cover(box, region) >= 0.5 for region in picture.regions):
                expected["in ignored regions"] += 1
            else:
                false.append(box)
        for box in false:
            if any(iou(box, other) >= 0.5 for other in taken):
                expected["duplicate"] += 1
            elif any(0.1 <= iou(box, other) < 0.5 for other in free):
                expected["misplaced"] += 1
            else:
                expected["on background"] += 1
        expected["missed"] += len(free)
    assert found.counts() == expected
    assert min(expected[name] for name in ("duplicate", "misplaced", "missed")) > 0


def test_a_mistaken_class_is_told_apart() -> None:
    box = [10, 10, 50, 80]
    told = Annotations.of([box, [60, 10, 80, 70]], [0, 1])
    found = Detections.from_boxes([box, [60, 10, 80, 69]], [0.9, 0.8], [1, 1])
    dataset = DataSet(["man", "dog"], [ImageRecord(Path("a"), "a", 1, SIZE, told)])
    sides = put_side_by_side(dataset, [found])
    counts = wrong.find_mistakes(sides, 0.5).counts()
    assert {name: count for name, count in counts.items() if count} == {
        "right": 1,
        "of another class": 1,
        "missed": 1,
    }
    assert wrong.find_mistakes(sides, 0.5).by_picture(sides).tolist() == [2]
    assert wrong.find_mistakes(sides, 0.85).counts()["missed"] == 2


def test_splits_by_area_are_pycocotools_areas() -> None:
    pytest.importorskip("pycocotools", reason="pycocotools is the reference")
    world = random_world(3, pictures=30)
    sides = sides_of(world)
    scores = dict(split_scores(sides, best_operation(whole_curve(sides))))
    precision = pycocotools_eval(world, (1, 10, 100)).eval["precision"]
    for area, name in ((1, "area small"), (2, "area medium")):
        expected = precision[0, :, 0, area, -1].mean()
        assert scores[name].ap50 == pytest.approx(expected, abs=CLOSE)
        assert scores[name].objects > 10


@pytest.mark.parametrize("way", ["visible parts", "numbers"])
def test_splits_hold_what_they_say(way) -> None:
    """One object in each, found or not; all others are ignored."""
    shares = {"bare: seen >= .9": 0.95, "partial: .65-.9": 0.7, "heavy: .2-.65": 0.3}
    boxes = [[0, 0, 20, 60], [40, 0, 60, 60], [80, 0, 100, 60]]
    seen = [
        [x, y, x + 20, y + 60 * share]
        for (x, y, *_), share in zip(boxes, shares.values(), strict=True)
    ]
    how = {"visible": seen} if way == "visible parts" else {"visible_fractions": [*shares.values()]}
    told = Annotations.of(boxes, **how)
    world = world_of([(told, Detections.from_boxes(boxes[:2], [0.9, 0.8]))])
    sides = sides_of(world)
    scores = dict(split_scores(sides, best_operation(whole_curve(sides))))
    assert [scores[name].objects for name in shares] == [1, 1, 1]
    assert [round(scores[name].ap50, 9) for name in shares] == [1, 1, 0]
    assert [scores[name].recall for name in shares] == [1, 1, 0]
    assert scores["reasonable"].objects == 2
    assert scores["reasonable heavy"].objects == 1
    assert scores["reasonable"].miss_rate == pytest.approx(1e-10)
    assert scores["height 32-64"].objects == 3
    assert math.isnan(scores["height < 32"].ap50)
    assert scores.keys() == {split.name for split in (*BY_SIZE, *BY_OCCLUSION)}
    whole = world_of([(Annotations.of(boxes), world.found[0])])
    assert len(list(split_scores(sides_of(whole), best_operation(whole_curve(sides))))) == len(
        BY_SIZE
    )


def values(scores: Scores) -> dict[str, float]:
    return dict(scores.as_dict())


def test_nothing_to_find_has_no_rates() -> None:
    ignored = Annotations.of([[0, 0, 20, 20]], ignored=[True])
    world = world_of([(ignored, Detections.from_boxes([[50, 50, 60, 60]]))])
    for found in (world.found, [Detections.empty()]):
        scores = values(evaluate(world.dataset, found))
        assert math.isnan(scores["AP"])
        assert math.isnan(scores["MR-2"])
        assert math.isnan(scores["recall"])
        assert scores["objects"] == 0
    empty = evaluate(DataSet(["person"], []), [])
    assert (empty.records, empty.detections) == (0, 0)
    assert math.isnan(empty.crowdhuman.jaccard)


def test_nothing_found_is_told_as_nothing() -> None:
    world = world_of([(Annotations.of([[0, 0, 20, 20]]), Detections.empty())])
    scores = values(evaluate(world.dataset, world.found))
    assert [scores[name] for name in ("AP", "AP50", "VOC AP", "CrowdHuman AP", "JI")] == [0.0] * 5
    assert scores["MR-2"] == 1.0
    assert (scores["recall"], scores["F1"]) == (0.0, 0.0)
    assert math.isnan(scores["precision"])


def test_all_found_is_perfect() -> None:
    boxes = [[0, 0, 20, 40], [40, 10, 60, 80]]
    world = world_of([(Annotations.of(boxes), Detections.from_boxes(boxes, [0.9, 0.8]))])
    scores = values(evaluate(world.dataset, world.found))
    for name in ("AP", "AR10", "VOC AP", "VOC07 AP", "JI", "F1", "precision", "recall"):
        assert scores[name] == pytest.approx(1.0)
    assert scores["MR-2"] == pytest.approx(1e-10)
    assert scores["CrowdHuman AP"] == 0.5  # its first point has half of the recall
    assert scores["threshold"] == pytest.approx(0.8)


def test_pictures_and_detections_belong_together() -> None:
    world = random_world(0)
    with pytest.raises(ValueError, match="11 images for a dataset of 12"):
        evaluate(world.dataset, world.found[1:])


def test_parts_of_bounded_size_make_the_same_pairs(monkeypatch) -> None:
    world = random_world(5, pictures=30)
    whole = sides_of(world).pairs
    monkeypatch.setattr(sides_module, "_AT_ONCE", 7)
    parts = sides_of(world).pairs
    for column in ("found", "truth", "iou", "cover"):
        np.testing.assert_array_equal(getattr(parts, column), getattr(whole, column))


def test_of_equal_overlaps_coco_takes_the_last_and_crowdhuman_the_first() -> None:
    """The first detection lies between two objects; the second one is on the first object."""
    pytest.importorskip("pycocotools", reason="pycocotools is the reference")
    told = Annotations.of([[0, 0, 30, 10], [10, 0, 40, 10]])
    found = Detections.from_boxes([[5, 0, 35, 10], [0, 0, 30, 10]], [0.9, 0.8])
    world = world_of([(told, found)])
    sides = sides_of(world)
    assert match_coco(sides, 0.6).truth.tolist() == [[1, 0]]
    np.testing.assert_allclose(
        headline(world, (1, 10)), pycocotools_s(world, (1, 10)), atol=CLOSE, rtol=0, equal_nan=True
    )
    assert match_crowdhuman(sides).truth.tolist() == [[0, -1]]
    scores = crowdhuman_scores(sides)
    expected = plain_crowdhuman(world)
    assert (scores.ap, scores.miss_rate) == pytest.approx(expected, abs=CLOSE)
