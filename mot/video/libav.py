"""PyAV in one place, with libav's own chatter kept off the terminal."""

from __future__ import annotations

import av
import av.error
import av.filter
import av.logging

__all__ = ["av", "reason"]
av.logging.set_level(None)


def reason(error: BaseException) -> str:
    """The bare reason of an error, without the file name that libav appends."""
    if isinstance(error, av.error.ExitError):
        return "no answer in time"
    text = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return " ".join(str(text).split())
