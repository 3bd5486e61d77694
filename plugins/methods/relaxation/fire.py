"""FIRE for many structures at once, positions and cells together.

Each structure follows the algorithm of Bitzek et al., Phys. Rev. Lett. 97, 170201 (2006), as :class:`ase.optimize.FIRE`
has it, on the coordinates of :class:`ase.filters.UnitCellFilter` (Tadmor et al., Phys. Rev. B 59, 235 (1999)): the
positions x in the undeformed cell A and the deformation gradient F times the number of atoms. The present cell is A·Fᵀ,
the present positions are x·Fᵀ.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from aiida_prospect.methods.relaxation.settings import FireSettings

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]


@dataclass(frozen=True)
class Vectors:
    """One vector for each structure, in the space of its coordinates.

    :param atoms: (n_atoms, 3), the part of the positions.
    :param cell: (n_frames, 3, 3), the part of the cell.
    """

    atoms: FloatArray
    cell: FloatArray

    def dot(self, other: Vectors, offsets: IntArray) -> FloatArray:
        """Return the (n_frames,) scalar products."""
        atoms = np.add.reduceat(np.einsum('ai,ai->a', self.atoms, other.atoms), offsets[:-1])
        return np.asarray(atoms + np.einsum('fij,fij->f', self.cell, other.cell))

    def times(self, factors: FloatArray, owner: IntArray) -> Vectors:
        """Return the vectors times (n_frames,) factors."""
        return Vectors(self.atoms * factors[owner, None], self.cell * factors[:, None, None])

    def plus(self, other: Vectors) -> Vectors:
        """Return the sum."""
        return Vectors(self.atoms + other.atoms, self.cell + other.cell)

    def longest(self, offsets: IntArray) -> FloatArray:
        """Return the (n_frames,) largest norms of a row."""
        atoms = np.maximum.reduceat(np.einsum('ai,ai->a', self.atoms, self.atoms), offsets[:-1])
        return np.asarray(np.sqrt(np.maximum(atoms, np.einsum('fij,fij->fi', self.cell, self.cell).max(axis=1))))


@dataclass(frozen=True)
class Clock:
    """What FIRE remembers of each structure besides the velocity.

    :param time_step: (n_frames,).
    :param mixing: (n_frames,), how much of the velocity is turned to the force.
    :param downhill: (n_frames,), steps since it last went uphill.
    """

    time_step: FloatArray
    mixing: FloatArray
    downhill: IntArray

    @classmethod
    def start(cls, size: int, settings: FireSettings) -> Clock:
        """Return that of structures at rest."""
        return cls(np.full(size, settings.dt), np.full(size, settings.astart), np.zeros(size, dtype=np.int64))


def fire_step(
    velocity: Vectors,
    clock: Clock,
    forces: Vectors,
    moving: NDArray[np.bool_],
    offsets: IntArray,
    settings: FireSettings,
) -> tuple[Vectors, Vectors, Clock]:
    """Advance all structures by one step.

    :param forces: minus the gradients.
    :param moving: (n_frames,), false for those that have made no step yet.
    :param offsets: (n_frames + 1,), as of :class:`~aiida_prospect.common.frames.Frames`.
    :return: the steps, and the new velocities and clocks.
    """
    owner = np.repeat(np.arange(len(offsets) - 1), np.diff(offsets))
    downhill = moving & (velocity.dot(forces, offsets) > 0.0)
    uphill = moving & ~downhill
    velocity = _turn(velocity, forces, clock.mixing, downhill, uphill, owner, offsets)
    faster = downhill & (clock.downhill > settings.Nmin)
    clock = Clock(
        time_step=np.select(
            [faster, uphill],
            [np.minimum(clock.time_step * settings.finc, settings.dtmax), clock.time_step * settings.fdec],
            clock.time_step,
        ),
        mixing=np.select([faster, uphill], [clock.mixing * settings.fa, settings.astart], clock.mixing),
        downhill=np.select([downhill, uphill], [clock.downhill + 1, 0], clock.downhill),
    )
    velocity = velocity.plus(forces.times(clock.time_step, owner))
    step = velocity.times(clock.time_step, owner)
    length = np.sqrt(step.dot(step, offsets))
    limit = np.where(length > settings.maxstep, settings.maxstep / np.maximum(length, settings.maxstep), 1.0)
    return step.times(limit, owner), velocity, clock


def _turn(
    velocity: Vectors,
    forces: Vectors,
    mixing: FloatArray,
    downhill: NDArray[np.bool_],
    uphill: NDArray[np.bool_],
    owner: IntArray,
    offsets: IntArray,
) -> Vectors:
    """Turn velocities that go downhill towards the forces, stop those that go uphill."""
    speed = np.sqrt(velocity.dot(velocity, offsets))
    force = np.sqrt(forces.dot(forces, offsets))
    kept = np.select([downhill, uphill], [1.0 - mixing, 0.0], 1.0)
    turned = np.where(downhill, mixing * speed / np.where(force > 0, force, 1.0), 0.0)
    return velocity.times(kept, owner).plus(forces.times(turned, owner))


def generalised_forces(
    forces: FloatArray,
    stress: FloatArray,
    cells: FloatArray,
    deformation: FloatArray,
    offsets: IntArray,
    pressure: float,
) -> Vectors:
    """Return the forces on the coordinates of :class:`ase.filters.UnitCellFilter`.

    :param forces: (n_atoms, 3), eV/Å.
    :param stress: (n_frames, 3, 3), eV/Å³, positive under tension.
    :param cells: (n_frames, 3, 3), Å.
    :param deformation: (n_frames, 3, 3), deformation gradients F.
    :param pressure: eV/Å³.
    """
    n_atoms = np.diff(offsets)
    owner = np.repeat(np.arange(len(n_atoms)), n_atoms)
    volumes = np.abs(np.linalg.det(cells))
    virial = -volumes[:, None, None] * (stress + pressure * np.eye(3))
    on_cell = np.linalg.solve(deformation, virial.transpose(0, 2, 1)).transpose(0, 2, 1)
    return Vectors(np.einsum('ai,aij->aj', forces, deformation[owner]), on_cell / n_atoms[:, None, None])
