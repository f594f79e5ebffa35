"""The native networks equal torchvision's own models, Darknet's, and plain loops."""

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
from mot.detectors.architectures import ARCHITECTURES, build, load_model
from mot.detectors.coco import COCO
from mot.detectors.models.architecture import (
    CfgSettings,
    FairmotSettings,
    FasterrcnnSettings,
    FcosSettings,
    JdeSettings,
    RetinanetSettings,
    SsdSettings,
    Yolov3Settings,
    resolve_classes,
)
from mot.detectors.network import NetworkDetector
from mot.errors import MotError
from mot.runtime.preprocess import resolve_input_size

pytestmark = pytest.mark.usefixtures("one_thread")

torch = pytest.importorskip("torch", reason="PyTorch is not installed")
pytest.importorskip("torchvision", reason="torchvision is not installed")
detection = importlib.import_module("torchvision.models.detection")
yolov3 = importlib.import_module("mot.detectors.models.yolov3")
darknet_torch = importlib.import_module("mot.detectors.darknet.model")

# Labels of COCO's 80 classes among torchvision's 91.
COCO_IDS = [n for n in range(1, 91) if n not in (12, 26, 29, 30, 45, 66, 68, 69, 71, 83)]
NETWORK = (Path(mot.__file__).parent / "configs/networks/person.cfg").read_text("utf-8")
NETWORK = NETWORK.replace("classes=1\n", "classes=2\n").replace("filters=18\n", "filters=21\n")
SMALL = {
    "cfg": CfgSettings(network=NETWORK, names=("person", "head")),
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
    "jde": JdeSettings(network=NETWORK, hidden=8, names=("person", "head")),
}
# These return the top k, in an order that depends on the scores.
TOP_K = ("fasterrcnn", "fairmot")
DEVICES = [
    "cpu",
    pytest.param(
        "cuda",
        marks=[
            pytest.mark.gpu,
            pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU"),
        ],
    ),
]
every_architecture = pytest.mark.parametrize("architecture", ARCHITECTURES)
with_anchors = pytest.mark.parametrize(
    "architecture", [name for name in ARCHITECTURES if name != "fairmot"]
)


@pytest.fixture
def no_init(monkeypatch) -> None:
    """Skips random initial weights that are overwritten anyway, which take seconds."""
    for name in ("kaiming_uniform_", "kaiming_normal_", "normal_", "uniform_", "xavier_uniform_"):
        monkeypatch.setattr(torch.nn.init, name, lambda tensor, *_, **__: tensor)


def randomize(model: Any, size: tuple[int, int]) -> None:
    """Random weights with ordinary activations, and scores from low to high."""
    torch.manual_seed(2)
    for module in model.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.momentum = None  # the statistics of the next batch
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


# Gains of the last layers, the pyramid, and VGG's first layer, whose input goes up to 255; all
# others have a ReLU, which halves the variance.
LAST = ("cls_logits", "bbox_reg", "bbox_pred", "cls_score", "ctrness", "module_list")
GAINS = {**dict.fromkeys(LAST, 0.05), "fpn": 1.0, "backbone.features.0.weight": 1e-4}


@pytest.fixture(scope="module")
def small() -> dict[str, Any]:
    models = {}
    for architecture, settings in SMALL.items():
        models[architecture] = load_model(settings)
        randomize(models[architecture].model, input_size(architecture)[::-1])
    return models


def input_size(architecture: str) -> tuple[int, int]:
    """Width and height."""
    return (320, 320) if architecture == "ssd" else (128, 96)


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


def torchvision_model(name: str, size: tuple[int, int]) -> Any:
    """torchvision's model with random weights, which returns all its detections."""
    sizes = {} if name.startswith("ssd") else {"min_size": min(size), "max_size": max(size)}
    limits = {"detections_per_img": 10**6, "topk_candidates": 10**6}
    if name.startswith("fasterrcnn"):
        limits = {"box_detections_per_img": 10**6, **FEW}
    model = getattr(detection, name)(weights=None, weights_backbone=None, **sizes, **limits)
    randomize(model, size[::-1])
    return model


class Recorder(torch.nn.Module):
    """Records the first input and outputs of a model, with its memory layout as in torchvision: in
    another order sums are rounded differently, which random weights amplify."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model = model
        for parameter in model.parameters():
            parameter.data = parameter.data.clone(memory_format=torch.contiguous_format)

    def forward(self, images: Any) -> Any:
        if not hasattr(self, "images"):
            self.images = images.clone(memory_format=torch.contiguous_format)
            self.boxes, self.scores = self.model(self.images)
        return self.boxes, self.scores


def record(detector: NetworkDetector, image: np.ndarray) -> NetworkDetector:
    """The detector with a recorder, and a threshold that some hundred candidates pass."""
    detector.network.model = Recorder(detector.network.model)
    detector([image])
    best = detector.network.model.scores.flatten().sort(descending=True).values
    rank = min(400, int((best > 0.002).sum()) - 2)
    conf = float(best[rank : rank + 2].mean())
    assert best[rank] > conf > best[rank + 1]
    return NetworkDetector(detector.network, replace(detector.settings, conf=conf))


def torchvision_input(model: Any, image: np.ndarray) -> Any:
    rgb = torch.from_numpy(image[:, :, ::-1] / np.float32(255)).permute(2, 0, 1)
    images, _ = model.transform([rgb])
    return images.tensors


def ordered(boxes: Any, scores: Any, labels: Any) -> tuple[np.ndarray, ...]:
    boxes, scores, labels = (np.asarray(each) for each in (boxes, scores, labels))
    order = np.lexsort((*boxes.T, scores, labels))
    return boxes[order], scores[order], labels[order]


@pytest.mark.parametrize(("name", "settings", "size"), CASES, ids=[case[0] for case in CASES])
def test_detections_of_a_torchvision_checkpoint_equal_torchvisions(
    tmp_path, no_init, name, settings, size
) -> None:
    model, image = torchvision_model(name, size), photo(*size)
    torch.save(model.state_dict(), tmp_path / "mine.pth")
    width, height = (0, 0) if name.startswith("ssd") else size
    given = {"weights": str(tmp_path / "mine.pth"), "classes": COCO, "runtime": "torch"}
    settings = replace(settings, **given, width=width, height=height, max_det=10**6)
    detector = record(build(settings), image)
    images = detector.network.model.images
    torch.testing.assert_close(images, torchvision_input(model, image), rtol=0, atol=1e-4)
    model.transform.image_mean, model.transform.image_std = [0.0] * 3, [1.0] * 3
    heads = getattr(model, "roi_heads", model)
    heads.score_thresh, heads.nms_thresh = detector.settings.conf, 0.5
    with torch.inference_mode():
        (found,) = model([images[0]])
    found = {key: value.numpy() for key, value in found.items()}
    # Empty boxes and classes without a name are not returned.
    known = np.isin(found["labels"], COCO_IDS)
    known &= (found["boxes"][:, 2:] > found["boxes"][:, :2]).all(1)
    labels = np.searchsorted(COCO_IDS, found["labels"])
    expected = ordered(*(each[known] for each in (found["boxes"], found["scores"], labels)))
    (ours,) = detector([image])
    boxes, scores, labels = ordered(ours.boxes, ours.scores, ours.labels)
    assert len(boxes) == len(expected[0]) > 20
    assert len(set(labels)) > 1
    np.testing.assert_array_equal(labels, expected[2])
    np.testing.assert_allclose(scores, expected[1], rtol=0, atol=1e-4)
    np.testing.assert_allclose(boxes, expected[0], rtol=0, atol=1e-4 * max(size))


@pytest.mark.parametrize("name", ["fcos_resnet50_fpn", "ssdlite320_mobilenet_v3_large"])
def test_settings_of_a_published_file(tmp_path, monkeypatch, no_init, name) -> None:
    published = importlib.import_module("mot.detectors.published").TORCHVISION[name]
    model = getattr(detection, name)(weights=None, weights_backbone=None)
    randomize(model, (64, 64))
    file = tmp_path / "weights" / published.file
    file.parent.mkdir()
    torch.save(model.state_dict(), file)
    monkeypatch.setenv("MOT_HOME", str(tmp_path))
    for weights in (name, str(file)):
        detector = build(ARCHITECTURES[published.architecture](weights=weights, runtime="torch"))
        assert detector.network.names == COCO
        assert detector.settings.names == ("coco91",)
    ours = detector.network.model.state_dict()
    assert all(
        torch.equal(ours[key], value)
        for key, value in model.state_dict().items()
        if "num_batches" not in key
    )


def test_published_files_are_torchvisions() -> None:
    for name, published in importlib.import_module("mot.detectors.published").TORCHVISION.items():
        weights = importlib.import_module("torchvision.models").get_model_weights(name).DEFAULT
        assert weights.url.endswith(f"/{published.file}")


def test_a_published_network_that_cannot_be_downloaded(tmp_path, monkeypatch) -> None:
    def fails(*_: Any) -> None:
        raise OSError("no route")

    monkeypatch.setenv("MOT_HOME", str(tmp_path))
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    monkeypatch.setattr(torch.hub, "download_url_to_file", fails)
    with pytest.raises(
        MotError, match=r"cannot be downloaded \(no route\): get https://\S+ elsewhere"
    ):
        build(FcosSettings(weights="fcos_resnet50_fpn"))


# Darknet's own YOLOv3.


def darknet_cfg(thin: int, classes: int) -> str:
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
    names = resolve_classes(tuple(str(number) for number in range(classes)))
    return yolov3.Yolov3(yolov3.Darknet53(4), 64, yolov3.ANCHORS["coco"], names).eval()


def darknet_yolov3(folder: Path, classes: int = 80) -> tuple[Any, Path]:
    cfg, weights = folder / "yolov3.cfg", folder / "yolov3.weights"
    cfg.write_text(darknet_cfg(8, classes))
    network = darknet_torch.DarknetModel(darknet_torch.parse_cfg(cfg)).eval()
    torch.manual_seed(0)
    for name, tensor in network.state_dict().items():
        if tensor.is_floating_point():
            tensor.normal_(std=0.3) if tensor.ndim > 1 else tensor.uniform_(0.5, 1.5)
            assert "num_batches" not in name
    save_weights(network, weights)
    return network, weights


def test_the_native_yolov3_loads_darknet_weights(tmp_path) -> None:
    network, weights = darknet_yolov3(tmp_path)
    native = thin_yolov3()
    assert native.load_darknet(weights) == ()
    images = noise(2, 3, 96, 160)
    for ours, expected in zip(run(native, images), run(network, images), strict=True):
        assert ours.shape == expected.shape
        torch.testing.assert_close(ours, expected, rtol=1e-4, atol=1e-4)


def test_the_native_yolov3_has_the_size_of_the_published_file() -> None:
    weights = importlib.import_module("mot.detectors.darknet.weights")
    with torch.device("meta"):
        model = load_model(Yolov3Settings(names=("coco",), anchors="coco")).model
    network = yolov3.darknet_network(model)
    shapes = [weights.array_shapes(network, n).values() for n in weights.convolutions(network)]
    numbers = sum(math.prod(shape) for layer in shapes for shape in layer)
    assert 20 + 4 * numbers == 248_007_048
    assert network.shapes == darknet_torch.parse_cfg.__globals__["Network"].shapes.__get__(network)


def test_darknet_weights_of_other_classes_or_backbones(tmp_path) -> None:
    _, weights = darknet_yolov3(tmp_path, 20)
    with pytest.raises(MotError, match=r"for 20 classes, not 80"):
        thin_yolov3().load_darknet(weights)
    assert len(thin_yolov3().load_darknet(weights, partial=True)) == 3
    weights = weights.rename(tmp_path / "mine.weights")
    with pytest.raises(MotError, match="only fit backbone = 'darknet53'"):
        build(replace(SMALL["yolov3"], weights=str(weights)))
    with pytest.raises(MotError, match="only fit yolov3"):
        build(replace(SMALL["ssd"], weights=str(weights)))


# Every architecture.


@every_architecture
def test_boxes_and_scores_of_each_anchor(small, architecture) -> None:
    model, spec, names, _ = small[architecture]
    width, height = input_size(architecture)
    boxes, scores, *embeddings = run(model, noise(2, 3, height, width))
    assert boxes.shape == (2, boxes.shape[1], 4)
    assert scores.shape == (2, boxes.shape[1], 2)
    assert [each.shape for each in embeddings] in ([], [(2, boxes.shape[1], 128)])
    for each in embeddings:
        torch.testing.assert_close(each.norm(dim=2), torch.ones(each.shape[:2]))
    assert names == ("person", "head")
    assert boxes.isfinite().all() and (boxes[..., 2:] >= boxes[..., :2]).all()
    assert (scores >= 0).all() and (scores <= 1).all() and scores.std() > 0.001
    assert resolve_input_size(None, spec) == spec.size


@with_anchors
def test_one_anchor_per_prediction(small, architecture) -> None:
    model = small[architecture].model
    width, height = input_size(architecture)
    boxes = run(model, noise(1, 3, height, width))[0]
    raw = run(model.raw, noise(1, 3, height, width))
    count = raw.deltas.shape[1] if architecture == "fasterrcnn" else boxes.shape[1]
    assert len(torch.cat(model.anchors((height, width)))) == count


@every_architecture
def test_a_batch_equals_its_images_alone(small, architecture) -> None:
    model = small[architecture].model
    width, height = input_size(architecture)
    images = noise(3, 3, height, width)
    together = run(model, images)
    for row, image in enumerate(images):
        for batched, alone in zip(together, run(model, image[None]), strict=True):
            torch.testing.assert_close(batched[row], alone[0], rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("architecture", [name for name in ARCHITECTURES if name != "ssd"])
@pytest.mark.parametrize("size", [(32, 32), (64, 224), (160, 32)])
def test_runs_at_any_multiple_of_the_stride(small, architecture, size) -> None:
    model = small[architecture].model
    boxes, *_ = run(model, noise(1, 3, *size))
    assert boxes.isfinite().all()
    if architecture not in TOP_K:
        assert boxes.shape[1] == sum(len(level) for level in model.anchors(size))


def test_ssd_has_one_size(small) -> None:
    with pytest.raises(MotError, match="only takes 320x320"):
        resolve_input_size((640, 384), small["ssd"].spec)
    assert resolve_input_size((320, 320), small["ssd"].spec) == (320, 320)


@every_architecture
@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize(("kind", "tolerance"), [("float16", 0.005), ("bfloat16", 0.05)])
def test_16_bit_scores_are_close_to_32_bit(small, architecture, device, kind, tolerance) -> None:
    exact, dtype = small[architecture].model, getattr(torch, kind)
    size = (320, 320) if architecture == "ssd" else (32, 64)
    images = noise(1, 3, *size)
    model = copy.deepcopy(exact).to(device, dtype)
    boxes, scores, *embeddings = run(model, images.to(device, dtype))
    assert {each.dtype for each in (boxes, scores, *embeddings)} == {torch.float32}
    assert boxes.isfinite().all() and scores.isfinite().all()
    ours, expected = scores.cpu().flatten(), run(exact, images)[1].flatten()
    if architecture in TOP_K:  # in another order
        ours, expected, tolerance = ours.sort().values, expected.sort().values, 0.05
    assert (ours - expected).abs().mean() < tolerance
    if architecture == "fairmot":
        return
    anchors = torch.cat(model.anchors(size))
    assert anchors.dtype == torch.float32
    assert torch.equal(anchors.cpu(), torch.cat(exact.anchors(size)))


@every_architecture
@pytest.mark.parametrize("device", DEVICES)
def test_detects_in_images_of_other_sizes(tmp_path, small, architecture, device) -> None:
    weights = importlib.import_module("mot.runtime.checkpoints")
    weights.save_weights(small[architecture].model, tmp_path / "small.pth.safetensors", {})
    width, height = (0, 0) if architecture == "ssd" else input_size(architecture)
    settings = replace(
        SMALL[architecture],
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


@every_architecture
def test_gradients_reach_every_parameter(architecture) -> None:
    model = load_model(SMALL[architecture]).model.train()
    size = (320, 320) if architecture == "ssd" else (64, 64)
    raw = model.raw(noise(2, 3, *size))
    if architecture == "fairmot":  # embeddings are computed at peaks alone
        raw = [*raw, model.decode(raw, size)[2]]
    sum(each.float().square().mean() for each in raw).backward()
    gradients = [parameter.grad for parameter in model.parameters()]
    assert all(gradient is not None and gradient.isfinite().all() for gradient in gradients)


# Decoding, in plain loops.


def apply_delta(anchor: list[float], delta: list[float], scale: tuple[float, float]) -> list[float]:
    """The box of an anchor and a delta (Girshick et al., 2014)."""
    x1, y1, x2, y2 = anchor
    width, height = x2 - x1, y2 - y1
    across, down = delta[0] / scale[0] * width, delta[1] / scale[0] * height
    x, y = x1 + width / 2 + across, y1 + height / 2 + down
    limit = math.log(1000 / 16)
    width *= math.exp(min(delta[2] / scale[1], limit))
    height *= math.exp(min(delta[3] / scale[1], limit))
    return [x - width / 2, y - height / 2, x + width / 2, y + height / 2]


def clip(box: list[float], width: int, height: int) -> list[float]:
    return [min(max(value, 0), side) for value, side in zip(box, [width, height] * 2, strict=True)]


def sigmoid(value: float) -> float:
    return 1 / (1 + math.exp(-value))


@pytest.mark.parametrize(("architecture", "scale"), [("retinanet", (1, 1)), ("ssd", (10, 5))])
def test_boxes_are_anchors_moved_by_deltas(small, architecture, scale) -> None:
    model = small[architecture].model
    width, height = input_size(architecture)
    raw = run(model.raw, noise(1, 3, height, width))
    boxes, scores = model.decode(raw, (height, width))
    anchors = torch.cat(model.anchors((height, width)))
    for row in range(0, len(anchors), 37):
        box = apply_delta(anchors[row].tolist(), raw.deltas[0, row].tolist(), scale)
        assert boxes[0, row].tolist() == pytest.approx(clip(box, width, height), abs=1e-3)
        logits = raw.logits[0, row].tolist()
        if architecture == "ssd":
            total = sum(map(math.exp, logits))
            expected = [math.exp(logit) / total for logit in logits[1:]]
        else:
            expected = [sigmoid(logit) for logit in logits]
        assert scores[0, row].tolist() == pytest.approx(expected, abs=1e-5)


def test_fcos_boxes_are_distances_from_points(small) -> None:
    model = small["fcos"].model
    raw = run(model.raw, noise(1, 3, 96, 128))
    boxes, scores = model.decode(raw, (96, 128))
    row = 0
    for stride in (8, 16, 32, 64, 128):
        for down in range(math.ceil(96 / stride)):
            for across in range(math.ceil(128 / stride)):
                left, top, right, bottom = (stride * s for s in raw.sides[0, row].tolist())
                # torchvision's step is the image side over the map's, in integer pixels.
                x = across * (128 // math.ceil(128 / stride))
                y = down * (96 // math.ceil(96 / stride))
                box = clip([x - left, y - top, x + right, y + bottom], 128, 96)
                assert boxes[0, row].tolist() == pytest.approx(box, abs=1e-3)
                center = sigmoid(raw.centerness[0, row].item())
                chance = math.sqrt(sigmoid(raw.logits[0, row, 0].item()) * center)
                assert scores[0, row, 0].item() == pytest.approx(chance, abs=1e-5)
                row += 1
    assert row == boxes.shape[1]


@pytest.mark.parametrize("architecture", ["retinanet", "fasterrcnn", "fcos", "ssd"])
def test_amodal_boxes_are_not_clipped(small, architecture) -> None:
    """Otherwise they are the same."""
    model, (width, height) = small[architecture].model, input_size(architecture)
    other = load_model(replace(SMALL[architecture], amodal=True))
    other.model.load_state_dict(model.state_dict())
    images = noise(1, 3, height, width)
    clipped, scores = run(model, images)
    amodal, other_scores = run(other.model.eval(), images)
    edges = torch.tensor([width, height] * 2)
    assert ((clipped >= 0) & (clipped <= edges)).all()
    assert ((amodal < 0) | (amodal > edges)).any()
    assert other.spec.amodal
    if architecture == "fasterrcnn":  # has other proposals
        proposals = other.model.raw(images).proposals
        assert ((proposals < 0) | (proposals > edges)).any()
    else:
        torch.testing.assert_close(amodal.clamp(min=0).minimum(edges), clipped)
        torch.testing.assert_close(scores, other_scores)


def test_yolov3_boxes_are_relative_to_cells(small) -> None:
    model = small["yolov3"].model
    raw = run(model.raw, noise(1, 3, 96, 128))
    boxes, scores = model.decode(raw, (96, 128))
    anchors, sizes = torch.cat(model.anchors((96, 128))), yolov3.ANCHORS["person"]
    row = 0
    for level, stride in enumerate((32, 16, 8)):
        cells = raw[level][0].reshape(3, 7, 96 // stride, 128 // stride).tolist()
        for down, across, number in np.ndindex(96 // stride, 128 // stride, 3):
            x, y, w, h, objectness, *classes = (cells[number][k][down][across] for k in range(7))
            width, height = sizes[2 * (6 - 3 * level + number) :][:2]
            center = (across + sigmoid(x)) * stride, (down + sigmoid(y)) * stride
            half = math.exp(w) * width / 2, math.exp(h) * height / 2
            box = [
                center[0] - half[0],
                center[1] - half[1],
                center[0] + half[0],
                center[1] + half[1],
            ]
            assert boxes[0, row].tolist() == pytest.approx(box, rel=1e-4, abs=1e-3)
            expected = [sigmoid(objectness) * sigmoid(logit) for logit in classes]
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
            box = apply_delta(proposal, raw.refinements[0, row, label].tolist(), (10, 5))
            box = clip(box, 128, 96)
            is_box = min(box[2] - box[0], box[3] - box[1]) >= 0.01
            expected.append((is_box * math.exp(logits[label]) / total, label - 1, box))
    expected.sort(key=lambda each: -each[0])
    assert (scores > 0).sum(-1).max() == 1
    for row, (score, label, box) in enumerate(expected):
        assert scores[0, row].max().item() == pytest.approx(score, abs=1e-5)
        if score and abs(score - expected[row - 1][0]) > 1e-5:
            assert boxes[0, row].tolist() == pytest.approx(box, abs=1e-3)
            assert scores[0, row].argmax() == label


def test_missing_proposals_are_empty_and_score_0(small) -> None:
    model = small["fasterrcnn"].model
    exact, model.rpn.score_thresh = model.rpn.score_thresh, 1.0
    boxes, scores = run(model, noise(2, 3, 64, 64))
    model.rpn.score_thresh = exact
    assert boxes.shape == (2, 100, 4)
    assert scores.max() == 0


# Anchors.


def sides(anchors: Any) -> tuple[Any, Any]:
    return anchors[:, 2] - anchors[:, 0], anchors[:, 3] - anchors[:, 1]


@pytest.mark.parametrize("architecture", ["retinanet", "fasterrcnn", "ssd"])
def test_person_anchors_are_upright(small, architecture) -> None:
    width, height = input_size(architecture)
    for level in small[architecture].model.anchors((height, width)):
        across, down = sides(level)
        ratios = (down / across).round(decimals=3)
        assert architecture == "ssd" or set(ratios.tolist()) == {1, 2, 3}
        assert (ratios >= 1).all()


def test_ssdlite_has_boxes_for_persons_of_30_pixels(small) -> None:
    height = torch.cat([sides(level)[1] for level in small["ssd"].model.anchors((320, 320))])
    assert 30 <= height.min() < 35


def test_person_anchors_are_at_multiples_of_the_stride(small) -> None:
    model = small["retinanet"].model
    for level, stride in zip(model.anchors((96, 160)), (8, 16, 32, 64, 128), strict=True):
        cells = (level[:, :2] + level[:, 2:]) / (2 * stride)
        count = math.ceil(96 / stride) * math.ceil(160 / stride)
        assert len(cells.round().unique(dim=0)) == count
        torch.testing.assert_close(cells, cells.round(), rtol=0, atol=1e-5)


def test_the_pyramid_of_mobilenets_is_fine_enough_for_small_persons() -> None:
    model = load_model(FasterrcnnSettings()).model
    assert [len(level) for level in model.anchors((64, 64))] == [
        3 * (64 // stride) ** 2 for stride in (4, 8, 16, 32, 64)
    ]
    maps = run(model.backbone, noise(1, 3, 64, 64))
    assert [each.shape[-1] for each in maps.values()] == [16, 8, 4, 2, 1]


# Settings.


@pytest.mark.parametrize(
    ("architecture", "backbone"),
    [
        ("retinanet", "pvt_v2_b0"),
        ("yolov3", "mobilenetv2_100"),
        ("fcos", "swin_tiny_patch4_window7_224"),
        ("fasterrcnn", "mobilenetv3_small_050"),
    ],
)
def test_timm_backbones(architecture, backbone) -> None:
    pytest.importorskip("timm", reason="timm is not installed")
    model = load_model(replace(SMALL[architecture], backbone=backbone)).model.eval()
    boxes, scores = run(model, noise(1, 3, 64, 96))
    assert boxes.isfinite().all() and scores.isfinite().all()


@pytest.mark.slow
@pytest.mark.parametrize("architecture", ["retinanet", "fasterrcnn"])
def test_exports_to_onnx(small, architecture, tmp_path) -> None:
    """The exporter compares outputs at two sizes and batches."""
    pytest.importorskip("onnxscript", reason="onnxscript is not installed")
    export = importlib.import_module("mot.detectors.export")
    model, spec, names, _ = small[architecture]
    scaled = copy.deepcopy(model)
    with torch.no_grad():
        for name, parameter in scaled.named_parameters():
            if any(word in name for word in ("bbox_reg.", "bbox_pred", "regression_head.module")):
                parameter.mul_(0.1)
    export.export(scaled, spec, names, tmp_path / "net.onnx")
    assert (tmp_path / "net.onnx").stat().st_size > 1_000_000


def with_setting(architecture: str, **settings: Any) -> Any:
    return replace(SMALL[architecture], **settings)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (with_setting("retinanet", backbone="resnet19"), "unknown backbone 'resnet19'.*resnet18"),
        (with_setting("fcos", backbone="vit_tiny_patch16_224"), "has maps at the strides"),
        (with_setting("ssd", backbone="resnet50"), "backbone = 'resnet50': known: mob"),
        (with_setting("yolov3", anchors="persons"), "anchors = 'persons': did you mean 'person'"),
        (with_setting("retinanet", variant="v2"), "variant = 'v2': "),
        (
            with_setting("fasterrcnn", variant="torchvision-mobile"),
            "needs backbone = 'mobilenet_v3",
        ),
        (with_setting("fcos", names=()), "names = .*give different names"),
        (with_setting("fcos", names=("person", "person")), "give different names"),
        (with_setting("fcos", names=(1, 2)), "give different names"),
    ],
)
def test_invalid_settings(settings, message) -> None:
    if "vit" in settings.backbone or "19" in settings.backbone:
        pytest.importorskip("timm", reason="timm is not installed")
    with pytest.raises(MotError, match=message) as caught:
        load_model(settings)
    assert "\n" not in str(caught.value)


@every_architecture
def test_a_detector_needs_weights(architecture) -> None:
    with pytest.raises(MotError, match=f"{architecture} needs weights: --weights FILE"):
        build(ARCHITECTURES[architecture]())


@every_architecture
def test_missing_weights(architecture) -> None:
    with pytest.raises(MotError, match=r"nowhere.pth: no such file"):
        build(ARCHITECTURES[architecture](weights="nowhere.pth"))
