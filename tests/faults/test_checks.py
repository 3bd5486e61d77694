"""Tests that each law of the disturbed searches can be broken, on nodes of searches that never ran."""

from __future__ import annotations

import importlib
from pathlib import Path

import pytest
from aiida import orm
from aiida.common import timezone
from aiida.common.links import LinkType

from aiida_prospect.data.dataset import DatasetData

ENDED, MINIMUM, LABELS = 'the search ended', 'the same lowest minimum', 'no label lost'
ONCE, STUCK, REPORTED = 'nothing computed twice', 'no process stuck', 'every loss reported'
LAWS = (ENDED, MINIMUM, LABELS, ONCE, STUCK, REPORTED)


# Of a search of one cycle.
STAGES = {'cycle_00_label': 'label', 'cycle_00_train': 'train'}


@pytest.fixture
def checks(monkeypatch, aiida_profile):
    """Return the module, with an empty queue of SLURM and accounts that have each job once."""
    monkeypatch.syspath_prepend(Path(__file__).parent)
    module = importlib.import_module('checks')
    monkeypatch.setattr(module, 'STAGES', STAGES)
    monkeypatch.setattr(module, 'command', lambda *words: '')
    monkeypatch.setattr(module, 'accounts', lambda names: {name: ['COMPLETED'] for name in names})
    return module


class Search:
    """A search that is over, with one job in each stage."""

    def __init__(self, computer, frames, labels):
        self.computer = computer
        self.node = orm.WorkChainNode(process_type='aiida.workflows:prospect.search').store()
        self.calls = {stage: self.call(stage) for stage in STAGES}
        self.jobs = {stage: self.run(call) for stage, call in self.calls.items()}
        for name, known in (('candidates', frames), ('labels', labels)):
            DatasetData(known).store().base.links.add_incoming(self.node, LinkType.RETURN, f'cycle_00__{name}')

    def call(self, stage):
        node = orm.WorkChainNode()
        node.base.links.add_incoming(self.node, LinkType.CALL_WORK, stage)
        return end(node.store())

    def run(self, caller, status=0):
        job = orm.CalcJobNode(computer=self.computer, process_type='aiida.calculations:prospect.relax')
        job.set_process_label('RelaxCalculation')
        job.base.links.add_incoming(caller, LinkType.CALL_CALC, 'iteration')
        job.store().set_job_id(str(job.pk))
        return end(job, status)

    def tell_of(self, job):
        orm.Log(timezone.now(), 'test', 'REPORT', self.node.pk, f'RelaxCalculation<{job.pk}> was lost')


def end(node, status=0, state='finished'):
    node.set_process_state(state)
    if state == 'finished':
        node.set_exit_status(status)
    return node


@pytest.fixture
def labels(generate_frames):
    return generate_frames('Si4', 2, labelled=True).replace(reason=['', ''])


@pytest.fixture
def make_search(checks, aiida_localhost, labels):
    """Return a factory of searches, with all labels or these."""
    return lambda given=labels: Search(aiida_localhost, labels.without('status', 'reason'), given)


@pytest.fixture
def broken(checks, tmp_path):
    """Return a function that tells which laws a search breaks that ended so, with this minimum."""
    (tmp_path / 'log').touch()

    def judge(search, lowest=-5.0, status=0, state='finished', spoiled=0):
        end(search.node, status, state)
        told = {**checks.describe(search.node, 1.0), 'minima': [] if lowest is None else [lowest]}
        undisturbed = {'minima': [-5.0], 'labels': {'cycle_00': [{'status': 'ok'}] * 2}}
        laws = checks.check(search.node, told, undisturbed, tmp_path / 'log', spoiled)
        assert tuple(laws) == LAWS
        return {law for law, what in laws.items() if what}

    return judge


def test_ends_and_minima_of_another_kind_are_seen(make_search, broken):
    search = make_search()
    assert broken(search) == broken(search, status=501) == set()
    assert broken(search, status=401) == {ENDED}
    for lowest in (None, -4.9, -5.1):
        assert broken(search, lowest=lowest) == {MINIMUM}
    # With fewer labels a search goes another way, which may lead further down.
    assert broken(search, lowest=-5.1, spoiled=1) == set()
    assert broken(search, lowest=-4.9, spoiled=1) == {MINIMUM}


def test_labels_that_are_lost_are_seen(make_search, broken, labels):
    failed = labels.replace(status=['ok', 'failed'], reason=['', 'a node failed'])
    search = make_search(failed)
    assert broken(search) == {LABELS}
    assert broken(search, spoiled=1) == set()
    assert broken(make_search(failed.replace(reason=['', ''])), spoiled=1) == {REPORTED}
    assert broken(make_search(labels.select([0]))) == {LABELS}


def test_what_is_computed_again_is_right_only_after_a_loss_that_is_told(make_search, broken):
    search = make_search()
    job = search.jobs['cycle_00_train']
    search.run(search.calls['cycle_00_train'])
    assert broken(search) == {ONCE}
    end(job, 320)
    assert broken(search) == {ONCE, REPORTED}
    search.tell_of(job)
    assert broken(search) == set()


def test_a_work_chain_that_is_submitted_again_is_seen(make_search, broken):
    search = make_search()
    search.run(search.call('cycle_00_train'))
    assert broken(search) == {ONCE}


def test_a_job_that_slurm_has_twice_or_not_at_all_is_seen(make_search, broken, checks, monkeypatch):
    search = make_search()
    for states in (['COMPLETED', 'COMPLETED'], []):
        told = {f'aiida-{search.jobs["cycle_00_train"].pk}': states}
        monkeypatch.setattr(checks, 'accounts', lambda names, told=told: {name: ['COMPLETED'] for name in names} | told)
        assert broken(search) == {ONCE}


def test_a_process_or_a_job_of_slurm_that_is_left_is_seen(make_search, broken, checks, monkeypatch):
    search = make_search()
    end(search.jobs['cycle_00_train'], state='waiting')
    assert broken(search) == {STUCK}
    end(search.jobs['cycle_00_train'])
    assert broken(search) == set()
    monkeypatch.setattr(checks, 'command', lambda *words: 'aiida-1 RUNNING\n')
    assert broken(search) == {STUCK}


def test_a_job_that_failed_and_of_which_nobody_tells_is_seen(make_search, broken):
    search = make_search()
    job = search.jobs['cycle_00_train']
    for state in ('finished', 'excepted', 'killed'):
        end(job, 130, state)
        assert broken(search) == {REPORTED}
    search.tell_of(job)
    assert broken(search) == set()
