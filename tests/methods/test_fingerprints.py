from itertools import combinations

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk

from aiida_prospect.common.frames import Frames
from aiida_prospect.methods.fingerprints import TOLERANCE, FingerprintSettings, fingerprints, nearest


@pytest.mark.parametrize('repeat', [(1, 1, 1), (2, 1, 1), (1, 3, 1), (2, 2, 2)])
def test_same_crystal_same_fingerprint(silicon_phases, salts, written_differently, repeat):
    """Rotation, reflection, origin, order of the atoms, lattice vectors and supercell do not matter."""
    rng = np.random.default_rng(0)
    for phases in (silicon_phases, salts):
        for name, atoms in phases.items():
            frames = Frames.from_atoms([atoms, written_differently(atoms, rng, repeat)])
            one, other = fingerprints(frames)
            assert np.abs(one - other).max() < 1e-6, name


def test_order_of_elements_does_not_matter(salts):
    frames = Frames.from_atoms(list(salts.values()))
    assert np.array_equal(fingerprints(frames, ['Na', 'Cl']), fingerprints(frames, ['Cl', 'Na']))


def test_distinct_phases_are_apart(silicon_phases, salts):
    """Two tolerances, so that no third structure is the same as both."""
    for phases in (silicon_phases, salts):
        points = fingerprints(Frames.from_atoms(list(phases.values())))
        for (i, one), (j, other) in combinations(enumerate(phases), 2):
            assert np.linalg.norm(points[i] - points[j]) > 2 * TOLERANCE, (one, other)


def test_residual_displacements_stay_within_the_tolerance(silicon_phases, salts):
    rng = np.random.default_rng(1)
    for phases in (silicon_phases, salts):
        for name, atoms in phases.items():
            moved = atoms.repeat(2)
            moved.positions += rng.normal(0, 0.02, (len(moved), 3))
            moved.set_cell(moved.cell.array * 1.002, scale_atoms=True)
            one, other = fingerprints(Frames.from_atoms([atoms, moved]))
            assert np.linalg.norm(one - other) < TOLERANCE, name


def test_elements_are_told_apart():
    """The zinc blende of two elements is not the diamond of one, nor rock salt with other ions."""
    structures = [bulk('GaAs', 'zincblende', a=5.65), bulk('Ga', 'diamond', a=5.65), bulk('As', 'diamond', a=5.65)]
    points = fingerprints(Frames.from_atoms(structures))
    for i, j in combinations(range(3), 2):
        assert np.linalg.norm(points[i] - points[j]) > 5 * TOLERANCE


def test_other_elements_and_collapsed_cells_have_none():
    collapsed = Atoms('Si8', positions=np.random.default_rng(0).uniform(0, 2, (8, 3)), cell=[2, 2, 2], pbc=True)
    frames = Frames.from_atoms([bulk('Si'), bulk('Ge'), collapsed])
    known = np.isfinite(fingerprints(frames, ['Si'])).all(axis=1)
    assert known.tolist() == [True, False, False]


def test_no_frames():
    assert len(fingerprints(Frames.empty())) == 0
    assert fingerprints(Frames.empty(), ['Si']).shape == (0, 252)


@pytest.mark.parametrize('n_elements', [1, 2, 3, 5])
def test_length_is_bounded(n_elements):
    elements = ['Al', 'O', 'Si', 'Na', 'Cl'][:n_elements]
    frames = Frames.from_atoms([bulk(element, 'fcc', a=4.0) for element in elements])
    settings = FingerprintSettings()
    points = fingerprints(frames, elements, settings)
    assert points.shape[1] <= settings.max_features
    assert np.allclose(np.linalg.norm(points, axis=1), 1)


def test_nearest():
    nothing = [np.nan, np.nan]
    distance, index = nearest(np.array([[0.0, 0], [1, 1], nothing]), np.array([nothing, [0.0, 1e-9], [1, 2]]))
    assert index.tolist() == [1, 2, -1]
    assert np.allclose(distance[:2], [1e-9, 1], rtol=1e-6)
    assert np.isinf(distance[2])
    distance, index = nearest(np.zeros((2, 3)), np.empty((0, 3)))
    assert np.isinf(distance).all()
    assert index.tolist() == [-1, -1]
