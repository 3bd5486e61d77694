"""Tests of units and signs against numbers from elsewhere."""

import numpy as np
import pytest
from ase import units as ase_units
from ase.build import bulk
from ase.calculators.emt import EMT

from aiida_prospect.common import units


def test_constants_are_those_of_the_tables():
    """CODATA 2022: e = 1.602176634e-19 C (exact), Ry = 13.605693122990 eV, a0 = 0.529177210544 Å."""
    assert pytest.approx(1 / 160.2176634, rel=1e-12) == units.EV_PER_ANGSTROM3_PER_GPA
    assert pytest.approx(1 / 1602.176634, rel=1e-12) == units.EV_PER_ANGSTROM3_PER_KBAR
    assert pytest.approx(13.605693122990, rel=1e-11) == units.EV_PER_RYDBERG
    assert pytest.approx(0.529177210544, rel=1e-11) == units.ANGSTROM_PER_BOHR


def test_constants_agree_with_ase():
    assert pytest.approx(ase_units.GPa, rel=1e-7) == units.EV_PER_ANGSTROM3_PER_GPA
    assert pytest.approx(ase_units.Ry, rel=1e-7) == units.EV_PER_RYDBERG
    assert pytest.approx(ase_units.Bohr, rel=1e-7) == units.ANGSTROM_PER_BOHR


def test_stress_is_positive_under_tension_and_virial_negative():
    """A stretched crystal pulls back: the energy grows with the strain."""
    stretched = bulk('Cu', 'fcc', a=3.8)
    stretched.calc = EMT()
    stress = stretched.get_stress(voigt=False)[None]
    assert stress[0, 0, 0] > 0
    assert units.virial_from_stress(stress, np.array([stretched.get_volume()]))[0, 0, 0] < 0


def test_virial_is_minus_the_derivative_of_the_energy_by_the_strain():
    def energy(strain):
        atoms = bulk('Cu', 'fcc', a=3.7)
        atoms.set_cell(atoms.cell.array @ (np.eye(3) + strain), scale_atoms=True)
        atoms.calc = EMT()
        return atoms.get_potential_energy(), atoms

    shear = np.array([[1.0, 0.3, 0.0], [0.3, -0.5, 0.2], [0.0, 0.2, 0.4]])
    derivative = (energy(1e-4 * shear)[0] - energy(-1e-4 * shear)[0]) / 2e-4
    _, atoms = energy(np.zeros((3, 3)))
    virial = units.virial_from_stress(atoms.get_stress(voigt=False)[None], np.array([atoms.get_volume()]))[0]
    assert -np.sum(virial * shear) == pytest.approx(derivative, rel=1e-5)


def test_virial_and_stress_are_inverse():
    rng = np.random.default_rng(0)
    stress, volume = rng.normal(size=(4, 3, 3)), rng.uniform(10, 100, 4)
    assert units.stress_from_virial(units.virial_from_stress(stress, volume), volume) == pytest.approx(stress)


def test_pressure_of_foreign_programs_becomes_negative_stress():
    """Both programs print a positive number when the crystal is compressed, in GPa and in kbar."""
    pressure = np.eye(3)
    assert units.stress_from_quantumespresso(160.2176634 * pressure) == pytest.approx(-pressure)
    assert units.stress_from_vasp(1602.176634 * pressure) == pytest.approx(-pressure)
