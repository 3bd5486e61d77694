"""How many labels a search needs on a surface that costs nothing, and how many random search needs.

Each search is a run of the real work chain, as a user starts it; its summary is stored when it ends, and one that is
stored is not run again. A hit is a label, or a minimum relaxed with the reference method, that lies less than
5 meV/atom above cubic diamond. On this surface hexagonal diamond lies 4 meV/atom below it and is a hit as well.

    python benchmarks/label_efficiency.py search --seeds 1-10 --jobs 2
    python benchmarks/label_efficiency.py search --seeds 1-5 --strategy laqa --max-cycles 24
    python benchmarks/label_efficiency.py search --seeds 1-1 --force-field deepmd
    python benchmarks/label_efficiency.py baseline --kind mixed --crystals 200
    python benchmarks/label_efficiency.py table
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from ase.build import bulk
from ase.filters import UnitCellFilter
from ase.optimize import BFGS

from aiida_prospect.common.frames import Frames
from aiida_prospect.methods.evaluators.ase import AseEvaluator
from aiida_prospect.methods.evaluators.ensemble import Ensemble
from aiida_prospect.methods.lammps_potentials import calculator
from aiida_prospect.methods.minima import rank_minima
from aiida_prospect.methods.pool.generate import generate
from aiida_prospect.methods.pool.spec import PoolSpec
from aiida_prospect.methods.relaxation.driver import Relaxation
from aiida_prospect.methods.relaxation.settings import RelaxSettings
from aiida_prospect.workflows.protocols import load_protocol

POTENTIAL = 'Si_Zuo_JPCA2020'
WINDOW = 0.005
RESULTS = Path(__file__).parent / 'results' / 'label_efficiency'
PAGE = Path(__file__).parents[1] / 'docs' / 'benchmarks_label_efficiency.md'
REFERENCE = Path(__file__).parents[1] / 'examples' / 'structures' / 'Si_diamond.cif'


def diamond() -> tuple[Frames, float]:
    """Return cubic diamond relaxed on the surface, and its energy per atom, eV."""
    atoms = bulk('Si', 'diamond', a=5.43)
    atoms.calc = calculator(POTENTIAL)
    BFGS(UnitCellFilter(atoms), logfile=None).run(fmax=1e-4)
    return Frames.from_atoms([atoms]), float(atoms.get_potential_energy()) / len(atoms)


def first_hit(summary: dict[str, Any], target: float) -> int | None:
    """Return the number of labels at the first hit, the evaluations of the final relaxation included."""
    labels = [energy for cycle in summary['cycles'] for energy in cycle['label_energies']]
    for number, energy in enumerate(labels, start=1):
        if energy is not None and energy < target + WINDOW:
            return number
    for item in (summary['ranking'] or {}).get('minima', []):
        if item['energy_per_atom'] < target + WINDOW:
            return len(labels) + int(summary['final_relaxation']['evaluations'])
    return None


def run_search(seed: int, *, name: str, arguments: list[str]) -> None:
    """Run one search and store its summary, unless that is there."""
    path = RESULTS / f'{name}_{seed:02d}.json'
    if path.exists():
        return
    command = ['search', 'Si8', '--protocol', 'fast', '--seed', str(seed), '--reference', str(REFERENCE), *arguments]
    program = str(Path(sys.executable).with_name('aiida-prospect'))
    done = subprocess.run([program, *command], capture_output=True, text=True)
    pk = next((line.split()[1].rstrip(':') for line in done.stdout.splitlines() if line.startswith('Search ')), None)
    if pk is None:
        raise RuntimeError(f'seed {seed}: {done.stderr[-2000:]}')
    shown = subprocess.run([program, 'show', pk, '--json'], capture_output=True, text=True, check=True)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({'command': command, **json.loads(shown.stdout)}, indent=1))


def search(arguments: argparse.Namespace, rest: list[str]) -> None:
    """Run the searches of all seeds."""
    first, _, last = arguments.seeds.partition('-')
    name = '-'.join(['si8', *(word.lstrip('-') for word in rest)])
    with ThreadPoolExecutor(arguments.jobs) as executor:
        job = partial(run_search, name=name, arguments=rest)
        list(executor.map(job, range(int(first), int(last or first) + 1)))


def baseline(arguments: argparse.Namespace, _: list[str]) -> None:
    """Relax random crystals on the surface itself and count evaluations for each hit; ``mixed``: as searches begin."""
    reference, target = diamond()
    mixed = load_protocol('pool', 'fast')['proportions']
    proportions = mixed if arguments.kind == 'mixed' else {arguments.kind: 1.0}
    spec = PoolSpec({'Si': 8}, arguments.crystals, proportions=proportions)
    pool, _report = generate(spec, np.random.default_rng(arguments.seed))
    ensemble = Ensemble([AseEvaluator(partial(calculator, POTENTIAL))])
    relaxed = Relaxation(pool, ensemble, RelaxSettings(uncertainty=None)).run()
    evaluations = int(np.sum(relaxed.known('steps') + 1))
    hits = np.flatnonzero(relaxed.energy_per_atom < target + WINDOW)
    cubic = 0
    for index in hits:
        one = relaxed.select([index]).replace(status=['ok'], reason=None)
        cubic += bool(rank_minima(one, {'diamond': reference})[1]['minima'][0]['references'])
    result = {
        'kind': arguments.kind,
        'crystals': len(pool),
        'seed': arguments.seed,
        'evaluations': evaluations,
        'hits': len(hits),
        'cubic': cubic,
    }
    RESULTS.mkdir(parents=True, exist_ok=True)
    (RESULTS / f'baseline_{arguments.kind}.json').write_text(json.dumps(result, indent=1))


def rows() -> Iterator[str]:
    """Yield the table of what is stored, in Markdown."""
    _, target = diamond()
    columns = (
        'method',
        'options',
        'searches',
        'hits',
        'labels to first hit: median (quartiles)',
        'labels, relaxations included',
        'minutes',
    )
    yield f'| {" | ".join(columns)} |'
    yield f'|{"---|" * len(columns)}'
    names = sorted({path.stem.rpartition('_')[0] for path in RESULTS.glob('si8*.json')})
    for name in names:
        summaries = [json.loads(path.read_text()) for path in sorted(RESULTS.glob(f'{name}_[0-9]*.json'))]
        hits = [hit for hit in (first_hit(summary, target) for summary in summaries) if hit is not None]
        final = [(summary['final_relaxation'] or {'evaluations': 0})['evaluations'] for summary in summaries]
        total = [summary['labels']['total'] + more for summary, more in zip(summaries, final, strict=True)]
        command = summaries[0]['command']
        options = command[command.index('--reference') + 2 :]
        quartiles = np.quantile(hits, [0.5, 0.25, 0.75]) if hits else [np.nan] * 3
        cells = (
            summaries[0]['strategy'],
            f'`{" ".join(options)}`' if options else '',
            len(summaries),
            len(hits),
            f'{quartiles[0]:.0f} ({quartiles[1]:.0f}–{quartiles[2]:.0f})',
            f'{np.median(total):.0f}',
            f'{np.median([summary["seconds"] for summary in summaries]) / 60:.1f}',
        )
        yield f'| {" | ".join(map(str, cells))} |'
    for path in sorted(RESULTS.glob('baseline_*.json')):
        item = json.loads(path.read_text())
        per_hit = f'{item["evaluations"] / item["hits"]:.0f}' if item['hits'] else f'> {item["evaluations"]}'
        kind = f'random search, {item["kind"]}: {item["crystals"]} relaxations'
        hits = f'{item["hits"]} ({item["cubic"]} cubic)'
        yield f'| {kind} | | – | {hits} | {per_hit} evaluations per hit | {item["evaluations"]} | – |'


def page() -> Iterator[str]:
    """Yield the page of the documentation."""
    names = ('aiida-prospect', 'aiida-core', 'lammps', 'deepmd-kit', 'ase', 'dscribe')
    yield '# Label efficiency'
    yield ''
    yield 'Made by `python benchmarks/label_efficiency.py table`, from the results under `benchmarks/results`.'
    yield ''
    machine = f'{os.cpu_count()} cores, {platform.machine()}, shared with other work'
    yield f'Machine: {machine}; Python {platform.python_version()}.'
    yield f'Versions: {", ".join(f"{name} {version(name)}" for name in names)}.'
    yield ''
    yield '## Labels until the ground state is found: Si8 on the SNAP of Zuo et al. (2020)'
    yield ''
    yield 'A hit: less than 5 meV/atom above cubic diamond. The pool mixes symmetric, plain and AIRSS-like crystals.'
    yield 'The searches, also with `laqa`, ran before `push_apart` became faster, which gives other crystals.'
    yield 'Where the hit comes only with the final relaxations, all of their evaluations are counted before it.'
    yield ''
    yield from rows()


def main() -> None:
    """Do what the command line says."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest='command', required=True)
    searches = commands.add_parser('search', help='further options are those of `aiida-prospect search`')
    searches.add_argument('--seeds', default='1-10')
    searches.add_argument('--jobs', type=int, default=1, help='searches at the same time')
    relaxations = commands.add_parser('baseline')
    relaxations.add_argument('--kind', default='mixed', choices=['mixed', 'p1', 'airss', 'symmetric'])
    relaxations.add_argument('--crystals', type=int, default=200)
    relaxations.add_argument('--seed', type=int, default=1)
    commands.add_parser('table')
    arguments, rest = parser.parse_known_args()
    if arguments.command == 'search':
        search(arguments, rest)
    elif arguments.command == 'baseline':
        baseline(arguments, rest)
    else:
        PAGE.write_text('\n'.join(page()) + '\n')


if __name__ == '__main__':
    main()
