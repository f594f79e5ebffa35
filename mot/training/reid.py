"""Training of embedders: crops of objects to unit vectors that separate identities."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from torch import nn

from mot.datasets.identities import numbered
from mot.datasets.load import load
from mot.datasets.problems import Problems
from mot.errors import MotError
from mot.reid.networks import EmbedderNetwork, create_embedder, weights_metadata
from mot.reid.open import require_embedder_file
from mot.reid.settings import EmbedderSettings
from mot.reid.torch_embedder import TorchEmbedder
from mot.runtime.checkpoints import load_weights
from mot.settings import build_settings
from mot.training import distributed
from mot.training.augment.crop import CropAugment
from mot.training.augment.crop_settings import CropSettings
from mot.training.criteria.embedder import EmbedderCriterion, EmbedderLoss
from mot.training.data.batches import EpochData
from mot.training.data.crops import UNKNOWN, Crops, cut
from mot.training.data.persons import PersonSettings, by_person
from mot.training.data.sampling import Order
from mot.training.data_bundle import DataBundle, TrainingSamples, bundle_data
from mot.training.distillation import compute_teacher_embeddings
from mot.training.initial_model import FROM_SCRATCH, InitialModel, find_weights_file
from mot.training.reid_metrics import (
    RetrievalSets,
    load_retrieval_sets,
    summarize,
    two_view_set,
)
from mot.training.task import TrainingTask, ValidationResult


class ReidTask(TrainingTask):
    headline = ("mAP", "rank-1")
    flag = "--embedder"
    samples = "crops"

    def load_model(self, weights: str) -> InitialModel:
        """Checks the loss and its teacher too, before data are read for long."""
        loss, settings = self._loss_settings(), self.recipe.model
        if loss.teacher:
            require_embedder_file(loss.teacher)
        assert isinstance(settings, EmbedderSettings)
        model, note = create_embedder(settings), FROM_SCRATCH
        if weights:
            path = find_weights_file(weights)
            note = f"{path.name}: {_load_weights(model, path)}"
        return InitialModel(model, settings.input_spec, ("person",), settings, note)

    def _loss_settings(self) -> EmbedderLoss:
        loss, augment = build_settings(EmbedderLoss, self.recipe.loss, "[loss]"), self._augment()
        if augment.splice and not (augment.views and loss.uses_teacher):
            raise MotError(
                "augment.splice needs a teacher that embeds the same views: set augment.views and "
                "loss.teacher"
            )
        return loss

    def _augment(self) -> CropSettings:
        assert isinstance(self.recipe.augment, CropSettings)
        return self.recipe.augment

    def load_data(self, overfit: int = 0) -> DataBundle:
        problems, spec = Problems(), self.initial.spec
        crops = self._cut_crops(problems)
        if overfit:
            crops = crops.take(np.arange(min(overfit, len(crops))))
            sets, augment = [two_view_set("views", crops, spec.size)], CropAugment(None)
        else:
            augment = CropAugment(self._augment())
            sets = [
                each
                for settings in self.recipe.val
                for each in load_retrieval_sets(settings, spec.size, problems)
            ]
        data = EpochData(crops, spec, augment, crops.read)
        samples, val = TrainingSamples(crops, data, self._order(crops)), RetrievalSets(tuple(sets))
        schedule = self.recipe.schedule
        return bundle_data(samples, val, spec, schedule, problems, crops.people)

    def _cut_crops(self, problems: Problems) -> Crops:
        loaded = []
        for settings in self.recipe.train:
            data, found = load(settings)
            problems.add(found)
            loaded.append(data)
        if not any(map(len, loaded)):
            raise MotError("no training data: name datasets as [[data.train]]")
        known, _ = numbered(loaded, [each.identities for each in self.recipe.train])
        crops = cut(known, self.initial.spec.size, problems)
        if not len(crops):
            reason = ", ".join(problems.counts) or "no objects"
            hint = ': set identities = "boxes" in [[data.train]] to give each box its own identity'
            hint *= UNKNOWN in problems.counts
            raise MotError(f"no usable crops in the training data ({reason}){hint}")
        return crops

    def _order(self, crops: Crops) -> Order:
        schedule, weights = self.recipe.schedule, [each.weight for each in self.recipe.train]
        try:
            settings = PersonSettings(
                self._augment().each, schedule.batch, schedule.seed, distributed.world_size()
            )
        except ValueError as error:
            raise MotError(f"[schedule]: {error}") from None
        counts = np.bincount(crops.sets, minlength=len(weights)).tolist()
        return by_person(crops.ids, counts, weights, settings)

    def make_criterion(self, data: DataBundle) -> EmbedderCriterion:
        settings, model = self._loss_settings(), self.initial.model
        crops, augment, size = data.train, data.loader.data.change, self.initial.spec.size
        assert isinstance(model, EmbedderNetwork)
        assert isinstance(crops, Crops) and isinstance(augment, CropAugment) and size
        teacher = None
        if settings.uses_teacher:
            teacher = compute_teacher_embeddings(settings.teacher, crops, augment, size)
        return EmbedderCriterion(model, settings, data.identities, teacher)

    def validate(self, model: nn.Module, data: DataBundle) -> ValidationResult:
        assert isinstance(model, EmbedderNetwork) and isinstance(data.val, RetrievalSets)
        device = next(model.parameters()).device
        embedder = TorchEmbedder(model, self.initial.spec, device)
        results = [each.evaluate(embedder) for each in data.val.sets]
        metrics = summarize(data.val.sets, results)
        images = (image for each in results if (image := each.draw()) is not None)
        return ValidationResult(metrics["mAP"], metrics, lambda: images)

    def metadata(self, data: DataBundle) -> dict[str, Any]:
        assert isinstance(self.initial.settings, EmbedderSettings)
        return weights_metadata(self.initial.settings)


def _load_weights(model: EmbedderNetwork, path: Path) -> str:
    """Weights of the complete network, or of its backbone alone under its publisher's names."""
    try:
        return str(load_weights(model, path, partial=True))
    except MotError:
        return str(load_weights(model.bare_backbone, path, partial=True))
