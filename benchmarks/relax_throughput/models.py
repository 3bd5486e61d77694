"""Small models of silicon, the same for all that are compared: made once, from seeds, into a folder that is ignored.

Labels are those of the SNAP potential of Zuo et al. (2020) on relaxations of random crystals. Each member of the
ensemble is trained by the TensorFlow backend and translated for PyTorch, so that both evaluate the same function.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from aiida_prospect.common.frames import Frames
from aiida_prospect.methods.deepmd_systems import write_systems
from aiida_prospect.methods.evaluators.loading import load_ensemble
from aiida_prospect.methods.pod_equations import equations
from aiida_prospect.methods.pod_fit import FitSettings, fit
from aiida_prospect.methods.pod_model import PodModel, Repulsion, descriptor_text
from aiida_prospect.methods.relaxation.driver import Relaxation
from aiida_prospect.methods.relaxation.settings import RelaxSettings, TrajectorySettings
from benchmarks.relax_throughput.crystals import random_crystals

TYPE_MAP = ['Si']
SNAP = {'backend': 'ase', 'calculator': 'lammps', 'arguments': {'potential': 'Si_Zuo_JPCA2020'}}
SUFFIXES = {'tensorflow': 'pb', 'pytorch': 'pth', 'pod': 'pod'}
MEMBERS = 4
POD_FIT = FitSettings(
    tolerance={'energy': 0.01, 'forces': 0.1, 'virial': 0.05},
    energy_scale=0.5,
    regularisation=[1e-6],
    folds=5,
    share=0.85,
)


@dataclass(frozen=True)
class Models:
    """Where the models are.

    :param folder: that holds them.
    :param steps: of each training.
    :param crystals: whose relaxations are the labels.
    :param pytorch: interpreter with the PyTorch backend.
    """

    folder: Path
    steps: int = 8000
    crystals: int = 60
    pytorch: str = os.environ.get('PROSPECT_TEST_PYTORCH_PYTHON', '')

    def file(self, backend: str, member: int = 0) -> Path:
        """Return the file of a member, which is made if it is not there."""
        path = self.folder / f'member-{member}.{SUFFIXES[backend]}'
        if not path.is_file():
            {'tensorflow': self._train, 'pytorch': self._translate, 'pod': self._fit}[backend](member, path)
        return path

    def labels(self) -> Frames:
        """Return labelled frames on the way from random crystals to minima."""
        path = self.folder / 'labels.npz'
        if not path.is_file():
            self.folder.mkdir(parents=True, exist_ok=True)
            crystals = random_crystals(self.crystals, 16, np.random.default_rng(0))
            settings = RelaxSettings(max_steps=80, patience=80, trajectory=TrajectorySettings(every=8))
            frames = Frames.from_atoms(crystals, origin=[f'random-{index}' for index in range(len(crystals))])
            relaxation = Relaxation(frames, load_ensemble([SNAP], self.folder), settings)
            relaxation.run()
            relaxation.trajectories().without('source', 'steps').save(path)
        return Frames.load(path)

    def _train(self, member: int, path: Path) -> None:
        labels, folder = self.labels(), self.folder / f'training-{member}'
        folder.mkdir(parents=True, exist_ok=True)
        if not (folder / 'systems').is_dir():
            write_systems(labels.without('origin'), folder / 'systems', TYPE_MAP)
        (folder / 'input.json').write_text(json.dumps(training_input(self.steps, seed=member + 1)))
        program = [sys.executable, '-m', 'deepmd', '--tf']
        run([*program, 'train', 'input.json'], folder)
        run([*program, 'freeze', '-o', 'frozen.pb'], folder)
        run([*program, 'compress', '-i', 'frozen.pb', '-o', 'compressed.pb'], folder)
        (folder / 'compressed.pb').replace(path)

    def _translate(self, member: int, path: Path) -> None:
        self.file('tensorflow', member)
        folder = self.folder / f'training-{member}'
        run([sys.executable, '-m', 'deepmd', '--tf', 'convert-backend', 'frozen.pb', 'frozen.dp'], folder)
        run([self.pytorch, '-m', 'deepmd', '--pt', 'convert-backend', 'frozen.dp', 'frozen.pth'], folder)
        compress = ['compress', '-i', 'frozen.pth', '-o', 'compressed.pth', '-t', 'input.json']
        run([self.pytorch, '-m', 'deepmd', '--pt', *compress], folder)
        (folder / 'compressed.pth').replace(path)

    def _fit(self, member: int, path: Path) -> None:
        labels = self.labels()
        text, repulsion = descriptor_text({}, TYPE_MAP), Repulsion(inner=0.8, outer=1.0)
        rows = equations(labels, text, TYPE_MAP, repulsion)
        found = fit(rows, labels.known('origin'), POD_FIT, np.random.default_rng(member), n_elements=1)
        PodModel(tuple(TYPE_MAP), text, found.coefficients, repulsion).save(path)


def run(command: list[str], folder: Path) -> None:
    """Run a program in a folder.

    :raises RuntimeError: if it fails, with the end of what it said.
    """
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f'`{" ".join(command)}` failed:\n{(done.stdout + done.stderr)[-2000:]}')


def training_input(steps: int, *, seed: int) -> dict:
    """Return the input of a small se_e2_a model, as in the protocol ``balanced`` without its repulsion."""
    return {
        'model': {
            'type_map': TYPE_MAP,
            'descriptor': {
                'type': 'se_e2_a',
                'sel': 'auto:1.4',
                'rcut': 5.0,
                'rcut_smth': 0.5,
                'neuron': [10, 20, 40],
                'axis_neuron': 8,
                'resnet_dt': False,
                'seed': seed,
            },
            'fitting_net': {'neuron': [60, 60, 60], 'resnet_dt': True, 'seed': seed},
        },
        'learning_rate': {'type': 'exp', 'start_lr': 2e-3, 'stop_lr': 1e-5, 'decay_steps': max(1, steps // 50)},
        'loss': {
            'start_pref_e': 0.02,
            'limit_pref_e': 10,
            'start_pref_f': 1000,
            'limit_pref_f': 20,
            'start_pref_v': 0.02,
            'limit_pref_v': 2,
        },
        'training': {
            'training_data': {'systems': 'systems', 'batch_size': 'auto:32'},
            'numb_steps': steps,
            'seed': seed,
            'disp_freq': 500,
            'save_freq': steps,
            'save_ckpt': 'model',
        },
    }
