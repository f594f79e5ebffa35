"""An embedder on PyTorch, on any device."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from mot.reid.embedder import CropEmbedder
from mot.reid.networks import EmbedderNetwork
from mot.runtime.preprocess import InputSpec, make_batch
from mot.runtime.torch_layers import Normalize
from mot.types import FloatArray, Image

_BATCH = 256  # crops at a time


class TorchEmbedder(CropEmbedder):
    """Runs an `EmbedderNetwork`."""

    def __init__(self, model: EmbedderNetwork, spec: InputSpec, device: torch.device) -> None:
        self._model = model.eval().to(device)
        self.dims = model.dims
        self._spec, self._device = spec, device
        self._normalize = Normalize(spec, device)

    def embed_crops(self, crops: Sequence[Image]) -> FloatArray:
        return self.embed_batch(make_batch(crops, self._spec, self._spec.size)[0])

    @torch.inference_mode()
    def embed_batch(self, crops: Image) -> FloatArray:
        """(N, D) unit vectors of (N, H, W, 3) BGR crops of the network's input size."""
        parts = [crops[start : start + _BATCH] for start in range(0, len(crops), _BATCH)]
        vectors: FloatArray = torch.cat([self._run(part) for part in parts]).cpu().numpy()
        return vectors

    def _run(self, crops: Image) -> Tensor:
        images = torch.from_numpy(crops).to(self._device).permute(0, 3, 1, 2)
        vectors: Tensor = self._model(self._normalize(images.flip(1)))
        return vectors
