"""Tests of which folders of jobs stay."""

import pytest
from aiida.common import LinkType
from aiida.engine import ExitCode
from aiida.orm import Computer, WorkChainNode

from aiida_prospect.common.enums import ScratchPolicy
from aiida_prospect.workflows.scratch import clean_scratch

WELL, BADLY = ExitCode(0), ExitCode(310, 'it went wrong')


@pytest.fixture
def family(ended, tmp_path):
    """Return a work chain that ended badly, with jobs that ended well, badly, and badly in a chain that ended well."""

    def chain(status):
        node = WorkChainNode()
        node.set_exit_status(status)
        node.set_process_state('finished')
        return node

    parent, child = chain(501).store(), chain(0)
    child.base.links.add_incoming(parent, LinkType.CALL_WORK, 'child')
    child.store()
    for name, caller, exit_code in (('well', parent, WELL), ('badly', parent, BADLY), ('made_good', child, BADLY)):
        (tmp_path / name / 'out').mkdir(parents=True)
        ended(exit_code, folder=tmp_path / name, caller=caller)
    return parent


@pytest.mark.parametrize(
    ('policy', 'left'),
    [
        (ScratchPolicy.KEEP_ALL, ['badly', 'made_good', 'well']),
        (ScratchPolicy.KEEP_FAILED, ['badly']),
        (ScratchPolicy.KEEP_NONE, []),
    ],
)
def test_what_stays_is_what_the_policy_says(family, tmp_path, policy, left):
    cleaning = clean_scratch([family], policy)
    assert sorted(path.name for path in tmp_path.iterdir()) == left
    assert (cleaning.count, cleaning.failures) == (3 - len(left), [])
    assert clean_scratch([family], policy).count == 0, 'what is gone is not removed again'


def test_the_folder_of_a_cached_result_belongs_to_another_job(ended, tmp_path):
    job = ended(WELL, folder=tmp_path / 'folder')
    (tmp_path / 'folder').mkdir()
    job.base.extras.set('_aiida_cached_from', 'somebody')
    assert job.base.caching.is_created_from_cache
    assert clean_scratch([job], ScratchPolicy.KEEP_NONE).count == 0
    assert (tmp_path / 'folder').is_dir()


def test_a_computer_that_cannot_be_reached_is_reported_and_the_others_are_cleaned(family, ended, tmp_path):
    moon = Computer(
        label='moon', hostname='127.0.0.1', transport_type='core.ssh', scheduler_type='core.direct', workdir='/tmp'
    ).store()
    moon.configure(port=1, timeout=5, safe_interval=0, look_for_keys=False, allow_agent=False)
    far = ended(WELL, folder='/tmp/far', computer=moon)
    cleaning = clean_scratch([far, family], ScratchPolicy.KEEP_NONE)
    assert cleaning.count == 3
    assert list(tmp_path.iterdir()) == []
    assert len(cleaning.failures) == 1
    assert '`moon`' in cleaning.failures[0]
    assert not far.outputs.remote_folder.is_cleaned
