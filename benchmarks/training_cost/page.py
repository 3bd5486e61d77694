"""The page of the documentation, made of what is stored."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from benchmarks.markdown import table
from benchmarks.training_cost import data, judge, ladder, stages, threads
from benchmarks.training_cost.comparable import Stored
from benchmarks.training_cost.jobs import Training
from benchmarks.training_cost.learning import FAMILIES, equivalent, scratch_curve
from benchmarks.training_cost.rows import PYTORCH, ROWS, TENSORFLOW
from benchmarks.training_cost.words import LADDER, MODELS, PREFACE, STAGES, STARTS, THREADS


def page(results: Path) -> Iterator[str]:
    """Yield the page, in Markdown."""
    yield '# Training: cost, models, and starts'
    yield ''
    yield PREFACE
    yield ''
    stored = Stored.read(results)
    yield from _conditions(results, stored)
    for part in (_ladder(stored), _threads(results), _stages(results), _models(stored), _starts(stored)):
        yield ''
        yield from part
    yield ''
    yield f'Defined and not run: {_names(_missing(results))}.'
    if stored.left_out:
        yield ''
        yield f'Made on other data and left out: {_names(stored.left_out)}.'


def _names(names: Iterable[str]) -> str:
    return ', '.join(f'`{name}`' for name in names)


def _missing(results: Path) -> list[str]:
    stored = {path.stem for path in results.rglob('*.json')}
    steps = [ladder.name_of(name, count) for name, item in ladder.LADDERS.items() for count in item.steps]
    cases = [f'threads_{program}' for program in (TENSORFLOW, PYTORCH)]
    return [name for name in (*steps, *cases, *ROWS) if name not in stored]


def _conditions(results: Path, stored: Stored) -> Iterator[str]:
    paths = [path for path in sorted(results.rglob('*.json')) if path.stem not in stored.left_out]
    found = [json.loads(path.read_text())['conditions'] for path in paths]
    machines = sorted({item['machine'].partition(', load')[0] for item in found})
    loads = [float(item['machine'].rpartition('load ')[2]) for item in found if 'load ' in item['machine']]
    yield f'Machine: {"; ".join(machines)}, shared with other work: load {min(loads):.0f} to {max(loads):.0f}.'
    versions: dict[str, set[str]] = {}
    for item in found:
        for name, version in item['versions'].items():
            versions.setdefault(name, set()).add(version)
    yield f'Versions: {", ".join(f"{name} {chr(47).join(sorted(v))}" for name, v in versions.items())}.'
    programs = {name: version for item in stored.rows.values() for name, version in item.get('programs', {}).items()}
    if programs:
        yield f'Programs of trainings: {", ".join(f"{name} {version}" for name, version in programs.items())}.'
    commits = sorted({item['commit'] for item in found})
    yield f'Commits: {", ".join(commits)}. Dates: {min(i["date"] for i in found)} to {max(i["date"] for i in found)}.'


def _ladder(stored: Stored) -> Iterator[str]:
    yield '## Seconds to an error'
    yield ''
    found = ladder.load(stored)
    given = {'labels': ladder.LABELS, 'frames': data.N_VALIDATION, 'earlier': ladder.EARLIER}
    yield LADDER.format(**given, balanced=_protocol_steps('balanced'), stringent=_protocol_steps('stringent'))
    yield ''
    columns = ('training', 'steps', 'seconds', 'of these the steps (clock)', 'energies, meV/atom', 'forces, eV/Å')
    yield from table(columns, [_ladder_row(name, item) for name, items in found.items() for item in items])
    wanted_columns = ('seconds to an error of', *(f'{1e3 * wanted:.0f} meV/atom' for wanted in ladder.WANTED))
    rows = []
    for name, items in found.items():
        times = [ladder.seconds_to(items, wanted) for wanted in ladder.WANTED]
        longest = max(item['process']['cpu'] or 0.0 for item in items)
        rows.append((name, *(f'> {longest:.0f}' if t is None else f'{t:.0f}' for t in times)))
    yield from table(wanted_columns, rows)
    yield 'Between two trainings of a ladder the seconds are interpolated.'


def _protocol_steps(protocol: str) -> str:
    values = Training(protocol=protocol).settings()
    return f'{values["cold"]["steps"]:,} steps from scratch, {values["warm"]["steps"]:,} warm'


def _ladder_row(name: str, item: Mapping[str, Any]) -> tuple[Any, ...]:
    errors, stage = item['errors']['validation'], item['seconds'].get('train')
    steps = f'{item["steps"]:,}' if item['steps'] else '–'
    training = '–' if stage is None or item['process']['cpu'] is None else f'{stage:.0f}'
    energy, forces = f'{1e3 * errors["energy_shifted"]:.0f}', f'{errors["forces"]:.2f}'
    return name, steps, _seconds(item), training, energy, forces


def _seconds(item: Mapping[str, Any]) -> str:
    # Of a training that was ended and taken up again they are not known.
    spent = item['process']['cpu']
    return '–' if spent is None else f'{spent:.0f}'


def _threads(results: Path) -> Iterator[str]:
    yield '## Threads'
    yield ''
    yield THREADS.format(steps=threads.STEPS)
    yield ''
    columns = (
        'backend',
        'case',
        'rounds',
        'ms per step',
        'steps per second, all',
        'seconds (clock)',
        'seconds (cores)',
    )
    rows = [
        (
            row['program'],
            row['case'],
            row['rounds'],
            f'{row["ms_per_step"]:.1f}',
            f'{row["speed"]:.0f}',
            f'{row["wall"]:.0f}',
            f'{row["cpu"]:.0f}',
        )
        for row in threads.rows(results)
    ]
    yield from table(columns, rows) if rows else ['Not run yet.']


def _stages(results: Path) -> Iterator[str]:
    yield '## Share of the stages in a search'
    yield ''
    yield STAGES
    yield ''
    found = [*stages.before(results), *stages.now()]
    columns = ('search', 'how', 'searches', 'seconds by stage', 'share of the training')
    rows = []
    for item in found:
        seconds = item['seconds']
        cells = ', '.join(f'{stage} {value:.1f}' for stage, value in seconds.items())
        share = seconds['train'] / sum(seconds.values())
        rows.append((f'`{item["name"]}`', item['when'], item['searches'], cells, f'{100 * share:.0f} %'))
    yield from table(columns, rows)


def _models(stored: Stored) -> Iterator[str]:
    yield '## Models'
    yield ''
    given = {'window': data.WINDOW, 'crystals': data.CRYSTALS_JUDGED, 'steps': judge.STEPS}
    yield MODELS.format(minima=_of_minima(stored, 'minima'), spread=_spread(stored), **given)
    yield ''
    columns = (
        'model',
        'labels',
        'seconds',
        'minima, meV/atom',
        'rank of minima',
        'relaxed',
        'rank of relaxed',
        'median, eV/atom',
        'best of three',
        'ms per evaluation',
    )
    rows = [_model_row(name, item) for name, item in stored.rows.items() if ROWS[name].study == 'models']
    yield from table(columns, sorted(rows, key=lambda row: (row[0], row[1])))


def _of_minima(stored: Stored, name: str) -> float | None:
    """Return what is the same for all rows; of some that are stored it is not known."""
    found = (item.get('judged', {}) for row, item in stored.rows.items() if ROWS[row].study == 'models')
    return next((judged[name] for judged in found if name in judged), None)


def _spread(stored: Stored) -> str:
    spread = _of_minima(stored, 'minima_spread')
    return '' if spread is None else f'; who gives all the same energy errs by {1e3 * spread:.0f} meV/atom'


def _model_row(name: str, item: Mapping[str, Any]) -> tuple[Any, ...]:
    judged = item['judged']
    return (
        ROWS[name].model,
        item['labels'],
        _seconds(item),
        f'{1e3 * judged["minima_rms"]:.0f}',
        f'{judged["minima_rank"]:.2f}',
        f'{judged["relaxed"]} of {data.CRYSTALS_JUDGED}',
        f'{judged["relaxed_rank"]:.2f}',
        f'{judged["relaxed_median"]:.2f}',
        f'{judged["relaxed_best"]:.2f}',
        f'{judged["ms_per_evaluation"]:.1f}',
    )


def _starts(stored: Stored) -> Iterator[str]:
    yield '## A pretrained start'
    yield ''
    yield STARTS
    yield ''
    found = stored.rows
    columns = (
        'pretrained',
        'training',
        'target',
        'labels',
        'seconds',
        'minima, meV/atom',
        'rank of minima',
        'rank of relaxed',
        'best of three, eV/atom',
        'labels from scratch',
    )
    rows = []
    for family, scratch in FAMILIES.items():
        curve = scratch_curve(found, family)
        for name, item in found.items():
            if name.startswith(family) or scratch.fullmatch(name):
                cells = _model_row(name, item)
                begins = name.startswith(family)
                worth = equivalent(curve, item['judged']['minima_rms']) if begins else ''
                target = ROWS[name].target.formula
                rows.append((_source_of(name, found), cells[0], target, *cells[1:5], cells[6], cells[8], worth))
    yield from table(columns, rows)


def _source_of(name: str, found: Mapping[str, Mapping[str, Any]]) -> str:
    """Return in words what the pretrained model of a row was trained on."""
    if not ROWS[name].start:
        return ''
    source = ROWS[ROWS[name].start]
    where = ', '.join(f'{surface.formula} on `{surface.potential}`' for surface in source.sources)
    known = found.get(ROWS[name].start)
    error = (
        '' if known is None else f', errs there by {1e3 * known["errors"]["training"]["energy_shifted"]:.0f} meV/atom'
    )
    return f'{source.model}, {source.labels} labels of {where}{error}'
