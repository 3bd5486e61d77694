"""Tests of labels from calculators of ASE."""

from pathlib import Path

import numpy as np
import pytest
from aiida.common import LinkType
from aiida.engine import ExitCode, run_get_node
from aiida.engine.utils import instantiate_process
from aiida.manage import get_manager
from aiida.orm import Dict
from aiida.plugins import CalculationFactory
from aiida.schedulers import JobInfo
from ase.build import bulk
from ase.calculators.emt import EMT

from aiida_prospect.calculations.functions.take_unreached import take_unreached
from aiida_prospect.calculations.runners.evaluate import NOT_REACHED
from aiida_prospect.common.enums import ScratchPolicy
from aiida_prospect.common.frames import Frames
from aiida_prospect.data.dataset import DatasetData
from aiida_prospect.workflows.scratch import clean_scratch

EXIT_CODES = CalculationFactory('prospect.evaluate').exit_codes
# Kills its own process without a word when it is used for the first time.
MORTAL = """
import os, signal
from pathlib import Path
from ase.calculators.emt import EMT

def factory(marker):
    if not Path(marker).exists():
        Path(marker).touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return EMT()
"""


def test_any_calculator_of_ase_by_its_path(label_calculator):
    copper = bulk('Cu', 'fcc', a=3.7)
    builder = label_calculator(Frames.from_atoms([copper]), calculator='ase.calculators.emt:EMT', arguments={})
    outputs, node = run_get_node(builder)
    assert node.is_finished_ok
    copper.calc = EMT()
    assert outputs['labels'].frames.energy[0] == pytest.approx(copper.get_potential_energy(), abs=1e-10)


def test_too_many_failures_end_with_an_error_that_has_the_labels(label_calculator):
    """EMT knows no silicon, and says so."""
    frames = Frames.from_atoms([bulk('Cu', 'fcc', a=3.6), bulk('Si'), bulk('Si', a=5.5)])
    builder = label_calculator(frames, calculator='ase.calculators.emt:EMT', arguments={})
    outputs, node = run_get_node(builder)
    assert node.exit_status == node.process_class.exit_codes.ERROR_TOO_MANY_FAILED.status
    assert '2 of 3' in node.exit_message
    labels = outputs['labels'].frames
    assert labels.known('status').tolist() == ['ok', 'failed', 'failed']
    assert 'Si' in labels.known('reason')[1]


def test_job_that_fails_altogether_gives_its_reason_to_every_frame(label_calculator, silicon_frames):
    builder = label_calculator(silicon_frames(2), calculator='no_such_package.module:factory', arguments={})
    outputs, node = run_get_node(builder)
    assert node.exit_status == node.process_class.exit_codes.ERROR_NO_LABELS.status
    reasons = set(outputs['labels'].frames.known('reason'))
    assert len(reasons) == 1
    assert 'no_such_package' in reasons.pop()


def test_unknown_potential_is_refused(label_calculator, silicon_frames):
    with pytest.raises(ValueError, match='Si_Zuo_JPCA2020'):
        label_calculator(silicon_frames(1), arguments={'potential': 'Si_Zuo'})


def test_element_that_the_potential_does_not_know_is_refused(label_calculator, generate_frames):
    with pytest.raises(ValueError, match='candidates with Cl, Na'):
        run_get_node(label_calculator(generate_frames('NaCl', 1)))


def test_what_a_job_did_not_reach_is_taken_again(aiida_profile, silicon_frames):
    frames = silicon_frames(4)
    evaluated = frames.replace(
        source=np.array([2, 3, 5, 7]),
        energy=[1.0, np.nan, np.nan, 2.0],
        status=['ok', 'failed', 'failed', 'ok'],
        reason=['', NOT_REACHED, 'no such element', ''],
    )
    rest = take_unreached(DatasetData(evaluated)).frames
    assert rest.known('source').tolist() == [3]
    assert np.array_equal(rest.positions, frames[1].positions)
    assert rest.energy is None


def test_a_job_that_was_killed_is_repeated(label_calculator, tmp_path):
    (tmp_path / 'mortal.py').write_text(MORTAL)
    builder = label_calculator(
        Frames.from_atoms([bulk('Cu', 'fcc', a=3.7)]),
        calculator='mortal:factory',
        arguments={'marker': str(tmp_path / 'marker')},
        options={'prepend_text': f'export PYTHONPATH={tmp_path}'},
    )
    outputs, node = run_get_node(builder)
    assert node.is_finished_ok, node.exit_message
    jobs = sorted((job for job in node.called if job.process_label == 'EvaluateCalculation'), key=lambda job: job.pk)
    assert [job.exit_status for job in jobs] == [EXIT_CODES.ERROR_NO_RESULT.status, 0]
    assert outputs['labels'].frames.status.tolist() == ['ok']
    folders = [Path(job.get_remote_workdir()) for job in jobs]
    assert [folder.exists() for folder in folders] == [True, False]
    clean_scratch([node], ScratchPolicy.KEEP_FAILED)
    assert not folders[0].exists(), 'the failure was made good'


@pytest.mark.parametrize(
    ('name', 'key', 'values'),
    [
        ('ERROR_SCHEDULER_OUT_OF_WALLTIME', 'max_wallclock_seconds', [7200, 10000]),
        ('ERROR_SCHEDULER_OUT_OF_MEMORY', 'max_memory_kb', [2000, 3000]),
    ],
)
def test_the_next_job_gets_more_of_what_the_last_one_lacked(label_calculator, silicon_frames, ended, name, key, values):
    builder = label_calculator(silicon_frames(1), options={'max_memory_kb': 1000})
    builder.escalation = {'max_wall_time_seconds': 10000, 'max_memory_kb': 3000}
    process = instantiate_process(get_manager().get_runner(), builder)
    process.screen_candidates()
    for value in values:
        process.inspect_frame(process.ctx.waiting.pop(), ended(getattr(EXIT_CODES, name), 'prospect.evaluate'))
        assert process.should_label()
        assert process.ctx.options['0'][key] == value
    process.inspect_frame(process.ctx.waiting.pop(), ended(getattr(EXIT_CODES, name), 'prospect.evaluate'))
    assert not process.should_label()


def test_results_that_cannot_be_read_are_computed_again_some_times(label_calculator, silicon_frames, ended):
    process = instantiate_process(get_manager().get_runner(), label_calculator(silicon_frames(1)))
    process.screen_candidates()
    asked = []
    for _ in range(4):
        key = process.ctx.waiting.pop()
        process.inspect_frame(key, ended(EXIT_CODES.ERROR_INVALID_RESULT, 'prospect.evaluate'))
        asked.append(process.should_label())
    assert asked == [True, True, True, False]


@pytest.mark.parametrize(('is_cached', 'seconds'), [(False, 100.0), (True, 0.0)])
def test_what_comes_from_the_cache_costs_nothing(label_calculator, silicon_frames, ended, is_cached, seconds):
    process = instantiate_process(get_manager().get_runner(), label_calculator(silicon_frames(2)))
    process.screen_candidates()
    frames = process.ctx.accepted.frames
    numbers = {'energy': np.zeros(2), 'forces': np.zeros((16, 3)), 'status': ['ok'] * 2, 'reason': [''] * 2}
    job = ended(ExitCode(0), 'prospect.evaluate')
    evaluated = DatasetData(frames.replace(**numbers))
    for name, output in {'evaluated': evaluated, 'statistics': Dict({'seconds': 100.0})}.items():
        output.base.links.add_incoming(job, LinkType.CREATE, name)
        output.store()
    if is_cached:
        job.base.extras.set(job.base.caching.CACHED_FROM_KEY, job.uuid)
    process.ctx.ended = {process.ctx.waiting.pop(): job.pk}
    process.collect_labels()
    report = process.ctx.collected['report']
    assert report['by_status']['ok'] == 2
    assert (report['seconds'], report['core_seconds']) == (seconds, seconds)


def test_a_job_that_was_killed_before_it_could_tell_costs_what_the_scheduler_tells(
    label_calculator, silicon_frames, ended
):
    """Also if no frame was labelled: core hours were spent."""
    process = instantiate_process(get_manager().get_runner(), label_calculator(silicon_frames(1)))
    process.screen_candidates()
    job = ended(EXIT_CODES.ERROR_SCHEDULER_OUT_OF_WALLTIME, 'prospect.evaluate')
    job.set_last_job_info(JobInfo({'job_id': '1', 'wallclock_time_seconds': 30}))
    process.ctx.ended = {process.ctx.waiting.pop(): job.pk}
    process.collect_labels()
    report = process.ctx.collected['report']
    assert report['by_status']['ok'] == 0
    assert (report['seconds'], report['core_seconds']) == (0, 30)
