"""Darknet networks for tests: `.cfg` texts, and Darknet in plain NumPy with random weights."""

from __future__ import annotations

import math
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from mot.detectors.darknet.cfg import Network, parse_cfg
from mot.detectors.darknet.weights import Header, convolutions

DEFAULT_HEADER = Header()
REAL = ["yolo-fastest-1.1_body", "yolo-fastest-1.1-xl", "MobileNetV2-YOLOv3-Nano-coco"]


def net(size: int = 416) -> str:
    return f"[net]\nbatch=64\nwidth={size}\nheight={size}\nchannels=3\nmomentum=0.9\n\n"


def conv(filters: int, size: int = 1, stride: int = 1, act: str = "leaky", more: str = "") -> str:
    return (
        f"[convolutional]\nbatch_normalize=1\nfilters={filters}\nsize={size}\nstride={stride}\n"
        f"pad=1\n{more}activation={act}\n\n"
    )


def head(mask: str, classes: int = 80, count: int = 3, more: str = "", act: str = "linear") -> str:
    return (
        f"[convolutional]\nsize=1\nstride=1\npad=1\nfilters={count * (5 + classes)}\n"
        f"activation={act}\n\n[yolo]\nmask = {mask}\n"
        "anchors = 10,13,  16,30,  33,23,  30,61,  62,45,  59,119,  116,90,  156,198,  373,326\n"
        f"classes={classes}\nnum=9\njitter=.3\nignore_thresh = .7\ntruth_thresh = 1\nrandom=1\n"
        f"{more}\n"
    )


def route(layers: str, more: str = "") -> str:
    return f"[route]\nlayers = {layers}\n{more}\n"


def pool(size: int, stride: int) -> str:
    return f"[maxpool]\nsize={size}\nstride={stride}\n\n"


UPSAMPLE = "[upsample]\nstride=2\n\n"


def shortcut(source: str, act: str = "linear") -> str:
    return f"[shortcut]\nfrom={source}\nactivation={act}\n\n"


def yolov4_tiny(thin: int = 1, size: int = 416) -> str:
    text = net(size) + conv(32 // thin, 3, 2) + conv(64 // thin, 3, 2)
    for filters in (64, 128, 256):
        half = conv(filters // thin // 2, 3)
        text += conv(filters // thin, 3) + route("-1", "groups=2\ngroup_id=1\n") + half * 2
        text += route("-1,-2") + conv(filters // thin) + route("-6,-1") + pool(2, 2)
    text += conv(512 // thin, 3) + conv(256 // thin) + conv(512 // thin, 3)
    text += head("3,4,5", more="scale_x_y = 1.05\n") + route("-4") + conv(128 // thin) + UPSAMPLE
    return text + route("-1, 23") + conv(256 // thin, 3) + head("1,2,3", more="scale_x_y = 1.05\n")


def efficient(size: int = 64) -> str:
    """An inverted bottleneck with squeeze and excitation, as in EfficientNet-B0."""
    squeeze = "[avgpool]\n\n[convolutional]\nfilters=2\nsize=1\nstride=1\nactivation=swish\n\n"
    excite = "[convolutional]\nfilters=12\nsize=1\nstride=1\nactivation=logistic\n\n"
    scale = "[scale_channels]\nfrom=-4\n\n"
    text = net(size) + conv(6, 3, 2, "swish") + conv(12, act="swish")
    text += conv(12, 3, 1, "swish", "groups=12\n") + squeeze + excite + scale
    text += conv(6, act="linear") + "[dropout]\nprobability=.2\n\n" + shortcut("-8")
    return text + conv(8, 3, 2, "mish") + head("0,1", 3, 2)


def scaled(size: int = 64) -> str:
    """The heads of Scaled-YOLOv4, and layers that the other networks lack."""
    text = net(size) + conv(8, 3, 2, "mish") + conv(12, 3, 1, "relu6", "groups=4\ndilation=2\n")
    text += shortcut("-2") + conv(6, 5, 1, "relu") + shortcut("-2,0", "leaky")
    text += "[convolutional]\nfilters=8\nsize=4\nstride_x=2\nstride_y=2\npadding=1\n\n"
    text += "[maxpool]\nsize=3\nstride=2\n\n" + route("-1,6", "groups=2\ngroup_id=0\n")
    return text + head("8,2", 4, 2, "new_coords=1\nscale_x_y = 2.0\n", "logistic")


def written(folder: Path, text: str, name: str = "net.cfg") -> Path:
    path = folder / name
    path.write_text(text)
    return path


def parsed(folder: Path, text: str) -> Network:
    return parse_cfg(written(folder, text))


CURVES = {
    "linear": lambda x: x,
    "leaky": lambda x: np.where(x > 0, x, 0.1 * x),
    "relu": lambda x: x * (x > 0),
    "relu6": lambda x: np.minimum(np.maximum(x, 0), 6),
    "relie": lambda x: np.where(x > 0, x, 0.01 * x),
    "ramp": lambda x: x * (x > 0) + 0.1 * x,
    "logistic": lambda x: 1 / (1 + np.exp(-x)),
    "loggy": lambda x: 2 / (1 + np.exp(-x)) - 1,
    "tanh": lambda x: (np.exp(2 * x) - 1) / (np.exp(2 * x) + 1),
    "hardtan": lambda x: np.where(x < -1, -1, np.where(x > 1, 1, x)),
    "lhtan": lambda x: np.where(x < 0, 0.001 * x, np.where(x > 1, 0.001 * (x - 1) + 1, x)),
    "plse": lambda x: np.where(
        x < -4, 0.01 * (x + 4), np.where(x > 4, 0.01 * (x - 4) + 1, 0.125 * x + 0.5)
    ),
    "elu": lambda x: np.where(x >= 0, x, np.exp(x) - 1),
    "selu": lambda x: np.where(x >= 0, 1.0507 * x, 1.0507 * 1.6732 * (np.exp(x) - 1)),
    "gelu": lambda x: 0.5 * x * (1 + np.tanh(0.797885 * x + 0.035677 * x**3)),
    "swish": lambda x: x / (1 + np.exp(-x)),
    "mish": lambda x: x * np.tanh(np.log1p(np.exp(x))),
    "hard_mish": lambda x: np.where(x > 0, x, np.where(x > -2, x * x / 2 + x, 0)),
    "hard_swish": lambda x: x * np.clip(x + 3, 0, 6) / 6,
    "hswish": lambda x: x * np.clip(x + 3, 0, 6) / 6,
}


class PlainDarknet:
    """One image (C, H, W) through a network, section by section."""

    def __init__(self, text: str, seed: int = 0) -> None:
        self.rng = np.random.default_rng(seed)
        self.parts = [self.section(part) for part in text.split("[")[1:]]
        self.file = struct.pack("<3iQ", 0, 2, 5, 640)
        self.outputs: list[np.ndarray] = []
        self.maps: list[np.ndarray] = []
        self.boxes: list[list[float]] = []
        self.scores: list[list[float]] = []

    @staticmethod
    def section(part: str) -> dict[str, str]:
        name, _, body = part.replace(" ", "").partition("]\n")
        return {"section": name, **dict(line.split("=") for line in body.split("\n") if line)}

    def run(self, image: np.ndarray) -> PlainDarknet:
        self.image, x = image, image.astype(np.float64)
        for part in self.parts[1:]:
            x = getattr(self, part["section"])(part, x)
            self.outputs.append(x)
        return self

    def random(self, low: float, high: float, *shape: int) -> np.ndarray:
        numbers = self.rng.uniform(low, high, shape).astype(np.float32)
        self.file += numbers.tobytes()
        return numbers.astype(np.float64)

    def named(self, text: str) -> list[np.ndarray]:
        here = len(self.outputs)
        numbers = [int(number) for number in text.split(",")]
        return [self.outputs[number + here if number < 0 else number] for number in numbers]

    def convolutional(self, part: dict[str, str], x: np.ndarray) -> np.ndarray:
        filters, size, groups = (int(part.get(key, 1)) for key in ("filters", "size", "groups"))
        across, gap = int(part.get("stride_x", part.get("stride", 1))), int(part.get("dilation", 1))
        pad = (size // 2 if int(part.get("pad", 0)) else int(part.get("padding", 0))) * gap
        bias = self.random(-0.5, 0.5, filters)
        normalize = int(part.get("batch_normalize", 0))
        if normalize:
            scale, mean = self.random(0.5, 1.5, filters), self.random(-0.5, 0.5, filters)
            variance = self.random(0.5, 1.5, filters)
        each = len(x) // groups
        reach = 1 / math.sqrt(each * size * size)
        weights = self.random(-reach, reach, filters, each, size, size)
        x = np.pad(x, ((0, 0), (pad, pad), (pad, pad)))
        extent = gap * (size - 1) + 1
        high, wide = ((side - extent) // across + 1 for side in x.shape[1:])
        out = np.zeros((filters, high, wide))
        for row in range(high):
            for column in range(wide):
                top, left = row * across, column * across
                patch = x[:, top : top + extent : gap, left : left + extent : gap]
                patch = patch.reshape(groups, 1, -1)
                kernels = weights.reshape(groups, filters // groups, -1)
                out[:, row, column] = (kernels * patch).sum(-1).ravel()
        if normalize:
            out = (out - mean[:, None, None]) / np.sqrt(variance + 1e-6)[:, None, None]
            out *= scale[:, None, None]
        return CURVES[part.get("activation", "logistic")](out + bias[:, None, None])

    def maxpool(self, part: dict[str, str], x: np.ndarray) -> np.ndarray:
        size, stride = int(part["size"]), int(part["stride"])
        padding = int(part.get("padding", size - 1))
        high, wide = ((side + padding - size) // stride + 1 for side in x.shape[1:])
        out = np.full((len(x), high, wide), -np.inf)
        for row, column in np.ndindex(high, wide):
            top, left = row * stride - padding // 2, column * stride - padding // 2
            patch = x[:, max(top, 0) : top + size, max(left, 0) : left + size]
            out[:, row, column] = patch.max((1, 2))
        return out

    def shortcut(self, part: dict[str, str], x: np.ndarray) -> np.ndarray:
        out = x.copy()
        for other in self.named(part["from"]):
            both = min(len(out), len(other))
            out[:both] += other[:both]
        return CURVES[part.get("activation", "linear")](out)

    def route(self, part: dict[str, str], _: np.ndarray) -> np.ndarray:
        groups, chosen = int(part.get("groups", 1)), int(part.get("group_id", 0))
        return np.concatenate(
            [np.split(each, groups)[chosen] for each in self.named(part["layers"])]
        )

    def upsample(self, part: dict[str, str], x: np.ndarray) -> np.ndarray:
        return x.repeat(int(part["stride"]), 1).repeat(int(part["stride"]), 2)

    def dropout(self, _: dict[str, str], x: np.ndarray) -> np.ndarray:
        return x

    def avgpool(self, _: dict[str, str], x: np.ndarray) -> np.ndarray:
        return x.mean((1, 2), keepdims=True)

    def scale_channels(self, part: dict[str, str], x: np.ndarray) -> np.ndarray:
        return self.named(part["from"])[0] * x

    def yolo(self, part: dict[str, str], x: np.ndarray) -> np.ndarray:
        self.maps.append(x)
        anchors = [float(number) for number in part["anchors"].split(",")]
        masks = [int(number) for number in part["mask"].split(",")]
        _, high, wide = x.shape
        cells = x.reshape(len(masks), -1, high, wide)
        for row, column, anchor in np.ndindex(high, wide, len(masks)):
            sizes = anchors[2 * masks[anchor] : 2 * masks[anchor] + 2]
            self.detect(part, cells[anchor, :, row, column], (column, row, wide, high), sizes)
        return x

    def detect(self, part: dict[str, str], cell: Any, position: Any, anchor: list[float]) -> None:
        column, row, wide, high = position
        _, tall, broad = self.image.shape
        (x, y, w, h), rest = cell[:4], cell[4:]
        if part.get("new_coords") == "1":
            w, h = 4 * w * w * anchor[0], 4 * h * h * anchor[1]
        else:
            x, y, rest = (1 / (1 + np.exp(-value)) for value in (x, y, rest))
            w, h = np.exp(w) * anchor[0], np.exp(h) * anchor[1]
        grow = float(part.get("scale_x_y", 1))
        x = (x * grow - 0.5 * (grow - 1) + column) / wide * broad
        y = (y * grow - 0.5 * (grow - 1) + row) / high * tall
        self.boxes.append([x - w / 2, y - h / 2, x + w / 2, y + h / 2])
        self.scores.append((rest[0] * rest[1:]).tolist())


def images(*shape: int, seed: int = 1) -> np.ndarray:
    return np.random.default_rng(seed).random(shape, dtype=np.float32)


def pack_header(header: Header) -> bytes:
    seen = "Q" if header.is_long else "I"
    return struct.pack(f"<3i{seen}", header.major, header.minor, header.revision, header.seen)


def write_weights(path: Path, header: Header, layers: Mapping[int, Mapping[str, Any]]) -> None:
    """Writes a `.weights` file; the arrays of a layer must be in the order of the file."""
    arrays = [array for index in sorted(layers) for array in layers[index].values()]
    content = [np.ascontiguousarray(array, "<f4").tobytes() for array in arrays]
    path.write_bytes(pack_header(header) + b"".join(content))


def save_weights(model: Any, path: Path, header: Header = DEFAULT_HEADER) -> None:
    """Writes the `.weights` file of a `DarknetModel`."""
    layers = {
        index: {
            name: tensor.detach().float().cpu().numpy()
            for name, tensor in model.tensors(index).items()
        }
        for index in convolutions(model.network)
    }
    write_weights(path, header, layers)
