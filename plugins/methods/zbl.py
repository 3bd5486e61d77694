"""Screened repulsion of nuclei, which keeps a trained potential from letting atoms collapse.

J. F. Ziegler, J. P. Biersack and U. Littmark, The Stopping and Range of Ions in Solids (1985): the universal screening
function.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations_with_replacement

import numpy as np
from ase.data import atomic_numbers, covalent_radii
from numpy.typing import NDArray
from scipy import constants

FloatArray = NDArray[np.float64]

AMPLITUDES = (0.18175, 0.50986, 0.28022, 0.02817)
EXPONENTS = (3.19980, 0.94229, 0.40290, 0.20162)
SCREENING_LENGTH = 0.46850
COULOMB = constants.e / (4 * np.pi * constants.epsilon_0) / constants.angstrom
# Below this distance the energy goes on in a straight line, so that a table can begin at zero.
INNERMOST = 0.05


def zbl_energy(distances: FloatArray, first: int, second: int) -> FloatArray:
    """Return the energy of a pair.

    :param distances: (n,), Å, positive.
    :param first: atomic number.
    :param second: atomic number.
    :return: (n,), eV.
    """
    reduced = distances * (first**0.23 + second**0.23) / SCREENING_LENGTH
    screening = sum(a * np.exp(-b * reduced) for a, b in zip(AMPLITUDES, EXPONENTS, strict=True))
    return np.asarray(COULOMB * first * second / distances * screening)


def zbl_table(type_map: Sequence[str], cutoff: float, spacing: float = 0.01) -> FloatArray:
    """Tabulate the energies of all pairs, brought to zero smoothly over the outer half of the cut-off.

    :param type_map: elements.
    :param cutoff: Å.
    :param spacing: Å.
    :return: (m, 1 + number of pairs), distances in Å from zero to the cut-off, then energies in eV in the order 0-0,
        0-1, …, 1-1, …, as DeePMD-kit wants it.
    """
    distances = np.arange(round(cutoff / spacing) + 1) * spacing
    outer = np.clip(2 * distances / cutoff - 1, 0, 1)
    taper = 1 - outer**3 * (10 - 15 * outer + 6 * outer**2)
    columns = [distances]
    for first, second in combinations_with_replacement([atomic_numbers[symbol] for symbol in type_map], 2):
        energy = zbl_energy(np.maximum(distances, INNERMOST), first, second)
        edge, step = zbl_energy(np.array([INNERMOST, INNERMOST + 1e-6]), first, second)
        slope = (step - edge) / 1e-6
        energy += np.where(distances < INNERMOST, slope * (distances - INNERMOST), 0)
        columns.append(energy * taper)
    return np.column_stack(columns)


def switching_range(type_map: Sequence[str], inner: float, outer: float) -> tuple[float, float]:
    """Return where the repulsion takes over from the network, the same for all pairs.

    :param inner: only the repulsion acts below this fraction of the shortest sum of two covalent radii.
    :param outer: only the network acts above this fraction.
    :return: the two distances, Å.
    """
    shortest = 2 * min(covalent_radii[atomic_numbers[symbol]] for symbol in type_map)
    return inner * shortest, outer * shortest
