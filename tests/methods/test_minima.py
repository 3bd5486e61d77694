import json

import numpy as np
import pytest
from ase.build import bulk, make_supercell
from ase.spacegroup import crystal

from aiida_prospect.common.frames import Frames
from aiida_prospect.methods.matching import MatchSettings, compare_with_references
from aiida_prospect.methods.minima import rank_minima

SUPERCELL = [[1, 0, 1], [0, 2, 0], [0, 1, 1]]


def diamond(a=5.43):
    return bulk('Si', 'diamond', a=a)


def beta_tin():
    return crystal('Si', [(0, 0, 0)], spacegroup=141, cellpar=[4.69, 4.69, 2.58, 90, 90, 90], primitive_cell=True)


def simple_hexagonal():
    return crystal('Si', [(0, 0, 0)], spacegroup=191, cellpar=[2.64, 2.64, 2.48, 90, 90, 120])


def corundum():
    basis = [(0, 0, 0.352), (0.306, 0, 0.25)]
    return crystal(['Al', 'O'], basis, spacegroup=167, cellpar=[4.76, 4.76, 12.99, 90, 90, 120], primitive_cell=True)


def disguised(atoms, rng, supercell=None, noise=0.0):
    """Return the same crystal in another cell, order of atoms, origin and orientation."""
    atoms = atoms.copy() if supercell is None else make_supercell(atoms, supercell)
    atoms.positions += rng.normal(0, noise, (len(atoms), 3)) + rng.uniform(-5, 5, 3)
    rotation = np.linalg.qr(rng.normal(size=(3, 3)))[0]
    atoms.set_cell(atoms.cell.array @ rotation, scale_atoms=True)
    return atoms[rng.permutation(len(atoms))]


def relaxed(structures, energies_per_atom, **known):
    energy = [energy * len(atoms) for atoms, energy in zip(structures, energies_per_atom, strict=True)]
    status = known.pop('status', ['ok'] * len(structures))
    return Frames.from_atoms(structures, energy=energy, status=status, **known)


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def essence(report):
    keys = ('space_group_number', 'space_group_symbol', 'formula')
    numbers = ('energy_above_best', 'volume_per_atom')
    return [
        (*(item[key] for key in keys), *(pytest.approx(item[key], abs=1e-6) for key in numbers), len(item['members']))
        for item in report['minima']
    ]


def test_minima_are_distinct_and_sorted(rng):
    structures = [beta_tin(), disguised(diamond(), rng), diamond(), simple_hexagonal()]
    minima, report = rank_minima(relaxed(structures, [-4.3, -4.6, -4.6, -4.2], origin=['a', 'b', 'c', 'd']))
    assert [item['space_group_symbol'] for item in report['minima']] == ['Fd-3m', 'I4_1/amd', 'P6/mmm']
    assert [item['energy_above_best'] for item in report['minima']] == pytest.approx([0, 0.3, 0.4])
    assert [member['origin'] for member in report['minima'][0]['members']] == ['b', 'c']
    assert minima.source.tolist() == [1, 0, 3]
    assert list(minima.origin) == ['b', 'a', 'd']


def test_minima_are_as_computed(rng):
    frames = relaxed([disguised(diamond(), rng, noise=0.02)], [-4.6])
    minima, _ = rank_minima(frames)
    assert minima.replace(source=None).equals(frames)


def test_lattice_is_that_of_the_conventional_cell(rng):
    _, report = rank_minima(relaxed([disguised(corundum(), rng, SUPERCELL)], [-7.0]))
    (item,) = report['minima']
    assert item['lattice'] == pytest.approx({'a': 4.76, 'b': 4.76, 'c': 12.99, 'alpha': 90, 'beta': 90, 'gamma': 120})
    assert (item['space_group_number'], item['n_formula_units'], item['formula']) == (167, 4, 'Al2O3')


@pytest.mark.parametrize('supercell', [None, SUPERCELL, np.diag([2, 1, 1])])
def test_rank_does_not_depend_on_cell_orientation_and_order(rng, supercell):
    structures = [diamond(), beta_tin(), diamond(5.41), simple_hexagonal()]
    energies = np.array([-4.6, -4.3, -4.597, -4.2])
    _, expected = rank_minima(relaxed(structures, energies))
    order = rng.permutation(4)
    disguises = [disguised(structures[i], rng, supercell) for i in order]
    _, report = rank_minima(relaxed(disguises, energies[order]))
    assert essence(report) == essence(expected)


def test_same_crystal_of_very_different_energy_is_another_minimum():
    _, report = rank_minima(relaxed([diamond(), diamond()], [-4.6, -4.5]))
    assert len(report['minima']) == 2


def test_scaling_is_limited():
    _, report = rank_minima(relaxed([diamond(), diamond(5.43 * 1.1)], [-4.6, -4.6]))
    assert len(report['minima']) == 2


def test_compositions_do_not_compete():
    structures = [diamond(), corundum(), beta_tin()]
    _, report = rank_minima(relaxed(structures, [-4.6, -7.5, -4.3]))
    found = {(item['formula'], round(item['energy_above_best'], 6)) for item in report['minima']}
    assert found == {('Si', 0.0), ('Al2O3', 0.0), ('Si', 0.3)}


def test_nothing_is_lost_and_nan_never_wins():
    structures = [diamond()] * 5
    frames = relaxed(
        structures,
        [np.nan, -9.0, -4.6, -9.0, -np.inf],
        status=['ok', 'failed', 'ok', 'unconverged', 'ok'],
        reason=['', 'atoms on one site', '', '', ''],
    )
    minima, report = rank_minima(frames)
    assert minima.source.tolist() == [2]
    assert [(item['index'], item['reason']) for item in report['failed']] == [
        (0, 'the energy is not known'),
        (1, 'atoms on one site'),
        (3, 'the relaxation ended with status `unconverged`'),
        (4, 'the energy is not known'),
    ]


def test_a_minimum_that_was_not_relaxed_to_its_end_says_so():
    frames = relaxed([diamond()], [-5.4], status=['ok'], reason=['the relaxation did not converge: max_steps'])
    assert rank_minima(frames)[1]['minima'][0]['reason'] == 'the relaxation did not converge: max_steps'


def test_nothing_relaxed_gives_no_minima():
    minima, report = rank_minima(relaxed([diamond()], [np.nan], status=['failed']))
    assert len(minima) == 0
    assert report['minima'] == []
    assert len(report['failed']) == 1


def test_frames_without_energy_are_refused():
    with pytest.raises(ValueError, match='no `energy`'):
        rank_minima(Frames.from_atoms([diamond()]))


def test_report_is_json_and_tells_where_references_are(rng):
    references = {'diamond': Frames.from_atoms([diamond(5.47)]), 'tin': Frames.from_atoms([beta_tin()])}
    frames = relaxed([simple_hexagonal(), disguised(diamond(), rng, SUPERCELL)], [-4.2, -4.6])
    _, report = rank_minima(frames, references)
    json.dumps(report, allow_nan=False)
    assert [[match['name'] for match in item['references']] for item in report['minima']] == [['diamond'], []]
    assert {item['name']: item['found_as'] for item in report['references']} == {'diamond': [0], 'tin': []}


def test_deviation_from_reference(rng):
    references = {'corundum': Frames.from_atoms([corundum()])}
    atoms = corundum()
    atoms.set_cell(atoms.cell.array * 1.01, scale_atoms=True)
    (match,) = compare_with_references(Frames.from_atoms([disguised(atoms, rng, SUPERCELL)]), references)
    assert match['rms_displacement'] == pytest.approx(0, abs=1e-6)
    assert match['volume_deviation'] == pytest.approx(100 * (1.01**3 - 1))
    deviation = match['lattice_deviation']
    assert [deviation[name] for name in ('a', 'b', 'c')] == pytest.approx([1, 1, 1], abs=1e-6)
    assert [deviation[name] for name in ('alpha', 'beta', 'gamma')] == pytest.approx([0, 0, 0], abs=1e-6)


@pytest.mark.parametrize('supercell', [None, SUPERCELL, np.diag([1, 1, 2])])
@pytest.mark.parametrize('make', [diamond, corundum, beta_tin])
def test_reference_is_found_in_a_distorted_supercell(rng, make, supercell):
    references = {'known': Frames.from_atoms([make()])}
    for _ in range(3):
        frame = Frames.from_atoms([disguised(make(), rng, supercell, noise=0.02)])
        (match,) = compare_with_references(frame, references)
        assert 0 < match['rms_displacement'] < 0.05


def test_displacement_is_in_angstrom():
    reference = bulk('NaCl', 'rocksalt', a=5.6)
    moved = reference.copy()
    moved.positions[1, 0] += 0.1
    (match,) = compare_with_references(Frames.from_atoms([moved]), {'rock salt': Frames.from_atoms([reference])})
    # The common translation is taken off: two atoms are displaced by 0.05 Å each.
    assert match['rms_displacement'] == pytest.approx(0.05, rel=1e-3)


def test_strained_lattice_is_not_its_reference():
    references = {'fcc': Frames.from_atoms([bulk('Al', 'fcc', a=4.05)])}
    tetragonal = bulk('Al', 'fcc', a=4.05)
    tetragonal.set_cell(tetragonal.cell.array @ np.diag([1.03, 1.03, 0.93]), scale_atoms=True)
    assert compare_with_references(Frames.from_atoms([tetragonal]), references) == []


def test_other_compositions_and_volumes_do_not_match():
    references = {
        'germanium': Frames.from_atoms([bulk('Ge', 'diamond', a=5.43)]),
        'dense': Frames.from_atoms([diamond(5.43 * 0.9)]),
    }
    assert compare_with_references(Frames.from_atoms([diamond()]), references) == []


def test_unknown_setting_is_refused():
    with pytest.raises(ValueError, match='unknown setting: symprecision'):
        MatchSettings.from_dict({'symprecision': 0.1})
    with pytest.raises(ValueError, match='must be positive'):
        MatchSettings(stol=0)
