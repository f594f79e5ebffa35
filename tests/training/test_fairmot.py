"""FairMOT's criterion equals plain loops, and a tiny network learns with it."""

from __future__ import annotations

import math
from itertools import product
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("torchvision")

from support.fairmot import TINY, make_target, perfect_outputs, tiny_fairmot  # noqa: E402

from mot.detectors.architectures import load_model  # noqa: E402
from mot.detectors.models.common import TORCHVISION_INPUT  # noqa: E402
from mot.training.criteria import fairmot as criteria  # noqa: E402
from mot.training.criteria.identity import AuxiliaryHeads  # noqa: E402
from mot.training.targets import Target  # noqa: E402

pytestmark = pytest.mark.usefixtures("one_thread")

RNG = np.random.default_rng(0)


@pytest.fixture(autouse=True)
def seed() -> None:
    torch.manual_seed(0)


def overlap(one: list[float], other: list[float]) -> float:
    across = max(0.0, min(one[2], other[2]) - max(one[0], other[0]))
    down = max(0.0, min(one[3], other[3]) - max(one[1], other[1]))
    area = sum((box[2] - box[0]) * (box[3] - box[1]) for box in (one, other))
    return across * down / (area - across * down)


@pytest.mark.parametrize("min_iou", [0.3, 0.5, 0.7])
def test_a_box_off_by_the_peak_radius_has_the_minimum_iou(min_iou) -> None:
    sides = RNG.uniform(2, 60, (20, 2))
    radii = criteria.peak_radius(torch.from_numpy(sides), min_iou).tolist()
    for (width, height), radius in zip(sides.tolist(), radii, strict=True):
        box = [0.0, 0.0, width, height]

        def worst(by: float, box: list[float] = box) -> float:
            moves = product((-by, 0.0, by), repeat=4)
            return min(
                overlap(box, [side + move for side, move in zip(box, each, strict=True)])
                for each in moves
            )

        assert worst(radius) == pytest.approx(min_iou, abs=1e-4)
        assert worst(0.9 * radius) > min_iou


def test_the_heatmap_equals_plain_loops() -> None:
    boxes = [[4, 4, 40, 90], [30, 10, 60, 80], [33, 12, 63, 82], [90, 40, 100, 60]]
    targets = [make_target(boxes, labels=[0, 0, 0, 1]), make_target([])]
    centers = criteria.find_centers(targets, (96, 128), 0.3)
    heat = criteria.draw_heatmap(centers, (2, 2, 24, 32))
    radii = criteria.peak_radius((targets[0].boxes[:, 2:] - targets[0].boxes[:, :2]) / 4, 0.3)
    for label, y, x in np.ndindex(2, 24, 32):
        wanted = 0.0
        for (left, top, right, bottom), own, radius in zip(
            boxes, [0, 0, 0, 1], radii.tolist(), strict=True
        ):
            column, row = int((left + right) / 8), int((top + bottom) / 8)
            sigma = (2 * radius + 1) / 6
            fall = math.exp(-((x - column) ** 2 + (y - row) ** 2) / (2 * sigma**2))
            wanted = max(wanted, fall) if own == label else wanted
        assert heat[0, label, y, x].item() == pytest.approx(wanted, abs=1e-6)
    assert heat[1].max() == 0
    assert (heat[0] == 1).sum() == 4


def test_cells_around_centers_equal_plain_loops() -> None:
    """Cells of two objects belong to the smaller one, and all are in the image."""
    boxes = [[4, 4, 40, 90], [30, 10, 60, 80], [36, 14, 56, 76], [100, 60, 150, 160]]
    targets = [make_target([]), make_target(boxes)]
    centers = criteria.find_centers(targets, (96, 128), 0.3)
    objects, cells = criteria.cells_around(centers, (2, 1, 24, 32), 0.25)
    owners: dict[tuple[int, int], tuple[float, int]] = {}
    wanted: list[tuple[int, int, int]] = []
    for index, (left, top, right, bottom) in enumerate(boxes):
        area = (right - left) * (bottom - top)
        middle = (max(left, 0) + min(right, 128)) / 2, (max(top, 0) + min(bottom, 96)) / 2
        for across, down in product((-0.25, -0.125, 0, 0.125, 0.25), repeat=2):
            column = int((middle[0] + across * (right - left)) / 4)
            row = int((middle[1] + down * (bottom - top)) / 4)
            cell = min(max(column, 0), 31), min(max(row, 0), 23)
            owners[cell] = min(owners.get(cell, (area, index)), (area, index))
            wanted.append((index, *cell))
    wanted = [each for each in wanted if owners[each[1:]][1] == each[0]]
    found = torch.cat([objects[:, None], cells], 1).tolist()
    assert sorted(found) == sorted(map(list, wanted))
    assert {index for index, *_ in found} == {0, 1, 2, 3}


def test_boxes_are_trained_around_the_center() -> None:
    targets = [make_target([[10, 12, 34, 70], [60, 8, 90, 60]])]
    centers = criteria.find_centers(targets, (96, 128), 0.3)
    raw = perfect_outputs(targets, (96, 128))
    criterion = make_criterion(tiny_fairmot(), 2, box_weight=3.0)
    objects, cells = criteria.cells_around(centers, raw.heat.shape, 0.25)
    middles = centers.cells + centers.offset
    for index, (x, y) in zip(objects.tolist(), cells.tolist(), strict=True):
        raw.offset[0, :, y, x] = middles[index] - torch.tensor([x, y])
        raw.sides[0, :, y, x] = centers.sides[index]
    assert criterion._detection_losses(raw, centers, targets)["box"].item() == pytest.approx(
        0, abs=1e-5
    )
    raw.sides[:] *= 0.5  # IoU and GIoU are a quarter
    found = criterion._detection_losses(raw, centers, targets)["box"].item()
    assert found == pytest.approx(3 * 0.75, abs=1e-4)


def test_the_focal_loss_equals_plain_arithmetic() -> None:
    logits = torch.tensor([-3.0, 0.0, 2.0, -3.0, 0.0, 2.0])
    wanted = torch.tensor([1.0, 1.0, 1.0, 0.0, 0.6, 0.0])
    found = criteria.peak_focal(logits, wanted, 2.0, 4.0)
    for logit, target_, loss in zip(logits.tolist(), wanted.tolist(), found.tolist(), strict=True):
        chance = 1 / (1 + math.exp(-logit))
        plain = -((1 - chance) ** 2) * math.log(chance)
        if target_ < 1:
            plain = -((1 - target_) ** 4) * chance**2 * math.log(1 - chance)
        assert loss == pytest.approx(plain, rel=1e-5)
    assert criteria.peak_focal(torch.tensor([-200.0, 200.0]), wanted[:2], 2, 4).isfinite().all()


def make_criterion(model: Any, identities: int, **settings: Any) -> Any:
    return criteria.FairmotCriterion(model, criteria.FairmotLoss(**settings), None, identities)


def test_perfect_outputs_have_little_loss_and_the_parts_add_up() -> None:
    targets = [make_target([[10, 12, 30, 70], [60, 8, 90, 60]]), make_target([])]
    model, images = tiny_fairmot(), torch.rand(2, 3, 96, 128)
    criterion = make_criterion(model, 5)
    losses = criterion(images, targets)
    assert set(losses) == {"heatmap", "offset", "sides", "identity", "uncertainty"}
    centers = criteria.find_centers(targets, (96, 128), 0.3)
    raw = model.raw(images)
    parts = criterion._detection_losses(raw, centers, targets)
    detection = parts["heatmap"] + parts["offset"] + parts["sides"]
    identity = criterion.auxiliary(criterion._embeddings(raw, centers), images, targets)["identity"]
    one, other = -1.85, -1.05
    total = math.exp(-one) * detection + math.exp(-other) * identity + one + other
    torch.testing.assert_close(sum(losses.values()), total / 2)
    perfect = perfect_outputs(targets, (96, 128))
    perfect.heat[perfect.heat > 0] = 20
    losses = criterion._detection_losses(perfect, centers, targets)
    assert max(loss.item() for loss in losses.values()) < 1e-3


@pytest.mark.parametrize("box_weight", [0.0, 2.0])
def test_every_weight_has_a_gradient(box_weight: float) -> None:
    model = tiny_fairmot().train()
    criterion = make_criterion(model, 3, box_weight=box_weight)
    losses = criterion(torch.rand(2, 3, 64, 64), [make_target([[4, 4, 30, 60]]), make_target([])])
    sum(losses.values()).backward()
    for owner in (model, criterion.auxiliary):
        assert all(
            each.grad is not None and each.grad.isfinite().all() for each in owner.parameters()
        )


def test_losses_of_images_without_objects_are_finite() -> None:
    model = tiny_fairmot().train()
    for identities in (0, 1, 2):
        criterion = make_criterion(model, identities, box_weight=2.0)
        losses = criterion(torch.rand(1, 3, 64, 64), [make_target([])])
        assert all(loss.isfinite() for loss in losses.values())
        sum(losses.values()).backward()


def test_ignored_regions_have_no_gradient_except_at_centers() -> None:
    box, region = [10, 10, 30, 70], [40.0, 0.0, 90.0, 96.0]
    targets = [make_target([box, [50, 20, 70, 80]], regions=[region])]
    centers = criteria.find_centers(targets, (96, 128), 0.3)
    criterion, raw = make_criterion(tiny_fairmot(), 2), perfect_outputs(targets, (96, 128))
    raw.heat.requires_grad_()
    criterion._detection_losses(raw, centers, targets)["heatmap"].backward()
    inside = torch.zeros(24, 32, dtype=torch.bool)
    for y, x in np.ndindex(24, 32):
        inside[y, x] = 40 < 4 * x + 2 < 90
    changed = raw.heat.grad[0, 0] != 0
    assert changed[~inside].all()
    assert changed[inside].sum() == 1  # the center of the object in the region


def test_objects_without_an_identity_have_no_identity_loss() -> None:
    boxes = [[10, 12, 30, 70], [60, 8, 90, 60], [90, 30, 120, 90]]
    model, images = tiny_fairmot(), torch.rand(1, 3, 96, 128)
    criterion = make_criterion(model, 4)
    with_unknown = criterion(images, [make_target(boxes, ids=[2, -1, -1])])["identity"]
    alone = criterion(images, [make_target(boxes[:1], ids=[2])])["identity"]
    torch.testing.assert_close(with_unknown, alone)
    unknown = criterion(images, [make_target(boxes, ids=[-1, -1, -1])])["identity"]
    assert unknown.item() == 0


@pytest.mark.parametrize("identities, expected", [(1, 0.0), (2, 0.5)])
def test_the_weight_of_a_task_without_loss_is_not_trained(identities: int, expected: float) -> None:
    """Its variance would fall for ever."""
    criterion = make_criterion(tiny_fairmot().train(), identities)
    losses = criterion(torch.rand(1, 3, 64, 64), [make_target([[4, 4, 30, 60]], ids=[-1])])
    sum(losses.values()).backward()
    assert criterion.auxiliary.log_variances.grad[1].item() == expected


def test_the_identity_loss_equals_numpy() -> None:
    """Cross entropy of sqrt(2) log(N - 1) times the unit vector, in NumPy."""
    heads = AuxiliaryHeads(
        3,
        6,
        criteria.FairmotLoss(),
        TORCHVISION_INPUT,
    )
    vectors = torch.tensor([[3.0, 0, 4], [1, 1, 0]])
    embeddings = criteria.ObjectEmbeddings(vectors, torch.tensor([0, 1]))
    found = heads(embeddings, torch.zeros(1), [make_target([[0, 0, 1, 1]] * 2, ids=[5, 0])])[
        "identity"
    ]
    unit = vectors.numpy() / np.linalg.norm(vectors.numpy(), axis=1, keepdims=True)
    weight, bias = (each.detach().numpy() for each in heads.classifier.parameters())
    logits = math.sqrt(2) * math.log(5) * unit @ weight.T + bias
    chances = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    assert found.item() == pytest.approx(-np.log([chances[0, 5], chances[1, 0]]).mean(), rel=1e-5)


def test_a_tiny_network_learns_boxes_and_identities() -> None:
    """Four images of three objects of different colors."""
    pytest.importorskip("timm", reason="timm is not installed")
    images, targets = make_images()
    model = load_model(TINY).model.train()
    criterion = make_criterion(model, 3)
    weights = [*model.parameters(), *criterion.auxiliary.parameters()]
    optimizer = torch.optim.AdamW(weights, 0.004, weight_decay=0.0)
    first = last = math.nan
    for step in range(40):
        loss = sum(criterion(images, targets).values())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        first, last = (loss.item(), last) if step == 0 else (first, loss.item())
    assert last < first / 4
    with torch.no_grad():
        for module in model.modules():  # the statistics of these images, not of all steps
            if isinstance(module, torch.nn.BatchNorm2d):
                module.momentum = None
                module.reset_running_stats()
        model(images)
        boxes, scores, vectors = model.eval()(images)
    kept, ids = [], []
    for image, wanted in enumerate(targets):
        for box, identity in zip(wanted.boxes.tolist(), wanted.ids.tolist(), strict=True):
            overlaps = [overlap(box, each) for each in boxes[image].tolist()]
            right = np.where(np.array(overlaps) > 0.5, scores[image, :, 0].numpy(), 0)
            assert right.max() > 0.3, "an object is not detected"
            kept.append(vectors[image, int(right.argmax())])
            ids.append(identity)
    similarity = torch.stack(kept) @ torch.stack(kept).T
    same = torch.tensor(ids)[:, None] == torch.tensor(ids)
    assert similarity[same].min() > similarity[~same].max()


def make_images() -> tuple[Any, list[Target]]:
    """(4, 3, 64, 96) images and their targets."""
    rng = np.random.default_rng(3)
    images = torch.from_numpy(rng.uniform(-1, 0, (4, 3, 64, 96)).astype(np.float32))
    colors = torch.tensor([[2.0, 0, 0], [0, 2.0, 0], [0, 0, 2.0]])
    targets = []
    for image in range(4):
        boxes, ids = [], rng.permutation(3)[:2].tolist()
        for column, identity in enumerate(ids):
            left, top = (6 + 46 * column + int(rng.integers(12)), int(rng.integers(3, 20)))
            boxes.append([left, top, left + 18, top + 40])
            images[image, :, top : top + 40, left : left + 18] = colors[identity][:, None, None]
        targets.append(make_target(boxes, ids=ids))
    return images, targets
