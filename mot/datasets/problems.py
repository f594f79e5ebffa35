"""What is wrong in a dataset that can be used all the same."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator

_EXAMPLES = 50  # kept of each kind


class Problems:
    """How often each kind was found, and the first examples."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self.examples: dict[str, list[str]] = defaultdict(list)

    def note(self, kind: str, examples: Iterable[str]) -> None:
        for example in examples:
            self.counts[kind] += 1
            if len(self.examples[kind]) < _EXAMPLES:
                self.examples[kind].append(example)

    def add(self, other: Problems) -> None:
        for kind, count in other.counts.items():
            self.note(kind, other.examples[kind])
            self.counts[kind] += count - len(other.examples[kind])

    def lines(self, most: int = 3) -> Iterator[str]:
        """One for each kind."""
        for kind, count in self.counts.items():
            shown = "; ".join(self.examples[kind][:most])
            yield f"{count} {kind}: {shown}{'; ...' if count > most else ''}"
