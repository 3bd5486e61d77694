"""Numbers of a table from stored results of searches."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from benchmarks.label_efficiency.systems import WINDOW


@dataclass(frozen=True)
class Hit:
    """How a search found the target.

    :param spent: labels until then; where only the final relaxations gave it, with all of their evaluations.
    :param by_label: whether a label did.
    :param phases: names of the known phases that it is.
    """

    spent: int
    by_label: bool
    phases: tuple[str, ...]


def window_of(result: dict[str, Any]) -> float:
    """Return how far above the target a hit may be, eV/atom; results that do not say are older than other windows."""
    return float(result.get('window', WINDOW))


def is_computed(result: dict[str, Any]) -> np.ndarray:
    """Tell of all candidates which ones the reference method was asked for, as
    :func:`aiida_prospect.methods.labels.count_labels` counts them: all but those that the prechecks rejected.

    Results that do not say which ones were rejected are older; there all without an energy are taken for rejected. In
    that of Al4O6 with a rejected label it is so, and in those with Quantum ESPRESSO there are none.
    """
    energies = [energy for cycle in result['labels'] for energy in cycle]
    if 'rejected' in result:
        return ~np.isin(np.arange(len(energies)), result['rejected'])
    return np.array([energy is not None for energy in energies], bool)


def energies_of_labels(result: dict[str, Any]) -> np.ndarray:
    """Return the energies of the labels that were computed, eV/atom above the target; infinite if they failed."""
    energies = [np.inf if energy is None else energy for cycle in result['labels'] for energy in cycle]
    return np.array(energies, float)[is_computed(result)]


def n_labels(result: dict[str, Any]) -> int:
    """Return how many labels the cycles of a search took."""
    return int(is_computed(result).sum())


def n_before(result: dict[str, Any]) -> int:
    """Return how many labels from elsewhere a search began with."""
    return int(result.get('n_labels_before', 0))


def n_final(result: dict[str, Any]) -> int:
    """Return how many evaluations the final relaxations took."""
    return sum(item['evaluations'] for item in result['final'])


def n_whole(result: dict[str, Any]) -> int:
    """Return what the whole search took: its labels, and the evaluations of the final relaxations."""
    return n_labels(result) + n_final(result)


def hit_of(result: dict[str, Any]) -> Hit | None:
    """Return the first hit of a search."""
    first = result['first_label']
    if first is not None:
        # The stored number is that of the candidate.
        spent = int(is_computed(result)[: first['number']].sum())
        return Hit(spent, True, tuple(first['phases']))
    for item in result['final']:
        if item['height'] is not None and item['height'] < window_of(result):
            return Hit(n_whole(result), False, tuple(item['phases']))
    return None


def hits_of(results: Sequence[dict[str, Any]]) -> list[Hit]:
    """Return the first hits of those searches that have one."""
    return [hit for hit in map(hit_of, results) if hit]


def median_spent(results: Sequence[dict[str, Any]]) -> float:
    """Return the median of what searches spent until their first hit; infinite if less than half have one.

    Where exactly half of them have one, it is that of the longest of these.
    """
    spent = np.sort([np.inf if (hit := hit_of(result)) is None else hit.spent for result in results])
    low, high = spent[(len(spent) - 1) // 2], spent[len(spent) // 2]
    return float((low + high) / 2 if np.isfinite(high) else low)


def median_whole(results: Sequence[dict[str, Any]]) -> float:
    """Return the median of what whole searches took, with a hit or without."""
    return float(np.median([n_whole(result) for result in results]))


def quartiles(values: Sequence[float], missing: int = 0) -> str:
    """Return median and quartiles in words.

    :param missing: searches without a value; they count as larger than all others.
    """
    if not values:
        return '–'
    every = np.sort(np.concatenate([np.asarray(values, float), np.full(missing, np.inf)]))
    low, middle, high = (_quantile(every, share) for share in (0.25, 0.5, 0.75))
    return middle if len(every) == 1 else f'{middle} ({low}–{high})'


def _quantile(ordered: np.ndarray, share: float) -> str:
    place = share * (len(ordered) - 1)
    below, above = ordered[int(np.floor(place))], ordered[int(np.ceil(place))]
    if not np.isfinite(above):
        return f'{below:.0f}' if np.isfinite(below) and share <= 0.5 else '∞'
    return f'{below + (above - below) * (place % 1):.0f}'
