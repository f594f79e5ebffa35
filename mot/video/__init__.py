"""Frames in and frames out: files, streams, cameras, folders, sequences and pipes.

Importing this loads neither PyAV nor OpenCV; opening something does.
"""

from __future__ import annotations

from mot.video.background import in_background
from mot.video.sources import Source, open_source
from mot.video.writers import ImageFolderWriter, VideoWriter, Writer, open_writer

__all__ = [
    "ImageFolderWriter",
    "Source",
    "VideoWriter",
    "Writer",
    "in_background",
    "open_source",
    "open_writer",
]
