"""Errors that are shown to the user as one line, without a traceback."""

from __future__ import annotations

import difflib
import errno
from collections.abc import Iterable
from pathlib import Path


class MotError(Exception):
    """A mistake of the user: the message names the file, line or flag, and how to fix it."""

    exit_code = 2


class MachineError(MotError):
    """A failure of the machine, such as a full disk."""

    exit_code = 1


def suggest(word: str, known: Iterable[str]) -> str:
    """The end of an "unknown name" message: the most similar known name, or all of them."""
    names = sorted(known)
    close = difflib.get_close_matches(word, names, n=1)
    return f"did you mean {close[0]!r}?" if close else f"known: {', '.join(names)}"


def as_user_error(error: Exception, path: Path) -> Exception:
    """An OSError raised while writing `path` as a MotError; other errors unchanged."""
    if isinstance(error, MotError) or not isinstance(error, OSError):
        return error
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return MachineError(f"{path}: disk full: free some space or write elsewhere")
    if isinstance(error, PermissionError) or error.errno == errno.EROFS:
        return MotError(f"{path}: no permission to write: choose another path")
    return MotError(f"{path}: cannot be written: {error.strerror or error}")
