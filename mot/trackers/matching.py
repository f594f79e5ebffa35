"""The assignment that all trackers use; methods differ only in the costs."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.optimize import linear_sum_assignment

Pairs = tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]


def match(cost: npt.NDArray[np.floating[Any]], limit: float) -> Pairs:
    """Rows and columns of the cheapest assignment, where each unmatched pair costs `limit`.

    Equal to `lap.lapjv(cost, extend_cost=True, cost_limit=limit)`. Gated pairs cost `inf`.
    """
    gain = np.minimum(cost - limit, 0)
    rows, columns = linear_sum_assignment(gain)
    matched = gain[rows, columns] < 0
    return rows[matched], columns[matched]
