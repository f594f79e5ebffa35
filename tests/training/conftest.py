"""Fixtures of the tests of trainings."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from mot.opencv import cv2


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
