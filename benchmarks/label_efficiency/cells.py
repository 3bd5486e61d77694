"""Cells of the tables."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np

from benchmarks.label_efficiency.random_search import Interval, RandomSearch
from benchmarks.label_efficiency.rates import (
    hits_of,
    median_spent,
    median_whole,
    n_before,
    n_labels,
    n_whole,
    quartiles,
)
from benchmarks.label_efficiency.systems import SYSTEMS, System

Results = list[dict[str, Any]]
NONE = '–'


def formula(system: System) -> str:
    """Return the formula of the cell."""
    return ''.join(f'{element}{number}' for element, number in system.composition.items())


def number(value: float) -> str:
    """Return a number without digits, an infinite one as such."""
    return f'{value:.0f}' if np.isfinite(value) else '∞'


def ratio(value: float) -> str:
    """Return a ratio, below ten with one digit; none if a search had no hit."""
    if not np.isfinite(value):
        return NONE
    return f'{value:.1f}' if round(value, 1) < 10 else f'{value:.0f}'


def hits(results: Results) -> str:
    """Return how many searches hit."""
    return f'{len(hits_of(results))} of {len(results)}'


def n_target(results: Results) -> int:
    """Return how many first hits are the target phase itself."""
    target = SYSTEMS[results[0]['system']].surface.target
    return sum(target in hit.phases for hit in hits_of(results))


def first_hit(results: Results) -> str:
    """Return the labels to the first hit, behind those from elsewhere."""
    found = hits_of(results)
    return _before(results) + quartiles([hit.spent for hit in found], len(results) - len(found))


def whole(results: Results) -> str:
    """Return what whole searches took, behind the labels from elsewhere."""
    return _before(results) + quartiles([n_whole(result) for result in results])


def until_stop(results: Results) -> str:
    """Return the labels until the stop, and why searches stopped that did not converge."""
    reasons = Counter(result['stop'] for result in results)
    others = [f'{count} {reason}' for reason, count in sorted(reasons.items()) if reason != 'converged']
    return quartiles([n_labels(result) for result in results]) + (f'; {", ".join(others)}' if others else '')


def _before(results: Results) -> str:
    before = [n_before(result) for result in results]
    return f'{np.median(before):.0f} + ' if any(before) else ''


def against_random(results: Results, random: RandomSearch | None) -> tuple[str, str]:
    """Return the evaluations of random search until its first hit, and how many times fewer labels searches need."""
    if random is None:
        return NONE, NONE
    labels = median_spent(results)
    if not random.hits:
        least = f'> {ratio(random.evaluations / labels)}' if np.isfinite(labels) else NONE
        return f'no hit in {random.evaluations}', least
    if not np.isfinite(labels):
        return number(random.first_hit.value), NONE
    times = random.first_hit.divided(labels)
    return number(random.first_hit.value), f'{ratio(times.value)} ({_range(times, ratio)})'


def per_hit(random: RandomSearch) -> str:
    """Return what random search did."""
    spent = f'{random.relaxations} relaxations, {random.evaluations} evaluations, hits: {random.hits}'
    if not random.hits:
        return spent
    first, mean = random.first_hit, random.per_hit
    until = f'{number(first.value)} evaluations until the first hit, median ({_range(first, number)})'
    return f'{spent}; {until}; {number(mean.value)} for each hit, mean ({_range(mean, number)})'


def _range(interval: Interval, words: Any) -> str:
    if not np.isfinite(interval.high):
        return f'{words(interval.low)} or more'
    return f'{words(interval.low)}–{words(interval.high)}'


def against_published(ours: Results, published: Results) -> tuple[str, str]:
    """Return how many times fewer `prospect` takes than the reference algorithm: whole searches, first hits."""
    if not published:
        return NONE, NONE
    labels = median_spent(ours)
    first = median_spent(published) / labels if np.isfinite(labels) else np.inf
    return ratio(median_whole(published) / median_whole(ours)), ratio(first)
