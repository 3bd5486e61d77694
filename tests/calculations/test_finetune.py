"""Trainings that start from models that DeePMD-kit trained elsewhere, on a neighbouring system."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from aiida.engine import run_get_node
from aiida.orm import Dict, Int
from aiida.plugins import CalculationFactory

from aiida_prospect.cli.initial import add_potential
from aiida_prospect.common.enums import Backend
from aiida_prospect.data.dataset import DatasetData
from aiida_prospect.data.imported import card_of, import_model
from aiida_prospect.methods.deepmd_input import build_input
from aiida_prospect.methods.deepmd_model import read_model, training_parameters
from aiida_prospect.methods.deepmd_systems import write_systems
from aiida_prospect.methods.lammps_potentials import calculator
from aiida_prospect.workflows.protocols import load_protocol
from aiida_prospect.workflows.search import SearchWorkChain

# Other elements are known to the model than to the training, and energies have another zero.
TYPE_MAP = ['Ge', 'Si']
SHIFT = 50.0
SMALL = {
    'fitting': {'neuron': [8, 8]},
    'cold': {'steps': 300},
    'warm': {'steps': 20, 'learning_rate': {'start_lr': 1e-4, 'stop_lr': 1e-5}},
    'progress': None,
    'validation': None,
    'repulsion': None,
}
DESCRIPTORS = {
    'tensorflow': {'type': 'se_atten', 'rcut': 4.0, 'rcut_smth': 0.5, 'sel': 40, 'neuron': [4, 8], 'axis_neuron': 4},
    'pytorch': {'type': 'dpa1', 'rcut': 4.0, 'rcut_smth': 0.5, 'sel': 40, 'neuron': [4, 8], 'axis_neuron': 4},
}
ATTENTION = {'attn_layer': 0}


def parameters(descriptor):
    values = load_protocol('train_deepmd', 'fast', SMALL)
    values.pop('options')
    values.pop('escalation')
    return {**values, 'descriptor': {**descriptor, **ATTENTION}}


def dp(python, folder, *arguments):
    done = subprocess.run([python, '-m', 'deepmd', *arguments], cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]


@pytest.fixture
def crystals(silicon_frames):
    """Return a factory of labelled crystals on one smooth surface that does not know the elements."""

    def make(n_frames, numbers=(14,), **options):
        frames = silicon_frames(n_frames, noise=0.15, **options)
        surface, energy, forces, stress = calculator('Si_Zuo_JPCA2020'), [], [], []
        for atoms in frames.to_atoms():
            atoms.calc = surface
            energy.append(atoms.get_potential_energy())
            forces.append(atoms.get_forces())
            stress.append(atoms.get_stress(voigt=False))
        numbers = np.resize(numbers, len(frames.numbers))
        return frames.replace(
            numbers=numbers, energy=energy, forces=np.concatenate(forces), stress=stress, status=['ok'] * n_frames
        )

    return make


@pytest.fixture(scope='session')
def pretrained(tmp_path_factory):
    """Return a function that trains a model on crystals of germanium and silicon, each once."""
    models: dict[str, Path] = {}

    def make(backend, frames):
        python = os.environ['PROSPECT_TEST_PYTORCH_PYTHON'] if backend == 'pytorch' else sys.executable
        if backend not in models:
            folder = tmp_path_factory.mktemp(backend)
            write_systems(frames, folder / 'training', TYPE_MAP)
            settings = build_input(parameters(DESCRIPTORS[backend]), TYPE_MAP, seed=1, validation=False)
            (folder / 'input.json').write_text(json.dumps(settings))
            flag = {'pytorch': '--pt', 'tensorflow': '--tf'}[backend]
            dp(python, folder, flag, 'train', 'input.json')
            models[backend] = folder / 'checkpoints' / 'model.ckpt.pt'
            if backend == 'tensorflow':
                dp(python, folder, flag, 'freeze', '-c', 'checkpoints', '-o', 'model.pb')
                models[backend] = folder / 'model.pb'
        return models[backend]

    return make


@pytest.fixture(params=['tensorflow', 'pytorch'])
def case(request, pretrained, crystals):
    """Return the code of a backend, and the file of a model."""
    code = request.getfixturevalue('pytorch_code' if request.param == 'pytorch' else 'python_code')
    return code, pretrained(request.param, crystals(30, (32, 14)))


def train(code, frames, values, initial=None):
    builder = CalculationFactory('prospect.deepmd_train').get_builder()
    builder.code = code
    builder.training = {'cycle_00': DatasetData(frames)}
    builder.parameters = Dict(values)
    builder.seed = Int(3)
    if initial is not None:
        builder.initial = initial
    return run_get_node(builder)


def test_a_foreign_model_is_finetuned_and_goes_on(case, crystals):
    """Its zero of energy is adapted, and it keeps what it learned: twenty steps from scratch teach no forces."""
    code, path = case
    potential, card = import_model(path)
    assert card.type_map == TYPE_MAP
    assert card.cutoff == 4.0
    assert card.start == '--finetune'
    assert card_of(potential).model == card.model
    frames = crystals(8, seed=9)
    shifted = frames.replace(energy=frames.energy + SHIFT * frames.n_atoms)
    values = training_parameters(card, load_protocol('train_deepmd', 'fast', SMALL))
    assert values['compression'] is None
    outputs, node = train(code, shifted, values, potential)
    assert node.is_finished_ok, node.exit_message
    trained = outputs['potential']
    assert trained.type_map == TYPE_MAP
    typical = float(np.sqrt(np.mean(frames.forces**2)))
    assert trained.errors['energy'] < SHIFT / 100
    assert trained.errors['forces'] < 0.8 * typical
    # The next cycle starts from what this one trained.
    again, node = train(code, shifted, values, trained)
    assert node.is_finished_ok, node.exit_message
    assert again['potential'].errors['forces'] < 1.1 * trained.errors['forces']


def test_the_command_gives_the_search_the_network_of_the_model(case, python_code, capsys):
    _, path = case
    options = {'code': python_code, 'arguments': {'potential': 'Si_Stillinger_Weber'}}

    def builder(formula, force_field):
        return SearchWorkChain.get_builder_from_protocol(
            formula, code=python_code, label_options=options, overrides={'train': {'force_field': force_field}}
        )

    chosen = builder({'Si': 4}, 'deepmd')
    add_potential(chosen, str(path), '')
    assert 'zero of energy is adapted' in capsys.readouterr().out
    assert chosen.train.member['parameters']['type_map'] == TYPE_MAP
    assert chosen.train.member['parameters']['descriptor']['rcut'] == 4.0
    assert len(chosen.restart.potentials) == chosen.train.n_models.value
    assert chosen.train.pretrained in chosen.restart.potentials.values()
    assert SearchWorkChain.spec().inputs.validate(chosen._inputs(prune=True)) is None
    with pytest.raises(ValueError, match='is for `--force-field deepmd`'):
        add_potential(builder({'Si': 4}, 'pod'), str(path), '')
    with pytest.raises(ValueError, match='knows Ge, Si, not C'):
        add_potential(builder({'Si': 1, 'C': 1}, 'deepmd'), str(path), '')
    with pytest.raises(ValueError, match='no branches'):
        add_potential(chosen, str(path), 'alloys')


def test_a_model_of_the_other_backend_ends_with_a_sentence(pretrained, crystals, python_code):
    if not os.environ.get('PROSPECT_TEST_PYTORCH_PYTHON'):
        pytest.skip('no PyTorch backend')
    frames = crystals(8)
    potential, card = import_model(pretrained('pytorch', crystals(30, (32, 14))))
    assert card.backend is Backend.PYTORCH
    _, node = train(python_code, frames, parameters(card.descriptor) | {'type_map': TYPE_MAP}, potential)
    assert node.exit_status == 201
    assert 'is of the backend pytorch, the code runs tensorflow' in node.exit_message


def test_files_that_no_training_can_start_from_are_refused(tmp_path):
    for name, content, words in (
        ('a.zip', b'', 'the ending must be'),
        ('b.pb', b'nothing', 'does not say how it was trained'),
        ('c.pth', b'nothing', 'does not say how it was trained'),
        ('d.pb', b'..compressed_model..', 'is a compressed model'),
        ('e.pb', _graph({'type_map': ['Si'], 'descriptor': {}, 'fitting_net': {}}), 'has no `descriptor`'),
        ('f.pb', _graph({'fitting_net': {'type': 'dipole'}}), 'gives `dipole`'),
        ('g.pb', _graph({'fitting_net': {}}, 'model_dict'), 'several branches: choose one'),
    ):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(ValueError, match=words):
            read_model(tmp_path / name)


def _graph(changes, of_branches=''):
    model = {'type_map': ['Si'], 'descriptor': {'type': 'se_e2_a', 'rcut': 4.0}, 'fitting_net': {'type': 'ener'}}
    model = {of_branches: {'alloys': model}} if of_branches else {**model, **changes}
    return b'\n\x1ctrain_attr/training_script\x12\x05Const\x42' + json.dumps({'model': model}).encode() + b'\x00'
