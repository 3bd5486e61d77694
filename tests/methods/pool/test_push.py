"""Tests for pushing atoms apart."""

import numpy as np
import pytest
from pymatgen.core import Lattice, Structure
from pymatgen.symmetry.analyzer import SpacegroupAnalyzer

from aiida_prospect.methods.pool.distances import image_shifts, separations, shortest_translation
from aiida_prospect.methods.pool.push import push_apart

CONTACT = np.array([[2.25]])


def smallest(cell, fractional):
    found = separations(fractional, fractional, cell, image_shifts(cell, 3.0))
    np.fill_diagonal(found, shortest_translation(cell, 3.0))
    return found.min()


@pytest.mark.parametrize('seed', range(5))
def test_nothing_overlaps_afterwards(seed):
    rng = np.random.default_rng(seed)
    cell = np.diag([5.0, 5.4, 6.0]) + rng.uniform(-0.5, 0.5, (3, 3))
    fractional = rng.random((8, 3))
    pushed_cell, pushed = push_apart(cell, fractional, np.zeros(8, int), CONTACT)
    assert smallest(cell, fractional) < 2.0
    assert smallest(pushed_cell, pushed) >= CONTACT.max()
    assert 0.9 < np.linalg.det(pushed_cell) / np.linalg.det(cell) < 1.6


def test_crystals_without_overlap_stay_as_they_are():
    cell = 5.43 * np.array([[0, 0.5, 0.5], [0.5, 0, 0.5], [0.5, 0.5, 0]])
    fractional = np.array([[0.0, 0, 0], [0.25, 0.25, 0.25]])
    pushed_cell, pushed = push_apart(cell, fractional, np.zeros(2, int), CONTACT)
    assert np.array_equal(pushed_cell, cell)
    assert np.array_equal(pushed, fractional)


def test_symmetry_is_kept():
    crystal = Structure.from_spacegroup(136, Lattice.tetragonal(4.6, 2.9), ['Si'], [[0.15, 0.15, 0.0]])
    pushed_cell, pushed = push_apart(crystal.lattice.matrix, crystal.frac_coords, np.zeros(len(crystal), int), CONTACT)
    after = Structure(pushed_cell, ['Si'] * len(crystal), pushed)
    assert not np.allclose(pushed_cell, crystal.lattice.matrix)
    assert SpacegroupAnalyzer(after, 1e-4).get_space_group_number() == 136
