"""Tests of batched evaluation by DeePMD-kit, with a model that knows nothing but obeys all symmetries."""

import os
import shutil
import subprocess

import numpy as np
import pytest
from aiida.common.folders import Folder

from aiida_prospect.calculations.runtime import copy_runtime
from aiida_prospect.common.frames import Frames
from aiida_prospect.methods.evaluators.deepmd import DeepmdEvaluator
from aiida_prospect.methods.evaluators.loading import load_evaluator


@pytest.fixture(scope='module')
def evaluator(deepmd_model):
    return DeepmdEvaluator(deepmd_model)


@pytest.fixture
def frames(generate_frames):
    """Return crystals of several sizes and compositions, their atoms in random order."""
    return Frames.concatenate(
        [
            generate_frames(formula, 2, volume=18.0, seed=i)
            for i, formula in enumerate(['Na4Cl4', 'NaCl2', 'Na3Cl3', 'Na2'])
        ]
    )


def numerical_gradient(evaluator, frame, strain=False, step=1e-4):
    """Return dE/dx or, for a strain, dE/dε, by differences of energies."""
    shape = (3, 3) if strain else frame.positions.shape
    moved = []
    for index in np.ndindex(shape):
        for sign in (1, -1):
            change = np.zeros(shape)
            change[index] = sign * step
            if strain:
                strained = np.eye(3) + (change + change.T) / 2
                moved.append(frame.replace(positions=frame.positions @ strained, cells=frame.cells @ strained))
            else:
                moved.append(frame.replace(positions=frame.positions + change))
    energy = evaluator.evaluate(Frames.concatenate(moved)).energy.reshape(*shape, 2)
    return (energy[..., 0] - energy[..., 1]) / (2 * step)


def test_batches_give_what_single_frames_give(evaluator, frames):
    together = evaluator.evaluate(frames)
    for index in range(len(frames)):
        alone = evaluator.evaluate(frames[index])
        assert together.energy[index] == pytest.approx(alone.energy[0], abs=1e-9)
        assert together.stress[index] == pytest.approx(alone.stress[0], abs=1e-9)
        assert together.forces[frames.frame_of_atom == index] == pytest.approx(alone.forces, abs=1e-9)


def test_result_is_that_of_the_calculator_of_deepmd(evaluator, frames, deepmd_model):
    from deepmd.calculator import DP

    calculator = DP(deepmd_model)
    result = evaluator.evaluate(frames)
    for index, atoms in enumerate(frames.to_atoms()):
        atoms.calc = calculator
        assert result.energy[index] == pytest.approx(atoms.get_potential_energy(), abs=1e-9)
        assert result.forces[frames.frame_of_atom == index] == pytest.approx(atoms.get_forces(), abs=1e-9)
        assert result.stress[index] == pytest.approx(atoms.get_stress(voigt=False), abs=1e-9)


@pytest.mark.parametrize('handedness', [1, -1])
def test_forces_and_stress_are_derivatives_of_the_energy(evaluator, frames, handedness):
    """A cell of three vectors of opposite sign is the same lattice, though left-handed."""
    frame = frames[0].replace(cells=handedness * frames[0].cells)
    result = evaluator.evaluate(frame)
    assert result.forces == pytest.approx(-numerical_gradient(evaluator, frame), abs=1e-6)
    stress = numerical_gradient(evaluator, frame, strain=True) / frame.volumes[0]
    assert result.stress[0] == pytest.approx(stress, abs=1e-6)


def test_order_of_atoms_and_of_lattice_vectors_does_not_matter(evaluator, frames):
    frame = frames[0]
    order = np.random.default_rng(0).permutation(frame.n_atoms[0])
    other = Frames(frame.numbers[order], frame.offsets, frame.positions[order], frame.cells[:, [2, 0, 1]])
    mirrored = Frames(frame.numbers[order], frame.offsets, frame.positions[order], frame.cells[:, [1, 0, 2]])
    expected = evaluator.evaluate(frame)
    for found in (evaluator.evaluate(other), evaluator.evaluate(mirrored)):
        assert found.energy == pytest.approx(expected.energy, abs=1e-9)
        assert found.forces == pytest.approx(expected.forces[order], abs=1e-9)


def test_foreign_elements_fail_alone(evaluator, generate_frames):
    frames = Frames.concatenate([generate_frames('Na2', 1), generate_frames('NaK', 1), generate_frames('Cl2', 1)])
    result = evaluator.evaluate(frames)
    assert result.errors == {1: 'the model knows Na, Cl, not K'}
    assert np.isnan(result.energy).tolist() == [False, True, False]
    assert np.isnan(result.forces).all(axis=1).tolist() == [False] * 2 + [True] * 2 + [False] * 2


def test_own_neighbours_give_what_those_of_deepmd_give(evaluator, frames, monkeypatch):
    assert evaluator._engine is not None
    ours = evaluator.evaluate(frames)
    monkeypatch.setattr(evaluator, '_engine', None)
    theirs = evaluator.evaluate(frames)
    assert ours.energy == pytest.approx(theirs.energy, abs=1e-10)
    assert ours.forces == pytest.approx(theirs.forces, abs=1e-10)
    assert ours.stress == pytest.approx(theirs.stress, abs=1e-10)


def test_too_little_memory_makes_batches_smaller(deepmd_model, frames):
    """The largest crystal does not fit even alone; of the others no batch may have more than 9 atoms."""
    evaluator = DeepmdEvaluator(deepmd_model)
    engine, sizes = evaluator._engine, []

    def small(crowd, types):
        if len(types) > 9 or np.any(crowd.frames.n_atoms == 8):
            raise MemoryError
        sizes.append(len(types))
        return engine(crowd, types)

    evaluator._engine = small
    result = evaluator.evaluate(frames)
    large = frames.n_atoms == 8
    assert result.errors == dict.fromkeys(np.flatnonzero(large), 'memory does not suffice for this structure alone')
    assert result.energy[~large] == pytest.approx(DeepmdEvaluator(deepmd_model).evaluate(frames).energy[~large])
    assert np.isnan(result.energy[large]).all()
    assert sum(sizes) == frames.n_atoms[~large].sum()


def test_batches_stay_within_their_size(deepmd_model, generate_frames):
    """Memory is bounded by the atoms of a call, however many frames there are."""
    evaluator = DeepmdEvaluator(deepmd_model, atoms_per_call=20)
    engine, sizes = evaluator._engine, []
    evaluator._engine = lambda crowd, types: (sizes.append(len(types)), engine(crowd, types))[1]
    frames = generate_frames('Na2Cl2', 23)
    result = evaluator.evaluate(frames)
    assert sizes == [20, 20, 20, 20, 12]
    assert result.energy == pytest.approx(DeepmdEvaluator(deepmd_model).evaluate(frames).energy, abs=1e-10)


def test_other_type_map_is_refused(deepmd_model):
    specification = {'backend': 'tensorflow', 'file': deepmd_model.name, 'type_map': ['Cl', 'Na']}
    with pytest.raises(ValueError, match='has the type map'):
        load_evaluator(specification, deepmd_model.parent)
    with pytest.raises(FileNotFoundError, match='no model file'):
        load_evaluator({**specification, 'file': 'lost.pb'}, deepmd_model.parent)


ON_PYTORCH = """
import json, subprocess, sys
from pathlib import Path
import numpy as np
from aiida_prospect.common.frames import Frames
from aiida_prospect.methods.evaluators.deepmd import DeepmdEvaluator

here = Path.cwd()
for arguments in (['train', 'input.json', '--skip-neighbor-stat'], ['freeze', '-o', 'frozen.pth']):
    subprocess.run([sys.executable, '-m', 'deepmd', '--pt', *arguments], check=True)
evaluator, frames = DeepmdEvaluator(here / 'frozen.pth'), Frames.load('frames.npz')
together = evaluator.evaluate(frames)
alone = [evaluator.evaluate(frames[index]) for index in range(len(frames))]
np.savez(
    'evaluated.npz',
    together=together.energy, forces=together.forces, stress=together.stress,
    alone=np.concatenate([one.energy for one in alone]), forces_alone=np.concatenate([one.forces for one in alone]),
)
"""


def test_pytorch_batches_do_not_mix_frames(deepmd_model, frames, tmp_path):
    """A flat cell, which needs many periodic images, and a left-handed one change nothing for the others."""
    python = os.environ.get('PROSPECT_TEST_PYTORCH_PYTHON')
    if not python:
        pytest.skip('no PyTorch backend: PROSPECT_TEST_PYTORCH_PYTHON is not set; deploy/test.sh sets it')
    cell = np.diag([1.9, 9.0, 9.0])
    flat = Frames(frames[0].numbers, frames[0].offsets, np.random.default_rng(0).random((8, 3)) @ cell, cell[None])
    mirrored = frames[0].replace(cells=-frames[0].cells)
    Frames.concatenate([frames, flat, mirrored]).without('origin').save(tmp_path / 'frames.npz')
    copy_runtime(Folder(str(tmp_path)), 'aiida_prospect.common', 'aiida_prospect.methods.evaluators')
    shutil.copy(deepmd_model.parent / 'input.json', tmp_path)
    done = subprocess.run([python, '-c', ON_PYTORCH], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    found = np.load(tmp_path / 'evaluated.npz')
    assert found['together'] == pytest.approx(found['alone'], abs=1e-9)
    assert found['forces'] == pytest.approx(found['forces_alone'], abs=1e-9)
    assert found['together'][-1] == pytest.approx(found['together'][0], abs=1e-9)
    assert found['forces'][-8:] == pytest.approx(found['forces'][:8], abs=1e-9)
