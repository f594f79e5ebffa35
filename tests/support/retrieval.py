"""Retrieval in plain Python, for tests."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from mot.datasets.market import JUNK
from mot.reid.evaluation.retrieval import IdentityEmbeddings

# Whether a query (id, view) excludes an entry (id, view) of the gallery.
Rule = Callable[[tuple[int, int], tuple[int, int]], bool]


def by_camera(query: tuple[int, int], other: tuple[int, int]) -> bool:
    return query == other


def by_frame(gap: int) -> Rule:
    return lambda query, other: other[1] - query[1] < gap


def distance(one: np.ndarray, other: np.ndarray) -> float:
    length = math.sqrt(sum(one.astype(float) ** 2)) * math.sqrt(sum(other.astype(float) ** 2))
    return 1 - float(one.astype(float) @ other.astype(float)) / length if length else 1.0


def one_by_one(
    queries: IdentityEmbeddings, gallery: IdentityEmbeddings, excludes: Rule
) -> list[tuple[float, int]]:
    """Average precision and rank of each query; NaN and 0 without a correct match."""
    entries = list(zip(gallery.ids.tolist(), gallery.views.tolist(), strict=True))
    answers = []
    for number, view, vector in zip(queries.ids, queries.views, queries.vectors, strict=True):
        query = int(number), int(view)
        ranking = sorted(
            (distance(vector, gallery.vectors[row]), other[0] == query[0] and query[0] > 0)
            for row, other in enumerate(entries)
            if JUNK not in (query[0], other[0]) and not excludes(query, other)
        )
        found, precisions, first = 0, [], 0
        for rank, (_, is_correct) in enumerate(ranking, 1):
            if is_correct:
                found += 1
                first = first or rank
                precisions.append(found / rank)
        answers.append((sum(precisions) / found if found else math.nan, first))
    return answers
