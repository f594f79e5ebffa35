"""A recipe: all that a training depends on, read from one TOML file. Nothing here needs PyTorch."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path
from typing import Any

from mot.config import shipped
from mot.datasets.config import DataSettings
from mot.detectors.architectures import ARCHITECTURES, ArchitectureSettings
from mot.errors import MotError, nearest
from mot.reid.settings import EmbedderSettings
from mot.settings import build_settings, load_toml, parse_overrides
from mot.training.augment.crop_settings import CropSettings
from mot.training.augment.settings import AugmentSettings

_GROUPS = ("model", "data", "augment", "loss", "assigner", "schedule")
_SETTABLE = ("schedule", "model", "augment", "loss", "assigner")
EMBEDDER = "embedder"  # what is no detector: an embedder of appearance
_FREE = ("workers", "save", "device")  # may differ when a training is resumed
SHAPES = ("cosine", "step", "constant")
OPTIMISERS = ("sgd", "adamw")
PRECISIONS = ("", "fp32", "fp16", "bf16")


@dataclass(frozen=True, slots=True)
class Start:
    """What is fixed before the first step, beside the settings of the family."""

    family: str = "yolov3"
    weights: str = ""  # a file, a .cfg with weights, or a known model; what fits of it is taken
    frozen_stages: int = 0  # of the backbone, from the picture on
    frozen_norm: bool = False  # batch norms keep what they know of the data
    only: str = ""  # the part that is trained, such as embedding; the others stay as they are


@dataclass(frozen=True, slots=True)
class Schedule:
    epochs: int = 30
    batch: int = 16  # pictures of a step, of all processes together
    accumulate: int = 1  # batches before a step is taken
    sizes: tuple[str, ...] = ("640x384",)  # of the batches, by chance
    val_size: str = ""  # else the first of the sizes
    optimiser: str = "sgd"
    lr: float = 0.01
    momentum: float = 0.9  # AdamW's first beta
    decay: float = 5e-4  # of weights, not of biases and norms
    warmup: int = 500  # steps; a fifth of all at most
    shape: str = "cosine"  # or step, constant
    steps: tuple[int, ...] = ()  # epochs after which the rate falls to a tenth
    least: float = 0.01  # of the rate, at the end of the cosine
    clip: float = 10.0  # the largest norm of the gradient; 0: any
    ema: float = 0.9998  # how much the averaged weights keep at a step; 0: no average
    # fp16, bf16: mixed with float32; fp32, or nothing, or a CPU that does not know it: that alone.
    precision: str = ""
    workers: int = 2  # processes that read pictures, as many as there are CPUs at most
    validate: int = 1  # epochs between measurements
    save: int = 500  # steps between checkpoints, beside those of each epoch
    seed: int = 0

    def __post_init__(self) -> None:
        for key, known in (
            ("shape", SHAPES),
            ("optimiser", OPTIMISERS),
            ("precision", PRECISIONS),
        ):
            value = getattr(self, key)
            if value not in known:
                raise ValueError(f"{key} = {value!r}: {nearest(value, known)}")
        for key in ("batch", "accumulate", "validate", "save", "epochs"):
            if getattr(self, key) < 1:
                raise ValueError(f"{key} = {getattr(self, key)} must be 1 or more")
        if not self.sizes:
            raise ValueError("sizes is empty: name one such as 640x384")
        for key in ("momentum", "ema"):
            if getattr(self, key) >= 1:
                raise ValueError(f"{key} = {getattr(self, key)} must be less than 1")
        if self.lr <= 0:
            raise ValueError(f"lr = {self.lr}: nothing would be learned")
        if not all(isinstance(each, int) for each in self.steps):
            raise ValueError(f"steps = {list(self.steps)}: write epochs such as [20, 26]")


@dataclass(frozen=True, slots=True)
class Recipe:
    name: str
    start: Start
    model: ArchitectureSettings | EmbedderSettings
    train: tuple[DataSettings, ...]
    val: tuple[DataSettings, ...]
    augment: AugmentSettings | CropSettings
    schedule: Schedule
    loss: Mapping[str, Any] = field(default_factory=dict)
    assigner: Mapping[str, Any] = field(default_factory=dict)

    def tables(self) -> dict[str, Any]:
        """As the TOML has it, every setting told: for the record of a run, and to resume it."""
        model = dataclasses.asdict(self.start) | dataclasses.asdict(self.model)
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
    """Of files, or of recipes of `mot/configs/training`: one may tell the network, another one the
    data. `overrides` are GROUP.KEY=VALUE; paths of data that are not absolute begin at `root`."""
    tables: dict[str, Any] = {}
    for name in names:
        _add(tables, _read(name), name)
    title = "-".join(Path(name).stem for name in names)
    return recipe_of(_overridden(_placed(tables, root), overrides), title)


def _read(name: str) -> dict[str, Any]:
    path = Path(name)
    if path.is_file():
        return load_toml(path)
    if path.stem not in known_recipes():
        raise MotError(f"{name}: no such recipe: {nearest(path.stem, known_recipes())}")
    return shipped("training", path.stem)


def _add(tables: dict[str, Any], more: Mapping[str, Any], name: str) -> None:
    """Later tables win, key by key."""
    for group, table in more.items():
        if group not in _GROUPS or not isinstance(table, dict):
            raise MotError(f"{name}: unknown table [{group}]: {nearest(group, _GROUPS)}")
        tables[group] = {**tables.get(group, {}), **table}


def _placed(tables: dict[str, Any], root: str) -> dict[str, Any]:
    """With the paths of the data under the folder."""
    paths = ("annotations", "images")

    def placed(table: Any) -> Any:
        if not isinstance(table, dict):
            return table  # which is told of later
        given = {key: str(Path(root, table[key])) for key in paths if table.get(key)}
        return {**table, **given}

    parts = {part: [placed(each) for each in sets] for part, sets in tables.get("data", {}).items()}
    return {**tables, "data": parts} if root else tables


def differences(one: Mapping[str, Any], other: Mapping[str, Any]) -> list[str]:
    """In what the tables of two recipes differ, of what a training depends on."""
    one, other = (json.loads(json.dumps(each)) for each in (one, other))
    pairs = [(group, key) for group in other for key in other[group]]
    return [
        f"{group}.{key}"
        for group, key in pairs
        if key not in _FREE and one.get(group, {}).get(key) != other[group][key]
    ]


def known_recipes() -> list[str]:
    folder = resources.files("mot").joinpath("configs", "training")
    return sorted(each.name[:-5] for each in folder.iterdir() if each.name.endswith(".toml"))


def recipe_of(tables: Mapping[str, Any], name: str) -> Recipe:
    model = dict(tables.get("model", {}))
    keys = [each.name for each in dataclasses.fields(Start) if each.name in model]
    start = build_settings(Start, {key: model.pop(key) for key in keys}, f"{name} [model]")
    kinds = _kinds(start.family, f"{name} [model]")
    if start.family == EMBEDDER:
        model.pop("whole", None)  # which recipes of data sets tell detectors
    settings = build_settings(kinds[0], model, f"{name} [model]")
    schedule = build_settings(Schedule, tables.get("schedule", {}), f"{name} [schedule]")
    if isinstance(settings, EmbedderSettings):
        _check_embedder(tables, name)
        size = f"{settings.width}x{settings.height}"
        schedule = dataclasses.replace(schedule, sizes=(size,), val_size=size)
    data = tables.get("data", {})
    return Recipe(
        name,
        start,
        settings,
        _data(data, "train", name),
        _data(data, "val", name),
        build_settings(kinds[1], tables.get("augment", {}), f"{name} [augment]"),
        schedule,
        dict(tables.get("loss", {})),
        dict(tables.get("assigner", {})),
    )


def _kinds(family: str, place: str) -> tuple[type[Any], type[Any]]:
    """Of the settings of the network, and of what is done to the pictures."""
    if family == EMBEDDER:
        return EmbedderSettings, CropSettings
    if family not in ARCHITECTURES:
        known = nearest(family, [*ARCHITECTURES, EMBEDDER])
        raise MotError(f"{place}: unknown family {family!r}: {known}")
    return ARCHITECTURES[family], AugmentSettings


def _check_embedder(tables: Mapping[str, Any], name: str) -> None:
    if tables.get("assigner"):
        raise MotError(f"{name} [assigner]: an embedder has none: take the table out")
    given = {"sizes", "val_size"} & tables.get("schedule", {}).keys()
    if given:
        key = min(given)
        raise MotError(f"{name} [schedule]: {key}: an embedder's are model.width and model.height")


def _data(data: Mapping[str, Any], part: str, place: str) -> tuple[DataSettings, ...]:
    tables = data.get(part, [])
    if not isinstance(tables, list) or not all(isinstance(each, dict) for each in tables):
        raise MotError(f"{place}: write the data sets as [[data.{part}]]")
    return tuple(build_settings(DataSettings, each, f"{place} [[data.{part}]]") for each in tables)


def _overridden(tables: dict[str, Any], overrides: tuple[str, ...]) -> dict[str, Any]:
    given = parse_overrides(overrides, _SETTABLE)
    return {
        group: {**table, **given.get(group, {})}
        for group, table in {**{key: {} for key in _SETTABLE}, **tables}.items()
    }
