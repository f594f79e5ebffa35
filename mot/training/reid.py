"""The training of embedders: crops of people to unit vectors that tell them apart."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from torch import nn

from mot.datasets.config import DataSettings
from mot.datasets.dataset import DataSet
from mot.datasets.identities import numbered
from mot.datasets.load import load
from mot.datasets.problems import Problems
from mot.errors import MotError
from mot.reid.networks import EmbedderNetwork, create, metadata_of
from mot.reid.open import found_file
from mot.reid.settings import EmbedderSettings, spec_of
from mot.reid.torch_embedder import TorchEmbedder
from mot.runtime.checkpoints import load_weights
from mot.settings import build_settings
from mot.training import distributed
from mot.training.augment.crop import CropAugment
from mot.training.augment.crop_settings import CropSettings
from mot.training.data.batches import EpochData
from mot.training.data.crops import UNKNOWN, Crops, cut
from mot.training.data.persons import PersonSettings, by_person
from mot.training.data.sampling import Order
from mot.training.data_bundle import DataBundle, materials_of
from mot.training.distillation import taught_by
from mot.training.initial_model import InitialModel, weights_file
from mot.training.objectives import Objective
from mot.training.objectives.embedder import EmbedderObjective, Learned, Settings
from mot.training.recipe import Recipe
from mot.training.reid_metrics import Trials, figures_of, trial_of_views, trials_of
from mot.training.task import Measured

HEADLINE = ("mAP", "rank-1")
FLAG = "--embedder"


def start(recipe: Recipe, weights: str) -> InitialModel:
    """The network; what fits of the weights is taken over. Before hours of work, also: is there
    the teacher?"""
    loss = _loss(recipe)
    if loss.teacher:
        found_file(loss.teacher)
    assert isinstance(recipe.model, EmbedderSettings)
    model, note = create(recipe.model), "from nothing"
    if weights:
        path = weights_file(weights)
        note = f"{path.name}: {_take_over(model, path)}"
    return InitialModel(model, spec_of(recipe.model), ("person",), recipe.model, note)


def _loss(recipe: Recipe) -> Settings:
    loss, change = build_settings(Settings, recipe.loss, "[loss]"), recipe.augment
    assert isinstance(change, CropSettings)
    if change.splice and not (change.views and loss.has_teacher):
        raise MotError(
            "augment.splice makes people whom only a teacher of the same views knows: set "
            "augment.views and loss.teacher"
        )
    return loss


def _take_over(model: EmbedderNetwork, path: Path) -> str:
    """Of the whole network, or of its backbone alone, as others publish them."""
    try:
        return str(load_weights(model, path, partial=True))
    except MotError:
        return str(load_weights(model.bare_backbone, path, partial=True))


def gather(recipe: Recipe, begun: InitialModel) -> DataBundle:
    """Everything that the recipe names, in its order."""
    problems = Problems()
    crops = _cut(recipe, begun, problems)
    trials = [trial for each in recipe.val for trial in trials_of(each, begun.spec.size, problems)]
    assert isinstance(recipe.augment, CropSettings)
    return _materials(recipe, begun, crops, Trials(trials), CropAugment(recipe.augment), problems)


def gather_few(recipe: Recipe, begun: InitialModel, count: int) -> DataBundle:
    """The first crops alone, unchanged to train on, and changed to be measured on."""
    problems = Problems()
    crops = _cut(recipe, begun, problems)
    crops = crops.take(np.arange(min(count, len(crops))))
    trials = Trials([trial_of_views("views", crops, begun.spec.size)])
    return _materials(recipe, begun, crops, trials, CropAugment(None), problems)


def _cut(recipe: Recipe, begun: InitialModel, problems: Problems) -> Crops:
    told = [_load(each, problems) for each in recipe.train]
    if not any(map(len, told)):
        raise MotError("there is nothing to train on: name data sets as [[data.train]]")
    known, _ = numbered(told, [each.identities for each in recipe.train])
    crops = cut(known, begun.spec.size, problems)
    if not len(crops):
        hint = ': set identities = "boxes" in [[data.train]], and each box is someone else'
        why = ", ".join(problems.counts) or "no person in them"
        raise MotError(f"there is nobody to train on ({why}){hint * (UNKNOWN in problems.counts)}")
    return crops


def _load(settings: DataSettings, problems: Problems) -> DataSet:
    data, found = load(settings)
    problems.add(found)
    return data


def _materials(
    recipe: Recipe,
    begun: InitialModel,
    crops: Crops,
    trials: Trials,
    change: CropAugment,
    problems: Problems,
) -> DataBundle:
    data = EpochData(crops, begun.spec, change, crops.read)
    drawn = data, _order(recipe, crops)
    return materials_of(recipe, begun.spec, (crops, trials), drawn, problems, crops.people)


def _order(recipe: Recipe, crops: Crops) -> Order:
    schedule, weights = recipe.schedule, [each.weight for each in recipe.train]
    assert isinstance(recipe.augment, CropSettings)
    try:
        wanted = PersonSettings(
            recipe.augment.each, schedule.batch, schedule.seed, distributed.world()
        )
    except ValueError as error:
        raise MotError(f"[schedule]: {error}") from None
    counts = np.bincount(crops.sets, minlength=len(weights)).tolist()
    return by_person(crops.ids, counts, weights, wanted)


def objective(recipe: Recipe, begun: InitialModel, materials: DataBundle) -> Objective:
    settings = _loss(recipe)
    assert isinstance(begun.settings, EmbedderSettings) and isinstance(materials.train, Crops)
    change, size = materials.loader.data.change, begun.spec.size
    assert isinstance(change, CropAugment) and size
    teacher = (
        taught_by(settings.teacher, materials.train, change, size) if settings.has_teacher else None
    )
    dims = 0 if teacher is None else teacher.shape[2]
    learned = Learned(settings, begun.settings.dims, materials.identities, dims)
    return EmbedderObjective(begun.model, settings, learned, teacher)


def measure(model: nn.Module, begun: InitialModel, materials: DataBundle) -> Measured:
    """As the embedder that it will be."""
    assert isinstance(model, EmbedderNetwork) and isinstance(materials.val, Trials)
    device = next(model.parameters()).device
    trials, embedder = materials.val.trials, TorchEmbedder(model, begun.spec, device)
    tried = [trial.run(embedder) for trial in trials]
    figures = figures_of(trials, tried)
    sheets = (sheet for each in tried if (sheet := each.drawn()) is not None)
    return Measured(figures["mAP"], figures, lambda: sheets)


def described(begun: InitialModel, materials: DataBundle) -> dict[str, Any]:
    assert isinstance(begun.settings, EmbedderSettings)
    return metadata_of(begun.settings)
