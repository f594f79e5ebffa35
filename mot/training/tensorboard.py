"""Writes TensorBoard files, where TensorBoard is installed."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from mot.errors import as_user_error
from mot.types import Image

if TYPE_CHECKING:
    from torch.utils.tensorboard import SummaryWriter


class TensorBoardWriter:
    """TensorBoard writes in its own thread, which would print a traceback when the disk is full.
    Here the next call raises the error instead."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._hook = threading.excepthook
        threading.excepthook = self._ignore_writer_errors
        with self._user_errors():
            self._writer = _open_writer(folder)

    def add_scalars(self, group: str, values: Mapping[str, float], step: int) -> None:
        if self._writer:
            with self._user_errors():
                for name, value in values.items():
                    self._writer.add_scalar(f"{group}/{name}", value, step)

    def add_images(self, group: str, draw: Callable[[], Iterable[Image]], step: int) -> None:
        """`draw` returns BGR images, and is only called if TensorBoard is installed."""
        if self._writer:
            for number, image in enumerate(draw()):
                rgb = np.ascontiguousarray(image[..., ::-1])
                with self._user_errors():
                    self._writer.add_image(f"{group}/{number}", rgb, step, dataformats="HWC")

    def close(self) -> None:
        threading.excepthook = self._hook
        if self._writer:
            with self._user_errors():
                self._writer.close()

    def _ignore_writer_errors(self, error: threading.ExceptHookArgs) -> None:
        if not type(error.thread).__module__.startswith("tensorboard"):
            self._hook(error)

    @contextmanager
    def _user_errors(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise as_user_error(error, self._folder) from error


def _open_writer(folder: Path) -> SummaryWriter | None:
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        return None
    return SummaryWriter(str(folder))
