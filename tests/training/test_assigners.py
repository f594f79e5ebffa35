"""Assigners equal reference loops written from the papers, and torchvision where it has them."""

from __future__ import annotations

import importlib
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linear_sum_assignment
from scipy.sparse import csr_array
from scipy.sparse.csgraph import maximum_bipartite_matching
from support import plain_assigners as plain

pytestmark = pytest.mark.usefixtures("one_thread")

torch = pytest.importorskip("torch", reason="PyTorch is not installed")
pytest.importorskip("torchvision", reason="torchvision is not installed")
box_iou = importlib.import_module("torchvision.ops").box_iou
Matcher = importlib.import_module("torchvision.models.detection._utils").Matcher
FCOS = importlib.import_module("torchvision.models.detection.fcos").FCOS
assigners = importlib.import_module("mot.training.assigners")
overlap = importlib.import_module("mot.training.assigners.overlap")
core = importlib.import_module("mot.training.assigners.core")
targets = importlib.import_module("mot.training.targets")
worlds = importlib.import_module("support.assigner_worlds")

ASSIGNERS, BACKGROUND, IGNORED = assigners.ASSIGNERS, targets.BACKGROUND, targets.IGNORED
MaxIou, BestPrior, Center = assigners.MaxIou, assigners.BestPrior, assigners.Center
Atss, SimOta, Ota = assigners.Atss, assigners.SimOta, assigners.Ota
World, crowd, without_regions, square_grid = (
    worlds.World,
    worlds.crowd,
    worlds.without_regions,
    worlds.square_grid,
)
small_worlds = worlds.small_worlds
quick = settings(deadline=None, max_examples=60)
every_assigner = pytest.mark.parametrize("name", ASSIGNERS)
SEEDS = range(8)


# MaxIou


@given(small_worlds(), st.sampled_from([(0.5, 0.4), (0.5, 0.5), (1 / 3, 0.25), (0.7, 0.3)]))
@quick
def test_max_iou_equals_the_reference(world, limits):
    objects = world.objects.tolist()
    expected = plain.max_iou(world.grid, objects, *limits)
    assert world.rows(MaxIou(*limits, low_quality=False)) == expected
    for anchor, row in plain.peaks(world.grid, objects).items():
        expected[anchor] = row
    found = world.rows(MaxIou(*limits))
    overlaps = box_iou(world.objects, world.anchors.boxes)
    if set(range(len(objects))) - set(expected) & set(overlaps.amax(1).nonzero()[:, 0].tolist()):
        changed = [p for p in range(len(found)) if found[p] != expected[p]]
        assert all(overlaps[found[p], p] > 0 for p in changed)
    else:
        assert found == expected


@given(small_worlds())
@quick
def test_max_iou_gives_anchors_to_as_many_objects_as_possible(world):
    rows = world.rows(MaxIou(0.7, 0.3))
    overlaps = box_iou(world.objects, world.anchors.boxes)
    most = maximum_bipartite_matching(csr_array((overlaps > 0).int().numpy()), "column")
    assert len(set(rows) - {BACKGROUND, IGNORED}) == (most >= 0).sum()
    assert all(overlaps[row, anchor] > 0 for anchor, row in enumerate(rows) if row >= 0)


@given(small_worlds())
@quick
def test_one_to_one_matching_maximizes_the_iou(world):
    overlaps = box_iou(world.objects, world.anchors.boxes).double()
    objects, anchors = overlap._match_one_to_one(world.anchors.boxes, world.objects)
    assert len(set(objects.tolist())) == len(set(anchors.tolist())) == len(objects)
    gain = np.where(overlaps > 0, 100 + overlaps.numpy(), 0)
    best = gain[linear_sum_assignment(gain, maximize=True)].sum()
    assert gain[objects, anchors].sum() == pytest.approx(best)


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("low_quality", [False, True])
def test_max_iou_equals_torchvisions_matcher(seed, low_quality):
    world = without_regions(crowd(seed, 5, sides=(0.7, 1.0, 1.5), scatter=0.15))
    expected = Matcher(0.5, 0.4, low_quality)(box_iou(world.objects, world.anchors.boxes))
    found = torch.tensor(world.rows(MaxIou(low_quality=low_quality)))
    without = set(range(5)) - set(expected.tolist())
    if low_quality and without:
        changed = found[found != expected]
        assert without <= set(changed.tolist())
        assert len(changed) <= 5
    else:
        assert found.tolist() == expected.tolist()


def test_max_iou_gives_every_object_an_anchor_unlike_torchvision():
    world = without_regions(crowd(3, 60, scatter=0.12))
    theirs = Matcher(0.5, 0.4, True)(box_iou(world.objects, world.anchors.boxes))
    assert len(set(theirs.tolist()) - {-1, -2}) < 50
    assert set(range(60)) <= set(world.rows(MaxIou()))


def test_max_iou_skips_objects_that_overlap_no_anchor():
    world = World(square_grid(), [(1000, 1000, 1010, 1010), (10, 10, 30, 30)])
    assert set(world.rows(MaxIou())) == {BACKGROUND, IGNORED, 1}


def test_max_iou_refuses_thresholds_that_cross():
    with pytest.raises(ValueError, match="must not exceed"):
        MaxIou(0.4, 0.5)


# BestPrior


@pytest.mark.parametrize("seed", SEEDS)
def test_best_prior_equals_the_reference(seed):
    world = without_regions(crowd(seed, 25, sides=(0.5, 1.0, 2.0), scatter=0.3))
    objects, own = world.objects.tolist(), world.anchors.boxes.tolist()
    expected = plain.best_prior(world.grid, objects, world.plain_predictions.boxes)
    assert world.rows(BestPrior()) == expected
    world.predictions = None
    assert world.rows(BestPrior()) == plain.best_prior(world.grid, objects, own)
    assert IGNORED in expected


def test_best_prior_chooses_by_cell_and_shape():
    world = World(square_grid((0.5, 1.0)), [(20, 20, 44, 44)])
    rows = world.rows(BestPrior())
    (anchor,) = (anchor for anchor, row in enumerate(rows) if row == 0)
    assert world.anchors.boxes[anchor].tolist() == [24, 24, 48, 48]  # the cell from 32 to 40


def test_best_prior_ignores_other_anchors_of_high_iou():
    world = World(square_grid(), [(25, 25, 49, 49)])
    rows = world.rows(BestPrior(ignore_iou=0.3))
    assert rows.count(0) == 1
    overlaps = box_iou(world.objects, world.anchors.boxes)[0]
    assert [row == BACKGROUND for row in rows] == (overlaps <= 0.3).tolist()


# Center


@pytest.mark.parametrize("seed", SEEDS)
def test_center_equals_the_reference_and_torchvision(seed):
    world = without_regions(crowd(seed, 30, sides=(1 / 3,), max_height=400))
    rows = world.rows(Center())
    assert rows == plain.fcos(world.grid, world.objects.tolist())
    network = SimpleNamespace(
        center_sampling_radius=1.5, head=SimpleNamespace(compute_loss=lambda *each: each[-1])
    )
    truth = [{"boxes": world.objects, "labels": world.labels}]
    (theirs,) = FCOS.compute_loss(network, truth, {}, [world.anchors.boxes], world.anchors.counts)
    assert rows == theirs.tolist()
    assert len(set(rows)) > 10


def test_center_works_for_any_order_of_levels():
    world = without_regions(crowd(1, sides=(1 / 3,)))
    turned = World(plain.Grid(world.grid.levels[::-1]), world.objects.tolist())
    parts = torch.tensor(turned.rows(Center())).split(turned.anchors.counts)
    assert torch.cat(parts[::-1]).tolist() == world.rows(Center())


# Atss


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("top_k", [2, 9, 1000])
def test_atss_equals_the_reference(seed, top_k):
    world = without_regions(crowd(seed))
    rows = world.rows(Atss(top_k))
    assert rows == plain.atss(world.grid, world.objects.tolist(), top_k)
    assert set(rows) > {BACKGROUND}


# All of them


@every_assigner
@pytest.mark.parametrize("seed", SEEDS)
def test_ignored_regions_are_never_background(name, seed):
    world = crowd(seed)
    with_regions, regions = world.rows(ASSIGNERS[name]()), world.regions.tolist()
    boxes, without = world.anchors.boxes.tolist(), without_regions(world).rows(ASSIGNERS[name]())
    assert with_regions == plain.apply_ignored(without, boxes, regions)
    assert with_regions != without
    assert [row >= 0 for row in with_regions] == [row >= 0 for row in without]


@every_assigner
def test_ignored_regions_can_apply_to_predicted_boxes(name):
    world = crowd(2)
    found = world.rows(ASSIGNERS[name](ignore_by_prediction=True))
    regions = world.regions.tolist()
    expected = plain.apply_ignored(
        without_regions(world).rows(ASSIGNERS[name]()), world.predictions.boxes.tolist(), regions
    )
    assert found == expected


@every_assigner
@pytest.mark.parametrize("seed", SEEDS)
def test_the_order_of_objects_does_not_matter(name, seed):
    world = crowd(seed, 15)
    rounding = torch.rand(world.anchors.boxes.shape, generator=torch.Generator().manual_seed(seed))
    world.anchors = world.anchors._replace(boxes=world.anchors.boxes + rounding)  # nothing ties
    rows = world.rows(ASSIGNERS[name]())
    order = torch.randperm(15, generator=torch.Generator().manual_seed(seed))
    world.objects, world.labels = world.objects[order], world.labels[order]
    names = [*order.tolist(), IGNORED, BACKGROUND]  # by row; negative rows count from the end
    assert [names[row] for row in world.rows(ASSIGNERS[name]())] == rows


@every_assigner
def test_blocks_do_not_matter(name, monkeypatch):
    world = crowd(4, 15)
    rows = world.rows(ASSIGNERS[name]())
    for pairs in (1, 3 * len(rows), 10**9):
        monkeypatch.setattr(core, "_CPU_PAIRS", pairs)
        assert world.rows(ASSIGNERS[name]()) == rows


def test_blocks_hold_few_pairs():
    objects, anchors = torch.empty(300, 4), torch.empty(50_000, 4)
    sizes = [block.stop - block.start for block in core.blocks(objects, anchors)]
    assert max(sizes) * 50_000 <= core._CPU_PAIRS
    assert sum(sizes) >= 300


@every_assigner
def test_without_objects_all_anchors_are_background(name):
    world = crowd(0)
    world.objects, world.labels = world.objects[:0], world.labels[:0]
    rows = world.rows(ASSIGNERS[name]())
    assert rows == plain.apply_ignored(
        [BACKGROUND] * len(rows), world.anchors.boxes.tolist(), world.regions.tolist()
    )
    assert IGNORED in rows


@every_assigner
@pytest.mark.parametrize("count", [0, 5])
def test_without_anchors_the_result_is_empty(name, count):
    world = crowd(0, 5)
    none = torch.zeros(0, 4)
    world.anchors = targets.Anchors(none, (0, 0), (8, 16))
    world.predictions = targets.Predictions(torch.zeros(0, 2), none)
    world.objects, world.labels = world.objects[:count], world.labels[:count]
    found = ASSIGNERS[name]()(world.anchors, world.target, world.predictions)
    assert (found.shape, found.dtype) == ((0,), torch.int64)


@every_assigner
def test_a_single_anchor_and_an_empty_level(name):
    grid = plain.Grid([plain.Level(8, [(0.0, 0.0, 8.0, 8.0)]), plain.Level(16, [])])
    predictions = plain.Predictions([[0.5]], [(1.0, 1.0, 7.0, 7.0)])
    world = World(grid, [(0.0, 0.0, 7.0, 8.0), (100.0, 0.0, 101.0, 2.0)], predictions=predictions)
    assert world.rows(ASSIGNERS[name]()) == [0]


@every_assigner
def test_objects_outside_of_the_image_get_no_anchor(name):
    world = without_regions(crowd(0, 6))
    alone = world.rows(ASSIGNERS[name]())
    world.objects = torch.cat([world.objects, world.objects + 5000])
    world.labels = world.labels.repeat(2)
    assert world.rows(ASSIGNERS[name]()) == alone


@every_assigner
def test_identical_objects_get_anchors(name):
    world = without_regions(crowd(5, 4, sides=(1.0, 1 / 3)))
    alone = world.rows(ASSIGNERS[name]())
    world.objects, world.labels = world.objects.repeat(3, 1), world.labels.repeat(3)
    found = world.rows(ASSIGNERS[name]())
    assert {row % 4 for row in found if row >= 0} >= {row for row in alone if row >= 0}
    assert name != "max-iou" or set(range(12)) <= set(found)


@every_assigner
def test_inputs_are_not_changed(name):
    world = crowd(0)
    world.predictions.boxes.requires_grad_()
    world.predictions.scores.requires_grad_()
    before = [each.clone() for each in (*world.target, *world.predictions, world.anchors.boxes)]
    world.rows(ASSIGNERS[name]())
    after = (*world.target, *world.predictions, world.anchors.boxes)
    assert all(torch.equal(a, b) for a, b in zip(before, after, strict=True))


@every_assigner
@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU available")
def test_a_gpu_gives_the_same_result(name):
    world = crowd(6, 15)
    rows = world.rows(ASSIGNERS[name]())
    anchors = world.anchors._replace(boxes=world.anchors.boxes.cuda())
    target, predictions = (
        type(each)(*(x.cuda() for x in each)) for each in (world.target, world.predictions)
    )
    assert ASSIGNERS[name]()(anchors, target, predictions).tolist() == rows
