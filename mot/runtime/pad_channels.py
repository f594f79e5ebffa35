"""The maps of an ONNX file widened by channels that nothing looks at.

ONNX Runtime convolves on a CPU in blocks of channels. A map of less than a block, or of a number
of channels that 4 does not divide, leaves the blocked layout, and what convolves it is slower than
with some channels more. Those added here are the same at every place, and convolved by zeros.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from onnx import AttributeProto, GraphProto, ModelProto, NodeProto, numpy_helper

from mot.types import IntArray

_STEP = 4  # channels: a map that has a multiple of these may be cut into blocks
# They treat each channel alike, and zeros give them something finite.
_ALONE = (
    *("Relu", "LeakyRelu", "Elu", "Selu", "Celu", "Clip", "Sigmoid", "HardSigmoid", "HardSwish"),
    *("Tanh", "Erf", "Softplus", "Softsign", "Mish", "Gelu", "Neg", "Abs", "Identity"),
    *("MaxPool", "AveragePool", "GlobalMaxPool", "GlobalAveragePool"),
)
_TOGETHER = ("Add", "Sub", "Mul", "Max", "Min", "Sum")


def pad_channels(file: ModelProto, block: int) -> ModelProto:
    """A file that gives the same, sooner on CPUs of such a block; float16 is left as it is."""
    padded = ModelProto()
    padded.CopyFrom(file)
    nested = (AttributeProto.GRAPH, AttributeProto.GRAPHS)  # they may look at any map
    kinds = {attribute.type for node in padded.graph.node for attribute in node.attribute}
    if kinds.isdisjoint(nested):
        _Widening(padded.graph, block).apply()
    return padded


class _Use(enum.Flag):
    NONE = 0
    UNKNOWN = enum.auto()
    CONCATENATED = enum.auto()
    CONVOLVED_WIDELY = enum.auto()  # by kernels larger than 1x1 that mix channels


@dataclass(slots=True, eq=False)
class _Run:
    """The channels that a convolution gives; those that must stay alike are one, their root's."""

    width: int
    use: _Use = _Use.NONE
    _same: _Run | None = None

    def root(self) -> _Run:
        run = self
        while run._same:
            run = run._same
        return run

    def unite(self, other: _Run) -> None:
        mine, root = self.root(), other.root()
        if mine is not root:
            mine._same = root
            root.use |= mine.use

    def extra(self, block: int) -> int:
        """How many channels to add: by measurement, with blocks of 8 and of 16."""
        use = self.root().use
        # What is added costs a larger kernel more than the faster layout gains.
        least = max(_STEP, block * 3 // 4 if _Use.CONVOLVED_WIDELY in use else 0)
        if _Use.UNKNOWN in use or self.width < least:
            return 0
        if _Use.CONCATENATED in use or self.width >= block:
            return -self.width % _STEP
        return block - self.width


_Layout = tuple[_Run, ...]  # what the channels of a map consist of


class _Layouts:
    """Of each map whose channels are understood."""

    def __init__(self, graph: GraphProto) -> None:
        self.constants = dict(_constants(graph))
        self.known: dict[str, _Layout] = {}
        self._readers = {
            **dict.fromkeys(_ALONE, self._alone),
            **dict.fromkeys(_TOGETHER, self._together),
            "Concat": self._concatenated,
            "Conv": self._convolved,
            "Resize": self._resized,
        }
        for node in graph.node:
            self._read(node)
        self._mark((output.name for output in graph.output), _Use.UNKNOWN)

    def _read(self, node: NodeProto) -> None:
        is_plain = node.domain in ("", "ai.onnx") and len(node.output) == 1
        reader = self._readers.get(node.op_type) if is_plain else None
        if layout := reader and reader(node):
            self.known[node.output[0]] = layout
        else:
            self._mark(node.input, _Use.UNKNOWN)

    def _mark(self, names: Iterable[str], use: _Use) -> None:
        for name in names:
            for run in self.known.get(name, ()):
                run.root().use |= use

    def _convolved(self, node: NodeProto) -> _Layout | None:
        source, *names = node.input
        if not all(name in self.constants for name in names):
            return None
        weights = self.constants[names[0]]
        if weights.dtype != np.float32 or weights.ndim != 4:
            return None
        groups = _attribute(node, "group", 1)
        if groups > 1:
            return self.known.get(source) if weights.shape[:2] == (groups, 1) else None
        if weights.shape[2:] != (1, 1):
            self._mark([source], _Use.CONVOLVED_WIDELY)
        return (_Run(len(weights)),)

    def _alone(self, node: NodeProto) -> _Layout | None:
        return self.known.get(node.input[0])

    def _together(self, node: NodeProto) -> _Layout | None:
        layouts = [self.known.get(name, ()) for name in node.input if not self._is_number(name)]
        if len({tuple(run.width for run in layout) for layout in layouts}) != 1:
            return None
        for layout in layouts:
            for run, other in zip(layout, layouts[0], strict=True):
                run.unite(other)
        return layouts[0]

    def _is_number(self, name: str) -> bool:
        constant = self.constants.get(name)
        return constant is not None and constant.size == 1

    def _concatenated(self, node: NodeProto) -> _Layout | None:
        layouts = [self.known.get(name, ()) for name in node.input]
        if _attribute(node, "axis", 0) != 1 or not all(layouts):
            return None
        self._mark(node.input, _Use.CONCATENATED)
        return tuple(run for layout in layouts for run in layout)

    def _resized(self, node: NodeProto) -> _Layout | None:
        """By constant factors, and not across channels."""
        factors = self.constants.get(node.input[2]) if len(node.input) == 3 else None
        is_plain = factors is not None and factors.shape == (4,) and factors[1] == 1
        return self.known.get(node.input[0]) if is_plain else None


class _Widening:
    def __init__(self, graph: GraphProto, block: int) -> None:
        self._graph = graph
        self._block = block
        self._layouts = _Layouts(graph)
        self._names: dict[tuple[str, ...], str] = {}  # of wide weights, by what they are made of

    def apply(self) -> None:
        for node in self._graph.node:
            if node.op_type == "Conv" and node.output[0] in self._layouts.known:
                self._widen(node)
        self._tidy()

    def _widen(self, node: NodeProto) -> None:
        source, result = (self._gaps(name) for name in (node.input[0], node.output[0]))
        groups = [attribute for attribute in node.attribute if attribute.name == "group"]
        if groups and groups[0].i > 1:
            groups[0].i += len(result)
            source = source[:0]
        node.input[1] = self._wide(node.input[1], result, source)
        if len(node.input) > 2:
            node.input[2] = self._wide(node.input[2], result)

    def _gaps(self, name: str) -> IntArray:
        """Before which channels of a map others come, once for each of these."""
        runs = self._layouts.known.get(name, ())
        ends = np.cumsum([run.width for run in runs], dtype=np.int64)
        return np.repeat(ends, [run.extra(self._block) for run in runs])

    def _wide(self, name: str, *gaps: IntArray) -> str:
        """A constant with zeros in the gaps of its first axes."""
        if not any(map(len, gaps)):
            return name
        key = (name, *(str(each.tolist()) for each in gaps))
        if key not in self._names:
            array = self._layouts.constants[name]
            for axis, each in enumerate(gaps):
                array = np.insert(array, each, 0, axis)
            self._names[key] = f"{name}.padded{len(self._names)}"
            self._graph.initializer.append(numpy_helper.from_array(array, self._names[key]))
        return self._names[key]

    def _tidy(self) -> None:
        """Drop what nothing needs any more, and shapes that are others now."""
        graph = self._graph
        used = {name for node in graph.node for name in node.input}
        used.update(output.name for output in graph.output)
        same = {name for name in used if not len(self._gaps(name))}
        _drop(graph.node, lambda each: each.op_type == "Constant" and each.output[0] not in used)
        _drop(graph.initializer, lambda each: each.name not in used)
        _drop(graph.value_info, lambda each: each.name not in same)


def _constants(graph: GraphProto) -> Iterator[tuple[str, npt.NDArray[Any]]]:
    given = {each.name for each in graph.input}
    for tensor in graph.initializer:
        if tensor.name not in given:
            yield tensor.name, numpy_helper.to_array(tensor)
    for node in graph.node:
        if node.op_type == "Constant" and node.attribute[0].name == "value":
            yield node.output[0], numpy_helper.to_array(node.attribute[0].t)


def _attribute(node: NodeProto, name: str, default: int) -> int:
    return next((int(each.i) for each in node.attribute if each.name == name), default)


def _drop(field: Any, is_idle: Callable[[Any], bool]) -> None:
    for index in reversed(range(len(field))):
        if is_idle(field[index]):
            del field[index]
