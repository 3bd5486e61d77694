import json

import numpy as np
import pytest

from aiida_prospect.common.enums import Backend
from aiida_prospect.common.units import virial_from_stress
from aiida_prospect.methods.deepmd_input import (
    adapt_to_backend,
    build_input,
    cutoff_of,
    gentler,
    selected_neighbours,
    type_map_of,
    with_larger_batches,
    with_neighbours,
)
from aiida_prospect.methods.deepmd_systems import write_systems
from aiida_prospect.workflows.protocols import load_protocol, protocol_descriptions

PROTOCOLS = sorted(protocol_descriptions('train_deepmd'))
HYBRID = {'type': 'hybrid', 'list': [{'type': 'se_e2_a', 'rcut': 6.0, 'sel': [20, 24]}, {'type': 'se_e3', 'rcut': 4.0}]}

ANGLES = {'a_rcut': 3.5, 'a_rcut_smth': 2.5, 'a_sel': 30}
DPA3 = {'type': 'dpa3', 'repflow': {'e_rcut': 5.0, 'e_rcut_smth': 3.5, 'e_sel': 80, **ANGLES}}


def test_the_type_map_is_ordered_by_atomic_number():
    assert type_map_of(['O', 'Al', 'O', 'H']) == ['H', 'O', 'Al']
    with pytest.raises(ValueError, match='Xx'):
        type_map_of(['Xx'])


@pytest.mark.parametrize('protocol', PROTOCOLS)
@pytest.mark.parametrize('warm', [False, True])
def test_protocols_make_an_input(protocol, warm):
    parameters = load_protocol('train_deepmd', protocol)
    settings = build_input(parameters, ['O', 'Al'], seed=3, validation=True, warm=warm)
    assert settings['training']['numb_steps'] == parameters['warm' if warm else 'cold']['steps']
    assert settings['model']['type_map'] == ['O', 'Al']
    assert settings['model']['sw_rmin'] < settings['model']['sw_rmax'] < 2.0
    json.dumps(settings)


@pytest.mark.parametrize(
    ('descriptor', 'cutoff'),
    [(HYBRID, 6.0), (DPA3, 5.0)],
)
def test_another_descriptor_takes_the_place_of_the_default_one(descriptor, cutoff):
    """DeePMD-kit refuses parameters that the other one has not."""
    argcheck = pytest.importorskip('deepmd.utils.argcheck')
    parameters = load_protocol('train_deepmd', 'stringent', {'descriptor': descriptor})
    settings = build_input(parameters, ['Si'], seed=0, validation=False)
    assert argcheck.normalize(settings)['model']['descriptor']['type'] == descriptor['type']
    assert cutoff_of(settings['model']['descriptor']) == cutoff
    narrower = load_protocol('train_deepmd', 'stringent', {'descriptor': {'neuron': [8, 16]}})['descriptor']
    assert (narrower['rcut'], narrower['neuron']) == (6.0, [8, 16])


def test_seeds_differ_between_members_and_parts():
    parameters = load_protocol('train_deepmd', 'fast')
    inputs = [build_input(parameters, ['Si'], seed=seed, validation=False) for seed in range(3)]
    seeds = {
        seed
        for settings in inputs
        for part in (settings['training'], settings['model']['fitting_net'], settings['model']['descriptor'])
        for name, seed in part.items()
        if name == 'seed'
    }
    assert len(seeds) == 9
    assert build_input(parameters, ['Si'], seed=1, validation=False) == inputs[1]
    assert 'validation_data' not in inputs[0]['training']


def test_without_repulsion_and_with_overrides():
    parameters = load_protocol('train_deepmd', 'fast', {'repulsion': None, 'overrides': {'training': {'save_freq': 7}}})
    settings = build_input(parameters, ['Si'], seed=0, validation=False)
    assert 'use_srtab' not in settings['model']
    assert settings['training']['save_freq'] == 7


def test_missing_parameters_are_named():
    with pytest.raises(ValueError, match='lack: descriptor'):
        build_input({'steps': 3}, ['Si'], seed=0, validation=False)


def test_pytorch_gets_the_counterparts_of_descriptors_that_it_cannot_combine_with_a_repulsion():
    parameters = {**load_protocol('train_deepmd', 'fast'), 'descriptor': HYBRID}
    settings = build_input(parameters, ['O', 'Al'], seed=0, validation=False)
    assert adapt_to_backend(settings, Backend.TENSORFLOW) == settings
    first, second = adapt_to_backend(settings, Backend.PYTORCH)['model']['descriptor']['list']
    assert (first['type'], first['sel'], second['type']) == ('dpa1', 44, 'se_e3_tebd')
    settings['model']['descriptor'] = {'type': 'loc_frame', 'rcut': 5}
    with pytest.raises(ValueError, match='loc_frame'):
        adapt_to_backend(settings, Backend.PYTORCH)


def test_neighbours_and_cutoffs_of_hybrids():
    settings = {'model': {'descriptor': HYBRID}}
    assert cutoff_of(HYBRID) == 6.0
    assert selected_neighbours(with_neighbours(settings, [[9, 9], [3, 3]])) == [[9, 9], [3, 3]]
    assert selected_neighbours(settings) == [[20, 24], None]


def test_remedies_change_what_they_should():
    parameters = load_protocol('train_deepmd', 'fast')
    slower = gentler(parameters, 0.1)
    assert slower['cold']['learning_rate']['start_lr'] == pytest.approx(
        parameters['cold']['learning_rate']['start_lr'] / 10
    )
    assert slower['warm']['learning_rate']['stop_lr'] == parameters['warm']['learning_rate']['stop_lr']
    assert with_larger_batches({'batch_size': 'auto:32'}, 2) == {'batch_size': 'auto:64'}
    assert with_larger_batches({'batch_size': 4, 'warm': {'batch_size': 'auto'}}, 2) == {
        'batch_size': 8,
        'warm': {'batch_size': 'auto:64'},
    }


def test_systems_hold_the_sign_of_the_virial_and_the_order_of_the_types(generate_frames, tmp_path):
    """The virial is minus the derivative of the energy by the strain, here by finite difference."""
    from tests.conftest import label

    frames = generate_frames('Na2Cl4', 3, labelled=True)
    names = write_systems(frames, tmp_path, ['Na', 'Cl'])
    system = tmp_path / names[0]
    assert np.loadtxt(system / 'type.raw', dtype=int).tolist() == [0, 0, 1, 1, 1, 1]
    virial = np.load(system / 'set.000' / 'virial.npy').reshape(-1, 3, 3)
    assert np.allclose(virial, virial_from_stress(frames.stress, frames.volumes))
    strain, energies = 1e-4, []
    for sign in (1, -1):
        scale = 1 + sign * strain
        energies.append(label(frames.replace(positions=frames.positions * scale, cells=frames.cells * scale)).energy)
    assert np.allclose(-(energies[0] - energies[1]) / (2 * strain), np.trace(virial, axis1=1, axis2=2), rtol=1e-4)


def test_systems_agree_with_the_export(generate_frames, tmp_path):
    from aiida_prospect.methods.formats import read_frames

    frames = generate_frames('Na2Cl4', 3, labelled=True)
    write_systems(frames, tmp_path / 'ours', ['Na', 'Cl'])
    read = read_frames(tmp_path / 'ours', 'deepmd/npy')
    assert np.allclose(read.energy, frames.energy)
    assert np.allclose(read.stress, frames.stress)
    assert np.allclose(np.sort(read.forces, axis=0), np.sort(frames.forces, axis=0))


def test_frames_without_stress_are_kept_apart(generate_frames, tmp_path):
    frames = generate_frames('Si4', 4, labelled=True)
    stress = frames.stress.copy()
    stress[2] = np.nan
    assert write_systems(frames.replace(stress=stress), tmp_path, ['Si']) == ['Si4', 'Si4-without-stress']
    assert not (tmp_path / 'Si4-without-stress' / 'set.000' / 'virial.npy').exists()
    with pytest.raises(ValueError, match='type map'):
        write_systems(frames, tmp_path / 'other', ['Ge'])


@pytest.mark.parametrize('kind', ['dpa2', 'dpa3'])
def test_where_no_neighbours_are_selected_none_are_set(kind):
    """DPA-2 and DPA-3 have numbers of neighbours within their parts, and refuse `sel` beside them."""
    settings = {'model': {'descriptor': {'type': kind, 'repinit': {'nsel': 20}, 'repflow': {'e_sel': 20}}}}
    assert with_neighbours(settings, selected_neighbours(settings)) == settings
