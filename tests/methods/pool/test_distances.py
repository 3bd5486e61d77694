import numpy as np
import pytest
from ase import Atoms
from ase.neighborlist import neighbor_list

from aiida_prospect.methods.pool.distances import first_conflict, image_shifts, separations, shortest_translation

# Cells from compact to so skewed that the nearest image is several cells away.
CELLS = {
    'cubic': np.eye(3) * 4,
    'flat': np.array([[9.0, 0, 0], [4, 9, 0], [3, 3, 1.2]]),
    'skewed': np.array([[5.0, 0, 0], [14.2, 3, 0], [-9.7, 8.1, 4]]),
    'left-handed': np.array([[0, 5.0, 0], [5, 0, 1], [0, 2, 6]]),
}
REACH = 3.5


@pytest.mark.parametrize('cell', CELLS.values(), ids=CELLS)
def test_distances_are_those_of_a_neighbour_list(cell, rng):
    fractional = rng.random((6, 3)) * 3 - 1
    found = separations(fractional, fractional, cell, image_shifts(cell, REACH))
    np.fill_diagonal(found, shortest_translation(cell, REACH))
    first, second, distances = neighbor_list(
        'ijd', Atoms('Si6', scaled_positions=fractional, cell=cell, pbc=True), REACH
    )
    expected = np.full((6, 6), np.inf)
    np.minimum.at(expected, (first, second), distances)
    np.testing.assert_allclose(np.where(found < REACH, found, np.inf), expected, atol=1e-10)


def test_nearest_pair_is_named_and_allowed_ones_are_not():
    cell, fractional = np.eye(3) * 5, np.array([[0, 0, 0], [0.98, 0, 0], [0.5, 0.5, 0.5]])
    kinds = np.array([0, 1, 1])
    limits = np.array([[1.0, 0.2], [0.2, 1.0]])
    assert first_conflict(cell, fractional, kinds, limits) == (0, 1)
    assert first_conflict(cell, fractional, kinds, limits * [[1, 0.4], [0.4, 1]]) is None


def test_atom_that_is_too_near_to_its_own_image_is_found():
    assert first_conflict(np.diag([1.5, 5, 5]), np.zeros((1, 3)), np.array([0]), np.array([[1.6]])) == (0, 0)


@pytest.fixture
def rng():
    return np.random.default_rng(3)
