"""Losses of embedders equal reference loops over crops and pairs."""

from __future__ import annotations

import math

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="PyTorch is not installed")

from mot.training.criteria.embedder import (  # noqa: E402
    EmbedderCriterion,
    EmbedderHeads,
    EmbedderLoss,
    contrastive,
    distillation,
    identity,
    relational,
    triplet,
)
from mot.training.targets import Target  # noqa: E402

# Three identities twice or more, and one once.
IDS = [4, 4, 1, 7, 1, 1, 9, 7]


def random(*shape: int, seed: int = 0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=generator, dtype=torch.float64)


def unit(*shape: int, seed: int = 0):
    return torch.nn.functional.normalize(random(*shape, seed=seed))


def distance(one, other) -> float:
    return math.sqrt(sum((a - b) ** 2 for a, b in zip(one, other, strict=True)))


def dot(one, other) -> float:
    return sum(a * b for a, b in zip(one, other, strict=True))


def plain_triplet(features: list[list[float]], ids: list[int], margin: float) -> float:
    losses = []
    for row, (one, own_id) in enumerate(zip(features, ids, strict=True)):
        others = [n for n in range(len(ids)) if n != row]
        positive = [distance(one, features[n]) for n in others if ids[n] == own_id]
        negative = [distance(one, features[n]) for n in others if ids[n] != own_id]
        if positive and negative:
            gap = max(positive) - min(negative)
            losses.append(max(0.0, gap + margin) if margin else math.log1p(math.exp(gap)))
    return sum(losses) / len(losses) if losses else 0.0


def plain_contrastive(vectors: list[list[float]], ids: list[int], temperature: float) -> float:
    losses = []
    for row, one in enumerate(vectors):
        others = [n for n in range(len(ids)) if n != row]
        total = sum(math.exp(dot(one, vectors[n]) / temperature) for n in others)
        positive = [n for n in others if ids[n] == ids[row]]
        logs = [dot(one, vectors[n]) / temperature - math.log(total) for n in positive]
        if positive:
            losses.append(-sum(logs) / len(positive))
    return sum(losses) / len(losses) if losses else 0.0


def plain_relational(
    ours: list[list[float]], theirs: list[list[float]], crops: list[int], temperature: float
) -> float:
    total = 0.0
    for row in range(len(ours)):
        others = [n for n in range(len(ours)) if crops[n] != crops[row]]
        qs = [math.exp(dot(ours[row], ours[n]) / temperature) for n in others]
        ps = [math.exp(dot(theirs[row], theirs[n]) / temperature) for n in others]
        for q, p in zip(qs, ps, strict=True):
            q, p = q / sum(qs), p / sum(ps)
            total += p * (math.log(p) - math.log(q))
    return total / len(ours)


def plain_identity(logits: list[list[float]], ids: list[int], smoothing: float) -> float:
    total = 0.0
    for row, own_id in zip(logits, ids, strict=True):
        logs = [value - math.log(sum(math.exp(each) for each in row)) for value in row]
        total -= (1 - smoothing) * logs[own_id] + smoothing * sum(logs) / len(logs)
    return total / len(ids)


@pytest.mark.parametrize("margin", [0.0, 0.3, 2.0])
@pytest.mark.parametrize("ids", [IDS, [1, 1, 1], [1, 2, 3], [5, 5, 6]])
def test_triplet(ids, margin) -> None:
    features = random(len(ids), 5)
    found = triplet(features, torch.tensor(ids), margin)
    assert float(found) == pytest.approx(plain_triplet(features.tolist(), ids, margin), abs=1e-9)


@pytest.mark.parametrize("ids", [IDS, [1, 1, 1], [1, 2, 3], [5, 5, 6]])
def test_contrastive(ids) -> None:
    vectors = unit(len(ids), 5)
    found = contrastive(vectors, torch.tensor(ids), 0.2)
    assert float(found) == pytest.approx(plain_contrastive(vectors.tolist(), ids, 0.2), abs=1e-9)


@pytest.mark.parametrize("crops", [list(range(8)), [0, 0, 1, 1, 2, 3, 3, 3], [5] * 8])
def test_relational(crops) -> None:
    ours, theirs, rows = unit(8, 5), unit(8, 7, seed=1), torch.tensor(crops)
    found = float(relational(ours, theirs, rows, 0.1))
    wanted = plain_relational(ours.tolist(), theirs.tolist(), crops, 0.1)
    assert found == pytest.approx(wanted, abs=1e-9)
    rotated = theirs @ torch.linalg.qr(random(7, 7, seed=2))[0]
    assert float(relational(rotated, theirs, rows, 0.1)) == pytest.approx(0, abs=1e-9)


def test_identity() -> None:
    logits = random(8, 10)
    found = float(identity(logits, torch.tensor(IDS), 0.1))
    assert found == pytest.approx(plain_identity(logits.tolist(), IDS, 0.1), abs=1e-6)


def test_distillation_is_the_cosine_distance() -> None:
    ours, theirs = random(4, 3), unit(4, 3, seed=1)
    cosines = [dot(a, b) / math.sqrt(dot(a, a)) for a, b in zip(ours, theirs, strict=True)]
    assert float(distillation(ours, theirs)) == pytest.approx(1 - float(np.mean(cosines)))


@pytest.mark.parametrize("loss", [triplet, contrastive])
def test_crops_without_a_positive_have_zero_gradients(loss) -> None:
    vectors = unit(3, 4).requires_grad_()
    loss(vectors, torch.tensor([1, 2, 3]), 0.3).backward()
    assert not vectors.grad.any()


def test_identical_crops_have_finite_gradients() -> None:
    features = random(1, 4).repeat(4, 1).requires_grad_()
    triplet(features, torch.tensor([0, 0, 1, 1]), 0.3).backward()
    assert features.grad.isfinite().all()


class Network(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.neck = torch.nn.BatchNorm1d(12)

    def features(self, images):
        return images.flatten(1)


def losses_of(settings: EmbedderLoss, teacher=None, ids=IDS) -> dict[str, float]:
    images = random(8, 3, 2, 2).float()
    targets = [
        Target(torch.zeros(1, 4), torch.tensor([crop]), torch.tensor([own_id]), torch.zeros(0, 4))
        for crop, own_id in zip([5, 0, 1, 2, 3, 4, 6, 7], ids, strict=True)
    ]
    losses = EmbedderCriterion(Network(), settings, 10, teacher)(images, targets)
    return {name: float(loss.detach()) for name, loss in losses.items()}


def test_losses_with_a_weight_are_returned_weighted() -> None:
    both = losses_of(EmbedderLoss(identity=0.0, contrastive=1.0))
    assert both.keys() == {"triplet", "contrastive"}
    once = losses_of(EmbedderLoss(identity=0.0))
    twice = losses_of(EmbedderLoss(identity=0.0, triplet=2.0))
    assert twice["triplet"] == pytest.approx(2 * once["triplet"])


def test_crops_without_an_identity_are_excluded() -> None:
    settings, all_ids = EmbedderLoss(contrastive=1.0), [4, -1, 1, -1, 1, 4, -1, 7]
    known = np.array(all_ids) >= 0
    features = random(8, 3, 2, 2).float().flatten(1)
    unit = torch.nn.functional.normalize(torch.nn.BatchNorm1d(12)(features)).detach()
    found, ids = losses_of(settings, ids=all_ids), [each for each in all_ids if each >= 0]
    wanted = plain_triplet(features[known].tolist(), ids, settings.margin)
    assert found["triplet"] == pytest.approx(wanted, abs=1e-5) and wanted > 0
    wanted = plain_contrastive(unit[known].tolist(), ids, settings.temperature)
    assert found["contrastive"] == pytest.approx(wanted, abs=1e-5) and wanted > 0
    assert set(losses_of(settings, ids=[-1] * 8).values()) == {0.0}


def test_the_teacher_is_indexed_by_crop() -> None:
    behind_neck = torch.nn.BatchNorm1d(12)(random(8, 3, 2, 2).float().flatten(1))
    rows = torch.tensor([5, 0, 1, 2, 3, 4, 6, 7])
    teacher = torch.empty(8, 1, 12)
    teacher[rows, 0] = torch.nn.functional.normalize(behind_neck).detach()
    settings = EmbedderLoss(identity=0.0, triplet=0.0, distillation=0.0, teacher="some")
    assert losses_of(settings, teacher)["relational"] == pytest.approx(0, abs=1e-5)
    assert losses_of(settings, teacher.flip(0))["relational"] > 0.1


def test_the_teacher_is_indexed_by_view() -> None:
    """Crops 0 to 3 in two views each: other views of the same crop are excluded."""
    behind_neck = torch.nn.BatchNorm1d(12)(random(8, 3, 2, 2).float().flatten(1))
    rows = torch.tensor([5, 0, 1, 2, 3, 4, 6, 7])
    unit = torch.nn.functional.normalize(behind_neck).detach()
    teacher = torch.empty(8, 12)
    teacher[rows] = unit
    settings = EmbedderLoss(identity=0.0, triplet=0.0, distillation=0.0, teacher="some")
    found = losses_of(settings, teacher.flip(0).reshape(4, 2, 12))["relational"]
    wanted = relational(unit, teacher.flip(0)[rows], rows // 2, settings.relational_temperature)
    assert found == pytest.approx(float(wanted), abs=1e-5) and found > 0.1
    perfect = losses_of(settings, teacher.reshape(4, 2, 12))["relational"]
    assert perfect == pytest.approx(0, abs=1e-5)


def test_auxiliary_heads_of_the_losses_that_are_used() -> None:
    heads = EmbedderHeads(EmbedderLoss(teacher="some"), 4, 9, 6)
    names = [name for name, _ in heads.named_parameters()]
    assert names == ["classifier.weight", "projection.weight"]
    assert not list(EmbedderHeads(EmbedderLoss(identity=0.0), 4, 9, 0).parameters())


def test_settings_without_a_loss_are_refused() -> None:
    with pytest.raises(ValueError, match="every loss has the weight 0"):
        EmbedderLoss(identity=0.0, triplet=0.0, distillation=1.0)
    with pytest.raises(ValueError, match="label_smoothing"):
        EmbedderLoss(label_smoothing=1.0)
    with pytest.raises(ValueError, match="temperature"):
        EmbedderLoss(temperature=0.0)
