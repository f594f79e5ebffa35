"""What an embedder is made of. Nothing here needs PyTorch."""

from __future__ import annotations

from dataclasses import dataclass

from mot.runtime.preprocess import InputSpec

ARCHITECTURE = "embedder"  # in the metadata of its weights


@dataclass(frozen=True, slots=True)
class EmbedderSettings:
    """What is fixed once an embedder is trained; a file that tells these wins over them."""

    backbone: str = "small"  # or osnet_x0_25 to osnet_x1_0, or one of timm's
    width: int = 64  # pixels of its input, which crops are stretched to
    height: int = 128
    dims: int = 256  # of its vectors
    stripes: int = 1  # parts, one above the other, of which the features are averaged apart
    common: float = 0.0  # by this share all distances are less: in it all vectors are the same

    def __post_init__(self) -> None:
        for key in ("width", "height", "dims", "stripes"):
            if getattr(self, key) < 1:
                raise ValueError(f"{key} = {getattr(self, key)} must be 1 or more")
        if not 0 <= self.common < 1:
            raise ValueError(f"common = {self.common} must be less than 1")


def spec_of(settings: EmbedderSettings) -> InputSpec:
    """How crops are made ready: stretched, in RGB, normalised as for ImageNet."""
    return InputSpec(
        size=(settings.width, settings.height),
        stride=1,
        mean=(0.485, 0.456, 0.406),
        std=(0.229, 0.224, 0.225),
        keeps_aspect=False,
        margin=128,
        is_fixed=True,
    )
