"""How many frames a second the synthetic world gives on one core: drawn, and motion alone."""

from __future__ import annotations

import argparse
import os
import time
from dataclasses import replace

from mot.opencv import cv2
from mot.synthetic import SCENES, Scene, World


def measure(scene: Scene, frames: int, render: bool) -> tuple[float, float]:
    """Frames a second after the first, and people in view on average."""
    moments = World(scene, seed=1, render=render).moments(frames + 1)
    next(moments)
    start = time.perf_counter()
    people = sum(len(moment.ids) for moment in moments)
    return frames / (time.perf_counter() - start), people / frames


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--frames", type=int, default=300)
    parser.add_argument("--people", type=int, default=20)
    arguments = parser.parse_args()
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    cv2.setNumThreads(1)
    print(f"640x360, {arguments.people} people in the street, one core, frames/s")
    print(f"{'scene':10} {'drawn':>8} {'motion only':>12} {'in view':>8}")
    for name, scene in SCENES.items():
        scene = replace(scene, people=arguments.people)
        drawn, people = measure(scene, arguments.frames, render=True)
        alone, _ = measure(scene, 5 * arguments.frames, render=False)
        print(f"{name:10} {drawn:8.0f} {alone:12.0f} {people:8.1f}")


if __name__ == "__main__":
    main()
