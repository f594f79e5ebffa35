"""Pads the channels of an ONNX model to a multiple of what a CPU convolves at once.

ONNX Runtime convolves on a CPU in blocks of channels. A map with less than a block, or with a
number of channels that 4 does not divide, leaves the blocked memory layout, and its convolutions
are slower than with some more channels. Each added channel is constant over the map and is
convolved with zeros, so that outputs stay the same.
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

_STEP = 4  # channels: maps with a multiple of these can be in the blocked layout
# Operators that treat each channel alike, with finite results for zeros.
_CHANNELWISE = (
    *("Relu", "LeakyRelu", "Elu", "Selu", "Celu", "Clip", "Sigmoid", "HardSigmoid", "HardSwish"),
    *("Tanh", "Erf", "Softplus", "Softsign", "Mish", "Gelu", "Neg", "Abs", "Identity"),
    *("MaxPool", "AveragePool", "GlobalMaxPool", "GlobalAveragePool"),
)
_ELEMENTWISE = ("Add", "Sub", "Mul", "Max", "Min", "Sum")


def pad_channels(file: ModelProto, block: int) -> ModelProto:
    """A model with the same outputs that is faster on CPUs with such a block.

    `block` is in channels: 4, 8 or 16. A float16 model stays as it is.
    """
    padded = ModelProto()
    padded.CopyFrom(file)
    nested = (AttributeProto.GRAPH, AttributeProto.GRAPHS)  # may read any map
    kinds = {attribute.type for node in padded.graph.node for attribute in node.attribute}
    if kinds.isdisjoint(nested):
        _Padding(padded.graph, block).apply()
    return padded


class _Use(enum.Flag):
    """How the channels of a map are read."""

    NONE = 0
    UNKNOWN = enum.auto()
    CONCATENATED = enum.auto()
    WIDE_KERNEL = enum.auto()  # convolutions larger than 1x1 that mix channels


@dataclass(slots=True, eq=False)
class _Run:
    """Consecutive channels of one convolution. Runs that need equal padding share a root."""

    width: int
    use: _Use = _Use.NONE
    _parent: _Run | None = None

    def root(self) -> _Run:
        run = self
        while run._parent:
            run = run._parent
        return run

    def unite(self, other: _Run) -> None:
        mine, root = self.root(), other.root()
        if mine is not root:
            mine._parent = root
            root.use |= mine.use

    def extra(self, block: int) -> int:
        """Number of channels to add; the limits were measured with blocks of 8 and 16."""
        use = self.root().use
        # For narrower maps a large kernel costs more than the faster layout gains.
        min_width = max(_STEP, block * 3 // 4 if _Use.WIDE_KERNEL in use else 0)
        if _Use.UNKNOWN in use or self.width < min_width:
            return 0
        if _Use.CONCATENATED in use or self.width >= block:
            return -self.width % _STEP
        return block - self.width


_Runs = tuple[_Run, ...]  # all channels of a map


class _ChannelRuns:
    """The runs of every map whose channels are understood."""

    def __init__(self, graph: GraphProto) -> None:
        self.constants = dict(_constants(graph))
        self.known: dict[str, _Runs] = {}
        self._readers = {
            **dict.fromkeys(_CHANNELWISE, self._read_channelwise),
            **dict.fromkeys(_ELEMENTWISE, self._read_elementwise),
            "Concat": self._read_concat,
            "Conv": self._read_conv,
            "Resize": self._read_resize,
        }
        for node in graph.node:
            self._read(node)
        self._mark((output.name for output in graph.output), _Use.UNKNOWN)

    def _read(self, node: NodeProto) -> None:
        is_plain = node.domain in ("", "ai.onnx") and len(node.output) == 1
        reader = self._readers.get(node.op_type) if is_plain else None
        if runs := reader and reader(node):
            self.known[node.output[0]] = runs
        else:
            self._mark(node.input, _Use.UNKNOWN)

    def _mark(self, names: Iterable[str], use: _Use) -> None:
        for name in names:
            for run in self.known.get(name, ()):
                run.root().use |= use

    def _read_conv(self, node: NodeProto) -> _Runs | None:
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
            self._mark([source], _Use.WIDE_KERNEL)
        return (_Run(len(weights)),)

    def _read_channelwise(self, node: NodeProto) -> _Runs | None:
        return self.known.get(node.input[0])

    def _read_elementwise(self, node: NodeProto) -> _Runs | None:
        maps = [self.known.get(name, ()) for name in node.input if not self._is_scalar(name)]
        if len({tuple(run.width for run in runs) for runs in maps}) != 1:
            return None
        for runs in maps:
            for run, other in zip(runs, maps[0], strict=True):
                run.unite(other)
        return maps[0]

    def _is_scalar(self, name: str) -> bool:
        constant = self.constants.get(name)
        return constant is not None and constant.size == 1

    def _read_concat(self, node: NodeProto) -> _Runs | None:
        maps = [self.known.get(name, ()) for name in node.input]
        if _attribute(node, "axis", 0) != 1 or not all(maps):
            return None
        self._mark(node.input, _Use.CONCATENATED)
        return tuple(run for runs in maps for run in runs)

    def _read_resize(self, node: NodeProto) -> _Runs | None:
        """Only constant factors are understood, and 1 for the channels."""
        factors = self.constants.get(node.input[2]) if len(node.input) == 3 else None
        is_plain = factors is not None and factors.shape == (4,) and factors[1] == 1
        return self.known.get(node.input[0]) if is_plain else None


class _Padding:
    """Adds the channels to the convolutions of a graph, in place."""

    def __init__(self, graph: GraphProto, block: int) -> None:
        self._graph = graph
        self._block = block
        self._runs = _ChannelRuns(graph)
        self._padded: dict[tuple[str, ...], str] = {}  # names of padded weights, by source and gaps

    def apply(self) -> None:
        for node in self._graph.node:
            if node.op_type == "Conv" and node.output[0] in self._runs.known:
                self._pad(node)
        self._remove_unused()

    def _pad(self, node: NodeProto) -> None:
        source, result = (self._gaps(name) for name in (node.input[0], node.output[0]))
        groups = [attribute for attribute in node.attribute if attribute.name == "group"]
        if groups and groups[0].i > 1:
            groups[0].i += len(result)
            source = source[:0]
        node.input[1] = self._pad_constant(node.input[1], result, source)
        if len(node.input) > 2:
            node.input[2] = self._pad_constant(node.input[2], result)

    def _gaps(self, name: str) -> IntArray:
        """Channel numbers of a map before which channels are added, one entry per added channel."""
        runs = self._runs.known.get(name, ())
        ends = np.cumsum([run.width for run in runs], dtype=np.int64)
        return np.repeat(ends, [run.extra(self._block) for run in runs])

    def _pad_constant(self, name: str, *gaps: IntArray) -> str:
        """Name of a constant with zeros inserted at the gaps of its first axes."""
        if not any(map(len, gaps)):
            return name
        key = (name, *(str(each.tolist()) for each in gaps))
        if key not in self._padded:
            array = self._runs.constants[name]
            for axis, each in enumerate(gaps):
                array = np.insert(array, each, 0, axis)
            self._padded[key] = f"{name}.padded{len(self._padded)}"
            self._graph.initializer.append(numpy_helper.from_array(array, self._padded[key]))
        return self._padded[key]

    def _remove_unused(self) -> None:
        """Removes unused constants, and the stored shapes of maps that are padded now."""
        graph = self._graph
        used = {name for node in graph.node for name in node.input}
        used.update(output.name for output in graph.output)
        unchanged = {name for name in used if not len(self._gaps(name))}
        _remove(graph.node, lambda each: each.op_type == "Constant" and each.output[0] not in used)
        _remove(graph.initializer, lambda each: each.name not in used)
        _remove(graph.value_info, lambda each: each.name not in unchanged)


def _constants(graph: GraphProto) -> Iterator[tuple[str, npt.NDArray[Any]]]:
    """Constants that the caller cannot override, by name."""
    given = {each.name for each in graph.input}
    for tensor in graph.initializer:
        if tensor.name not in given:
            yield tensor.name, numpy_helper.to_array(tensor)
    for node in graph.node:
        if node.op_type == "Constant" and node.attribute[0].name == "value":
            yield node.output[0], numpy_helper.to_array(node.attribute[0].t)


def _attribute(node: NodeProto, name: str, default: int) -> int:
    return next((int(each.i) for each in node.attribute if each.name == name), default)


def _remove(field: Any, is_unused: Callable[[Any], bool]) -> None:
    for index in reversed(range(len(field))):
        if is_unused(field[index]):
            del field[index]
