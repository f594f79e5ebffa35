"""Problems of a dataset that is usable despite them."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator

_MAX_EXAMPLES = 50  # kept per kind


class Problems:
    """How often each kind of problem was found, and the first examples."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self.examples: dict[str, list[str]] = defaultdict(list)

    def add(self, kind: str, examples: Iterable[str]) -> None:
        for example in examples:
            self.counts[kind] += 1
            if len(self.examples[kind]) < _MAX_EXAMPLES:
                self.examples[kind].append(example)

    def update(self, other: Problems) -> None:
        for kind, count in other.counts.items():
            self.add(kind, other.examples[kind])
            self.counts[kind] += count - len(other.examples[kind])

    def lines(self, max_examples: int = 3) -> Iterator[str]:
        """One line per kind."""
        for kind, count in self.counts.items():
            shown = "; ".join(self.examples[kind][:max_examples])
            yield f"{count} {kind}: {shown}{'; ...' if count > max_examples else ''}"
