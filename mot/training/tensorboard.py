"""What TensorBoard shows of a training, where it is installed."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from mot.errors import as_user_error
from mot.types import Image


class Board:
    """TensorBoard writes in a thread of its own, which would print a traceback when the disk is
    full. Here that is an error of whoever writes next."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._hook = threading.excepthook
        threading.excepthook = self._pass_over
        with self._explained():
            self._writer = _writer(folder)

    def numbers(self, group: str, values: Mapping[str, float], step: int) -> None:
        for name, value in values.items() if self._writer else ():
            with self._explained():
                self._writer.add_scalar(f"{group}/{name}", value, step)

    def pictures(self, group: str, drawn: Callable[[], Iterable[Image]], step: int) -> None:
        for place, image in enumerate(drawn() if self._writer else ()):
            with self._explained():
                rgb = np.ascontiguousarray(image[..., ::-1])
                self._writer.add_image(f"{group}/{place}", rgb, step, dataformats="HWC")

    def close(self) -> None:
        threading.excepthook = self._hook
        if self._writer:
            with self._explained():
                self._writer.close()

    def _pass_over(self, told: threading.ExceptHookArgs) -> None:
        if not type(told.thread).__module__.startswith("tensorboard"):
            self._hook(told)

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise as_user_error(error, self._folder) from error


def _writer(folder: Path) -> Any:
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        return None
    return SummaryWriter(str(folder))
