"""A detector that was never trained: it sees the truth through noise, as real ones do."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from mot.synthetic.body import Array
from mot.synthetic.scenes import Scene, stream
from mot.types import Detections

Ints = npt.NDArray[np.int64]
_SIZE = 64  # of an embedding
_MERGE = 0.75  # two detections that overlap more become one, as in non-maximum suppression


class SimulatedDetector:
    """Misses the hidden and the small more often, and for several frames in a row."""

    def __init__(self, scene: Scene, seed: int, size: tuple[int, int]) -> None:
        self._scene = scene
        self._size = size
        self._rng = stream(seed, "detector")
        self._mood_ids = np.zeros(0, np.int64)
        self._mood = np.zeros(0)

    def detect(
        self, ids: Ints, boxes: Array, visibility: Array, vectors: Array, hidden: Array
    ) -> tuple[Detections, Ints]:
        """The detections, and for each the id of the person it shows, 0 for a false alarm.

        vectors: (N, 64); hidden: (N, N), the share of each row's box that the column's hides.
        """
        mood = self._moods(ids)
        noise = self._rng.standard_normal((len(ids), 5))
        trust = visibility - 9.0 / np.maximum(boxes[:, 3] - boxes[:, 1], 9.0)
        found = np.flatnonzero(trust + 0.11 * mood + 0.04 * noise[:, 4] > 0.14)
        scores = 0.28 + 0.72 * trust + 0.06 * mood + 0.05 * noise[:, 4]
        scores = np.minimum(np.maximum(scores, 0.05), 0.99)[found]
        seen = self._jitter(boxes, noise[:, :4], visibility)[found]
        appearances = self._describe(vectors, visibility, hidden)[found]
        alarms = int(self._rng.poisson(self._scene.false_alarms))
        identities = ids[found]
        if alarms:
            seen = np.concatenate([seen, self._false_boxes(alarms)])
            scores = np.concatenate([scores, self._rng.uniform(0.1, 0.55, alarms)])
            strange = _unit(self._rng.standard_normal((alarms, _SIZE)))
            appearances = np.concatenate([appearances, strange])
            identities = np.concatenate([identities, np.zeros(alarms, np.int64)])
        kept = self._kept(seen, scores)
        detections = Detections(
            seen[kept].astype(np.float32),
            scores[kept].astype(np.float32),
            np.zeros(len(kept), np.int64),
            appearances[kept].astype(np.float32),
        )
        return detections, identities[kept]

    def _moods(self, ids: Ints) -> Array:
        """(N,) slow noise around 0, deviation 1: what makes misses come in runs. ids ascend."""
        fresh = self._rng.standard_normal(len(ids))
        if len(self._mood_ids) and len(ids):
            place = np.minimum(np.searchsorted(self._mood_ids, ids), len(self._mood_ids) - 1)
            known = self._mood_ids[place] == ids
            fresh = np.where(known, 0.85 * self._mood[place] + 0.527 * fresh, fresh)
        self._mood_ids, self._mood = ids, fresh
        return fresh

    def _jitter(self, boxes: Array, noise: Array, visibility: Array) -> Array:
        """Errors in proportion to the size, more for the hidden; clipped to the image."""
        blur = 0.012 + 0.03 * (1 - visibility)
        left, top, right, bottom = boxes.T
        noise = noise.T * blur
        noise[::2] *= right - left
        noise[1::2] *= bottom - top
        return np.asarray(np.clip(boxes + noise.T, 0.0, np.array(self._size * 2)))

    def _describe(self, vectors: Array, visibility: Array, hidden: Array) -> Array:
        """(N, 64): each person's vector with noise, and with a share of whoever stands before."""
        rng = self._rng
        count = len(vectors)
        noise = rng.standard_normal((count, _SIZE), np.float32)  # of length 8
        mixed = vectors + (0.0375 + 0.05 * (1 - visibility[:, None])) * noise
        if count:
            front = hidden.argmax(axis=1)
            share = hidden[np.arange(count), front] * (1 - visibility)
            mixed += 0.9 * share[:, None] * vectors[front]
        return _unit(mixed)

    def _false_boxes(self, count: int) -> Array:
        """(K, 4) boxes of a person's shape at random positions."""
        rng = self._rng
        width, height = self._size
        tall = height * rng.uniform(0.12, 0.45, count)
        wide = tall * rng.uniform(0.28, 0.55, count)
        x, y = rng.uniform(0, width - wide), rng.uniform(0.2 * height, height - 0.5 * tall)
        return np.stack([x, y, x + wide, np.minimum(y + tall, height)], axis=1)

    def _kept(self, boxes: Array, scores: Array) -> Ints:
        """Rows of boxes of some size, without those that a better one covers."""
        left, top, right, bottom = boxes.T
        wide, high = right - left, bottom - top
        alive = (wide > 2) & (high > 4)
        across = np.minimum(right[:, None], right) - np.maximum(left[:, None], left)
        along = np.minimum(bottom[:, None], bottom) - np.maximum(top[:, None], top)
        common = np.maximum(across, 0)
        common *= np.maximum(along, 0)
        area = wide * high
        same = common * (1 + 1 / _MERGE) > area[:, None] + area
        # Every box matches itself; only where more do is there something to merge.
        if np.count_nonzero(same) <= len(boxes):
            return np.flatnonzero(alive)
        rivals = np.argwhere(np.triu(same, 1))
        for first, second in rivals:
            if alive[first] and alive[second]:
                alive[second if scores[first] >= scores[second] else first] = False
        return np.flatnonzero(alive)


def _unit(vectors: Array) -> Array:
    return np.asarray(vectors / np.sqrt((vectors * vectors).sum(axis=1, keepdims=True)))
