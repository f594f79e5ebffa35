"""Architectures: the settings of each network, and the class that creates it. Needs no PyTorch."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Generic, NamedTuple, TypeVar

from mot.detectors.coco import COCO, COCO_IDS
from mot.detectors.network import DetectorSettings
from mot.errors import MotError, suggest
from mot.runtime.preprocess import InputSpec
from mot.settings import bounds

if TYPE_CHECKING:
    from mot.detectors.models.base import DetectionModel

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class ArchitectureSettings(DetectorSettings):
    """Settings that are fixed by training; those in a weights file override them."""

    architecture: ClassVar[str]  # name
    implementation: ClassVar[str]  # MODULE:CLASS of the `Architecture`

    names: tuple[str, ...] = ("person",)  # of classes; or coco, or coco91: COCO in torchvision
    backbone: str = "resnet50"  # or another of torchvision or timm
    amodal: bool = False  # boxes may extend beyond the image


@dataclass(frozen=True, slots=True)
class Yolov3Settings(ArchitectureSettings):
    architecture: ClassVar[str] = "yolov3"
    implementation: ClassVar[str] = "mot.detectors.models.yolov3:Yolov3Architecture"

    backbone: str = "darknet53"
    anchors: str = "person"  # or coco: Darknet's; or nine pairs of pixels
    neck_width: int = 512  # channels at the coarsest level; each finer level has half as many


@dataclass(frozen=True, slots=True)
class RetinanetSettings(ArchitectureSettings):
    architecture: ClassVar[str] = "retinanet"
    implementation: ClassVar[str] = "mot.detectors.models.retinanet:RetinanetArchitecture"

    anchors: str = "person"  # or coco: torchvision's
    variant: str = "torchvision"  # torchvision-v2, mmdetection
    norm_epsilon: float = 1e-5  # of the backbone's batch norms


@dataclass(frozen=True, slots=True)
class FasterrcnnSettings(ArchitectureSettings):
    architecture: ClassVar[str] = "fasterrcnn"
    implementation: ClassVar[str] = "mot.detectors.models.fasterrcnn:FasterrcnnArchitecture"

    backbone: str = "mobilenet_v2"
    anchors: str = "person"  # or coco: torchvision's
    variant: str = "torchvision"  # torchvision-v2, torchvision-mobile, mmdetection
    norm_epsilon: float = 1e-5  # of the backbone's batch norms
    proposals: int = 1000  # maximum number per image
    proposal_iou: float = field(default=0.7, metadata=bounds(max=1))  # maximum IoU of two proposals
    proposal_score: float = 0.0  # minimum score of a proposal


@dataclass(frozen=True, slots=True)
class FcosSettings(ArchitectureSettings):
    architecture: ClassVar[str] = "fcos"
    implementation: ClassVar[str] = "mot.detectors.models.fcos:FcosArchitecture"

    norm_epsilon: float = 1e-5  # of the backbone's batch norms


@dataclass(frozen=True, slots=True)
class SsdSettings(ArchitectureSettings):
    architecture: ClassVar[str] = "ssd"
    implementation: ClassVar[str] = "mot.detectors.models.ssd:SsdArchitecture"

    backbone: str = "mobilenet_v2"  # or mobilenet_v3_large: SSDLite; vgg16: SSD300
    anchors: str = "person"  # or coco: torchvision's


@dataclass(frozen=True, slots=True)
class CfgSettings(ArchitectureSettings):
    """The network of a Darknet `.cfg` file, to be trained."""

    architecture: ClassVar[str] = "cfg"
    implementation: ClassVar[str] = "mot.detectors.darknet.trainable:CfgArchitecture"

    network: str = "person"  # file, name in `mot/configs/networks`, or the text itself
    backbone: str = ""  # part of the .cfg
    keeps_aspect: bool = True  # images are not stretched as in Darknet


@dataclass(frozen=True, slots=True)
class FairmotSettings(ArchitectureSettings):
    architecture: ClassVar[str] = "fairmot"
    implementation: ClassVar[str] = "mot.detectors.models.fairmot:FairmotArchitecture"

    backbone: str = "dla34"
    neck: str = "dla"  # or fpn, which is smaller
    neck_width: int = 64  # channels of fpn; dla has those of the backbone's finest map
    head_width: int = 256  # channels of the hidden layer of each head
    dims: int = 128  # of an embedding
    candidates: int = 500  # maximum peaks per image


@dataclass(frozen=True, slots=True)
class JdeSettings(Yolov3Settings):
    architecture: ClassVar[str] = "jde"
    implementation: ClassVar[str] = "mot.detectors.models.jde:JdeArchitecture"

    network: str = ""  # Darknet network, as in `CfgSettings`, instead of YOLOv3 on a backbone
    keeps_aspect: bool = True  # as in `CfgSettings`
    dims: int = 128  # of an embedding
    hidden: int = 0  # channels of a 3x3 convolution before that of the embeddings; 0: none
    regions: int = 0  # best boxes with embeddings from their regions; 0: from cells, as in JDE
    layers: tuple[int, ...] = ()  # of a Darknet network, from whose maps regions are pooled


SettingsT = TypeVar("SettingsT", bound=ArchitectureSettings)


class Architecture(ABC, Generic[SettingsT]):
    """Creates the networks of one architecture."""

    @abstractmethod
    def create(self, settings: SettingsT) -> DetectionModel[Any]:
        """An untrained model, in float32 on the CPU."""

    @abstractmethod
    def input_spec(self, settings: SettingsT) -> InputSpec:
        """The input format of the model, at its default size."""


class Classes(NamedTuple):
    names: tuple[str, ...]
    outputs: int  # of the network
    indices: tuple[int, ...]  # output of each name


def resolve_classes(names: tuple[str, ...], has_background: bool = False) -> Classes:
    """The outputs of a network for classes of these names; a background has the first."""
    if names == ("coco91",):
        return Classes(COCO, 91, COCO_IDS)  # torchvision's networks have outputs for gaps too
    names = COCO if names == ("coco",) else names
    are_names = all(isinstance(name, str) and name for name in names)
    if not names or not are_names or len(set(names)) < len(names):
        raise MotError(f"names = {list(names)}: give different names, or coco, or coco91")
    first = int(has_background)
    return Classes(names, first + len(names), tuple(range(first, first + len(names))))


def choose(setting: str, value: str, known: Mapping[str, T]) -> T:
    """The choice that the value of a setting names."""
    if value not in known:
        raise MotError(f"{setting} = {value!r}: {suggest(value, known)}")
    return known[value]
