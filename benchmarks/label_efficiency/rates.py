"""Numbers of a table from stored results."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from benchmarks.label_efficiency.systems import WINDOW

DRAWS = 2000


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


def n_labels(result: dict[str, Any]) -> int:
    """Return how many labels the cycles of a search took."""
    return sum(len(cycle) for cycle in result['labels'])


def n_final(result: dict[str, Any]) -> int:
    """Return how many evaluations the final relaxations took."""
    return sum(item['evaluations'] for item in result['final'])


def hit_of(result: dict[str, Any]) -> Hit | None:
    """Return the first hit of a search."""
    if result['first_label'] is not None:
        return Hit(result['first_label']['number'], True, tuple(result['first_label']['phases']))
    for item in result['final']:
        if item['height'] is not None and item['height'] < window_of(result):
            return Hit(n_labels(result) + n_final(result), False, tuple(item['phases']))
    return None


def median_spent(results: Sequence[dict[str, Any]]) -> float:
    """Return the median of what searches spent until their first hit; infinite if most have none."""
    return float(np.median([np.inf if (hit := hit_of(result)) is None else hit.spent for result in results]))


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
        return '∞' if not np.isfinite(below) or above != below else f'{below:.0f}'
    return f'{below + (above - below) * (place % 1):.0f}'


@dataclass(frozen=True)
class Rate:
    """Evaluations of random search for each hit.

    :param low: 16th percentile of the bootstrap over relaxations.
    :param high: 84th percentile; infinite if draws without a hit are frequent.
    """

    relaxations: int
    evaluations: int
    hits: int
    low: float
    high: float

    @property
    def per_hit(self) -> float:
        """Evaluations for a hit; infinite if there was none."""
        return self.evaluations / self.hits if self.hits else np.inf


def rate_of(results: Sequence[dict[str, Any]]) -> Rate:
    """Return the rate of hits of random search, with its error by a bootstrap over relaxations."""
    spent = np.concatenate([np.array(result['evaluations']) for result in results])
    is_hit = np.concatenate(
        [np.isin(np.arange(len(result['evaluations'])), [i for i, _ in result['hits']]) for result in results]
    )
    drawn = np.random.default_rng(0).integers(len(spent), size=(DRAWS, len(spent)))
    hits = is_hit[drawn].sum(axis=1)
    with np.errstate(divide='ignore'):
        ratios = spent[drawn].sum(axis=1) / hits
    low, high = (float(np.quantile(ratios, share, method='nearest')) for share in (0.16, 0.84))
    return Rate(len(spent), int(spent.sum()), int(is_hit.sum()), low, high)
