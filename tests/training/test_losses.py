"""Losses equal formulas from the papers, one number at a time; gradients are correct."""

from __future__ import annotations

import importlib
import math
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support import plain_assigners as plain

pytestmark = pytest.mark.usefixtures("one_thread")

torch = pytest.importorskip("torch", reason="PyTorch is not installed")
pytest.importorskip("torchvision", reason="torchvision is not installed")
SSD = importlib.import_module("torchvision.models.detection.ssd").SSD
losses = importlib.import_module("mot.training.losses")
targets = importlib.import_module("mot.training.targets")
worlds = importlib.import_module("support.assigner_worlds")

few_examples = settings(deadline=None, max_examples=100)
gradcheck = torch.autograd.gradcheck
logit_lists = st.lists(st.floats(-12, 12), min_size=1, max_size=8)
each_box_loss = pytest.mark.parametrize("kind", losses.BOX_LOSSES)


def doubles(values, needs_gradient: bool = True):
    return torch.tensor(values, dtype=torch.float64).requires_grad_(needs_gradient)


def random(*shape: int, seed: int = 0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(shape, generator=generator, dtype=torch.float64)


def probability(logit: float) -> float:
    return 1 / (1 + math.exp(-logit))


def cross_entropy(logit: float, wanted: float) -> float:
    p = probability(logit)
    return -wanted * math.log(p) - (1 - wanted) * math.log(1 - p)


def assert_equals(found, expected) -> None:
    torch.testing.assert_close(found, torch.tensor(expected, dtype=torch.float64))


# Logits


@given(logit_lists, st.sampled_from([0.25, 0.5]), st.sampled_from([0.0, 1.0, 2.0]))
@few_examples
def test_focal(logits, alpha, gamma):
    ones, zeros = torch.ones(len(logits)), torch.zeros(len(logits))
    values = doubles(logits, False)
    p = [probability(logit) for logit in logits]
    positive = [alpha * (1 - x) ** gamma * -math.log(x) for x in p]
    negative = [(1 - alpha) * x**gamma * -math.log(1 - x) for x in p]
    assert_equals(losses.focal(values, ones, alpha, gamma), positive)
    assert_equals(losses.focal(values, zeros, alpha, gamma), negative)


@given(logit_lists, st.floats(0, 1), st.sampled_from([0.0, 0.1, 0.5]))
@few_examples
def test_binary_with_smoothing(logits, wanted, smoothing):
    values = doubles(logits, False)
    smooth = (1 - smoothing) * wanted + smoothing * 0.5
    found = losses.binary_cross_entropy(values, torch.full_like(values, wanted), smoothing)
    assert_equals(found, [cross_entropy(logit, smooth) for logit in logits])


@pytest.mark.parametrize("beta", [0.0, 1 / 9, 1.0])
def test_smooth_l1(beta):
    deltas, wanted = 2 * random(40), random(40, seed=1)
    errors = (deltas - wanted).abs().tolist()
    expected = [x * x / (2 * beta) if x < beta else x - beta / 2 for x in errors]
    assert_equals(losses.smooth_l1(deltas, wanted, beta), expected)


ELEMENTWISE = {
    "focal": losses.focal,
    "binary": losses.binary_cross_entropy,
    "smooth_l1": losses.smooth_l1,
}
each_elementwise = pytest.mark.parametrize("name", ELEMENTWISE)


@each_elementwise
@pytest.mark.parametrize("kind", [torch.float16, torch.bfloat16])
def test_half_precision_is_computed_in_float32(name, kind):
    logits, wanted = (4 * random(3000)).to(kind), (random(3000, seed=1) > 0)
    found = ELEMENTWISE[name](logits, wanted)
    assert found.dtype == torch.float32
    assert torch.equal(found, ELEMENTWISE[name](logits.float(), wanted.float()))
    assert found.sum().isfinite()


@each_elementwise
def test_elementwise_gradients(name):
    wanted = torch.rand(6, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    wanted[:2] = torch.tensor([0.0, 1.0])
    assert gradcheck(lambda x: ELEMENTWISE[name](x, wanted), [random(6).requires_grad_()])


@each_elementwise
@pytest.mark.parametrize("value", [-1e4, -90.0, 90.0, 1e4])
def test_extreme_logits_have_finite_gradients(name, value):
    logits = torch.full((2,), value, requires_grad=True)
    ELEMENTWISE[name](logits, torch.tensor([0.0, 1.0])).sum().backward()
    assert logits.grad.isfinite().all()
    assert logits.grad.abs().max() > 0.1


# Boxes


def plain_box_loss(kind: str, a, b) -> float:
    overlap = plain.iou(a, b)
    hull = (min(a[0], b[0]), min(a[1], b[1]), max(a[2], b[2]), max(a[3], b[3]))
    if kind == "iou":
        return 1 - overlap
    if kind == "giou":
        union = plain.area(a) + plain.area(b) - plain.shared(a, b)
        return 1 - overlap + (plain.area(hull) - union) / plain.area(hull)
    distance = math.dist(plain.center_of(a), plain.center_of(b)) / math.dist(hull[:2], hull[2:])
    if kind == "diou":
        return 1 - overlap + distance**2
    angles = [math.atan2(box[2] - box[0], box[3] - box[1]) for box in (a, b)]
    v = 4 / math.pi**2 * (angles[0] - angles[1]) ** 2
    return 1 - overlap + distance**2 + (v * v / (1 - overlap + v) if v else 0.0)


def some_boxes(count: int, seed: int):
    rng = np.random.default_rng(seed)
    corner, size = rng.uniform(0, 40, (count, 2)), rng.uniform(1, 40, (count, 2))
    return torch.tensor(np.concatenate([corner, corner + size], 1))


@each_box_loss
def test_box_losses(kind):
    a, b = some_boxes(200, 0), some_boxes(200, 1)
    a[:20] = b[:20]
    pairs = zip(a.tolist(), b.tolist(), strict=True)
    expected = doubles([plain_box_loss(kind, *pair) for pair in pairs], False)
    torch.testing.assert_close(losses.box_loss(kind, a, b), expected, rtol=1e-5, atol=1e-6)
    assert losses.box_loss(kind, a[:0], b[:0]).shape == (0,)


def test_paired_iou():
    a, b = some_boxes(200, 0), some_boxes(200, 1)
    pairs = zip(a.tolist(), b.tolist(), strict=True)
    assert_equals(losses.paired_iou(a, b), [plain.iou(*pair) for pair in pairs])
    empty = torch.zeros(1, 4)
    assert losses.paired_iou(empty, empty).tolist() == [0]


@pytest.mark.parametrize("kind", ["iou", "giou", "diou"])
def test_gradients_of_boxes(kind):
    a, b = some_boxes(12, 2), some_boxes(12, 3)
    assert gradcheck(lambda x: losses.box_loss(kind, x, b), [a.requires_grad_()])


def test_gradient_of_ciou():
    """The weight of its aspect term has no gradient, so finite differences cannot check it."""
    a, b = some_boxes(12, 2), some_boxes(12, 3)

    def aspect_term(x):
        sizes = [each[:, 2:] - each[:, :2] for each in (x, b)]
        angles = [torch.atan2(*size.unbind(1)) for size in sizes]
        return 4 / math.pi**2 * (angles[0] - angles[1]) ** 2

    v = aspect_term(a)
    weight = v / (1 - losses.paired_iou(a, b) + v)
    a.requires_grad_()
    expected = (losses.box_loss("diou", a, b) + weight * aspect_term(a)).sum()
    found = losses.box_loss("ciou", a, b).sum()
    (expected,) = torch.autograd.grad(expected, a)
    torch.testing.assert_close(torch.autograd.grad(found, a)[0], expected)


@each_box_loss
@pytest.mark.parametrize(
    "box",
    [
        (5, 5, 5, 5),
        (5, 5, 5, 20),
        (5, 5, 20, 5),
        (20, 20, 5, 5),
        (20, 5, 5, 20),
        (9e3, 9e3, 9e3, 9e3),
    ],
)
def test_boxes_without_area_have_finite_gradients(kind, box):
    for other in [(3, 3, 30, 40), (5, 5, 5, 5), box]:
        boxes = torch.tensor([box], dtype=torch.float32, requires_grad=True)
        loss = losses.box_loss(kind, boxes, torch.tensor([other], dtype=torch.float32))
        loss.sum().backward()
        assert loss.isfinite().all()
        assert boxes.grad.isfinite().all()


@pytest.mark.parametrize("kind", ["giou", "diou", "ciou"])
def test_a_reversed_box_learns_to_fit(kind):
    box = torch.tensor([[30.0, 12.0, 20.0, 28.0]])
    wanted = torch.tensor([[10.0, 10.0, 40.0, 30.0]])
    box.requires_grad_()
    for _ in range(200):
        (gradient,) = torch.autograd.grad(losses.box_loss(kind, box, wanted).sum(), box)
        box = (box - 20 * gradient).detach().requires_grad_()
    assert losses.paired_iou(box, wanted) > 0.8


def test_half_precision_boxes_are_computed_in_float32():
    a, b = some_boxes(50, 0).half(), some_boxes(50, 1).half()
    for kind in losses.BOX_LOSSES:
        found = losses.box_loss(kind, a, b)
        assert found.dtype == torch.float32
        assert torch.equal(found, losses.box_loss(kind, a.float(), b.float()))


# Hard negatives


def plain_hard(values, positive, negative, ratio) -> list[bool]:
    """Of one image."""
    wanted = int(ratio * sum(positive))
    some = [k for k in range(len(values)) if negative[k] and not positive[k]]
    chosen = sorted(some, key=lambda k: -values[k])[:wanted]
    return [k in chosen for k in range(len(values))]


@given(st.integers(0, 10**6), st.sampled_from([1.0, 3.0]))
@few_examples
def test_hard_negatives(seed, ratio):
    rng = np.random.default_rng(seed)
    shape = (3, rng.integers(0, 20))
    values, positive = rng.integers(0, 6, shape) / 2, rng.random(shape) < 0.2
    negative = rng.random(shape) < 0.8
    tensors = [torch.tensor(each) for each in (values, positive, negative)]
    found = losses.hard_negatives(*tensors, ratio).tolist()
    rows = zip(values, positive, negative, strict=True)
    assert found == [plain_hard(*row, ratio) for row in rows]
    found = losses.hard_negatives(*tensors[:2], ~tensors[1], ratio).tolist()
    rows = zip(values, positive, ~positive, strict=True)
    assert found == [plain_hard(*row, ratio) for row in rows]


def test_hard_negatives_equal_torchvisions():
    world = worlds.without_regions(worlds.crowd(0))
    count = len(world.anchors.boxes)
    logits, rows = random(1, count, 3), (random(count, seed=1) > 1.5).long() - 1
    truth = [{"labels": torch.ones(12, dtype=torch.int64), "boxes": world.objects}]
    network = SimpleNamespace(
        neg_to_pos_ratio=3, box_coder=SimpleNamespace(encode_single=lambda boxes, _: boxes)
    )
    outputs = {"cls_logits": logits, "bbox_regression": torch.zeros(1, count, 4)}
    theirs = SSD.compute_loss(network, truth, outputs, [world.anchors.boxes], [rows])[
        "classification"
    ]
    positive = (rows >= 0)[None]
    values = torch.nn.functional.cross_entropy(
        logits.movedim(2, 1), positive.long(), reduction="none"
    )
    chosen = losses.hard_negatives(values, positive, ~positive)
    torch.testing.assert_close(values[chosen | positive].sum() / positive.sum(), theirs)


# FreeAnchor


def plain_free_anchor(world, logits, boxes, wanted, bag_size=50) -> float:
    """`wanted` (N, A): the box loss of each object at each anchor."""
    own, objects = world.anchors.boxes.tolist(), world.objects.tolist()
    labels, total = world.labels.tolist(), 0.0
    for row, (target, label) in enumerate(zip(objects, labels, strict=True)):
        if not any(plain.iou(target, box) for box in own):
            continue
        order = sorted(range(len(own)), key=lambda k: -plain.iou(target, own[k]))[:bag_size]
        x = [probability(logits[k][label]) * math.exp(-0.75 * wanted[row][k]) for k in order]
        mean_max = sum(p / (1 - p) for p in x) / sum(1 / (1 - p) for p in x)
        total += 0.5 * -math.log(mean_max)
    overlaps = [[plain.iou(target, box) for box in boxes] for target in objects]
    for anchor, box in enumerate(own):
        if any(plain.shared(box, r) > 0.5 * plain.area(box) for r in world.regions.tolist()):
            continue
        for label, logit in enumerate(logits[anchor]):
            found = [
                min(1, max(0, (each[anchor] - 0.6) / (max(each) - 0.6)))
                for each, name in zip(overlaps, labels, strict=True)
                if name == label and max(each) > 0.6
            ]
            wrong = probability(logit) * (1 - max(found, default=0))
            total += 0.5 / bag_size * wrong**2 * -math.log(1 - wrong)
    return total


def free_anchor(world, logits, boxes, wanted, **options):
    return losses.free_anchor(
        logits,
        boxes,
        world.anchors,
        world.target,
        lambda bags: wanted.gather(1, bags),
        losses.FreeAnchor(**options),
    )


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("bag_size", [1, 7, 10**4])
def test_free_anchor(seed, bag_size):
    world = worlds.crowd(seed, scatter=0.1)
    world.objects[0] += 1000
    generator = torch.Generator().manual_seed(seed)
    world.anchors = world.anchors._replace(  # no two have the same IoU with an object
        boxes=world.anchors.boxes + torch.rand(world.anchors.boxes.shape, generator=generator)
    )
    logits = 2 * random(len(world.grid), 2, seed=seed)
    wanted = random(12, len(world.grid), seed=9).abs()
    expected = plain_free_anchor(
        world, logits.tolist(), world.predictions.boxes.tolist(), wanted.tolist(), bag_size
    )
    found = free_anchor(world, logits, world.predictions.boxes, wanted, bag_size=bag_size)
    assert found.item() == pytest.approx(expected, rel=1e-5)
    assert found.dtype == torch.float64
    half = free_anchor(
        world, logits.half(), world.predictions.boxes, wanted.half(), bag_size=bag_size
    )
    assert half.dtype == torch.float32
    assert half.item() == pytest.approx(expected, rel=1e-2)


def test_free_anchor_has_the_correct_gradient():
    world = worlds.crowd(1, 3)
    few = torch.arange(0, len(world.grid), 9)
    world.anchors = world.anchors._replace(boxes=world.anchors.boxes[few], counts=(len(few),))
    boxes = world.predictions.boxes[few]
    boxes[:3] = world.objects

    def loss(logits, wanted):
        return free_anchor(world, logits, boxes, wanted, bag_size=4)

    logits, wanted = 2 * random(len(few), 2), random(3, len(few), seed=1).abs()
    assert gradcheck(loss, [logits.requires_grad_(), wanted.requires_grad_()])


@pytest.mark.parametrize("count", [0, 3])
def test_free_anchor_ignores_regions_and_needs_no_object(count):
    world = worlds.crowd(0, 5)
    world.objects, world.labels = world.objects[:count], world.labels[:count]
    logits = random(len(world.grid), 2).requires_grad_()
    wanted = torch.ones(count, len(world.grid), dtype=torch.float64)
    free_anchor(world, logits, torch.zeros(len(world.grid), 4), wanted, bag_size=1).backward()
    rows = plain.apply_ignored(
        [-1] * len(world.grid), world.anchors.boxes.tolist(), world.regions.tolist()
    )
    ignored = torch.tensor(rows) == targets.IGNORED
    assert (logits.grad[ignored] == 0).all(1).sum() >= ignored.sum() - count
    assert (logits.grad[~ignored] != 0).all()


@pytest.mark.parametrize("logit", [-1e4, 1e4])
@pytest.mark.parametrize("loss_value", [0.0, 1e4])
def test_free_anchor_learns_from_extreme_predictions(logit, loss_value):
    world = worlds.without_regions(worlds.crowd(0, 3))
    logits = torch.full((len(world.grid), 2), logit, requires_grad=True)
    wanted = torch.full((3, len(world.grid)), loss_value, requires_grad=True)
    loss = free_anchor(world, logits, torch.zeros(len(world.grid), 4), wanted)
    loss.backward()
    assert loss.isfinite()
    assert logits.grad.isfinite().all()
    assert wanted.grad.isfinite().all()
    if loss_value:
        assert wanted.grad.abs().sum() > 0.9


def test_mean_max_is_the_mean_of_small_probabilities_and_the_maximum_of_large_ones():
    small = torch.tensor([[1e-4, 3e-4, 2e-4]], dtype=torch.float64)
    assert losses.log_mean_max(small.log()).exp().item() == pytest.approx(2e-4, rel=1e-3)
    large = torch.tensor([[1e-4, 0.9999999, 0.2]], dtype=torch.float64)
    assert losses.log_mean_max(large.log()).exp().item() == pytest.approx(1, abs=1e-6)
    certain = torch.tensor([[0.0, -5.0]])
    assert losses.log_mean_max(certain).item() == pytest.approx(0, abs=1e-6)
