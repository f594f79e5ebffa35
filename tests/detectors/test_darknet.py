"""Darknet's files: against a plain version of Darknet's loops, the sizes of its published files,
values that OpenCV 4 computed, and hostile input."""

from __future__ import annotations

import importlib
import math
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.darknet import (
    CURVES,
    REAL,
    UPSAMPLE,
    PlainDarknet,
    conv,
    efficient,
    head,
    images,
    net,
    pack_header,
    parsed,
    pool,
    route,
    save_weights,
    scaled,
    shortcut,
    write_weights,
    written,
    yolov4_tiny,
)

from mot.detectors.darknet.cfg import ACTIVATIONS, Network, parse_cfg
from mot.detectors.darknet.layers import Convolutional, Maxpool, Route, Shape, Yolo
from mot.detectors.darknet.weights import (
    Header,
    array_shapes,
    convolutions,
    read_weights,
)
from mot.errors import MotError


@pytest.fixture(scope="session")
def darknet_torch() -> Any:
    pytest.importorskip("torch", reason="PyTorch is not installed")
    return importlib.import_module("mot.detectors.darknet.model")


# Networks of Darknet's own .cfg files; `thin` divides the numbers of filters.


def yolov3_tiny(thin: int = 1, size: int = 416) -> str:
    text = net(size)
    for filters, stride in zip((16, 32, 64, 128, 256, 512), (2, 2, 2, 2, 2, 1), strict=True):
        text += conv(filters // thin, 3) + pool(2, stride)
    text += conv(1024 // thin, 3) + conv(256 // thin) + conv(512 // thin, 3) + head("3,4,5")
    text += route("-4") + conv(128 // thin) + UPSAMPLE + route("-1, 8")
    return text + conv(256 // thin, 3) + head("0,1,2")


def yolov3(thin: int = 1, size: int = 416, spp: bool = False) -> str:
    text = net(size) + conv(32 // thin, 3)
    for filters, blocks in ((64, 1), (128, 2), (256, 8), (512, 8), (1024, 4)):
        text += conv(filters // thin, 3, 2)
        block = conv(filters // thin // 2) + conv(filters // thin, 3) + shortcut("-3")
        text += block * blocks
    pyramid = (
        pool(5, 1) + route("-2") + pool(9, 1) + route("-4") + pool(13, 1) + route("-1,-3,-5,-6")
    )
    for width, mask in ((512, "6,7,8"), (256, "3,4,5"), (128, "0,1,2")):
        pair = conv(width // thin) + conv(2 * width // thin, 3)
        deep = pair + conv(width // thin) + pyramid if spp and width == 512 else pair
        text += deep + pair * 2 + head(mask)
        if width > 128:
            early = {512: 61, 256: 36}[width]
            text += route("-4") + conv(width // 2 // thin) + UPSAMPLE + route(f"-1, {early}")
    return text


SMALL = {
    "yolov3-tiny": yolov3_tiny(16, 64),
    "yolov3-spp": yolov3(16, 64, spp=True),
    "yolov4-tiny": yolov4_tiny(16, 64),
    "efficientnet": efficient(),
    "scaled": scaled(),
}


# The .cfg files.


@pytest.mark.parametrize(
    ("text", "size", "heads"),
    [
        (yolov3_tiny(), 35_434_956, (16, 23)),
        (yolov3(), 248_007_048, (82, 94, 106)),
        (yolov3(spp=True), 252_209_544, (89, 101, 113)),
        (yolov4_tiny(), 24_251_276, (30, 37)),
    ],
    ids=["yolov3-tiny", "yolov3", "yolov3-spp", "yolov4-tiny"],
)
def test_file_size_of_published_weights(tmp_path, text, size, heads) -> None:
    network = parsed(tmp_path, text)
    shapes = [array_shapes(network, index) for index in convolutions(network)]
    numbers = sum(math.prod(shape) for arrays in shapes for shape in arrays.values())
    assert len(pack_header(Header())) + 4 * numbers == size
    assert (network.heads, network.classes, network.stride) == (heads, 80, 32)
    assert network.shapes[heads[0]] == (255, 13, 13)


@pytest.mark.parametrize("name", REAL)
def test_real_cfgs(shared, name) -> None:
    network = parse_cfg(shared / "data/weights" / f"{name}.cfg")
    assert network.stride == 32
    assert network.classes == (1 if "body" in name else 80)
    assert [network.shapes[each][1:] for each in network.heads] == [(10, 10), (20, 20)]


def test_parsed_sections(tmp_path) -> None:
    network = parsed(tmp_path, scaled())
    assert network.layers[1] == Convolutional(
        line=16,
        sources=(0,),
        filters=12,
        size=3,
        groups=4,
        dilation=2,
        pad=1,
        batch_normalize=1,
        activation="relu6",
    )
    assert network.layers[4].sources == (3, 2, 0)
    first_pool, last_route = network.layers[6], network.layers[7]
    assert isinstance(first_pool, Maxpool) and first_pool.margins == (1, 1)
    assert isinstance(last_route, Route) and last_route.sources == (6, 6)
    last = network.layers[-1]
    assert isinstance(last, Yolo) and last.sizes == ((373, 326), (33, 23))


def test_comments_spaces_and_dos_lines(tmp_path) -> None:
    plain = parsed(tmp_path, yolov3_tiny())
    odd = yolov3_tiny().replace("stride=", " stride = ").replace("\n\n", "\n# \xe4\n; note=1\n")
    path = tmp_path / "odd.cfg"
    path.write_bytes(b"\xef\xbb\xbf" + odd.replace("\n", " # x\r\n").encode("latin-1"))
    assert parse_cfg(path).shapes == plain.shapes


SIMPLE = "[net]\nwidth=32\nheight=32\n[convolutional]\nfilters=18\n[yolo]\nmask=0,1,2\nclasses=1\n"
SIMPLE += "num=3\nanchors=1,1, 2,2, 3,3\n"  # lines 9 and 10


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("[yolo]", "[yola]", ":6: unknown section [yola]: did you mean 'yolo'?"),
        ("[yolo]", "[lstm]", ":6: unknown section [lstm]: known: avg, avgpool, conv"),
        ("[net]", "[convolutional]", ":1: starts with [convolutional], not with [net]"),
        ("width=32\n", "", ":1: [net] needs width= and height="),
        ("width=32", "width=0", ":2: width=0 must be between 1 and 65536"),
        ("width=32", "width=99999999", ":2: width=99999999 must be between"),
        ("filters=18", "filters=eighteen", ":5: filters=eighteen must be an integer"),
        ("filters=18", "filter=18", ":5: unknown key 'filter' in [convolutional]: did you mean"),
        ("filters=18", "xnor=1", ":5: xnor=1 in [convolutional] is not supported"),
        ("filters=18", "activation=mush", "activation=mush is not known: did you mean 'mish'?"),
        ("filters=18", "filters=18\ngroups=2", "layer 0 [convolutional]: groups=2 must divide 3"),
        ("filters=18", "filters=18\nsize=50", "its window does not fit into 32x32"),
        ("filters=18", "filters=255", "classes=1 need filters=18 in the previous layer, which has"),
        ("filters=18", "filters", ":5: 'filters' is neither [section] nor key=value"),
        ("3,3\n", "nan,3\n", ":10: anchors=1,1,2,2,nan,3 must be between 0 and"),
        ("mask=0,1,2", "mask=0,1,3", "its mask names anchor 3 (from 0) of 3"),
        ("mask=0,1,2", "mask=0,-1,2", "mask=0,-1,2 must be between 0 and"),
        ("num=3", "num=2", "its mask names anchor 2 (from 0) of 2"),
        (
            "[yolo]",
            "[route]\nlayers=1\n[yolo]",
            "layer 1 [route] takes layers=1: only layers before",
        ),
        (
            "[yolo]",
            "[route]\nlayers=7\n[yolo]",
            ":7: layer 1 [route] takes layers=7: only layers",
        ),
        ("[yolo]", "[route]\nlayers=-9\n[yolo]", "takes layers=-9: there is no layer -8"),
        ("[yolo]", "[shortcut]\nfrom=-2\n[yolo]", "takes from=-2: there is no layer -1"),
        ("[yolo]", "[shortcut]\n[yolo]", ":6: [shortcut] needs from="),
        ("[yolo]", "[maxpool]\nstride=2\n[route]\nlayers=0,1\n[yolo]", "different sizes: 18x32x32"),
        ("[yolo]", "[route]\nlayers=0\ngroups=5\n[yolo]", "no group 0 (from 0) of 5 in 18"),
        ("[yolo]", "[route]\nlayers=0\ngroups=2\ngroup_id=2\n[yolo]", "no group 2 (from 0) of 2"),
        ("[yolo]", "[maxpool]\nsize=2\npadding=9\n[yolo]", "windows of padding only"),
        (
            "[yolo]",
            "[maxpool]\nstride=2\n[scale_channels]\nfrom=-2\n[yolo]",
            "scales 18x32x32 by 18x1x1, but the previous layer is 18x16x16",
        ),
        (
            "[yolo]",
            "[conv]\nsize=9999\npad=1\n[conv]\nfilters=18\n[yolo]",
            "more than any real network",
        ),
        (
            "[yolo]",
            "[upsample]\nstride=60000\n[yolo]",
            "18x1920000x1920000 does not fit into memory",
        ),
        (SIMPLE, "", "has no [section]: not a Darknet .cfg"),
        (SIMPLE[SIMPLE.index("[yolo]") :], "", "no [yolo] section: not a detector"),
    ],
)
def test_wrong_cfgs(tmp_path, old, new, message) -> None:
    assert old in SIMPLE
    with pytest.raises(MotError) as error:
        parsed(tmp_path, SIMPLE.replace(old, new))
    assert message in str(error.value)
    assert str(error.value).startswith(str(tmp_path / "net.cfg"))
    assert "\n" not in str(error.value)


@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_broken_cfg_gives_one_line(tmp_path_factory, data) -> None:
    text = data.draw(st.sampled_from([scaled(), yolov4_tiny(16), efficient()])).encode()
    start = data.draw(st.integers(0, len(text)))
    end = data.draw(st.integers(start, min(len(text), start + 40)))
    path = tmp_path_factory.getbasetemp() / "broken.cfg"
    path.write_bytes(text[:start] + data.draw(st.binary(max_size=20)) + text[end:])
    try:
        parse_cfg(path)
    except MotError as error:
        assert "\n" not in str(error)


def test_unreadable_cfg(tmp_path) -> None:
    with pytest.raises(MotError, match="no such file"):
        parse_cfg(tmp_path / "none.cfg")
    with pytest.raises(MotError, match="cannot be read"):
        parse_cfg(tmp_path)


# The weights.


def refused(path: Path, network: Network) -> str:
    with pytest.raises(MotError) as error:
        read_weights(path, network)
    text = str(error.value)
    assert text.startswith(f"{path}: ") and "\n" not in text
    return text.removeprefix(f"{path}: ")


@pytest.mark.parametrize("name", REAL)
def test_real_weights_are_read_completely(shared, tmp_path, name) -> None:
    source = shared / "data/weights" / f"{name}.weights"
    weights = read_weights(source, parse_cfg(source.with_suffix(".cfg")))
    assert weights.header == Header(0, 2, 5, weights.header.seen)
    assert weights.header.seen % 64 == 0 and not weights.unfit
    write_weights(tmp_path / "copy.weights", weights.header, weights.layers)
    assert (tmp_path / "copy.weights").read_bytes() == source.read_bytes()


@pytest.mark.parametrize(
    ("header", "size"),
    [
        (Header(0, 1, 0, 7), 16),
        (Header(0, 2, 5, 2**40), 20),
        (Header(1, 0, 0, 2**40), 20),
        (Header(1001, 2, 0, 7), 16),  # from when weights were transposed
    ],
)
def test_old_and_new_headers(body, header, size) -> None:
    network, path, _ = body
    weights = read_weights(path, network)
    write_weights(path, header, weights.layers)
    again = read_weights(path, network)
    assert again.header == header
    assert len(pack_header(header)) == size
    np.testing.assert_array_equal(again.layers[0]["means"], weights.layers[0]["means"])


def test_error_about_truncated_weights_names_the_layer(body) -> None:
    network, path, plain = body
    path.write_bytes(plain.file[:1700])
    assert refused(path, network) == (
        "layer 2 [convolutional] (net.cfg:24) 12x1x3x3: its weights 12x1x3x3 need 432 bytes, "
        "264 are left: the file is truncated, or of another architecture"
    )


def test_weights_of_any_wrong_size_are_refused(body) -> None:
    network, path, plain = body
    for length in [*range(0, len(plain.file), 97), len(plain.file) - 1, len(plain.file) - 4]:
        path.write_bytes(plain.file[:length])
        assert "[convolutional]" in refused(path, network) or length < 20
    path.write_bytes(plain.file + b"\0" * 6)
    assert "16x8x1x1: 6 bytes follow it: the file is of another architecture" in refused(
        path, network
    )


def test_weights_for_other_classes(tmp_path, body) -> None:
    _, path, _ = body
    other = parsed(
        tmp_path, efficient().replace("classes=3", "classes=80").replace("=16\n", "=170\n")
    )
    assert refused(path, other) == (
        "layer 11 [convolutional] (net.cfg:73) 170x8x1x1: in the file 16x8x1x1, for 3 classes, "
        "not 80: change classes= and filters=, or use --partial"
    )
    weights = read_weights(path, other, partial=True)
    assert sorted(weights.layers) == [0, 1, 2, 4, 5, 7, 10]
    assert len(weights.unfit) == 1 and "170x8x1x1: in the file 16x8x1x1" in weights.unfit[0]


def test_real_weights_in_the_wrong_network(shared) -> None:
    folder = shared / "data/weights"
    body, full, nano = (parse_cfg(folder / f"{name}.cfg") for name in REAL)
    wrong = refused(folder / "yolo-fastest-1.1_body.weights", nano)
    assert wrong.startswith("layer 0 [convolutional]") and "16x3x3x3: negative variances" in wrong
    wrong = refused(folder / "MobileNetV2-YOLOv3-Nano-coco.weights", full)
    assert "of another architecture" in wrong
    weights = read_weights(folder / "yolo-fastest-1.1-xl.weights", body, partial=True)
    assert len(weights.layers) + len(weights.unfit) == len(list(convolutions(body)))
    assert weights.unfit[-1].endswith("18x120x1x1: not reached")
    with pytest.raises(MotError, match=r"no layer fits: layer 0 .*negative variances"):
        read_weights(folder / "yolo-fastest-1.1_body.weights", nano, partial=True)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_error_about_values_that_are_not_finite_names_the_layer(body, value) -> None:
    network, path, _ = body
    weights = read_weights(path, network)
    weights.layers[5]["weights"][3, 1] = value
    write_weights(path, weights.header, weights.layers)
    assert refused(path, network).endswith("12x2x1x1: NaN or infinite values in its weights")
    rest = read_weights(path, network, partial=True)
    assert sorted(rest.layers) == [0, 1, 2, 4, 7, 10, 11] and len(rest.unfit) == 1


def test_backbone_weights_fill_the_first_layers(body) -> None:
    network, path, plain = body
    path.write_bytes(plain.file[:1700])
    weights = read_weights(path, network, partial=True)
    assert sorted(weights.layers) == [0, 1]
    assert len(weights.unfit) == 6 and "are left" in weights.unfit[0]
    assert all(line.endswith("not reached") for line in weights.unfit[1:])


@pytest.mark.parametrize(
    "data", [b"", b"\0" * 15, b"PK\3\4" * 99, b"\x80\2}q\0." * 99, b"[net]\nwidth=3\n" * 9]
)
def test_other_files_are_refused(body, data) -> None:
    network, path, _ = body
    path.write_bytes(data)
    assert refused(path, network) == "not a Darknet .weights file"


def test_unreadable_weights(body, tmp_path) -> None:
    network, _, _ = body
    assert refused(tmp_path / "none.weights", network) == "no such file"
    assert "cannot be read" in refused(tmp_path, network)


# The model.


def loaded(darknet_torch, folder: Path, text: str, plain: PlainDarknet) -> Any:
    cfg, weights = written(folder, text), folder / "net.weights"
    weights.write_bytes(plain.file)
    return darknet_torch.load_darknet(cfg, weights)


@pytest.mark.parametrize("name", SMALL)
def test_models_equal_plain_darknet(darknet_torch, tmp_path, name) -> None:
    torch = importlib.import_module("torch")
    image = images(3, 64, 64)
    plain = PlainDarknet(SMALL[name]).run(image)
    model = loaded(darknet_torch, tmp_path, SMALL[name], plain)
    for version in (model, model.fold(), model.fold().to(memory_format=torch.channels_last)):
        with torch.inference_mode():
            maps = version.raw(torch.from_numpy(image)[None])
            boxes, scores = version(torch.from_numpy(image)[None])
        for found, wanted in zip(maps, plain.maps, strict=True):
            np.testing.assert_allclose(found[0], wanted, atol=1e-4)
        np.testing.assert_allclose(boxes[0], plain.boxes, atol=1e-2, rtol=1e-4)
        np.testing.assert_allclose(scores[0], plain.scores, atol=1e-5)


@pytest.mark.parametrize("name", SMALL)
def test_models_have_all_loaded_weights(darknet_torch, tmp_path, name) -> None:
    plain = PlainDarknet(SMALL[name]).run(images(3, 64, 64))
    model = loaded(darknet_torch, tmp_path, SMALL[name], plain)
    save_weights(model, tmp_path / "again.weights", Header(seen=640))
    assert (tmp_path / "again.weights").read_bytes() == plain.file
    with pytest.raises(ValueError, match="folded"):
        model.fold().load(tmp_path / "net.weights")


@pytest.mark.parametrize("stride", [1, 2, 3])
@pytest.mark.parametrize("size", [1, 2, 3, 4, 5])
def test_pools_pad_as_darknet_does(darknet_torch, size, stride) -> None:
    torch = importlib.import_module("torch")
    for padding in (None, *range(2 * size - 1)):
        layer = Maxpool(size=size, stride=stride, padding=padding)
        part = {"size": size, "stride": stride, **({} if padding is None else {"padding": padding})}
        for side in (7, 8, 9):
            image = images(1, side, side) - 1
            wanted = PlainDarknet("").maxpool(part, image)
            found = darknet_torch.Pool(layer)(torch.from_numpy(image)[None])[0]
            np.testing.assert_array_equal(found, wanted.astype(np.float32))
            assert layer.shape([Shape(1, side, side)]) == wanted.shape


# Per head: minimum, mean and maximum of the raw map, then [0, 2, 3], [4, 2, 3] and [7, 2, 3].
OPENCV_4 = {
    "yolo-fastest-1.1_body": [
        [-16.3583, -1.9674, 3.5692, 0.0369, -13.6865, 1.4766],
        [-19.7024, -1.3122, 10.1775, -0.0148, -15.4255, -0.7847],
    ],
    "yolo-fastest-1.1-xl": [
        [-17.311, -6.9638, 4.7325, 1.3021, -9.2672, -8.737],
        [-21.8513, -9.1771, 3.9084, 0.1034, -11.907, -5.8702],
    ],
    "MobileNetV2-YOLOv3-Nano-coco": [
        [-18.8489, -7.9694, 1.8843, 0.4827, -7.0065, -10.5915],
        [-17.9681, -8.253, 1.8916, -0.3608, -11.0701, -9.5927],
    ],
}


def pattern() -> np.ndarray:
    channel, row, column = np.indices((3, 192, 320))
    return ((channel * 29 + row * 7 + column * 13) % 256 / 255).astype(np.float32)[None]


@pytest.mark.parametrize("name", REAL)
def test_real_networks_equal_opencv_4(darknet_torch, shared, name) -> None:
    torch = importlib.import_module("torch")
    path = shared / "data/weights" / name
    model = darknet_torch.load_darknet(f"{path}.cfg", f"{path}.weights")
    with torch.inference_mode():
        maps = model.raw(torch.from_numpy(pattern()))
        folded = model.fold().raw(torch.from_numpy(pattern()))
    for raw, quick, wanted in zip(maps, folded, OPENCV_4[name], strict=True):
        found = [raw.min(), raw.mean(), raw.max(), *raw[0, [0, 4, 7], 2, 3]]
        np.testing.assert_allclose(found, wanted, atol=2e-4)
        np.testing.assert_allclose(quick, raw, atol=1e-4)


@pytest.mark.parametrize("name", REAL)
def test_real_models_have_all_loaded_weights(darknet_torch, shared, tmp_path, name) -> None:
    path = shared / "data/weights" / name
    model = darknet_torch.load_darknet(f"{path}.cfg", f"{path}.weights")
    header = read_weights(f"{path}.weights", model.network).header
    save_weights(model, tmp_path / "again.weights", header)
    assert (tmp_path / "again.weights").read_bytes() == Path(f"{path}.weights").read_bytes()


@pytest.mark.parametrize("name", [name for name in SMALL if name != "scaled"])
def test_models_equal_the_importer_of_opencv(darknet_torch, tmp_path, name) -> None:
    torch, cv2 = importlib.import_module("torch"), importlib.import_module("cv2")
    if not hasattr(cv2.dnn, "readNetFromDarknet"):
        pytest.skip("OpenCV 5 has no Darknet importer")
    image = images(3, 64, 64)
    model = loaded(darknet_torch, tmp_path, SMALL[name], PlainDarknet(SMALL[name]).run(image))
    other = cv2.dnn.readNetFromDarknet(str(tmp_path / "net.cfg"), str(tmp_path / "net.weights"))
    other.setInput(image[None])
    wanted = other.forward([f"conv_{index - 1}" for index in model.network.heads])
    with torch.inference_mode():
        maps = model.raw(torch.from_numpy(image)[None])
    for found, expected in zip(maps, wanted, strict=True):
        np.testing.assert_allclose(found, expected, atol=1e-3)


def test_activations(darknet_torch) -> None:
    torch = importlib.import_module("torch")
    values = np.linspace(-9, 9, 721)
    assert set(darknet_torch.ACTIVATIONS) == ACTIVATIONS == set(CURVES)
    for name, curve in CURVES.items():
        found = darknet_torch.ACTIVATIONS[name](torch.from_numpy(values.copy()))
        np.testing.assert_allclose(found, curve(values), atol=1e-4, err_msg=name)


def test_sizes_batches_and_precisions(darknet_torch, tmp_path) -> None:
    """A model takes any multiple of its stride; images of a batch are independent."""
    torch = importlib.import_module("torch")
    text = yolov4_tiny(16, 64)
    model = loaded(darknet_torch, tmp_path, text, PlainDarknet(text).run(images(3, 32, 32))).fold()
    batch = torch.from_numpy(images(3, 3, 96, 160))
    with torch.inference_mode():
        boxes, scores = model(batch)
        alone = model(batch[1:2])
        small, _ = model.to(torch.bfloat16)(batch.to(torch.bfloat16))
    assert boxes.shape == (3, 3 * (3 * 5 + 6 * 10), 4) and scores.shape == (3, 225, 80)
    np.testing.assert_allclose(alone[0][0], boxes[1], atol=1e-3)
    np.testing.assert_allclose(alone[1][0], scores[1], atol=1e-6)
    assert small.dtype == torch.float32  # decoded in float32: bfloat16 has 8 bits
    assert (small - boxes).abs().median() < 1


def test_partial_loading_keeps_the_other_layers(darknet_torch, tmp_path) -> None:
    plain = PlainDarknet(efficient()).run(images(3, 64, 64))
    model = loaded(darknet_torch, tmp_path, efficient(), plain)
    other = efficient().replace("classes=3", "classes=1").replace("filters=16", "filters=12")
    fresh = darknet_torch.DarknetModel(parsed(tmp_path, other))
    before = fresh.layers[11].conv.weight.clone()
    with pytest.raises(MotError, match="for 3 classes, not 1"):
        fresh.load(tmp_path / "net.weights")
    unfit = fresh.load(tmp_path / "net.weights", partial=True)
    assert len(unfit) == 1 and "layer 11 [convolutional]" in unfit[0]
    assert fresh.layers[10].conv.weight.equal(model.layers[10].conv.weight)
    assert fresh.layers[11].conv.weight.equal(before)


def test_models_can_be_trained(darknet_torch, tmp_path) -> None:
    torch = importlib.import_module("torch")
    model = darknet_torch.DarknetModel(parsed(tmp_path, efficient())).train()
    sum(raw.square().mean() for raw in model.raw(torch.from_numpy(images(2, 3, 64, 64)))).backward()
    assert all(each.grad is not None for each in model.parameters())


@pytest.mark.parametrize("name", SMALL)
def test_export_to_onnx(darknet_torch, tmp_path, name) -> None:
    torch = importlib.import_module("torch")
    runtime = pytest.importorskip("onnxruntime", reason="onnxruntime is not installed")
    pytest.importorskip("onnx", reason="onnx is not installed")
    plain = PlainDarknet(SMALL[name]).run(images(3, 64, 64))
    model = loaded(darknet_torch, tmp_path, SMALL[name], plain).fold()
    path = str(tmp_path / "net.onnx")
    axes = {"images": {0: "batch", 2: "height", 3: "width"}}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # exporter warnings
        torch.onnx.export(
            model,
            (torch.zeros(2, 3, 64, 64),),
            path,
            dynamo=False,
            input_names=["images"],
            output_names=["boxes", "scores"],
            dynamic_axes=axes,
        )
    session = runtime.InferenceSession(path, providers=["CPUExecutionProvider"])
    for shape in ((2, 3, 64, 64), (1, 3, 96, 160)):
        batch = images(*shape)
        with torch.inference_mode():
            wanted = model(torch.from_numpy(batch))
        for found, expected in zip(session.run(None, {"images": batch}), wanted, strict=True):
            np.testing.assert_allclose(found, expected, atol=1e-4, rtol=1e-4)
