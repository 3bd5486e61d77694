"""What the page begins with, and the rows of the README."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from benchmarks.label_efficiency import cells
from benchmarks.label_efficiency.methods import BASELINE, TRANSFER
from benchmarks.label_efficiency.random_search import random_search
from benchmarks.label_efficiency.rates import hits_of, median_spent, median_whole, n_whole, quartiles
from benchmarks.label_efficiency.store import read
from benchmarks.label_efficiency.systems import SYSTEMS, System
from benchmarks.label_efficiency.words import DESIGN, IN_SHORT, PUBLISHED, SEEDS_KNOWN
from benchmarks.markdown import table

Stored = set[tuple[str, str, str]]
# What the pools of each form of `prospect` are called.
POOLS = {
    'prospect': '{}',
    'prospect-1000': '{}, 1000',
    'prospect-patient': '{}, 1000 new',
    'prospect-thorough': '{}, 5000 new',
}


def in_short(there: Stored) -> Iterator[str]:
    """Yield how many labels `prospect` needs, and how many random search and the reference algorithm."""
    yield '## In short'
    yield ''
    yield IN_SHORT
    yield ''
    header = (
        'system',
        'pools',
        'hits',
        'labels to first hit',
        'the whole search',
        'random search: until first hit',
        'times fewer than random search',
        '`laqa`: hits',
        '`laqa`: the whole search',
        'times fewer than `laqa`, whole searches',
        'to first hit',
    )
    rows = [_short(name, method, pool) for name, method, pool in sorted(there) if method in POOLS]
    yield from table(header, rows)
    yield from _lowest_structures(there)


def _short(name: str, method: str, pool: str) -> tuple[Any, ...]:
    ours, published = read(name, method, pool), read(name, PUBLISHED, 'p1')
    return (
        name,
        POOLS[method].format(pool),
        cells.hits(ours),
        cells.number(median_spent(ours)),
        cells.number(median_whole(ours)),
        *cells.against_random(ours, random_search(name, pool)),
        cells.hits(published) if published else cells.NONE,
        cells.number(median_whole(published)) if published else cells.NONE,
        *cells.against_published(ours, published),
    )


def _lowest_structures(there: Stored) -> Iterator[str]:
    yield (
        'The lowest structures that they ended with, meV/atom above the target. What lies below all known phases is a '
        'minimum that is none of them, and a hit too.'
    )
    yield ''
    rows = []
    for name in dict.fromkeys(name for name, *_ in sorted(there)):
        lowest = [_lowest(name, method, there) for method in ('prospect', TRANSFER, PUBLISHED, BASELINE)]
        rows.append((name, *(f'{1000 * low:.0f}' if low is not None else cells.NONE for low in lowest)))
    yield from table(('system', 'prospect', 'begun with the small cell', 'laqa as published', 'random search'), rows)


def _lowest(system: str, method: str, there: Stored) -> float | None:
    """Return the lowest of all relaxed structures, eV/atom above the target."""
    results = [r for name, other, pool in there if (name, other) == (system, method) for r in read(name, other, pool)]
    relaxed = [[it['height'] for it in r['final']] if 'final' in r else r['heights'] for r in results]
    return min((height for heights in relaxed for height in heights if height is not None), default=None)


def design(there: Stored) -> Iterator[str]:
    """Yield what `prospect` was developed on, and what it finds where it was not."""
    yield '## What guided the design'
    yield ''
    yield DESIGN
    yield ''
    rows, held_out = [], []
    for name, method, pool in sorted(there):
        if method == 'prospect':
            results = read(name, method, pool)
            unseen = [result for result in results if is_held_out(result)]
            held_out += unseen
            rows.append((name, pool, *_part(unseen), *_part([r for r in results if not is_held_out(r)])))
    here = ('seeds', 'hits', 'labels to first hit', 'the whole search')
    yield from table(('system', 'pools', *(f'held out: {word}' for word in here), *here), rows)
    yield (
        f'Held-out searches of all systems together: {cells.hits(held_out)} hit, after '
        f'{cells.number(median_spent(held_out))} labels in the median; whole searches took '
        f'{cells.number(median_whole(held_out))}.'
        if held_out
        else 'Nothing held out is stored.'
    )
    yield ''


def is_held_out(result: dict[str, Any]) -> bool:
    """Tell whether the seed was not known when the design changed."""
    return int(result['seed']) > SEEDS_KNOWN.get(result['system'], 0)


def _part(results: cells.Results) -> tuple[str, ...]:
    if not results:
        return (cells.NONE,) * 4
    seeds = ', '.join(str(result['seed']) for result in results)
    return seeds, cells.hits(results), cells.first_hit(results), cells.whole(results)


def readme() -> Iterator[str]:
    """Yield what `prospect` finds from mixed pools, and where the others were measured, from theirs."""
    rows: list[tuple[Any, ...]] = []
    for system in SYSTEMS.values():
        found = next((row for pool in ('mixed', 'p1') if (row := _measured(system, pool))), None)
        if found is not None:
            rows.append((f'{cells.formula(system)}, {system.surface.words}', system.surface.target, *found))
    ours = ('hits', 'labels to the first hit', 'the whole search: labels + final evaluations')
    others = (
        'random search, to the first hit',
        '`laqa` as published: hits, the whole search',
        '`laqa`, the whole search',
    )
    yield from table(('search for', 'target', *ours, *others), rows)


def _measured(system: System, pool: str) -> tuple[str, ...] | None:
    ours = read(system.name, 'prospect', pool)
    if not ours:
        return None
    published = read(system.name, PUBLISHED, 'p1')
    times = cells.against_random(ours, random_search(system.name, pool))[1]
    whole = cells.against_published(ours, published)[0]
    return (
        f'{len(hits_of(ours))} of {len(ours)} ({cells.n_target(ours)} the target)',
        cells.first_hit(ours),
        quartiles([n_whole(result) for result in ours]),
        f'{times} times as many' if times != cells.NONE else cells.NONE,
        f'{cells.hits(published)}: {median_whole(published):.0f}' if published else cells.NONE,
        f'{whole} times as many' if published and np.isfinite(median_whole(ours)) else cells.NONE,
    )
