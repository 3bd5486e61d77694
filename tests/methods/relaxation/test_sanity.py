"""Tests of whether a geometry is still that of a crystal."""

import numpy as np
import pytest
from ase import Atoms
from ase.data import covalent_radii
from ase.neighborlist import neighbor_list

from aiida_prospect.common.frames import Frames
from aiida_prospect.methods.relaxation.sanity import closest_contacts, unphysical
from aiida_prospect.methods.relaxation.settings import Sanity

CELLS = {
    'wide': np.diag([7.0, 8.0, 9.0]),
    'thin': np.diag([1.7, 8.0, 9.0]),
    'skewed': np.array([[2.4, 0, 0], [1.1, 2.3, 0], [-1.0, 0.9, 2.5]]),
    'left-handed': np.array([[0, 2.4, 0], [2.6, 0, 0.4], [0, 0, 2.5]]),
}
LIMIT = 0.8


def contacts(atoms, limit):
    """Return the shortest distance over radii, by a neighbour list and as relaxations see it."""
    first, second, distance = neighbor_list('ijd', atoms, 4.0)
    radii = covalent_radii[atoms.numbers]
    expected = np.min(distance / (radii[first] + radii[second]), initial=np.inf)
    offsets, chosen = np.array([0, len(atoms)]), np.array([0])
    (found,) = closest_contacts(atoms.numbers, offsets, atoms.positions, atoms.cell.array[None], limit, chosen)
    return expected, found


@pytest.mark.parametrize('cell', CELLS.values(), ids=CELLS)
@pytest.mark.parametrize('seed', range(5))
def test_contacts_are_those_of_a_neighbour_list(cell, seed):
    """Also those of an atom with its own images."""
    rng = np.random.default_rng(seed)
    atoms = Atoms('SiO', scaled_positions=rng.uniform(-2, 2, (2, 3)), cell=cell, pbc=True)
    expected, found = contacts(atoms, LIMIT)
    assert found == pytest.approx(expected) if expected < LIMIT else found >= LIMIT


@pytest.mark.parametrize('axis', range(3))
@pytest.mark.parametrize(('element', 'height'), [('K', 1.0), ('Rb', 1.05), ('Cs', 1.2), ('Ba', 1.05)])
def test_contacts_in_flat_and_skew_cells_of_large_atoms(element, height, axis):
    """The nearest image lies two layers away: each layer of the cell is shifted by half a lattice vector."""
    cell = np.roll(np.array([[6.0, 0, 0], [0, 6.0, 0], [3.0, 0, height]]), axis, axis=0)
    expected, found = contacts(Atoms(element, cell=cell, pbc=True), Sanity().distance)
    assert expected == pytest.approx(2 * height / (2 * covalent_radii[Atoms(element).numbers[0]]))
    assert expected < Sanity().distance
    assert found == pytest.approx(expected)


@pytest.mark.parametrize(('ratio', 'words'), [(0.4, 'became 0.4 times'), (0.6, None), (2.5, None), (3.5, '3.5 times')])
def test_volumes_are_compared_with_those_at_the_start(ratio, words):
    atoms = Atoms('Si', cell=np.eye(3) * 5.0 * ratio ** (1 / 3), pbc=True)
    frames, limits = Frames.from_atoms([atoms]), Sanity(distance=0.1, compression=0.5, expansion=3.0)
    found = unphysical(frames.numbers, frames.offsets, frames.positions, frames.cells, np.array([125.0]), limits)
    assert list(found) == ([0] if words else [])
    assert words is None or words in found[0]
