"""Retrieval metrics of a detector's embeddings equal reference loops."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mot import boxes
from mot.types import Detections

pytest.importorskip("torch", reason="PyTorch is not installed")
dataset = importlib.import_module("mot.datasets.dataset")
reid_metrics = importlib.import_module("mot.training.reid_metrics")


def crowd(seed: int, images: int = 8, identities: int = 6) -> tuple[Any, list[Detections]]:
    """Objects in a row, some ignored or unknown, most of them detected, some twice, and noise."""
    rng = np.random.default_rng(seed)
    vectors = rng.normal(size=(identities, 8))
    records, found = [], []
    for number in range(images):
        here = rng.permutation(identities)[: rng.integers(1, identities + 1)]
        left = 50.0 * np.arange(len(here))
        xyxy = np.stack([left, 0 * left, left + 30, 0 * left + 80], axis=1)
        ids = np.where(rng.random(len(here)) < 0.1, -1, here)
        annotations = dataset.Annotations.of(xyxy, ids=ids, ignored=rng.random(len(here)) < 0.1)
        records.append(dataset.ImageRecord(Path("x.png"), "x.png", number, (400, 100), annotations))
        rows = np.flatnonzero(rng.random(len(here)) < 0.9).repeat(rng.integers(1, 3))
        near = xyxy[rows] + rng.uniform(-9, 9, (len(rows), 4))
        noisy = vectors[here[rows]] + 0.9 * rng.normal(size=(len(rows), 8))
        noisy /= np.linalg.norm(noisy, axis=1, keepdims=True)
        scores = rng.uniform(0.1, 1, len(rows))
        found.append(Detections.from_boxes(near, scores, embeddings=noisy))
    return dataset.DataSet(["person"], records), found


def nearest_is_correct(data: Any, found: list[Detections]) -> list[bool]:
    seen = []
    for record, detections in zip(data, found, strict=True):
        annotations = record.annotations
        for box, own_id, ignored in zip(
            annotations.boxes, annotations.ids, annotations.ignored, strict=True
        ):
            fits = [
                (float(score), row)
                for row, (other, score) in enumerate(
                    zip(detections.boxes, detections.scores, strict=True)
                )
                if boxes.iou(box[None], other[None])[0, 0] >= 0.5
            ]
            if fits and own_id >= 0 and not ignored:
                seen.append((record.number, int(own_id), detections.embeddings[max(fits)[1]]))
    correct = []
    for image, own_id, vector in seen:
        others = [each for each in seen if each[0] != image or each[1] != own_id]
        if any(each[1] == own_id for each in others):
            correct.append(max(others, key=lambda each: float(each[2] @ vector))[1] == own_id)
    return correct


@pytest.mark.parametrize("seed", range(6))
def test_metrics_equal_the_reference(seed: int) -> None:
    data, found = crowd(seed)
    metrics = reid_metrics.embedding_metrics(data, found)
    correct = nearest_is_correct(data, found)
    assert len(correct) > 5
    assert metrics["re-ID rank-1"] == pytest.approx(np.mean(correct))
    assert 0 < metrics["re-ID mAP"] <= 1


def test_no_metrics_without_embeddings_or_repeated_identities() -> None:
    data, found = crowd(0)
    without_embeddings = [Detections(each.boxes, each.scores, each.labels) for each in found]
    assert reid_metrics.embedding_metrics(data, without_embeddings) == {}
    assert reid_metrics.embedding_metrics(data, [Detections.empty()] * len(data)) == {}
    unique = data.with_ids(np.arange(len(data.annotations.ids)))
    assert reid_metrics.embedding_metrics(unique, found) == {}
