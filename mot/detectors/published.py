"""Weights published by others: the settings of each network, and where its file is."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any, NamedTuple

from mot.errors import MotError, suggest
from mot.files import cache_dir

_URL = "https://download.pytorch.org/models/{file}"


class PublishedWeights(NamedTuple):
    architecture: str
    settings: dict[str, Any]  # that differ from the defaults of the architecture
    file: str  # name at the URL


def _torchvision(architecture: str, file: str, **settings: Any) -> PublishedWeights:
    return PublishedWeights(architecture, {"names": ("coco91",), **settings}, file)


# By torchvision's names. The two with an epsilon of 0 are older than torchvision's epsilon.
TORCHVISION = {
    "retinanet_resnet50_fpn": _torchvision(
        "retinanet",
        "retinanet_resnet50_fpn_coco-eeacb38b.pth",
        backbone="resnet50",
        anchors="coco",
        variant="torchvision",
        norm_epsilon=0.0,
    ),
    "retinanet_resnet50_fpn_v2": _torchvision(
        "retinanet",
        "retinanet_resnet50_fpn_v2_coco-5905b1c5.pth",
        backbone="resnet50",
        anchors="coco",
        variant="torchvision-v2",
    ),
    "fasterrcnn_resnet50_fpn": _torchvision(
        "fasterrcnn",
        "fasterrcnn_resnet50_fpn_coco-258fb6c6.pth",
        backbone="resnet50",
        anchors="coco",
        variant="torchvision",
        norm_epsilon=0.0,
    ),
    "fasterrcnn_resnet50_fpn_v2": _torchvision(
        "fasterrcnn",
        "fasterrcnn_resnet50_fpn_v2_coco-dd69338a.pth",
        backbone="resnet50",
        anchors="coco",
        variant="torchvision-v2",
    ),
    "fasterrcnn_mobilenet_v3_large_fpn": _torchvision(
        "fasterrcnn",
        "fasterrcnn_mobilenet_v3_large_fpn-fb6a3cc7.pth",
        backbone="mobilenet_v3_large",
        anchors="coco",
        variant="torchvision-mobile",
        proposal_score=0.05,
    ),
    "fasterrcnn_mobilenet_v3_large_320_fpn": _torchvision(
        "fasterrcnn",
        "fasterrcnn_mobilenet_v3_large_320_fpn-907ea3f9.pth",
        backbone="mobilenet_v3_large",
        anchors="coco",
        variant="torchvision-mobile",
        proposals=150,
        proposal_score=0.05,
        width=640,
        height=384,
    ),
    "fcos_resnet50_fpn": _torchvision(
        "fcos", "fcos_resnet50_fpn_coco-99b0c9b7.pth", backbone="resnet50"
    ),
    "ssd300_vgg16": _torchvision(
        "ssd", "ssd300_vgg16_coco-b556d3b4.pth", backbone="vgg16", anchors="coco"
    ),
    "ssdlite320_mobilenet_v3_large": _torchvision(
        "ssd",
        "ssdlite320_mobilenet_v3_large_coco-a79551df.pth",
        backbone="mobilenet_v3_large",
        anchors="coco",
    ),
}
_MMDETECTION = {
    "names": ("coco",),
    "backbone": "resnet50",
    "anchors": "coco",
    "variant": "mmdetection",
}
# Patterns of file names, architectures, settings.
_OTHERS = (
    (r"retinanet_r50_fpn_.*coco", "retinanet", _MMDETECTION),
    (r"faster[_-]rcnn_r50_fpn_.*coco", "fasterrcnn", _MMDETECTION),
    (
        r"yolov3(-\d+)?\.weights$",
        "yolov3",
        {"names": ("coco",), "backbone": "darknet53", "anchors": "coco", "neck_width": 512},
    ),
)


def find_published(weights: str, architecture: str) -> tuple[Path, dict[str, Any]]:
    """The weights file of a path or of torchvision's name, and settings that it implies."""
    path = Path(weights).expanduser()
    if path.is_file():
        return path, _settings_of_file(path.name, architecture)
    names = [name for name, each in TORCHVISION.items() if each.architecture == architecture]
    if weights not in names:
        raise MotError(
            f"{weights}: no such file, nor a published network: {suggest(weights, names)}"
        )
    published = TORCHVISION[weights]
    return _fetch(published.file), published.settings


def _settings_of_file(name: str, architecture: str) -> dict[str, Any]:
    for published in TORCHVISION.values():
        if (published.file, published.architecture) == (name, architecture):
            return published.settings
    for pattern, owner, settings in _OTHERS:
        if owner == architecture and re.match(pattern, name):
            return settings
    return {}


def _fetch(file: str) -> Path:
    """The file in mot's cache or torch's; otherwise it is downloaded to mot's."""
    cached = cache_dir() / "weights" / file
    if cached.is_file():
        return cached
    from torch import hub

    in_torch_hub = Path(hub.get_dir()) / "checkpoints" / file
    if in_torch_hub.is_file():
        return in_torch_hub
    url, digest_prefix = _URL.format(file=file), file.rpartition("-")[2].partition(".")[0]
    try:
        cached.parent.mkdir(parents=True, exist_ok=True)
        hub.download_url_to_file(url, str(cached), digest_prefix, sys.stderr.isatty())
    except (OSError, RuntimeError) as error:
        raise MotError(
            f"{file}: cannot be downloaded ({error}): get {url} elsewhere, and give "
            f"--weights {file}"
        ) from None
    return cached
