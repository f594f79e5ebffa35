"""The losses of embedders equal plain loops over crops and pairs."""

from __future__ import annotations

import math

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="PyTorch is not installed")

from mot.training.objectives.embedder import (  # noqa: E402
    EmbedderObjective,
    Learned,
    Settings,
    contrast,
    identity,
    imitation,
    relations,
    triplet,
)
from mot.training.targets import Target  # noqa: E402

# Three people twice or more, and one alone.
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
    for at, (one, who) in enumerate(zip(features, ids, strict=True)):
        others = [n for n in range(len(ids)) if n != at]
        right = [distance(one, features[n]) for n in others if ids[n] == who]
        wrong = [distance(one, features[n]) for n in others if ids[n] != who]
        if right and wrong:
            gap = max(right) - min(wrong)
            losses.append(max(0.0, gap + margin) if margin else math.log1p(math.exp(gap)))
    return sum(losses) / len(losses) if losses else 0.0


def plain_contrast(vectors: list[list[float]], ids: list[int], temperature: float) -> float:
    losses = []
    for at, one in enumerate(vectors):
        others = [n for n in range(len(ids)) if n != at]
        total = sum(math.exp(dot(one, vectors[n]) / temperature) for n in others)
        right = [n for n in others if ids[n] == ids[at]]
        logs = [dot(one, vectors[n]) / temperature - math.log(total) for n in right]
        if right:
            losses.append(-sum(logs) / len(right))
    return sum(losses) / len(losses) if losses else 0.0


def plain_relations(
    said: list[list[float]], taught: list[list[float]], crops: list[int], heat: float
) -> float:
    total = 0.0
    for at in range(len(said)):
        others = [n for n in range(len(said)) if crops[n] != crops[at]]
        ours = [math.exp(dot(said[at], said[n]) / heat) for n in others]
        theirs = [math.exp(dot(taught[at], taught[n]) / heat) for n in others]
        for q, p in zip(ours, theirs, strict=True):
            q, p = q / sum(ours), p / sum(theirs)
            total += p * (math.log(p) - math.log(q))
    return total / len(said)


def plain_identity(logits: list[list[float]], ids: list[int], smoothing: float) -> float:
    total = 0.0
    for row, who in zip(logits, ids, strict=True):
        logs = [value - math.log(sum(math.exp(each) for each in row)) for value in row]
        total -= (1 - smoothing) * logs[who] + smoothing * sum(logs) / len(logs)
    return total / len(ids)


@pytest.mark.parametrize("margin", [0.0, 0.3, 2.0])
@pytest.mark.parametrize("ids", [IDS, [1, 1, 1], [1, 2, 3], [5, 5, 6]])
def test_triplet(ids, margin) -> None:
    features = random(len(ids), 5)
    found = triplet(features, torch.tensor(ids), margin)
    assert float(found) == pytest.approx(plain_triplet(features.tolist(), ids, margin), abs=1e-9)


@pytest.mark.parametrize("ids", [IDS, [1, 1, 1], [1, 2, 3], [5, 5, 6]])
def test_contrast(ids) -> None:
    vectors = unit(len(ids), 5)
    found = contrast(vectors, torch.tensor(ids), 0.2)
    assert float(found) == pytest.approx(plain_contrast(vectors.tolist(), ids, 0.2), abs=1e-9)


@pytest.mark.parametrize("crops", [list(range(8)), [0, 0, 1, 1, 2, 3, 3, 3], [5] * 8])
def test_relations_and_that_those_of_the_teacher_cost_nothing(crops) -> None:
    said, taught, places = unit(8, 5), unit(8, 7, seed=1), torch.tensor(crops)
    found = float(relations(said, taught, places, 0.1))
    wanted = plain_relations(said.tolist(), taught.tolist(), crops, 0.1)
    assert found == pytest.approx(wanted, abs=1e-9)
    turned = taught @ torch.linalg.qr(random(7, 7, seed=2))[0]
    assert float(relations(turned, taught, places, 0.1)) == pytest.approx(0, abs=1e-9)


def test_identity() -> None:
    logits = random(8, 10)
    found = float(identity(logits, torch.tensor(IDS), 0.1))
    assert found == pytest.approx(plain_identity(logits.tolist(), IDS, 0.1), abs=1e-6)


def test_imitation_is_one_less_the_cosine() -> None:
    said, taught = random(4, 3), unit(4, 3, seed=1)
    cosines = [dot(a, b) / math.sqrt(dot(a, a)) for a, b in zip(said, taught, strict=True)]
    assert float(imitation(said, taught)) == pytest.approx(1 - float(np.mean(cosines)))


@pytest.mark.parametrize("loss", [triplet, contrast])
def test_crops_without_a_right_one_give_no_gradient_that_is_no_number(loss) -> None:
    vectors = unit(3, 4).requires_grad_()
    loss(vectors, torch.tensor([1, 2, 3]), 0.3).backward()
    assert not vectors.grad.any()


def test_the_same_crop_twice_has_a_gradient() -> None:
    features = random(1, 4).repeat(4, 1).requires_grad_()
    triplet(features, torch.tensor([0, 0, 1, 1]), 0.3).backward()
    assert features.grad.isfinite().all()


class Network(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.neck = torch.nn.BatchNorm1d(12)

    def features(self, images):
        return images.flatten(1)


def of(settings: Settings, teacher=None, people=IDS) -> dict[str, float]:
    images = random(8, 3, 2, 2).float()
    targets = [
        Target(torch.zeros(1, 4), torch.tensor([crop]), torch.tensor([who]), torch.zeros(0, 4))
        for crop, who in zip([5, 0, 1, 2, 3, 4, 6, 7], people, strict=True)
    ]
    learned = Learned(settings, 12, 10, 0 if teacher is None else teacher.shape[2])
    model = Network()
    losses = EmbedderObjective(model, settings, learned, teacher)(images, targets)
    return {name: float(loss.detach()) for name, loss in losses.items()}


def test_the_losses_that_count_are_told_and_weighted() -> None:
    assert of(Settings(identity=0.0, contrast=1.0)).keys() == {"triplet", "contrast"}
    once, twice = of(Settings(identity=0.0)), of(Settings(identity=0.0, triplet=2.0))
    assert twice["triplet"] == pytest.approx(2 * once["triplet"])


def test_nobody_is_neither_the_same_as_anybody_nor_another() -> None:
    settings, people = Settings(contrast=1.0), [4, -1, 1, -1, 1, 4, -1, 7]
    known = np.array(people) >= 0
    features = random(8, 3, 2, 2).float().flatten(1)
    unit = torch.nn.functional.normalize(torch.nn.BatchNorm1d(12)(features)).detach()
    told, ids = of(settings, people=people), [who for who in people if who >= 0]
    wanted = plain_triplet(features[known].tolist(), ids, settings.margin)
    assert told["triplet"] == pytest.approx(wanted, abs=1e-5) and wanted > 0
    wanted = plain_contrast(unit[known].tolist(), ids, settings.temperature)
    assert told["contrast"] == pytest.approx(wanted, abs=1e-5) and wanted > 0
    assert set(of(settings, people=[-1] * 8).values()) == {0.0}


def test_a_teacher_is_heard_by_the_place_of_each_crop() -> None:
    behind = torch.nn.BatchNorm1d(12)(random(8, 3, 2, 2).float().flatten(1))
    places = torch.tensor([5, 0, 1, 2, 3, 4, 6, 7])
    teacher = torch.empty(8, 1, 12)
    teacher[places, 0] = torch.nn.functional.normalize(behind).detach()
    settings = Settings(identity=0.0, triplet=0.0, imitation=0.0, teacher="some")
    assert of(settings, teacher)["relations"] == pytest.approx(0, abs=1e-5)
    assert of(settings, teacher.flip(0))["relations"] > 0.1


def test_a_teacher_is_heard_by_the_view_of_each_crop() -> None:
    """Crops 0 to 3 in two ways each: another way of the same crop is not among those it is like."""
    behind = torch.nn.BatchNorm1d(12)(random(8, 3, 2, 2).float().flatten(1))
    places = torch.tensor([5, 0, 1, 2, 3, 4, 6, 7])
    unit = torch.nn.functional.normalize(behind).detach()
    teacher = torch.empty(8, 12)
    teacher[places] = unit
    settings = Settings(identity=0.0, triplet=0.0, imitation=0.0, teacher="some")
    told = of(settings, teacher.flip(0).reshape(4, 2, 12))["relations"]
    wanted = relations(unit, teacher.flip(0)[places], places // 2, settings.relation_temperature)
    assert told == pytest.approx(float(wanted), abs=1e-5) and told > 0.1
    assert of(settings, teacher.reshape(4, 2, 12))["relations"] == pytest.approx(0, abs=1e-5)


def test_what_is_learned_beside_the_network() -> None:
    names = [name for name, _ in Learned(Settings(teacher="some"), 4, 9, 6).named_parameters()]
    assert names == ["people.weight", "teacher.weight"]
    assert not list(Learned(Settings(identity=0.0), 4, 9, 0).parameters())


def test_settings_without_a_loss_are_refused() -> None:
    with pytest.raises(ValueError, match="nothing to learn"):
        Settings(identity=0.0, triplet=0.0, imitation=1.0)
    with pytest.raises(ValueError, match="smoothing"):
        Settings(smoothing=1.0)
    with pytest.raises(ValueError, match="temperature"):
        Settings(temperature=0.0)
