"""Tests for the choice of the structures to relax at the end."""

import numpy as np
import pytest
from ase.build import bulk

from aiida_prospect.common.frames import Frames
from aiida_prospect.methods.finalists import choose_finalists

LIMITS = {'n_minima': 5, 'energy_window': 0.65, 'tolerance': 0.1}


@pytest.fixture
def pool():
    atoms = [bulk('Si', 'diamond', a=5.4 + 0.1 * index) for index in range(4)]
    return Frames.from_atoms(atoms, energy=[-8.0, -7.9, -7.8, -6.0], origin=['p0', 'p1', 'p2', 'p3'])


@pytest.fixture
def labelled():
    atoms = [bulk('Si', 'fcc', a=4.0 + 0.1 * index) for index in range(3)]
    return Frames.from_atoms(
        atoms, energy=[-3.5, -4.5, -9.0], status=['ok', 'ok', 'unconverged'], origin=['a', 'b', 'c']
    )


def test_a_label_outweighs_the_ensemble(pool, labelled):
    """The ensemble's favourite was labelled, at 0.5 eV/atom more than the ensemble thought, and falls behind."""
    chosen = choose_finalists(
        pool, np.arange(4.0)[:, None], [0, 1, 2, 3], labelled, np.array([[0.0], [50.0], [60.0]]), **LIMITS
    )
    assert list(chosen.origin) == ['b', 'p1', 'p2']
    assert list(chosen.source) == [-1, 1, 2]


def test_what_is_labelled_and_in_the_pool_comes_once(pool, labelled):
    chosen = choose_finalists(
        pool, np.arange(4.0)[:, None], [0, 1, 2], labelled, np.array([[70.0], [1.05], [60.0]]), **LIMITS
    )
    assert list(chosen.origin) == ['p1', 'p0', 'p2']
    assert chosen.reason[0].startswith('label of its twin: -4.5')


def test_a_failed_label_is_never_chosen(pool, labelled):
    chosen = choose_finalists(pool, np.arange(4.0)[:, None], [], labelled, np.zeros((3, 1)), **LIMITS)
    assert list(chosen.origin) == ['b']


def test_a_short_list_is_a_short_list(pool):
    chosen = choose_finalists(pool, np.arange(4.0)[:, None], [1], Frames.empty(), np.empty((0, 1)), **LIMITS)
    assert list(chosen.origin) == ['p1']


def test_what_was_labelled_on_the_way_to_a_minimum_is_left_out(pool, labelled):
    chosen = choose_finalists(
        pool,
        np.arange(4.0)[:, None],
        [1],
        labelled.replace(origin=['p0', 'p0', 'c']),
        np.array([[70.0], [80.0], [60.0]]),
        **LIMITS,
    )
    assert list(chosen.origin) == ['p0', 'p1']
    assert chosen.reason[0].startswith('label: -4.5')


def test_a_label_outlives_what_fell_into_a_hole_of_the_ensemble(pool, labelled):
    deeper = pool.replace(energy=[-90.0, -7.9, -7.8, -6.0])
    chosen = choose_finalists(
        deeper,
        np.arange(4.0)[:, None],
        [1],
        labelled.replace(origin=['p0', 'b', 'c']),
        np.array([[70.0], [80.0], [60.0]]),
        **{**LIMITS, 'energy_window': 9.0},
        minima=np.array([False, True, True, True]),
    )
    assert set(chosen.origin) == {'b', 'p0', 'p1'}


def test_of_a_pool_that_was_never_relaxed_only_labels_count(pool, labelled):
    bare = pool.without('energy')
    chosen = choose_finalists(
        bare, np.arange(4.0)[:, None], [0, 1, 2], labelled, np.array([[70.0], [1.05], [60.0]]), **LIMITS
    )
    assert list(chosen.origin) == ['p1']
    assert chosen.reason.tolist() == ['label of its twin: -4.5000 eV/atom']


def test_a_displaced_label_of_a_minimum_that_is_there_is_left_out(pool):
    """Unlike it in energy and fingerprint, but the same crystal; another crystal as near as that stays."""
    shaken, other = bulk('Si', 'diamond', a=5.4), bulk('Si', 'bcc', a=3.1) * (2, 1, 1)
    shaken.positions[1] += [0.1, 0.0, -0.05]
    labelled = Frames.from_atoms([shaken, other], energy=[-7.95, -7.94], status=['ok'] * 2, origin=['a', 'b'])
    spectra, limits = np.array([[0.25], [-0.25]]), {**LIMITS, 'n_minima': 3}
    chosen = choose_finalists(pool, 10 * np.arange(4.0)[:, None], [0, 1, 2], labelled, spectra, **limits)
    assert list(chosen.origin) == ['p0', 'b', 'p1']
