"""What is measured, row by row, and how it is stored."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.conditions import conditions
from benchmarks.relax_throughput.models import MEMBERS, Models

ROOT = Path(__file__).parents[2]
RESULTS = ROOT / 'benchmarks' / 'results' / 'relax_throughput'
THREADS = ('OMP_NUM_THREADS', 'DP_INTRA_OP_PARALLELISM_THREADS', 'DP_INTER_OP_PARALLELISM_THREADS')
ATOMS = 16
# Of the random crystals; the factors of the optimiser were chosen on those of the first.
SEED, UNSEEN = 7, 8
COUNTS = (1, 16, 256, 1024)
# Of what takes one crystal after the other, so many stand for any number.
ALONE = 12
# Crystals relaxed before the measurement; 64 where fewer would not do.
PRACTICE = {'one_by_one': 2, 'lammps': 2, 'in_turn': 2}
ROUNDS = 3


@dataclass(frozen=True)
class Row:
    """A measurement.

    :param engine: see :data:`~benchmarks.relax_throughput.engines.ENGINES`.
    :param backend: of the models.
    :param members: of the ensemble.
    :param cores: processes that relax a share of the crystals each, all at the same time.
    :param device: ``cpu`` or ``cuda``.
    :param seed: of the crystals.
    :param options: of the engine.
    """

    engine: str
    backend: str
    crystals: int
    members: int = 1
    cores: int = 1
    device: str = 'cpu'
    repeats: int = 1
    atoms: int = ATOMS
    seed: int = SEED
    options: Mapping[str, Any] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """Of the file that holds the result."""
        options = [str(value) for value in self.options.values()]
        size = f'{self.crystals}x{self.atoms}' + (f'-seed{self.seed}' if self.seed != SEED else '')
        parts = (self.engine, self.backend, *options, size, f'{self.members}m', f'{self.cores}c', self.device)
        return '-'.join(parts)

    @property
    def path(self) -> Path:
        """Of the result."""
        return RESULTS / f'{self.name}.json'


def rows(device: str) -> Iterator[Row]:
    """Yield all rows."""
    for backend in ('tensorflow', 'pytorch', 'pod') if device == 'cpu' else ('pytorch',):
        for members in (1, MEMBERS):
            yield Row('limit', backend, 128 if device == 'cpu' else 1024, members, device=device)
            for count in COUNTS:
                options = {'batch_atoms': 1024 if device == 'cpu' else 16 * 1024}
                few = {1: 5, 16: 3}.get(count, 1)
                yield Row('ours', backend, count, members, device=device, repeats=few, options=options)
    if device == 'cpu':
        yield from _others()


def _others() -> Iterator[Row]:
    for backend in ('tensorflow', 'pytorch', 'pod'):
        for members in (1, MEMBERS):
            yield Row('in_turn', backend, 256, members, options={'rounds': ROUNDS})
    for backend in ('tensorflow', 'pytorch'):
        yield Row('in_turn', backend, 1024, MEMBERS, options={'rounds': ROUNDS})
    for backend in ('tensorflow', 'pytorch'):
        for optimizer in ('FIRE', 'LBFGS'):
            yield Row('one_by_one', backend, ALONE, options={'optimizer': optimizer})
    yield Row('one_by_one', 'pod', ALONE, options={'optimizer': 'FIRE'})
    for backend in ('tensorflow', 'pytorch', 'pod'):
        yield Row('one_by_one', backend, ALONE, MEMBERS, options={'optimizer': 'FIRE'})
    yield Row('lammps', 'tensorflow', ALONE, options={'style': 'cg'})
    for count in (16, 256):
        yield Row('torchsim', 'pytorch', count)
    for backend in ('tensorflow', 'pytorch', 'pod'):
        yield Row('ours', backend, 256, cores=2, options={'batch_atoms': 1024})
    yield Row('one_by_one', 'tensorflow', ALONE, cores=2, options={'optimizer': 'FIRE'})
    yield Row('lammps', 'tensorflow', ALONE, cores=2, options={'style': 'cg'})
    yield Row('torchsim', 'pytorch', 256, cores=2)


def optimiser_rows(crystals: int, seed: int = SEED) -> Iterator[Row]:
    """Yield the rows that compare optimisers on the same crystals."""
    for backend in ('tensorflow', 'pod'):
        for optimizer in ('lbfgs', 'fire'):
            yield Row('ours', backend, crystals, seed=seed, options={'batch_atoms': 1024, 'optimizer': optimizer})
        for name in ('FIRE', 'LBFGS', 'BFGSLineSearch'):
            yield Row('one_by_one', backend, crystals, seed=seed, options={'optimizer': name})
    yield Row('lammps', 'tensorflow', crystals, seed=seed, options={'style': 'cg'})


@dataclass(frozen=True)
class Interpreters:
    """Where what is compared with is installed; empty for what is not.

    :param pytorch: with the PyTorch backend of DeePMD-kit.
    :param torchsim: with TorchSim besides.
    """

    pytorch: str = ''
    torchsim: str = ''

    def of(self, row: Row) -> str:
        """Return the interpreter of a row."""
        if row.engine == 'torchsim':
            return self.torchsim
        return self.pytorch if row.backend == 'pytorch' else sys.executable


def measure(row: Row, models: Models, interpreters: Interpreters) -> dict[str, Any]:
    """Run the processes of a row, all at the same time, and return what they did together.

    :raises RuntimeError: if one fails.
    """
    files = [str(models.file(row.backend, member).resolve()) for member in range(row.members)]
    program = [interpreters.of(row), '-m', 'benchmarks.relax_throughput.worker']
    workers = [
        subprocess.Popen(
            program,
            cwd=ROOT,
            env=environment(row, foreign=interpreters.of(row) != sys.executable),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        for _ in range(row.cores)
    ]
    try:
        for number, worker in enumerate(workers):
            _tell(worker, json.dumps(_task(row, files, number)))
        for worker in workers:
            if _hear(worker) != 'ready':
                raise RuntimeError(f'the measurement `{row.name}` could not begin')
        for worker in workers:
            _tell(worker, 'go')
        parts = [json.loads(_hear(worker) or 'null') for worker in workers]
    finally:
        for worker in workers:
            worker.kill()
            worker.communicate()
    if None in parts:
        raise RuntimeError(f'the measurement `{row.name}` ended early')
    return joined(parts)


def _task(row: Row, files: list[str], number: int) -> dict[str, Any]:
    return {
        'engine': row.engine,
        'files': files,
        'options': ({'backend': row.backend} if row.engine not in ('lammps', 'torchsim') else {}) | row.options,
        'crystals': row.crystals,
        'atoms': row.atoms,
        'seed': row.seed,
        'slice': [number, None, row.cores],
        'practice': min(row.crystals, PRACTICE.get(row.engine, 64)),
        'repeats': row.repeats,
    }


def _tell(worker: subprocess.Popen, words: str) -> None:
    assert worker.stdin is not None
    worker.stdin.write(f'{words}\n')
    worker.stdin.flush()


def _hear(worker: subprocess.Popen) -> str:
    assert worker.stdout is not None
    return worker.stdout.readline().strip()


def environment(row: Row, *, foreign: bool) -> dict[str, str]:
    """Return the variables of a process: one thread, the device, and where the package and LAMMPS find their parts.

    :param foreign: whether this package is not installed there.
    """
    variables = {**os.environ, **dict.fromkeys(THREADS, '1')}
    if foreign:
        tree = ROOT / 'build' / 'relax_throughput_tree'
        subprocess.run([sys.executable, 'deploy/link_tree.py', str(tree)], cwd=ROOT, check=True)
        variables['PYTHONPATH'] = f'{ROOT}:{tree}'
    if row.device == 'cpu':
        variables |= {'DEVICE': 'cpu', 'CUDA_VISIBLE_DEVICES': ''}
    if row.engine == 'lammps':
        probe = 'import deepmd.lmp, os; print(os.environ["LD_LIBRARY_PATH"])'
        found = subprocess.run([sys.executable, '-c', probe], capture_output=True, text=True, check=True)
        variables['LD_LIBRARY_PATH'] = found.stdout.strip().splitlines()[-1]
    return variables


def joined(parts: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the result of processes that worked at the same time."""
    total = {key: parts[0][key] for key in ('repeats', 'versions', 'details')}
    for key in ('structures', 'evaluations', 'cpu_seconds'):
        total[key] = sum(part[key] for part in parts)
    total['wall_seconds'] = max(part['wall_seconds'] for part in parts)
    for key in ('energies', 'counts', 'converged'):
        total[key] = [value for part in parts for value in part[key]]
    if total['evaluations']:
        total['per_cpu_second'] = total['evaluations'] / total['cpu_seconds']
        total['per_wall_second'] = total['evaluations'] / total['wall_seconds']
    return total


def store(row: Row, result: dict[str, Any]) -> None:
    """Write a result with the conditions under which it was made."""
    RESULTS.mkdir(parents=True, exist_ok=True)
    content = {'row': {**row.__dict__, 'options': dict(row.options)}, **result, 'conditions': conditions(('ase',))}
    row.path.write_text(json.dumps(content, indent=1) + '\n')
