"""A PyTorch model as a detector's network: on any device, in 32 or 16 bits."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Protocol

import torch
from torch import Tensor, nn

from mot.detectors.network import Candidates, OutOfMemory
from mot.errors import MotError
from mot.runtime.preprocess import InputSpec
from mot.types import Image, IntArray


class Decoding(Protocol):
    """What a model gives: (B, N, 4) xyxy boxes in pixels of its input, (B, N, C) scores, and
    where it has them (B, N, D) embeddings."""

    def __call__(self, images: Tensor) -> tuple[Tensor, ...]: ...


class TorchNetwork:
    """Runs a model whose `forward` takes normalised pictures (B, 3, H, W) and is a `Decoding`."""

    workers = 1  # it has threads of its own

    def __init__(
        self,
        model: nn.Module,
        spec: InputSpec,
        names: tuple[str, ...],
        device: str = "auto",
        half: bool = False,
    ) -> None:
        self.spec = spec
        self.names = names
        self.device = choose_device(device)
        self.dtype = _half_type(self.device) if half else torch.float32
        model = model.eval().to(self.device, self.dtype)
        self.model: nn.Module = model.to(memory_format=torch.channels_last)
        self._normalised = normaliser(spec, self.device)

    def find(self, canvas: Image, least: float, labels: IntArray) -> list[Candidates]:
        try:
            with torch.inference_mode():
                return list(self._find(canvas, least, labels))
        except torch.cuda.OutOfMemoryError:
            torch.cuda.empty_cache()
            raise OutOfMemory from None

    def _find(self, canvas: Image, least: float, labels: IntArray) -> Iterator[Candidates]:
        boxes, scores, *embeddings = self.model(self._seen(canvas))
        wanted = torch.from_numpy(labels).to(self.device)
        scores = scores.float()[:, :, wanted]
        for index, (box, score) in enumerate(zip(boxes.float(), scores, strict=True)):
            row, column = (score >= least).nonzero(as_tuple=True)
            yield Candidates(
                box[row].cpu().numpy(),
                score[row, column].cpu().numpy(),
                wanted[column].cpu().numpy(),
                embeddings[0][index, row].float().cpu().numpy() if embeddings else None,
            )

    def _seen(self, canvas: Image) -> Tensor:
        """The bytes travel to the device, and become numbers there."""
        pictures = torch.from_numpy(canvas).to(self.device, non_blocking=True)
        pictures = pictures.permute(0, 3, 1, 2)  # channels last in memory, as the model wants
        if self.spec.is_rgb:
            pictures = pictures.flip(1)
        return self._normalised(pictures).to(self.dtype, memory_format=torch.channels_last)


def normaliser(spec: InputSpec, device: torch.device) -> Callable[[Tensor], Tensor]:
    """Of bytes (B, 3, H, W), in the order of the network's channels, to what it takes."""
    shape = (1, 3, 1, 1)
    mean = 255 * torch.tensor(spec.mean, device=device).reshape(shape)
    scale = 1 / (255 * torch.tensor(spec.std, device=device).reshape(shape))
    return lambda pictures: (pictures - mean) * scale


def choose_device(name: str) -> torch.device:
    """`auto` is the GPU where there is one."""
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
        if device.type != "cuda":
            torch.zeros(1, device=device).cpu()
    except (RuntimeError, AssertionError):  # as PyTorch's builds without a device have it
        raise MotError(f"--device {name}: give cpu, cuda, cuda:1 or auto") from None
    if device.type == "cuda":
        count = torch.cuda.device_count() if torch.cuda.is_available() else 0
        if (device.index or 0) >= count:
            have = f"{count} CUDA devices are there" if count else "no CUDA device is there"
            raise MotError(f"--device {name}: {have}: give --device cpu or auto")
    return device


def _half_type(device: torch.device) -> torch.dtype:
    if device.type == "cuda":
        return torch.float16
    return torch.bfloat16
