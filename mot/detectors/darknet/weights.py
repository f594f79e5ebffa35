"""Darknet's `.weights` files: a header, then the values of each convolution in turn.

The files have no layer names or shapes. One of another architecture is only recognized by its
length and by impossible values: negative variances, NaN or infinity.
"""

from __future__ import annotations

import math
import os
import struct
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import BinaryIO

import numpy as np

from mot.detectors.darknet.cfg import Network
from mot.detectors.darknet.layers import Convolutional, Yolo
from mot.errors import MotError
from mot.types import FloatArray

LayerArrays = dict[str, FloatArray]
_FLOAT = np.dtype("<f4")


@dataclass(frozen=True, slots=True)
class Header:
    major: int = 0
    minor: int = 2
    revision: int = 5
    seen: int = 0  # number of training images

    @property
    def is_long(self) -> bool:
        """`seen` has 64 bits."""
        return self.major * 10 + self.minor >= 2 and max(self.major, self.minor) < 1000


@dataclass(frozen=True, slots=True, eq=False)
class Weights:
    header: Header
    layers: dict[int, LayerArrays]  # by layer number; array names are those of `array_shapes`
    unfit: tuple[str, ...] = ()  # layers without weights and why, if loaded partially


def array_shapes(network: Network, index: int, classes: int = 0) -> dict[str, tuple[int, ...]]:
    """Shapes of a convolution's arrays in the order of the file, by default for its own classes."""
    layer = network.layers[index]
    assert isinstance(layer, Convolutional)
    filters, *rest = layer.weight_shape(network.inputs(index)[0].channels)
    head = network.layers[index + 1] if index + 1 < len(network.layers) else None
    if classes and isinstance(head, Yolo):
        filters = head.channels(classes)
    vectors = ["biases"] + ["scales", "means", "variances"] * bool(layer.batch_normalize)
    return {**dict.fromkeys(vectors, (filters,)), "weights": (filters, *rest)}


def convolutions(network: Network) -> Iterator[int]:
    """Numbers of the layers with weights."""
    return (i for i, layer in enumerate(network.layers) if isinstance(layer, Convolutional))


def read_weights(path: str | Path, network: Network, partial: bool = False) -> Weights:
    """Reads and checks weights. `partial` keeps the layers that fit and lists the others."""
    path = Path(path)
    try:
        with path.open("rb") as file:
            return _Reader(path, network, file).read(partial)
    except FileNotFoundError:
        raise MotError(f"{path}: no such file") from None
    except OSError as error:
        raise MotError(f"{path}: cannot be read ({error.strerror or error})") from None


class _Misfit(Exception):
    """A layer that is not in the file; `is_last`: no later layer can be found either."""

    def __init__(self, reason: str, is_last: bool = True) -> None:
        super().__init__(reason)
        self.is_last = is_last


class _Reader:
    """Reads a file once, no more of it than the network has."""

    def __init__(self, path: Path, network: Network, file: BinaryIO) -> None:
        self._path, self._network, self._file = path, network, file
        self._size = os.fstat(file.fileno()).st_size
        self._header = self._read_header()
        self._classes = _other_classes(network, *divmod(self._left, _FLOAT.itemsize))

    @property
    def _left(self) -> int:
        return self._size - self._file.tell()

    def read(self, partial: bool) -> Weights:
        layers: dict[int, LayerArrays] = {}
        unfit: list[str] = []
        numbers = convolutions(self._network)
        for index in numbers:
            try:
                layers[index] = self._read_layer(index)
            except _Misfit as misfit:
                unfit.append(self._message(index, str(misfit)))
                if not partial:
                    raise MotError(f"{self._path}: {unfit[0]}") from None
                if misfit.is_last:
                    unfit += [self._message(later, "not reached") for later in numbers]
        if unfit and not layers:
            raise MotError(f"{self._path}: no layer fits: {unfit[0]}")
        if self._left and layers and not unfit:
            reason = f"{self._left} bytes follow it: the file is of another architecture"
            unfit.append(self._message(max(layers), reason))
            if not partial:
                raise MotError(f"{self._path}: {unfit[0]}")
        return Weights(self._header, layers, tuple(unfit))

    def _read_header(self) -> Header:
        start = self._file.read(12)
        numbers = struct.unpack("<3i", start) if len(start) == 12 else (-1, -1, -1)
        header = Header(*numbers)
        size = 8 if header.is_long else 4
        seen = self._file.read(size)
        if len(start) < 12 or len(seen) < size or not all(0 <= n < 10_000 for n in numbers):
            raise MotError(f"{self._path}: not a Darknet .weights file")
        return replace(header, seen=int.from_bytes(seen, "little"))

    def _read_layer(self, index: int) -> LayerArrays:
        ours, theirs = (array_shapes(self._network, index, n) for n in (0, self._classes))
        arrays = {name: self._read_array(name, shape) for name, shape in theirs.items()}
        if theirs != ours:
            raise _Misfit(
                f"in the file {_dims(theirs['weights'])}, for {self._classes} classes, not "
                f"{self._network.classes}: change classes= and filters=, or use --partial",
                is_last=False,
            )
        if "variances" in arrays and arrays["variances"].min() < 0:
            raise _Misfit("negative variances: the file is of another architecture")
        for name, array in arrays.items():
            if not np.isfinite(array).all():
                raise _Misfit(f"NaN or infinite values in its {name}", is_last=False)
        return arrays

    def _read_array(self, name: str, shape: tuple[int, ...]) -> FloatArray:
        count = math.prod(shape)
        if self._left < count * _FLOAT.itemsize:
            raise _Misfit(
                f"its {name} {_dims(shape)} need {count * _FLOAT.itemsize} bytes, {self._left} are "
                "left: the file is truncated, or of another architecture"
            )
        array = np.fromfile(self._file, _FLOAT, count)
        return array.reshape(shape).astype(np.float32, copy=False)

    def _message(self, index: int, reason: str) -> str:
        dims = _dims(array_shapes(self._network, index)["weights"])
        return f"{self._network.name(index)} {dims}: {reason}"


def _dims(shape: tuple[int, ...]) -> str:
    return "x".join(map(str, shape))


def _other_classes(network: Network, count: int, rest: int) -> int:
    """Number of classes, other than the network's, that a file with `count` values fits; or 0."""
    one, two = _count(network, 1), _count(network, 2)
    if rest or one == two or (count - one) % (two - one) or count < one:
        return 0
    classes = 1 + (count - one) // (two - one)
    return 0 if classes == network.classes else classes


def _count(network: Network, classes: int) -> int:
    shapes = (array_shapes(network, index, classes) for index in convolutions(network))
    return sum(math.prod(shape) for arrays in shapes for shape in arrays.values())
