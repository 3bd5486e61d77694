"""What random search needs, from its stored relaxations."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np

from benchmarks.label_efficiency.methods import BASELINE
from benchmarks.label_efficiency.store import read

DRAWS, SEARCHES = 400, 1000
RATE_DRAWS = 2000
ERROR = 0.16, 0.84


@dataclass(frozen=True)
class Interval:
    """A number with its error by a bootstrap over relaxations.

    :param low: 16th percentile.
    :param high: 84th percentile; infinite if draws without a hit are frequent.
    """

    value: float
    low: float
    high: float

    def divided(self, by: float) -> Interval:
        """Return it in units of a number without an error."""
        return Interval(self.value / by, self.low / by, self.high / by)


@dataclass(frozen=True)
class RandomSearch:
    """Random search in equal pools.

    :param first_hit: median of the evaluations until the first hit.
    :param per_hit: evaluations for each hit, the mean.
    """

    relaxations: int
    evaluations: int
    hits: int
    first_hit: Interval
    per_hit: Interval


@cache
def random_search(system: str, pool: str) -> RandomSearch | None:
    """Return what the stored relaxations of a system say; ``None`` if there are none."""
    results = read(system, BASELINE, pool)
    return summarise(results) if results else None


def summarise(results: Sequence[dict[str, Any]]) -> RandomSearch:
    """Return what relaxations of random search say.

    :param results: at least one.
    """
    spent = np.concatenate([np.array(result['evaluations']) for result in results])
    is_hit = np.concatenate(
        [np.isin(np.arange(len(result['evaluations'])), [i for i, _ in result['hits']]) for result in results]
    )
    rng = np.random.default_rng(0)
    evaluations, hits = int(spent.sum()), int(is_hit.sum())
    return RandomSearch(len(spent), evaluations, hits, _first_hit(spent, is_hit, rng), _per_hit(spent, is_hit, rng))


def first_hits(spent: np.ndarray, is_hit: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return the evaluations until the first hit of many searches.

    One long sequence is drawn: after a hit the next search begins.

    :param spent: (n_relaxations,), evaluations of each; they are drawn with replacement.
    :param is_hit: (n_relaxations,).
    """
    if not is_hit.any():
        return np.full(1, np.inf)
    drawn = rng.integers(len(spent), size=int(SEARCHES / is_hit.mean()))
    ends = np.cumsum(spent[drawn])[is_hit[drawn]]
    return np.diff(ends, prepend=0).astype(float)


def _first_hit(spent: np.ndarray, is_hit: np.ndarray, rng: np.random.Generator) -> Interval:
    medians = []
    for _ in range(DRAWS):
        drawn = rng.integers(len(spent), size=len(spent))
        medians.append(np.median(first_hits(spent[drawn], is_hit[drawn], rng)))
    return _interval(float(np.median(first_hits(spent, is_hit, rng))), np.array(medians))


def _per_hit(spent: np.ndarray, is_hit: np.ndarray, rng: np.random.Generator) -> Interval:
    drawn = rng.integers(len(spent), size=(RATE_DRAWS, len(spent)))
    with np.errstate(divide='ignore'):
        ratios = spent[drawn].sum(axis=1) / is_hit[drawn].sum(axis=1)
        return _interval(float(spent.sum() / np.float64(is_hit.sum())), ratios)


def _interval(value: float, drawn: np.ndarray) -> Interval:
    low, high = (float(np.quantile(drawn, share, method='nearest')) for share in ERROR)
    return Interval(value, low, high)
