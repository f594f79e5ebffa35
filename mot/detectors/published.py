"""Weights that others published: how each network was built, and where its file lies."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any, NamedTuple

from mot.errors import MotError, nearest
from mot.home import home

_URL = "https://download.pytorch.org/models/{file}"


class Published(NamedTuple):
    family: str
    settings: dict[str, Any]
    file: str  # its name there


def _of_torchvision(family: str, file: str, **settings: Any) -> Published:
    return Published(family, {"names": ("coco91",), **settings}, file)


# By torchvision's names. The two with an epsilon of 0 were trained before torchvision had one.
TORCHVISION = {
    "retinanet_resnet50_fpn": _of_torchvision(
        "retinanet",
        "retinanet_resnet50_fpn_coco-eeacb38b.pth",
        backbone="resnet50",
        anchors="coco",
        variant="torchvision",
        norm_epsilon=0.0,
    ),
    "retinanet_resnet50_fpn_v2": _of_torchvision(
        "retinanet",
        "retinanet_resnet50_fpn_v2_coco-5905b1c5.pth",
        backbone="resnet50",
        anchors="coco",
        variant="torchvision-v2",
    ),
    "fasterrcnn_resnet50_fpn": _of_torchvision(
        "fasterrcnn",
        "fasterrcnn_resnet50_fpn_coco-258fb6c6.pth",
        backbone="resnet50",
        anchors="coco",
        variant="torchvision",
        norm_epsilon=0.0,
    ),
    "fasterrcnn_resnet50_fpn_v2": _of_torchvision(
        "fasterrcnn",
        "fasterrcnn_resnet50_fpn_v2_coco-dd69338a.pth",
        backbone="resnet50",
        anchors="coco",
        variant="torchvision-v2",
    ),
    "fasterrcnn_mobilenet_v3_large_fpn": _of_torchvision(
        "fasterrcnn",
        "fasterrcnn_mobilenet_v3_large_fpn-fb6a3cc7.pth",
        backbone="mobilenet_v3_large",
        anchors="coco",
        variant="torchvision-mobile",
        proposal_score=0.05,
    ),
    "fasterrcnn_mobilenet_v3_large_320_fpn": _of_torchvision(
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
    "fcos_resnet50_fpn": _of_torchvision(
        "fcos", "fcos_resnet50_fpn_coco-99b0c9b7.pth", backbone="resnet50"
    ),
    "ssd300_vgg16": _of_torchvision(
        "ssd", "ssd300_vgg16_coco-b556d3b4.pth", backbone="vgg16", anchors="coco"
    ),
    "ssdlite320_mobilenet_v3_large": _of_torchvision(
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
# By what the names of files begin with.
OTHERS = (
    (r"retinanet_r50_fpn_.*coco", "retinanet", _MMDETECTION),
    (r"faster[_-]rcnn_r50_fpn_.*coco", "fasterrcnn", _MMDETECTION),
    (
        r"yolov3(-\d+)?\.weights$",
        "yolov3",
        {"names": ("coco",), "backbone": "darknet53", "anchors": "coco", "neck_width": 512},
    ),
)


def find_published(weights: str, family: str) -> tuple[Path, dict[str, Any]]:
    """Of a file's name, or of one of torchvision's: the file, and the settings it goes with."""
    path = Path(weights).expanduser()
    if path.is_file():
        return path, _settings_for(path.name, family)
    names = [name for name, known in TORCHVISION.items() if known.family == family]
    if weights not in names:
        raise MotError(
            f"{weights}: no such file, nor a published network: {nearest(weights, names)}"
        )
    published = TORCHVISION[weights]
    return _fetched(published.file), published.settings


def _settings_for(name: str, family: str) -> dict[str, Any]:
    for published in TORCHVISION.values():
        if (published.file, published.family) == (name, family):
            return published.settings
    for pattern, kind, settings in OTHERS:
        if kind == family and re.match(pattern, name):
            return settings
    return {}


def _fetched(file: str) -> Path:
    """Our own, or the one that torchvision has fetched before, or a new one."""
    ours = home() / "weights" / file
    if ours.is_file():
        return ours
    from torch import hub

    theirs = Path(hub.get_dir()) / "checkpoints" / file
    if theirs.is_file():
        return theirs
    url, begins_with = _URL.format(file=file), file.rpartition("-")[2].partition(".")[0]
    try:
        ours.parent.mkdir(parents=True, exist_ok=True)
        hub.download_url_to_file(url, str(ours), begins_with, sys.stderr.isatty())
    except (OSError, RuntimeError) as error:
        raise MotError(
            f"{file}: cannot be fetched ({error}): get {url} elsewhere, and give --weights {file}"
        ) from None
    return ours
