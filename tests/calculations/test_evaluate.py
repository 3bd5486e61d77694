"""Tests of the evaluation of many frames in one job."""

import json
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from aiida.common.folders import SandboxFolder
from aiida.engine import run_get_node

from aiida_prospect.calculations.ensemble import write_ensemble
from aiida_prospect.calculations.evaluate import EvaluateCalculation
from aiida_prospect.calculations.runners import evaluate as runner
from aiida_prospect.common.frames import Frames
from aiida_prospect.data.dataset import DatasetData
from aiida_prospect.data.potential import PotentialData
from aiida_prospect.methods.lammps_potentials import calculator

SCHEDULER_STREAMS = ('_scheduler-stdout.txt', '_scheduler-stderr.txt')


@pytest.fixture
def stillinger_weber(aiida_profile):
    return PotentialData.from_calculator('lammps', {'potential': 'Si_Stillinger_Weber'}, elements=['Si'])


def evaluate(code, frames, *potentials, **options):
    inputs = {f'potential_{i:02d}': potential for i, potential in enumerate(potentials)}
    metadata = {'options': options}
    return run_get_node(
        EvaluateCalculation, code=code, frames=DatasetData(frames), potentials=inputs, metadata=metadata
    )


def test_job_gives_what_the_calculator_gives(python_code, silicon_frames, stillinger_weber):
    frames = Frames.concatenate([silicon_frames(2), silicon_frames(1, n_atoms=2), silicon_frames(2, seed=1)])
    outputs, node = evaluate(python_code, frames, stillinger_weber)
    assert node.is_finished_ok, node.exit_message
    evaluated = outputs['evaluated'].frames
    assert np.array_equal(evaluated.positions, frames.positions)
    assert evaluated.known('origin').tolist() == frames.known('origin').tolist()
    assert set(evaluated.known('status')) == {'ok'}
    assert evaluated.energy_spread is None
    calc = calculator('Si_Stillinger_Weber')
    for atoms, piece in zip(frames.to_atoms(), [evaluated[i] for i in range(5)], strict=True):
        atoms.calc = calc
        assert piece.energy == pytest.approx(atoms.get_potential_energy(), abs=1e-10)
        assert piece.forces == pytest.approx(atoms.get_forces(), abs=1e-10)
        assert piece.stress[0] == pytest.approx(atoms.get_stress(voigt=False), abs=1e-10)
    assert outputs['statistics']['evaluations'] == 5


def test_equal_potentials_agree_and_different_ones_do_not(python_code, silicon_frames, stillinger_weber):
    tersoff = PotentialData.from_calculator('lammps', {'potential': 'Si_Tersoff'}, elements=['Si'])
    outputs, _ = evaluate(python_code, silicon_frames(2), stillinger_weber, stillinger_weber.clone())
    assert not np.any(outputs['evaluated'].frames.forces_spread)
    outputs, _ = evaluate(python_code, silicon_frames(2), stillinger_weber, tersoff)
    assert np.all(outputs['evaluated'].frames.forces_spread > 0)


def test_frame_that_fails_keeps_its_place(python_code, silicon_frames, generate_frames, stillinger_weber):
    frames = Frames.concatenate([silicon_frames(1), generate_frames('NaCl', 1), silicon_frames(1)])
    outputs, node = evaluate(python_code, frames, stillinger_weber)
    assert node.is_finished_ok
    evaluated = outputs['evaluated'].frames
    assert evaluated.known('status').tolist() == ['ok', 'failed', 'ok']
    assert 'Si' in evaluated.known('reason')[1]
    assert np.isnan(evaluated.energy).tolist() == [False, True, False]


def test_a_shell_that_speaks_another_encoding_does_no_harm(python_code, silicon_frames, stillinger_weber):
    said = r"printf 'caf\351\n' | tee /dev/stderr"
    _, node = evaluate(python_code, silicon_frames(1), stillinger_weber, prepend_text=said)
    streams = [node.outputs.retrieved.base.repository.get_object_content(name, 'rb') for name in SCHEDULER_STREAMS]
    assert streams == [b'caf\xe9\n'] * 2
    assert node.is_finished_ok, node.exception


@pytest.mark.parametrize(
    ('arguments', 'words'), [({'potential': 'Si_Zuo'}, 'Si_Zuo_JPCA2020'), ({'unheard_of': 1}, 'unheard_of')]
)
def test_potential_that_cannot_be_loaded_is_explained(python_code, silicon_frames, aiida_profile, arguments, words):
    potential = PotentialData.from_calculator('lammps', arguments, elements=['Si'])
    _, node = evaluate(python_code, silicon_frames(1), potential)
    assert node.exit_status == EvaluateCalculation.exit_codes.ERROR_POTENTIALS_NOT_LOADED.status
    assert words in node.exit_message


def test_files_of_calculators_travel_with_the_job(aiida_profile, tmp_path):
    def potential(content):
        return PotentialData.from_calculator('a.b', {}, elements=['Si'], files={'Si.upf': BytesIO(content)})

    folder = SandboxFolder(tmp_path)
    assert write_ensemble(folder, {'a': potential(b'one'), 'b': potential(b'one')}) == ['Si.upf', 'Si.upf']
    assert Path(folder.abspath, 'Si.upf').read_bytes() == b'one'
    with pytest.raises(ValueError, match=r'`Si\.upf` of the potential `b`'):
        write_ensemble(folder, {'a': potential(b'one'), 'b': potential(b'two')})


def test_no_frames_are_refused_before_submission(python_code, stillinger_weber):
    with pytest.raises(ValueError, match='no frames'):
        evaluate(python_code, Frames.empty(), stillinger_weber)


def test_chunks_lose_nothing_and_keep_the_order(generate_frames):
    frames = Frames.concatenate(
        [generate_frames('Si8', 9), generate_frames('NaCl', 5), generate_frames('Si8', 9, seed=3)]
    )

    def evaluate_volume(part: Frames) -> Frames:
        return part.replace(energy=part.volumes, status=['ok'] * len(part), reason=[''] * len(part))

    results = list(runner.evaluate_in_chunks(frames, evaluate_volume))
    assert len(results) > 1
    for done, result in results:
        reached = result.known('reason') != runner.NOT_REACHED
        assert np.sum(reached) == done
        assert np.array_equal(result.positions, frames.positions)
        assert result.energy[reached] == pytest.approx(frames.volumes[reached])
        assert np.all(np.isnan(result.energy[~reached]))
    assert results[-1][0] == len(frames)


def test_runner_leaves_results_that_are_complete_files(tmp_path, silicon_frames):
    silicon_frames(3).save(tmp_path / runner.FRAMES)
    specification = {
        'backend': 'ase',
        'calculator': 'aiida_prospect.methods.lammps_potentials:calculator',
        'arguments': {'potential': 'Si_Tersoff'},
    }
    (tmp_path / runner.ENSEMBLE).write_text(json.dumps([specification]))
    assert runner.main(tmp_path) == 0
    assert np.all(np.isfinite(Frames.load(tmp_path / runner.RESULT).energy))
