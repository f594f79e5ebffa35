"""JDE (Wang et al., 2020): a YOLOv3, or any Darknet network, whose detections have embeddings.

All modules but the embedding have the names of the detector without embeddings, so that its weights
fit.
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from mot.detectors.darknet import trainable
from mot.detectors.darknet.cfg import Network
from mot.detectors.darknet.model import DarknetModel
from mot.detectors.models.architecture import Architecture, JdeSettings
from mot.detectors.models.base import HeightWidth
from mot.detectors.models.common import map_channels
from mot.detectors.models.embedding_heads import CellEmbedding, EmbeddingHead, RegionEmbedding
from mot.detectors.models.yolov3 import Yolov3, Yolov3Architecture, make_parts
from mot.errors import MotError
from mot.runtime.preprocess import InputSpec

_REGION_STRIDES = (8, 16)  # of the backbone's maps from which regions are pooled


class Jde(Yolov3):
    """YOLOv3; raw are the maps of boxes, then the features of embeddings."""

    def __init__(self, settings: JdeSettings) -> None:
        super().__init__(*make_parts(settings))
        dims, hidden = settings.dims, settings.hidden
        self.has_regions = settings.regions > 0
        self.embedding: EmbeddingHead
        if self.has_regions:
            channels = map_channels(self.backbone)[: len(_REGION_STRIDES)]
            self.embedding = RegionEmbedding(
                channels, _REGION_STRIDES, settings.regions, dims, hidden
            )
        else:
            channels = [2 * self.width >> level for level in range(len(self.levels))]
            self.embedding = CellEmbedding(channels, self.levels, dims, hidden)

    def raw(self, images: Tensor) -> list[Tensor]:
        maps = self.backbone(images)
        features = self.features(maps)
        pooled = list(maps.values())[: len(_REGION_STRIDES)] if self.has_regions else features
        return [*self.raw_boxes(features), *self.embedding(pooled)]

    def decode(self, raw: Sequence[Tensor], size: HeightWidth) -> tuple[Tensor, ...]:
        count = len(self.levels)
        boxes, scores = super().decode(raw[:count], size)
        return self.embedding.attach(boxes, scores, raw[count:])


class DarknetJde(DarknetModel):
    """The same for a Darknet network; cells are those of the input of its last convolutions."""

    def __init__(self, network: Network, settings: JdeSettings) -> None:
        super().__init__(network)
        dims, hidden = settings.dims, settings.hidden
        self.embedding: EmbeddingHead
        if settings.regions:
            self._sources = _check_layers(network, settings.layers)
            shapes = [network.shapes[index] for index in self._sources]
            channels = [shape.channels for shape in shapes]
            strides = [max(network.cell(shape)) for shape in shapes]
            self.embedding = RegionEmbedding(channels, strides, settings.regions, dims, hidden)
        else:
            last = [network.layers[head].sources[0] for head in network.heads]
            self._sources = [network.layers[index].sources[0] for index in last]
            channels = [network.inputs(index)[0].channels for index in last]
            self.embedding = CellEmbedding(channels, self.levels, dims, hidden)

    def raw(self, images: Tensor) -> list[Tensor]:
        count = len(self.levels)
        outputs = self.outputs(images, (*self.network.heads, *self._sources))
        return [*outputs[:count], *self.embedding(outputs[count:])]

    def decode(self, raw: Sequence[Tensor], size: HeightWidth) -> tuple[Tensor, ...]:
        count = len(self.levels)
        boxes, scores = super().decode(raw[:count], size)
        return self.embedding.attach(boxes, scores, raw[count:])


def _check_layers(network: Network, layers: Sequence[int]) -> list[int]:
    count = len(network.layers)
    if not layers or not all(0 <= each < count for each in layers):
        raise MotError(
            f"layers = {list(layers)}: give layers of {network.path}, from 0 to {count - 1}, from "
            "whose maps regions are pooled"
        )
    return list(layers)


class JdeArchitecture(Architecture[JdeSettings]):
    def create(self, settings: JdeSettings) -> Jde | DarknetJde:
        if settings.network:
            return DarknetJde(trainable.parse_network(settings), settings)
        return Jde(settings)

    def input_spec(self, settings: JdeSettings) -> InputSpec:
        if settings.network:
            return trainable.input_spec(settings)
        return Yolov3Architecture().input_spec(settings)
