"""Whom a detector with embeddings knows again, in plain loops."""

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
retrieving = importlib.import_module("mot.training.reid_metrics")


def crowd(seed: int, pictures: int = 8, people: int = 6) -> tuple[Any, list[Detections]]:
    """People in a row, some ignored or unknown, most of them found, some twice, and noise."""
    rng = np.random.default_rng(seed)
    looks = rng.normal(size=(people, 8))
    told, found = [], []
    for number in range(pictures):
        here = rng.permutation(people)[: rng.integers(1, people + 1)]
        left = 50.0 * np.arange(len(here))
        xyxy = np.stack([left, 0 * left, left + 30, 0 * left + 80], axis=1)
        ids = np.where(rng.random(len(here)) < 0.1, -1, here)
        annotations = dataset.Annotations.of(xyxy, ids=ids, ignored=rng.random(len(here)) < 0.1)
        told.append(dataset.ImageRecord(Path("x.png"), "x.png", number, (400, 100), annotations))
        rows = np.flatnonzero(rng.random(len(here)) < 0.9).repeat(rng.integers(1, 3))
        near = xyxy[rows] + rng.uniform(-9, 9, (len(rows), 4))
        vectors = looks[here[rows]] + 0.9 * rng.normal(size=(len(rows), 8))
        vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
        scores = rng.uniform(0.1, 1, len(rows))
        found.append(Detections.from_boxes(near, scores, embeddings=vectors))
    return dataset.DataSet(["person"], told), found


def first_is_right(data: Any, found: list[Detections]) -> list[bool]:
    seen = []
    for picture, detections in zip(data, found, strict=True):
        told = picture.annotations
        for box, who, ignored in zip(told.boxes, told.ids, told.ignored, strict=True):
            fits = [
                (float(score), row)
                for row, (other, score) in enumerate(
                    zip(detections.boxes, detections.scores, strict=True)
                )
                if boxes.iou(box[None], other[None])[0, 0] >= 0.5
            ]
            if fits and who >= 0 and not ignored:
                seen.append((picture.number, int(who), detections.embeddings[max(fits)[1]]))
    right = []
    for place, who, vector in seen:
        others = [each for each in seen if each[0] != place or each[1] != who]
        if any(each[1] == who for each in others):
            right.append(max(others, key=lambda each: float(each[2] @ vector))[1] == who)
    return right


@pytest.mark.parametrize("seed", range(6))
def test_as_often_as_in_a_plain_loop(seed: int) -> None:
    data, found = crowd(seed)
    figures = retrieving.known_again(data, found)
    right = first_is_right(data, found)
    assert len(right) > 5
    assert figures["looks rank-1"] == pytest.approx(np.mean(right))
    assert 0 < figures["looks mAP"] <= 1


def test_nothing_is_said_where_nobody_could_be_known() -> None:
    data, found = crowd(0)
    blind = [Detections(each.boxes, each.scores, each.labels) for each in found]
    assert retrieving.known_again(data, blind) == {}
    assert retrieving.known_again(data, [Detections.empty()] * len(data)) == {}
    strangers = data.with_ids(np.arange(len(data.annotations.ids)))
    assert retrieving.known_again(strangers, found) == {}
