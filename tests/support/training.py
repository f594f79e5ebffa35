"""Small recipes and callbacks for tests of training."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("safetensors")

# Three strides. Without batch norm two processes compute what one does with the double batch.
_NET = """
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


def network_cfg(norm: bool) -> str:
    layers = [conv(8, stride=2, norm=norm), conv(16, stride=2, norm=norm)]
    layers += [conv(24, stride=2, norm=norm), conv(24, norm=norm)]
    layers += [conv(18, size=1, kind="linear"), YOLO.format(mask="0,1,2")]
    return _NET.format(layers="\n".join(layers))


def write_recipe(path: Path, data: Path, norm: bool = True, **schedule: Any) -> Path:
    cfg = path.with_suffix(".cfg")
    cfg.write_text(network_cfg(norm))
    settings = {"epochs": 3, "batch": 4, "lr": 0.01, "warmup": 2, "workers": 0, "ema": 0.9}
    settings |= {"optimizer": "adamw", "save_interval": 2, **schedule}
    lines = [f"{key} = {json.dumps(value)}" for key, value in settings.items()]
    source = f'annotations = "{data}/boxes.json"\nimages = "{data}"\n'
    path.write_text(
        f'[model]\narchitecture = "cfg"\nnetwork = "{cfg}"\n'
        f"[[data.train]]\n{source}[[data.val]]\n{source}"
        "[augment]\nmosaic = 0.0\n[schedule]\nsizes = ['64x64']\n" + "\n".join(lines)
    )
    return path


class SilentCallback:
    def begin(self, steps: int, done: int) -> None: ...

    def step(self, progress: Any, losses: Any) -> None: ...

    def epoch(self, progress: Any, metrics: Any) -> None: ...

    def end(self) -> None: ...
