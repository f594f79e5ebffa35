"""A PyTorch model as the network of a detector: on any device, in 32 or 16 bits."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor, nn

from mot.detectors.network import RawDetections
from mot.runtime.devices import OutOfMemory, choose_device
from mot.runtime.preprocess import InputSpec
from mot.runtime.torch_layers import Normalize
from mot.types import Image, IntArray


class TorchNetwork:
    """Runs a model that maps normalized images (B, 3, H, W) to decoded detections.

    The model returns (B, N, 4) xyxy boxes in pixels of its input, (B, N, C) scores, and optionally
    (B, N, D) embeddings.
    """

    workers = 1  # PyTorch has threads of its own

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
        half_type = torch.float16 if self.device.type == "cuda" else torch.bfloat16
        self.dtype = half_type if half else torch.float32
        model = model.eval().to(self.device, self.dtype)
        self.model: nn.Module = model.to(memory_format=torch.channels_last)
        self._normalize = Normalize(spec, self.device)

    def predict(self, canvas: Image, min_score: float, labels: IntArray) -> list[RawDetections]:
        try:
            with torch.inference_mode():
                return list(self._predict(canvas, min_score, labels))
        except torch.cuda.OutOfMemoryError:
            torch.cuda.empty_cache()
            raise OutOfMemory from None

    def _predict(
        self, canvas: Image, min_score: float, labels: IntArray
    ) -> Iterator[RawDetections]:
        boxes, scores, *embeddings = self.model(self._to_input(canvas))
        wanted = torch.from_numpy(labels).to(self.device)
        scores = scores.float()[:, :, wanted]
        for index, (box, score) in enumerate(zip(boxes.float(), scores, strict=True)):
            row, column = (score >= min_score).nonzero(as_tuple=True)
            yield RawDetections(
                box[row].cpu().numpy(),
                score[row, column].cpu().numpy(),
                wanted[column].cpu().numpy(),
                embeddings[0][index, row].float().cpu().numpy() if embeddings else None,
            )

    def _to_input(self, canvas: Image) -> Tensor:
        """Copies bytes to the device and converts them there, a quarter of the traffic."""
        images = torch.from_numpy(canvas).to(self.device, non_blocking=True)
        images = images.permute(0, 3, 1, 2)  # channels last in memory, as the model wants
        if self.spec.is_rgb:
            images = images.flip(1)
        return self._normalize(images).to(self.dtype, memory_format=torch.channels_last)
