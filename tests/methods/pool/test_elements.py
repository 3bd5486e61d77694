import pytest

from aiida_prospect.methods.pool.composition import parse_composition
from aiida_prospect.methods.pool.elements import ionic_radii, min_distances, volume_per_atom

# Volume per atom (Å³) and shortest distance (Å) of the crystal at ambient conditions, from lattice constants in the
# CRC Handbook of Chemistry and Physics and R. W. G. Wyckoff, Crystal Structures (1963).
EXPERIMENT = {
    'Si8': (20.0, 2.35),
    'Ge': (22.6, 2.45),
    'C': (5.7, 1.54),
    'Al': (16.6, 2.86),
    'Cu': (11.8, 2.56),
    'Na': (39.5, 3.72),
    'NaCl': (22.4, 2.82),
    'LiF': (8.2, 2.01),
    'CsCl': (35.0, 3.57),
    'GaAs': (22.6, 2.45),
    'InP': (25.3, 2.54),
    'CdTe': (34.0, 2.81),
    'Al2O3': (8.5, 1.86),
    'MgO': (9.4, 2.11),
    'SiO2': (12.6, 1.61),
    'TiO2': (10.4, 1.95),
    'SrTiO3': (11.9, 1.95),
    'CaF2': (13.6, 2.37),
    'Fe3O4': (10.5, 1.89),
    'GaN': (11.4, 1.95),
    'AlN': (10.4, 1.89),
    'ZnS': (19.8, 2.34),
    'SiC': (10.4, 1.89),
    'Mg2Si': (21.4, 2.77),
    'NiAl': (12.0, 2.50),
    'Cu3Au': (13.4, 2.65),
}


@pytest.mark.parametrize('formula', EXPERIMENT)
def test_estimated_volume_is_within_a_quarter_of_experiment(formula):
    assert volume_per_atom(parse_composition(formula)) == pytest.approx(EXPERIMENT[formula][0], rel=0.25)


@pytest.mark.parametrize('formula', EXPERIMENT)
def test_shortest_bond_of_the_crystal_is_allowed_and_half_of_it_is_not(formula):
    shortest = min(min_distances(parse_composition(formula), scale=0.72).values())
    assert 0.5 * EXPERIMENT[formula][1] < shortest < EXPERIMENT[formula][1]


def test_volume_does_not_depend_on_the_number_of_formula_units():
    assert volume_per_atom({'Na': 1, 'Cl': 1}) == pytest.approx(volume_per_atom({'Cl': 4, 'Na': 4}), rel=1e-12)


def test_ions_of_equal_sign_are_kept_further_apart_than_atoms():
    assert ionic_radii({'Na': 1, 'Cl': 1})['Cl'][0] == -1
    salt, element = min_distances({'Na': 1, 'Cl': 1}, 1.0), min_distances({'Cl': 1}, 1.0)
    assert salt['Cl', 'Cl'] > element['Cl', 'Cl']
    assert salt['Cl', 'Na'] < salt['Cl', 'Cl']
    assert ionic_radii({'Ga': 1, 'As': 1}) == {}


def test_distances_are_proportional_to_the_scale():
    full, half = (min_distances({'Al': 2, 'O': 3}, scale) for scale in (1.0, 0.5))
    assert {pair: 2 * value for pair, value in half.items()} == pytest.approx(full)
