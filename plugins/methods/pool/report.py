"""What became of the attempts to make a pool."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass, field
from typing import Any


@dataclass
class PoolReport:
    """Counts of attempts; of each kind, ``attempts = made + sum(refused.values())``.

    :param requested: number of random crystals asked for.
    :param volume_per_atom: estimate or what the user gave, Å³.
    :param min_distances: by pair of elements, Å.
    :param made: number of structures by kind; own ones count as kind ``own``.
    :param attempts: by kind.
    :param refused: by kind and reason.
    :param notes: what a user should know, in sentences.
    """

    requested: int
    volume_per_atom: float
    min_distances: dict[str, float]
    made: Counter[str] = field(default_factory=Counter)
    attempts: Counter[str] = field(default_factory=Counter)
    refused: defaultdict[str, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))
    notes: list[str] = field(default_factory=list)

    def refuse(self, kind: str, reason: str) -> None:
        """Count an attempt that failed."""
        self.attempts[kind] += 1
        self.refused[kind][reason] += 1

    def accept(self, kind: str) -> None:
        """Count an attempt that gave a structure."""
        self.attempts[kind] += 1
        self.made[kind] += 1

    def as_dict(self) -> dict[str, Any]:
        """Return plain values; reasons by falling number."""
        return {
            'requested': self.requested,
            'volume_per_atom': self.volume_per_atom,
            'min_distances': self.min_distances,
            'made': dict(self.made),
            'attempts': dict(self.attempts),
            'refused': {kind: dict(counts.most_common()) for kind, counts in self.refused.items()},
            'notes': list(self.notes),
        }
