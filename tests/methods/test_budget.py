"""Tests for the end of a search."""

import pytest

from aiida_prospect.methods.budget import decide_stop, expected_core_hours, validate_budget

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


def test_the_last_label_does_not_end_a_search_that_needs_none():
    spent = {'labels': 100, 'cycles': 1, 'core_hours': 0.0}
    assert decide_stop({**OPEN, 'needs_labels': False}, BUDGET, spent)['reason'] is None
    assert decide_stop({**OPEN, 'needs_labels': True}, BUDGET, spent)['reason'] == 'max_labels'
    assert decide_stop({**OPEN, 'needs_labels': False}, BUDGET, {**spent, 'cycles': 5})['reason'] == 'max_cycles'


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


COSTS = [('label', 360.0, 10), ('train', 100.0, 1), ('explore', 50.0, 1), ('label', 90.0, 5), ('train', 30.0, 1)]


def test_a_stage_is_expected_to_take_the_least_that_one_of_its_kind_took():
    assert expected_core_hours(COSTS, 'label', 20) == pytest.approx(20 * 18.0 / 3600)
    assert expected_core_hours(COSTS, 'train', 1) == pytest.approx(30.0 / 3600)
    assert expected_core_hours(COSTS, 'final', 1) == 0
    assert expected_core_hours([], 'label', 20) == 0


@pytest.mark.parametrize(
    ('hours', 'ahead', 'ends'), [(9.0, 0.9, False), (9.0, 1.1, True), (10.0, 0.0, True), (0.0, 0.0, False)]
)
def test_in_the_middle_of_a_cycle_only_the_core_hours_count(hours, ahead, ends):
    spent = {'labels': 100, 'cycles': 5, 'core_hours': hours, 'ahead': {'stage': 'train', 'core_hours': ahead}}
    stop = decide_stop(None, {**BUDGET, 'max_core_hours': 10}, spent)
    assert stop['reason'] == ('max_core_hours' if ends else None)
    assert ('to train on the last labels would take about' in stop['sentence']) == (ends and hours < 10)
    assert decide_stop(None, BUDGET, spent)['reason'] is None
