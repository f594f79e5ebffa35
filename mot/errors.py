"""The one exception a user is meant to see."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class MotError(Exception):
    """A mistake that the user can mend: the message names it and the mend, in one line."""


def nearest(word: str, known: Iterable[str]) -> str:
    """What to say after an unknown word: the nearest known one, else all of them."""
    names = sorted(known)
    close = difflib.get_close_matches(word, names, n=1)
    return f"did you mean {close[0]!r}?" if close else f"known: {', '.join(names)}"
