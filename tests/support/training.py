"""Helpers of several tests: training."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("safetensors")
from mot.opencv import cv2

# Three strides, no batch norm: two processes then see what one sees of the double batch.
DRAWING = """
[net]
width=64
height=64
channels=3
{layers}
"""


CONV = "[convolutional]\nfilters={}\nsize={}\nstride={}\npad=1\nactivation={}\n"


YOLO = "[yolo]\nmask={mask}\nanchors=10,20, 20,40, 30,60\nclasses=1\nnum=3\nscale_x_y=2.0\n"


def conv(
    filters: int, size: int = 3, stride: int = 1, kind: str = "swish", norm: bool = False
) -> str:
    text = CONV.format(filters, size, stride, kind)
    return text.replace("]\n", "]\nbatch_normalize=1\n", 1) if norm else text


def drawing(norm: bool) -> str:
    layers = [conv(8, stride=2, norm=norm), conv(16, stride=2, norm=norm)]
    layers += [conv(24, stride=2, norm=norm), conv(24, norm=norm)]
    layers += [conv(18, size=1, kind="linear"), YOLO.format(mask="0,1,2")]
    return DRAWING.format(layers="\n".join(layers))


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Bright upright rectangles on dark noise: 12 pictures, and one of an ignored one."""
    folder = tmp_path / "data"
    folder.mkdir()
    rng = np.random.default_rng(0)
    images, annotations = [], []
    for number in range(1, 13):
        picture = rng.integers(0, 60, (64, 64, 3), np.uint8)
        for _ in range(2):
            x, y = rng.integers(2, 40, 2).tolist()
            w, h = int(rng.integers(10, 16)), int(rng.integers(18, 24))
            picture[y : y + h, x : x + w] = (40, 220, 220)
            ignored = int(number == 12)
            box = {"bbox": [x, y, w, h], "image_id": number, "category_id": 1, "ignore": ignored}
            annotations.append({"id": len(annotations) + 1, "iscrowd": 0, "area": w * h, **box})
        cv2.imwrite(str(folder / f"{number}.png"), picture)
        images.append({"id": number, "file_name": f"{number}.png", "width": 64, "height": 64})
    content = {"images": images, "annotations": annotations}
    content["categories"] = [{"id": 1, "name": "person"}]
    (folder / "boxes.json").write_text(json.dumps(content))
    return folder


def write_recipe(path: Path, data: Path, norm: bool = True, **schedule: Any) -> Path:
    cfg = path.with_suffix(".cfg")
    cfg.write_text(drawing(norm))
    settings = {"epochs": 3, "batch": 4, "lr": 0.01, "warmup": 2, "workers": 0, "ema": 0.9}
    settings |= {"optimiser": "adamw", "save": 2, **schedule}
    lines = [f"{key} = {json.dumps(value)}" for key, value in settings.items()]
    source = f'annotations = "{data}/boxes.json"\nimages = "{data}"\n'
    path.write_text(
        f'[model]\nfamily = "cfg"\nnetwork = "{cfg}"\n'
        f"[[data.train]]\n{source}[[data.val]]\n{source}"
        "[augment]\nmosaic = 0.0\n[schedule]\nsizes = ['64x64']\n" + "\n".join(lines)
    )
    return path


class Nobody:
    def begin(self, steps: int, done: int) -> None:
        self.steps = steps

    def step(self, progress: Any, told: Any) -> None: ...

    def epoch(self, progress: Any, measured: Any) -> None: ...

    def end(self) -> None: ...
