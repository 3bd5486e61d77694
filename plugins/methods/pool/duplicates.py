"""Crystals that differ only in setting, supercell or volume."""

from __future__ import annotations

from collections import defaultdict

import numpy as np
from pymatgen.analysis.structure_matcher import StructureMatcher
from pymatgen.core import Structure

from aiida_prospect.common.frames import FloatArray, IntArray
from aiida_prospect.methods.pool.distances import image_shifts
from aiida_prospect.methods.pool.makers import Crystal

N_NEIGHBOURS = 24
# Differences of the invariant, in units of the edge of one atom's cube, below which crystals are looked at more
# closely.
NEAR = 0.02


def invariant(crystal: Crystal) -> FloatArray:
    """Return numbers that are equal for equal crystals, whatever their volume.

    The mean over atoms of the distance to the k-th neighbour (D. Widdowson et al., MATCH 87, 529 (2022)), for
    neighbours of any element and for those of the same one, in units of the edge of the cube that holds one atom.

    :return: (2 N_NEIGHBOURS,).
    """
    n_atoms = len(crystal.numbers)
    edge = np.cbrt(abs(np.linalg.det(crystal.cell)) / n_atoms)
    rarest = min(np.count_nonzero(crystal.numbers == number) for number in crystal.numbers)
    radius = edge * np.cbrt(N_NEIGHBOURS * n_atoms / rarest)
    while True:
        vectors = crystal.fractional[None, :, None] - crystal.fractional[:, None, None]
        vectors = (vectors - np.round(vectors) + image_shifts(crystal.cell, radius)) @ crystal.cell
        distances = np.sqrt(np.einsum('...i,...i->...', vectors, vectors))
        alike = crystal.numbers[:, None] == crystal.numbers[None, :]
        any_element = np.sort(distances.reshape(n_atoms, -1), axis=1)[:, 1 : N_NEIGHBOURS + 1]
        same_element = np.sort(np.where(alike[..., None], distances, np.inf).reshape(n_atoms, -1), axis=1)
        same_element = same_element[:, 1 : N_NEIGHBOURS + 1]
        if same_element.shape[1] == N_NEIGHBOURS and max(any_element.max(), same_element.max()) <= radius:
            return np.concatenate([any_element.mean(axis=0), same_element.mean(axis=0)]) / edge
        radius *= 1.25


class _Invariants:
    """Invariants of crystals, among which near ones are found quickly also when there are many."""

    def __init__(self) -> None:
        self._columns: FloatArray = np.empty((2 * N_NEIGHBOURS, 64))
        self._size = 0

    def add(self, one: FloatArray) -> None:
        if self._size == self._columns.shape[1]:
            self._columns = np.concatenate([self._columns, np.empty_like(self._columns)], axis=1)
        self._columns[:, self._size] = one
        self._size += 1

    def near(self, one: FloatArray) -> IntArray:
        """Return the indices of those that differ in no number by :data:`NEAR` or more."""
        found = np.flatnonzero(np.abs(self._columns[0, : self._size] - one[0]) < NEAR)
        # Most differ in one of the first numbers already.
        for column, value in zip(self._columns[1:], one[1:], strict=True):
            if not len(found):
                break
            found = found[np.abs(column[found] - value) < NEAR]
        return found


class Register:
    """Crystals seen so far, by composition."""

    def __init__(self) -> None:
        self._invariants: dict[tuple[int, ...], _Invariants] = defaultdict(_Invariants)
        self._crystals: dict[tuple[int, ...], list[Crystal]] = defaultdict(list)
        self._matcher = StructureMatcher(ltol=0.05, stol=0.05, angle_tol=2, scale=True, primitive_cell=True)

    def add(self, crystal: Crystal) -> bool:
        """Take a crystal in, unless there is an equal one; tell whether it was taken."""
        numbers, counts = np.unique(crystal.numbers, return_counts=True)
        key = (*numbers.tolist(), *(counts // np.gcd.reduce(counts)).tolist())
        mine = invariant(crystal)
        for i in self._invariants[key].near(mine):
            if self._matcher.fit(_structure(crystal), _structure(self._crystals[key][i])):
                return False
        self._invariants[key].add(mine)
        self._crystals[key].append(crystal)
        return True


def _structure(crystal: Crystal) -> Structure:
    return Structure(crystal.cell, crystal.numbers.tolist(), crystal.fractional)
