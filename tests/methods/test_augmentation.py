import numpy as np
import pytest
from ase.calculators.lj import LennardJones

from aiida_prospect.methods.augmentation import displace


def test_the_share_is_displaced_by_the_asked_for_amount(generate_frames):
    frames = generate_frames('Si8', 60, labelled=True)
    noisy = displace(frames, 1 / 3, 0.03, np.random.default_rng(0))
    shift = (noisy.positions - frames.positions).reshape(60, -1)
    moved = np.any(shift != 0, axis=1)
    assert moved.sum() == 20
    assert np.std(shift[moved]) == pytest.approx(0.03, rel=0.1)
    assert np.array_equal(noisy.energy[~moved], frames.energy[~moved])
    assert np.array_equal(noisy.forces, frames.forces)


def test_energies_follow_to_first_order(silicon_frames):
    calculator = LennardJones(sigma=2.2, epsilon=0.5, rc=6.0, smooth=True)
    frames = silicon_frames(3)
    energies, forces = [], []
    for atoms in frames.to_atoms():
        atoms.calc = calculator
        energies.append(atoms.get_potential_energy())
        forces.append(atoms.get_forces())
    frames = frames.replace(energy=energies, forces=np.concatenate(forces))
    errors = []
    for displacement in (1e-3, 1e-4):
        noisy = displace(frames, 1.0, displacement, np.random.default_rng(1))
        true = [calculator.get_potential_energy(atoms) for atoms in noisy.to_atoms()]
        errors.append(np.abs(noisy.energy - true).max())
    assert errors[1] < errors[0] / 50


def test_nonsense_is_refused(silicon_frames):
    with pytest.raises(ValueError, match='share'):
        displace(silicon_frames(2), 1.5, 0.1, np.random.default_rng(0))
