"""The ground state of each surface, by relaxing the known phases; and whether a crystal is one of them."""

from __future__ import annotations

import json
from functools import cached_property
from typing import Any

import numpy as np
from ase import Atoms
from ase.filters import UnitCellFilter
from ase.optimize import BFGS

from aiida_prospect.common.frames import Frames
from aiida_prospect.methods.matching import structure_of, symmetry
from aiida_prospect.methods.minima import rank_minima
from benchmarks.conditions import conditions
from benchmarks.label_efficiency.store import RESULTS, write
from benchmarks.label_efficiency.systems import SYSTEMS, Surface, System

MAX_STEPS = 400
COMMAND = 'python -m benchmarks.label_efficiency phases'


def relax_phases(surface: Surface) -> dict[str, Any]:
    """Relax the known phases of a surface."""
    phases: dict[str, Any] = {}
    for name, make in surface.phases.items():
        atoms = make()
        atoms.calc = surface.make()
        optimizer = BFGS(UnitCellFilter(atoms), logfile=None, maxstep=0.1)
        converged = bool(optimizer.run(fmax=surface.fmax, steps=MAX_STEPS))
        frame = Frames.from_atoms([atoms])
        phases[name] = {
            'energy_per_atom': float(atoms.get_potential_energy()) / len(atoms),
            'volume_per_atom': float(atoms.get_volume()) / len(atoms),
            'space_group': symmetry(structure_of(frame), 0.05).symbol,
            'converged': converged,
            'numbers': atoms.numbers.tolist(),
            'cell': atoms.cell.array.round(6).tolist(),
            'positions': atoms.positions.round(6).tolist(),
        }
    return {'potential': surface.name, 'target': surface.target, 'phases': phases, **conditions(said=COMMAND)}


def store_phases() -> None:
    """Relax and store the phases of all surfaces that are not stored."""
    for system in SYSTEMS.values():
        path = RESULTS / f'phases_{system.surface.name}.json'
        if not path.exists():
            write(path, relax_phases(system.surface))


class Truth:
    """What there is to find."""

    def __init__(self, system: System) -> None:
        stored = json.loads((RESULTS / f'phases_{system.surface.name}.json').read_text())
        self.phases: dict[str, dict[str, Any]] = stored['phases']
        self.target, self.window = system.surface.target, system.surface.window
        self.energy = float(self.phases[self.target]['energy_per_atom'])

    @property
    def threshold(self) -> float:
        """Energy below which something is a hit, eV/atom."""
        return self.energy + self.window

    def names_of(self, frame: Frames) -> list[str]:
        """Return the names of the known phases that a crystal is."""
        known = frame.replace(energy=np.zeros(1) if frame.energy is None else frame.energy, status=['ok'], reason=None)
        found = rank_minima(known, self._frames)[1]['minima'][0]
        return [match['name'] for match in found['references']]

    @cached_property
    def _frames(self) -> dict[str, Frames]:
        return {
            name: Frames.from_atoms(
                [Atoms(phase['numbers'], positions=phase['positions'], cell=phase['cell'], pbc=True)]
            )
            for name, phase in self.phases.items()
        }
