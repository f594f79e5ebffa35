"""OpenCV, imported here alone, so that a missing system library is reported in one line."""

from __future__ import annotations

import re
from typing import Any

from mot.errors import MotError

# Shared library -> its Debian or Ubuntu package.
APT_PACKAGES = {
    "libGL.so.1": "libgl1",
    "libEGL.so.1": "libegl1",
    "libgthread-2.0.so.0": "libglib2.0-0",
    "libglib-2.0.so.0": "libglib2.0-0",
    "libgobject-2.0.so.0": "libglib2.0-0",
    "libSM.so.6": "libsm6",
    "libICE.so.6": "libice6",
    "libX11.so.6": "libx11-6",
    "libxcb.so.1": "libxcb1",
    "libXext.so.6": "libxext6",
    "libXrender.so.1": "libxrender1",
}


def installation_hint(message: str) -> str:
    """How to fix a failed `import cv2` with this error message, in one line."""
    missing = re.search(r"(lib[\w.+-]+\.so[\w.]*): cannot open shared object", message)
    if missing:
        name = missing[1]
        package = APT_PACKAGES.get(name, f"the package that holds {name}")
        return (
            f"OpenCV needs the system library {name}: apt-get install {package}, "
            "or pip install opencv-python-headless in place of opencv-python"
        )
    if "No module named 'cv2'" in message:
        return "OpenCV is not installed: pip install opencv-python"
    return f"OpenCV cannot be imported ({' '.join(message.split())}): reinstall opencv-python"


try:
    import cv2 as _cv2
except ImportError as error:
    raise MotError(installation_hint(str(error))) from error

# Untyped: its type hints differ between releases and reject valid calls.
cv2: Any = _cv2

__all__ = ["cv2"]
