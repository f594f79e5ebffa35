"""The assigners equal plain loops written from the papers, and torchvision's where it has them."""

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
anchors = importlib.import_module("mot.training.assigners.anchors")
core = importlib.import_module("mot.training.assigners.core")
targets = importlib.import_module("mot.training.targets")
worlds = importlib.import_module("support.assigner_worlds")

ASSIGNERS, BACKGROUND, IGNORED = assigners.ASSIGNERS, targets.BACKGROUND, targets.IGNORED
MaxIou, BestPrior, Centre = assigners.MaxIou, assigners.BestPrior, assigners.Centre
Atss, SimOta, Ota = assigners.Atss, assigners.SimOta, assigners.Ota
World, crowd, quiet, square_grid = worlds.World, worlds.crowd, worlds.quiet, worlds.square_grid
small_worlds = worlds.small_worlds
quick = settings(deadline=None, max_examples=60)
every_assigner = pytest.mark.parametrize("name", ASSIGNERS)
SEEDS = range(8)


# MaxIou


@given(small_worlds(), st.sampled_from([(0.5, 0.4), (0.5, 0.5), (1 / 3, 0.25), (0.7, 0.3)]))
@quick
def test_max_iou_is_a_plain_loop(world, limits):
    objects = world.objects.tolist()
    expected = plain.max_iou(world.grid, objects, *limits)
    assert world.rows(MaxIou(*limits, low_quality=False)) == expected
    for place, row in plain.peaks(world.grid, objects).items():
        expected[place] = row
    found = world.rows(MaxIou(*limits))
    overlaps = box_iou(world.objects, world.places.boxes)
    if set(range(len(objects))) - set(expected) & set(overlaps.amax(1).nonzero()[:, 0].tolist()):
        changed = [p for p in range(len(found)) if found[p] != expected[p]]
        assert all(overlaps[found[p], p] > 0 for p in changed)
    else:
        assert found == expected


@given(small_worlds())
@quick
def test_as_many_objects_as_can_have_a_place(world):
    rows = world.rows(MaxIou(0.7, 0.3))
    overlaps = box_iou(world.objects, world.places.boxes)
    most = maximum_bipartite_matching(csr_array((overlaps > 0).int().numpy()), "column")
    assert len(set(rows) - {BACKGROUND, IGNORED}) == (most >= 0).sum()
    assert all(overlaps[row, place] > 0 for place, row in enumerate(rows) if row >= 0)


@given(small_worlds())
@quick
def test_own_places_overlap_as_much_as_can_be(world):
    overlaps = box_iou(world.objects, world.places.boxes).double()
    objects, places = anchors._own_places(world.places.boxes, world.objects)
    assert len(set(objects.tolist())) == len(set(places.tolist())) == len(objects)
    gain = np.where(overlaps > 0, 100 + overlaps.numpy(), 0)
    best = gain[linear_sum_assignment(gain, maximize=True)].sum()
    assert gain[objects, places].sum() == pytest.approx(best)


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("low_quality", [False, True])
def test_max_iou_is_torchvisions_matcher(seed, low_quality):
    world = quiet(crowd(seed, 5, sides=(0.7, 1.0, 1.5), spread=0.15))
    expected = Matcher(0.5, 0.4, low_quality)(box_iou(world.objects, world.places.boxes))
    found = torch.tensor(world.rows(MaxIou(low_quality=low_quality)))
    without = set(range(5)) - set(expected.tolist())
    if low_quality and without:
        changed = found[found != expected]
        assert without <= set(changed.tolist())
        assert len(changed) <= 5
    else:
        assert found.tolist() == expected.tolist()


def test_torchvisions_matcher_leaves_objects_without_and_ours_does_not():
    world = quiet(crowd(3, 60, spread=0.12))
    theirs = Matcher(0.5, 0.4, True)(box_iou(world.objects, world.places.boxes))
    assert len(set(theirs.tolist()) - {-1, -2}) < 50
    assert set(range(60)) <= set(world.rows(MaxIou()))


def test_max_iou_gives_nothing_to_whom_no_place_overlaps():
    world = World(square_grid(), [(1000, 1000, 1010, 1010), (10, 10, 30, 30)])
    assert set(world.rows(MaxIou())) == {BACKGROUND, IGNORED, 1}


def test_max_iou_refuses_thresholds_that_cross():
    with pytest.raises(ValueError, match="must not exceed"):
        MaxIou(0.4, 0.5)


# BestPrior


@pytest.mark.parametrize("seed", SEEDS)
def test_best_prior_is_a_plain_loop(seed):
    world = quiet(crowd(seed, 25, sides=(0.5, 1.0, 2.0), spread=0.3))
    objects, own = world.objects.tolist(), world.places.boxes.tolist()
    expected = plain.best_prior(world.grid, objects, world.said.boxes)
    assert world.rows(BestPrior()) == expected
    world.guess = None
    assert world.rows(BestPrior()) == plain.best_prior(world.grid, objects, own)
    assert IGNORED in expected


def test_best_prior_takes_the_cell_and_the_shape():
    world = World(square_grid((0.5, 1.0)), [(20, 20, 44, 44)])
    rows = world.rows(BestPrior())
    (place,) = (place for place, row in enumerate(rows) if row == 0)
    assert world.places.boxes[place].tolist() == [24, 24, 48, 48]  # the cell from 32 to 40


def test_best_prior_ignores_what_is_as_good_as_the_best():
    world = World(square_grid(), [(25, 25, 49, 49)])
    rows = world.rows(BestPrior(spare=0.3))
    assert rows.count(0) == 1
    overlaps = box_iou(world.objects, world.places.boxes)[0]
    assert [row == BACKGROUND for row in rows] == (overlaps <= 0.3).tolist()


# Centre


@pytest.mark.parametrize("seed", SEEDS)
def test_centre_is_a_plain_loop_and_torchvisions(seed):
    world = quiet(crowd(seed, 30, sides=(1 / 3,), largest=400))
    rows = world.rows(Centre())
    assert rows == plain.centre(world.grid, world.objects.tolist())
    network = SimpleNamespace(
        center_sampling_radius=1.5, head=SimpleNamespace(compute_loss=lambda *each: each[-1])
    )
    truth = [{"boxes": world.objects, "labels": world.labels}]
    (theirs,) = FCOS.compute_loss(network, truth, {}, [world.places.boxes], world.places.counts)
    assert rows == theirs.tolist()
    assert len(set(rows)) > 10


def test_centre_needs_no_order_of_levels():
    world = quiet(crowd(1, sides=(1 / 3,)))
    turned = World(plain.Grid(world.grid.levels[::-1]), world.objects.tolist())
    parts = torch.tensor(turned.rows(Centre())).split(turned.places.counts)
    assert torch.cat(parts[::-1]).tolist() == world.rows(Centre())


# Atss


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("top_k", [2, 9, 1000])
def test_atss_is_a_plain_loop(seed, top_k):
    world = quiet(crowd(seed))
    rows = world.rows(Atss(top_k))
    assert rows == plain.atss(world.grid, world.objects.tolist(), top_k)
    assert set(rows) > {BACKGROUND}


# All of them


@every_assigner
@pytest.mark.parametrize("seed", SEEDS)
def test_regions_are_never_background(name, seed):
    world = crowd(seed)
    with_regions, regions = world.rows(ASSIGNERS[name]()), world.regions.tolist()
    boxes, without = world.places.boxes.tolist(), quiet(world).rows(ASSIGNERS[name]())
    assert with_regions == plain.spared(without, boxes, regions)
    assert with_regions != without
    assert [row >= 0 for row in with_regions] == [row >= 0 for row in without]


@every_assigner
def test_regions_can_spare_what_is_guessed(name):
    world = crowd(2)
    found = world.rows(ASSIGNERS[name](spares_guesses=True))
    regions = world.regions.tolist()
    expected = plain.spared(
        quiet(world).rows(ASSIGNERS[name]()), world.guess.boxes.tolist(), regions
    )
    assert found == expected


@every_assigner
@pytest.mark.parametrize("seed", SEEDS)
def test_the_order_of_objects_does_not_matter(name, seed):
    world = crowd(seed, 15)
    rounding = torch.rand(world.places.boxes.shape, generator=torch.Generator().manual_seed(seed))
    world.places = world.places._replace(boxes=world.places.boxes + rounding)  # nothing ties
    rows = world.rows(ASSIGNERS[name]())
    order = torch.randperm(15, generator=torch.Generator().manual_seed(seed))
    world.objects, world.labels = world.objects[order], world.labels[order]
    names = [*order.tolist(), IGNORED, BACKGROUND]  # by the rows from behind
    assert [names[row] for row in world.rows(ASSIGNERS[name]())] == rows


@every_assigner
def test_blocks_do_not_matter(name, monkeypatch):
    world = crowd(4, 15)
    rows = world.rows(ASSIGNERS[name]())
    for pairs in (1, 3 * len(rows), 10**9):
        monkeypatch.setattr(core, "_CPU_PAIRS", pairs)
        assert world.rows(ASSIGNERS[name]()) == rows


def test_blocks_hold_few_pairs():
    objects, places = torch.empty(300, 4), torch.empty(50_000, 4)
    sizes = [block.stop - block.start for block in core.blocks(objects, places)]
    assert max(sizes) * 50_000 <= core._CPU_PAIRS
    assert sum(sizes) >= 300


@every_assigner
def test_without_objects_all_is_background(name):
    world = crowd(0)
    world.objects, world.labels = world.objects[:0], world.labels[:0]
    rows = world.rows(ASSIGNERS[name]())
    assert rows == plain.spared(
        [BACKGROUND] * len(rows), world.places.boxes.tolist(), world.regions.tolist()
    )
    assert IGNORED in rows


@every_assigner
@pytest.mark.parametrize("count", [0, 5])
def test_without_places_nothing_is_said(name, count):
    world = crowd(0, 5)
    none = torch.zeros(0, 4)
    world.places = targets.Anchors(none, (0, 0), (8, 16))
    world.guess = targets.Predictions(torch.zeros(0, 2), none)
    world.objects, world.labels = world.objects[:count], world.labels[:count]
    found = ASSIGNERS[name]()(world.places, world.target, world.guess)
    assert (found.shape, found.dtype) == ((0,), torch.int64)


@every_assigner
def test_a_single_place_and_a_level_without_any(name):
    grid = plain.Grid([plain.Level(8, [(0.0, 0.0, 8.0, 8.0)]), plain.Level(16, [])])
    said = plain.Said([[0.5]], [(1.0, 1.0, 7.0, 7.0)])
    world = World(grid, [(0.0, 0.0, 7.0, 8.0), (100.0, 0.0, 101.0, 2.0)], said=said)
    assert world.rows(ASSIGNERS[name]()) == [0]


@every_assigner
def test_objects_out_of_the_picture_take_nothing(name):
    world = quiet(crowd(0, 6))
    alone = world.rows(ASSIGNERS[name]())
    world.objects = torch.cat([world.objects, world.objects + 5000])
    world.labels = world.labels.repeat(2)
    assert world.rows(ASSIGNERS[name]()) == alone


@every_assigner
def test_of_objects_that_are_the_same_one_is_found(name):
    world = quiet(crowd(5, 4, sides=(1.0, 1 / 3)))
    alone = world.rows(ASSIGNERS[name]())
    world.objects, world.labels = world.objects.repeat(3, 1), world.labels.repeat(3)
    found = world.rows(ASSIGNERS[name]())
    assert {row % 4 for row in found if row >= 0} >= {row for row in alone if row >= 0}
    assert name != "max-iou" or set(range(12)) <= set(found)


@every_assigner
def test_nothing_has_a_gradient(name):
    world = crowd(0)
    world.guess.boxes.requires_grad_()
    world.guess.scores.requires_grad_()
    before = [each.clone() for each in (*world.target, *world.guess, world.places.boxes)]
    world.rows(ASSIGNERS[name]())
    after = (*world.target, *world.guess, world.places.boxes)
    assert all(torch.equal(a, b) for a, b in zip(before, after, strict=True))


@every_assigner
@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU is there")
def test_a_gpu_says_the_same(name):
    world = crowd(6, 15)
    rows = world.rows(ASSIGNERS[name]())
    places = world.places._replace(boxes=world.places.boxes.cuda())
    target, guess = (type(each)(*(x.cuda() for x in each)) for each in (world.target, world.guess))
    assert ASSIGNERS[name]()(places, target, guess).tolist() == rows
