"""Tests that a training costs what its jobs took, whatever became of them."""

import pytest
from aiida.common import LinkType
from aiida.orm import WorkChainNode

from aiida_prospect.workflows.train.costs import cost_of_training, wall_seconds_of

FAILED = '{"failure": {"stage": "train", "reason": "nan"}, "total_seconds": 7.5}'


@pytest.mark.parametrize(
    ('told', 'seconds'),
    [
        ({'results': {'total_seconds': 5.0}, 'file': FAILED, 'scheduler': 60}, 5.0),
        ({'file': FAILED, 'scheduler': 60}, 7.5),
        ({'file': '{"failure": null', 'scheduler': 60}, 60.0),
        ({'file': '{}', 'scheduler': 60}, 60.0),
        ({'results': {}, 'scheduler': 60}, 60.0),
        ({'scheduler': 60}, 60.0),
        ({}, 0.0),
    ],
    ids=['good', 'failed', 'cut short', 'silent', 'foreign', 'killed', 'never begun'],
)
def test_a_job_costs_what_it_or_else_the_scheduler_tells(make_job, told, seconds):
    training = WorkChainNode().store()
    for processes in (1, 4):
        make_job(training, **told, processes=processes)
    assert cost_of_training(training) == pytest.approx(5 * seconds)


def test_jobs_are_found_however_deep_they_are(make_job):
    training, inner = WorkChainNode().store(), WorkChainNode()
    inner.base.links.add_incoming(training, LinkType.CALL_WORK, 'inner')
    inner.store()
    make_job(inner, results={'total_seconds': 2.0})
    assert cost_of_training(training) == 2
    assert cost_of_training(WorkChainNode().store()) == 0


def test_what_comes_from_the_cache_costs_nothing(make_job):
    training = WorkChainNode().store()
    job = make_job(training, results={'total_seconds': 2.0})
    job.base.extras.set(job.base.caching.CACHED_FROM_KEY, job.uuid)
    assert wall_seconds_of(job) == 2
    assert cost_of_training(training) == 0
