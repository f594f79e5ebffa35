"""Settings of an embedder. Nothing here needs PyTorch."""

from __future__ import annotations

from dataclasses import dataclass

from mot.runtime.preprocess import InputSpec

ARCHITECTURE = "embedder"  # in the metadata of its weights


@dataclass(frozen=True, slots=True)
class EmbedderSettings:
    """Settings that are fixed by training. Metadata of a weights file overrides them."""

    backbone: str = "small"  # osnet_x0_25 to osnet_x1_0, or any timm model
    width: int = 64  # of the input in pixels; crops are stretched to it
    height: int = 128
    dims: int = 256  # of an embedding
    stripes: int = 1  # horizontal stripes that are pooled separately
    common: float = 0.0  # share of a constant dimension, which shrinks all cosine distances

    def __post_init__(self) -> None:
        for key in ("width", "height", "dims", "stripes"):
            if getattr(self, key) < 1:
                raise ValueError(f"{key} = {getattr(self, key)} must be at least 1")
        if not 0 <= self.common < 1:
            raise ValueError(f"common = {self.common} must be less than 1")

    @property
    def input_spec(self) -> InputSpec:
        """RGB crops, stretched, normalized as for ImageNet."""
        return InputSpec(
            size=(self.width, self.height),
            stride=1,
            mean=(0.485, 0.456, 0.406),
            std=(0.229, 0.224, 0.225),
            keeps_aspect=False,
            margin=128,
            is_fixed=True,
        )
