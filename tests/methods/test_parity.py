"""Tests for the comparison of predictions with labels."""

from __future__ import annotations

import numpy as np
import pytest

from aiida_prospect.common.frames import Frames
from aiida_prospect.methods.parity import compare


@pytest.fixture
def pool(generate_frames) -> Frames:
    """Return frames as an ensemble left them."""
    return generate_frames('Si4', 6, labelled=True)


def labels_of(pool: Frames, sources, **shift) -> Frames:
    chosen = pool.select(sources).replace(source=sources, status=['ok'] * len(sources))
    return chosen.replace(**{name: getattr(chosen, name) + value for name, value in shift.items()})


def test_a_true_ensemble_has_no_errors(pool):
    for comparison in compare(1, labels_of(pool, [4, 0, 2]), pool).values():
        assert comparison.mean_error == 0
        assert (comparison.n_labels, comparison.n_compared) == (3, 3)


def test_errors_are_those_that_were_put_in(pool):
    found = compare(1, labels_of(pool, [5, 1], energy=0.4, forces=-0.2, stress=0.01), pool)
    assert found['energy'].predicted - found['energy'].true == pytest.approx([-0.1, -0.1])
    assert found['forces'].mean_error == pytest.approx(0.2)
    assert found['stress'].mean_error == pytest.approx(0.01)
    assert [len(found[name].true) for name in ('energy', 'forces', 'stress')] == [2, 24, 12]


def test_displaced_candidates_were_not_predicted(pool):
    labels = labels_of(pool, [0, 1, 2])
    moved = labels.positions.copy()
    moved[labels.offsets[1]] += 0.1
    found = compare(1, labels.replace(positions=moved), pool)
    assert {(item.n_labels, item.n_compared) for item in found.values()} == {(3, 2)}


def test_strained_candidates_were_not_predicted(pool):
    labels = labels_of(pool, [3])
    assert compare(1, labels.replace(cells=1.01 * labels.cells), pool)['energy'].n_compared == 0


def test_failed_labels_do_not_count(pool):
    labels = labels_of(pool, [0, 1, 2]).replace(status=['ok', 'failed', 'rejected'])
    assert {(item.n_labels, item.n_compared) for item in compare(1, labels, pool).values()} == {(1, 1)}


def test_before_there_is_an_ensemble_nothing_is_predicted(pool):
    unseen = pool.without('energy', 'forces', 'stress')
    for comparison in compare(0, labels_of(pool, [0, 1]), unseen).values():
        assert (comparison.n_labels, comparison.n_compared) == (2, 0)
        assert np.isnan(comparison.mean_error)
