"""Recipes: everything that a training depends on, from TOML files. Nothing here needs PyTorch."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path
from typing import Any

from mot.config import load_shipped
from mot.datasets.config import DataSettings
from mot.detectors.architectures import ARCHITECTURES
from mot.detectors.models.architecture import ArchitectureSettings
from mot.errors import MotError, suggest
from mot.reid.settings import ARCHITECTURE as EMBEDDER
from mot.reid.settings import EmbedderSettings
from mot.settings import build_settings, load_toml, parse_overrides
from mot.training.augment.crop_settings import CropSettings
from mot.training.augment.settings import AugmentSettings

_TABLES = ("model", "data", "augment", "loss", "assigner", "schedule")
_SETTABLE = ("schedule", "model", "augment", "loss", "assigner")  # by --set
_RESUMABLE = ("workers", "save_interval", "device")  # may differ when a training is resumed
LR_SCHEDULES = ("cosine", "step", "constant")
OPTIMIZERS = ("sgd", "adamw")
PRECISIONS = ("", "fp32", "fp16", "bf16")


@dataclass(frozen=True, slots=True)
class InitSettings:
    """Keys of the table [model] beside the settings of the architecture."""

    architecture: str = "yolov3"
    weights: str = ""  # a file, a .cfg with its .weights, or a known model; tensors that fit
    frozen_stages: int = 0  # the first of the backbone
    frozen_norm: bool = False  # batch norms keep their statistics, scales and shifts
    train_only: str = ""  # a part of the network, such as embedding; all others stay frozen


@dataclass(frozen=True, slots=True)
class Schedule:
    epochs: int = 30
    batch: int = 16  # images of a batch, of all processes together
    accumulate: int = 1  # batches of a step
    sizes: tuple[str, ...] = ("640x384",)  # input sizes; each batch has a random one
    val_size: str = ""  # default: the first of the sizes
    optimizer: str = "sgd"
    lr: float = 0.01
    momentum: float = 0.9  # AdamW's first beta
    weight_decay: float = 5e-4  # except of biases and norms
    warmup: int = 500  # steps; at most a fifth of all
    lr_schedule: str = "cosine"  # or step, constant
    milestones: tuple[int, ...] = ()  # epochs after which the step schedule divides lr by 10
    min_lr_ratio: float = 0.01  # final lr of the cosine schedule, as a share of lr
    clip: float = 10.0  # maximum norm of the gradient; 0: none
    ema: float = 0.9998  # decay of the averaged weights; 0: no average
    # fp16, bf16: mixed with float32; fp32, empty, or a CPU without 16-bit instructions: float32.
    precision: str = ""
    workers: int = 2  # processes that read images, at most as many as CPUs
    val_interval: int = 1  # epochs between validations
    save_interval: int = 500  # steps between checkpoints, beside those of each epoch
    seed: int = 0

    def __post_init__(self) -> None:
        for key, known in (
            ("lr_schedule", LR_SCHEDULES),
            ("optimizer", OPTIMIZERS),
            ("precision", PRECISIONS),
        ):
            value = getattr(self, key)
            if value not in known:
                raise ValueError(f"{key} = {value!r}: {suggest(value, known)}")
        for key in ("batch", "accumulate", "val_interval", "save_interval", "epochs"):
            if getattr(self, key) < 1:
                raise ValueError(f"{key} = {getattr(self, key)} must be 1 or more")
        if not self.sizes:
            raise ValueError("sizes is empty: set one such as 640x384")
        for key in ("momentum", "ema"):
            if getattr(self, key) >= 1:
                raise ValueError(f"{key} = {getattr(self, key)} must be less than 1")
        if self.lr <= 0:
            raise ValueError(f"lr = {self.lr} must be above 0")
        if not all(isinstance(each, int) for each in self.milestones):
            raise ValueError(f"milestones = {list(self.milestones)}: give epochs such as [20, 26]")


@dataclass(frozen=True, slots=True)
class Recipe:
    name: str
    init: InitSettings
    model: ArchitectureSettings | EmbedderSettings
    train: tuple[DataSettings, ...]
    val: tuple[DataSettings, ...]
    augment: AugmentSettings | CropSettings
    schedule: Schedule
    loss: Mapping[str, Any] = field(default_factory=dict)
    assigner: Mapping[str, Any] = field(default_factory=dict)

    def tables(self) -> dict[str, Any]:
        """The tables of the TOML with every setting, for `run.json` and checkpoints."""
        model = dataclasses.asdict(self.init) | dataclasses.asdict(self.model)
        return {
            "model": model,
            "data": {
                "train": [dataclasses.asdict(each) for each in self.train],
                "val": [dataclasses.asdict(each) for each in self.val],
            },
            "augment": dataclasses.asdict(self.augment),
            "schedule": dataclasses.asdict(self.schedule),
            "loss": dict(self.loss),
            "assigner": dict(self.assigner),
        }


def load_recipe(names: Sequence[str], overrides: tuple[str, ...] = (), root: str = "") -> Recipe:
    """Loads and merges recipes; later ones override earlier ones.

    Args:
        names: TOML files, or names of recipes in `mot/configs/training`.
        overrides: GROUP.KEY=VALUE, which override all recipes.
        root: folder of the data's relative paths.
    """
    tables: dict[str, Any] = {}
    for name in names:
        for group, table in _read(name).items():
            if group not in _TABLES or not isinstance(table, dict):
                raise MotError(f"{name}: unknown table [{group}]: {suggest(group, _TABLES)}")
            tables[group] = {**tables.get(group, {}), **table}
    if root:
        tables["data"] = _resolve_paths(tables.get("data", {}), root)
    given = parse_overrides(overrides, _SETTABLE)
    for group in _SETTABLE:
        tables[group] = {**tables.get(group, {}), **given.get(group, {})}
    return build_recipe(tables, "-".join(Path(name).stem for name in names))


def _read(name: str) -> dict[str, Any]:
    path = Path(name)
    if path.is_file():
        return load_toml(path)
    if path.stem not in known_recipes():
        raise MotError(f"{name}: no such recipe: {suggest(path.stem, known_recipes())}")
    return load_shipped("training", path.stem)


def _resolve_paths(data: Mapping[str, Any], root: str) -> dict[str, Any]:
    """The table [data] with its paths under the root."""

    def resolve(table: Any) -> Any:
        if not isinstance(table, dict):
            return table  # an error of `build_recipe`
        given = {
            key: str(Path(root, table[key])) for key in ("annotations", "images") if table.get(key)
        }
        return {**table, **given}

    return {part: [resolve(each) for each in tables] for part, tables in data.items()}


def known_recipes() -> list[str]:
    folder = resources.files("mot").joinpath("configs", "training")
    return sorted(each.name[:-5] for each in folder.iterdir() if each.name.endswith(".toml"))


def build_recipe(tables: Mapping[str, Any], name: str) -> Recipe:
    """A recipe from the tables of its TOML; `name` begins error messages."""
    model = dict(tables.get("model", {}))
    keys = [each.name for each in dataclasses.fields(InitSettings) if each.name in model]
    init = build_settings(InitSettings, {key: model.pop(key) for key in keys}, f"{name} [model]")
    model_type, augment_type = _settings_types(init.architecture, f"{name} [model]")
    if init.architecture == EMBEDDER:
        model.pop("amodal", None)  # set by recipes of data, for detectors
    settings = build_settings(model_type, model, f"{name} [model]")
    schedule = build_settings(Schedule, tables.get("schedule", {}), f"{name} [schedule]")
    if isinstance(settings, EmbedderSettings):
        _check_embedder_tables(tables, name)
        size = f"{settings.width}x{settings.height}"
        schedule = dataclasses.replace(schedule, sizes=(size,), val_size=size)
    data = tables.get("data", {})
    return Recipe(
        name,
        init,
        settings,
        _build_data(data, "train", name),
        _build_data(data, "val", name),
        build_settings(augment_type, tables.get("augment", {}), f"{name} [augment]"),
        schedule,
        dict(tables.get("loss", {})),
        dict(tables.get("assigner", {})),
    )


def _settings_types(
    architecture: str, source: str
) -> tuple[
    type[ArchitectureSettings] | type[EmbedderSettings], type[AugmentSettings] | type[CropSettings]
]:
    """Of the tables [model] and [augment]."""
    if architecture == EMBEDDER:
        return EmbedderSettings, CropSettings
    if architecture not in ARCHITECTURES:
        known = suggest(architecture, [*ARCHITECTURES, EMBEDDER])
        raise MotError(f"{source}: unknown architecture {architecture!r}: {known}")
    return ARCHITECTURES[architecture], AugmentSettings


def _check_embedder_tables(tables: Mapping[str, Any], name: str) -> None:
    if tables.get("assigner"):
        raise MotError(f"{name} [assigner]: embedders have no assigner: remove the table")
    given = {"sizes", "val_size"} & tables.get("schedule", {}).keys()
    if given:
        key = min(given)
        raise MotError(
            f"{name} [schedule]: {key}: set model.width and model.height of embedders instead"
        )


def _build_data(data: Mapping[str, Any], part: str, name: str) -> tuple[DataSettings, ...]:
    tables = data.get(part, [])
    if not isinstance(tables, list) or not all(isinstance(each, dict) for each in tables):
        raise MotError(f"{name}: write the datasets as [[data.{part}]]")
    return tuple(build_settings(DataSettings, each, f"{name} [[data.{part}]]") for each in tables)


def find_differences(recipe: Mapping[str, Any], other: Mapping[str, Any]) -> list[str]:
    """Settings GROUP.KEY in which the tables of two recipes differ, and results depend on."""
    recipe, other = (json.loads(json.dumps(each)) for each in (recipe, other))
    return [
        f"{group}.{key}"
        for group, table in other.items()
        for key, value in table.items()
        if key not in _RESUMABLE and recipe.get(group, {}).get(key) != value
    ]
