"""Padded ONNX models against the original ones."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mot.opencv import cv2
from mot.runtime.onnx_session import cpu_block

onnx = pytest.importorskip("onnx", reason="onnx is not installed")
runtime = pytest.importorskip("onnxruntime", reason="ONNX Runtime is not installed")

from mot.runtime.pad_channels import pad_channels  # noqa: E402

helper, numpy_helper = onnx.helper, onnx.numpy_helper
FLOAT, FLOAT16 = onnx.TensorProto.FLOAT, onnx.TensorProto.FLOAT16


class GraphBuilder:
    """Builds a graph node by node from `images` with 3 channels; methods return map names."""

    def __init__(self, kind: int = FLOAT) -> None:
        self.nodes: list[Any] = []
        self.constants: list[Any] = []
        self.widths = {"images": 3}
        self._kind = kind
        self._random = np.random.default_rng(0)

    def constant(self, *shape: int) -> str:
        values = self._random.normal(size=shape) / max(1, np.prod(shape[1:])) ** 0.5
        return self.add_constant(values.astype(helper.tensor_dtype_to_np_dtype(self._kind)))

    def add_constant(self, values: Any) -> str:
        name = f"constant {len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.asarray(values), name))
        return name

    def step(self, kind: str, *given: str, width: int = 0, **attributes: Any) -> str:
        name = f"{kind} {len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, given, [name], **attributes))
        self.widths[name] = width or self.widths[given[0]]
        return name

    def conv(
        self, source: str, width: int, size: int = 1, groups: int = 1, constants: Any = ()
    ) -> str:
        own = (width, self.widths[source] // groups, size, size)
        names = constants or (self.constant(*own), self.constant(width))
        pads = [size // 2] * 4
        return self.step("Conv", source, *names, width=width, group=groups, pads=pads)

    def depthwise(self, source: str) -> str:
        width = self.widths[source]
        return self.conv(source, width, 3, groups=width)

    def join(self, *sources: str) -> str:
        return self.step("Concat", *sources, width=sum(map(self.widths.get, sources)), axis=1)

    def file(self, *results: str) -> Any:
        graph = helper.make_graph(
            self.nodes,
            "graph",
            [helper.make_tensor_value_info("images", self._kind, ["batch", 3, "height", "width"])],
            [helper.make_tensor_value_info(name, self._kind, None) for name in results],
            self.constants,
        )
        opset = [helper.make_opsetid("", 17)]
        return onnx.shape_inference.infer_shapes(
            helper.make_model(graph, opset_imports=opset, ir_version=8)
        )


def run(file: Any, kind: Any = np.float32) -> list[Any]:
    options = runtime.SessionOptions()
    options.intra_op_num_threads = 1
    session = runtime.InferenceSession(
        file.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    images = np.random.default_rng(1).normal(size=(2, 3, 7, 6)).astype(kind)
    return session.run(None, {"images": images})


def widths_of(file: Any) -> list[int]:
    """Output channels of each convolution."""
    shapes = {each.name: each.dims for each in file.graph.initializer}
    return [shapes[node.input[1]][0] for node in file.graph.node if node.op_type == "Conv"]


def padded(graph: GraphBuilder, *results: str, block: int = 16) -> Any:
    """The padded model, checked to be valid and to have the same outputs."""
    file = graph.file(*results)
    before = file.SerializeToString()
    wide = pad_channels(file, block)
    assert file.SerializeToString() == before
    onnx.checker.check_model(wide, full_check=True)
    for one, other in zip(run(wide), run(file), strict=True):
        assert one.shape == other.shape
        np.testing.assert_allclose(one, other, atol=1e-6 * max(1, np.abs(other).max()))
    used = {name for node in wide.graph.node for name in node.input}
    assert {each.name for each in wide.graph.initializer} <= used
    return wide


def chain(*steps: tuple[int, int]) -> tuple[GraphBuilder, str]:
    """A chain of convolutions with these widths and kernel sizes."""
    graph, last = GraphBuilder(), "images"
    for width, size in steps:
        last = graph.step("Relu", graph.conv(last, width, size))
    return graph, last


@pytest.mark.parametrize(
    ("block", "width", "size", "wanted"),
    [
        *[(16, width, 1, wide) for width, wide in ((3, 3), (4, 16), (9, 16), (16, 16), (17, 20))],
        *[(16, width, 3, wide) for width, wide in ((8, 8), (11, 11), (12, 16), (18, 20), (72, 72))],
        *[(8, width, 1, wide) for width, wide in ((3, 3), (4, 8), (8, 8), (9, 12))],
        *[(8, width, 3, wide) for width, wide in ((5, 5), (6, 8), (12, 12))],
        *[(4, width, 1, wide) for width, wide in ((3, 3), (4, 4), (6, 8), (8, 8), (37, 40))],
        *[(4, width, 3, wide) for width, wide in ((3, 3), (4, 4), (5, 8))],
    ],
)
def test_padded_width(block, width, size, wanted) -> None:
    """It depends on the next convolution; outputs are not padded."""
    graph, last = chain((width, 3), (5, size))
    assert widths_of(padded(graph, last, block=block)) == [wanted, 5]


def test_largest_kernel_decides_the_width() -> None:
    graph = GraphBuilder()
    narrow = graph.conv("images", 8)
    results = graph.conv(narrow, 2), graph.conv(narrow, 2, 3)
    assert widths_of(padded(graph, *results)) == [8, 2, 2]


def test_sums_and_depthwise_convolutions_have_the_width_of_their_inputs() -> None:
    graph = GraphBuilder()
    first = graph.conv("images", 8)
    second = graph.conv(graph.depthwise(graph.conv(first, 24)), 8)
    total = graph.step("Add", second, first)
    third = graph.conv(graph.step("Relu", graph.depthwise(total)), 8)
    total = graph.step("Add", total, third)
    wide = padded(graph, graph.conv(total, 5))
    assert widths_of(wide) == [16, 24, 24, 16, 16, 16, 5]
    groups = [node.attribute[0].i for node in wide.graph.node if node.op_type == "Conv"]
    assert sorted(groups) == [1, 1, 1, 1, 1, 16, 24]


@pytest.mark.parametrize("index", range(6))
def test_one_fixed_map_fixes_all_that_are_added_to_it(index) -> None:
    """Whether it is read before the addition or after."""
    graph = GraphBuilder()
    parts = [graph.conv("images", 8) for _ in range(3)]
    if index < 3:
        graph.step("Softmax", parts[index])
    total = graph.step("Add", graph.step("Add", *parts[:2]), parts[2])
    if index >= 3:
        graph.step("Softmax", parts[index - 3])
    assert widths_of(padded(graph, graph.conv(total, 5))) == [8, 8, 8, 5]


@pytest.mark.parametrize(
    ("kind", "attributes"),
    [
        ("LeakyRelu", {"alpha": 0.1}),
        ("Sigmoid", {}),
        ("HardSwish", {}),
        ("HardSigmoid", {"alpha": 0.1, "beta": 0.7}),
        ("Softplus", {}),
        ("Tanh", {}),
        ("MaxPool", {"kernel_shape": [3, 3], "pads": [1, 1, 1, 1]}),
        ("AveragePool", {"kernel_shape": [2, 2]}),
        ("GlobalAveragePool", {}),
    ],
)
def test_channelwise_operators(kind, attributes) -> None:
    """Added channels are no longer zero, but have no effect."""
    graph = GraphBuilder()
    mapped = graph.step(kind, graph.conv("images", 8), **attributes)
    mapped = graph.step(kind, graph.depthwise(mapped), **attributes)
    assert widths_of(padded(graph, graph.conv(mapped, 5))) == [16, 16, 5]


def test_scalars_gates_and_resized_maps() -> None:
    graph = GraphBuilder()
    first = graph.conv("images", 12)
    number = graph.add_constant(np.float32(0.5))
    first = graph.step("Clip", graph.step("Add", first, number), number)
    squeezed = graph.conv(graph.step("GlobalAveragePool", first), 4)
    gate = graph.step("Sigmoid", graph.conv(squeezed, 12))
    gated = graph.step("Mul", number, graph.step("Mul", first, gate), width=12)
    large = graph.step("Resize", gated, "", graph.add_constant(np.float32([1, 1, 2, 2])))
    assert widths_of(padded(graph, graph.conv(large, 5))) == [16, 16, 16, 5]


def test_concatenated_maps() -> None:
    """They fill no block, but the width of each part must be divisible by 4."""
    graph = GraphBuilder()
    parts = [graph.conv("images", width) for width in (6, 18, 8, 3)]
    joined = graph.join(*parts, parts[0])
    twice = graph.join(graph.depthwise(joined), parts[1])
    wide = padded(graph, graph.conv(twice, 5), graph.conv(joined, 6))
    assert widths_of(wide) == [8, 20, 8, 3, 8 + 20 + 8 + 3 + 8, 5, 6]


def test_concatenated_maps_of_equal_widths_can_be_added() -> None:
    for other, wanted in (((6, 10), [8, 12, 8, 12, 5]), ((10, 6), [6, 10, 10, 6, 5])):
        graph = GraphBuilder()
        one, two = (graph.join(*(graph.conv("images", w) for w in s)) for s in ((6, 10), other))
        total = graph.step("Add", one, two)
        assert widths_of(padded(graph, graph.conv(total, 5))) == wanted


def test_outputs_and_maps_of_unknown_operators_keep_their_width() -> None:
    graph, first = chain((8, 1))
    second = graph.step("Relu", graph.conv(first, 8))
    turned = graph.step("Transpose", second, perm=[0, 2, 3, 1])
    wide = padded(graph, graph.conv(second, 5), first, turned)
    assert widths_of(wide) == [8, 8, 5]


UNKNOWN = {
    "grouped": lambda graph, narrow: graph.conv(narrow, 6, groups=2),
    "vector": lambda graph, narrow: graph.step("Mul", narrow, graph.constant(1, 6, 1, 1)),
    "other axis": lambda graph, narrow: graph.step("Concat", narrow, narrow, axis=2),
    "with a constant": lambda graph, narrow: graph.step(
        "Concat", narrow, graph.constant(2, 2, 7, 6), axis=1, width=8
    ),
    "softmax": lambda graph, narrow: graph.step("Softmax", narrow, axis=1),
    "one channel": lambda graph, narrow: graph.step("Add", narrow, graph.conv("images", 1)),
    "unknown weights": lambda graph, narrow: graph.step(
        "Conv", narrow, graph.step("Identity", graph.constant(6, 6, 1, 1), width=6)
    ),
    "resized channels": lambda graph, narrow: graph.step(
        "Resize", narrow, "", graph.add_constant(np.float32([1, 2, 1, 1])), width=12
    ),
}


@pytest.mark.parametrize("name", UNKNOWN)
def test_unknown_structures_are_not_padded(name) -> None:
    graph = GraphBuilder()
    narrow = graph.conv("images", 6)
    odd = UNKNOWN[name](graph, narrow)
    file = graph.file(graph.conv(odd, 5))
    assert pad_channels(file, 16).graph == file.graph


def test_indices_of_max_pooling_are_unchanged() -> None:
    graph = GraphBuilder()
    narrow = graph.conv("images", 8)
    pooled = graph.step("MaxPool", narrow, kernel_shape=[2, 2])
    graph.nodes[-1].output.append("indices")
    file = graph.file(graph.conv(pooled, 5))
    file.graph.output.append(helper.make_tensor_value_info("indices", onnx.TensorProto.INT64, None))
    wide = pad_channels(file, 16)
    for one, other in zip(run(wide), run(file), strict=True):
        np.testing.assert_array_equal(one, other)


def test_shared_weights_are_padded_once_per_use() -> None:
    graph = GraphBuilder()
    shared = graph.constant(5, 8, 1, 1), graph.constant(5)
    wide, other, fixed, six, two = (graph.conv("images", width) for width in (8, 8, 8, 6, 2))
    sources = (wide, other, graph.join(two, six), graph.join(six, two), fixed)
    heads = [graph.conv(each, 5, constants=shared) for each in sources]
    file = padded(graph, *heads, fixed)
    assert widths_of(file) == [16, 16, 8, 8, 2, 5, 5, 5, 5, 5]
    first, second, *others = (node.input[1] for node in file.graph.node[-5:])
    assert first == second and others[-1] == shared[0]
    assert len({first, *others}) == 4


def test_constant_nodes() -> None:
    graph, last = chain((8, 1), (5, 1))
    for tensor in graph.constants:
        graph.nodes.insert(0, helper.make_node("Constant", [], [tensor.name], value=tensor))
    graph.constants.clear()
    wide = padded(graph, last)
    assert [list(each.dims) for each in wide.graph.initializer] == [
        [16, 3, 1, 1],
        [16],
        [5, 16, 1, 1],
    ]
    assert [node.op_type for node in wide.graph.node].count("Constant") == 1


def test_overridable_weights_and_branches_are_not_padded() -> None:
    graph, last = chain((8, 1), (5, 1))
    file = graph.file(last)
    weights = file.graph.initializer[0]
    file.graph.input.append(helper.make_tensor_value_info(weights.name, FLOAT, weights.dims))
    assert pad_channels(file, 16) == file
    file = graph.file(last)
    branch = helper.make_graph(
        [helper.make_node("Identity", [graph.nodes[0].output[0]], ["inner"])],
        "branch",
        [],
        [helper.make_tensor_value_info("inner", FLOAT, None)],
    )
    file.graph.node.append(
        helper.make_node("If", ["is it"], ["chosen"], then_branch=branch, else_branch=branch)
    )
    assert pad_channels(file, 16) == file


def test_half_precision_is_not_padded() -> None:
    graph = GraphBuilder(FLOAT16)
    file = graph.file(graph.conv(graph.conv("images", 8), 5))
    assert pad_channels(file, 16) == file


def test_opencv_reads_padded_models() -> None:
    graph = GraphBuilder()
    first = graph.conv("images", 6, 3)
    joined = graph.join(graph.step("LeakyRelu", first), graph.conv(first, 18))
    total = graph.step("Add", graph.conv(joined, 10), graph.conv("images", 10))
    file = padded(graph, graph.conv(graph.depthwise(total), 5))
    assert widths_of(file) == [8, 20, 16, 16, 16, 5]
    network = cv2.dnn.readNetFromONNX(np.frombuffer(file.SerializeToString(), np.uint8))
    images = np.random.default_rng(1).normal(size=(2, 3, 7, 6)).astype(np.float32)
    network.setInput(images)
    np.testing.assert_allclose(network.forward(), run(file)[0], atol=1e-5)


KINDS = ("conv", "depthwise", "Relu", "Sigmoid", "Add", "Mul", "Concat", "AveragePool", "Softmax")
STEPS = st.tuples(
    st.sampled_from(KINDS), st.integers(0, 9), st.integers(0, 9), st.sampled_from((1, 3, 6, 8, 18))
)


@settings(max_examples=60, deadline=None, derandomize=True)
@given(st.lists(STEPS, min_size=2, max_size=12), st.sampled_from((4, 8, 16)))
def test_random_graphs_keep_their_outputs(steps, block) -> None:
    graph = GraphBuilder()
    maps = [graph.conv("images", 8), graph.conv("images", 6)]
    for kind, one, other, width in steps:
        source, second = maps[one % len(maps)], maps[other % len(maps)]
        if kind == "conv":
            maps.append(graph.conv(source, width, size=1 + 2 * (other % 2)))
        elif kind == "depthwise":
            maps.append(graph.depthwise(source))
        elif kind == "Concat":
            maps.append(graph.join(source, second))
        elif kind == "AveragePool":
            maps.append(graph.step(kind, source, kernel_shape=[3, 3], pads=[1] * 4))
        elif kind not in ("Add", "Mul"):
            maps.append(graph.step(kind, source))
        elif graph.widths[source] == graph.widths[second]:
            maps.append(graph.step(kind, source, second))
    padded(graph, graph.conv(maps[-1], 3), graph.conv(maps[-2], 3, 3), block=block)


def test_cpu_block() -> None:
    assert cpu_block() in (4, 8, 16)
