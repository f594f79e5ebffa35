"""PyTorch parts that detectors and embedders share: timm backbones and input normalization."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from mot.errors import MotError, suggest
from mot.runtime.preprocess import InputSpec

_POPULAR = ("mobilenetv2_100", "pvt_v2_b0", "pvt_v2_b2", "dla34", "darknet53", "efficientnet_b0")


class Normalize:
    """Maps bytes (B, 3, H, W), channels in the network's order, to the network's input range."""

    def __init__(self, spec: InputSpec, device: torch.device) -> None:
        shape = (1, 3, 1, 1)
        self._mean = 255 * torch.tensor(spec.mean, device=device).reshape(shape)
        self._scale = 1 / (255 * torch.tensor(spec.std, device=device).reshape(shape))

    def __call__(self, images: Tensor) -> Tensor:
        return (images - self._mean) * self._scale


class TimmBody(nn.Module):
    """A timm network that returns its last map at each of the strides, by "0", "1" and so on.

    `others` are backbones that the caller knows beside timm's, for the hint at a wrong name.
    """

    def __init__(self, name: str, strides: Sequence[int], others: Iterable[str] = ()) -> None:
        super().__init__()
        self.model = _create_features(name, others)
        found = self.model.feature_info.reduction()
        if not set(strides) <= set(found):
            raise MotError(f"backbone {name!r} has maps at the strides {found}, not {strides}")
        self.indices = [len(found) - 1 - found[::-1].index(stride) for stride in strides]
        self.is_channels_last = getattr(self.model, "output_fmt", "") == "NHWC"

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        maps = self.model(images)
        if self.is_channels_last:
            maps = [each.permute(0, 3, 1, 2) for each in maps]
        return {str(number): maps[index] for number, index in enumerate(self.indices)}


def _create_features(name: str, others: Iterable[str]) -> Any:
    try:
        import timm
    except ModuleNotFoundError:
        raise MotError(f"backbone {name!r} needs timm: pip install 'mot-tracking[torch]'") from None
    if not timm.is_model(name):
        hint = suggest(name, [*others, *_POPULAR])
        raise MotError(f"unknown backbone {name!r}: {hint} Any other timm model works too")
    options: dict[str, Any] = {"strict_img_size": False} if name.startswith("swin") else {}
    try:
        return timm.create_model(name, pretrained=False, features_only=True, **options)
    except (RuntimeError, AttributeError) as error:
        raise MotError(f"backbone {name!r} has no feature maps ({error}): use another") from None
