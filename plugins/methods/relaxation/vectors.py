"""The space in which positions and cells of many structures are relaxed together.

Its coordinates are those of :class:`ase.filters.UnitCellFilter` (Tadmor et al., Phys. Rev. B 59, 235 (1999)): the
positions x in the undeformed cell A and the deformation gradient F times the number of atoms. The present cell is A·Fᵀ,
the present positions are x·Fᵀ.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

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

    def with_cell_times(self, factors: FloatArray) -> Vectors:
        """Return the vectors with the part of the cell times (n_frames,) factors."""
        return Vectors(self.atoms, self.cell * factors[:, None, None])

    def longest(self, offsets: IntArray) -> FloatArray:
        """Return the (n_frames,) largest norms of a row."""
        atoms = np.maximum.reduceat(np.einsum('ai,ai->a', self.atoms, self.atoms), offsets[:-1])
        return np.asarray(np.sqrt(np.maximum(atoms, np.einsum('fij,fij->fi', self.cell, self.cell).max(axis=1))))


def generalised_forces(
    forces: FloatArray,
    stress: FloatArray,
    cells: FloatArray,
    deformation: FloatArray,
    offsets: IntArray,
    pressure: float,
) -> Vectors:
    """Return the forces on the coordinates.

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
    # In the usual order in memory, as after a checkpoint: sums would differ in the last bit.
    on_cell = np.ascontiguousarray(on_cell / n_atoms[:, None, None])
    return Vectors(np.einsum('ai,aij->aj', forces, deformation[owner]), on_cell)
