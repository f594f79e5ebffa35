"""The errors a user is meant to see."""

from __future__ import annotations

import difflib
import errno
from collections.abc import Iterable
from pathlib import Path


class MotError(Exception):
    """A mistake that the user can mend: the message names it and the mend, in one line."""

    exit_code = 2


class MachineError(MotError):
    """Not the user's mistake: the disk is full, say."""

    exit_code = 1


def nearest(word: str, known: Iterable[str]) -> str:
    """What to say after an unknown word: the nearest known one, else all of them."""
    names = sorted(known)
    close = difflib.get_close_matches(word, names, n=1)
    return f"did you mean {close[0]!r}?" if close else f"known: {', '.join(names)}"


def as_user_error(error: Exception, path: Path) -> Exception:
    """A failure to write in one line; other errors as they are."""
    if isinstance(error, MotError) or not isinstance(error, OSError):
        return error
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return MachineError(f"{path}: disk full: free some space or write elsewhere")
    if isinstance(error, PermissionError) or error.errno == errno.EROFS:
        return MotError(f"{path}: no permission to write there: choose another place")
    return MotError(f"{path}: cannot be written: {error.strerror or error}")
