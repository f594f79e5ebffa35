"""Parser of Darknet's `.cfg` files: checked layers of a network, without weights or PyTorch.

The sections after `[net]` are layers, numbered from 0. A layer takes the output of the previous
one; `[route]`, `[shortcut]` and `[scale_channels]` name others by number, or relative to
themselves if negative. What Darknet ignores silently (a misspelt key, an unknown activation, a
layer that does not exist) is an error here, with its line.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, TypeVar, get_type_hints

from mot.detectors.darknet.layers import (
    Avgpool,
    Convolutional,
    Dropout,
    Layer,
    Maxpool,
    Route,
    ScaleChannels,
    Shape,
    Shortcut,
    Upsample,
    Yolo,
)
from mot.errors import MotError, suggest

IMAGE = -1  # the number of the layer that is the image itself
ACTIVATIONS = frozenset(
    "linear leaky relu relu6 relie ramp logistic loggy tanh hardtan lhtan plse elu selu gelu "
    "swish mish hard_mish hard_swish hswish".split()
)
_KINDS = (
    Convolutional,
    Maxpool,
    Avgpool,
    Shortcut,
    Route,
    Upsample,
    Dropout,
    ScaleChannels,
    Yolo,
)
_LAYERS: dict[str, type[Layer]] = {
    **{kind.kind: kind for kind in _KINDS},
    "conv": Convolutional,
    "max": Maxpool,
    "avg": Avgpool,
}
_MAX_NUMBER = 1 << 16  # of any number in a file
_MAX_PARAMETERS = 1 << 29  # twice those of the largest networks
_MAX_MAP = 1 << 31  # elements of a layer's output
# Keys that do not change what a trained network computes.
_TRAINING = frozenset(
    "stopbackward onlyforward dont_update burnin_update learning_rate learning_rate_scale clip "
    "burn_in jitter resize random max map ignore_thresh truth_thresh iou_thresh iou_loss "
    "iou_thresh_kind iou_normalizer obj_normalizer cls_normalizer uc_normalizer delta_normalizer "
    "max_delta nms_kind beta_nms focal_loss objectness_smooth label_smooth_eps counters_per_class "
    "show_details track_history_size sim_thresh dets_for_track dets_for_show track_ciou_norm "
    "embedding_layer dropblock dropblock_size_rel dropblock_size_abs grad_centr "
    "weights_normalization".split()
)
# Keys that do, and are refused unless they are off.
_SWITCHES = frozenset(
    "antialiasing assisted_excitation binary bin_output deform dontload dontloadscales flipped "
    "maxpool_depth reverse rotate share_index stream stretch stretch_sway sway wait_stream "
    "weights_type xnor".split()
)
_Filled = TypeVar("_Filled")


@dataclass(frozen=True, slots=True, kw_only=True)
class Net:
    line: int = 0
    width: int
    height: int
    channels: int = 3


@dataclass(frozen=True, slots=True)
class Network:
    path: Path
    net: Net
    layers: tuple[Layer, ...]
    shapes: tuple[Shape, ...]  # output of each layer for an image of the size in `[net]`

    @property
    def heads(self) -> tuple[int, ...]:
        """Numbers of the `[yolo]` layers."""
        return tuple(i for i, layer in enumerate(self.layers) if isinstance(layer, Yolo))

    @property
    def classes(self) -> int:
        return next(layer.classes for layer in self.layers if isinstance(layer, Yolo))

    @property
    def stride(self) -> int:
        """Both sides of the input image must be multiples of it."""
        used = [shape for i, shape in enumerate(self.shapes) if shape[1] > 1 or i in self.heads]
        return max(max(self.cell(shape)) for shape in used)

    def cell(self, shape: Shape) -> tuple[int, int]:
        """(width, height) of a cell of such a map, in pixels of the image."""
        return round(self.net.width / shape.width), round(self.net.height / shape.height)

    def inputs(self, index: int) -> list[Shape]:
        """Shapes of the inputs of a layer."""
        return _inputs(self.net, self.shapes, self.layers[index])

    def name(self, index: int) -> str:
        """Name of a layer in messages."""
        layer = self.layers[index]
        return f"layer {index} [{layer.kind}] ({self.path.name}:{layer.line})"


def parse_cfg(path: str | Path) -> Network:
    """Reads and checks a `.cfg` file."""
    path = Path(path)
    return parse_text(path, read_text(path))


def parse_text(path: Path, text: str) -> Network:
    """Checks the text of a `.cfg`; `path` is for messages."""
    first, *rest = _read_sections(path, text)
    if first.name not in ("net", "network"):
        raise MotError(f"{path}:{first.line}: starts with [{first.name}], not with [net]")
    net = _fill(path, Net, first)
    layers: list[Layer] = []
    shapes: list[Shape] = []
    for section in rest:
        layer = _build(path, section, len(layers))
        shapes.append(_shape_of(path, layer, len(layers), _inputs(net, shapes, layer)))
        layers.append(layer)
    network = Network(path, net, tuple(layers), tuple(shapes))
    _check_network(network)
    return network


def _inputs(net: Net, shapes: Sequence[Shape], layer: Layer) -> list[Shape]:
    image = Shape(net.channels, net.height, net.width)
    return [image if source == IMAGE else shapes[source] for source in layer.sources]


def _shape_of(path: Path, layer: Layer, index: int, inputs: list[Shape]) -> Shape:
    location = f"{path}:{layer.line}: layer {index} [{layer.kind}]"
    try:
        shape = layer.shape(inputs)
    except ValueError as error:
        raise MotError(f"{location}: {error}") from None
    if math.prod(shape) > _MAX_MAP:
        raise MotError(f"{location}: its output {shape} does not fit into memory")
    return shape


def _check_network(network: Network) -> None:
    classes = {layer.classes for layer in network.layers if isinstance(layer, Yolo)}
    if not classes:
        raise MotError(f"{network.path}: no [yolo] section: not a detector")
    if len(classes) > 1:
        found = " and ".join(map(str, sorted(classes)))
        raise MotError(f"{network.path}: [yolo] sections with {found} classes: make them equal")
    parameters = sum(
        math.prod(layer.weight_shape(network.inputs(index)[0].channels))
        for index, layer in enumerate(network.layers)
        if isinstance(layer, Convolutional)
    )
    if parameters > _MAX_PARAMETERS:
        raise MotError(f"{network.path}: {parameters} parameters: more than any real network")


class _Option(NamedTuple):
    text: str
    line: int


@dataclass(frozen=True, slots=True)
class _Section:
    name: str
    line: int
    options: dict[str, _Option]


def _read_sections(path: Path, cfg: str) -> list[_Section]:
    sections: list[_Section] = []
    for line, raw in enumerate(cfg.split("\n"), 1):
        text = "".join(raw.partition("#")[0].split())
        if not text or text.startswith(";"):
            continue
        if text.startswith("["):
            sections.append(_Section(text.strip("[]").lower(), line, {}))
            continue
        key, equals, value = text.partition("=")
        if not (sections and equals and value):
            raise MotError(f"{path}:{line}: {text[:40]!r} is neither [section] nor key=value")
        sections[-1].options.setdefault(key, _Option(value, line))  # Darknet takes the first
    if not sections:
        raise MotError(f"{path}: has no [section]: not a Darknet .cfg")
    return sections


def read_text(path: Path) -> str:
    """Text of a `.cfg` file in any encoding."""
    try:
        return path.read_text("utf-8-sig", errors="replace")
    except FileNotFoundError:
        raise MotError(f"{path}: no such file") from None
    except OSError as error:
        raise MotError(f"{path}: cannot be read ({error.strerror})") from None


def _build(path: Path, section: _Section, index: int) -> Layer:
    kind = _LAYERS.get(section.name)
    if kind is None:
        known = suggest(section.name, _LAYERS)
        raise MotError(f"{path}:{section.line}: unknown section [{section.name[:40]}]: {known}")
    layer = _fill(path, kind, section)
    if kind.key and not layer.sources:
        raise MotError(f"{path}:{section.line}: [{section.name}] needs {kind.key}=")
    named = tuple(_resolve(path, section, index, each) for each in layer.sources)
    previous = (index - 1,) if kind.takes_previous else ()
    return dataclasses.replace(layer, sources=previous + named)


def _resolve(path: Path, section: _Section, index: int, named: int) -> int:
    source = index + named if named < 0 else named
    if 0 <= source < index:
        return source
    key = _LAYERS[section.name].key
    fault = f"there is no layer {source}" if source < 0 else "only layers before it are allowed"
    raise MotError(
        f"{path}:{section.options[key].line}: layer {index} [{section.name}] "
        f"takes {key}={named}: {fault}"
    )


def _fill(path: Path, kind: type[_Filled], section: _Section) -> _Filled:
    """Dataclass of a section, filled with the values of the file."""
    rules = _rules(kind)
    values: dict[str, Any] = {"line": section.line}
    for key, (text, line) in section.options.items():
        location = f"{path}:{line}"
        if key in rules:
            values[rules[key].field] = _convert(location, key, text, rules[key])
        elif kind is not Net:  # all other keys of [net] are for training
            _check_ignored(location, section.name, (key, text), rules)
    try:
        return kind(**values)
    except TypeError:
        raise MotError(f"{path}:{section.line}: [net] needs width= and height=") from None


class _Rule(NamedTuple):
    """How to read the value of a key."""

    field: str
    read: Callable[[str], Any]
    min: int
    what: str


def _rules(kind: type[Any]) -> dict[str, _Rule]:
    """Rules by key. An integer with a default other than 0 must not be 0."""
    hints, rules = get_type_hints(kind), {}
    for field in dataclasses.fields(kind):
        if field.name == "sources" and kind.key:
            rules[kind.key] = _Rule(field.name, _integers, -_MAX_NUMBER, "numbers of layers")
        elif field.name not in ("line", "sources"):
            read, what = _READERS[hints[field.name]]
            at_least_one = hints[field.name] is int and field.default != 0
            rules[field.name] = _Rule(field.name, read, int(at_least_one), what)
    return rules


def _integers(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in text.split(",") if part)


def _numbers(text: str) -> tuple[float, ...]:
    return tuple(float(part) for part in text.split(",") if part)


def _activation(text: str) -> str:
    if text not in ACTIVATIONS:
        raise MotError(suggest(text, ACTIVATIONS))
    return text


_READERS: dict[Any, tuple[Callable[[str], Any], str]] = {
    int: (int, "an integer"),
    int | None: (int, "an integer"),
    float: (float, "a number"),
    tuple[int, ...]: (_integers, "integers"),
    tuple[float, ...]: (_numbers, "numbers"),
    str: (_activation, "an activation"),
}


def _convert(location: str, key: str, text: str, rule: _Rule) -> Any:
    shown = f"{location}: {key}={text[:40]}"
    try:
        value = rule.read(text)
    except ValueError:
        raise MotError(f"{shown} must be {rule.what}") from None
    except MotError as error:
        raise MotError(f"{shown} is not known: {error}") from None
    for number in value if isinstance(value, tuple) else (value,):
        if not isinstance(number, str) and not rule.min <= number <= _MAX_NUMBER:
            raise MotError(f"{shown} must be between {rule.min} and {_MAX_NUMBER}")
    return value


def _check_ignored(
    location: str, section: str, option: tuple[str, str], known: Iterable[str]
) -> None:
    """Refuses a key without a field unless it does not affect inference."""
    key, text = option
    if key in _SWITCHES and text not in ("0", "none"):
        raise MotError(f"{location}: {key}={text[:40]} in [{section}] is not supported")
    if key not in _SWITCHES | _TRAINING:
        hint = suggest(key, known)
        raise MotError(f"{location}: unknown key {key[:40]!r} in [{section}]: {hint}")
