import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from aiida.engine import run, run_get_node
from aiida.orm import Dict, Int, RemoteData
from aiida.plugins import CalculationFactory

from aiida_prospect.calculations.runners import train as runner
from aiida_prospect.common.enums import Backend
from aiida_prospect.data.dataset import DatasetData
from aiida_prospect.data.potential import PotentialData
from aiida_prospect.methods.evaluators.deepmd import DeepmdEvaluator
from aiida_prospect.methods.model_errors import model_errors
from aiida_prospect.workflows.protocols import load_protocol

TINY = {
    'descriptor': {'neuron': [4, 8], 'axis_neuron': 4, 'rcut': 4.0},
    'fitting': {'neuron': [8, 8]},
    'cold': {'steps': 30},
    # So short and slow that the potential stays what it is.
    'warm': {'steps': 2, 'learning_rate': {'start_lr': 1e-9, 'stop_lr': 1e-10}},
    'progress': None,
    'validation': {'fraction': 0.3},
}
BACKENDS = [Backend.TENSORFLOW, Backend.PYTORCH]


@pytest.fixture
def code_of(request):
    def factory(backend):
        return request.getfixturevalue('pytorch_code' if backend is Backend.PYTORCH else 'python_code')

    return factory


@pytest.fixture
def builder(generate_frames):
    def factory(code, overrides=None, **inputs):
        builder = CalculationFactory('prospect.deepmd_train').get_builder()
        builder.code = code
        builder.training = {
            'cycle_00': DatasetData(generate_frames('Na2Cl2', 8, labelled=True, volume=25)),
            'cycle_01': DatasetData(generate_frames('Na4Cl2', 4, labelled=True, volume=25, seed=1)),
        }
        parameters = load_protocol('train_deepmd', 'fast', TINY)
        parameters.update(overrides or {})
        builder.parameters = Dict(parameters)
        builder.seed = Int(7)
        for name, value in inputs.items():
            setattr(builder, name, value)
        return builder

    return factory


@pytest.mark.parametrize('backend', BACKENDS)
def test_from_frames_to_a_potential_and_on_from_it(code_of, builder, tmp_path, backend):
    results, node = run_get_node(builder(code_of(backend)))
    assert node.is_finished_ok, node.exit_message
    potential = results['potential']
    assert potential.program is backend
    assert potential.type_map == ['Na', 'Cl']
    assert potential.has_initial
    assert potential.metadata['tested_on'] == 'validation'
    assert set(potential.errors) == {'energy', 'energy_shifted', 'forces', 'virial', 'n_frames'}
    report = results['results'].get_dict()
    assert report['n_training'] + report['n_validation'] == 12
    assert report['backend'] == backend.value
    curve = results['learning_curve']
    assert curve.get_array('step')[-1] == 30
    assert np.all(np.isfinite(curve.get_array('rmse_f_trn')))
    # The data were at hand for the job, but are not stored a second time.
    assert not {'training.npz', 'validation.npz'} & set(node.base.repository.list_object_names())

    warm, node = run_get_node(builder(code_of(backend), initial=potential))
    assert node.is_finished_ok, node.exit_message
    assert warm['potential'].metadata['sel'] == potential.metadata['sel']
    assert warm['potential'].errors == pytest.approx(potential.errors, rel=1e-3)


def test_the_returned_model_has_the_told_errors_and_keeps_atoms_apart(python_code, builder, tmp_path, generate_frames):
    rejected = Dict({'rejected': {'cycle_00': {}, 'cycle_01': dict.fromkeys('0123', 'bad')}})
    inputs = builder(python_code, {'validation': None}, acceptance=rejected)
    results = run(inputs)
    assert results['results']['n_training'] == 8
    potential = results['potential']
    assert potential.metadata['tested_on'] == 'training'
    path = tmp_path / 'model.pb'
    potential.write_model(path)
    evaluator = DeepmdEvaluator(path)
    frames = inputs.training['cycle_00'].frames
    assert potential.errors == pytest.approx(model_errors(frames, evaluator.evaluate(frames)), rel=1e-6)

    # Also a network that knows nothing has two atoms gain hundreds of eV when they are pressed together.
    pair = generate_frames('NaCl', 1).replace(cells=[np.eye(3) * 9.0])
    pressed = [evaluator.evaluate(pair.replace(positions=[[0, 0, 0], [0, 0, z]])) for z in (0.2, 0.4, 0.6)]
    energies = [float(result.energy[0]) for result in pressed]
    assert energies[0] - energies[1] > 100
    assert energies[1] - energies[2] > 20
    assert all(result.forces[1, 2] > 10 for result in pressed)


def test_a_killed_training_goes_on_from_its_checkpoint(python_code, builder, tmp_path, monkeypatch, aiida_localhost):
    monkeypatch.chdir(tmp_path)
    inputs = builder(python_code, {'cold': {'steps': 400, 'learning_rate': {'type': 'exp', 'start_lr': 1e-3}}})
    inputs.metadata.dry_run = True
    inputs.metadata.store_provenance = False
    folder = Path(run_get_node(inputs)[1].dry_run_info['folder'])
    job = subprocess.Popen(['bash', '_aiidasubmit.sh'], cwd=folder, start_new_session=True)
    deadline = time.monotonic() + 300
    while not (folder / 'checkpoints' / 'model.ckpt.index').exists():
        assert time.monotonic() < deadline
        assert job.poll() is None
        time.sleep(0.05)
    os.killpg(job.pid, signal.SIGKILL)
    job.wait()
    assert not (folder / 'results.json').exists()

    parent = RemoteData(remote_path=str(folder), computer=aiida_localhost)
    again = builder(python_code, inputs.parameters.get_dict(), parent_folder=parent.store())
    results, node = run_get_node(again)
    assert node.is_finished_ok, node.exit_message
    steps = results['learning_curve'].get_array('step')
    assert steps[0] == 0
    assert steps[-1] == 400
    log = results['retrieved'].base.repository.get_object_content('train.log')
    assert 'Batch       0' not in log
    assert 'Batch     400' in log


@pytest.mark.parametrize('without', [0, 1, 3])
def test_the_last_checkpoint_is_taken_over_from_however_many_jobs_ago(tmp_path, monkeypatch, without):
    """Jobs may be killed before they have written one, even when the folder for it is there."""
    first, *others = folders = [tmp_path / str(number) for number in range(without + 2)]
    for folder, parent in zip(others, folders, strict=False):
        (folder / 'checkpoints').mkdir(parents=True)
        (folder / 'parent').symlink_to(parent)
    (folders[-1] / 'checkpoints').rmdir()
    (first / 'checkpoints').mkdir(parents=True)
    (first / 'checkpoints' / 'model.ckpt.pt').write_text('learned')
    (first / 'lcurve.out').write_text('curve')
    monkeypatch.chdir(folders[-1])
    runner._take_over(Path('parent'))
    assert Path('checkpoints/model.ckpt.pt').read_text() == 'learned'
    assert Path('lcurve.out').read_text() == 'curve'


def test_without_any_checkpoint_a_training_begins_from_scratch(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path('earlier').mkdir()
    Path('parent').symlink_to('earlier')
    runner._take_over(Path('parent'))
    assert not Path('checkpoints').exists()


def test_a_loss_that_is_no_number_has_its_own_exit_code(python_code, builder, generate_frames):
    frames = generate_frames('Na2Cl2', 6, labelled=True, volume=25)
    inputs = builder(python_code)
    inputs.training = {'cycle_00': DatasetData(frames.replace(forces=frames.forces * 1e200))}
    _, node = run_get_node(inputs)
    assert node.exit_status == 305, node.exit_message


def test_a_code_without_deepmd_is_told(aiida_code_installed, builder):
    prepend_text = 'export DP_BACKEND=jax'
    code = aiida_code_installed(
        label='jax', filepath_executable=sys.executable, with_mpi=False, prepend_text=prepend_text
    )
    _, node = run_get_node(builder(code))
    assert node.exit_status == 202
    assert 'DP_BACKEND is `jax`' in node.exit_message


def test_potentials_of_another_backend_are_refused_by_the_job(python_code, builder, tmp_path):
    path = tmp_path / 'model'
    path.write_bytes(b'x')
    other = PotentialData.from_files(path, backend=Backend.PYTORCH, type_map=['Na', 'Cl'], cutoff=4.0)
    _, node = run_get_node(builder(python_code, initial=other))
    assert node.exit_status == 201
    assert 'backend pytorch, the code runs tensorflow' in node.exit_message


def test_what_cannot_be_trained_on_is_refused_before_submission(python_code, builder, generate_frames):
    with pytest.raises(ValueError, match='no set of frames has energies and forces'):
        builder(python_code, training={'cycle_00': DatasetData(generate_frames('Si2', 2))})
    with pytest.raises(ValueError, match='lack: fitting'):
        builder(python_code, parameters=Dict({'descriptor': {}, 'loss': {}, 'learning_rate': {}}))
    with pytest.raises(ValueError, match='hold Na, the type map is Cl'):
        run(builder(python_code, {'type_map': ['Cl']}))
    calculator = PotentialData.from_calculator('ase.calculators.emt:EMT', {}, ['Na', 'Cl'])
    with pytest.raises(ValueError, match='backend `ase`'):
        run(builder(python_code, initial=calculator))
