"""ONNX Runtime in one place: a file opened on a device, and its errors in one line."""

from __future__ import annotations

import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from mot.detectors.network import OutOfMemory
from mot.detectors.onnx.outputs import Array
from mot.errors import MotError
from mot.opencv import cv2
from mot.runtime.cpu import usable_cpus
from mot.runtime.preprocess import Size

Runtime = Any  # the module, imported when a file is opened
_CUDA, _CPU = "CUDAExecutionProvider", "CPUExecutionProvider"
_KINDS = {"tensor(float)": np.float32, "tensor(float16)": np.float16, "tensor(uint8)": np.uint8}
_NO_ROOM = ("allocate memory", "out of memory", "bad allocation", "bad_alloc", "ALLOC_FAILED")
# Small networks gain little from a second thread within a picture; another picture gains it all.
_MOST_WORKERS = 4
_AVX_512F = 13  # OpenCV's number of it
_FATAL = 4  # nothing less is logged: errors are raised


@dataclass(frozen=True, slots=True)
class Input:
    name: str
    kind: npt.DTypeLike
    is_planar: bool  # (B, 3, H, W), else (B, H, W, 3)
    batch: int  # 0: any
    size: Size | None  # None: any


class Session:
    """A file on a device."""

    def __init__(self, path: Path, device: str, threads: int) -> None:
        self.path = path
        self.workers = min(threads or usable_cpus(), _MOST_WORKERS)
        # Those that the file's own steps are shared out to, beside the workers.
        self._session = _open(path, device, (threads or usable_cpus()) - self.workers + 1)
        try:
            self.input = _input_of(path, self._session)
            self.metadata: Mapping[str, str] = self._session.get_modelmeta().custom_metadata_map
            self.outputs: dict[str, list[Any]] = {
                each.name: list(each.shape or ()) for each in self._session.get_outputs()
            }  # the shapes, with names for sides that may vary
        except UnicodeDecodeError:
            raise MotError(f"{path}: its names are no text: the file is damaged") from None

    def run(self, blob: Array, outputs: Sequence[str]) -> list[Array]:
        try:
            arrays: list[Array] = self._session.run(list(outputs), {self.input.name: blob})
            return arrays
        except Exception as error:  # ONNX Runtime's own have no class in common
            if any(words in str(error) for words in _NO_ROOM):
                raise OutOfMemory from None
            shape = "x".join(map(str, blob.shape))
            raise MotError(f"{self.path}: cannot be run on {shape}: {_line(error)}") from None


def _open(path: Path, device: str, threads: int) -> Any:
    runtime = import_runtime()
    if not path.is_file():
        raise MotError(f"{path}: no such file")
    providers = _providers(device, runtime.get_available_providers())
    try:
        session = _started(runtime, path, providers, threads)
    except MotError:
        if device != "auto" or providers == [_CPU]:
            raise
        session = _started(runtime, path, [_CPU], threads)
    if device.startswith("cuda") and _CUDA not in session.get_providers():
        raise MotError(f"--device {device}: ONNX Runtime cannot use CUDA here: give --device cpu")
    return session


def _started(runtime: Runtime, path: Path, providers: list[Any], threads: int) -> Any:
    options = runtime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = _FATAL
    # Threads that wait busily take the time of those that decode and encode.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    # ONNX Runtime's own way to fall back prints to the standard output.
    given = {"providers": providers, "enable_fallback": 0}
    try:
        return runtime.InferenceSession(str(path), options, **given)
    except Exception as error:  # as above
        raise MotError(f"{path}: not an ONNX file that can be run: {_line(error)}") from None


def cpu_block() -> int:
    """How many channels ONNX Runtime takes at a time on this CPU; 4 are good on any."""
    if platform.machine().lower() not in ("x86_64", "amd64"):
        return 4
    return 16 if cv2.checkHardwareSupport(_AVX_512F) else 8


def check_device(device: str) -> None:
    """Raises where ONNX Runtime cannot use it."""
    _providers(device, import_runtime().get_available_providers())


def import_runtime() -> Runtime:
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
            f"--device {device}: this ONNX Runtime is without CUDA: pip install onnxruntime-gpu, "
            "or give --device cpu"
        )
    return [(_CUDA, {"device_id": int(number or 0)}), _CPU]


def _input_of(path: Path, session: Any) -> Input:
    inputs = session.get_inputs()
    told = ", ".join(f"{each.name} {each.shape} {each.type}" for each in inputs)
    fault = MotError(
        f"{path}: takes {told}: a detector takes pictures alone, "
        "(B,3,H,W) or (B,H,W,3) in float, float16 or uint8"
    )
    if len(inputs) != 1 or len(inputs[0].shape or ()) != 4 or inputs[0].type not in _KINDS:
        raise fault
    batch, *sides = (side if isinstance(side, int) and side > 0 else 0 for side in inputs[0].shape)
    is_planar = sides[0] == 3 or sides[2] != 3
    channels, height, width = sides if is_planar else (sides[2], sides[0], sides[1])
    if channels not in (0, 3) or (height == 0) != (width == 0):
        raise fault
    size = (width, height) if width else None
    return Input(inputs[0].name, _KINDS[inputs[0].type], is_planar, batch, size)


def _line(error: Exception) -> str:
    return " ".join(str(error).split())[:300]
