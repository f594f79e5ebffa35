"""The assigners that go by what the network says equal plain loops written from the papers."""

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
transporting = importlib.import_module("mot.training.assigners.transport")
targets = importlib.import_module("mot.training.targets")
worlds = importlib.import_module("support.assigner_worlds")

ASSIGNERS, BACKGROUND = assigners.ASSIGNERS, targets.BACKGROUND
transport, largest_shares = transporting.transport, transporting._largest_shares
MaxIou, SimOta, Ota = assigners.MaxIou, assigners.SimOta, assigners.Ota
World, crowd, quiet, square_grid = worlds.World, worlds.crowd, worlds.quiet, worlds.square_grid
SEEDS = range(8)


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("spread", [0.1, 0.4])
def test_simota_is_a_plain_loop(seed, spread):
    world = quiet(crowd(seed, spread=spread))
    expected = plain.simota(world.grid, world.objects.tolist(), world.labels.tolist(), world.said)
    assert world.rows(SimOta()) == expected


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("spread", [0.15, 0.4])
def test_ota_is_a_plain_loop(seed, spread):
    world = quiet(crowd(seed, spread=spread))
    expected = plain.ota(world.grid, world.objects.tolist(), world.labels.tolist(), world.said)
    assert world.rows(Ota()) == expected
    assert len(set(expected)) > 5


@pytest.mark.parametrize("good, expected", [(0, 1), (1, 1), (3, 3), (9, 9), (30, 10)])
def test_simota_gives_as_many_places_as_boxes_are_good(good, expected):
    world = World(square_grid(), [(16, 4, 80, 60)])
    boxes = torch.full((len(world.places.boxes), 4), 500.0)
    inside = core.within(core.planes_of(world.objects), core.centres(world.places.boxes))[0]
    boxes[inside.nonzero()[:good, 0]] = world.objects[0]
    world.guess = targets.Predictions(torch.full((len(boxes), 1), 0.5), boxes)
    assert world.rows(SimOta()).count(0) == expected


def test_simota_gives_somebody_narrower_than_a_stride_places_of_the_finest_map():
    world = World(square_grid(scale=2.0), [(13, 8, 18, 24)])  # only (16, 16) is inside
    boxes = world.places.boxes
    world.guess = targets.Predictions(torch.full((len(boxes), 1), 0.5), boxes)
    found = [place for place, row in enumerate(world.rows(SimOta())) if row == 0]
    assert found and max(found) < world.places.counts[0]


def test_simota_goes_by_the_class():
    world = World(square_grid(), [(30, 20, 60, 50), (30, 20, 60, 50)], [0, 1])
    boxes = world.objects[:1].expand(len(world.places.boxes), 4)
    scores = torch.full((len(boxes), 2), 0.1)
    scores[:48, 0], scores[48:, 1] = 0.9, 0.9
    world.guess = targets.Predictions(scores, boxes)
    rows = world.rows(SimOta())
    assert set(rows[:48]) == {BACKGROUND, 0}
    assert set(rows[48:]) == {BACKGROUND, 1}


def test_transport_keeps_what_is_supplied_and_taken():
    generator = torch.Generator().manual_seed(0)
    costs = 3 * torch.rand(4, 20, generator=generator, dtype=torch.float64)
    supply = torch.tensor([3.0, 1, 6, 10], dtype=torch.float64)
    plan = transport(costs, supply, 0.1, 500)
    torch.testing.assert_close(plan.sum(0), torch.ones(20, dtype=torch.float64))
    torch.testing.assert_close(plan.sum(1), supply)


@pytest.mark.parametrize("seed", SEEDS)
def test_transport_costs_least_when_cold(seed):
    generator = torch.Generator().manual_seed(seed)
    costs = torch.rand(4, 20, generator=generator, dtype=torch.float64)
    supply = torch.tensor([3.0, 1, 6, 10], dtype=torch.float64)
    plan = transport(costs.clone(), supply, 0.003, 1500)
    units = costs.repeat_interleave(supply.long(), 0).numpy()
    best = units[linear_sum_assignment(units)].sum()
    assert (plan * costs).sum().item() == pytest.approx(best, rel=0.02)


def test_places_that_none_may_have_need_not_be_transported():
    generator = torch.Generator().manual_seed(0)
    costs = 2 * torch.rand(4, 20, generator=generator, dtype=torch.float64)
    costs[:3, 12:] = math.inf
    supply = torch.tensor([3.0, 1, 4, 12], dtype=torch.float64)
    whole = transport(costs.clone(), supply, 0.1, 1000)
    part = transport(costs[:, :12].clone(), supply - torch.tensor([0, 0, 0, 8]), 0.1, 1000)
    torch.testing.assert_close(whole[:, :12], part)


def test_a_place_goes_to_the_largest_share_and_then_to_who_sends_most():
    plan = torch.tensor([[0.2, 0.1, 0.0], [0.6, 0.1, 0.0], [0.2, 0.8, 0.9]])
    assert largest_shares(plan).tolist() == [1, 2, 2]
    divided = torch.tensor([[0.2, 0.3, 0.4], [0.8, 0.7, 0.6]])
    assert largest_shares(divided).tolist() == [1, 0, 0]


def test_transport_bears_costs_that_leave_no_kernel():
    costs = torch.tensor([[1e5, 2e5, math.inf], [9e5, 1e5, 0]], dtype=torch.float64)
    plan = transport(costs, torch.tensor([1.0, 2], dtype=torch.float64), 0.1, 50)
    assert plan.round().tolist() == [[1, 0, 0], [0, 1, 1]]


@pytest.mark.parametrize("assigner", [SimOta(), Ota(), MaxIou(spares_guesses=True)])
def test_who_needs_a_guess_says_so(assigner):
    world = crowd(0)
    with pytest.raises(ValueError, match="guess"):
        assigner(world.places, world.target, None)


@pytest.mark.parametrize("name", ["simota", "ota", "best-prior"])
def test_boxes_that_are_no_numbers_are_nobodys(name):
    world = quiet(crowd(0))
    world.guess.boxes[::2], world.guess.boxes[1::2] = math.nan, math.inf
    world.guess.boxes[0] = world.objects[0]
    rows = world.rows(ASSIGNERS[name]())
    assert len(set(rows) - {BACKGROUND}) > 1
