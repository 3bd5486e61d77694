"""A model of DeePMD-kit that was hardly trained."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from ase import Atoms

from aiida_prospect.common.frames import Frames
from aiida_prospect.methods.deepmd_systems import write_systems

TYPE_MAP = ['Na', 'Cl']


@pytest.fixture(scope='session')
def deepmd_model(tmp_path_factory) -> Path:
    """Return a frozen model of sodium and chlorine; all that is asked of it is to be a function of the positions."""
    folder = tmp_path_factory.mktemp('deepmd')
    rock_salt = Atoms('NaCl', positions=[[0, 0, 0], [2.8, 0, 0]], cell=[[0, 2.8, 2.8], [2.8, 0, 2.8], [2.8, 2.8, 0]])
    zeros = {'energy': [-1.0], 'forces': [[0, 0, 0.1], [0, 0, -0.1]]}
    write_systems(Frames.from_atoms([rock_salt], **zeros), folder / 'systems', TYPE_MAP)
    descriptor = {'type': 'se_e2_a', 'sel': [60, 60], 'rcut': 4.5, 'rcut_smth': 1.0, 'neuron': [4, 8], 'axis_neuron': 2}
    steps = {'numb_steps': 2, 'disp_freq': 1, 'save_freq': 2, 'seed': 1, 'save_ckpt': 'model'}
    parameters = {
        'model': {
            'type_map': TYPE_MAP,
            'descriptor': {**descriptor, 'seed': 1},
            'fitting_net': {'neuron': [8, 8], 'seed': 1},
        },
        'learning_rate': {'type': 'exp', 'start_lr': 1e-2, 'stop_lr': 1e-3, 'decay_steps': 1},
        'loss': {'start_pref_e': 1, 'limit_pref_e': 1, 'start_pref_f': 1, 'limit_pref_f': 1},
        'training': {**steps, 'training_data': {'systems': [str(folder / 'systems' / 'ClNa-without-stress')]}},
    }
    (folder / 'input.json').write_text(json.dumps(parameters))
    for arguments in (['train', 'input.json', '--skip-neighbor-stat'], ['freeze', '-o', 'frozen.pb']):
        command = [sys.executable, '-m', 'deepmd', '--tf', *arguments]
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr[-2000:]
    return folder / 'frozen.pb'
