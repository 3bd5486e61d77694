"""What a cycle of a search costs beside its engines, and how that grows with the pool and with the labels.

The steps of a cycle are run as the search runs them, processes, nodes and jobs included, on a pool that looks relaxed
and with an engine that does next to nothing; the seconds that the jobs themselves tell are taken off. The training is
left out: it is all engine. Needs a profile with the code `python@localhost`, as `deploy/quickstart.sh` makes it; better
one that can be thrown away.

    python benchmarks/overhead.py cycle --pool 1000 --pool 10000 --pool 100000 --labels 100
    python benchmarks/overhead.py cycle --pool 1000 --labels 1000
    python benchmarks/overhead.py queries --cycles 3 --cycles 5 --cycles 10
    python benchmarks/overhead.py table
"""

from __future__ import annotations

import json
import os
import platform
import resource
from collections.abc import Callable
from contextlib import suppress
from datetime import date
from importlib.metadata import version
from pathlib import Path
from time import perf_counter
from typing import Any

import click
import numpy as np
from aiida import load_profile, orm
from aiida.engine import run_get_node
from aiida.orm.utils.serialize import serialize
from aiida.plugins import CalculationFactory, WorkflowFactory

from aiida_prospect.cli.foreground import ForegroundRunner
from aiida_prospect.cli.progress import describe
from aiida_prospect.common.frames import Frames
from aiida_prospect.data.dataset import DatasetData
from aiida_prospect.data.potential import PotentialData
from aiida_prospect.methods.pool.generate import generate
from aiida_prospect.methods.pool.spec import PoolSpec
from aiida_prospect.workflows.protocols import load_protocol
from aiida_prospect.workflows.provenance.cost import cost_of
from aiida_prospect.workflows.provenance.history import trace
from aiida_prospect.workflows.provenance.labels import LabelFilter, list_labels
from aiida_prospect.workflows.provenance.why import explain
from aiida_prospect.workflows.search import SearchWorkChain
from aiida_prospect.workflows.summary import summarise

RESULTS = Path(__file__).parent / 'results' / 'overhead'
PAGE = Path(__file__).parents[1] / 'docs' / 'scale.md'
COMPOSITION = {'Si': 8}
DISTINCT = 500
# Atoms that do not see each other: every relaxation has converged before its first step.
ENGINE = ('ase.calculators.lj:LennardJones', {'sigma': 0.1, 'epsilon': 1e-6, 'rc': 0.3})
PYTHON = 'python@localhost'
REPEATS = 5
# Stages of a search that store something for every crystal of the pool.
POOL_STAGES = ('cluster', 'explore', 'refill', 'select', 'assess')
LEFT = ('nodes', 'files', 'rows', 'scratch')
QUESTIONS = ('show', 'progress', 'restart', 'why', 'history', 'labels', 'cost')


def relaxed_pool(size: int, rng: np.random.Generator) -> Frames:
    """Return crystals that look as after some cycles: copies of some hundred, a little apart, with energies."""
    distinct, _ = generate(PoolSpec(COMPOSITION, min(size, DISTINCT)), rng)
    kinds = rng.integers(0, len(distinct), size)
    pool = distinct.select(kinds)
    return pool.replace(
        positions=pool.positions + rng.normal(0, 0.05, pool.positions.shape),
        energy=(rng.normal(-40, 1, len(distinct))[kinds] + rng.normal(0, 0.02, size)),
        forces=rng.normal(0, 0.02, pool.positions.shape),
        forces_spread=rng.uniform(0, 0.1, len(pool.positions)),
        energy_spread=rng.uniform(0, 0.1, size),
        status=np.full(size, 'converged'),
        origin=[f'p1-{index:06d}' for index in range(size)],
    )


class Stopwatch:
    """Times steps."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    def time(self, name: str, function: Callable[..., Any], *arguments: Any, **inputs: Any) -> Any:
        """Run a process function and take note of its time."""
        start = perf_counter()
        result = function(*arguments, **inputs)
        self.seconds[name] = perf_counter() - start
        return result

    def run(self, name: str, builder: Any) -> orm.ProcessNode:
        """Run a work chain and take note of its time, less that of its engines."""
        start = perf_counter()
        node = run_get_node(builder)[1]
        self.seconds[name] = perf_counter() - start - engine_seconds(node)
        if not node.is_finished_ok:
            raise RuntimeError(f'{name}: {node.exit_message}')
        return node


def engine_seconds(node: orm.WorkChainNode) -> float:
    """Return what the jobs of a work chain say that they have spent on energies, of those side by side the longest."""
    jobs = [job for job in node.called_descendants if isinstance(job, orm.CalcJobNode)]
    total, longest, end = 0.0, 0.0, None
    for job in sorted(jobs, key=lambda job: job.ctime):
        if end is not None and job.ctime > end:
            total, longest, end = total + longest, 0.0, None
        longest = max(longest, float(job.outputs.statistics['seconds']))
        end = job.mtime if end is None else max(end, job.mtime)
    return total + longest


def run_cycle(n_pool: int, n_labels: int) -> dict[str, Any]:
    """Run the steps of one cycle.

    :return: seconds by step, and the largest memory of this process so far, MB.
    """
    rng, watch = np.random.default_rng(n_pool), Stopwatch()
    code = orm.load_code(PYTHON)
    selection = load_protocol('selection', 'balanced')
    pool = DatasetData(relaxed_pool(n_pool, rng)).store()
    potential = PotentialData.from_calculator(*ENGINE, elements=list(COMPOSITION)).store()
    find = CalculationFactory('prospect.cluster_pool')
    clusters = find(pool, orm.Dict(selection['clusters']))['clusters']

    settings = {**selection['selection'], 'n_select': n_labels, 'cycle': 1, 'seed': 1}
    del settings['n_initial']
    choose = CalculationFactory('prospect.select_candidates')
    first = watch.time('select', choose, pool=pool, clusters=clusters, parameters=orm.Dict(settings))['candidates']
    label = WorkflowFactory('prospect.label.calculator').get_builder_from_protocol(
        first, code=code, calculator=ENGINE[0], arguments=ENGINE[1], protocol='fast'
    )
    labels = watch.run('label', label).outputs.labels
    settings['cycle'] = 2
    watch.time('select', choose, pool=pool, clusters=clusters, parameters=orm.Dict(settings), cycle_01=labels)

    values = {**load_protocol('pool', 'fast'), 'composition': COMPOSITION, 'seed': 1, 'cycle': 1}
    values |= load_protocol('search')['refill']
    refill = CalculationFactory('prospect.refill_pool')
    refilled = watch.time('refill', refill, pool=pool, clusters=clusters, parameters=orm.Dict(values))
    renewed = len(set(refilled.frames.origin) - set(pool.frames.origin))

    explore = WorkflowFactory('prospect.explore').get_builder_from_protocol(
        refilled, {'potential_00': potential}, code, protocol='fast'
    )
    relaxed = watch.run('explore', explore).outputs.pool
    clusters = watch.time('cluster', find, relaxed, orm.Dict(selection['clusters']))['clusters']
    watch.time(
        'assess',
        CalculationFactory('prospect.assess_convergence'),
        pool=relaxed,
        clusters=clusters,
        parameters=orm.Dict({**selection['convergence'], 'cycle': 2}),
        cycle_01=labels,
    )
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3
    return {'pool': n_pool, 'labels': n_labels, 'seconds': watch.seconds, 'renewed': renewed, 'memory': memory}


def run_queries(n_cycles: int) -> dict[str, Any]:
    """Run a small search of so many cycles and time the questions that the command line asks."""
    code = orm.load_code(PYTHON)
    builder = SearchWorkChain.get_builder_from_protocol(
        {'Si': 2},
        code=code,
        label_options={'code': code, 'calculator': 'lammps', 'arguments': {'potential': 'Si_Zuo_JPCA2020'}},
        protocol='fast',
        overrides={
            'search': {'budget': {'max_cycles': n_cycles, 'max_labels': None}, 'final': {'n_minima': 1}},
            'pool': {'n_structures': 20},
            'selection': {
                'selection': {'n_initial': 6, 'n_select': 3},
                'convergence': {'patience': n_cycles + 1},
            },
            'explore': {'parameters': {'max_steps': 5}},
        },
    )
    runner = ForegroundRunner()
    process = runner.instantiate_process(builder)
    process.execute()
    node = process.node
    # Everything is loaded anew, as by a command; the candidate asked for is of the last cycle.
    questions: dict[str, Callable[[], Any]] = {
        'show': lambda: summarise(orm.load_node(node.pk)),
        'progress': lambda: describe(orm.load_node(node.pk)),
        'restart': lambda: SearchWorkChain.get_builder_restart(orm.load_node(node.pk)),
        'why': lambda: explain(orm.load_node(node.pk), 0, n_cycles - 1),
        'history': lambda: trace(orm.load_node(node.outputs.structures.minimum_00.pk)),
        'labels': lambda: list_labels(orm.load_node(node.pk), LabelFilter()),
        'cost': lambda: cost_of(orm.load_node(node.pk)),
    }
    seconds = {}
    for name, ask in questions.items():
        # What is loaded once in a process is not the question's.
        ask()
        times = []
        for _ in range(REPEATS):
            start = perf_counter()
            ask()
            times.append(perf_counter() - start)
        seconds[name] = float(np.median(times))
    nodes = orm.QueryBuilder().append(orm.Node, filters={'ctime': {'>=': node.ctime}}).count()
    return {'cycles': n_cycles, 'seconds': seconds, 'context': len(serialize(process.ctx)), 'nodes': nodes}


def store(name: str, result: dict[str, Any]) -> None:
    """Store a result with what it was made with."""
    RESULTS.mkdir(parents=True, exist_ok=True)
    made = {
        'date': date.today().isoformat(),
        'machine': f'{os.cpu_count()} cores, {platform.machine()}',
        'load': round(os.getloadavg()[1], 1),
        'versions': {package: version(package) for package in ('aiida-prospect', 'aiida-core', 'numpy', 'dscribe')},
    }
    (RESULTS / f'{name}.json').write_text(json.dumps({**result, **made}, indent=1))


def page() -> list[str]:
    """Return the tables in Markdown."""
    steps = ('refill', 'explore', 'cluster', 'assess', 'select', 'label')
    lines = [
        '# Scale',
        '',
        'Made by `python benchmarks/overhead.py table` from the results under `benchmarks/results/overhead`; the',
        'commands are in that file. Seconds of a cycle beside its engines (training, relaxation, labels), Si8.',
        '`renewed`: crystals that made room for new ones, `load`: of the machine, which other work shared.',
        '',
        f'| pool | labels | {" | ".join(steps)} | without labels | memory MB | renewed | load |',
        f'|{"---|" * (len(steps) + 6)}',
    ]
    for path in sorted(RESULTS.glob('cycle_*.json')):
        item = json.loads(path.read_text())
        seconds = [item['seconds'][step] for step in steps]
        cells = [item['pool'], item['labels'], *(f'{value:.1f}' for value in seconds), f'{sum(seconds[:-1]):.1f}']
        lines.append(f'| {" | ".join(map(str, [*cells, round(item["memory"]), item["renewed"], item["load"]]))} |')
    asked = sorted(RESULTS.glob('queries_*.json'))
    lines += ['', 'Questions to the provenance of a search, seconds, and its stored context:', '']
    lines += [f'| cycles | nodes | {" | ".join(QUESTIONS)} | context, bytes |', f'|{"---|" * (len(QUESTIONS) + 3)}']
    for path in asked:
        item = json.loads(path.read_text())
        seconds = [f'{item["seconds"][name]:.2f}' if name in item['seconds'] else '-' for name in QUESTIONS]
        lines.append(f'| {" | ".join(map(str, [item["cycles"], item["nodes"], *seconds, item["context"]]))} |')
    return lines + growth()


def growth() -> list[str]:
    """Return the table of what searches leave behind."""
    lines = [
        '',
        'What searches leave behind (`benchmarks/growth.py`), kB; files in the repository, rows in the database.',
    ]
    lines += ['`scratch`: left on the computers, with the policy of that search.', '']
    lines += ['| search | what | nodes | files | rows | scratch |', '|---|---|---|---|---|---|']
    for path in sorted(RESULTS.glob('growth_*.json')):
        item = json.loads(path.read_text())
        search = f'{item["composition"]}, {item["labels_by"]}, pool {item["pool"]}, {item["cycles"]} cycles'
        for what, stages, share in (
            ('1000 candidates, one cycle', POOL_STAGES, 1000 / (item['pool'] * item['cycles'])),
            ('100 labels', ('label',), 100 / item['labels']),
            ('training, one cycle', ('train',), 1 / item['cycles']),
        ):
            # Nodes and rows belong to jobs, so those of a small pool tell nothing of a large one.
            if share > 1 and stages is POOL_STAGES:
                continue
            sums = [sum(item['stages'].get(stage, {}).get(key, 0) for stage in stages) * share for key in LEFT]
            cells = [f'{sums[0]:.0f}', *(f'{value / 1000:.0f}' for value in sums[1:])]
            lines.append(f'| {search} ({item["labels"]} labels) | {what} | {" | ".join(cells)} |')
    return lines


@click.group()
def main() -> None:
    """Measure, or make the page of what was measured."""


@main.command()
@click.option('--pool', 'pools', multiple=True, type=int, default=[1000])
@click.option('--labels', 'n_labels', type=int, default=100)
def cycle(pools: tuple[int, ...], n_labels: int) -> None:
    """Time the steps of a cycle."""
    load_profile()
    for n_pool in pools:
        result = run_cycle(n_pool, n_labels)
        store(f'cycle_{n_pool:06d}_{n_labels:04d}', result)
        click.echo(json.dumps(result))


@main.command()
@click.option('--cycles', 'cycles', multiple=True, type=int, default=[3])
def queries(cycles: tuple[int, ...]) -> None:
    """Time questions to the provenance."""
    load_profile()
    for n_cycles in cycles:
        result = run_queries(n_cycles)
        store(f'queries_{n_cycles:02d}', result)
        click.echo(json.dumps(result))


@main.command()
def table() -> None:
    """Write the page of the documentation."""
    PAGE.write_text('\n'.join(page()) + '\n')


if __name__ == '__main__':
    with suppress(KeyboardInterrupt):
        main()
