"""A window on the screen."""

from __future__ import annotations

import os
import sys
from typing import Self

from mot.errors import MotError
from mot.opencv import cv2
from mot.types import Image

_SCREENS = ("DISPLAY", "WAYLAND_DISPLAY", "QT_QPA_PLATFORM")
_NO_SCREEN = (
    "--show: no window can be opened (no screen, or opencv-python-headless): "
    "leave out --show and open the video that is written"
)
_QUIT = frozenset((ord("q"), 27))  # 27: Escape


class Window:
    def __init__(self, name: str) -> None:
        # Qt does not raise without a screen, it ends the process.
        if sys.platform == "linux" and not any(os.environ.get(name) for name in _SCREENS):
            raise MotError(_NO_SCREEN)
        self._name = f"mot: {name}"

    def show(self, image: Image) -> bool:
        """False once the person has asked to end."""
        try:
            cv2.imshow(self._name, image)
            return cv2.waitKey(1) & 0xFF not in _QUIT
        except cv2.error:
            raise MotError(_NO_SCREEN) from None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        try:
            cv2.destroyWindow(self._name)
        except cv2.error:
            return  # it was never opened
