from collections import Counter

import numpy as np
import pytest
import spglib
from ase.build import bulk
from ase.data import atomic_numbers
from ase.neighborlist import neighbor_list

from aiida_prospect.common.frames import Frames
from aiida_prospect.methods.pool.generate import generate
from aiida_prospect.methods.pool.recipe import PoolError
from aiida_prospect.methods.pool.spec import PoolKind, PoolSpec
from aiida_prospect.methods.relaxation.sanity import heights, unphysical
from aiida_prospect.methods.relaxation.settings import Sanity

KINDS = [kind.value for kind in PoolKind]
FORMULAS = {'Si': {'Si': 8}, 'NaCl': {'Na': 4, 'Cl': 4}, 'Al2O3': {'Al': 4, 'O': 6}, 'GaAs': {'Ga': 1, 'As': 1}}


def make(composition, n_structures, seed=0, own=None, **values):
    return generate(PoolSpec(composition, n_structures, **values), np.random.default_rng(seed), own)


@pytest.fixture(scope='module', params=KINDS)
def kind(request):
    return request.param


@pytest.mark.parametrize('composition', FORMULAS.values(), ids=FORMULAS)
def test_laws_of_every_kind(kind, composition):
    spec = PoolSpec(composition, 24, formula_units=(1, 2), proportions={kind: 1.0})
    pool, report = generate(spec, np.random.default_rng(0))
    distances = {
        tuple(atomic_numbers[symbol] for symbol in order): value
        for pair, value in spec.resolved_distances().items()
        for order in (pair.split('-'), pair.split('-')[::-1])
    }
    assert len(pool) == 24
    estimate = spec.resolved_volume_per_atom()
    for index, atoms in enumerate(pool.to_atoms()):
        units = spec.formula_units[index % 2]
        assert Counter(atoms.symbols) == {element: units * number for element, number in composition.items()}
        assert 0.8 * estimate <= atoms.get_volume() / len(atoms) * (1 + 1e-9)
        assert atoms.get_volume() / len(atoms) <= 1.5 * estimate * (1 + 1e-9)
        assert np.all(np.abs(atoms.cell.angles() - 90) <= 30 + 1e-5)
        assert np.all(atoms.cell.lengths() <= spec.recipe(units).lengths[1] + 1e-9)
        # By pairs of atomic numbers, over all images.
        assert not len(neighbor_list('i', atoms, {pair: value - 1e-9 for pair, value in distances.items()}))
    assert report.attempts[kind] == report.made[kind] + sum(report.refused[kind].values())


def test_symmetric_crystals_have_the_space_group_asked_for():
    pool, _ = make({'Si': 8}, 20, space_groups=(62, 194), proportions={'symmetric': 1})
    for atoms in pool.to_atoms():
        cell = (atoms.cell.array, atoms.get_scaled_positions(), atoms.numbers)
        operations = spglib.get_symmetry_dataset(cell, symprec=1e-4).rotations
        assert len(operations) >= 8


def test_airss_crystals_have_symmetry_and_plain_ones_have_none():
    counts = {}
    for kind in ('airss', 'p1'):
        pool, _ = make({'Si': 8}, 60, proportions={kind: 1})
        counts[kind] = [
            len(spglib.get_symmetry_dataset((a.cell.array, a.get_scaled_positions(), a.numbers), 1e-4).rotations)
            for a in pool.to_atoms()
        ]
    assert set(counts['p1']) == {1}
    assert {2, 3, 4, 6} <= set(counts['airss'])


def test_same_seed_gives_the_same_bits_and_another_seed_another_pool(kind):
    pools = [make({'Na': 2, 'Cl': 2}, 12, seed, proportions={kind: 1})[0] for seed in (5, 5, 6)]
    assert pools[0].equals(pools[1])
    assert not np.array_equal(pools[0].cells, pools[2].cells)


def test_longer_pool_begins_with_the_shorter_one():
    short, long = (make({'Si': 4}, n, formula_units=(1, 2))[0] for n in (25, 60))
    assert long.select(range(25)).equals(short)


def test_longer_pool_begins_with_the_shorter_one_also_when_a_kind_is_exhausted():
    values = {'space_groups': (221,), 'proportions': {'symmetric': 1, 'p1': 1}, 'max_attempts': 10}
    pools = [make({'Si': 1}, n, **values) for n in (10, 30)]
    assert pools[1][0].select(range(10)).equals(pools[0][0])
    assert len(pools[1][0]) == 30
    # One atom in a simple cubic cell: whatever the volume, there is one such crystal.
    assert pools[1][1].made['symmetric'] == 1
    assert 'duplicate' in pools[1][1].notes[0]


def test_kinds_come_in_proportion_and_have_names_of_their_own():
    pool, report = make({'Si': 4}, 40, proportions={'symmetric': 2, 'p1': 1, 'airss': 1}, origin_prefix='c03-')
    assert report.made == {'symmetric': 20, 'p1': 10, 'airss': 10}
    assert len(set(pool.origin)) == 40
    assert {name[: name.rindex('-')] for name in pool.origin} == {'c03-sym', 'c03-p1', 'c03-airss'}


def test_no_two_crystals_of_a_pool_are_equal():
    pool, report = make({'Si': 2}, 60, space_groups=tuple(range(195, 231)), proportions={'symmetric': 1})
    assert report.refused['symmetric']['duplicate'] > 0
    primitive = [
        spglib.standardize_cell((a.cell.array, a.get_scaled_positions(), a.numbers), True) for a in pool.to_atoms()
    ]
    diamonds = [
        cell for cell in primitive if spglib.get_symmetry_dataset(cell, 1e-4).number == 227 and len(cell[2]) == 2
    ]
    assert len(diamonds) <= 1


def test_own_structures_come_first_as_they_are_and_keep_copies_out():
    diamond, salt = bulk('Si', cubic=True), bulk('NaCl', 'rocksalt', a=5.64)
    supercell = diamond * (2, 1, 1)
    own = Frames.from_atoms([diamond, bulk('Si', a=5.6), supercell, bulk('Si', 'bcc', a=3.1)])
    pool, report = make({'Si': 8}, 5, own=own)
    assert list(pool.origin[:2]) == ['own-000000', 'own-000001']
    assert pool.select([0, 1]).without('origin').equals(own.select([0, 3]))
    assert report.refused['own'] == {'duplicate': 2}
    assert len(pool) == 7
    with pytest.raises(ValueError, match='own structure 1 is NaCl'):
        make({'Si': 8}, 5, own=Frames.from_atoms([diamond, salt]))


def test_own_structures_with_skew_cells_are_the_same_crystals_and_can_be_relaxed():
    diamond = bulk('Si', cubic=True)
    diamond.rattle(0.1, seed=1)
    skew = diamond.copy()
    skew.set_cell(np.array([[0, 1, 0], [1, 5, 0], [-4, 3, 1]]) @ diamond.cell.array)
    given = Frames.from_atoms([skew])
    assert heights(given.cells) < Sanity().height < heights(Frames.from_atoms([diamond]).cells)
    pool, _ = make({'Si': 8}, 0, own=given)
    broken = unphysical(pool.numbers, pool.offsets, pool.positions, pool.cells, pool.volumes, Sanity())
    assert broken == {}
    distances = [np.sort(neighbor_list('d', frames.to_atoms()[0], 6.0)) for frames in (given, pool)]
    assert np.allclose(*distances)


def test_distances_and_volume_that_the_user_gives_are_taken():
    pool, report = make({'Na': 2, 'Cl': 2}, 10, volume_per_atom=40.0, min_distances={'Na-Cl': 2.9})
    assert report.volume_per_atom == 40
    assert report.min_distances['Cl-Na'] == 2.9
    for atoms in pool.to_atoms():
        assert 32 * 4 <= atoms.get_volume() <= 60 * 4 + 1e-6
        assert not len(neighbor_list('i', atoms, {('Na', 'Cl'): 2.9 - 1e-9}))


IMPOSSIBLE = {
    'distance': ({'Si': 8}, {'min_distances': {'Si-Si': 5.0}}, r'minimum distance Si-Si 5.00 Å does not fit into'),
    'unlike': ({'Na': 4, 'Cl': 4}, {'min_distances': {'Na-Cl': 6.0}}, r'minimum distance Cl-Na 6.00 Å does not fit'),
    'volume': ({'Si': 8}, {'volume_per_atom': 2.0}, r'minimum distance Si-Si 1.60 Å does not fit into 1.6–3.0 Å³/atom'),
    'swelling': (
        {'Si': 8},
        {'volume_per_atom': 7.0, 'volume_range': (0.8, 1.2), 'proportions': {'p1': 1}},
        r'Si8 swells beyond 8.4 Å³/atom .* lower `push`, now 1.0, or raise `volume_per_atom`',
    ),
    'lengths': ({'Si': 8}, {'lengths': (2.0, 3.0)}, r'edges between 2.00 and 3.00 Å: widen `lengths`'),
    'angles': ({'Si': 8}, {'angles': (20.0, 25.0), 'proportions': {'p1': 1}}, r'edges|angles between 20° and 25°'),
    'groups': (
        {'Si': 5},
        {'space_groups': (227,), 'proportions': {'symmetric': 1}},
        r'Si5 does not fit on the Wyckoff positions of space groups 227',
    ),
}


@pytest.mark.parametrize(('composition', 'values', 'message'), IMPOSSIBLE.values(), ids=IMPOSSIBLE)
def test_impossible_pool_ends_and_names_the_constraint(composition, values, message):
    with pytest.raises(PoolError, match=message):
        make(composition, 1000, **values)


def test_kind_that_gives_nothing_is_noted_and_the_others_fill_up():
    pool, report = make({'Si': 5}, 10, space_groups=(227,), proportions={'symmetric': 1, 'p1': 1})
    assert len(pool) == report.made['p1'] == 10
    assert 'does not fit on the Wyckoff positions' in report.notes[0]


def test_kind_that_gives_only_what_is_there_already_is_noted_as_that():
    own = Frames.from_atoms([bulk('Si', 'sc', a=2.6)])
    pool, report = make({'Si': 1}, 5, own=own, space_groups=(221,), proportions={'symmetric': 1, 'p1': 1})
    assert len(pool) == 6
    assert 'equal others of the pool, but for their volume: give other `space_groups`' in report.notes[0]


@pytest.mark.parametrize(
    ('values', 'message'),
    [
        ({'n_structures': -1}, '`n_structures` is -1'),
        ({'n_structures': 'many'}, '`n_structures` is many'),
        ({'formula_units': []}, 'formula_units'),
        ({'formula_units': [0]}, 'formula_units'),
        ({'proportions': {'cubic': 1}}, 'symmetric, p1, airss'),
        ({'proportions': {'p1': 0}}, 'not all of them 0'),
        ({'volume_range': [1.5, 0.8]}, 'two ascending numbers'),
        ({'volume_per_atom': -1}, 'number > 0'),
        ({'min_distances': {'Si-O': 1.0}}, 'of the elements of Si'),
        ({'min_distances': {'Si': 1.0}}, 'Si-Si'),
        ({'angles': [60, 190]}, 'between 0 and 180'),
        ({'space_groups': [231]}, 'from 1 to 230'),
        ({'colour': 'blue'}, 'colour unknown'),
        ({'composition': 'Xx2'}, 'no chemical element'),
    ],
)
def test_bad_value_is_refused_by_name(values, message):
    with pytest.raises(ValueError, match=message):
        PoolSpec.from_parameters({'composition': {'Si': 1}, 'n_structures': 1, **values})


def test_pool_of_nothing_is_empty():
    pool, report = make({'Si': 2}, 0)
    assert len(pool) == 0
    assert report.as_dict()['attempts'] == {}
