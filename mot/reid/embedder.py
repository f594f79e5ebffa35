"""What people look like, as unit vectors: a re-identification network on ONNX Runtime."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from mot import boxes
from mot.errors import MotError
from mot.opencv import cv2
from mot.runtime.cpu import usable_cpus
from mot.runtime.onnx_session import check_device
from mot.types import Detections, FloatArray, Frame, Image

# Of ImageNet, in RGB: what such networks are trained with.
_MEAN, _STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
_SIZE = (128, 256)  # width, height, where the file leaves them open
_BATCH = 64  # crops at a time
_CUDA = "CUDAExecutionProvider"


class Embedder(Protocol):
    """(N, D) unit vectors of the people in these boxes of a picture; zeros where it knows none."""

    dims: int  # D

    def __call__(self, image: Image, xyxy: FloatArray) -> FloatArray: ...


class OnnxEmbedder:
    """Looks at people in a frame: their crops go through the network in one batch.

    A file that takes one crop alone is run on several threads at once.
    """

    def __init__(self, path: str | Path, threads: int | None = None, device: str = "auto") -> None:
        self._threads = threads or min(8, usable_cpus())
        self._session, self._is_single = _open(Path(path), self._threads, device)
        (given,) = self._session.get_inputs()
        self._input = given.name
        height, width = (side if isinstance(side, int) else None for side in given.shape[2:])
        self.size = (width or _SIZE[0], height or _SIZE[1])
        known = _metadata(self._session)
        self.path = Path(path)
        mean = _per_channel(self.path, "mean", known.get("mean", _MEAN))
        std = _per_channel(self.path, "std", known.get("std", _STD))
        self._scale = np.array(1 / (255 * std), np.float32)
        self._shift = np.array(-mean / std, np.float32)
        self.dims = self._dims_of(np.full((self.size[1], self.size[0], 3), 128, np.uint8))

    def _dims_of(self, grey: Image) -> int:
        """Of the vectors; a detector tells more of a crop than one."""
        try:
            shape = self._run(self._prepared([grey])).shape
        except Exception as error:  # ONNX Runtime's own kinds have no common base
            reason = str(error).splitlines()[0][:120]
            raise MotError(f"{self.path}: cannot be run on a crop ({reason})") from None
        if shape[:1] != (1,) or np.prod(shape) != max(shape):
            raise MotError(
                f"{self.path}: tells {shape} of a crop, not one vector: "
                "a detector is given as --detector"
            )
        return int(max(shape))

    def __call__(self, image: Image, xyxy: FloatArray) -> FloatArray:
        """(N, D) unit vectors of the people in these boxes."""
        return of_boxes(image, xyxy, self.dims, self._of_cuts)

    def _of_cuts(self, cuts: Sequence[Image]) -> FloatArray:
        """(N, D) of one picture of a person or more."""
        parts = [cuts[start : start + _BATCH] for start in range(0, len(cuts), _BATCH)]
        told = np.concatenate([self._run(self._prepared(part)) for part in parts])
        return _unit(told.reshape(len(cuts), -1))

    def _prepared(self, cuts: Sequence[Image]) -> npt.NDArray[np.float32]:
        """(N, 3, H, W) RGB as the network wants them."""
        pixels = np.empty((len(cuts), self.size[1], self.size[0], 3), np.uint8)
        for crop, cut in zip(pixels, cuts, strict=True):
            cv2.resize(cut, self.size, dst=crop)
        crops = np.empty((len(cuts), 3, self.size[1], self.size[0]), np.float32)
        for channel in range(3):
            plane = pixels[..., 2 - channel]
            np.multiply(plane, self._scale[channel], out=crops[:, channel], casting="unsafe")
            crops[:, channel] += self._shift[channel]
        return crops

    def _run(self, crops: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        if not self._is_single:
            return np.asarray(self._session.run(None, {self._input: crops})[0])
        with ThreadPoolExecutor(self._threads) as pool:
            one_by_one = (crops[index : index + 1] for index in range(len(crops)))
            found = pool.map(
                lambda crop: self._session.run(None, {self._input: crop})[0], one_by_one
            )
            return np.concatenate(list(found))


def of_boxes(
    image: Image, xyxy: FloatArray, dims: int, look: Callable[[Sequence[Image]], FloatArray]
) -> FloatArray:
    """(N, D) what `look` says of what boxes cut out; zeros where that is not a pixel."""
    cuts = boxes.cut_out(image, xyxy)
    seen = [row for row, cut in enumerate(cuts) if cut.size]
    found = np.zeros((len(cuts), dims), np.float32)
    if seen:
        found[seen] = look([cuts[row] for row in seen])
    return found


def _unit(vectors: npt.NDArray[np.float32]) -> FloatArray:
    """Zeros of what is not finite."""
    exact = vectors.astype(np.float64)
    length = np.linalg.norm(exact, axis=1, keepdims=True)
    with np.errstate(invalid="ignore"):
        unit: FloatArray = (exact / np.maximum(length, 1e-12)).astype(np.float32)
    return np.nan_to_num(unit)


def _open(path: Path, threads: int, device: str) -> tuple[Any, bool]:
    """The session, and whether it takes one crop alone."""
    try:
        import onnxruntime
    except ImportError:
        raise MotError("--embedder needs ONNX Runtime: pip install onnxruntime") from None
    if not path.is_file():
        raise MotError(f"{path}: no such file")
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")  # others want the CPU
    providers = _providers(onnxruntime.get_available_providers(), device)
    try:
        session = onnxruntime.InferenceSession(str(path), options, providers=providers)
        is_single = _is_single(path, session)
        options.intra_op_num_threads = 1 if is_single else threads
        session = onnxruntime.InferenceSession(str(path), options, providers=providers)
    except MotError:
        raise
    except Exception as error:  # ONNX Runtime's own kinds have no common base
        reason = str(error).splitlines()[0][:120]
        raise MotError(f"{path}: not an ONNX file that can be run ({reason})") from None
    if device.startswith("cuda") and _CUDA not in session.get_providers():
        raise MotError(f"--device {device}: ONNX Runtime cannot use CUDA here: give --device cpu")
    return session, is_single


def _providers(available: Sequence[str], device: str) -> list[Any]:
    check_device(device)
    kind, _, number = device.partition(":")
    has_cuda = kind != "cpu" and _CUDA in available
    cuda = [(_CUDA, {"device_id": int(number or 0)})] if has_cuda else []
    return [*cuda, "CPUExecutionProvider"]


def _is_single(path: Path, session: Any) -> bool:
    given = session.get_inputs()
    if len(given) != 1 or len(given[0].shape) != 4 or given[0].shape[1] != 3:
        shapes = ", ".join(str(each.shape) for each in given)
        raise MotError(f"{path}: takes {shapes}, not crops of the shape (N, 3, height, width)")
    count = given[0].shape[0]
    if isinstance(count, int) and count != 1:
        raise MotError(
            f"{path}: takes {count} crops at a time: export it for one, or for any number"
        )
    return isinstance(count, int)


def _metadata(session: Any) -> dict[str, Any]:
    try:
        found = json.loads(session.get_modelmeta().custom_metadata_map.get("mot", "{}"))
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _per_channel(path: Path, name: str, told: Any) -> npt.NDArray[np.float64]:
    """Three numbers of the file's metadata; those of `std` are above 0."""
    try:
        numbers = np.array(told, np.float64)
    except (TypeError, ValueError):
        numbers = np.zeros(0)
    least = 1e-6 if name == "std" else -1e6
    if numbers.shape != (3,) or not ((numbers >= least) & (numbers <= 1e6)).all():
        raise MotError(f"{path}: {name} in its metadata must be three numbers: export it again")
    return numbers


def attach_embeddings(
    detected: Iterable[tuple[Frame, Detections]],
    embedder: Embedder,
    anew: bool = True,
    least: float = 0.0,
) -> Iterator[tuple[Frame, Detections]]:
    """The same detections, with what they look like, from a score of `least` on; nothing is known
    of the others. `anew`: also where a detector told it."""
    for frame, found in detected:
        if found.embeddings is not None and not anew:
            yield frame, found
            continue
        if frame.image is None:
            raise MotError(f"frame {frame.index} has no picture for --embedder to look at")
        looks = _looks(embedder, frame.image, found, least) if len(found) else None
        yield frame, Detections(found.boxes, found.scores, found.labels, looks)


def _looks(embedder: Embedder, image: Image, found: Detections, least: float) -> FloatArray:
    """(N, D) zeros of those who score less, unless all do."""
    sure = found.scores >= least
    if sure.all() or not sure.any():
        return embedder(image, found.boxes)
    vectors = embedder(image, found.boxes[sure])
    looks = np.zeros((len(found), vectors.shape[1]), np.float32)
    looks[sure] = vectors
    return looks
