"""Tests of what a job is given after it was lost."""

import pytest

from aiida_prospect.common.enums import JobLoss
from aiida_prospect.methods.escalation import Escalation, next_demand

OPTIONS = {'resources': {'num_machines': 1}, 'max_wallclock_seconds': 3600, 'max_memory_kb': 1000}
POLICY = Escalation(wall_time_factor=3, max_wall_time_seconds=20000, max_memory_kb=1500, max_losses=2)


@pytest.mark.parametrize(
    ('loss', 'key', 'values'),
    [(JobLoss.WALL_TIME, 'max_wallclock_seconds', [10800, 20000]), (JobLoss.MEMORY, 'max_memory_kb', [1500])],
)
def test_demands_grow_to_the_limit_and_not_beyond(loss, key, values):
    options = OPTIONS
    for value in values:
        demand = next_demand(options, loss, POLICY)
        assert demand.granted
        assert demand.options == {**options, key: value}
        assert str(value) in demand.sentence
        options = demand.options
    final = next_demand(options, loss, POLICY)
    assert not final.granted
    assert final.options == options


def test_what_was_asked_for_is_never_made_smaller():
    demand = next_demand({'max_wallclock_seconds': 90000}, JobLoss.WALL_TIME, POLICY)
    assert demand.options['max_wallclock_seconds'] == 90000
    assert not demand.granted


def test_what_was_not_asked_for_cannot_be_enlarged_and_the_sentence_says_what_to_set():
    demand = next_demand({}, JobLoss.MEMORY, POLICY)
    assert not demand.granted
    assert '`options.max_memory_kb`' in demand.sentence


@pytest.mark.parametrize('loss', [JobLoss.NODE, JobLoss.SILENT])
def test_a_job_lost_by_the_machine_is_submitted_again_unchanged_a_few_times(loss):
    granted = [next_demand(OPTIONS, loss, POLICY, losses).granted for losses in range(4)]
    assert granted == [True, True, False, False]
    assert next_demand(OPTIONS, loss, POLICY).options == OPTIONS


@pytest.mark.parametrize(
    ('values', 'words'),
    [
        ({'wall_factor': 2}, '`wall_factor` is no setting'),
        ({'memory_factor': 0.5}, 'at least 1'),
        ({'max_losses': -1}, 'negative'),
    ],
)
def test_policies_that_mean_nothing_are_refused(values, words):
    with pytest.raises(ValueError, match=words):
        Escalation.from_mapping(values)
