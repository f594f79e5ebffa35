"""An embedder in PyTorch, on any device."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from mot.detectors.torch_network import normaliser
from mot.reid.embedder import of_boxes
from mot.reid.networks import EmbedderNetwork
from mot.runtime.preprocess import InputSpec, make_batch
from mot.types import FloatArray, Image

_BATCH = 256  # crops at a time


class TorchEmbedder:
    """As `OnnxEmbedder` is, of the network itself."""

    def __init__(self, model: EmbedderNetwork, spec: InputSpec, device: torch.device) -> None:
        self._model = model.eval().to(device)
        self.dims = model.dims
        self._spec, self._device = spec, device
        self._normalised = normaliser(spec, device)

    def __call__(self, image: Image, xyxy: FloatArray) -> FloatArray:
        """(N, D) unit vectors of the people in these boxes."""
        return of_boxes(image, xyxy, self.dims, self._of_cuts)

    def _of_cuts(self, cuts: Sequence[Image]) -> FloatArray:
        return self.of_crops(make_batch(cuts, self._spec, self._spec.size)[0])

    @torch.inference_mode()
    def of_crops(self, crops: Image) -> FloatArray:
        """(N, D) of (N, H, W, 3) BGR pictures of its size."""
        parts = [crops[at : at + _BATCH] for at in range(0, len(crops), _BATCH)]
        found: FloatArray = torch.cat([self._seen(part) for part in parts]).cpu().numpy()
        return found

    def _seen(self, crops: Image) -> Tensor:
        pictures = torch.from_numpy(crops).to(self._device).permute(0, 3, 1, 2)
        vectors: Tensor = self._model(self._normalised(pictures.flip(1)))
        return vectors
