"""Tests for the end of a search."""

import pytest

from aiida_prospect.methods.budget import decide_stop, validate_budget

BUDGET = {'max_labels': 100, 'max_cycles': 5, 'max_core_hours': None}
OPEN = {'converged': False, 'reason': 'the lowest cluster fell'}


def test_goes_on_within_the_budget():
    stop = decide_stop(OPEN, BUDGET, {'labels': 99, 'cycles': 4, 'core_hours': 1e9})
    assert stop['reason'] is None


@pytest.mark.parametrize(
    ('spent', 'reason'),
    [
        ({'labels': 100, 'cycles': 1, 'core_hours': 0.0}, 'max_labels'),
        ({'labels': 10, 'cycles': 5, 'core_hours': 0.0}, 'max_cycles'),
    ],
)
def test_names_the_limit_that_was_reached(spent, reason):
    stop = decide_stop(OPEN, BUDGET, spent)
    assert stop['reason'] == reason
    assert 'not converged' in stop['sentence']


def test_convergence_comes_before_the_budget():
    stop = decide_stop({'converged': True, 'reason': 'stable'}, BUDGET, {'labels': 100, 'cycles': 5, 'core_hours': 0.0})
    assert stop['reason'] == 'converged'


@pytest.mark.parametrize(
    ('budget', 'message'),
    [
        ({'max_labels': -1}, 'greater than 0'),
        ({'max_labels': 0}, 'greater than 0'),
        ({'max_hours': 1}, 'unknown limit'),
        ({'max_labels': None}, 'at least one limit'),
    ],
)
def test_refuses_a_budget_that_means_nothing(budget, message):
    with pytest.raises(ValueError, match=message):
        validate_budget(budget)
