"""The native networks: what each can be told, and how a detector is made of one.

Their modules need PyTorch, this one does not: a family `NAME` is `mot/detectors/NAME.py` with
`create(settings)`, the network untrained, and `spec_of(settings)`, the pictures that it wants.
"""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from mot.detectors.coco import COCO, COCO_NUMBERS
from mot.detectors.network import DetectorSettings, NetworkDetector, common_settings, wanted_size
from mot.detectors.published import find_published
from mot.detectors.select import digest, network_of
from mot.errors import MotError, nearest
from mot.runtime.preprocess import InputSpec, resolve_input_size
from mot.runtime.safetensors_header import read_metadata
from mot.settings import bounds

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True, slots=True)
class ArchitectureSettings(DetectorSettings):
    """What is fixed once a network is trained; a file that tells these wins over them."""

    names: tuple[str, ...] = ("person",)  # of its classes; or coco, or coco91: torchvision's COCO
    backbone: str = "resnet50"  # or another of torchvision's or timm's
    whole: bool = False  # people are told of whole, beyond the edges of the picture too


@dataclass(frozen=True, slots=True)
class Yolov3Settings(ArchitectureSettings):
    backbone: str = "darknet53"
    anchors: str = "person"  # or coco: Darknet's, or nine pairs of pixels
    neck_width: int = 512  # channels at the coarsest level; each finer one has half as many


@dataclass(frozen=True, slots=True)
class RetinanetSettings(ArchitectureSettings):
    anchors: str = "person"  # or coco: torchvision's
    variant: str = "torchvision"  # torchvision-v2, mmdetection
    norm_epsilon: float = 1e-5  # of the backbone's batch norms


@dataclass(frozen=True, slots=True)
class FasterrcnnSettings(ArchitectureSettings):
    backbone: str = "mobilenet_v2"
    anchors: str = "person"  # or coco: torchvision's
    variant: str = "torchvision"  # torchvision-v2, torchvision-mobile, mmdetection
    norm_epsilon: float = 1e-5  # of the backbone's batch norms
    proposals: int = 1000  # that the second stage looks at
    proposal_iou: float = field(
        default=0.7, metadata=bounds(max=1)
    )  # proposals that overlap by more are taken for one
    proposal_score: float = 0.0  # proposals of a lower score are left out


@dataclass(frozen=True, slots=True)
class FcosSettings(ArchitectureSettings):
    norm_epsilon: float = 1e-5  # of the backbone's batch norms


@dataclass(frozen=True, slots=True)
class SsdSettings(ArchitectureSettings):
    backbone: str = "mobilenet_v2"  # or mobilenet_v3_large: SSDLite; vgg16: SSD300
    anchors: str = "person"  # or coco: torchvision's


@dataclass(frozen=True, slots=True)
class CfgSettings(ArchitectureSettings):
    """Of a network that a Darknet `.cfg` draws, to be trained."""

    network: str = "person"  # a file, one of `mot/configs/networks`, or the text itself
    backbone: str = ""  # the .cfg has it
    keeps_aspect: bool = True  # pictures are not stretched, as Darknet does


@dataclass(frozen=True, slots=True)
class FairmotSettings(ArchitectureSettings):
    backbone: str = "dla34"
    neck: str = "dla"  # or fpn, a light one
    neck_width: int = 64  # channels of fpn's map; dla's is as wide as the backbone's finest
    head_width: int = 256  # channels between that map and each thing that is told
    dims: int = 128  # of an embedding
    candidates: int = 500  # peaks of a picture, the highest


@dataclass(frozen=True, slots=True)
class JdeSettings(Yolov3Settings):
    network: str = ""  # a Darknet drawing, as `cfg` takes it, in place of YOLOv3 on a backbone
    keeps_aspect: bool = True  # as of `cfg`
    dims: int = 128  # of an embedding
    hidden: int = 0  # channels of a 3x3 convolution before that of the embeddings; 0: there is none
    regions: int = 0  # of the best boxes, which embeddings are told from; 0: from cells, as JDE's
    layers: tuple[int, ...] = ()  # of a drawing, whose maps the regions are cut out of


ARCHITECTURES: dict[str, type[ArchitectureSettings]] = {
    "yolov3": Yolov3Settings,
    "retinanet": RetinanetSettings,
    "fasterrcnn": FasterrcnnSettings,
    "fcos": FcosSettings,
    "ssd": SsdSettings,
    "cfg": CfgSettings,
    "fairmot": FairmotSettings,
    "jde": JdeSettings,
}


@dataclass(frozen=True, slots=True)
class FileSettings(DetectorSettings):
    """Of a `.safetensors` file, which tells its own family."""

    model: str = ""


class Classes(NamedTuple):
    names: tuple[str, ...]
    outputs: int  # of the network
    columns: tuple[int, ...]  # the output of each name


class LoadedModel(NamedTuple):
    model: nn.Module
    spec: InputSpec
    names: tuple[str, ...]
    settings: ArchitectureSettings  # as the file has them, where it tells


def build(settings: ArchitectureSettings) -> NetworkDetector:
    """A detector of any family."""
    if not settings.weights:
        return _without_weights(settings)
    settings, path = as_trained(settings)

    def key() -> str:
        return digest((path,), metadata_of(settings), settings.partial)

    network = network_of(settings, key, lambda: load_model(settings))
    return NetworkDetector(network, settings)


def _without_weights(settings: ArchitectureSettings) -> NetworkDetector:
    """Of FairMOT's kind one network comes with mot."""
    family = architecture_of(settings)
    if not isinstance(settings, FairmotSettings):
        raise MotError(f"{family} needs weights: --weights FILE, or --detector FILE.safetensors")
    from mot.detectors import built_in as person

    print("mot: fairmot without weights: joint, which comes with mot, instead", file=sys.stderr)
    return person.build(person.JointSettings(**common_settings(settings)))


def build_file(settings: FileSettings) -> NetworkDetector:
    """A detector of a file that tells what it is."""
    return build(_family_in(settings))


def _family_in(settings: FileSettings) -> ArchitectureSettings:
    path = Path(settings.model)
    family = str(read_metadata(path).get("architecture"))
    if family not in ARCHITECTURES:
        raise MotError(f"{path}: tells no architecture: --detector NAME --weights {path}")
    told = common_settings(settings)
    if told["weights"]:
        raise MotError(f"--weights {told['weights']}: {path} has its own: give one of the two")
    return ARCHITECTURES[family](**{**told, "weights": str(path)})


def load_model(settings: ArchitectureSettings | FileSettings) -> LoadedModel:
    """The network in float32 on the CPU; untrained where no weights are named."""
    if isinstance(settings, FileSettings):
        settings = _family_in(settings)
    module = _module(architecture_of(settings))
    path = None
    if settings.weights:
        settings, path = as_trained(settings)
    model = module.create(settings)
    if path:
        checkpoints = _torch_module("mot.runtime.checkpoints", "weights")
        checkpoints.load_weights(model, path, settings.partial).tell(path)
    spec = module.spec_of(settings)
    size = resolve_input_size(wanted_size(settings), spec)
    spec = dataclasses.replace(spec, size=size, whole=settings.whole)
    return LoadedModel(model, spec, class_names(settings), settings)


def as_trained(settings: ArchitectureSettings) -> tuple[ArchitectureSettings, Path]:
    """The settings with what the weights tell of themselves, and where they lie."""
    family = architecture_of(settings)
    path, known = find_published(settings.weights, family)
    if path.suffix == ".safetensors":
        known = _told_by(path, family)
    sizes = {"width": settings.width, "height": settings.height}
    given = sizes if any(sizes.values()) else {}
    return dataclasses.replace(settings, **{**known, **given}), path


def metadata_of(settings: ArchitectureSettings) -> dict[str, Any]:
    """What `save_weights` should write beside the weights of a network with these settings."""
    if isinstance(settings, CfgSettings | JdeSettings) and settings.network:
        settings = _module("cfg").complete(settings)  # the file outlives its .cfg
    ours = {field.name for field in dataclasses.fields(DetectorSettings)} - {"width", "height"}
    values = dataclasses.asdict(settings)
    trained = {key: value for key, value in values.items() if key not in ours}
    return {
        "architecture": architecture_of(settings),
        "settings": trained,
        "names": class_names(settings),
    }


def _told_by(path: Path, family: str) -> dict[str, Any]:
    metadata = read_metadata(path)
    told = metadata.get("architecture", family)
    if told != family:
        raise MotError(f"{path}: holds the architecture {told!r}: --detector {path}")
    values = metadata.get("settings", {})
    if not isinstance(values, Mapping):
        raise MotError(f"{path}: its settings are no table")
    return {key: _checked(path, ARCHITECTURES[family], key, value) for key, value in values.items()}


def _checked(path: Path, kind: type[ArchitectureSettings], key: str, value: Any) -> Any:
    """A setting of a file that anyone may have written."""
    defaults = {field.name: field.default for field in dataclasses.fields(kind)}
    trained = {"width", "height"} | defaults.keys() - {
        field.name for field in dataclasses.fields(DetectorSettings)
    }
    if key not in trained:
        raise MotError(f"{path}: unknown setting {key!r}: {nearest(key, trained)}")
    value = tuple(value) if isinstance(value, list) else value
    if type(value) is not type(defaults[key]) or (isinstance(value, int | float) and value < 0):
        raise MotError(f"{path}: its {key} = {value!r} must be like {defaults[key]!r}")
    return value


def architecture_of(settings: ArchitectureSettings) -> str:
    return next(name for name, kind in ARCHITECTURES.items() if kind is type(settings))


def class_names(settings: ArchitectureSettings) -> tuple[str, ...]:
    return classes_of(settings.names).names


def classes_of(names: tuple[str, ...], has_background: bool = False) -> Classes:
    """The outputs of a network for these classes; that of the background comes first."""
    if names == ("coco91",):
        return Classes(COCO, 91, COCO_NUMBERS)  # torchvision's networks have outputs for gaps too
    names = COCO if names == ("coco",) else names
    are_names = all(isinstance(name, str) and name for name in names)
    if not names or not are_names or len(set(names)) < len(names):
        raise MotError(f"names = {list(names)}: give different names, or coco, or coco91")
    first = int(has_background)
    return Classes(names, first + len(names), tuple(range(first, first + len(names))))


def _module(family: str) -> Any:
    home = "darknet.trainable" if family == "cfg" else f"models.{family}"
    return _torch_module(f"mot.detectors.{home}", family)


def _torch_module(name: str, needed_by: str) -> Any:
    try:
        return import_module(name)
    except ImportError as error:
        needed = error.name or error
        raise MotError(f"{needed_by} needs {needed}: pip install 'mot-tracking[torch]'") from None


def choose(setting: str, value: str, known: Mapping[str, Any]) -> Any:
    """What a word among the settings stands for."""
    if value not in known:
        raise MotError(f"{setting} = {value!r}: {nearest(value, known)}")
    return known[value]
