"""Labelled crystals, made by the benchmark itself and always the same for the same numbers and the same optimiser.

A label is one frame of the relaxation of a random crystal on the surface itself: half of them the last one, half of
them any before it. That is what a search labels, minima and what lies around them, without the search that chooses.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from ase.build import bulk
from ase.filters import UnitCellFilter
from ase.formula import Formula
from ase.optimize import BFGS

from aiida_prospect.common.enums import Optimizer
from aiida_prospect.common.frames import Frames
from aiida_prospect.methods.evaluators.ase import AseEvaluator
from aiida_prospect.methods.evaluators.ensemble import Ensemble
from aiida_prospect.methods.lammps_potentials import calculator
from aiida_prospect.methods.pool.generate import generate
from aiida_prospect.methods.pool.spec import PoolSpec
from aiida_prospect.methods.relaxation.driver import Relaxation
from aiida_prospect.methods.relaxation.settings import RelaxSettings, TrajectorySettings

# The ground state on each surface that models are judged on, before its cell is relaxed.
GROUND_STATES = {'Si_Zuo_JPCA2020': bulk('Si', 'diamond', a=5.43), 'NaCl_EIM': bulk('NaCl', 'rocksalt', a=5.6)}
EVERY = 5
# Not the default of the package: with another one the labels and the minima are others.
OPTIMIZER = Optimizer.LBFGS
# Minima higher above the lowest one than this are none that a search would ask about, eV/atom.
WINDOW = 0.35
# Minima whose energies differ by less are taken to be the same, eV/atom.
SAME = 1e-3
CRYSTALS_JUDGED = 30
N_VALIDATION = 100
SEEDS = {'training': 1, 'test': 2, 'judged': 3, 'source': 11}
# Digits that count where sets are compared, Å and eV: the last ones differ between machines.
DIGITS = 4


def digest(*sets: Frames) -> str:
    """Return in short what tells sets of crystals with their energies from others."""
    found = hashlib.sha256()
    for frames in sets:
        found.update(frames.numbers.tobytes() + frames.offsets.tobytes())
        for value in (frames.positions, frames.cells, frames.energy):
            if value is not None:
                # Adding zero takes the sign from what is rounded to none.
                found.update((np.round(value, DIGITS) + 0.0).tobytes())
    return found.hexdigest()[:12]


@dataclass(frozen=True)
class Surface:
    """A reference surface and the crystals on it.

    :param potential: see :mod:`aiida_prospect.methods.lammps_potentials`.
    :param formula: content of the cell.
    """

    potential: str = 'Si_Zuo_JPCA2020'
    formula: str = 'Si8'

    @property
    def type_map(self) -> list[str]:
        """Elements in the order of their types."""
        return sorted(Formula(self.formula).count())

    def ensemble(self) -> Ensemble:
        """Return the surface as something that relaxations take."""
        return Ensemble([AseEvaluator(partial(calculator, self.potential))])

    def crystals(self, count: int, seed: int) -> Frames:
        """Return random crystals."""
        spec = PoolSpec(Formula(self.formula).count(), count)
        return generate(spec, np.random.default_rng(seed))[0]

    def relaxations(self, count: int, seed: int, folder: Path) -> tuple[Frames, Frames]:
        """Return the last frames of relaxations of random crystals, and all frames that were kept on the way.

        :param folder: where they are kept; what is there is not made again.
        """
        stem = f'{self.potential}_{self.formula}_{count}_{seed}_{OPTIMIZER}'
        paths = [folder / f'{stem}_{name}.npz' for name in ('ends', 'ways')]
        if not all(path.is_file() for path in paths):
            folder.mkdir(parents=True, exist_ok=True)
            kept = TrajectorySettings(every=EVERY)
            settings = RelaxSettings(optimizer=OPTIMIZER, uncertainty=None, trajectory=kept)
            relaxation = Relaxation(self.crystals(count, seed), self.ensemble(), settings)
            relaxation.run().save(paths[0])
            relaxation.trajectories().save(paths[1])
        return Frames.load(paths[0]), Frames.load(paths[1])

    def labels(self, count: int, seed: int, folder: Path) -> Frames:
        """Return one labelled frame of each relaxation; the first ones of many are those of few."""
        _, ways = self.relaxations(count, seed, folder)
        rng = np.random.default_rng(seed)
        chosen = []
        for source in range(count):
            known = np.flatnonzero(ways.known('source') == source)
            last, anywhere = rng.random() < 0.5, rng.random()
            if len(known):
                chosen.append(known[-1] if last else known[int(anywhere * len(known))])
        return ways.select(chosen).without('steps', 'source')

    def ground_state(self) -> float:
        """Return the energy per atom of the lowest crystal, eV."""
        atoms = GROUND_STATES[self.potential].copy()
        atoms.calc = calculator(self.potential)
        BFGS(UnitCellFilter(atoms), logfile=None).run(fmax=1e-3)
        return float(atoms.get_potential_energy()) / len(atoms)

    def low_minima(self, folder: Path, crystals: int = 100) -> Frames:
        """Return relaxed crystals that no training has seen, each minimum once, those near the lowest one only."""
        ends, _ = self.relaxations(crystals, SEEDS['test'], folder)
        ends = ends.select(np.flatnonzero(ends.known('status') == 'converged'))
        energies = ends.energy_per_atom
        order = np.argsort(energies)
        new = np.diff(energies[order], prepend=-np.inf) > SAME
        return ends.select(order[new & (energies[order] < energies.min() + WINDOW)]).without('status', 'reason')

    def validation(self, folder: Path) -> Frames:
        """Return labelled frames that no training has seen, of all stages of relaxations."""
        return self.labels(N_VALIDATION, SEEDS['test'], folder)
