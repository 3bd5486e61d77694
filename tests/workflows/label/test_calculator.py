"""Tests of labels from calculators of ASE."""

import numpy as np
import pytest
from aiida.engine import run_get_node
from ase.build import bulk
from ase.calculators.emt import EMT

from aiida_prospect.calculations.functions.take_unreached import take_unreached
from aiida_prospect.calculations.runners.evaluate import NOT_REACHED
from aiida_prospect.common.frames import Frames
from aiida_prospect.data.dataset import DatasetData


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
