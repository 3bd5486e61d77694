"""Tests of labels from pw.x, all frames in one job, with pw.x."""

from pathlib import Path

import numpy as np
import pytest
from aiida.common.links import LinkType
from aiida.engine import run_get_node
from aiida.plugins import CalculationFactory, WorkflowFactory
from ase import Atoms
from ase.build import bulk

from aiida_prospect.common.frames import Frames

EXIT_CODES = CalculationFactory('prospect.evaluate').exit_codes
# What the protocol `fast` has.
FAST = {'kpoints_distance': 0.6, 'parameters': {}}
NO_CHECKS = dict.fromkeys(('distance', 'distance_floor', 'volume_min', 'volume_max', 'angle', 'aspect', 'height'))
# pw.x, but the run of that number is treated as the sentence says.
TREATED = """#!/bin/bash
echo run >> {runs}
if [ $(wc -l < {runs}) -eq {number} ]; then
    {sentence}
fi
exec pw.x "$@"
"""


@pytest.fixture
def treated(tmp_path):
    """Return a factory of commands that run pw.x, once not as it should be."""

    def factory(number, sentence):
        script = tmp_path / 'treated_pw.sh'
        script.write_text(TREATED.format(runs=tmp_path / 'runs', number=number, sentence=sentence))
        script.chmod(0o755)
        return str(script)

    return factory


def jobs_of(node):
    return sorted((job for job in node.called if job.process_label == 'EvaluateCalculation'), key=lambda job: job.pk)


def test_labels_are_those_of_one_job_a_frame(label_quantumespresso_bundle, label_quantumespresso, silicon_frames):
    """Cells of three shapes, one with vectors of one length."""
    even = bulk('Si', 'diamond', a=5.3)
    even.positions[1] += [0.1, 0.05, -0.07]
    frames = Frames.concatenate([silicon_frames(2, n_atoms=2), Frames.from_atoms([even], origin=['even'])])
    bundle, node = run_get_node(label_quantumespresso_bundle(frames, FAST))
    assert node.is_finished_ok, node.exit_message
    single, node = run_get_node(label_quantumespresso(frames, FAST))
    assert node.is_finished_ok, node.exit_message
    ours, theirs = bundle['labels'].frames, single['labels'].frames
    assert ours.energy_per_atom == pytest.approx(theirs.energy_per_atom, abs=1e-6)
    assert ours.forces == pytest.approx(theirs.forces, abs=1e-4)
    assert ours.stress == pytest.approx(theirs.stress, abs=1e-5)
    assert np.max(np.abs(ours.forces)) > 0.1
    assert np.max(np.abs(ours.stress)) > 0.005


def test_each_frame_has_its_own_status(label_quantumespresso_bundle, silicon_frames, treated):
    """The second crystal gets one iteration only; of the third pw.x says that its atoms are at one place."""
    collapsed = Frames.from_atoms([Atoms('Si2', positions=np.zeros((2, 3)), cell=[5, 5, 5], pbc=True)])
    good = silicon_frames(3, n_atoms=2, noise=0.05).without('origin')
    frames = Frames.concatenate([good[0], good[1], collapsed, good[2]])
    command = treated(2, "sed -i 's/electron_maxstep.*/electron_maxstep = 1/' pw.in")
    outputs, node = run_get_node(label_quantumespresso_bundle(frames, {'prechecks': NO_CHECKS}, command=command))
    assert node.is_finished_ok, node.exit_message
    labels = outputs['labels'].frames
    assert labels.status.tolist() == ['ok', 'unconverged', 'failed', 'ok']
    assert labels.reason.tolist()[:2] == ['', 'pw.x did not reach self-consistency in 1 iterations']
    assert 'PwFailed: pw.x ended with status 1: Error in routine' in labels.reason[2]
    assert np.isnan(labels.energy).tolist() == [False, True, True, False]
    (job,) = jobs_of(node)
    assert not list(Path(job.get_remote_workdir()).glob('pw_*')), 'no data of a run stay behind'


def test_a_job_that_is_ended_leaves_the_rest_to_another(label_quantumespresso_bundle, silicon_frames, treated):
    command = treated(2, 'kill -TERM $$')
    frames = silicon_frames(3, n_atoms=2, noise=0.05)
    outputs, node = run_get_node(label_quantumespresso_bundle(frames, command=command))
    assert node.is_finished_ok, node.exit_message
    assert outputs['labels'].frames.status.tolist() == ['ok'] * 3
    jobs = jobs_of(node)
    assert [job.exit_status for job in jobs] == [EXIT_CODES.ERROR_INCOMPLETE.status, 0]
    assert [len(job.inputs.frames) for job in jobs] == [3, 2]


def test_jobs_run_side_by_side_and_one_that_dies_loses_only_its_own_frames(
    label_quantumespresso_bundle, silicon_frames, tmp_path
):
    """The first run of pw.x kills its job; the candidate in the middle is rejected beforehand."""
    script = tmp_path / 'deadly_pw.sh'
    script.write_text(f'#!/bin/bash\nmkdir {tmp_path}/once 2>/dev/null && kill -KILL $PPID\nexec pw.x "$@"\n')
    script.chmod(0o755)
    good = silicon_frames(4, n_atoms=2, noise=0.05).without('origin')
    hopeless = Frames.from_atoms([Atoms('Si2', positions=np.zeros((2, 3)), cell=[5, 5, 5], pbc=True)])
    frames = Frames.concatenate([good[0], good[1], hopeless, good[2], good[3]])
    overrides = {'frames_per_job': 2, 'max_concurrent': 2}
    builder = label_quantumespresso_bundle(frames, overrides, command=str(script))
    outputs, node = run_get_node(builder)
    assert node.is_finished_ok, node.exit_message
    labels = outputs['labels'].frames
    assert labels.status.tolist() == ['ok', 'ok', 'rejected', 'ok', 'ok']
    jobs = jobs_of(node)
    assert sorted(job.exit_status == 0 for job in jobs) == [False, True, True]
    (dead,) = [job for job in jobs if job.exit_status]
    (again,) = [job for job in jobs if job.pk > dead.pk and set(source_of(job)) <= set(source_of(dead))]
    assert sorted(index for job in jobs if not job.exit_status for index in source_of(job)) == [0, 1, 3, 4]
    first, second, *_ = jobs
    assert second.ctime < first.mtime, 'side by side'
    assert again.base.links.get_incoming(link_type=LinkType.CALL_CALC).one().link_label.startswith('frames_000')


def source_of(job):
    """Return which candidates a job was given."""
    return job.inputs.frames.frames.known('source').tolist()


@pytest.mark.parametrize(('number', 'words'), [(0, 'must be at least 1'), ('two', 'two')])
def test_a_number_of_frames_that_means_nothing_is_refused(label_quantumespresso_bundle, silicon_frames, number, words):
    with pytest.raises((TypeError, ValueError), match=words):
        run_get_node(label_quantumespresso_bundle(silicon_frames(1), {'frames_per_job': number}))


def test_bands_are_added_until_the_highest_is_empty(label_quantumespresso_bundle, treated, tmp_path):
    """Compressed silicon is a metal, whose fifth band is not empty."""
    frames = Frames.from_atoms([bulk('Si', 'diamond', a=4.4)])
    energies = []
    for system in ({}, {'nbnd': 5}):
        overrides = {'parameters': {'SYSTEM': {'ecutwfc': 12.0, **system}}, 'kpoints_distance': 1.0}
        command = treated(0, 'true')
        outputs, _ = run_get_node(label_quantumespresso_bundle(frames, overrides, command=command))
        energies.append(outputs['labels'].frames.energy[0])
    assert len((tmp_path / 'runs').read_text().split()) == 3
    assert energies[0] == pytest.approx(energies[1], abs=1e-4)


def test_program_that_is_not_there_is_named_in_every_reason(label_quantumespresso_bundle, silicon_frames):
    builder = label_quantumespresso_bundle(silicon_frames(2, n_atoms=2), command='no_such_pw.x')
    outputs, node = run_get_node(builder)
    assert node.exit_status == node.process_class.exit_codes.ERROR_NO_LABELS.status
    labels = outputs['labels'].frames
    assert labels.status.tolist() == ['failed'] * 2
    assert all('the program of the command `no_such_pw.x` is not there' in reason for reason in labels.reason)


def test_numbers_come_from_the_protocol_of_pw(label_quantumespresso_bundle, silicon_frames):
    overrides = {
        'parameters': {},
        'parallelization': {'npool': 2},
        'relax': {'kpoints_distance': 0.25, 'parameters': {'CELL': {'press': 100.0}}},
        'options': {'resources': {'num_mpiprocs_per_machine': 4}},
    }
    builder = label_quantumespresso_bundle(silicon_frames(1), overrides, command='mpirun -np 4 pw.x', relaxer=None)
    static, relax = (node.spec()['arguments'] for node in (builder.potential, builder.potential_relax))
    assert static['command'] == 'mpirun -np 4 pw.x -npool 2'
    assert (static['kpoints_distance'], relax['kpoints_distance']) == (3.0, 0.25)
    assert (static['conv_thr_per_atom'], relax['conv_thr_per_atom']) == (1e-7, 1e-10)
    assert static['parameters']['SYSTEM']['ecutwfc'] == 20.0
    assert set(relax['parameters']) == {'CONTROL', 'SYSTEM', 'ELECTRONS'}
    assert builder.potential.calculator_files == ['Si.upf']
    assert builder.relax['fmax'] == pytest.approx(0.0257, abs=1e-4)
    assert builder.relax['pressure'] * 160.2177 == pytest.approx(10.0, rel=1e-5), 'GPa'
    assert builder.options['withmpi'] is False


@pytest.mark.parametrize(
    ('changes', 'words'),
    [
        ({'pseudo_family': 'SSSP/9.9'}, r'(?s)no family.*rrkj-pbe.*aiida-pseudo install'),
        ({'elements': ['Na', 'Cl']}, 'no pseudopotential of Cl, Na'),
        ({'overrides': {'kpoint_distance': 0.2}}, 'kpoint_distance'),
        ({'overrides': {'parameters': {'SYSTEM': {'nspin': 2}}}}, 'not magnetic'),
        ({'relaxer': {'fmin': 0.1}}, 'fmin'),
    ],
)
def test_refused_before_submission(label_quantumespresso_bundle, silicon_frames, changes, words):
    with pytest.raises(ValueError, match=words):
        label_quantumespresso_bundle(silicon_frames(1), **changes)


def test_element_beyond_those_of_the_pseudopotentials_is_refused(label_quantumespresso_bundle, generate_frames):
    with pytest.raises(ValueError, match='the potential knows Si, but there are candidates with Cl, Na'):
        run_get_node(label_quantumespresso_bundle(generate_frames('NaCl', 1), elements=['Si']))


def test_without_candidates_the_elements_must_be_given(python_code, pseudo_family):
    make = WorkflowFactory('prospect.label.quantumespresso_bundle').get_builder_from_protocol
    with pytest.raises(ValueError, match='give `elements`'):
        make(None, code=python_code, pseudo_family=pseudo_family.label)
    assert 'candidates' not in make(None, code=python_code, pseudo_family=pseudo_family.label, elements=['Si'])
