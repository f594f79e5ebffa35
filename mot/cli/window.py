"""A window on the screen."""

from __future__ import annotations

from typing import Self

from mot.errors import MotError
from mot.opencv import cv2
from mot.types import Image

_QUIT = frozenset((ord("q"), 27))  # 27: Escape


class Window:
    def __init__(self, name: str) -> None:
        self._name = f"mot: {name}"

    def show(self, image: Image) -> bool:
        """False once the person has asked to end."""
        try:
            cv2.imshow(self._name, image)
            return cv2.waitKey(1) & 0xFF not in _QUIT
        except cv2.error:
            raise MotError(
                "--show: this OpenCV cannot open a window (no display, or opencv-python-headless): "
                "leave out --show and open the video that is written"
            ) from None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        try:
            cv2.destroyWindow(self._name)
        except cv2.error:
            return  # it was never opened
