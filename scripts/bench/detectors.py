"""What any detector costs: time, parameters, FLOPs, memory, and its slowest layers.

    python scripts/bench/detectors.py DETECTOR ... [--weights FILE] [--set KEY=VALUE ...]
        [--size 640x384] [--batch 1,8] [--device cpu] [--half] [--runtimes onnx,torch]
        [--threads 1] [--rounds 20] [--layers 10] [--picture FILE]

DETECTOR is a name (a family without weights is measured untrained), a .cfg, .onnx or .safetensors.
On a GPU: --device cuda --half --batch 1,8,32, whose ceiling is a large matrix product in the same
run, and whose peer is torchvision's own model, run plainly. All that is timed takes turns, and the
best of the rounds counts. "network" is from bytes to candidates, "detector" from a picture to
people. On one thread of a CPU the time is that of the processor.
"""

from __future__ import annotations

import os

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import argparse
import math
import resource
import subprocess
import sys
import tempfile
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import layer_times
import numpy as np
from common import Run, best, timed

from mot.config import resolve_detector
from mot.detectors import DETECTORS, import_name
from mot.detectors.models.architecture import ArchitectureSettings
from mot.detectors.network import DetectorSettings, Network, NetworkDetector
from mot.errors import MotError
from mot.opencv import cv2
from mot.runtime.preprocess import InputSpec, Size, make_batch, normalize, resolve_input_size
from mot.settings import build_settings, parse_overrides

# torchvision's own builder for a family on a backbone.
PEERS = {
    ("retinanet", "resnet50"): "retinanet_resnet50_fpn",
    ("fasterrcnn", "resnet50"): "fasterrcnn_resnet50_fpn",
    ("fasterrcnn", "mobilenet_v3_large"): "fasterrcnn_mobilenet_v3_large_fpn",
    ("fcos", "resnet50"): "fcos_resnet50_fpn",
    ("ssd", "vgg16"): "ssd300_vgg16",
    ("ssd", "mobilenet_v3_large"): "ssdlite320_mobilenet_v3_large",
}


class Subject(NamedTuple):
    """A detector to be measured; an ONNX file has no model."""

    name: str
    family: str
    settings: DetectorSettings
    spec: InputSpec
    names: tuple[str, ...]
    model: Any = None
    file: Path | None = None


def opened(name: str, given: argparse.Namespace) -> Subject:
    family, values, place = resolve_detector(name)
    if family not in DETECTORS:
        raise MotError(f"{name}: is of another package: it has no network that could be measured")
    entry = DETECTORS[family]
    pairs = tuple(f"detector.{pair}" for pair in given.set)
    values |= parse_overrides(pairs, ("detector",))["detector"]
    values |= {"weights": given.weights} if given.weights else {}
    settings = build_settings(import_name(entry.settings), values, place)
    if family == "onnx":
        from mot.detectors.onnx.network import OnnxNetwork

        network = OnnxNetwork(settings.model, "cpu", 1)
        return Subject(name, family, settings, network.spec, network.names, None, network.path)
    if not entry.load:
        raise MotError(f"{name}: has no network that could be measured")
    model, spec, names, *rest = import_name(entry.load)(settings)
    settings = rest[0] if rest else settings
    family = settings.architecture if isinstance(settings, ArchitectureSettings) else family
    return Subject(name, family, settings, spec, names, model)


def as_onnx(subject: Subject, folder: Path) -> Path:
    path = subject.file or folder / f"{Path(subject.name).stem}.onnx"
    if not path.is_file():
        from mot.detectors.export import export

        export(subject.model, subject.spec, subject.names, path)
    return path


def network_on(runtime: str, subject: Subject, folder: Path, given: argparse.Namespace) -> Network:
    if runtime == "onnx":
        from mot.detectors.onnx.network import OnnxNetwork

        return OnnxNetwork(as_onnx(subject, folder), given.device, given.threads)
    from mot.detectors.torch_network import TorchNetwork

    return TorchNetwork(subject.model, subject.spec, subject.names, given.device, given.half)


def bench(name: str, given: argparse.Namespace, image: np.ndarray, folder: Path) -> None:
    subject = opened(name, given)
    size = resolve_input_size(given.size, subject.spec)
    flops = flops_of(subject, size)
    parameters = parameter_count(subject)
    print(
        f"\n{name} {size[0]}x{size[1]}: {parameters / 1e6:.2f} M parameters, "
        + (f"{flops / 1e9:.2f} GFLOPs" if flops else "FLOPs unknown")
    )
    runtimes = [each for each in given.runtimes if subject.model is not None or each == "onnx"]
    for batch in given.batch:
        bench_batch(subject, runtimes, (size, batch), (flops, image, folder), given)
    for runtime in runtimes:
        print(f"  {runtime}: {peak_memory(runtime, subject, size, folder, given)}")
        if given.layers:
            layer_times.show(layers_of(runtime, subject, size, folder, given), given.layers)


def bench_batch(
    subject: Subject,
    runtimes: list[str],
    shape: tuple[Size, int],
    beside: tuple[float, np.ndarray, Path],
    given: argparse.Namespace,
) -> None:
    size, batch = shape
    flops, image, folder = beside
    runs: dict[str, Run] = {}
    for runtime in runtimes:
        network = network_on(runtime, subject, folder, given)
        runs |= works(runtime, network, subject, shape, image)
    peer = peer_of(subject, size, batch, given) if "torch" in runtimes else None
    if peer:
        runs["torchvision, plainly"] = peer
    if "torch" in runtimes:
        work, product = matrix_product(given)
        runs["matrix product"] = product
    for run in runs.values():
        run()
    is_alone = given.threads == 1 and given.device == "cpu"
    times = best({name: timed(run, is_alone) for name, run in runs.items()}, given.rounds)
    ceiling = work / times.pop("matrix product") * 1e3 if "torch" in runtimes else 0.0
    print(f"  {batch} at a time" + (f"; a ceiling of {ceiling / 1e9:.1f} GFLOP/s" * bool(ceiling)))
    for name, ms in times.items():
        share = f"{batch * flops / ms * 1e3 / ceiling:6.1%} of it" if flops and ceiling else ""
        print(f"    {name:22} {ms / batch:8.2f} ms {1e3 * batch / ms:8.1f} pictures/s {share}")


def works(
    runtime: str, network: Network, subject: Subject, shape: tuple[Size, int], image: np.ndarray
) -> dict[str, Run]:
    """The network from bytes to candidates, and the whole detector, on one run-time."""
    size, batch = shape
    settings = replace(subject.settings, width=size[0], height=size[1], batch=batch)
    detector = NetworkDetector(network, settings)
    images = [image] * batch
    canvas = make_batch(images, network.spec, size)[0]
    return {
        f"{runtime}, network": lambda: network.predict(canvas, settings.conf, detector.labels),
        f"{runtime}, detector": lambda: detector(images),
    }


def matrix_product(given: argparse.Namespace) -> tuple[float, Run]:
    """Its FLOPs, and a run of it on the device in the same type of number."""
    import torch

    device, is_cuda = torch.device(given.device), given.device.startswith("cuda")
    side = 8192 if is_cuda else 1024
    half = torch.float16 if is_cuda else torch.bfloat16
    a = torch.rand(side, side, device=device, dtype=half if given.half else torch.float32)

    def run() -> None:
        torch.mm(a, a)
        if is_cuda:
            torch.cuda.synchronize(device)

    return 2.0 * side**3, run


def peer_of(subject: Subject, size: Size, batch: int, given: argparse.Namespace) -> Run | None:
    """torchvision's model for the same backbone, untrained, from pictures on the device to people:
    its own way of scaling and NMS are within."""
    import torch
    from torchvision.models import detection

    settings: Any = subject.settings
    name = PEERS.get((subject.family, getattr(settings, "backbone", "")))
    if name is None:
        return None
    sides = {} if subject.spec.is_fixed else {"min_size": min(size), "max_size": max(size)}
    classes = 91 if settings.names == ("coco91",) else len(subject.names) + 1
    build_it = getattr(detection, name)
    model = build_it(weights=None, weights_backbone=None, num_classes=classes, **sides)
    device = torch.device(given.device)
    model = model.eval().to(device)
    pictures = [torch.rand(3, size[1], size[0], device=device) for _ in range(batch)]
    cast = torch.autocast(device.type, enabled=given.half)

    def run() -> None:
        with torch.inference_mode(), cast:
            model(pictures)
        if device.type == "cuda":
            torch.cuda.synchronize(device)

    return run


def parameter_count(subject: Subject) -> int:
    if subject.model is not None:
        return sum(each.numel() for each in subject.model.parameters())
    import onnx

    return sum(math.prod(each.dims) for each in onnx.load(subject.file).graph.initializer)


def flops_of(subject: Subject, size: Size) -> float:
    """Of one picture; those that PyTorch counts: convolutions and matrix products."""
    if subject.model is None:
        blob = noise(subject.spec, size)
        assert subject.file
        return sum(layer.flops for layer in layer_times.of_onnx(subject.file, blob, 1, 1, True))
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    with FlopCounterMode(display=False) as counter, torch.inference_mode():
        subject.model.eval()(torch.from_numpy(noise(subject.spec, size)))
    counted = float(counter.get_total_flops())
    if subject.family == "darknet":
        check_flops(subject, counted, size)
    return counted


def check_flops(subject: Subject, counted: float, size: Size) -> None:
    """Against those that the .cfg tells."""
    from mot.detectors.darknet.cfg import parse_cfg

    network = parse_cfg(Path(getattr(subject.settings, "model", "")))
    told = layer_times.darknet_flops(network, size)
    if abs(counted - told) > 1e-3 * told:
        print(f"  PyTorch counts {counted:.4g} FLOPs, the .cfg tells {told:.4g}")


def noise(spec: InputSpec, size: Size, batch: int = 1) -> np.ndarray:
    canvas = np.random.default_rng(0).integers(0, 256, (batch, size[1], size[0], 3), np.uint8)
    return normalize(canvas, spec)


def layers_of(
    runtime: str, subject: Subject, size: Size, folder: Path, given: argparse.Namespace
) -> list[layer_times.Layer]:
    blob = noise(subject.spec, size, given.batch[-1])
    if runtime == "onnx":
        return layer_times.of_onnx(as_onnx(subject, folder), blob, given.threads)
    import torch

    network: Any = network_on(runtime, subject, folder, given)
    images = torch.from_numpy(blob).to(network.device, network.dtype)
    images = images.to(memory_format=torch.channels_last)
    run = torch.inference_mode()(partial(network.model, images))
    return layer_times.of_torch(run, network.device.type == "cuda")


def peak_memory(
    runtime: str, subject: Subject, size: Size, folder: Path, given: argparse.Namespace
) -> str:
    """Of a fresh process that runs the network on the last batch: in all, and before it began."""
    name = str(as_onnx(subject, folder)) if runtime == "onnx" else subject.name
    words = ["--peak", name, "--size", f"{size[0]}x{size[1]}", "--batch", str(given.batch[-1])]
    words += ["--device", given.device, "--threads", str(given.threads), "--runtimes", runtime]
    words += ["--half"] * given.half
    if runtime == "torch":
        words += ["--weights", given.weights] if given.weights else []
        words += [word for pair in given.set for word in ("--set", pair)]
    done = subprocess.run([sys.executable, __file__, *words], capture_output=True, text=True)
    return done.stdout.strip() or f"memory unknown: {done.stderr.strip().splitlines()[-1:]}"


def show_peak(given: argparse.Namespace) -> None:
    """What this process takes, run in `peak_memory`."""
    subject = opened(given.detectors[0], given)
    (runtime,), (batch,) = given.runtimes, given.batch
    size = resolve_input_size(given.size, subject.spec)
    before = peak_so_far()
    with tempfile.TemporaryDirectory() as folder:
        network = network_on(runtime, subject, Path(folder), given)
        canvas = np.zeros((batch, size[1], size[0], 3), np.uint8)
        for _ in range(3):
            network.predict(canvas, 0.25, np.array([0]))
    told = f"peak memory {peak_so_far():.0f} MB, {before:.0f} of it before the first picture"
    if given.device.startswith("cuda") and runtime == "torch":
        import torch

        told += f"; {torch.cuda.max_memory_allocated() / 1e6:.0f} MB on the GPU"
    print(told)


def peak_so_far() -> float:
    """MB of this process; what `getrusage` tells begins with those of the process before it."""
    status = Path("/proc/self/status")
    if not status.exists():
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) / 1024


def parse(words: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("detectors", nargs="+")
    parser.add_argument("--weights", default="")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE")
    parser.add_argument("--size")
    parser.add_argument("--batch", default="1")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--half", action="store_true")
    parser.add_argument("--runtimes")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--layers", type=int, default=0)
    parser.add_argument("--picture", type=Path)
    parser.add_argument("--peak", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args(words)
    given.batch = [int(number) for number in given.batch.split(",")]
    is_plain = given.device == "cpu" and not given.half
    given.runtimes = (given.runtimes or ("onnx,torch" if is_plain else "torch")).split(",")
    if given.size:
        width, height = given.size.split("x")
        given.size = int(width), int(height)
    return given


def main(words: list[str]) -> None:
    given = parse(words)
    if "torch" in given.runtimes:
        import torch

        torch.set_num_threads(given.threads)
    cv2.setNumThreads(given.threads)
    if given.peak:
        show_peak(given)
        return
    image = cv2.imread(str(given.picture)) if given.picture else None
    if image is None:
        image = np.random.default_rng(0).integers(0, 256, (720, 1280, 3), np.uint8)
    kind = "16 bits" if given.half else "32 bits"
    print(f"{given.device}, {given.threads} threads, {kind}, a picture of {image.shape[1::-1]}")
    with tempfile.TemporaryDirectory() as folder:
        for name in given.detectors:
            bench(name, given, image, Path(folder))


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except MotError as error:
        sys.exit(f"bench_detectors: {error}")
