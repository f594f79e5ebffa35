"""Widened ONNX files against what they are made of."""

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


class Drawing:
    """A graph from `images`, of 3 channels, drawn step by step; a step gives its map's name."""

    def __init__(self, kind: int = FLOAT) -> None:
        self.nodes: list[Any] = []
        self.constants: list[Any] = []
        self.widths = {"images": 3}
        self._kind = kind
        self._random = np.random.default_rng(0)

    def constant(self, *shape: int) -> str:
        values = self._random.normal(size=shape) / max(1, np.prod(shape[1:])) ** 0.5
        return self.told(values.astype(helper.tensor_dtype_to_np_dtype(self._kind)))

    def told(self, values: Any) -> str:
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
            "drawing",
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
    """What each convolution gives."""
    shapes = {each.name: each.dims for each in file.graph.initializer}
    return [shapes[node.input[1]][0] for node in file.graph.node if node.op_type == "Conv"]


def padded(drawing: Drawing, *results: str, block: int = 16) -> Any:
    """Checked to be sound, whole, and to give the same."""
    file = drawing.file(*results)
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


def chain(*steps: tuple[int, int]) -> tuple[Drawing, str]:
    """Convolutions of these widths and sizes."""
    drawing, last = Drawing(), "images"
    for width, size in steps:
        last = drawing.step("Relu", drawing.conv(last, width, size))
    return drawing, last


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
def test_how_wide_a_map_becomes(block, width, size, wanted) -> None:
    """By what the next convolution is; the last map is the caller's."""
    drawing, last = chain((width, 3), (5, size))
    assert widths_of(padded(drawing, last, block=block)) == [wanted, 5]


def test_a_map_is_convolved_twice() -> None:
    """The larger kernel decides."""
    drawing = Drawing()
    narrow = drawing.conv("images", 8)
    results = drawing.conv(narrow, 2), drawing.conv(narrow, 2, 3)
    assert widths_of(padded(drawing, *results)) == [8, 2, 2]


def test_sums_and_depthwise_convolutions_are_as_wide_as_what_they_are_made_of() -> None:
    drawing = Drawing()
    first = drawing.conv("images", 8)
    second = drawing.conv(drawing.depthwise(drawing.conv(first, 24)), 8)
    total = drawing.step("Add", second, first)
    third = drawing.conv(drawing.step("Relu", drawing.depthwise(total)), 8)
    total = drawing.step("Add", total, third)
    wide = padded(drawing, drawing.conv(total, 5))
    assert widths_of(wide) == [16, 24, 24, 16, 16, 16, 5]
    groups = [node.attribute[0].i for node in wide.graph.node if node.op_type == "Conv"]
    assert sorted(groups) == [1, 1, 1, 1, 1, 16, 24]


@pytest.mark.parametrize("place", range(6))
def test_one_fixed_part_fixes_all_that_is_added_to_it(place) -> None:
    """Whether it is looked at before it is added or after."""
    drawing = Drawing()
    parts = [drawing.conv("images", 8) for _ in range(3)]
    if place < 3:
        drawing.step("Softmax", parts[place])
    total = drawing.step("Add", drawing.step("Add", *parts[:2]), parts[2])
    if place >= 3:
        drawing.step("Softmax", parts[place - 3])
    assert widths_of(padded(drawing, drawing.conv(total, 5))) == [8, 8, 8, 5]


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
def test_whatever_treats_each_channel_alike(kind, attributes) -> None:
    """Those added are not zeros any more, and yet change nothing."""
    drawing = Drawing()
    mapped = drawing.step(kind, drawing.conv("images", 8), **attributes)
    mapped = drawing.step(kind, drawing.depthwise(mapped), **attributes)
    assert widths_of(padded(drawing, drawing.conv(mapped, 5))) == [16, 16, 5]


def test_numbers_gates_and_larger_pictures() -> None:
    drawing = Drawing()
    first = drawing.conv("images", 12)
    number = drawing.told(np.float32(0.5))
    first = drawing.step("Clip", drawing.step("Add", first, number), number)
    squeezed = drawing.conv(drawing.step("GlobalAveragePool", first), 4)
    gate = drawing.step("Sigmoid", drawing.conv(squeezed, 12))
    gated = drawing.step("Mul", number, drawing.step("Mul", first, gate), width=12)
    large = drawing.step("Resize", gated, "", drawing.told(np.float32([1, 1, 2, 2])))
    assert widths_of(padded(drawing, drawing.conv(large, 5))) == [16, 16, 16, 5]


def test_concatenated_maps() -> None:
    """No block is filled there, but 4 must divide what each part has."""
    drawing = Drawing()
    parts = [drawing.conv("images", width) for width in (6, 18, 8, 3)]
    joined = drawing.join(*parts, parts[0])
    twice = drawing.join(drawing.depthwise(joined), parts[1])
    wide = padded(drawing, drawing.conv(twice, 5), drawing.conv(joined, 6))
    assert widths_of(wide) == [8, 20, 8, 3, 8 + 20 + 8 + 3 + 8, 5, 6]


def test_concatenated_maps_are_added_if_they_consist_of_the_same_widths() -> None:
    for other, wanted in (((6, 10), [8, 12, 8, 12, 5]), ((10, 6), [6, 10, 10, 6, 5])):
        drawing = Drawing()
        one, two = (drawing.join(*(drawing.conv("images", w) for w in s)) for s in ((6, 10), other))
        total = drawing.step("Add", one, two)
        assert widths_of(padded(drawing, drawing.conv(total, 5))) == wanted


def test_maps_that_are_given_away_or_looked_at_stay() -> None:
    drawing, first = chain((8, 1))
    second = drawing.step("Relu", drawing.conv(first, 8))
    looks = drawing.step("Transpose", second, perm=[0, 2, 3, 1])
    wide = padded(drawing, drawing.conv(second, 5), first, looks)
    assert widths_of(wide) == [8, 8, 5]


UNKNOWN = {
    "grouped": lambda drawing, narrow: drawing.conv(narrow, 6, groups=2),
    "vector": lambda drawing, narrow: drawing.step("Mul", narrow, drawing.constant(1, 6, 1, 1)),
    "other axis": lambda drawing, narrow: drawing.step("Concat", narrow, narrow, axis=2),
    "with a constant": lambda drawing, narrow: drawing.step(
        "Concat", narrow, drawing.constant(2, 2, 7, 6), axis=1, width=8
    ),
    "normalised": lambda drawing, narrow: drawing.step("Softmax", narrow, axis=1),
    "one channel": lambda drawing, narrow: drawing.step("Add", narrow, drawing.conv("images", 1)),
    "unknown weights": lambda drawing, narrow: drawing.step(
        "Conv", narrow, drawing.step("Identity", drawing.constant(6, 6, 1, 1), width=6)
    ),
    "resized channels": lambda drawing, narrow: drawing.step(
        "Resize", narrow, "", drawing.told(np.float32([1, 2, 1, 1])), width=12
    ),
}


@pytest.mark.parametrize("name", UNKNOWN)
def test_what_is_not_understood_is_left_as_it_is(name) -> None:
    drawing = Drawing()
    narrow = drawing.conv("images", 6)
    odd = UNKNOWN[name](drawing, narrow)
    file = drawing.file(drawing.conv(odd, 5))
    assert pad_channels(file, 16).graph == file.graph


def test_places_of_the_largest_values_count_channels_too() -> None:
    drawing = Drawing()
    narrow = drawing.conv("images", 8)
    pooled = drawing.step("MaxPool", narrow, kernel_shape=[2, 2])
    drawing.nodes[-1].output.append("places")
    file = drawing.file(drawing.conv(pooled, 5))
    file.graph.output.append(helper.make_tensor_value_info("places", onnx.TensorProto.INT64, None))
    wide = pad_channels(file, 16)
    for one, other in zip(run(wide), run(file), strict=True):
        np.testing.assert_array_equal(one, other)


def test_shared_weights_are_widened_once_for_each_way_they_are_used() -> None:
    drawing = Drawing()
    shared = drawing.constant(5, 8, 1, 1), drawing.constant(5)
    wide, other, fixed, six, two = (drawing.conv("images", width) for width in (8, 8, 8, 6, 2))
    sources = (wide, other, drawing.join(two, six), drawing.join(six, two), fixed)
    heads = [drawing.conv(each, 5, constants=shared) for each in sources]
    file = padded(drawing, *heads, fixed)
    assert widths_of(file) == [16, 16, 8, 8, 2, 5, 5, 5, 5, 5]
    first, second, *others = (node.input[1] for node in file.graph.node[-5:])
    assert first == second and others[-1] == shared[0]
    assert len({first, *others}) == 4


def test_constants_that_are_nodes() -> None:
    drawing, last = chain((8, 1), (5, 1))
    for tensor in drawing.constants:
        drawing.nodes.insert(0, helper.make_node("Constant", [], [tensor.name], value=tensor))
    drawing.constants.clear()
    wide = padded(drawing, last)
    assert [list(each.dims) for each in wide.graph.initializer] == [
        [16, 3, 1, 1],
        [16],
        [5, 16, 1, 1],
    ]
    assert [node.op_type for node in wide.graph.node].count("Constant") == 1


def test_weights_that_the_caller_may_give_and_branches_are_left_alone() -> None:
    drawing, last = chain((8, 1), (5, 1))
    file = drawing.file(last)
    weights = file.graph.initializer[0]
    file.graph.input.append(helper.make_tensor_value_info(weights.name, FLOAT, weights.dims))
    assert pad_channels(file, 16) == file
    file = drawing.file(last)
    branch = helper.make_graph(
        [helper.make_node("Identity", [drawing.nodes[0].output[0]], ["inner"])],
        "branch",
        [],
        [helper.make_tensor_value_info("inner", FLOAT, None)],
    )
    file.graph.node.append(
        helper.make_node("If", ["is it"], ["chosen"], then_branch=branch, else_branch=branch)
    )
    assert pad_channels(file, 16) == file


def test_half_precision_is_left_as_it_is() -> None:
    drawing = Drawing(FLOAT16)
    file = drawing.file(drawing.conv(drawing.conv("images", 8), 5))
    assert pad_channels(file, 16) == file


def test_opencv_reads_what_was_widened() -> None:
    drawing = Drawing()
    first = drawing.conv("images", 6, 3)
    joined = drawing.join(drawing.step("LeakyRelu", first), drawing.conv(first, 18))
    total = drawing.step("Add", drawing.conv(joined, 10), drawing.conv("images", 10))
    file = padded(drawing, drawing.conv(drawing.depthwise(total), 5))
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
def test_any_drawing_gives_the_same(steps, block) -> None:
    drawing = Drawing()
    maps = [drawing.conv("images", 8), drawing.conv("images", 6)]
    for kind, one, other, width in steps:
        source, second = maps[one % len(maps)], maps[other % len(maps)]
        if kind == "conv":
            maps.append(drawing.conv(source, width, size=1 + 2 * (other % 2)))
        elif kind == "depthwise":
            maps.append(drawing.depthwise(source))
        elif kind == "Concat":
            maps.append(drawing.join(source, second))
        elif kind == "AveragePool":
            maps.append(drawing.step(kind, source, kernel_shape=[3, 3], pads=[1] * 4))
        elif kind not in ("Add", "Mul"):
            maps.append(drawing.step(kind, source))
        elif drawing.widths[source] == drawing.widths[second]:
            maps.append(drawing.step(kind, source, second))
    padded(drawing, drawing.conv(maps[-1], 3), drawing.conv(maps[-2], 3, 3), block=block)


def test_the_block_of_this_cpu() -> None:
    assert cpu_block() in (4, 8, 16)
