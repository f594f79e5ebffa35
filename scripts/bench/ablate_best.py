"""What each part of `best` is worth, and whether its settings hold on sequences they were not
chosen on.

    python scripts/bench/ablate_best.py [parts looks cross]

looks   the same with embeddings: MOT17-05 with DeepSORT's features, rendered scenes with theirs,
        and people who all look alike
parts   one line a component left out: half-val (MOT17, YOLOX detections) and rendered scenes
cross   settings chosen on three sequences, measured on the fourth, for each of the four
"""

from __future__ import annotations

import itertools
import sys
from collections.abc import Callable
from dataclasses import replace

import numpy as np
from common import Load, featured, halfval_load, rendered, run, score

from mot.types import Detections

WITHOUT: dict[str, dict[str, float]] = {
    "best": {},
    "without the drift": {"drift_pairs": 10**9},
    "without the heights": {"height_power": 0.0},
    "without trust by score": {"trust": 0.0},
    "first stage from 0.6": {"track_high_thresh": 0.6},
    "buffer of 1 s": {"track_buffer": 1.0},
    "the filter's box alone": {"report_seen": 0.0},
    "unconfirmed limit 0.7": {"unconfirmed_match_thresh": 0.7},
}
LOOKS: dict[str, dict[str, float]] = {
    "best": {},
    "without the margin": {"appearance_margin": 0.0},
    "unlike ones cost nothing": {"appearance_share": 0.0},
    "buffer of 1.5 s": {"appearance_buffer": 1.5},
    "buffer of 5 s": {"appearance_buffer": 5.0},
}
GRID: dict[str, tuple[float, ...]] = {
    "height_power": (0.3, 0.5, 0.8),
    "trust": (0.5, 0.7, 0.9),
    "track_high_thresh": (0.5, 0.55, 0.6),
    "track_buffer": (1.0, 1.5, 2.0),
}
STARTS = (0, 5, 10)  # frames left out at the start: small luck averages out


def parts() -> None:
    halfval = halfval_load()
    scenes = {name: rendered(name, False, seeds=2) for name in ("crowd", "crossing", "camera")}
    print(f"{'':26} half-val: HOTA  IDF1  IDSW   " + "  ".join(f"{n:>9}" for n in scenes))
    for label, settings in [*WITHOUT.items(), ("bytetrack", None)]:
        name = "best" if settings is not None else "bytetrack"
        total = _total(halfval, name, settings or {})
        others = [_total(scene, name, settings or {})["HOTA"] for scene in scenes.values()]
        print(
            f"{label:26} {total['HOTA']:14.2f} {total['IDF1']:5.1f} {total['IDSW']:5.0f}   "
            + "  ".join(f"{hota:9.2f}" for hota in others),
            flush=True,
        )


def looks() -> None:
    scenes = {name: rendered(name, True, seeds=2) for name in ("crowd", "crossing", "camera")}
    loads = {"MOT17-05": featured(True), **scenes, "alike": _alike(scenes["crossing"])}
    print(f"{'HOTA IDF1 IDSW':26}" + "".join(f"{name:>20}" for name in loads))
    without = [_told(_total(_bare(load), "best", {})) for load in loads.values()]
    print(f"{'no embeddings':26}" + "".join(without), flush=True)
    for label, settings in LOOKS.items():
        told = [_told(_total(load, "best", settings)) for load in loads.values()]
        print(f"{label:26}" + "".join(told), flush=True)


def _told(total: dict[str, float]) -> str:
    return f"{total['HOTA']:9.1f}{total['IDF1']:6.1f}{total['IDSW']:5.0f}"


def _bare(load: Load) -> Load:
    return _with_looks(load, lambda found: None)


def _alike(load: Load) -> Load:
    """As a team in one dress: only noise tells people apart."""
    rng = np.random.default_rng(0)
    return _with_looks(load, lambda found: 1 + 0.5 * rng.normal(size=(len(found), 64)))


def _with_looks(load: Load, look: Callable[[Detections], np.ndarray | None]) -> Load:
    streams = {
        name: [(replace(found, embeddings=look(found)), frame) for found, frame in stream]
        for name, stream in load.streams.items()
    }
    return Load(streams, load.truths)


def _total(load: Load, name: str, settings: dict[str, float]) -> dict[str, float]:
    return score(load.truths, run(load, name, **settings)[0])["COMBINED_SEQ"]


def cross() -> None:
    load = halfval_load()
    names = sorted(load.truths)
    choices = [dict(zip(GRID, values, strict=True)) for values in itertools.product(*GRID.values())]
    table = np.array([_each(load, names, settings) for settings in choices])  # (choices, sequences)
    shipped = _each(load, names, {})
    print(f"{len(choices)} settings; HOTA, mean over {len(STARTS)} starts")
    for index, held_out in enumerate(names):
        others = [i for i in range(len(names)) if i != index]
        chosen = int(table[:, others].mean(axis=1).argmax())
        print(
            f"{held_out}: {table[chosen, index]:.2f} with the settings chosen on the others, "
            f"{shipped[index]:.2f} as shipped, {table[:, index].max():.2f} at best, "
            f"{np.median(table[:, index]):.2f} in the median; {choices[chosen]}"
        )


def _each(load: Load, names: list[str], settings: dict[str, float]) -> list[float]:
    """HOTA of each sequence."""
    hota = []
    for start in STARTS:
        late = Load({n: load.streams[n][start:] for n in names}, load.truths)
        scores = score(late.truths, run(late, "best", **settings)[0])
        hota.append([scores[name]["HOTA"] for name in names])
    return np.mean(hota, axis=0).tolist()


if __name__ == "__main__":
    for name in sys.argv[1:] or ("parts", "looks", "cross"):
        {"parts": parts, "looks": looks, "cross": cross}[name]()
