"""The page of the documentation, made of what is stored."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.markdown import table
from benchmarks.relax_throughput.rows import ROOT, SEED, UNSEEN, Row, optimiser_rows, rows
from benchmarks.relax_throughput.shares import PATH as SHARES

PAGE = ROOT / 'docs' / 'benchmarks_relaxation.md'
CRYSTALS = 200
PREFACE = """\
Made by `python -m benchmarks.relax_throughput table`, from the results under `benchmarks/results/relax_throughput`.

Crystals: P1 cells of Si16 with random positions at least 1.9 Å apart, 16 to 26 Å³ per atom. Models: se_e2_a networks of
DeePMD-kit, trained on SNAP labels and compressed, the same for all programs (translated for PyTorch), and ML-POD.
Relaxations of positions and cell end at forces below 0.05 eV/Å on atoms and on the cell, those of the `UnitCellFilter`
of ASE. Rates are steps of a structure on the mean of all members of an ensemble, per second of the processor; with two
cores, per second of the clock. One thread in each process. The machine was shared with other work, so rates differ from
run to run more than their ratios do. "The model alone" evaluates all members, on crystals drawn evenly from all that a
relaxation evaluates: they become denser in its course, and an evaluation dearer. The mean of models of ML-POD is one of
them, and this package evaluates the members apart in every fifth step only: there it can outrun "the model alone"."""
NAMES = {
    'ours': 'this package',
    'limit': 'the model alone, neighbours given',
    'one_by_one': 'ASE, one by one',
    'lammps': 'LAMMPS, one by one',
    'torchsim': 'TorchSim, unit_cell_fire, 64 at once',
}
FloatArray = NDArray[np.float64]


def page() -> Iterator[str]:
    """Yield the page, in Markdown."""
    yield '# Relaxation: throughput and optimisers'
    yield ''
    yield PREFACE
    yield ''
    cpu, cuda = list(rows('cpu')), list(rows('cuda'))
    compared = [row for seed in (SEED, UNSEEN) for row in optimiser_rows(CRYSTALS, seed)]
    yield from _conditions([*cpu, *cuda, *compared])
    yield ''
    yield from _one_core(cpu)
    yield from _ratios(cpu)
    yield from _two_cores(cpu)
    yield from _cuda(cuda)
    yield from _optimisers()
    yield from _shares()
    missing = [row for row in (*cpu, *cuda, *compared) if not row.path.is_file()]
    if missing:
        yield '## Not run'
        yield ''
        yield f'Rows that are defined and were not run here: {", ".join(f"`{row.name}`" for row in missing)}.'


def load(row: Row) -> dict[str, Any] | None:
    """Return the result of a row, if it was run."""
    return json.loads(row.path.read_text()) if row.path.is_file() else None


def _conditions(wanted: Iterable[Row]) -> Iterator[str]:
    found = [result for row in wanted if (result := load(row))]
    if not found:
        return
    conditions = [result['conditions'] for result in found]
    versions: dict[str, set[str]] = {}
    for result in found:
        for name, version in (result['versions'] | result['conditions']['versions']).items():
            versions.setdefault(name, set()).add(version)
    loads = [float(item['machine'].rpartition('load ')[2]) for item in conditions if 'load ' in item['machine']]
    machines = sorted({item['machine'].partition(', load')[0] for item in conditions})
    yield f'Machine: {"; ".join(machines)}; load {min(loads):.0f} to {max(loads):.0f}.'
    yield f'Versions: {", ".join(f"{name} {chr(47).join(sorted(found))}" for name, found in sorted(versions.items()))}.'
    dates = [item['date'] for item in conditions]
    yield f'Commits: {", ".join(sorted({item["commit"] for item in conditions}))}. Dates: {min(dates)} to {max(dates)}.'
    yield f'Commands: {", ".join(f"`{_plain(item)}`" for item in sorted({_plain(c["command"]) for c in conditions}))}.'


def _plain(command: str) -> str:
    """Return a command without the options that name rows or places of this machine."""
    words = command.split()
    kept = [word for before, word in zip(['', *words], words, strict=False) if not {before, word} & PLACES]
    return ' '.join(kept)


PLACES = {'--seed', '--only', '--pytorch', '--torchsim', '--models'}


def _describe(row: Row) -> str:
    option = row.options.get('optimizer') or row.options.get('style') or ''
    return f'{NAMES[row.engine]}{f", {option}" if option and row.engine != "ours" else ""}'


def _one_core(cpu: Sequence[Row]) -> Iterator[str]:
    yield '## One core'
    yield ''
    lines = []
    for row in cpu:
        result = load(row)
        if result and row.cores == 1 and row.engine != 'in_turn':
            rate = result.get('per_cpu_second') or result['details']['per_cpu_second']
            count = f'{result["details"]["batch"]}' if row.engine == 'limit' else str(row.crystals)
            lines.append((row.backend, row.members, _describe(row), count, f'{rate:.0f}', f'{1e3 / rate:.2f}'))
    lines.sort(key=lambda line: (line[0], line[1]))
    columns = ('backend', 'members', '', 'structures', 'structures × steps per second', 'ms each')
    yield from table(columns, lines)


def _ratios(cpu: Sequence[Row]) -> Iterator[str]:
    lines = []
    for row in cpu:
        result = load(row) if row.engine == 'in_turn' else None
        if result:
            rounds = result['details']['rounds']
            rates = {name: np.array([it[name] for it in rounds]) for name in rounds[0]}
            steps = _evaluations_ratio(row.backend)
            over_ase = rates['ours'] / rates['one_by_one']
            lines.append(
                (
                    row.backend,
                    row.members,
                    row.crystals,
                    _range(rates['ours'] / rates['limit'], '{:.0%}'),
                    _range(over_ase, '{:.1f}'),
                    '–' if steps is None else _range(over_ase * steps, '{:.1f}'),
                    '–' if row.members == 1 else _range(rates['one_model'] / rates['ours'], '{:.1f}'),
                )
            )
    if not lines:
        return
    yield 'Ratios of rates that one process measured in turn; the median of the rounds and the range:'
    yield ''
    yield from table(
        (
            'backend',
            'members',
            'structures',
            'share of the models alone',
            'evaluations per second, times ASE one by one',
            'relaxations per second, times FIRE of ASE',
            'cost, times one model',
        ),
        lines,
    )


def _range(values: FloatArray, form: str) -> str:
    """Return the median of some values, and between what they are."""
    return f'{form.format(np.median(values))} ({form.format(values.min())}–{form.format(values.max())})'


def _evaluations_ratio(backend: str) -> float | None:
    """Return how many times more evaluations FIRE of ASE needs than the default here, on the crystals of all rows."""
    known = 'tensorflow' if backend == 'pytorch' else backend
    found = {row.name: load(row) for row in optimiser_rows(CRYSTALS) if row.backend == known}
    ours = next((r for n, r in found.items() if r and '-lbfgs-' in n), None)
    fire = next((r for n, r in found.items() if r and '-FIRE-' in n), None)
    return float(np.mean(fire['counts']) / np.mean(ours['counts'])) if ours and fire else None


def _two_cores(cpu: Sequence[Row]) -> Iterator[str]:
    lines = []
    for row in cpu:
        result = load(row) if row.cores == 2 else None
        if result:
            used = result['cpu_seconds'] / result['wall_seconds']
            lines.append((row.backend, _describe(row), row.crystals, f'{result["per_wall_second"]:.0f}', f'{used:.2f}'))
    if lines:
        yield '## Two cores'
        yield ''
        yield 'Two processes, each with one thread and half of the structures; the rest of the cores others had.'
        yield ''
        yield from table(
            ('backend', '', 'structures', 'structures × steps per second of the clock', 'cores had'), lines
        )


def _cuda(cuda: Sequence[Row]) -> Iterator[str]:
    found = [(row, result) for row in cuda if (result := load(row))]
    yield '## Graphics processor'
    yield ''
    if not found:
        yield 'Not run: there was none. The command is `python -m benchmarks.relax_throughput run --device cuda`.'
        yield ''
        return
    lines = []
    for row, result in found:
        rate = result.get('per_wall_second') or result['details']['per_wall_second']
        count = result['details']['wall_batch'] if row.engine == 'limit' else row.crystals
        lines.append((row.members, _describe(row), count, f'{rate:.0f}'))
    yield from table(('members', '', 'structures', 'structures × steps per second of the clock'), lines)


def _optimisers() -> Iterator[str]:
    yield '## Evaluations of a relaxation'
    yield ''
    yield f'The same {CRYSTALS} random crystals and the same criterion, at most 500 evaluations. The last column is the'
    yield 'mean difference of the final energies to those of FIRE of ASE, with its standard error.'
    yield ''
    yield from _compared(SEED)
    yield f'{CRYSTALS} crystals on which no factor of an optimiser was chosen:'
    yield ''
    yield from _compared(UNSEEN)


def _compared(seed: int) -> Iterator[str]:
    found = [(row, result) for row in optimiser_rows(CRYSTALS, seed) if (result := load(row))]
    lines = []
    for row, result in found:
        reference = next(
            (r for other, r in found if other.backend == row.backend and other.options.get('optimizer') == 'FIRE'), None
        )
        counts, converged = np.array(result['counts']), np.array(result['converged'])
        apart = '–'
        if reference is not None:
            difference = 1e3 * (np.array(result['energies']) - np.array(reference['energies']))
            difference = difference[np.isfinite(difference)]
            apart = f'{difference.mean():+.1f} ± {difference.std() / np.sqrt(len(difference)):.1f}'
        name = f'this package, {row.options["optimizer"]}' if row.engine == 'ours' else _describe(row)
        figures = (f'{counts.mean():.1f}', f'{np.median(counts):.0f}', f'{converged.mean():.1%}')
        lines.append((row.backend, name, *figures, f'{np.mean(result["energies"]):.4f}', apart))
    columns = ('model', '', 'evaluations, mean', 'median', 'converged', 'energy, eV/atom', 'meV/atom to FIRE')
    yield from table(columns, lines)


def _shares() -> Iterator[str]:
    if not Path(SHARES).is_file():
        return
    stored = json.loads(SHARES.read_text())['shares']
    yield '## Where the time goes'
    yield ''
    yield 'TensorFlow, one core, 192 structures; share of the seconds of the processor.'
    yield ''
    parts = list(next(iter(stored.values()))['seconds'])
    lines = []
    for members, found in stored.items():
        shares = [f'{found["seconds"].get(part, 0.0) / found["total"]:.1%}' for part in parts]
        lists = f'{found["evaluations"] / found["lists_built"]:.1f}'
        lines.append((members, *shares, f'{1e3 * found["total"] / found["evaluations"]:.2f}', lists))
    yield from table(('members', *parts, 'ms per evaluation', 'steps that a list lasts'), lines)
    seconds = max(found['checkpoint'] for found in stored.values())
    yield f'A checkpoint, written once a minute, takes {1e3 * seconds:.0f} ms.'
    yield ''
