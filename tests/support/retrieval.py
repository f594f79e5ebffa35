"""Helpers of several tests: retrieval."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from mot.reid.evaluation.retrieval import JUNK, Looks

# Whether a person (id, place) looking for others does not look at one of them.
Rule = Callable[[tuple[int, int], tuple[int, int]], bool]


def by_camera(query: tuple[int, int], other: tuple[int, int]) -> bool:
    return query == other


def by_frame(gap: int) -> Rule:
    return lambda query, other: other[1] - query[1] < gap


def distance(one: np.ndarray, other: np.ndarray) -> float:
    length = math.sqrt(sum(one.astype(float) ** 2)) * math.sqrt(sum(other.astype(float) ** 2))
    return 1 - float(one.astype(float) @ other.astype(float)) / length if length else 1.0


def one_by_one(queries: Looks, gallery: Looks, left_out: Rule) -> list[tuple[float, int]]:
    """The average precision and the rank of each query; nan and 0 where nothing is right."""
    people = list(zip(gallery.ids.tolist(), gallery.places.tolist(), strict=True))
    answers = []
    for number, place, vector in zip(queries.ids, queries.places, queries.vectors, strict=True):
        query = int(number), int(place)
        ranking = sorted(
            (distance(vector, gallery.vectors[row]), other[0] == query[0] and query[0] > 0)
            for row, other in enumerate(people)
            if JUNK not in (query[0], other[0]) and not left_out(query, other)
        )
        found, precisions, first = 0, [], 0
        for rank, (_, is_right) in enumerate(ranking, 1):
            if is_right:
                found += 1
                first = first or rank
                precisions.append(found / rank)
        answers.append((sum(precisions) / found if found else math.nan, first))
    return answers
