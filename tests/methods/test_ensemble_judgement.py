"""Tests of what is told of an ensemble as a whole."""

import pytest

from aiida_prospect.methods.ensemble_judgement import judge_results


def result(seconds, error=0.1):
    return {
        'errors': {'training': {'forces': error}},
        'n_training': 8,
        'n_validation': 0,
        'total_seconds': seconds,
    }


def test_what_gave_no_result_is_paid_for_too():
    results = {'a': result(3.0), 'b': result(4.0)}
    costs = {'a': 3.0, 'b': 9.0, 'c': 5.0}
    judgement = judge_results(results, {'c': 'it failed'}, {}, costs)
    assert judgement['core_seconds'] == sum(costs.values())
    assert judgement['seconds'] == {'a': 3.0, 'b': 4.0}
    assert (judgement['accepted'], judgement['refused']) == (['a', 'b'], {'c': 'it failed'})


@pytest.mark.parametrize('seconds', [[], [3.0], [3.0, 4.0]])
def test_without_other_news_each_member_was_trained_once(seconds):
    results = {str(number): result(taken) for number, taken in enumerate(seconds)}
    assert judge_results(results, {}, {})['core_seconds'] == sum(seconds)
    assert judge_results(results, {}, {}, {})['core_seconds'] == 0


def test_costs_change_no_verdict():
    results = {name: result(1.0) for name in 'ab'} | {'c': result(1.0, error=1.0)}
    verdicts = [
        judge_results(results, {}, {'max_error_ratio': {'forces': 2.0}}, costs)
        for costs in (None, {'a': 1.0, 'b': 1e6, 'c': 2.0})
    ]
    assert [list(verdict['refused']) for verdict in verdicts] == [['c'], ['c']]
    assert verdicts[0]['accepted'] == verdicts[1]['accepted'] == ['a', 'b']


@pytest.mark.parametrize(('n_left_out', 'judged_on', 'refused'), [(9, 'fitted', ['a']), (10, 'training', ['c'])])
def test_labels_that_a_member_was_not_fitted_to_count_if_they_are_many(n_left_out, judged_on, refused):
    """Of a few of them one that is hard would decide."""
    fitted = {'a': 1.0, 'b': 0.1, 'c': 0.1}
    results = {name: result(1.0, error=1.0 if name == 'c' else 0.1) | {'n_left_out': n_left_out} for name in fitted}
    for name, error in fitted.items():
        results[name]['errors']['fitted'] = {'forces': error}
    judgement = judge_results(results, {}, {'max_error_ratio': {'forces': 2.0}})
    assert (judgement['judged_on'], list(judgement['refused'])) == (judged_on, refused)
    assert judgement['tested_on'] == 'training'
    assert judgement['errors'] == {name: item['errors']['training'] for name, item in results.items()}
