"""The native networks: held to torchvision's own models, to Darknet's, and to plain loops."""

from __future__ import annotations

import copy
import importlib
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.darknet import save_weights

import mot
from mot.detectors.architectures import (
    ARCHITECTURES,
    CfgSettings,
    FairmotSettings,
    FasterrcnnSettings,
    FcosSettings,
    JdeSettings,
    RetinanetSettings,
    SsdSettings,
    Yolov3Settings,
    build,
    load_model,
    resolve_classes,
)
from mot.detectors.coco import COCO
from mot.detectors.network import NetworkDetector
from mot.errors import MotError
from mot.runtime.preprocess import resolve_input_size

pytestmark = pytest.mark.usefixtures("one_thread")

torch = pytest.importorskip("torch", reason="PyTorch is not installed")
pytest.importorskip("torchvision", reason="torchvision is not installed")
detection = importlib.import_module("torchvision.models.detection")
yolov3 = importlib.import_module("mot.detectors.models.yolov3")
darknet_torch = importlib.import_module("mot.detectors.darknet.model")

# The numbers that COCO's 80 classes have among torchvision's 91.
COCO_IDS = [n for n in range(1, 91) if n not in (12, 26, 29, 30, 45, 66, 68, 69, 71, 83)]
DRAWING = (Path(mot.__file__).parent / "configs/networks/person.cfg").read_text("utf-8")
DRAWING = DRAWING.replace("classes=1\n", "classes=2\n").replace("filters=18\n", "filters=21\n")
SMALL = {
    "cfg": CfgSettings(network=DRAWING, names=("person", "head")),
    "yolov3": Yolov3Settings(backbone="mobilenet_v2", neck_width=64, names=("person", "head")),
    "retinanet": RetinanetSettings(backbone="resnet18", names=("person", "head")),
    "fasterrcnn": FasterrcnnSettings(proposals=50, names=("person", "head")),
    "fcos": FcosSettings(backbone="mobilenet_v2", names=("person", "head")),
    "ssd": SsdSettings(names=("person", "head")),
    "fairmot": FairmotSettings(
        backbone="mobilenetv2_035",
        neck="fpn",
        neck_width=16,
        head_width=16,
        candidates=60,
        names=("person", "head"),
    ),
    "jde": JdeSettings(network=DRAWING, hidden=8, names=("person", "head")),
}
# These choose what they give: it has no order of its own.
CHOOSY = ("fasterrcnn", "fairmot")
DEVICES = [
    "cpu",
    pytest.param(
        "cuda",
        marks=[
            pytest.mark.gpu,
            pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU is there"),
        ],
    ),
]
every_family = pytest.mark.parametrize("family", ARCHITECTURES)
with_anchors = pytest.mark.parametrize(
    "family", [name for name in ARCHITECTURES if name != "fairmot"]
)


@pytest.fixture
def unfilled(monkeypatch) -> None:
    """Numbers that are overwritten anyway need not be drawn, which takes seconds."""
    for name in ("kaiming_uniform_", "kaiming_normal_", "normal_", "uniform_", "xavier_uniform_"):
        monkeypatch.setattr(torch.nn.init, name, lambda tensor, *_, **__: tensor)


def settle(model: Any, size: tuple[int, int]) -> None:
    """Random weights that give maps of ordinary numbers, and scores of all sizes."""
    torch.manual_seed(2)
    for module in model.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.momentum = None  # the statistics of what it sees next
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if parameter.ndim > 1:
                gain = next((g for words, g in GAINS.items() if words in name), 2)
                parameter.normal_(std=math.sqrt(gain / parameter[0].numel()))
            elif name.endswith("bias") and "cls_logits" not in name:
                parameter.zero_()
        if any(isinstance(module, torch.nn.BatchNorm2d) for module in model.modules()):
            body = getattr(model, "backbone", model)
            body.train()
            body(torch.randn(2, 3, *size))
    model.eval()


# Of the last layers, the pyramid, and VGG's first layer, whose pictures have 255 greys; all others
# have a ReLU, which takes half of the variance.
LAST = ("cls_logits", "bbox_reg", "bbox_pred", "cls_score", "ctrness", "module_list")
GAINS = {**dict.fromkeys(LAST, 0.05), "fpn": 1.0, "backbone.features.0.weight": 1e-4}


@pytest.fixture(scope="module")
def small() -> dict[str, Any]:
    models = {}
    for family, settings in SMALL.items():
        models[family] = load_model(settings)
        settle(models[family].model, size_for(family)[::-1])
    return models


def size_for(family: str) -> tuple[int, int]:
    """Width and height."""
    return (320, 320) if family == "ssd" else (128, 96)


def noise(*shape: int, seed: int = 0) -> Any:
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed))


def run(model: Any, images: Any) -> tuple[Any, Any]:
    with torch.inference_mode():
        return model(images)


# torchvision's own models.


def photo(width: int, height: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)


FEW = {"rpn_pre_nms_top_n_test": 200, "rpn_post_nms_top_n_test": 200}
FPN = {"backbone": "resnet50", "anchors": "coco", "names": ("coco91",)}
CASES: list[tuple[str, Any, tuple[int, int]]] = [
    ("retinanet_resnet50_fpn", RetinanetSettings(**FPN), (128, 96)),
    ("retinanet_resnet50_fpn_v2", RetinanetSettings(**FPN, variant="torchvision-v2"), (96, 64)),
    ("fasterrcnn_resnet50_fpn", FasterrcnnSettings(**FPN, proposals=200), (128, 96)),
    (
        "fasterrcnn_resnet50_fpn_v2",
        FasterrcnnSettings(**FPN, variant="torchvision-v2", proposals=200),
        (64, 64),
    ),
    (
        "fasterrcnn_mobilenet_v3_large_fpn",
        FasterrcnnSettings(
            names=("coco91",),
            backbone="mobilenet_v3_large",
            anchors="coco",
            variant="torchvision-mobile",
            proposal_score=0.05,
            proposals=200,
        ),
        (160, 96),
    ),
    ("fcos_resnet50_fpn", FcosSettings(names=("coco91",)), (128, 96)),
    (
        "ssd300_vgg16",
        SsdSettings(names=("coco91",), backbone="vgg16", anchors="coco"),
        (300, 300),
    ),
    (
        "ssdlite320_mobilenet_v3_large",
        SsdSettings(names=("coco91",), backbone="mobilenet_v3_large", anchors="coco"),
        (320, 320),
    ),
]


def theirs(name: str, size: tuple[int, int]) -> Any:
    """torchvision's model, of random weights, that keeps whatever it finds."""
    sizes = {} if name.startswith("ssd") else {"min_size": min(size), "max_size": max(size)}
    limits = {"detections_per_img": 10**6, "topk_candidates": 10**6}
    if name.startswith("fasterrcnn"):
        limits = {"box_detections_per_img": 10**6, **FEW}
    model = getattr(detection, name)(weights=None, weights_backbone=None, **sizes, **limits)
    settle(model, size[::-1])
    return model


class Watched(torch.nn.Module):
    """A model that keeps what it saw, with its numbers in memory as torchvision has them: in
    another order sums are rounded otherwise, and random weights make much of that."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model = model
        for parameter in model.parameters():
            parameter.data = parameter.data.clone(memory_format=torch.contiguous_format)

    def forward(self, images: Any) -> Any:
        if not hasattr(self, "seen"):
            self.seen = images.clone(memory_format=torch.contiguous_format)
            self.boxes, self.scores = self.model(self.seen)
        return self.boxes, self.scores


def watched(detector: NetworkDetector, picture: np.ndarray) -> NetworkDetector:
    """The same with a threshold that lets some hundred candidates through."""
    detector.network.model = Watched(detector.network.model)
    detector([picture])
    best = detector.network.model.scores.flatten().sort(descending=True).values
    place = min(400, int((best > 0.002).sum()) - 2)
    conf = float(best[place : place + 2].mean())
    assert best[place] > conf > best[place + 1]
    return NetworkDetector(detector.network, replace(detector.settings, conf=conf))


def as_torchvision_sees(model: Any, picture: np.ndarray) -> Any:
    rgb = torch.from_numpy(picture[:, :, ::-1] / np.float32(255)).permute(2, 0, 1)
    images, _ = model.transform([rgb])
    return images.tensors


def ordered(boxes: Any, scores: Any, labels: Any) -> tuple[np.ndarray, ...]:
    boxes, scores, labels = (np.asarray(each) for each in (boxes, scores, labels))
    order = np.lexsort((*boxes.T, scores, labels))
    return boxes[order], scores[order], labels[order]


@pytest.mark.parametrize(("name", "settings", "size"), CASES, ids=[case[0] for case in CASES])
def test_a_checkpoint_of_torchvision_gives_what_torchvision_finds(
    tmp_path, unfilled, name, settings, size
) -> None:
    model, picture = theirs(name, size), photo(*size)
    torch.save(model.state_dict(), tmp_path / "mine.pth")
    width, height = (0, 0) if name.startswith("ssd") else size
    told = {"weights": str(tmp_path / "mine.pth"), "classes": COCO, "runtime": "torch"}
    settings = replace(settings, **told, width=width, height=height, max_det=10**6)
    detector = watched(build(settings), picture)
    seen = detector.network.model.seen
    torch.testing.assert_close(seen, as_torchvision_sees(model, picture), rtol=0, atol=1e-4)
    model.transform.image_mean, model.transform.image_std = [0.0] * 3, [1.0] * 3
    heads = getattr(model, "roi_heads", model)
    heads.score_thresh, heads.nms_thresh = detector.settings.conf, 0.5
    with torch.inference_mode():
        (found,) = model([seen[0]])
    found = {key: value.numpy() for key, value in found.items()}
    # We have no boxes without an extent, and no classes without a name.
    known = np.isin(found["labels"], COCO_IDS)
    known &= (found["boxes"][:, 2:] > found["boxes"][:, :2]).all(1)
    labels = np.searchsorted(COCO_IDS, found["labels"])
    expected = ordered(*(each[known] for each in (found["boxes"], found["scores"], labels)))
    (ours,) = detector([picture])
    boxes, scores, labels = ordered(ours.boxes, ours.scores, ours.labels)
    assert len(boxes) == len(expected[0]) > 20
    assert len(set(labels)) > 1
    np.testing.assert_array_equal(labels, expected[2])
    np.testing.assert_allclose(scores, expected[1], rtol=0, atol=1e-4)
    np.testing.assert_allclose(boxes, expected[0], rtol=0, atol=1e-4 * max(size))


@pytest.mark.parametrize("name", ["fcos_resnet50_fpn", "ssdlite320_mobilenet_v3_large"])
def test_a_published_file_tells_its_settings(tmp_path, monkeypatch, unfilled, name) -> None:
    published = importlib.import_module("mot.detectors.published").TORCHVISION[name]
    model = getattr(detection, name)(weights=None, weights_backbone=None)
    settle(model, (64, 64))
    file = tmp_path / "weights" / published.file
    file.parent.mkdir()
    torch.save(model.state_dict(), file)
    monkeypatch.setenv("MOT_HOME", str(tmp_path))
    for weights in (name, str(file)):
        detector = build(ARCHITECTURES[published.family](weights=weights, runtime="torch"))
        assert detector.network.names == COCO
        assert detector.settings.names == ("coco91",)
    ours = detector.network.model.state_dict()
    assert all(
        torch.equal(ours[key], value)
        for key, value in model.state_dict().items()
        if "num_batches" not in key
    )


def test_torchvisions_table_of_files_is_its_own() -> None:
    for name, published in importlib.import_module("mot.detectors.published").TORCHVISION.items():
        weights = importlib.import_module("torchvision.models").get_model_weights(name).DEFAULT
        assert weights.url.endswith(f"/{published.file}")


def test_a_published_network_that_cannot_be_fetched(tmp_path, monkeypatch) -> None:
    def fails(*_: Any) -> None:
        raise OSError("no route")

    monkeypatch.setenv("MOT_HOME", str(tmp_path))
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    monkeypatch.setattr(torch.hub, "download_url_to_file", fails)
    with pytest.raises(
        MotError, match=r"cannot be fetched \(no route\): get https://\S+ elsewhere"
    ):
        build(FcosSettings(weights="fcos_resnet50_fpn"))


# Darknet's own file of YOLOv3.


def darknets_cfg(thin: int, classes: int) -> str:
    def conv(filters: int, size: int, stride: int = 1) -> str:
        return (
            f"[convolutional]\nbatch_normalize=1\nfilters={filters // thin}\nsize={size}\n"
            f"stride={stride}\npad=1\nactivation=leaky\n\n"
        )

    def head(mask: str) -> str:
        return (
            f"[convolutional]\nsize=1\nstride=1\npad=1\nfilters={3 * (5 + classes)}\n"
            f"activation=linear\n\n[yolo]\nmask = {mask}\nanchors = 10,13,  16,30,  33,23,  30,61,"
            "  62,45,  59,119,  116,90,  156,198,  373,326\n"
            f"classes={classes}\nnum=9\njitter=.3\nignore_thresh = .7\ntruth_thresh = 1\n\n"
        )

    text = "[net]\nbatch=64\nwidth=416\nheight=416\nchannels=3\n\n" + conv(32, 3)
    for filters, blocks in ((64, 1), (128, 2), (256, 8), (512, 8), (1024, 4)):
        shortcut = "[shortcut]\nfrom=-3\nactivation=linear\n\n"
        text += conv(filters, 3, 2) + (conv(filters // 2, 1) + conv(filters, 3) + shortcut) * blocks
    text += (conv(512, 1) + conv(1024, 3)) * 3 + head("6,7,8")
    text += "[route]\nlayers = -4\n\n" + conv(256, 1) + "[upsample]\nstride=2\n\n"
    text += "[route]\nlayers = -1, 61\n\n" + (conv(256, 1) + conv(512, 3)) * 3 + head("3,4,5")
    text += "[route]\nlayers = -4\n\n" + conv(128, 1) + "[upsample]\nstride=2\n\n"
    return text + "[route]\nlayers = -1, 36\n\n" + (conv(128, 1) + conv(256, 3)) * 3 + head("0,1,2")


def thin_yolov3(classes: int = 80) -> Any:
    named = resolve_classes(tuple(str(number) for number in range(classes)))
    return yolov3.Yolov3(yolov3.Darknet53(4), 64, yolov3.ANCHORS["coco"], named).eval()


def darknets_own(folder: Path, classes: int = 80) -> tuple[Any, Path]:
    cfg, weights = folder / "yolov3.cfg", folder / "yolov3.weights"
    cfg.write_text(darknets_cfg(8, classes))
    network = darknet_torch.DarknetModel(darknet_torch.parse_cfg(cfg)).eval()
    torch.manual_seed(0)
    for name, tensor in network.state_dict().items():
        if tensor.is_floating_point():
            tensor.normal_(std=0.3) if tensor.ndim > 1 else tensor.uniform_(0.5, 1.5)
            assert "num_batches" not in name
    save_weights(network, weights)
    return network, weights


def test_the_native_yolov3_takes_darknets_weights(tmp_path) -> None:
    network, weights = darknets_own(tmp_path)
    native = thin_yolov3()
    assert native.load_darknet(weights) == ()
    images = noise(2, 3, 96, 160)
    for ours, expected in zip(run(native, images), run(network, images), strict=True):
        assert ours.shape == expected.shape
        torch.testing.assert_close(ours, expected, rtol=1e-4, atol=1e-4)


def test_the_native_yolov3_is_as_large_as_the_published_file() -> None:
    weights = importlib.import_module("mot.detectors.darknet.weights")
    with torch.device("meta"):
        model = load_model(Yolov3Settings(names=("coco",), anchors="coco")).model
    network = yolov3.network_of(model)
    shapes = [weights.array_shapes(network, n).values() for n in weights.convolutions(network)]
    numbers = sum(math.prod(shape) for layer in shapes for shape in layer)
    assert 20 + 4 * numbers == 248_007_048
    assert network.shapes == darknet_torch.parse_cfg.__globals__["Network"].shapes.__get__(network)


def test_darknets_weights_of_other_classes_or_backbones(tmp_path) -> None:
    _, weights = darknets_own(tmp_path, 20)
    with pytest.raises(MotError, match=r"for 20 classes, not 80"):
        thin_yolov3().load_darknet(weights)
    assert len(thin_yolov3().load_darknet(weights, partial=True)) == 3
    weights = weights.rename(tmp_path / "mine.weights")
    with pytest.raises(MotError, match="backbone darknet53 alone"):
        build(replace(SMALL["yolov3"], weights=str(weights)))
    with pytest.raises(MotError, match="only fit yolov3"):
        build(replace(SMALL["ssd"], weights=str(weights)))


# What every family keeps.


@every_family
def test_boxes_and_scores_of_each_anchor(small, family) -> None:
    model, spec, names, _ = small[family]
    width, height = size_for(family)
    boxes, scores, *looks = run(model, noise(2, 3, height, width))
    assert boxes.shape == (2, boxes.shape[1], 4)
    assert scores.shape == (2, boxes.shape[1], 2)
    assert [each.shape for each in looks] in ([], [(2, boxes.shape[1], 128)])
    for each in looks:
        torch.testing.assert_close(each.norm(dim=2), torch.ones(each.shape[:2]))
    assert names == ("person", "head")
    assert boxes.isfinite().all() and (boxes[..., 2:] >= boxes[..., :2]).all()
    assert (scores >= 0).all() and (scores <= 1).all() and scores.std() > 0.001
    assert resolve_input_size(None, spec) == spec.size


@with_anchors
def test_anchors_of_each_place(small, family) -> None:
    model = small[family].model
    width, height = size_for(family)
    boxes = run(model, noise(1, 3, height, width))[0]
    raw = run(model.raw, noise(1, 3, height, width))
    count = raw.deltas.shape[1] if family == "fasterrcnn" else boxes.shape[1]
    assert len(torch.cat(model.anchors((height, width)))) == count


@every_family
def test_a_batch_gives_what_its_pictures_give_alone(small, family) -> None:
    model = small[family].model
    width, height = size_for(family)
    images = noise(3, 3, height, width)
    together = run(model, images)
    for row, image in enumerate(images):
        for whole, alone in zip(together, run(model, image[None]), strict=True):
            torch.testing.assert_close(whole[row], alone[0], rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("family", [name for name in ARCHITECTURES if name != "ssd"])
@pytest.mark.parametrize("size", [(32, 32), (64, 224), (160, 32)])
def test_runs_at_any_size_of_whole_strides(small, family, size) -> None:
    model = small[family].model
    boxes, *_ = run(model, noise(1, 3, *size))
    assert boxes.isfinite().all()
    if family not in CHOOSY:
        assert boxes.shape[1] == sum(len(level) for level in model.anchors(size))


def test_ssd_has_one_size(small) -> None:
    with pytest.raises(MotError, match="only takes 320x320"):
        resolve_input_size((640, 384), small["ssd"].spec)
    assert resolve_input_size((320, 320), small["ssd"].spec) == (320, 320)


@every_family
@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize(("kind", "tolerance"), [("float16", 0.005), ("bfloat16", 0.05)])
def test_sixteen_bits_come_near_to_thirty_two(small, family, device, kind, tolerance) -> None:
    exact, dtype = small[family].model, getattr(torch, kind)
    size = (320, 320) if family == "ssd" else (32, 64)
    images = noise(1, 3, *size)
    model = copy.deepcopy(exact).to(device, dtype)
    boxes, scores, *looks = run(model, images.to(device, dtype))
    assert {each.dtype for each in (boxes, scores, *looks)} == {torch.float32}
    assert boxes.isfinite().all() and scores.isfinite().all()
    ours, expected = scores.cpu().flatten(), run(exact, images)[1].flatten()
    if family in CHOOSY:  # boxes come in another order
        ours, expected, tolerance = ours.sort().values, expected.sort().values, 0.05
    assert (ours - expected).abs().mean() < tolerance
    if family == "fairmot":
        return
    anchors = torch.cat(model.anchors(size))
    assert anchors.dtype == torch.float32
    assert torch.equal(anchors.cpu(), torch.cat(exact.anchors(size)))


@every_family
@pytest.mark.parametrize("device", DEVICES)
def test_finds_things_in_pictures_of_other_sizes(tmp_path, small, family, device) -> None:
    weights = importlib.import_module("mot.runtime.checkpoints")
    weights.save_weights(small[family].model, tmp_path / "small.pth.safetensors", {})
    width, height = (0, 0) if family == "ssd" else size_for(family)
    settings = replace(
        SMALL[family],
        weights=str(tmp_path / "small.pth.safetensors"),
        width=width,
        height=height,
        device=device,
        runtime="torch",
        conf=0.001,
        classes=("head", "person"),
        batch=2,
    )
    found = build(settings)([photo(200, 90), photo(50, 170), photo(31, 31)])
    assert [len(each) > 0 for each in found] == [True] * 3
    assert found[1].boxes[:, 2].max() <= 50


@every_family
def test_the_raw_maps_can_be_trained(family) -> None:
    model = load_model(SMALL[family]).model.train()
    size = (320, 320) if family == "ssd" else (64, 64)
    raw = model.raw(noise(2, 3, *size))
    if family == "fairmot":  # makes vectors where it finds somebody alone
        raw = [*raw, model.decode(raw)[2]]
    sum(each.float().square().mean() for each in raw).backward()
    gradients = [parameter.grad for parameter in model.parameters()]
    assert all(gradient is not None and gradient.isfinite().all() for gradient in gradients)


# Decoding, in plain loops.


def moved(anchor: list[float], delta: list[float], scale: tuple[float, float]) -> list[float]:
    """The box that a delta makes of an anchor (Girshick et al., 2014)."""
    x1, y1, x2, y2 = anchor
    width, height = x2 - x1, y2 - y1
    across, down = delta[0] / scale[0] * width, delta[1] / scale[0] * height
    x, y = x1 + width / 2 + across, y1 + height / 2 + down
    limit = math.log(1000 / 16)
    width *= math.exp(min(delta[2] / scale[1], limit))
    height *= math.exp(min(delta[3] / scale[1], limit))
    return [x - width / 2, y - height / 2, x + width / 2, y + height / 2]


def inside(box: list[float], width: int, height: int) -> list[float]:
    return [min(max(value, 0), side) for value, side in zip(box, [width, height] * 2, strict=True)]


def sigmoid(value: float) -> float:
    return 1 / (1 + math.exp(-value))


@pytest.mark.parametrize(("family", "scale"), [("retinanet", (1, 1)), ("ssd", (10, 5))])
def test_deltas_move_anchors(small, family, scale) -> None:
    model = small[family].model
    width, height = size_for(family)
    raw = run(model.raw, noise(1, 3, height, width))
    boxes, scores = model.decode(raw, (height, width))
    anchors = torch.cat(model.anchors((height, width)))
    for row in range(0, len(anchors), 37):
        box = moved(anchors[row].tolist(), raw.deltas[0, row].tolist(), scale)
        assert boxes[0, row].tolist() == pytest.approx(inside(box, width, height), abs=1e-3)
        logits = raw.logits[0, row].tolist()
        if family == "ssd":
            total = sum(map(math.exp, logits))
            expected = [math.exp(logit) / total for logit in logits[1:]]
        else:
            expected = [sigmoid(logit) for logit in logits]
        assert scores[0, row].tolist() == pytest.approx(expected, abs=1e-5)


def test_fcos_measures_from_each_place(small) -> None:
    model = small["fcos"].model
    raw = run(model.raw, noise(1, 3, 96, 128))
    boxes, scores = model.decode(raw, (96, 128))
    row = 0
    for stride in (8, 16, 32, 64, 128):
        for down in range(math.ceil(96 / stride)):
            for across in range(math.ceil(128 / stride)):
                left, top, right, bottom = (stride * s for s in raw.sides[0, row].tolist())
                # torchvision steps by the picture's side over the map's, in whole pixels.
                x = across * (128 // math.ceil(128 / stride))
                y = down * (96 // math.ceil(96 / stride))
                box = inside([x - left, y - top, x + right, y + bottom], 128, 96)
                assert boxes[0, row].tolist() == pytest.approx(box, abs=1e-3)
                centre = sigmoid(raw.centerness[0, row].item())
                chance = math.sqrt(sigmoid(raw.logits[0, row, 0].item()) * centre)
                assert scores[0, row, 0].item() == pytest.approx(chance, abs=1e-5)
                row += 1
    assert row == boxes.shape[1]


@pytest.mark.parametrize("family", ["retinanet", "fasterrcnn", "fcos", "ssd"])
def test_people_who_are_told_of_whole_are_not_cut(small, family) -> None:
    """Else they are the same."""
    model, (width, height) = small[family].model, size_for(family)
    other = load_model(replace(SMALL[family], amodal=True))
    other.model.load_state_dict(model.state_dict())
    pictures = noise(1, 3, height, width)
    cut, scores = run(model, pictures)
    whole, other_scores = run(other.model.eval(), pictures)
    edges = torch.tensor([width, height] * 2)
    assert ((cut >= 0) & (cut <= edges)).all()
    assert ((whole < 0) | (whole > edges)).any()
    assert other.spec.amodal
    if family == "fasterrcnn":  # which proposes others
        proposals = other.model.raw(pictures).proposals
        assert ((proposals < 0) | (proposals > edges)).any()
    else:
        torch.testing.assert_close(whole.clamp(min=0).minimum(edges), cut)
        torch.testing.assert_close(scores, other_scores)


def test_yolov3_places_boxes_in_cells(small) -> None:
    model = small["yolov3"].model
    raw = run(model.raw, noise(1, 3, 96, 128))
    boxes, scores = model.decode(raw)
    anchors, sizes = torch.cat(model.anchors((96, 128))), yolov3.ANCHORS["person"]
    row = 0
    for level, stride in enumerate((32, 16, 8)):
        cells = raw[level][0].reshape(3, 7, 96 // stride, 128 // stride).tolist()
        for down, across, number in np.ndindex(96 // stride, 128 // stride, 3):
            x, y, w, h, sure, *chances = (cells[number][k][down][across] for k in range(7))
            width, height = sizes[2 * (6 - 3 * level + number) :][:2]
            centre = (across + sigmoid(x)) * stride, (down + sigmoid(y)) * stride
            half = math.exp(w) * width / 2, math.exp(h) * height / 2
            box = [
                centre[0] - half[0],
                centre[1] - half[1],
                centre[0] + half[0],
                centre[1] + half[1],
            ]
            assert boxes[0, row].tolist() == pytest.approx(box, rel=1e-4, abs=1e-3)
            expected = [sigmoid(sure) * sigmoid(chance) for chance in chances]
            assert scores[0, row].tolist() == pytest.approx(expected, abs=1e-5)
            middle = [(across + 0.5) * stride, (down + 0.5) * stride]
            corners = [middle[0] - width / 2, middle[1] - height / 2]
            assert anchors[row].tolist() == [*corners, corners[0] + width, corners[1] + height]
            row += 1
    assert row == boxes.shape[1]


def test_faster_rcnn_refines_its_proposals(small) -> None:
    model = small["fasterrcnn"].model
    raw = run(model.raw, noise(1, 3, 96, 128))
    boxes, scores = model.decode(raw, (96, 128))
    assert raw.proposals.shape == (1, 50, 4) and boxes.shape == (1, 100, 4)
    expected = []
    for row in range(50):
        proposal, logits = raw.proposals[0, row].tolist(), raw.logits[0, row].tolist()
        total = sum(map(math.exp, logits))
        for label in (1, 2):
            box = moved(proposal, raw.refinements[0, row, label].tolist(), (10, 5))
            box = inside(box, 128, 96)
            sound = min(box[2] - box[0], box[3] - box[1]) >= 0.01
            expected.append((sound * math.exp(logits[label]) / total, label - 1, box))
    expected.sort(key=lambda each: -each[0])
    assert (scores > 0).sum(-1).max() == 1
    for row, (score, label, box) in enumerate(expected):
        assert scores[0, row].max().item() == pytest.approx(score, abs=1e-5)
        if score and abs(score - expected[row - 1][0]) > 1e-5:
            assert boxes[0, row].tolist() == pytest.approx(box, abs=1e-3)
            assert scores[0, row].argmax() == label


def test_proposals_that_are_lacking_are_empty_and_score_nothing(small) -> None:
    model = small["fasterrcnn"].model
    exact, model.rpn.score_thresh = model.rpn.score_thresh, 1.0
    boxes, scores = run(model, noise(2, 3, 64, 64))
    model.rpn.score_thresh = exact
    assert boxes.shape == (2, 100, 4)
    assert scores.max() == 0


# Anchors.


def sides(anchors: Any) -> tuple[Any, Any]:
    return anchors[:, 2] - anchors[:, 0], anchors[:, 3] - anchors[:, 1]


@pytest.mark.parametrize("family", ["retinanet", "fasterrcnn", "ssd"])
def test_the_anchors_of_people_are_upright(small, family) -> None:
    width, height = size_for(family)
    for level in small[family].model.anchors((height, width)):
        across, down = sides(level)
        ratios = (down / across).round(decimals=3)
        assert family == "ssd" or set(ratios.tolist()) == {1, 2, 3}
        assert (ratios >= 1).all()


def test_ssdlite_has_boxes_for_people_of_thirty_pixels(small) -> None:
    height = torch.cat([sides(level)[1] for level in small["ssd"].model.anchors((320, 320))])
    assert 30 <= height.min() < 35


def test_the_anchors_of_people_lie_on_the_strides(small) -> None:
    model = small["retinanet"].model
    for level, stride in zip(model.anchors((96, 160)), (8, 16, 32, 64, 128), strict=True):
        places = (level[:, :2] + level[:, 2:]) / (2 * stride)
        count = math.ceil(96 / stride) * math.ceil(160 / stride)
        assert len(places.round().unique(dim=0)) == count
        torch.testing.assert_close(places, places.round(), rtol=0, atol=1e-5)


def test_the_pyramid_of_mobile_networks_is_fine_enough_for_small_people() -> None:
    model = load_model(FasterrcnnSettings()).model
    assert [len(level) for level in model.anchors((64, 64))] == [
        3 * (64 // stride) ** 2 for stride in (4, 8, 16, 32, 64)
    ]
    maps = run(model.backbone, noise(1, 3, 64, 64))
    assert [each.shape[-1] for each in maps.values()] == [16, 8, 4, 2, 1]


# Settings.


@pytest.mark.parametrize(
    ("family", "backbone"),
    [
        ("retinanet", "pvt_v2_b0"),
        ("yolov3", "mobilenetv2_100"),
        ("fcos", "swin_tiny_patch4_window7_224"),
        ("fasterrcnn", "mobilenetv3_small_050"),
    ],
)
def test_backbones_of_timm(family, backbone) -> None:
    pytest.importorskip("timm", reason="timm is not installed")
    model = load_model(replace(SMALL[family], backbone=backbone)).model.eval()
    boxes, scores = run(model, noise(1, 3, 64, 96))
    assert boxes.isfinite().all() and scores.isfinite().all()


@pytest.mark.slow
@pytest.mark.parametrize("family", ["retinanet", "fasterrcnn"])
def test_runs_on_onnx_runtime_too(small, family, tmp_path) -> None:
    """The exporter holds the file to the model at two sizes and two batches."""
    pytest.importorskip("onnxscript", reason="onnxscript is not installed")
    export = importlib.import_module("mot.detectors.export")
    model, spec, names, _ = small[family]
    steady = copy.deepcopy(model)
    with torch.no_grad():
        for name, parameter in steady.named_parameters():
            if any(word in name for word in ("bbox_reg.", "bbox_pred", "regression_head.module")):
                parameter.mul_(0.1)
    export.export(steady, spec, names, tmp_path / "net.onnx")
    assert (tmp_path / "net.onnx").stat().st_size > 1_000_000


def with_setting(family: str, **settings: Any) -> Any:
    return replace(SMALL[family], **settings)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (with_setting("retinanet", backbone="resnet19"), "unknown backbone 'resnet19'.*resnet18"),
        (with_setting("fcos", backbone="vit_tiny_patch16_224"), "has maps at the strides"),
        (with_setting("ssd", backbone="resnet50"), "backbone = 'resnet50': known: mob"),
        (with_setting("yolov3", anchors="persons"), "anchors = 'persons': did you mean 'person'"),
        (with_setting("retinanet", variant="v2"), "variant = 'v2': "),
        (with_setting("fasterrcnn", variant="torchvision-mobile"), "mobilenet_v3_large alone"),
        (with_setting("fcos", names=()), "names = .*give different names"),
        (with_setting("fcos", names=("person", "person")), "give different names"),
        (with_setting("fcos", names=(1, 2)), "give different names"),
    ],
)
def test_settings_that_make_no_network(settings, message) -> None:
    if "vit" in settings.backbone or "19" in settings.backbone:
        pytest.importorskip("timm", reason="timm is not installed")
    with pytest.raises(MotError, match=message) as caught:
        load_model(settings)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("family", sorted(ARCHITECTURES.keys() - {"fairmot"}))
def test_a_detector_needs_weights(family) -> None:
    with pytest.raises(MotError, match=f"{family} needs weights: --weights FILE"):
        build(ARCHITECTURES[family]())


@every_family
def test_weights_that_are_not_there(family) -> None:
    with pytest.raises(MotError, match=r"nowhere.pth: no such file"):
        build(ARCHITECTURES[family](weights="nowhere.pth"))
