"""Figures of NMS: each kind, torchvision's and OpenCV's, on the same boxes, with one thread.

    python scripts/bench/nms.py [rounds]

Ratios are of things timed in turns in the same run; figures are medians. Everything is kept that
survives, but for the lines that say otherwise.
"""

from __future__ import annotations

import os

os.environ["OPENBLAS_NUM_THREADS"] = "1"

import sys
import time
from collections.abc import Callable
from statistics import median

import cv2
import numpy as np

from mot.boxes import cxcywh_to_xyxy, xyxy_to_xywh
from mot.detectors.nms import KINDS, NmsSettings, nms

LIMIT = 0.65
Work = Callable[[], object]


def crowd(count: int, people: int = 100) -> tuple[np.ndarray, np.ndarray]:
    """Candidates around people in a 1920 x 1080 picture, the better ones closer."""
    rng = np.random.default_rng(0)
    height = rng.uniform(60, 300, people)
    size = np.stack([0.41 * height, height], axis=1)
    who, noise = rng.integers(0, people, count), rng.normal(0, 1, (count, 4))
    centre = rng.uniform(0, [1920, 1080], (people, 2))[who] + 0.12 * size[who] * noise[:, :2]
    cxcywh = np.concatenate([centre, size[who] * np.exp(0.15 * noise[:, 2:])], axis=1)
    scores = rng.beta(1, 3, count) + 0.5 * np.exp(-(noise**2).sum(axis=1) / 2)
    return cxcywh_to_xyxy(cxcywh).astype(np.float32), np.minimum(scores, 1).astype(np.float32)


def scattered(count: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    height = rng.uniform(20, 120, count)
    centre = rng.uniform(0, [1920, 1080], (count, 2))
    cxcywh = np.column_stack([centre, 0.41 * height, height])
    return cxcywh_to_xyxy(cxcywh).astype(np.float32), rng.random(count).astype(np.float32)


def works(xyxy: np.ndarray, scores: np.ndarray) -> dict[str, Work]:
    count = len(xyxy)
    nobody, labels = np.zeros(count, int), np.random.default_rng(1).integers(0, 80, count)
    full = NmsSettings(iou=LIMIT, max_detections=count, score_floor=0.0)
    xywh = xyxy_to_xywh(xyxy)
    whole = xywh.astype(int)
    kinds = {kind: NmsSettings(kind, LIMIT) for kind in KINDS}
    return {
        "hard": lambda: nms(xyxy, scores, nobody, full),
        **torchvision_works(xyxy, scores, labels),
        "cv2.dnn.NMSBoxes": lambda: cv2.dnn.NMSBoxes(xywh, scores, 0.0, LIMIT),
        "hard, 80 labels": lambda: nms(xyxy, scores, labels, full),
        **{
            f"{kind}, best 300": lambda wanted=wanted: nms(xyxy, scores, nobody, wanted)
            for kind, wanted in kinds.items()
        },
        "cv2.dnn.softNMSBoxes, best 300": lambda: cv2.dnn.softNMSBoxes(
            whole, scores, 0.001, LIMIT, 300, 0.5, 2
        ),
    }


def torchvision_works(xyxy: np.ndarray, scores: np.ndarray, labels: np.ndarray) -> dict[str, Work]:
    try:
        import torch
        from torchvision import ops
    except ImportError:
        return {}
    torch.set_num_threads(1)
    boxes, column, groups = (torch.from_numpy(part) for part in (xyxy, scores, labels))
    return {
        "torchvision nms": lambda: ops.nms(boxes, column, LIMIT),
        "torchvision batched_nms, 80 labels": lambda: ops.batched_nms(boxes, column, groups, LIMIT),
    }


def measure(named: dict[str, Work], rounds: int) -> dict[str, float]:
    """Median seconds of each, taken in turns."""
    times: dict[str, list[float]] = {name: [] for name in named}
    for _ in range(rounds):
        for name, work in named.items():
            start = time.perf_counter()
            work()
            times[name].append(time.perf_counter() - start)
    return {name: median(taken) for name, taken in times.items()}


def main(rounds: int = 9) -> None:
    cv2.setNumThreads(1)
    for make in (crowd, scattered):
        for count in (300, 1000, 10_000):
            xyxy, scores = make(count)
            seconds = measure(works(xyxy, scores), rounds)
            print(f"{make.__name__}, {count} candidates; times that of hard in brackets")
            for name, taken in seconds.items():
                print(f"  {name:36} {taken * 1e3:8.2f} ms ({taken / seconds['hard']:.2f})")


if __name__ == "__main__":
    main(*(int(rounds) for rounds in sys.argv[1:]))
