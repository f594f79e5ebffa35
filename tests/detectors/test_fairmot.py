"""FairMOT's network: peaks that were planted are found, what it learns is held to plain loops, and
a small one learns who is who."""

from __future__ import annotations

import importlib
import math
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("torchvision")

from support.imports import TORCH, run_without  # noqa: E402

from mot.detectors.architectures import FairmotSettings, checkpoint_metadata, load_model  # noqa: E402
from mot.detectors.models.fairmot import STRIDE, Raw  # noqa: E402
from mot.errors import MotError  # noqa: E402
from mot.training.criteria import fairmot as criteria  # noqa: E402
from mot.training.criteria.identity import AuxiliaryHeads  # noqa: E402
from mot.training.targets import Target  # noqa: E402

pytestmark = pytest.mark.usefixtures("one_thread")

TINY = FairmotSettings(
    backbone="mobilenetv2_035", neck="fpn", neck_width=16, head_width=16, dims=8, candidates=40
)
RNG = np.random.default_rng(0)


@pytest.fixture(autouse=True)
def seed() -> None:
    torch.manual_seed(0)


def tiny() -> Any:
    pytest.importorskip("timm", reason="timm is not installed")
    return load_model(TINY).model.eval()


def target(boxes: Any, ids: Any = None, regions: Any = (), labels: Any = None) -> Target:
    boxes = torch.tensor(boxes, dtype=torch.float32).reshape(-1, 4)
    ids = torch.arange(len(boxes)) if ids is None else torch.tensor(ids)
    labels = torch.zeros(len(boxes), dtype=torch.int64) if labels is None else torch.tensor(labels)
    return Target(boxes, labels, ids, torch.tensor(regions).float().reshape(-1, 4))


def perfect(targets: list[Target], size: tuple[int, int], width: int = 16) -> Raw:
    """What a network would say that has learned them by heart."""
    height, across = size[0] // STRIDE, size[1] // STRIDE
    centers = criteria.find_centers(targets, size, 0.3)
    raw = Raw(
        torch.full((len(targets), 1, height, across), -20.0),
        *(torch.zeros(len(targets), count, height, across) for count in (4, 2)),
        torch.rand(len(targets), width, height, across),
    )
    for row, (picture, (x, y)) in enumerate(
        zip(centers.images.tolist(), centers.cells.tolist(), strict=True)
    ):
        raw.heat[picture, 0, y, x] = 3.0 + row
        raw.sides[picture, :, y, x] = centers.sides[row]
        raw.offset[picture, :, y, x] = centers.offset[row]
    return raw


# The network


def test_what_was_planted_is_found() -> None:
    """Whole people, and one of whom the picture's edge leaves less than half."""
    people = [[10, 12, 30, 70], [60.5, 8.25, 90, 60], [-30, 20, 22, 90]]
    others = [[100, 10, 120, 90]]
    targets = [target(people), target(others)]
    model, raw = tiny(), perfect([target(people), target(others)], (96, 128))
    boxes, scores, vectors = model.decode(raw)
    assert boxes.shape == (2, 40, 4) and vectors.shape == (2, 40, 8)
    for picture, wanted in enumerate(targets):
        found = boxes[picture][scores[picture, :, 0] > 0.5]
        order = found[:, 0].sort().indices
        expected = wanted.boxes[wanted.boxes[:, 0].sort().indices]
        torch.testing.assert_close(found[order], expected, atol=1e-3, rtol=0)
    torch.testing.assert_close(vectors.norm(dim=2), torch.ones(2, 40))


def test_only_the_highest_of_neighbours_is_somebody() -> None:
    model, raw = tiny(), perfect([target([[20, 20, 40, 60]])], (96, 128))
    x, y = 30 // STRIDE, 40 // STRIDE
    raw.heat[0, 0, y, x + 1] = 2.9  # beside a peak of 3
    raw.heat[0, 0, y, x + 3] = 2.0  # two cells off another one
    _, scores, _ = model.decode(raw)
    found = sorted((scores[scores > 0.5]).tolist())
    assert found == pytest.approx([1 / (1 + math.exp(-2.0)), 1 / (1 + math.exp(-3.0))])
    assert int((scores > 0).sum()) < raw.heat.numel()


def test_a_vector_is_that_of_its_cell() -> None:
    model = tiny()
    with torch.no_grad():
        raw = model.raw(torch.rand(2, 3, 64, 96))
        _, scores, vectors = model.decode(raw)
        said = model.embedding.vector(raw.looks.permute(0, 2, 3, 1)).flatten(1, 2)
    heat = raw.heat.sigmoid().flatten(1)
    for picture in range(2):
        best = int(heat[picture].argmax())  # surely a peak, and the first
        assert scores[picture, 0, 0].item() == pytest.approx(heat[picture].max().item())
        torch.testing.assert_close(
            vectors[picture, 0], said[picture, best] / said[picture, best].norm()
        )


def test_small_pictures_have_fewer_candidates() -> None:
    boxes, scores, vectors = tiny()(torch.rand(1, 3, 32, 32))
    assert [each.shape[1] for each in (boxes, scores, vectors)] == [40] * 3
    model = load_model(FairmotSettings(**{**small_of(TINY), "candidates": 500})).model.eval()
    assert model(torch.rand(1, 3, 32, 64))[0].shape[1] == 8 * 16


def small_of(settings: FairmotSettings) -> dict[str, Any]:
    return {name: getattr(settings, name) for name in ("backbone", "neck", "neck_width", "dims")}


@pytest.mark.parametrize(
    ("backbone", "neck", "channels"),
    [
        ("resnet18", "dla", 64),
        ("resnet18", "fpn", 48),
        pytest.param("dla34", "dla", 64, marks=pytest.mark.slow),
    ],
)
def test_the_merged_map_has_seen_all_levels(backbone, neck, channels) -> None:
    if backbone == "dla34":
        pytest.importorskip("timm", reason="timm is not installed")
    settings = FairmotSettings(backbone=backbone, neck=neck, neck_width=48, head_width=16)
    model = load_model(settings).model.eval()
    assert model.neck.channels == channels
    maps = [each.detach() for each in model.backbone(torch.rand(1, 3, 64, 64)).values()]
    for level in maps:
        level.requires_grad_()
    merged = model.neck(maps)
    assert merged.shape == (1, channels, 16, 16)
    merged.square().sum().backward()
    assert all(level.grad.abs().sum() > 0 for level in maps)


def test_an_unknown_neck() -> None:
    with pytest.raises(MotError, match="neck = 'dlaa': did you mean 'dla'"):
        load_model(FairmotSettings(backbone="resnet18", neck="dlaa"))


def test_runs_without_torch_and_says_the_same(tmp_path: Path) -> None:
    pytest.importorskip("onnxscript", reason="onnxscript is not installed")
    pytest.importorskip("timm", reason="timm is not installed")
    export = importlib.import_module("mot.detectors.export").export
    network = importlib.import_module("mot.detectors.torch_network").TorchNetwork
    model, spec, names, _ = load_model(replace(TINY, amodal=True))
    with torch.no_grad():
        model.heat[-1].weight.mul_(4)  # an untrained network says nearly the same everywhere
    export(model, spec, names, tmp_path / "net.onnx")
    canvas = RNG.integers(0, 256, (2, 96, 160, 3), np.uint8)
    expected = network(model, spec, names, "cpu").predict(canvas, 0.001, np.array([0]))
    np.save(tmp_path / "canvas.npy", canvas)
    program = (
        "import numpy as np\nfrom mot.detectors.onnx.network import OnnxNetwork\n"
        f"network = OnnxNetwork({str(tmp_path / 'net.onnx')!r}, 'cpu')\n"
        "assert network.spec.amodal\n"
        f"canvas = np.load({str(tmp_path / 'canvas.npy')!r})\n"
        "found = network.predict(canvas, 0.001, np.array([0]))\n"
        "for number, each in enumerate(found):\n"
        f"    np.savez({str(tmp_path)!r} + f'/{{number}}.npz', boxes=each.boxes, "
        "scores=each.scores, embeddings=each.embeddings)\n"
    )
    done = run_without(TORCH, program)
    assert done.returncode == 0, done.stderr
    for number, wanted in enumerate(expected):
        found = np.load(tmp_path / f"{number}.npz")
        assert len(found["boxes"]) == len(wanted.boxes) > 5
        order, other = found["scores"].argsort(), wanted.scores.argsort()
        for name in ("boxes", "scores", "embeddings"):
            ours, theirs = found[name][order], getattr(wanted, name)[other]
            np.testing.assert_allclose(ours, theirs, atol=2e-3)


def test_its_file_tells_how_it_was_built() -> None:
    assert checkpoint_metadata(TINY)["architecture"] == "fairmot"
    assert checkpoint_metadata(TINY)["settings"]["neck"] == "fpn"


# What it learns


def overlap(one: list[float], other: list[float]) -> float:
    across = max(0.0, min(one[2], other[2]) - max(one[0], other[0]))
    down = max(0.0, min(one[3], other[3]) - max(one[1], other[1]))
    area = sum((box[2] - box[0]) * (box[3] - box[1]) for box in (one, other))
    return across * down / (area - across * down)


@pytest.mark.parametrize("least", [0.3, 0.5, 0.7])
def test_the_radius_of_a_peak_keeps_the_overlap(least) -> None:
    sides = RNG.uniform(2, 60, (20, 2))
    radii = criteria.peak_radius(torch.from_numpy(sides), least).tolist()
    for (width, height), radius in zip(sides.tolist(), radii, strict=True):
        box = [0.0, 0.0, width, height]

        def worst(by: float, box: list[float] = box) -> float:
            moves = product((-by, 0.0, by), repeat=4)
            return min(
                overlap(box, [side + move for side, move in zip(box, each, strict=True)])
                for each in moves
            )

        assert worst(radius) == pytest.approx(least, abs=1e-4)
        assert worst(0.9 * radius) > least


def test_the_heat_map_in_plain_loops() -> None:
    boxes = [[4, 4, 40, 90], [30, 10, 60, 80], [33, 12, 63, 82], [90, 40, 100, 60]]
    targets = [target(boxes, labels=[0, 0, 0, 1]), target([])]
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


def test_places_around_centres_in_plain_loops() -> None:
    """Those of two people are the smaller one's, and none lies outside the picture."""
    boxes = [[4, 4, 40, 90], [30, 10, 60, 80], [36, 14, 56, 76], [100, 60, 150, 160]]
    targets = [target([]), target(boxes)]
    centers = criteria.find_centers(targets, (96, 128), 0.3)
    objects, cells = criteria.cells_around(centers, (2, 1, 24, 32), 0.25)
    owners: dict[tuple[int, int], tuple[float, int]] = {}
    wanted: list[tuple[int, int, int]] = []
    for person, (left, top, right, bottom) in enumerate(boxes):
        area = (right - left) * (bottom - top)
        middle = (max(left, 0) + min(right, 128)) / 2, (max(top, 0) + min(bottom, 96)) / 2
        for across, down in product((-0.25, -0.125, 0, 0.125, 0.25), repeat=2):
            column = int((middle[0] + across * (right - left)) / 4)
            row = int((middle[1] + down * (bottom - top)) / 4)
            place = min(max(column, 0), 31), min(max(row, 0), 23)
            owners[place] = min(owners.get(place, (area, person)), (area, person))
            wanted.append((person, *place))
    wanted = [each for each in wanted if owners[each[1:]][1] == each[0]]
    found = torch.cat([objects[:, None], cells], 1).tolist()
    assert sorted(found) == sorted(map(list, wanted))
    assert {person for person, *_ in found} == {0, 1, 2, 3}


def test_a_box_may_be_told_from_anywhere_around_the_centre() -> None:
    targets = [target([[10, 12, 34, 70], [60, 8, 90, 60]])]
    centers = criteria.find_centers(targets, (96, 128), 0.3)
    raw = perfect(targets, (96, 128))
    criterion = teach(tiny(), 2, box_weight=3.0)
    objects, cells = criteria.cells_around(centers, raw.heat.shape, 0.25)
    middles = centers.cells + centers.offset
    for person, (x, y) in zip(objects.tolist(), cells.tolist(), strict=True):
        raw.offset[0, :, y, x] = middles[person] - torch.tensor([x, y])
        raw.sides[0, :, y, x] = centers.sides[person]
    assert criterion._detection_losses(raw, centers, targets)["box"].item() == pytest.approx(
        0, abs=1e-5
    )
    raw.sides[:] *= 0.5  # IoU and GIoU are a quarter
    found = criterion._detection_losses(raw, centers, targets)["box"].item()
    assert found == pytest.approx(3 * 0.75, abs=1e-4)


def test_the_focal_loss_in_plain_arithmetic() -> None:
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


def teach(model: Any, identities: int, **settings: Any) -> Any:
    return criteria.FairmotCriterion(model, criteria.FairmotLoss(**settings), None, identities)


def test_perfect_outputs_have_little_loss_and_the_parts_add_up() -> None:
    targets = [target([[10, 12, 30, 70], [60, 8, 90, 60]]), target([])]
    model, images = tiny(), torch.rand(2, 3, 96, 128)
    criterion = teach(model, 5)
    losses = criterion(images, targets)
    assert set(losses) == {"heatmap", "offset", "sides", "identity", "uncertainty"}
    centers = criteria.find_centers(targets, (96, 128), 0.3)
    raw = model.raw(images)
    parts = criterion._detection_losses(raw, centers, targets)
    detection = parts["heatmap"] + parts["offset"] + parts["sides"]
    identity = criterion.auxiliary(criterion._embeddings(raw, centers), images, targets)["identity"]
    one, other = -1.85, -1.05
    whole = math.exp(-one) * detection + math.exp(-other) * identity + one + other
    torch.testing.assert_close(sum(losses.values()), whole / 2)
    known = perfect(targets, (96, 128))
    known.heat[known.heat > 0] = 20
    learned = criterion._detection_losses(known, centers, targets)
    assert max(loss.item() for loss in learned.values()) < 1e-3


@pytest.mark.parametrize("box_weight", [0.0, 2.0])
def test_every_weight_has_a_gradient(box_weight: float) -> None:
    model = tiny().train()
    criterion = teach(model, 3, box_weight=box_weight)
    losses = criterion(torch.rand(2, 3, 64, 64), [target([[4, 4, 30, 60]]), target([])])
    sum(losses.values()).backward()
    for owner in (model, criterion.auxiliary):
        assert all(
            each.grad is not None and each.grad.isfinite().all() for each in owner.parameters()
        )


def test_nobody_at_all_is_no_fault() -> None:
    model = tiny().train()
    for identities in (0, 1, 2):
        criterion = teach(model, identities, box_weight=2.0)
        losses = criterion(torch.rand(1, 3, 64, 64), [target([])])
        assert all(loss.isfinite() for loss in losses.values())
        sum(losses.values()).backward()


def test_regions_that_are_ignored_are_not_empty() -> None:
    """Neither there nor in the rest of the picture is the loss another, whatever is said there."""
    person, region = [10, 10, 30, 70], [40.0, 0.0, 90.0, 96.0]
    targets = [target([person, [50, 20, 70, 80]], regions=[region])]
    centers = criteria.find_centers(targets, (96, 128), 0.3)
    criterion, raw = teach(tiny(), 2), perfect(targets, (96, 128))
    raw.heat.requires_grad_()
    criterion._detection_losses(raw, centers, targets)["heatmap"].backward()
    inside = torch.zeros(24, 32, dtype=torch.bool)
    for y, x in np.ndindex(24, 32):
        inside[y, x] = 40 < 4 * x + 2 < 90
    changed = raw.heat.grad[0, 0] != 0
    assert changed[~inside].all()
    assert changed[inside].sum() == 1  # the centre of who is there for certain


def test_who_is_not_known_does_not_count() -> None:
    boxes = [[10, 12, 30, 70], [60, 8, 90, 60], [90, 30, 120, 90]]
    model, images = tiny(), torch.rand(1, 3, 96, 128)
    criterion = teach(model, 4)
    with_strangers = criterion(images, [target(boxes, ids=[2, -1, -1])])["identity"]
    alone = criterion(images, [target(boxes[:1], ids=[2])])["identity"]
    torch.testing.assert_close(with_strangers, alone)
    nobody = criterion(images, [target(boxes, ids=[-1, -1, -1])])["identity"]
    assert nobody.item() == 0


@pytest.mark.parametrize("identities, expected", [(1, 0.0), (2, 0.5)])
def test_a_task_that_costs_nothing_is_not_weighted(identities: int, expected: float) -> None:
    """Its doubt would fall for ever."""
    criterion = teach(tiny().train(), identities)
    losses = criterion(torch.rand(1, 3, 64, 64), [target([[4, 4, 30, 60]], ids=[-1])])
    sum(losses.values()).backward()
    assert criterion.auxiliary.log_variances.grad[1].item() == expected


def test_identities_are_classes() -> None:
    """Cross entropy of sqrt(2) log(N - 1) times the unit vector, in NumPy."""
    learned = AuxiliaryHeads(
        3,
        6,
        criteria.FairmotLoss(),
        importlib.import_module("mot.detectors.models.common").TORCHVISION_INPUT,
    )
    vectors = torch.tensor([[3.0, 0, 4], [1, 1, 0]])
    looks = criteria.ObjectEmbeddings(vectors, torch.tensor([0, 1]))
    found = learned(looks, torch.zeros(1), [target([[0, 0, 1, 1]] * 2, ids=[5, 0])])["identity"]
    unit = vectors.numpy() / np.linalg.norm(vectors.numpy(), axis=1, keepdims=True)
    weight, bias = (each.detach().numpy() for each in learned.classifier.parameters())
    logits = math.sqrt(2) * math.log(5) * unit @ weight.T + bias
    chances = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    assert found.item() == pytest.approx(-np.log([chances[0, 5], chances[1, 0]]).mean(), rel=1e-5)


def test_a_small_one_learns_where_people_are_and_who() -> None:
    """Four pictures of three people in shirts of different colours."""
    pytest.importorskip("timm", reason="timm is not installed")
    images, targets = pictures()
    model = load_model(TINY).model.train()
    criterion = teach(model, 3)
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
        for module in model.modules():  # of the very pictures, not of all steps
            if isinstance(module, torch.nn.BatchNorm2d):
                module.momentum = None
                module.reset_running_stats()
        model(images)
        boxes, scores, vectors = model.eval()(images)
    kept, people = [], []
    for picture, wanted in enumerate(targets):
        for box, person in zip(wanted.boxes.tolist(), wanted.ids.tolist(), strict=True):
            overlaps = [overlap(box, each) for each in boxes[picture].tolist()]
            right = np.where(np.array(overlaps) > 0.5, scores[picture, :, 0].numpy(), 0)
            assert right.max() > 0.3, "somebody is not found"
            kept.append(vectors[picture, int(right.argmax())])
            people.append(person)
    likeness = torch.stack(kept) @ torch.stack(kept).T
    same = torch.tensor(people)[:, None] == torch.tensor(people)
    assert likeness[same].min() > likeness[~same].max()


def pictures() -> tuple[Any, list[Target]]:
    """(4, 3, 64, 96) and what is in them."""
    rng = np.random.default_rng(3)
    images = torch.from_numpy(rng.uniform(-1, 0, (4, 3, 64, 96)).astype(np.float32))
    colours = torch.tensor([[2.0, 0, 0], [0, 2.0, 0], [0, 0, 2.0]])
    targets = []
    for picture in range(4):
        boxes, ids = [], rng.permutation(3)[:2].tolist()
        for column, person in enumerate(ids):
            left, top = (6 + 46 * column + int(rng.integers(12)), int(rng.integers(3, 20)))
            boxes.append([left, top, left + 18, top + 40])
            images[picture, :, top : top + 40, left : left + 18] = colours[person][:, None, None]
        targets.append(target(boxes, ids=ids))
    return images, targets
