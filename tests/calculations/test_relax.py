"""Tests of the relaxation of many frames in one job."""

import json
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from aiida.common.folders import Folder
from aiida.engine import run_get_node

from aiida_prospect.calculations.relax import RelaxCalculation
from aiida_prospect.calculations.runners import relax as runner
from aiida_prospect.calculations.runtime import copy_runtime
from aiida_prospect.common.frames import Frames
from aiida_prospect.data.dataset import DatasetData
from aiida_prospect.data.potential import PotentialData
from aiida_prospect.methods.evaluators.loading import load_ensemble
from aiida_prospect.methods.relaxation.driver import Relaxation
from aiida_prospect.methods.relaxation.settings import RelaxSettings

POTENTIALS = ({'potential': 'Si_Stillinger_Weber'}, {'potential': 'Si_Tersoff'})
SPECIFICATIONS = [{'backend': 'ase', 'calculator': 'lammps', 'arguments': arguments} for arguments in POTENTIALS]
SETTINGS = {'max_steps': 40, 'batch_atoms': 32, 'uncertainty': None}

WITHOUT_AIIDA = """
import runpy, sys
class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name.split('.')[0] in ('aiida', 'plumpy', 'pymatgen', 'sklearn', 'dscribe', 'pyxtal'):
            raise ModuleNotFoundError(name)
sys.meta_path.insert(0, Refuse())
sys.path = [sys.argv[1]] + [entry for entry in sys.path if entry]
runpy.run_module('aiida_prospect.calculations.runners.relax', run_name='__main__')
"""

# In its third evaluation it is told to end, and fails.
DYING = """
import os, signal
from pathlib import Path
from ase.calculators.lj import LennardJones

class Dying(LennardJones):
    def calculate(self, *arguments, **keywords):
        with open('calls', 'a') as handle:
            handle.write('.')
        if Path('calls').stat().st_size == 3:
            os.kill(os.getpid(), signal.SIGTERM)
            raise RuntimeError('status 1')
        super().calculate(*arguments, **keywords)
"""


def prepare(folder, frames, *, specifications=SPECIFICATIONS, **job):
    """Fill a folder as the job does, without AiiDA's help."""
    copy_runtime(Folder(str(folder)), *RelaxCalculation.RUNTIME)
    frames.save(folder / runner.FRAMES)
    (folder / runner.ENSEMBLE).write_text(json.dumps(specifications))
    job = {'settings': SETTINGS, 'checkpoint_seconds': 0.2, 'progress_seconds': 0.1, **job}
    (folder / runner.PARAMETERS).write_text(json.dumps(job))


def start(folder):
    """Start the runner where AiiDA cannot be imported, on the modules that travel with the job."""
    command = [sys.executable, '-c', WITHOUT_AIIDA, str(folder)]
    return subprocess.Popen(command, cwd=folder, stderr=subprocess.PIPE, text=True)


def relax_here(frames):
    ensemble = load_ensemble(SPECIFICATIONS, None)
    return Relaxation(frames, ensemble, RelaxSettings.from_dict(SETTINGS)).run()


@pytest.fixture
def potentials(aiida_profile):
    return {
        f'potential_{i:02d}': PotentialData.from_calculator('lammps', arguments, elements=['Si'])
        for i, arguments in enumerate(POTENTIALS)
    }


def run_job(code, frames, potentials, parameters=None, **inputs):
    parameters = {**SETTINGS, **(parameters or {})}
    inputs = {'code': code, 'frames': DatasetData(frames), 'potentials': potentials, 'parameters': parameters, **inputs}
    return run_get_node(RelaxCalculation, **inputs)


def test_runner_needs_nothing_of_aiida(tmp_path, silicon_frames):
    frames = silicon_frames(4)
    prepare(tmp_path, frames)
    process = start(tmp_path)
    _, errors = process.communicate(timeout=120)
    assert process.returncode == 0, errors
    found, expected = Frames.load(tmp_path / runner.RESULT), relax_here(frames)
    assert found.equals(expected)
    progress = json.loads((tmp_path / runner.PROGRESS).read_text())
    assert (progress['done'], progress['total'], progress['in_flight']) == (4, 4, 0)
    assert progress['best_energy'] == pytest.approx(expected.energy_per_atom.min())


@pytest.mark.parametrize('signal_number', [signal.SIGTERM, signal.SIGKILL])
def test_killed_runner_is_continued_to_the_same_result(tmp_path, generate_frames, signal_number):
    frames = generate_frames('Si8', 40)
    prepare(tmp_path, frames)
    process = start(tmp_path)
    deadline = time.monotonic() + 120
    while not (tmp_path / runner.RESULT).is_file() and time.monotonic() < deadline:
        time.sleep(0.02)
    os.kill(process.pid, signal_number)
    process.communicate()
    partial = Frames.load(tmp_path / runner.RESULT)
    assert len(partial) == 40
    assert 'unfinished' in partial.known('status')
    assert not list(tmp_path.glob(f'.{runner.CHECKPOINT}.new')) or signal_number == signal.SIGKILL
    process = start(tmp_path)
    process.communicate(timeout=120)
    assert process.returncode == 0
    assert Frames.load(tmp_path / runner.RESULT).equals(relax_here(frames))


def test_a_program_that_fails_because_the_job_is_ended_is_run_again(tmp_path, silicon_frames):
    """As `mpirun` does it: told to end together with the job, it ends with an error of its own."""
    (tmp_path / 'dying.py').write_text(DYING)
    specification = {'backend': 'ase', 'calculator': 'dying:Dying', 'arguments': {'sigma': 2.1, 'smooth': True}}
    frames = silicon_frames(2, n_atoms=2)
    prepare(tmp_path, frames, specifications=[specification], checkpoint_seconds=0)
    process = start(tmp_path)
    _, errors = process.communicate(timeout=120)
    assert process.returncode == 1
    assert 'JobEnded: while the job was being ended: status 1' in errors
    assert set(Frames.load(tmp_path / runner.RESULT).known('status')) == {'unfinished'}
    process = start(tmp_path)
    _, errors = process.communicate(timeout=120)
    assert process.returncode == 0, errors
    assert 'unphysical' not in Frames.load(tmp_path / runner.RESULT).known('status')
    assert json.loads((tmp_path / runner.STATISTICS).read_text())['failed_evaluations'] == 0


@pytest.mark.parametrize('damage', [lambda content: b'', lambda content: content[:-100], lambda content: b'x' * 300])
def test_a_damaged_checkpoint_makes_the_runner_begin_anew(tmp_path, silicon_frames, capsys, damage):
    frames = silicon_frames(2)
    prepare(tmp_path, frames)
    relaxation = Relaxation(frames, load_ensemble(SPECIFICATIONS, None), RelaxSettings.from_dict(SETTINGS))
    relaxation.advance()
    relaxation.save(tmp_path / runner.CHECKPOINT)
    again = runner.Runner(tmp_path)
    again.load()
    assert again.relaxation.counters['evaluations'] == 2
    (tmp_path / runner.CHECKPOINT).write_bytes(damage((tmp_path / runner.CHECKPOINT).read_bytes()))
    again = runner.Runner(tmp_path)
    again.load()
    assert again.relaxation.run().equals(relax_here(frames))
    assert 'checkpoint.npz` cannot be read, the relaxation begins anew' in capsys.readouterr().err


def test_runner_stops_before_its_time_is_up(tmp_path, generate_frames):
    frames = generate_frames('Si8', 30)
    prepare(tmp_path, frames, max_seconds=0.5)
    for _ in range(30):
        process = start(tmp_path)
        process.communicate(timeout=120)
        assert process.returncode == 0
        statistics = json.loads((tmp_path / runner.STATISTICS).read_text())
        if statistics['finished']:
            break
        assert statistics['stopped'] == 'the time was up'
        job = {'settings': SETTINGS, 'checkpoint_seconds': 60, 'progress_seconds': 1, 'max_seconds': 3.0}
        (tmp_path / runner.PARAMETERS).write_text(json.dumps(job))
    assert Frames.load(tmp_path / runner.RESULT).equals(relax_here(frames))


def test_job_relaxes_a_slice(python_code, potentials, silicon_frames):
    frames = silicon_frames(6)
    outputs, node = run_job(
        python_code, frames, potentials, {'slice': [1, None, 2], 'trajectory': {'every': 5, 'statuses': ['converged']}}
    )
    assert node.is_finished_ok, node.exit_message
    relaxed = outputs['relaxed'].frames
    assert relaxed.equals(relax_here(frames.select([1, 3, 5])))
    assert relaxed.known('origin').tolist() == ['rattled-001', 'rattled-003', 'rattled-005']
    assert np.all(relaxed.known('energy') < relaxed.known('energy_initial'))
    converged = np.flatnonzero(relaxed.known('status') == 'converged')
    assert set(outputs['trajectories'].frames.known('source')) == {2 * i + 1 for i in converged}
    assert outputs['statistics']['core_seconds'] > 0
    assert 'model' not in ''.join(node.base.repository.list_object_names())


def test_job_out_of_time_gives_what_there_is_and_continues(python_code, potentials, generate_frames):
    frames = generate_frames('Si8', 30)
    limit = {'options': {'max_wallclock_seconds': 2}}
    outputs, node = run_job(python_code, frames, potentials, metadata=limit)
    assert node.exit_status == RelaxCalculation.exit_codes.ERROR_UNFINISHED.status
    assert '30 relaxations' in node.exit_message
    assert set(outputs['relaxed'].frames.known('status')) >= {'unfinished'}
    outputs, node = run_job(python_code, frames, potentials, parent_folder=outputs['remote_folder'])
    assert node.is_finished_ok, node.exit_message
    assert outputs['relaxed'].frames.equals(relax_here(frames))


def test_checkpoint_of_another_job_is_explained(python_code, potentials, silicon_frames):
    outputs, _ = run_job(python_code, silicon_frames(1), potentials)
    _, node = run_job(python_code, silicon_frames(1, seed=1), potentials, parent_folder=outputs['remote_folder'])
    assert node.exit_status == RelaxCalculation.exit_codes.ERROR_NOT_STARTED.status
    assert 'other structures' in node.exit_message


@pytest.mark.parametrize(
    ('parameters', 'words'),
    [
        ({'fmx': 0.1}, '`fmx` is no setting'),
        ({'fire': {'maxmove': 1}}, '`fire.maxmove` is no setting'),
        ({'max_steps': -1}, 'must be positive'),
        ({'slice': [5, 9, 1]}, 'no frames in the slice'),
        ({'trajectory': {'statuses': ['lost']}}, 'lost'),
    ],
)
def test_bad_parameters_are_refused_before_submission(python_code, potentials, silicon_frames, parameters, words):
    with pytest.raises(ValueError, match=words):
        run_job(python_code, silicon_frames(2), potentials, parameters)


def test_foreign_elements_are_refused_before_submission(python_code, potentials, generate_frames):
    with pytest.raises(ValueError, match='knows Si, but there are frames with Cl, Na'):
        run_job(python_code, generate_frames('NaCl', 2), potentials)
