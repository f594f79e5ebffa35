"""All trackers on the same detections: HOTA, MOTA, IDF1, switches (by trackeval), ms per frame.

    python scripts/bench/trackers.py [halfval deepsort scenes crowd_speed]

halfval   MOT17 half-val with YOLOX detections, beside the peers' figures of ../shared/reference
deepsort  MOT17-05, FRCNN detections with DeepSORT's features, all frames
scenes    rendered worlds with their noisy detections and embeddings
crowd_speed  500 people at once

One thread. MOT_SHARED names the folder with the real data (default ../shared).
"""

from __future__ import annotations

import os

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import json
import sys
from collections.abc import Callable

from common import (
    MOTION_ONLY,
    NEEDS_EMBEDDINGS,
    SHARED,
    Load,
    crowd_speed,
    featured,
    halfval_load,
    rendered,
    run,
    score,
)

from mot.trackers import TRACKERS


def show(name: str, load: Load, outcome: tuple[dict, float]) -> dict[str, float]:
    results, milliseconds = outcome
    scores = score(load.truths, results)
    total = scores.pop("COMBINED_SEQ")
    each = " ".join(f"{scores[sequence]['HOTA']:5.1f}" for sequence in sorted(scores))
    print(
        f"{name:22} {total['HOTA']:6.2f} {total['DetA']:6.2f} {total['AssA']:6.2f} "
        f"{total['MOTA']:6.2f} {total['IDF1']:6.2f} {total['IDSW']:5.0f} {milliseconds:8.3f}"
        f"   {each}",
        flush=True,
    )
    return total


def head(load: Load) -> None:
    names = " ".join(sorted(load.truths))
    columns = f"{'HOTA':>6} {'DetA':>6} {'AssA':>6} {'MOTA':>6} {'IDF1':>6} {'IDSW':>5} {'ms':>8}"
    print(f"\n{'':22} {columns}   HOTA of {names}")


def halfval() -> None:
    load = halfval_load()
    head(load)
    for name in MOTION_ONLY:
        show(name, load, run(load, name))
    show("best, post", load, run(load, "best", post=("merge", "linear", "gsi")))
    camera = halfval_load(with_camera=True)
    show("best, camera", camera, run(camera, "best"))
    show("best, camera, post", camera, run(camera, "best", post=("merge", "linear", "gsi")))
    show("botsort, camera", camera, run(camera, "botsort"))
    reference = SHARED / "reference/halfval_peers.json"
    print("peers:")
    for name, peer in json.loads(reference.read_text()).items():
        total = peer["COMBINED_SEQ"]
        each = " ".join(f"{peer[s]['HOTA']:5.1f}" for s in sorted(load.truths))
        values = " ".join(f"{total[key]:6.2f}" for key in ("HOTA", "DetA", "AssA", "MOTA", "IDF1"))
        print(f"{name:22} {values} {total['IDSW']:5.0f} {peer['ms_per_frame']:8.3f}   {each}")


def deepsort() -> None:
    plain, looking = featured(False), featured(True)
    head(plain)
    for name in TRACKERS:
        uses = name in (*NEEDS_EMBEDDINGS, "botsort", "best")
        load = looking if uses else plain
        show(name + (", features" if uses else ""), load, run(load, name))


def scenes() -> None:
    for scene in ("crowd", "crossing", "camera"):
        load, blind = rendered(scene, True), rendered(scene, False)
        head(load)
        for name in TRACKERS:
            show(name, load, run(load if name in NEEDS_EMBEDDINGS else blind, name))
        for name in ("botsort", "best"):
            show(f"{name}, embeddings", load, run(load, name))


BENCHMARKS: dict[str, Callable[[], None]] = {
    work.__name__: work for work in (halfval, deepsort, scenes, crowd_speed)
}

if __name__ == "__main__":
    for name in sys.argv[1:] or BENCHMARKS:
        BENCHMARKS[name]()
