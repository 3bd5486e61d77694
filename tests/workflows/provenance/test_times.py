"""Tests for how long processes took."""

from __future__ import annotations

from datetime import timedelta

import pytest
from aiida import orm
from aiida.common import timezone
from aiida.common.links import LinkType

from aiida_prospect.workflows.provenance.cost import cost_of
from aiida_prospect.workflows.provenance.times import seconds_of, seconds_of_all
from aiida_prospect.workflows.summary import summarise


@pytest.fixture
def called(aiida_localhost):
    """Return a work chain that has ended, its job, and what the job gave."""

    def factory(checked=None, state='finished'):
        caller = orm.WorkChainNode().store()
        job = orm.CalcJobNode(computer=aiida_localhost)
        job.set_option('resources', {'num_machines': 1})
        if checked is not None:
            job.base.attributes.set('scheduler_lastchecktime', checked.isoformat())
        job.base.links.add_incoming(caller, LinkType.CALL_CALC, 'job')
        given = orm.Dict({})
        given.base.links.add_incoming(job.store(), LinkType.CREATE, 'result')
        given.store()
        for node in (job, caller):
            node.set_process_state(state)
        return caller, job, given

    return factory


def test_a_process_ends_with_the_last_that_was_made(called):
    caller, job, given = called()
    for node in (caller, job):
        assert seconds_of(node) == (given.ctime - node.ctime).total_seconds() > 0
    lonely = orm.CalcFunctionNode().store()
    lonely.set_process_state('excepted')
    assert seconds_of_all([caller, lonely]) == {caller.pk: seconds_of(caller), lonely.pk: 0.0}


def test_what_is_written_on_a_process_later_costs_no_time(called):
    caller, job, given = called()
    caller.base.extras.set('seen', True)
    job.label = 'looked at'
    assert caller.mtime > given.ctime
    for node in (caller, job):
        assert seconds_of(node) == (given.ctime - node.ctime).total_seconds()


def test_a_job_that_gave_nothing_lasted_while_its_queue_was_asked(called):
    caller, _, _ = called(checked=timezone.now() + timedelta(hours=1))
    assert seconds_of(caller) == pytest.approx(3600, abs=30)


def test_what_has_not_ended_lasts_until_now(called):
    caller, _, given = called(state='waiting')
    assert seconds_of(caller) > (given.ctime - caller.ctime).total_seconds()


def test_cost_and_summary_tell_the_same(search):
    total = cost_of(search)['total']['wall_seconds']
    search.base.extras.set('seen', True)
    assert summarise(search)['seconds'] == cost_of(search)['total']['wall_seconds'] == total
