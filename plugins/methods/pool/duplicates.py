"""Crystals that differ only in setting, supercell or volume."""

from __future__ import annotations

from collections import defaultdict

import numpy as np
from pymatgen.analysis.structure_matcher import StructureMatcher
from pymatgen.core import Structure

from aiida_prospect.common.frames import FloatArray
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


class Register:
    """Crystals seen so far, by composition."""

    def __init__(self) -> None:
        self._invariants: dict[tuple[int, ...], list[FloatArray]] = defaultdict(list)
        self._crystals: dict[tuple[int, ...], list[Crystal]] = defaultdict(list)
        self._matcher = StructureMatcher(ltol=0.05, stol=0.05, angle_tol=2, scale=True, primitive_cell=True)

    def add(self, crystal: Crystal) -> bool:
        """Take a crystal in, unless there is an equal one; tell whether it was taken."""
        numbers, counts = np.unique(crystal.numbers, return_counts=True)
        key = (*numbers.tolist(), *(counts // np.gcd.reduce(counts)).tolist())
        mine = invariant(crystal)
        known = self._invariants[key]
        if known:
            for i in np.flatnonzero(np.max(np.abs(np.array(known) - mine), axis=1) < NEAR):
                if self._matcher.fit(_structure(crystal), _structure(self._crystals[key][i])):
                    return False
        known.append(mine)
        self._crystals[key].append(crystal)
        return True


def _structure(crystal: Crystal) -> Structure:
    return Structure(crystal.cell, crystal.numbers.tolist(), crystal.fractional)
