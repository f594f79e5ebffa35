"""Frames a second at 1080p: decoding, encoding, and all overlapped, beside OpenCV.

python scripts/bench/video.py [--frames 300] [--runs 3]
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from mot.opencv import cv2
from mot.render import Renderer
from mot.types import Frame, Tracks
from mot.video import VideoWriter, open_source

SIZE = (1920, 1080)
SHARED = Path(os.environ.get("MOT_SHARED", "../shared"))
SAMPLE = SHARED / "data/video/one-by-one-person-detection.mp4"


def people(count: int = 20) -> Tracks:
    """In rows of five."""
    number = np.arange(count)
    left, top = 40 + number % 5 * 360, 60 + number // 5 * 250
    corners = np.stack([left, top, left + 90, top + 200], axis=1).astype(np.float32)
    return Tracks(number + 1, corners, np.ones(count, np.float32), number * 0, number)


def pictures(count: int) -> Iterator[Any]:
    """A real video enlarged, again and again, else a texture that moves over a gradient."""
    while count > 0 and SAMPLE.exists():
        with open_source(SAMPLE) as source:
            for frame, _ in zip(source, range(count), strict=False):
                count -= 1
                yield cv2.resize(frame.image, SIZE, interpolation=cv2.INTER_CUBIC)
    texture = np.random.default_rng(0).integers(0, 255, (68, 120, 3), np.uint8)
    texture = cv2.resize(texture, SIZE, interpolation=cv2.INTER_CUBIC)
    for number in range(count):
        yield np.roll(texture, (number * 3, number * 5), (0, 1))


def make_clip(path: Path, count: int) -> None:
    with VideoWriter(path, 30) as writer:
        for index, image in enumerate(pictures(count), 1):
            writer.write(Frame(image, index, index / 30))


def decode(clip: Path) -> int:
    with open_source(clip) as source:
        return sum(1 for _ in source)


def decode_opencv(clip: Path) -> int:
    capture, count = cv2.VideoCapture(str(clip)), 0
    while capture.read()[0]:
        count += 1
    return count


def encode(images: list[Any], count: int, path: Path) -> int:
    with VideoWriter(path, 30) as writer:
        for number in range(count):
            writer.write(Frame(images[number % len(images)], number + 1, number / 30))
    return count


def encode_opencv(images: list[Any], count: int, path: Path) -> int:
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"mp4v"), 30, SIZE)
    for number in range(count):
        writer.write(images[number % len(images)])
    writer.release()
    return count


def draw_all(images: list[Any], count: int) -> int:
    renderer, crowd = Renderer(), people()
    for number in range(count):
        renderer.draw(Frame(images[number % len(images)], number + 1, number / 30), crowd)
    return count


def overlapped(clip: Path, path: Path) -> int:
    renderer, crowd = Renderer(), people()
    with open_source(clip) as source, VideoWriter(path, source.fps) as writer:
        for frame in source:
            renderer.draw(frame, crowd)
            writer.write(frame)
    return writer.frames


def in_turn_opencv(clip: Path, path: Path) -> int:
    """The usual loop: one thread reads, draws and writes."""
    renderer, crowd, count = Renderer(), people(), 0
    capture = cv2.VideoCapture(str(clip))
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"mp4v"), 30, SIZE)
    while True:
        sound, image = capture.read()
        if not sound:
            break
        count += 1
        renderer.draw(Frame(image, count, count / 30), crowd)
        writer.write(image)
    writer.release()
    return count


def measure(jobs: dict[str, Callable[[], int]], runs: int) -> None:
    """The jobs take turns, so that a busy machine is unfair to all of them alike."""
    rates: dict[str, list[float]] = {name: [] for name in jobs}
    work: dict[str, list[float]] = {name: [] for name in jobs}
    for _ in range(runs):
        for name, job in jobs.items():
            wall, cpu = time.perf_counter(), time.process_time()
            count = job()
            rates[name].append(count / (time.perf_counter() - wall))
            work[name].append((time.process_time() - cpu) / count * 1000)
    for name in jobs:
        rate, cost = statistics.median(rates[name]), statistics.median(work[name])
        print(f"{name:32} {rate:7.0f} frames/s {cost:7.1f} ms of processor a frame")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--frames", type=int, default=300)
    parser.add_argument("--runs", type=int, default=3)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as home:
        clip, out = Path(home, "clip.mp4"), Path(home, "out.mp4")
        make_clip(clip, options.frames)
        images, count = list(pictures(30)), options.frames
        jobs: dict[str, Callable[[], int]] = {
            "decode, mot": lambda: decode(clip),
            "decode, cv2.VideoCapture": lambda: decode_opencv(clip),
            "encode H.264, mot": lambda: encode(images, count, out),
            "encode mp4v, cv2.VideoWriter": lambda: encode_opencv(images, count, out),
            "draw": lambda: draw_all(images, count),
            "decode + draw + encode, mot": lambda: overlapped(clip, out),
            "the same in OpenCV's usual loop": lambda: in_turn_opencv(clip, out),
        }
        measure(jobs, options.runs)


if __name__ == "__main__":
    main()
