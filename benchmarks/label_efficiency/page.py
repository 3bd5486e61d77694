"""The page of the documentation: tables and figures of what is stored, and what of the plan is not."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.label_efficiency import cells, plan
from benchmarks.label_efficiency.figures import draw
from benchmarks.label_efficiency.methods import ABLATIONS, BASELINE, METHODS, TRANSFER, method_of
from benchmarks.label_efficiency.overview import design, in_short, readme
from benchmarks.label_efficiency.random_search import RandomSearch, random_search
from benchmarks.label_efficiency.rates import hits_of, n_before, n_final, n_labels, n_whole, quartiles
from benchmarks.label_efficiency.store import RESULTS, read, stored
from benchmarks.label_efficiency.systems import SYSTEMS, System
from benchmarks.label_efficiency.words import MINIMA, PHASES, PRETRAINED, head
from benchmarks.markdown import table

DOCS = Path(__file__).parents[2] / 'docs'
PAGE = DOCS / 'benchmarks_label_efficiency.md'
README = DOCS.parent / 'README.md'
# Between these stand the rows that are made here.
BEGIN, END = '<!-- label efficiency: begin -->', '<!-- label efficiency: end -->'
IMAGES = 'images'
TRAINED = RESULTS.parent / 'training_cost' / 'models'
STAGES = ('label', 'train', 'relax', 'rest')
SEARCHES = (
    'method',
    'hits',
    'of these by label',
    'as target',
    'labels to first hit: median (quartiles)',
    'the whole search: labels + final evaluations',
    'labels until the stop',
    'final evaluations',
    'minutes',
    'core seconds: ' + ', '.join(STAGES),
    'fewer than random search, to first hit',
)


def write_page() -> None:
    """Write the page and its figures, and the rows in the README."""
    PAGE.write_text('\n'.join(page()).rstrip() + '\n')
    before, rest = README.read_text().split(BEGIN)
    _, after = rest.split(END)
    rows = '\n'.join(readme()).strip()
    README.write_text(f'{before}{BEGIN}\n\n{rows}\n\n{END}{after}')


def page() -> Iterator[str]:
    """Yield the lines of the page, and draw its figures."""
    there = set(stored())
    yield head(max((len(read(*key)) for key in there if key[1] == TRANSFER), default=1))
    yield from conditions_of_results()
    yield from phases()
    yield from in_short(there)
    yield from design(there)
    for system in SYSTEMS.values():
        pools = sorted({pool for name, _, pool in there if name == system.name})
        if pools:
            yield f'## {cells.formula(system)}, {system.surface.words}'
            yield ''
            if system.surface.details:
                yield system.surface.details
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
        ('Versions', {_versions(result['versions']) for result in results}),
        ('Commits', {result['commit'] for result in results}),
    ):
        yield f'{name}: {"; ".join(sorted(values))}.'
    yield _programs(results)
    if results:
        loads = [float(result['machine'].rpartition('load ')[2]) for result in results if 'load ' in result['machine']]
        dates = sorted(result['date'] for result in results)
        yield (
            f'From {dates[0]} to {dates[-1]}, at a load of {min(loads):.0f} to {max(loads):.0f}: other work shared the '
            'cores, so times of the clock say little; core seconds are of one thread.'
        )
    yield ''


def _programs(results: list[dict[str, Any]]) -> str:
    stored_here = {_versions(result['programs']) for result in results if result.get('programs')}
    words = f'Programs, where stored: {"; ".join(sorted(stored_here)) or "with no search"}'
    pretrained = TRAINED / f'{METHODS[PRETRAINED].start}.json'
    if pretrained.is_file():
        words += f'; with the pretrained networks {_versions(json.loads(pretrained.read_text())["programs"])}'
    return f'{words}.'


def _versions(found: dict[str, str]) -> str:
    return ', '.join(f'{name} {version}' for name, version in found.items())


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
    yield PHASES
    yield ''


def searches(system: System, pool: str) -> Iterator[str]:
    """Yield the table and the figure of one kind of pool."""
    random = random_search(system.name, pool)
    shown = {name: found for name in METHODS if (found := read(system.name, name, pool))}
    yield f'**Pools: {pool}**'
    yield ''
    if shown:
        yield from table(SEARCHES, [_row(name, results, random) for name, results in shown.items()])
    if random is not None:
        yield f'Random search: {cells.per_hit(random)}.'
        yield ''
    if shown:
        path = DOCS / IMAGES / f'label_efficiency_{system.name}_{pool}.svg'
        title = f'{cells.formula(system)}, {system.surface.words}, {pool}'
        draw(title, shown, read(system.name, BASELINE, pool), path)
        yield f'![Lowest label against the number of labels]({IMAGES}/{path.name})'
        yield ''


def _row(name: str, results: cells.Results, random: RandomSearch | None) -> tuple[Any, ...]:
    # The pools of the reference algorithm are not those of random search.
    equal = None if METHODS[name].published else random
    return (
        METHODS[name].words,
        cells.hits(results),
        sum(hit.by_label for hit in hits_of(results)),
        cells.n_target(results),
        cells.first_hit(results),
        cells.whole(results),
        cells.until_stop(results),
        f'{np.median([n_final(result) for result in results]):.0f}',
        f'{np.median([result["wall_seconds"] for result in results]) / 60:.1f}',
        ', '.join(f'{np.median([result["seconds"].get(stage, 0) for result in results]):.0f}' for stage in STAGES),
        cells.against_random(results, equal)[1],
    )


def low_minima(there: set[tuple[str, str, str]]) -> Iterator[str]:
    """Yield how many low minima are found."""
    yield '## Several minima'
    yield ''
    yield MINIMA
    yield ''
    header = (
        'system',
        'pools',
        'method',
        'minima by labels, mean',
        'with the final ones',
        'labels + final evaluations, mean',
        'minima per 100 of these',
    )
    yield from table(header, [_minima(*key) for key in sorted(there) if key[1] not in ABLATIONS])


def _minima(name: str, method: str, pool: str) -> tuple[Any, ...]:
    results = read(name, method, pool)
    by_labels = np.mean([r['low_minima'][-1][1] if r['low_minima'] else 0 for r in results])
    if method == BASELINE:
        spent = np.mean([sum(r['evaluations']) for r in results])
        return name, pool, method, cells.NONE, f'{by_labels:.1f}', f'{spent:.0f}', f'{100 * by_labels / spent:.2f}'
    every = np.mean([r['low_minima_final'] for r in results])
    spent = np.mean([n_before(r) + n_whole(r) for r in results])
    return name, pool, method, f'{by_labels:.1f}', f'{every:.1f}', f'{spent:.0f}', f'{100 * every / spent:.2f}'


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
    here = ('hits', 'labels to first hit', 'labels until the stop', 'the whole search')
    header = ('system', 'pools', 'changed', *here, *(f'default: {name}' for name in here))
    yield from table(header, rows)


def _short(results: list[dict[str, Any]]) -> tuple[str, str, str, str]:
    until_stop = quartiles([n_labels(result) for result in results])
    return cells.hits(results), cells.first_hit(results), until_stop, cells.whole(results)


def what_ran() -> Iterator[str]:
    """Yield the plan and how much of it is stored."""
    yield '## What ran'
    yield ''
    wanted = Counter((task.system, task.method, task.pool) for task in plan.tasks())
    rows = [(*key, len(read(*key)), number) for key, number in wanted.items()]
    yield from table(('system', 'method', 'pools', 'stored', 'planned'), rows)
