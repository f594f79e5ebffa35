"""One assignment for every tracker; methods differ only in the costs they feed it."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.optimize import linear_sum_assignment

Pairs = tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]


def match(cost: npt.NDArray[np.floating[Any]], limit: float) -> Pairs:
    """The rows and columns of the cheapest assignment in which leaving a pair apart costs `limit`.

    Equal to `lap.lapjv(cost, extend_cost=True, cost_limit=limit)`. Gated pairs cost `inf`.
    """
    gain = np.minimum(cost - limit, 0)
    rows, columns = linear_sum_assignment(gain)
    worth = gain[rows, columns] < 0
    return rows[worth], columns[worth]
