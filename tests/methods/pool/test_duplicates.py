"""Tests that equal crystals are recognised."""

import numpy as np

from aiida_prospect.methods.pool.duplicates import N_NEIGHBOURS, NEAR, _Invariants


def test_near_invariants_are_those_that_differ_nowhere_by_more():
    rng = np.random.default_rng(0)
    values = rng.uniform(0, 0.03, (300, 2 * N_NEIGHBOURS))
    values[200:] = values[:100] + rng.uniform(-1, 1, (100, 2 * N_NEIGHBOURS)) * NEAR / 2
    known = _Invariants()
    for index, value in enumerate(values):
        expected = np.flatnonzero(np.max(np.abs(values[:index] - value), axis=1) < NEAR) if index else []
        assert known.near(value).tolist() == list(expected)
        known.add(value)
