"""Assigners that use predictions equal reference loops written from the papers."""

from __future__ import annotations

import importlib
import math

import pytest
from scipy.optimize import linear_sum_assignment
from support import plain_assigners as plain

pytestmark = pytest.mark.usefixtures("one_thread")

torch = pytest.importorskip("torch", reason="PyTorch is not installed")
pytest.importorskip("torchvision", reason="torchvision is not installed")
assigners = importlib.import_module("mot.training.assigners")
core = importlib.import_module("mot.training.assigners.core")
ota = importlib.import_module("mot.training.assigners.ota")
targets = importlib.import_module("mot.training.targets")
worlds = importlib.import_module("support.assigner_worlds")

ASSIGNERS, BACKGROUND = assigners.ASSIGNERS, targets.BACKGROUND
transport, largest_shares = ota.transport, ota._largest_shares
MaxIou, SimOta, Ota = assigners.MaxIou, assigners.SimOta, assigners.Ota
World, crowd, without_regions, square_grid = (
    worlds.World,
    worlds.crowd,
    worlds.without_regions,
    worlds.square_grid,
)
SEEDS = range(8)


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("scatter", [0.1, 0.4])
def test_simota_equals_the_reference(seed, scatter):
    world = without_regions(crowd(seed, scatter=scatter))
    expected = plain.simota(
        world.grid, world.objects.tolist(), world.labels.tolist(), world.plain_predictions
    )
    assert world.rows(SimOta()) == expected


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("scatter", [0.15, 0.4])
def test_ota_equals_the_reference(seed, scatter):
    world = without_regions(crowd(seed, scatter=scatter))
    expected = plain.ota(
        world.grid, world.objects.tolist(), world.labels.tolist(), world.plain_predictions
    )
    assert world.rows(Ota()) == expected
    assert len(set(expected)) > 5


@pytest.mark.parametrize("num_good, expected", [(0, 1), (1, 1), (3, 3), (9, 9), (30, 10)])
def test_simota_gives_as_many_anchors_as_predict_good_boxes(num_good, expected):
    world = World(square_grid(), [(16, 4, 80, 60)])
    boxes = torch.full((len(world.anchors.boxes), 4), 500.0)
    inside = core.is_inside(core.to_planes(world.objects), core.centers(world.anchors.boxes))[0]
    boxes[inside.nonzero()[:num_good, 0]] = world.objects[0]
    world.predictions = targets.Predictions(torch.full((len(boxes), 1), 0.5), boxes)
    assert world.rows(SimOta()).count(0) == expected


def test_simota_gives_an_object_narrower_than_a_stride_anchors_of_the_finest_map():
    world = World(square_grid(scale=2.0), [(13, 8, 18, 24)])  # only (16, 16) is inside
    boxes = world.anchors.boxes
    world.predictions = targets.Predictions(torch.full((len(boxes), 1), 0.5), boxes)
    found = [anchor for anchor, row in enumerate(world.rows(SimOta())) if row == 0]
    assert found and max(found) < world.anchors.counts[0]


def test_simota_depends_on_the_class():
    world = World(square_grid(), [(30, 20, 60, 50), (30, 20, 60, 50)], [0, 1])
    boxes = world.objects[:1].expand(len(world.anchors.boxes), 4)
    scores = torch.full((len(boxes), 2), 0.1)
    scores[:48, 0], scores[48:, 1] = 0.9, 0.9
    world.predictions = targets.Predictions(scores, boxes)
    rows = world.rows(SimOta())
    assert set(rows[:48]) == {BACKGROUND, 0}
    assert set(rows[48:]) == {BACKGROUND, 1}


def test_transport_keeps_supplies_and_demands():
    generator = torch.Generator().manual_seed(0)
    costs = 3 * torch.rand(4, 20, generator=generator, dtype=torch.float64)
    supply = torch.tensor([3.0, 1, 6, 10], dtype=torch.float64)
    plan = transport(costs, supply, 0.1, 500)
    torch.testing.assert_close(plan.sum(0), torch.ones(20, dtype=torch.float64))
    torch.testing.assert_close(plan.sum(1), supply)


@pytest.mark.parametrize("seed", SEEDS)
def test_transport_minimizes_the_cost_for_a_small_epsilon(seed):
    generator = torch.Generator().manual_seed(seed)
    costs = torch.rand(4, 20, generator=generator, dtype=torch.float64)
    supply = torch.tensor([3.0, 1, 6, 10], dtype=torch.float64)
    plan = transport(costs.clone(), supply, 0.003, 1500)
    units = costs.repeat_interleave(supply.long(), 0).numpy()
    best = units[linear_sum_assignment(units)].sum()
    assert (plan * costs).sum().item() == pytest.approx(best, rel=0.02)


def test_anchors_of_the_background_alone_can_be_left_out_of_the_transport():
    generator = torch.Generator().manual_seed(0)
    costs = 2 * torch.rand(4, 20, generator=generator, dtype=torch.float64)
    costs[:3, 12:] = math.inf
    supply = torch.tensor([3.0, 1, 4, 12], dtype=torch.float64)
    full = transport(costs.clone(), supply, 0.1, 1000)
    part = transport(costs[:, :12].clone(), supply - torch.tensor([0, 0, 0, 8]), 0.1, 1000)
    torch.testing.assert_close(full[:, :12], part)


def test_an_anchor_goes_to_the_largest_share_and_of_ties_to_the_largest_amount():
    plan = torch.tensor([[0.2, 0.1, 0.0], [0.6, 0.1, 0.0], [0.2, 0.8, 0.9]])
    assert largest_shares(plan).tolist() == [1, 2, 2]
    divided = torch.tensor([[0.2, 0.3, 0.4], [0.8, 0.7, 0.6]])
    assert largest_shares(divided).tolist() == [1, 0, 0]


def test_transport_of_costs_that_underflow():
    costs = torch.tensor([[1e5, 2e5, math.inf], [9e5, 1e5, 0]], dtype=torch.float64)
    plan = transport(costs, torch.tensor([1.0, 2], dtype=torch.float64), 0.1, 50)
    assert plan.round().tolist() == [[1, 0, 0], [0, 1, 1]]


@pytest.mark.parametrize("assigner", [SimOta(), Ota(), MaxIou(ignore_by_prediction=True)])
def test_missing_predictions_are_an_error(assigner):
    world = crowd(0)
    with pytest.raises(ValueError, match="predictions"):
        assigner(world.anchors, world.target, None)


@pytest.mark.parametrize("name", ["simota", "ota", "best-prior"])
def test_predictions_that_are_not_finite_match_no_object(name):
    world = without_regions(crowd(0))
    world.predictions.boxes[::2], world.predictions.boxes[1::2] = math.nan, math.inf
    world.predictions.boxes[0] = world.objects[0]
    rows = world.rows(ASSIGNERS[name]())
    assert len(set(rows) - {BACKGROUND}) > 1
