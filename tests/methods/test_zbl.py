import numpy as np
import pytest

from aiida_prospect.methods.lammps_potentials import load_lammps
from aiida_prospect.methods.zbl import switching_range, zbl_energy, zbl_table


def test_close_nuclei_repel_like_bare_charges():
    distance = np.array([1e-5])
    assert zbl_energy(distance, 14, 8)[0] == pytest.approx(14.399645 * 14 * 8 / 1e-5, rel=1e-3)


def test_against_the_formula_of_lammps():
    lammps = load_lammps()
    lammps.commands_string("""
units metal
atom_modify map array
region box block 0 20 0 20 0 20
create_box 1 box
create_atoms 1 single 5 5 5
create_atoms 1 single 5 5 5.8
mass 1 28
pair_style zbl 8.0 9.0
pair_coeff 1 1 14 14
run 0 post no
""")
    assert zbl_energy(np.array([0.8]), 14, 14)[0] == pytest.approx(lammps.get_thermo('pe'), rel=1e-3)


def test_tables_are_repulsive_and_end_at_zero():
    table = zbl_table(['Na', 'Cl'], 6.0)
    assert table.shape == (601, 4)
    assert np.all(np.isfinite(table))
    assert np.all(np.diff(table[:, 1:], axis=0) <= 0)
    assert table[-1].tolist() == [6.0, 0, 0, 0]
    # 0-0, 0-1, 1-1: more charge, more repulsion.
    assert table[100, 1] < table[100, 2] < table[100, 3]


def test_the_switch_lies_below_the_shortest_bond():
    assert switching_range(['Si'], 0.5, 0.7) == pytest.approx((1.11, 1.554))
    assert switching_range(['O', 'Al'], 0.5, 0.7)[1] < 1.0
