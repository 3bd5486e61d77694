"""L-BFGS for many structures at once, positions and cells together.

The two loops of Nocedal, Math. Comput. 35, 773 (1980), for all structures at once. Without a line search, which would
cost evaluations: a step is at most so long, and what shows no curvature, or would lead uphill, is forgotten. Strain is
measured in 2√n times what the deformation gradient says, and not in n times, as by :class:`ase.filters.UnitCellFilter`:
V·C, the stiffness of a cell of n atoms to a strain, grows as n, and divided by 4n it is like that of a bond.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aiida_prospect.methods.relaxation.settings import LbfgsSettings
from aiida_prospect.methods.relaxation.vectors import FloatArray, IntArray, Vectors

STRAIN = 2.0
Memory = Mapping[str, NDArray[Any]]


class Lbfgs:
    """The optimiser.

    What it remembers of each structure: the last forces and the last step; the last so many steps and the changes of
    the gradient along them, the newest first; and the inverse of the product of both, 0 where there are none.
    """

    def __init__(self, settings: LbfgsSettings) -> None:
        self.settings = settings

    def start(self, n_atoms: IntArray) -> dict[str, NDArray[Any]]:
        """Return the memory of structures at rest."""
        size, total, pairs = len(n_atoms), int(np.sum(n_atoms)), self.settings.memory
        return {
            'atoms_force': np.zeros((total, 3)),
            'cell_force': np.zeros((size, 3, 3)),
            'atoms_step': np.zeros((total, 3)),
            'cell_step': np.zeros((size, 3, 3)),
            'atoms_steps': np.zeros((total, pairs, 3)),
            'cell_steps': np.zeros((size, pairs, 3, 3)),
            'atoms_changes': np.zeros((total, pairs, 3)),
            'cell_changes': np.zeros((size, pairs, 3, 3)),
            'inverse': np.zeros((size, pairs)),
        }

    def step(
        self, memory: Memory, forces: Vectors, offsets: IntArray, moving: NDArray[np.bool_]
    ) -> tuple[Vectors, dict[str, NDArray[Any]]]:
        """Return the next steps, see :class:`~aiida_prospect.methods.relaxation.optimisers.Optimiser`."""
        n_atoms = np.diff(offsets)
        owner = np.repeat(np.arange(len(n_atoms)), n_atoms)
        # From the coordinates of the filter, n times the deformation, to ours, and with the step back again.
        scale = np.sqrt(n_atoms) / STRAIN
        forces = forces.with_cell_times(scale)
        pairs = _Pairs.after(memory, forces, offsets, owner, moving)
        stiffness = np.where(
            pairs.inverse[0] > 0,
            np.clip(pairs.stiffness(offsets), self.settings.softest, self.settings.stiffest),
            self.settings.stiffness,
        )
        step = pairs.direction(forces, stiffness, offsets, owner)
        downhill = step.dot(forces, offsets) > 0
        plain = forces.times(np.full(len(n_atoms), 1 / self.settings.stiffness), owner)
        step = Vectors(
            np.where(downhill[owner, None], step.atoms, plain.atoms),
            np.where(downhill[:, None, None], step.cell, plain.cell),
        )
        step = step.times(np.minimum(1.0, self.settings.maxstep / np.maximum(_length(step, offsets), 1e-300)), owner)
        return step.with_cell_times(scale), {
            'atoms_force': forces.atoms,
            'cell_force': forces.cell,
            'atoms_step': step.atoms,
            'cell_step': step.cell,
            **pairs.stored(downhill),
        }


@dataclass(frozen=True)
class _Pairs:
    """Steps and changes of the gradient, the newest first.

    :param steps: (pairs, n_atoms, 3) and (pairs, n_frames, 3, 3).
    :param inverse: (pairs, n_frames).
    """

    steps: Vectors
    changes: Vectors
    inverse: FloatArray

    @classmethod
    def after(
        cls, memory: Memory, forces: Vectors, offsets: IntArray, owner: IntArray, moving: NDArray[np.bool_]
    ) -> _Pairs:
        """Return what is known after the last step; one without curvature teaches nothing."""
        step = Vectors(memory['atoms_step'], memory['cell_step'])
        change = Vectors(memory['atoms_force'] - forces.atoms, memory['cell_force'] - forces.cell)
        curvature = step.dot(change, offsets)
        good = moving & (curvature > 0)
        return cls(
            Vectors(
                _pushed(step.atoms, memory['atoms_steps'], good[owner]), _pushed(step.cell, memory['cell_steps'], good)
            ),
            Vectors(
                _pushed(change.atoms, memory['atoms_changes'], good[owner]),
                _pushed(change.cell, memory['cell_changes'], good),
            ),
            _pushed(1 / np.where(good, curvature, 1.0), memory['inverse'], good),
        )

    def __iter__(self) -> Iterator[tuple[Vectors, Vectors, FloatArray]]:
        for index, inverse in enumerate(self.inverse):
            step = Vectors(self.steps.atoms[index], self.steps.cell[index])
            yield step, Vectors(self.changes.atoms[index], self.changes.cell[index]), inverse

    def stiffness(self, offsets: IntArray) -> FloatArray:
        """Return the (n_frames,) curvatures along the newest change of the gradient, eV/Å²."""
        change = Vectors(self.changes.atoms[0], self.changes.cell[0])
        return change.dot(change, offsets) * self.inverse[0]

    def direction(self, forces: Vectors, stiffness: FloatArray, offsets: IntArray, owner: IntArray) -> Vectors:
        """Return the forces times the inverse of the Hessian as far as it is known."""
        result, factors, pairs = forces, [], list(self)
        for step, change, inverse in pairs:
            factors.append(inverse * step.dot(result, offsets))
            result = result.plus(change.times(-factors[-1], owner))
        result = result.times(1 / stiffness, owner)
        for (step, change, inverse), factor in zip(pairs[::-1], factors[::-1], strict=True):
            result = result.plus(step.times(factor - inverse * change.dot(result, offsets), owner))
        return result

    def stored(self, kept: NDArray[np.bool_]) -> dict[str, NDArray[Any]]:
        """Return them as they are remembered, those of some structures only."""
        return {
            'atoms_steps': np.moveaxis(self.steps.atoms, 0, 1),
            'cell_steps': np.moveaxis(self.steps.cell, 0, 1),
            'atoms_changes': np.moveaxis(self.changes.atoms, 0, 1),
            'cell_changes': np.moveaxis(self.changes.cell, 0, 1),
            'inverse': np.where(kept, self.inverse, 0.0).T,
        }


def _length(step: Vectors, offsets: IntArray) -> FloatArray:
    """Return the (n_frames,) longest ways of an atom or of the cell, the same in all orientations."""
    atoms = np.maximum.reduceat(np.einsum('ai,ai->a', step.atoms, step.atoms), offsets[:-1])
    return np.asarray(np.sqrt(np.maximum(atoms, np.einsum('fij,fij->f', step.cell, step.cell))))


def _pushed(new: FloatArray, kept: FloatArray, chosen: NDArray[np.bool_]) -> FloatArray:
    """Return (pairs, m, ...) values with a new one in front of those of some of the m rows.

    :param kept: (m, pairs, ...).
    """
    old = np.moveaxis(kept, 1, 0)
    shifted = np.concatenate([new[None], old[:-1]])
    # In one order in memory, whatever became of the rows before: sums would differ in the last bit.
    return np.ascontiguousarray(np.where(chosen.reshape(1, -1, *[1] * (new.ndim - 1)), shifted, old))
