"""What became of a weights file: which of it fits a network, and which does not."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import NamedTuple

_SHOWN = 3


class Loaded(NamedTuple):
    renamed: str  # how the file's names differed; nothing where they did not
    missing: tuple[str, ...] = ()  # of the network, left as they were
    unexpected: tuple[str, ...] = ()  # of the file, left out

    def __str__(self) -> str:
        parts = [f"read with {self.renamed}"] * bool(self.renamed)
        parts += [f"left as it was, untrained: {_listed(self.missing)}"] * bool(self.missing)
        parts += [f"left out: {_listed(self.unexpected)}"] * bool(self.unexpected)
        return "; ".join(parts) or "all of it fits"

    def tell(self, path: Path) -> None:
        """A line on the standard error, where there is something to know."""
        if any(self):
            print(f"mot: {path}: {self}", file=sys.stderr)


def _listed(names: tuple[str, ...]) -> str:
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(names[:_SHOWN]) + more
