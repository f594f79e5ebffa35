"""The metrics of detection beside pycocotools', in one run, on one thread; processor time.

    python scripts/bench/detection_metrics.py [300x300x4 4370x100x23]

PxDxG: P pictures with D detections each and G objects on average, a tenth of them regions that are
ignored. Checks that COCO's numbers are equal to 1e-12 before any time is shown; pycocotools is left
out where it is not installed.
"""

from __future__ import annotations

import os

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import contextlib
import io
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from mot.datasets.dataset import Annotations, DataSet, ImageRecord
from mot.evaluation.detection.coco import coco_scores
from mot.evaluation.detection.pairs import put_side_by_side
from mot.evaluation.detection.results import coco_results
from mot.evaluation.detection.scores import Scores, evaluate
from mot.types import Detections

SIZE = (640, 480)


def world(pictures: int, detections: int, objects: int) -> tuple[DataSet, list[Detections]]:
    """Detections lie around objects, about half of them closer than an IoU of 0.5."""
    chance = np.random.default_rng(0)
    told, found = [], []
    for number in range(1, pictures + 1):
        count = 1 + chance.poisson(objects - 1)
        corner, size = chance.uniform(0, SIZE, (count, 2)), chance.lognormal(4, 0.5, (count, 2))
        boxes = np.concatenate([corner, corner + size], axis=1).round(1)
        annotations = Annotations.of(boxes, ignored=chance.random(count) < 0.1)
        told.append(ImageRecord(Path(f"{number}"), f"{number}", number, SIZE, annotations))
        near = boxes[chance.integers(0, count, detections)]
        near = (near + chance.normal(0, 8, near.shape)).round(1)
        near[:, 2:] = np.maximum(near[:, 2:], near[:, :2])
        found.append(Detections.from_boxes(near, chance.random(detections).round(3)))
    return DataSet(("person",), told), found


def pycocotools_s(dataset: DataSet, rows: list[dict]) -> list[float]:
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    with contextlib.redirect_stdout(io.StringIO()):
        truth = COCO()
        truth.dataset = _as_coco(dataset)
        truth.createIndex()
        scorer = COCOeval(truth, truth.loadRes(rows), "bbox")
        scorer.evaluate()
        scorer.accumulate()
        scorer.summarize()
    return scorer.stats.tolist()


def _as_coco(dataset: DataSet) -> dict:
    boxes, crowd = dataset.annotations.boxes.astype(np.float64), dataset.annotations.ignored
    owners = np.repeat([p.number for p in dataset], [len(p.annotations) for p in dataset])
    sizes = boxes[:, 2:] - boxes[:, :2]
    annotations = [
        {
            "id": row + 1,
            "image_id": int(owner),
            "category_id": 1,
            "bbox": [*box[:2].tolist(), *size.tolist()],
            "area": float(size.prod()),
            "iscrowd": int(is_crowd),
        }
        for row, (owner, box, size, is_crowd) in enumerate(
            zip(owners, boxes, sizes, crowd, strict=True)
        )
    ]
    images = [{"id": picture.number} for picture in dataset]
    categories = [{"id": 1, "name": "person"}]
    return {"images": images, "annotations": annotations, "categories": categories, "info": {}}


def ours(dataset: DataSet, found: list[Detections]) -> list[float]:
    """COCO's twelve numbers alone."""
    scores = coco_scores(put_side_by_side(dataset, found))
    recalls = *scores.recall.values(), *scores.recall_of.values()
    return [scores.ap, scores.ap50, scores.ap75, *scores.ap_of.values(), *recalls]


def timed(work: Callable[[], list[float] | Scores]) -> tuple[float, list[float] | Scores]:
    start = time.process_time()
    result = work()
    return time.process_time() - start, result


def compare(load: str) -> None:
    dataset, found = world(*(int(part) for part in load.split("x")))
    print(f"{load:14} {len(dataset.annotations)} objects, {sum(map(len, found))} detections")
    seconds, numbers = timed(lambda: ours(dataset, found))
    whole, _ = timed(lambda: evaluate(dataset, found))
    rows = [
        {**row, "bbox": box}
        for row, box in zip(coco_results(dataset, found), _exact(found), strict=True)
    ]
    for row, score in zip(rows, np.concatenate([f.scores for f in found]), strict=True):
        row["score"] = float(score)
    print(f"  ours, COCO's twelve numbers        {seconds:8.2f} s")
    print(f"  ours, all: COCO, VOC, CrowdHuman   {whole:8.2f} s")
    try:
        other, expected = timed(lambda: pycocotools_s(dataset, rows))
    except ImportError:
        print("  pycocotools is not installed")
        return
    off = float(np.abs(np.subtract(numbers, expected)).max())
    assert off < 1e-12, (numbers, expected)
    print(
        f"  pycocotools, the twelve numbers    {other:8.2f} s: {other / seconds:.1f}x ours, "
        f"{other / whole:.1f}x all of ours; largest difference {off:.0e}"
    )


def _exact(found: list[Detections]) -> list[list[float]]:
    corners = np.concatenate([each.boxes for each in found]).astype(np.float64)
    return np.concatenate([corners[:, :2], corners[:, 2:] - corners[:, :2]], axis=1).tolist()


if __name__ == "__main__":
    for load in sys.argv[1:] or ["300x300x4", "4370x100x23"]:
        compare(load)
