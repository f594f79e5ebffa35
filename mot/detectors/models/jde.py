"""JDE (Wang et al., 2020): a YOLOv3 that tells what the people look like whom it finds.

Also of any network that a Darknet `.cfg` draws. All that is not the embedding has the names of the
detector without one, whose weights so fit.
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from mot.detectors.architectures import JdeSettings
from mot.detectors.darknet import trainable as cfg
from mot.detectors.darknet.cfg import Network
from mot.detectors.darknet.model import DarknetModel
from mot.detectors.models import yolov3
from mot.detectors.models.common import map_channels
from mot.detectors.models.embedding_heads import CellEmbedding, Embedding, RegionEmbedding
from mot.errors import MotError
from mot.runtime.preprocess import InputSpec

Settings = JdeSettings
_EARLY = (8, 16)  # strides of the backbone's maps that regions are cut out of


class Jde(yolov3.Yolov3):
    """Raw are the maps of boxes, then those of looks."""

    def __init__(self, settings: Settings) -> None:
        super().__init__(*yolov3.parts_of(settings))
        dims, hidden = settings.dims, settings.hidden
        self.embedding: Embedding
        if settings.regions:
            channels = map_channels(self.backbone)[: len(_EARLY)]
            self.embedding = RegionEmbedding(channels, _EARLY, settings.regions, dims, hidden)
        else:
            channels = [2 * self.width >> level for level in range(len(self.levels))]
            self.embedding = CellEmbedding(channels, self.levels, dims, hidden)

    def raw(self, images: Tensor) -> list[Tensor]:
        found = self.backbone(images)
        maps = self.maps(found)
        is_early = isinstance(self.embedding, RegionEmbedding)
        seen = list(found.values())[: len(_EARLY)] if is_early else maps
        return [*self.tables(maps), *self.embedding(seen)]

    def decode(self, raw: Sequence[Tensor]) -> tuple[Tensor, ...]:
        count = len(self.levels)
        boxes, scores = super().decode(raw[:count])
        return self.embedding.added(boxes, scores, raw[count:])


class DrawnJde(DarknetModel):
    """The same of a drawing. Its cells are those of what the convolution before `[yolo]` sees."""

    def __init__(self, network: Network, settings: Settings) -> None:
        super().__init__(network)
        dims, hidden = settings.dims, settings.hidden
        self.embedding: Embedding
        if settings.regions:
            self._seen = _named_layers(network, settings.layers)
            shapes = [network.shapes[index] for index in self._seen]
            channels = [shape.channels for shape in shapes]
            strides = [max(network.cell(shape)) for shape in shapes]
            self.embedding = RegionEmbedding(channels, strides, settings.regions, dims, hidden)
        else:
            last = [network.layers[head].sources[0] for head in network.heads]
            self._seen = [network.layers[index].sources[0] for index in last]
            channels = [network.inputs(index)[0].channels for index in last]
            self.embedding = CellEmbedding(channels, self.levels, dims, hidden)

    def raw(self, images: Tensor) -> list[Tensor]:
        count = len(self.levels)
        found = self.outputs(images, (*self.network.heads, *self._seen))
        return [*found[:count], *self.embedding(found[count:])]

    def decode(self, raw: Sequence[Tensor]) -> tuple[Tensor, ...]:
        count = len(self.levels)
        boxes, scores = super().decode(raw[:count])
        return self.embedding.added(boxes, scores, raw[count:])


def _named_layers(network: Network, layers: Sequence[int]) -> list[int]:
    count = len(network.layers)
    if not layers or not all(0 <= each < count for each in layers):
        raise MotError(
            f"layers = {list(layers)}: name those of {network.path}, from 0 to {count - 1}, whose "
            "maps regions are cut out of"
        )
    return list(layers)


def create(settings: Settings) -> Jde | DrawnJde:
    if settings.network:
        return DrawnJde(cfg.network_of(settings), settings)
    return Jde(settings)


def spec_of(settings: Settings) -> InputSpec:
    return cfg.spec_of(settings) if settings.network else yolov3.spec_of(settings)
