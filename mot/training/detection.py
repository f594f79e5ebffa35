"""Training of detectors."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from typing import Any

from torch import nn

from mot.datasets.config import DataSettings
from mot.datasets.dataset import DataSet, ImageRecord
from mot.datasets.identities import numbered
from mot.datasets.images import read_image
from mot.datasets.load import load
from mot.datasets.problems import Problems
from mot.detectors.architectures import checkpoint_metadata
from mot.detectors.models.architecture import ArchitectureSettings
from mot.detectors.network import DetectorSettings, NetworkDetector
from mot.detectors.torch_network import TorchNetwork
from mot.errors import MotError, suggest
from mot.evaluation.detection.scores import evaluate
from mot.render import draw_detections
from mot.settings import build_settings
from mot.training.assigners import ASSIGNERS, Assigner
from mot.training.augment.settings import AugmentSettings
from mot.training.criteria import CRITERIA
from mot.training.criteria.base import Criterion
from mot.training.data.batches import EpochData, joined
from mot.training.data.sampling import in_order, shuffled
from mot.training.data_bundle import DataBundle, TrainingSamples, bundle_data
from mot.training.initial_model import InitialModel, load_initial_model
from mot.training.reid_metrics import embedding_metrics
from mot.training.task import TrainingTask, ValidationResult
from mot.types import Detections, Frame, Image
from mot.video.background import in_background

_MIN_SCORE = 0.005  # lower scores would only lengthen the tail of the curve
_BATCH = 8
_DRAWN_IMAGES = 8  # of a validation
_MIN_DRAWN_SCORE = 0.3


class DetectionTask(TrainingTask):
    headline = ("AP50", "AP", "MR-2", "recall")
    flag = "--detector"
    samples = "images"

    def load_model(self, weights: str) -> InitialModel:
        assert isinstance(self.recipe.model, ArchitectureSettings)
        return load_initial_model(self.recipe.model, weights)

    def load_data(self, overfit: int = 0) -> DataBundle:
        return self._load_few(overfit) if overfit else self._load_all()

    def _load_all(self) -> DataBundle:
        recipe, spec, problems = self.recipe, self.initial.spec, Problems()
        loaded = [self._load(each, problems) for each in recipe.train]
        val = [self._load(each, problems, sizes=True) for each in recipe.val]
        if not any(map(len, loaded)):
            raise MotError("no training data: name datasets as [[data.train]]")
        train, identities = numbered(loaded, [each.identities for each in recipe.train])
        val, _ = numbered(val, [each.identities for each in recipe.val])
        order = shuffled(train, [each.weight for each in recipe.train], recipe.schedule.seed)
        records = joined(train)
        assert isinstance(recipe.augment, AugmentSettings)
        samples = TrainingSamples(records, EpochData(records, spec, recipe.augment), order)
        merged = DataSet(self.initial.names, (record for data in val for record in data))
        return bundle_data(samples, merged, spec, recipe.schedule, problems, identities)

    def _load_few(self, count: int) -> DataBundle:
        """The first images with objects."""
        few: list[ImageRecord] = []
        problems = Problems()
        for settings in self.recipe.train:
            data = self._load(settings, problems)
            usable = [each for each in data if not each.annotations.ignored.all()]
            few += usable[: count - len(few)]
        if not few:
            raise MotError("no training data: no image has an object that is not ignored")
        kind = self.recipe.train[0].identities
        (data,), identities = numbered([DataSet(self.initial.names, few)], [kind])
        spec, schedule = self.initial.spec, self.recipe.schedule
        samples = TrainingSamples(data, EpochData(data, spec), in_order(len(data)))
        return bundle_data(samples, data, spec, schedule, problems, identities)

    def _load(self, settings: DataSettings, problems: Problems, sizes: bool = False) -> DataSet:
        """`sizes`: reads the image sizes, which CrowdHuman's metrics need to clip boxes."""
        data, found = load(settings, sizes)
        problems.add(found)
        names = self.initial.names
        if data.names != names:
            raise MotError(
                f"{settings.annotations}: has the classes {', '.join(data.names)}, the network "
                f"{', '.join(names)}: set model.names, or classes of the dataset"
            )
        return data

    def make_criterion(self, data: DataBundle) -> Criterion:
        recipe = self.recipe
        criterion = CRITERIA[recipe.init.architecture]
        settings = build_settings(criterion.settings_type, recipe.loss, "[loss]")
        assigner = None
        if criterion.default_assigner:
            assigner = _build_assigner(criterion.default_assigner, recipe.assigner)
        elif recipe.assigner:
            name = recipe.init.architecture
            raise MotError(f"[assigner]: {name} has no assigner: remove the table")
        return criterion(self.initial.model, settings, assigner, data.identities)

    def validate(self, model: nn.Module, data: DataBundle) -> ValidationResult:
        """As a detector with non-maximum suppression, on the readable images."""
        assert isinstance(data.val, DataSet)
        by_row = self._detect(model, data, data.val)
        val = DataSet(self.initial.names, (data.val[row] for row in by_row))
        found = list(by_row.values())
        metrics = {**evaluate(val, found).as_dict(), **embedding_metrics(val, found)}
        return ValidationResult(metrics["AP50"], metrics, lambda: _draw(val, found))

    def _detect(self, model: nn.Module, data: DataBundle, val: DataSet) -> dict[int, Detections]:
        """Detections by row of the image."""
        device = str(next(model.parameters()).device)
        network = TorchNetwork(model, self.initial.spec, self.initial.names, device)
        width, height = data.val_size
        settings = DetectorSettings(
            width=width, height=height, conf=_MIN_SCORE, classes=self.initial.names, batch=_BATCH
        )
        detector = NetworkDetector(network, settings)
        data.unread.clear()
        found: dict[int, Detections] = {}
        for images in in_background(_read_batches(val, data.unread), depth=1):
            found |= zip(images, detector(list(images.values())), strict=True)
        return found

    def metadata(self, data: DataBundle) -> dict[str, Any]:
        width, height = data.val_size
        settings = self.initial.settings
        assert isinstance(settings, ArchitectureSettings)
        return checkpoint_metadata(replace(settings, width=width, height=height))


def _build_assigner(default: Assigner, table: Mapping[str, Any]) -> Assigner:
    """The assigner of the table [assigner]; without another kind, of the default's settings."""
    values, assigner = dict(table), type(default)
    if "kind" in values:
        kind = str(values.pop("kind"))
        if kind not in ASSIGNERS:
            raise MotError(f"[assigner]: unknown kind {kind!r}: {suggest(kind, ASSIGNERS)}")
        assigner = ASSIGNERS[kind]
    if assigner is type(default):
        values = {**asdict(default), **values}
    return build_settings(assigner, values, "[assigner]")


def _read_batches(data: DataSet, unread: list[str]) -> Iterator[dict[int, Image]]:
    """Images by row; errors of unreadable ones are appended to `unread`."""
    for start in range(0, len(data), _BATCH):
        images: dict[int, Image] = {}
        for row in range(start, min(start + _BATCH, len(data))):
            try:
                images[row] = read_image(data[row])
            except MotError as error:
                unread.append(str(error))
        yield images


def _draw(data: DataSet, found: Sequence[Detections]) -> Iterator[Image]:
    for row in range(min(_DRAWN_IMAGES, len(data))):
        shown = found[row][found[row].scores >= _MIN_DRAWN_SCORE]
        yield draw_detections(Frame(read_image(data[row]), 1, 0.0), shown, data.names)
