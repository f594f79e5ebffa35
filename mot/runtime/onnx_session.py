"""ONNX Runtime: opens a file on a device and raises its errors in one line."""

from __future__ import annotations

import platform
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy.typing as npt

from mot.errors import MotError
from mot.opencv import cv2
from mot.runtime.devices import OutOfMemory

Array = npt.NDArray[Any]
_CUDA, _CPU = "CUDAExecutionProvider", "CPUExecutionProvider"
_NO_MEMORY = ("allocate memory", "out of memory", "bad allocation", "bad_alloc", "ALLOC_FAILED")
_AVX_512F = 13  # number of this CPU feature in OpenCV
_FATAL = 4  # log level: errors are raised, not logged


class TensorInfo(NamedTuple):
    """An input or output of a file."""

    name: str
    type: str  # such as tensor(float)
    shape: list[Any]  # int, or str or None for sides of any length


class Session:
    """An ONNX file opened on a device, with `threads` within each of its operators.

    Metadata is a mapping of strings; inputs and outputs are in the order of the file.
    """

    def __init__(self, path: Path, device: str, threads: int) -> None:
        self.path = path
        self._session = _open(path, device, threads)
        try:
            self.inputs = [_info(each) for each in self._session.get_inputs()]
            self.outputs = [_info(each) for each in self._session.get_outputs()]
            self.metadata: Mapping[str, str] = self._session.get_modelmeta().custom_metadata_map
        except UnicodeDecodeError:
            raise MotError(f"{path}: its names are not text: the file is damaged") from None

    def run(self, images: Array, outputs: Sequence[str] | None = None) -> list[Array]:
        """These outputs (all by default) for the file's first input."""
        try:
            arrays: list[Array] = self._session.run(outputs, {self.inputs[0].name: images})
            return arrays
        except Exception as error:  # exceptions of ONNX Runtime have no common base class
            shape = "x".join(map(str, images.shape))
            if any(words in str(error) for words in _NO_MEMORY):
                raise OutOfMemory(f"{self.path}: out of memory for an input of {shape}") from None
            raise MotError(f"{self.path}: fails on an input of {shape}: {_line(error)}") from None


def _info(tensor: Any) -> TensorInfo:
    return TensorInfo(tensor.name, tensor.type, list(tensor.shape or ()))


def _open(path: Path, device: str, threads: int) -> Any:
    runtime = import_onnxruntime()
    if not path.is_file():
        raise MotError(f"{path}: no such file")
    providers = _providers(device, runtime.get_available_providers())
    try:
        session = _start(runtime, path, providers, threads)
    except MotError:
        if device != "auto" or providers == [_CPU]:
            raise
        session = _start(runtime, path, [_CPU], threads)
    if device.startswith("cuda") and _CUDA not in session.get_providers():
        raise MotError(f"--device {device}: ONNX Runtime cannot use CUDA here: give --device cpu")
    return session


def _start(runtime: Any, path: Path, providers: list[Any], threads: int) -> Any:
    options = runtime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = _FATAL
    # Spinning threads would take CPU time from decoding and encoding.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    try:
        # ONNX Runtime's own fallback to another provider prints to the standard output.
        return runtime.InferenceSession(str(path), options, providers=providers, enable_fallback=0)
    except Exception as error:  # see `Session.run`
        raise MotError(f"{path}: not a usable ONNX file: {_line(error)}") from None


def cpu_block() -> int:
    """Channels per block in ONNX Runtime's convolutions on this CPU; 4 is good on any CPU."""
    if platform.machine().lower() not in ("x86_64", "amd64"):
        return 4
    return 16 if cv2.checkHardwareSupport(_AVX_512F) else 8


def check_device(device: str) -> None:
    """Raises an error if ONNX Runtime has no such device."""
    _providers(device, import_onnxruntime().get_available_providers())


def import_onnxruntime() -> Any:
    try:
        import onnxruntime
    except ImportError as error:
        raise MotError(f"no ONNX Runtime ({error}): pip install onnxruntime") from None
    return onnxruntime


def _providers(device: str, available: Sequence[str]) -> list[Any]:
    kind, _, number = device.partition(":")
    if kind not in ("auto", "cpu", "cuda") or (
        number and not (kind == "cuda" and number.isdecimal())
    ):
        raise MotError(f"--device {device}: give cpu, cuda, cuda:1 or auto")
    if kind == "cpu" or (kind == "auto" and _CUDA not in available):
        return [_CPU]
    if _CUDA not in available:
        raise MotError(
            f"--device {device}: this ONNX Runtime has no CUDA: pip install onnxruntime-gpu, "
            "or give --device cpu"
        )
    return [(_CUDA, {"device_id": int(number or 0)}), _CPU]


def _line(error: Exception) -> str:
    return " ".join(str(error).split())[:300]
