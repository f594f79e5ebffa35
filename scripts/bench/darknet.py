"""Milliseconds per picture of Darknet networks on each run-time, interleaved in one run.

    python scripts/bench/darknet.py [NETWORK.cfg ...] [--sizes 320x320,640x384] [--threads 1]
        [--picture FILE] [--opencv4 PYTHON] [--rounds 20]

Ratios are to OpenCV: to OpenCV 4's Darknet importer where --opencv4 names an interpreter that has
it, else to this OpenCV with the exported file. On one thread the time is that of the processor,
which other work on the machine lengthens less. The shares are those of preparing the picture and of
NMS in the whole detector. Without networks: the three of MOT_SHARED (default ../shared).
"""

from __future__ import annotations

import os

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from common import DARKNET, Run, Timer, best, darknet_flops, timed

from mot.detectors.darknet.cfg import parse_cfg
from mot.opencv import cv2

SHARED = Path(os.environ.get("MOT_SHARED", "../shared")) / "data"
PICTURE = SHARED / "mot17/MOT17-05/img1/000001.jpg"

# Another interpreter: answers each line with the seconds of one run.
PEER = """
import sys, time, cv2, numpy
cfg, weights, width, height, threads = sys.argv[1:]
cv2.setNumThreads(int(threads))
net = cv2.dnn.readNetFromDarknet(cfg, weights)
outputs = net.getUnconnectedOutLayersNames()
blob = numpy.random.default_rng(0).random((1, 3, int(height), int(width)), numpy.float32)
clock = time.process_time if threads == "1" else time.perf_counter
for line in sys.stdin:
    start = clock()
    net.setInput(blob)
    net.forward(outputs)
    print(clock() - start, flush=True)
"""


def on_onnx(path: Path, blob: np.ndarray, threads: int) -> Run:
    from mot.runtime.onnx_session import Session

    session = Session(path, "cpu", threads)
    return lambda: session.run(blob)


def on_torch(cfg: Path, blob: np.ndarray, threads: int) -> Run:
    import torch

    from mot.detectors.darknet.model import load_darknet

    torch.set_num_threads(threads)
    model = load_darknet(cfg, cfg.with_suffix(".weights")).fold()
    model = model.to(memory_format=torch.channels_last)
    images = torch.from_numpy(blob).contiguous(memory_format=torch.channels_last)
    return torch.inference_mode()(lambda: model(images))


def on_opencv(path: Path, blob: np.ndarray, threads: int) -> Run:
    cv2.setNumThreads(threads)
    net = cv2.dnn.readNetFromONNX(str(path))
    outputs = net.getUnconnectedOutLayersNames()

    def run() -> object:
        net.setInput(blob)
        return net.forward(outputs)

    return run


def on_peer(python: str, cfg: Path, size: tuple[int, int], threads: int) -> Timer:
    words = [cfg, cfg.with_suffix(".weights"), *size, threads]
    peer = subprocess.Popen(
        [python, "-c", PEER, *map(str, words)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )

    def seconds() -> float:
        assert peer.stdin and peer.stdout
        print(file=peer.stdin, flush=True)
        return float(peer.stdout.readline())

    return seconds


def parts(
    path: Path, image: np.ndarray, size: tuple[int, int], threads: int
) -> tuple[dict[str, Timer], int]:
    """The whole detector and what is in it beside the network; how many it finds."""
    from mot.detectors.nms import nms
    from mot.detectors.onnx.network import OnnxSettings, build
    from mot.runtime.preprocess import make_batch, normalize

    settings = OnnxSettings(
        model=str(path), width=size[0], height=size[1], threads=threads, device="cpu"
    )
    detector = build(settings)
    spec = detector.network.spec

    def prepare() -> np.ndarray:
        return normalize(make_batch([image], spec, size)[0], spec)

    canvas = make_batch([image], spec, size)[0]
    (found,) = detector.network.predict(canvas, settings.conf, detector.labels)
    runs = {
        "whole": lambda: detector([image]),
        "prepare": prepare,
        "nms": lambda: nms(found.boxes, found.scores, found.labels, detector._nms),
    }
    timers = {name: timed(run, threads == 1) for name, run in runs.items()}
    return timers, len(detector([image])[0])


def bench(cfg: Path, folder: Path, image: np.ndarray, given: argparse.Namespace) -> None:
    from mot.detectors.darknet.detector import DarknetSettings, load_model
    from mot.detectors.export import export
    from mot.runtime.onnx_session import cpu_block

    path, network = folder / f"{cfg.stem}.onnx", parse_cfg(cfg)
    model, spec, names = load_model(DarknetSettings(model=str(cfg)))
    export(model, spec, names, path, block=cpu_block())
    parameters = sum(parameter.numel() for parameter in model.parameters())
    for size in given.sizes:
        print(
            f"\n{cfg.stem} {size[0]}x{size[1]}: {parameters / 1e6:.2f} M parameters, "
            f"{darknet_flops(network, size) / 1e9:.2f} GFLOPs"
        )
        blob = np.random.default_rng(0).random((1, 3, size[1], size[0]), np.float32)
        runs = {
            "ONNX Runtime": on_onnx(path, blob, given.threads),
            "PyTorch": on_torch(cfg, blob, given.threads),
            f"OpenCV {cv2.__version__}": on_opencv(path, blob, given.threads),
        }
        timers = {name: timed(run, given.threads == 1) for name, run in runs.items()}
        if given.opencv4:
            timers["OpenCV 4, Darknet"] = on_peer(given.opencv4, cfg, size, given.threads)
        show(best(timers, given.rounds))
        show_parts(*parts(path, image, size, given.threads), given.rounds)


def show(times: dict[str, float]) -> None:
    reference = list(times)[-1]
    for name, ms in times.items():
        print(f"  {name:20} {ms:7.1f} ms   {times[reference] / ms:5.2f} x {reference}")


def show_parts(timers: dict[str, Timer], count: int, rounds: int) -> None:
    times = best(timers, 3 * rounds)
    share = (times["prepare"] + times["nms"]) / times["whole"]
    print(
        f"  whole detector       {times['whole']:7.1f} ms, of which preparing "
        f"{times['prepare']:.2f} and NMS {times['nms']:.2f}: {share:.0%} ({count} detections)"
    )


def parse(words: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    weights = SHARED / "weights"
    known = [weights / f"{name}.cfg" for name in DARKNET]
    parser.add_argument("networks", nargs="*", type=Path, default=known)
    parser.add_argument("--sizes", default="320x320,640x384")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--picture", type=Path, default=PICTURE)
    parser.add_argument("--opencv4", metavar="PYTHON")
    parser.add_argument("--rounds", type=int, default=20)
    given = parser.parse_args(words)
    sizes = (size.split("x") for size in given.sizes.split(","))
    given.sizes = [(int(width), int(height)) for width, height in sizes]
    return given


def main(words: list[str]) -> None:
    given = parse(words)
    image = cv2.imread(str(given.picture))
    height, width = image.shape[:2]
    print(f"{given.threads} threads; the picture is {width}x{height}")
    with tempfile.TemporaryDirectory() as folder:
        for cfg in given.networks:
            bench(cfg, Path(folder), image, given)


if __name__ == "__main__":
    main(sys.argv[1:])
