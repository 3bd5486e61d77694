"""Train a small MACE (Batatia et al., NeurIPS 2022) by mace-torch; run by itself, in an interpreter of its own.

In a folder with ``training.npz``, ``validation.npz`` and ``mace.json`` (``steps``, ``batch_size``, ``options`` of
``mace_run_train``) it writes ``results.json`` and the model. mace-torch asks for e3nn 0.4.4 and DeePMD-kit with PyTorch
for a later one, so the two cannot share an environment.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms
from ase.io import write
from ase.stress import full_3x3_to_voigt_6_stress

from aiida_prospect.common.frames import Frames
from aiida_prospect.methods.evaluators.loading import load_evaluator
from aiida_prospect.methods.model_errors import model_errors

NAME = 'silicon'
CALCULATOR = 'mace.calculators:MACECalculator'


def labelled_atoms(frames: Frames) -> list[Atoms]:
    """Return structures with labels under the names that the options ask for."""
    forces = np.split(frames.known('forces'), frames.offsets[1:-1])
    structures = frames.to_atoms()
    for index, atoms in enumerate(structures):
        atoms.info['REF_energy'] = float(frames.known('energy')[index])
        atoms.info['REF_stress'] = full_3x3_to_voigt_6_stress(frames.known('stress')[index])
        atoms.arrays['REF_forces'] = forces[index]
    return structures


def command(job: dict[str, Any], n_frames: int) -> list[str]:
    """Return the command line of the training, the interpreter first."""
    per_epoch = -(-n_frames // job['batch_size'])
    epochs = -(-job['steps'] // per_epoch)
    given = {
        'name': NAME,
        'train_file': 'training.xyz',
        'valid_file': 'validation.xyz',
        'energy_key': 'REF_energy',
        'forces_key': 'REF_forces',
        'stress_key': 'REF_stress',
        'E0s': 'average',
        'compute_stress': True,
        'loss': 'stress',
        'device': 'cpu',
        'default_dtype': 'float32',
        'num_workers': 0,
        'batch_size': job['batch_size'],
        'valid_batch_size': 20,
        'max_num_epochs': epochs,
        'eval_interval': max(1, epochs // 5),
        'start_swa': max(1, epochs * 3 // 4),
        'seed': job['seed'],
        **job['options'],
    }
    words = [word for key, value in given.items() for word in (f'--{key}', str(value))]
    return [sys.executable, '-m', 'mace.cli.run_train', *words, '--swa', '--ema']


def specification(folder: Path) -> dict[str, Any]:
    """Return what evaluators are loaded by."""
    model = next(folder.glob(f'{NAME}_stagetwo.model'))
    arguments = {'model_paths': str(model), 'device': 'cpu', 'default_dtype': 'float32'}
    return {'backend': 'ase', 'calculator': CALCULATOR, 'arguments': arguments}


def main(folder: Path) -> None:
    """Train in a folder and write the results."""
    job = json.loads((folder / 'mace.json').read_text())
    sets = {name: Frames.load(folder / f'{name}.npz') for name in ('training', 'validation')}
    for name, frames in sets.items():
        write(folder / f'{name}.xyz', labelled_atoms(frames), format='extxyz')
    started = time.monotonic()
    subprocess.run(command(job, len(sets['training'])), cwd=folder, check=True)
    seconds = time.monotonic() - started
    found = specification(folder)
    evaluator = load_evaluator(found, folder)
    errors = {name: model_errors(frames, evaluator.evaluate(frames)) for name, frames in sets.items()}
    (folder / 'judge.json').write_text(json.dumps(found))
    results = {'failure': None, 'errors': errors, 'seconds': {'train': round(seconds, 2)}}
    (folder / 'results.json').write_text(json.dumps(results))


if __name__ == '__main__':
    main(Path.cwd())
