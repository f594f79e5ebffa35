"""The training of detectors, of any family."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

from torch import nn

from mot.datasets.config import DataSettings
from mot.datasets.dataset import DataSet, ImageRecord
from mot.datasets.identities import numbered
from mot.datasets.images import read_picture
from mot.datasets.load import load
from mot.datasets.problems import Problems
from mot.detectors.architectures import ArchitectureSettings, metadata_of
from mot.detectors.network import DetectorSettings, NetworkDetector
from mot.detectors.torch_network import TorchNetwork
from mot.errors import MotError, nearest
from mot.evaluation.detection.scores import evaluate
from mot.render import draw_detections
from mot.settings import build_settings
from mot.training.assigners import ASSIGNERS, Assigner
from mot.training.augment.settings import AugmentSettings
from mot.training.data.batches import EpochData, joined
from mot.training.data.sampling import in_order, shuffled
from mot.training.data_bundle import DataBundle, materials_of
from mot.training.initial_model import InitialModel, started
from mot.training.objectives import Objective, objective_module
from mot.training.recipe import Recipe
from mot.training.reid_metrics import known_again
from mot.training.task import Measured
from mot.types import Detections, Frame, Image
from mot.video.background import in_background

HEADLINE = ("AP50", "AP", "MR-2", "recall")
FLAG = "--detector"

_LEAST_SCORE = 0.005  # less would only lengthen the tail of the curve
_BATCH = 8
_SHOWN = 8  # pictures of an epoch
_LEAST_SHOWN = 0.3  # score


def start(recipe: Recipe, weights: str) -> InitialModel:
    assert isinstance(recipe.model, ArchitectureSettings)
    return started(recipe.model, weights)


def gather(recipe: Recipe, begun: InitialModel) -> DataBundle:
    """Everything that the recipe names, in its order."""
    problems = Problems()
    told = [_load(each, begun.names, problems) for each in recipe.train]
    val = [_load(each, begun.names, problems, sizes=True) for each in recipe.val]
    if not any(map(len, told)):
        raise MotError("there is nothing to train on: name data sets as [[data.train]]")
    train, identities = numbered(told, [each.identities for each in recipe.train])
    val, _ = numbered(val, [each.identities for each in recipe.val])
    weights = [each.weight for each in recipe.train]
    order = shuffled(train, weights, recipe.schedule.seed)
    assert isinstance(recipe.augment, AugmentSettings)
    data = EpochData(joined(train), begun.spec, recipe.augment)
    pictures = joined(train), _one(val, begun.names)
    return materials_of(recipe, begun.spec, pictures, (data, order), problems, identities)


def gather_few(recipe: Recipe, begun: InitialModel, count: int) -> DataBundle:
    """The first pictures with objects alone, unchanged, to train on and to be measured on: a
    network that cannot learn them by heart cannot learn."""
    few: list[ImageRecord] = []
    problems = Problems()
    for settings in recipe.train:
        data = _load(settings, begun.names, problems)
        few += [each for each in data if not each.annotations.ignored.all()][: count - len(few)]
    if not few:
        raise MotError("there is no picture with an object to train on")
    told = DataSet(begun.names, few)
    (known,), identities = numbered([told], [recipe.train[0].identities])
    drawn = EpochData(known, begun.spec), in_order(len(known))
    return materials_of(recipe, begun.spec, (known, known), drawn, problems, identities)


def _load(
    settings: DataSettings, names: tuple[str, ...], problems: Problems, sizes: bool = False
) -> DataSet:
    data, found = load(settings, sizes)  # without sizes boxes cannot be cut for CrowdHuman's scores
    problems.add(found)
    if data.names != names:
        raise MotError(
            f"{settings.annotations}: has the classes {', '.join(data.names)}, the network "
            f"{', '.join(names)}: set model.names, or classes of the data set"
        )
    return data


def _one(datasets: Sequence[DataSet], names: tuple[str, ...]) -> DataSet:
    return DataSet(names, (picture for data in datasets for picture in data))


def objective(recipe: Recipe, begun: InitialModel, materials: DataBundle) -> Objective:
    module = objective_module(recipe.start.family)
    settings = build_settings(module.Settings, recipe.loss, "[loss]")
    parts = [begun.model, settings]
    if module.ASSIGNER:
        parts.append(_assigner(module.ASSIGNER, recipe))
    elif recipe.assigner:
        raise MotError(f"[assigner]: {recipe.start.family} has none: take the table out")
    if hasattr(module, "learned"):
        parts.append(module.learned(begun.model, settings, materials.identities))
    made: Objective = module.objective(*parts)
    return made


def _assigner(usual: dict[str, Any], recipe: Recipe) -> Assigner:
    is_usual = recipe.assigner.get("kind", usual["kind"]) == usual["kind"]
    values = {**(usual if is_usual else {}), **recipe.assigner}
    kind = str(values.pop("kind"))
    if kind not in ASSIGNERS:
        raise MotError(f"[assigner]: unknown kind {kind!r}: {nearest(kind, ASSIGNERS)}")
    return build_settings(ASSIGNERS[kind], values, "[assigner]")


def measure(model: nn.Module, begun: InitialModel, materials: DataBundle) -> Measured:
    """As the detector that it will be."""
    found = _found(model, begun, materials)
    data = DataSet(begun.names, (materials.val[place] for place in found))
    seen = list(found.values())
    figures = {**evaluate(data, seen).as_dict(), **known_again(data, seen)}
    return Measured(figures["AP50"], figures, lambda: _drawn(data, seen))


def _found(model: nn.Module, begun: InitialModel, materials: DataBundle) -> dict[int, Detections]:
    """By the places of the pictures, but for those that cannot be read."""
    device = str(next(model.parameters()).device)
    network = TorchNetwork(model, begun.spec, begun.names, device)
    width, height = materials.val_size
    settings = DetectorSettings(
        width=width, height=height, conf=_LEAST_SCORE, classes=begun.names, batch=_BATCH
    )
    detector = NetworkDetector(network, settings)
    found: dict[int, Detections] = {}
    for images in in_background(_batches(materials), depth=1):  # read while others are seen
        found |= zip(images, detector(list(images.values())), strict=True)
    return found


def _batches(materials: DataBundle) -> Iterator[dict[int, Image]]:
    data = materials.val
    materials.unread.clear()
    for begin in range(0, len(data), _BATCH):
        images: dict[int, Image] = {}
        for place in range(begin, min(begin + _BATCH, len(data))):
            try:
                images[place] = read_picture(data[place])
            except MotError as error:
                materials.unread.append(str(error))
        yield images


def _drawn(data: DataSet, found: Sequence[Detections]) -> Iterator[Image]:
    for place in range(min(_SHOWN, len(data))):
        sure = found[place][found[place].scores >= _LEAST_SHOWN]
        yield draw_detections(Frame(read_picture(data[place]), 1, 0.0), sure, data.names)


def described(begun: InitialModel, materials: DataBundle) -> dict[str, Any]:
    width, height = materials.val_size
    assert isinstance(begun.settings, ArchitectureSettings)
    return metadata_of(replace(begun.settings, width=width, height=height))
