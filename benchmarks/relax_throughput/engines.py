"""The ways to relax that are compared, and the evaluation of the model alone; imported where the measurement runs.

Each function loads what it needs and returns what is measured, a function of crystals that tells how many evaluations
of a structure (by all members of an ensemble) it made, and of each crystal steps and final energy if there are any.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms

from aiida_prospect.common.frames import Frames
from aiida_prospect.methods.evaluators.ensemble import Ensemble
from aiida_prospect.methods.evaluators.loading import load_ensemble
from aiida_prospect.methods.relaxation.driver import Relaxation
from aiida_prospect.methods.relaxation.settings import RelaxSettings

FMAX, MAX_STEPS = 0.05, 500
# Tried as far as there are crystals.
BATCHES = (16, 32, 64, 128, 256, 512, 1024)
SECONDS_OF_LIMIT = 2.0


@dataclass
class Outcome:
    """What was done.

    :param evaluations: of a structure.
    :param energies: per atom at the end, eV.
    :param counts: evaluations of each structure.
    :param converged: whether its forces are below the limit.
    """

    evaluations: int
    energies: list[float] = field(default_factory=list)
    counts: list[int] = field(default_factory=list)
    converged: list[bool] = field(default_factory=list)
    details: dict[str, Any] = field(default_factory=dict)

    def stored(self) -> dict[str, Any]:
        """Return it as JSON has it."""
        return asdict(self)


Measured = Callable[[list[Atoms]], Outcome]


def ours(files: list[Path], *, backend: str, batch_atoms: int = 1024, optimizer: str = 'lbfgs') -> Measured:
    """Relax with this package."""
    members = [{'backend': backend, 'file': file.name, 'type_map': ['Si']} for file in files]
    ensemble = load_ensemble(members, files[0].parent)
    settings = RelaxSettings(
        fmax=FMAX,
        max_steps=MAX_STEPS,
        patience=MAX_STEPS,
        batch_atoms=batch_atoms,
        optimizer=optimizer,
        uncertainty=None,
    )

    def relax(crystals: list[Atoms]) -> Outcome:
        relaxation = Relaxation(Frames.from_atoms(crystals), ensemble, settings)
        found = relaxation.run()
        return Outcome(
            relaxation.counters['evaluations'],
            found.energy_per_atom.tolist(),
            (found.known('steps') + 1).tolist(),
            (found.known('status') == 'converged').tolist(),
        )

    return relax


def limit(files: list[Path], *, backend: str) -> Measured:
    """Evaluate the model at the best size of a batch, without anything around it, on what a relaxation evaluates.

    The best size by the processor and the best by the clock may differ.
    """
    members = [{'backend': backend, 'file': file.name, 'type_map': ['Si']} for file in files]
    ensemble = load_ensemble(members, files[0].parent)

    def evaluate(crystals: list[Atoms]) -> Outcome:
        cpu: dict[int, float] = {}
        wall: dict[int, float] = {}
        frames = _under_way(crystals, ensemble)
        for size in sorted({min(size, len(crystals)) for size in BATCHES}):
            batch = frames.select(range(size))
            calls = [_alone(member, batch) for member in ensemble.members]
            cpu[size], wall[size] = _rates(calls, size)
        best, fastest = max(cpu, key=cpu.__getitem__), max(wall, key=wall.__getitem__)
        return Outcome(
            0,
            details={
                'per_cpu_second': cpu[best],
                'batch': best,
                'rates': cpu,
                'per_wall_second': wall[fastest],
                'wall_batch': fastest,
                'wall_rates': wall,
            },
        )

    return evaluate


class _Witness(Ensemble):
    """An ensemble that remembers what it evaluated.

    :param ensemble: that evaluates.
    """

    def __init__(self, ensemble: Ensemble) -> None:
        super().__init__(ensemble.members)
        self.seen: list[Frames] = []

    def evaluate(self, frames: Frames) -> Frames:
        """Evaluate as any ensemble does."""
        self.seen.append(frames.without('source'))
        return super().evaluate(frames)


def _under_way(crystals: list[Atoms], ensemble: Ensemble) -> Frames:
    """Return as many crystals as given, drawn evenly from all that their relaxation evaluates.

    In its course they become denser, by a fifth of the pairs of neighbours, and an evaluation dearer.
    """
    witness = _Witness(ensemble)
    settings = RelaxSettings(fmax=FMAX, max_steps=MAX_STEPS, patience=MAX_STEPS, uncertainty=None)
    Relaxation(Frames.from_atoms(crystals), witness, settings).run()
    seen = Frames.concatenate(witness.seen)
    drawn = (np.arange(len(crystals)) + 0.5) * len(seen) / len(crystals)
    return seen.select(drawn.astype(np.int64))


def _alone(member: Any, frames: Frames) -> Callable[[], Any]:
    """Return what evaluates frames whose neighbours have been found already, where that is the model's affair."""
    if getattr(member, '_engine', None) is None:
        return partial(member.evaluate, frames)
    return partial(member._engine, member._neighbours(frames), np.zeros(len(frames.numbers), dtype=np.int64))


def _rates(calls: list[Callable[[], Any]], size: int) -> tuple[float, float]:
    """Return structures per second of the processor and per second of the clock, medians of some repetitions."""
    for call in calls * 2:
        call()
    cpu: list[float] = []
    wall: list[float] = []
    started = time.perf_counter()
    while len(cpu) < 5 or time.perf_counter() - started < SECONDS_OF_LIMIT:
        before = time.process_time(), time.perf_counter()
        for call in calls:
            call()
        cpu.append(time.process_time() - before[0])
        wall.append(time.perf_counter() - before[1])
    return size / float(np.median(cpu)), size / float(np.median(wall))


def one_by_one(files: list[Path], *, optimizer: str, backend: str = 'tensorflow') -> Measured:
    """Relax with ASE and the calculator that DeePMD-kit, or this package for ML-POD, has for it.

    Of an ensemble on the mean, by the calculator that ASE has for that.
    """
    from ase import optimize
    from ase.calculators.mixing import AverageCalculator
    from ase.filters import UnitCellFilter

    members = [_calculator(file, backend) for file in files]
    calculator = members[0] if len(members) == 1 else AverageCalculator(members)
    algorithm = getattr(optimize, optimizer)

    def relax(crystals: list[Atoms]) -> Outcome:
        counts, energies, converged = [], [], []
        for atoms in (atoms.copy() for atoms in crystals):
            for member in members:
                member.reset()
            members[0].evaluated = 0
            atoms.calc = calculator
            # The line search of ASE can give up; it is taken up again from where it is.
            for _ in range(20):
                with algorithm(UnitCellFilter(atoms), logfile=None) as run:
                    try:
                        done = run.run(fmax=FMAX, steps=MAX_STEPS - members[0].evaluated)
                    except RuntimeError:
                        done = False
                if done or members[0].evaluated >= MAX_STEPS:
                    break
            counts.append(members[0].evaluated)
            energies.append(atoms.get_potential_energy() / len(atoms))
            converged.append(bool(done))
        return Outcome(sum(counts), energies, counts, converged)

    return relax


def _calculator(file: Path, backend: str) -> Any:
    """Return a calculator that counts what it evaluates."""
    if backend == 'pod':
        from benchmarks.relax_throughput.pod_calculator import PodCalculator

        return PodCalculator(file)
    from deepmd.calculator import DP

    class Counted(DP):
        evaluated = 0

        def calculate(self, *arguments: Any, **options: Any) -> None:
            self.evaluated += 1
            super().calculate(*arguments, **options)

    native = {'nlist_backend': 'native'} if backend == 'pytorch' else {}
    return Counted(file, **native)


def lammps(files: list[Path], *, style: str = 'cg') -> Measured:
    """Minimise with LAMMPS and its pair style for DeePMD-kit."""
    from benchmarks.relax_throughput.lammps_minimise import minimise

    return minimise(files, style=style, fmax=FMAX, max_evaluations=MAX_STEPS)


def torchsim(files: list[Path]) -> Measured:
    """Relax with TorchSim and a wrapper of the TorchScript module."""
    from benchmarks.relax_throughput.torchsim_deepmd import relaxation

    return relaxation(files, fmax=FMAX, max_steps=MAX_STEPS)


def in_turn(files: list[Path], *, backend: str, rounds: int) -> Measured:
    """Do all that ratios are made of in turn, some rounds, so that whatever slows the machine slows all of it alike."""
    ways = {
        'limit': (limit(files, backend=backend), 128),
        'ours': (ours(files, backend=backend), None),
        'one_by_one': (one_by_one(files, optimizer='FIRE', backend=backend), 6),
    }
    if len(files) > 1:
        ways['one_model'] = (ours(files[:1], backend=backend), None)

    def run(crystals: list[Atoms]) -> Outcome:
        rates = [{name: _rate_of(way, crystals[:count]) for name, (way, count) in ways.items()} for _ in range(rounds)]
        return Outcome(0, details={'per_cpu_second': float(np.median([it['ours'] for it in rates])), 'rounds': rates})

    return run


def _rate_of(way: Measured, crystals: list[Atoms]) -> float:
    """Return evaluations of a structure per second of the processor."""
    before = time.process_time()
    outcome = way(crystals)
    seconds = time.process_time() - before
    return outcome.details.get('per_cpu_second') or outcome.evaluations / seconds


ENGINES: dict[str, Callable[..., Measured]] = {
    'ours': ours,
    'limit': limit,
    'in_turn': in_turn,
    'one_by_one': one_by_one,
    'lammps': lammps,
    'torchsim': torchsim,
}
