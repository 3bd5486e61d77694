import numpy as np
import pytest

from aiida_prospect.common.frames import Frames
from aiida_prospect.methods.pool.generate import generate, generate_from_parameters
from aiida_prospect.methods.pool.spec import PoolSpec
from aiida_prospect.methods.refill import (
    check_prefix,
    is_new,
    origin_prefix,
    refill,
    refill_from_parameters,
    surplus,
)

SPEC = PoolSpec({'Si': 4}, 10)


@pytest.fixture
def pool():
    frames, _ = generate(SPEC, np.random.default_rng(0))
    return frames.replace(energy=np.arange(10.0)[::-1], steps=np.full(10, 7), status=np.full(10, 'converged'))


def test_lowest_frames_of_each_cluster_stay():
    labels = np.array([0, 1, 0, -1, 0, 1, -2, 0])
    energies = np.array([3.0, 5.0, 1.0, 0.0, np.nan, 4.0, 9.0, 2.0])
    np.testing.assert_array_equal(np.flatnonzero(surplus(labels, energies, 2)), [0, 3, 4])
    np.testing.assert_array_equal(np.flatnonzero(surplus(labels, energies, 1)), [0, 1, 3, 4, 7])
    np.testing.assert_array_equal(np.flatnonzero(surplus(labels, None, 2)), [3, 4, 7])


def test_uncertain_frames_make_room_where_nothing_was_learnt():
    labels = np.array([0, 1, 0, -1, 0, 1, -2, 0])
    assert np.flatnonzero(surplus(labels, None, 4, keep_uncertain=False)).tolist() == [3, 6]
    assert np.flatnonzero(surplus(labels, None, 2, limit=1, keep_uncertain=False)).tolist() == [3]
    assert np.flatnonzero(surplus(labels, None, 2, limit=2, keep_uncertain=False)).tolist() == [3, 6]


def test_frames_that_stay_do_so_with_all_that_is_known(pool):
    marked = np.isin(np.arange(10), [2, 5, 9])
    filled, report = refill(
        pool, marked, PoolSpec({'Si': 4}, 0, formula_units=(2,), origin_prefix='c01-'), np.random.default_rng(1)
    )
    assert filled.select(~marked).equals(pool.select(~marked))
    assert report.requested == 3
    fresh = filled.select(marked)
    assert np.all(np.isnan(fresh.energy))
    assert set(fresh.status) == {''}
    assert set(fresh.steps) == {-1}
    assert all(name.startswith('c01-') for name in fresh.origin)
    assert fresh.formulas == ['Si8'] * 3
    assert len(set(filled.origin)) == 10


def test_nothing_marked_changes_nothing(pool):
    filled, _ = refill(pool, np.zeros(10, dtype=bool), SPEC, np.random.default_rng(1))
    assert filled.equals(pool)


def test_what_a_lost_job_left_as_it_was_stays(pool):
    lost = np.arange(10) % 2 == 1
    status, energy = np.where(lost, 'unfinished', 'unphysical'), np.where(lost, np.nan, pool.energy)
    values = {'composition': {'Si': 4}, 'n_structures': 10, 'seed': 1, 'cycle': 3, 'keep_share': 1.0}
    filled, _ = refill_from_parameters(
        pool.replace(status=status, energy=energy), np.full(10, -1), {**values, 'keep_per_cluster': 1, 'max_new': 3}
    )
    fresh = np.array([name.startswith('c03-') for name in filled.origin])
    assert fresh.sum() == 3
    assert not np.any(fresh & lost)


def test_own_structures_stay_as_long_as_they_are_no_minima(pool):
    own = pool.replace(
        origin=[f'own-{i:06d}' if i < 4 else f'p1-{i:06d}' for i in range(10)], status=['unphysical'] * 10
    )
    values = {'composition': {'Si': 4}, 'n_structures': 10, 'seed': 1, 'cycle': 3, 'keep_share': 1.0}
    # The ensemble disagrees about the second; the last two of the own ones are copies of one minimum.
    labels = np.array([-1, -2, 0, 0] + [-1] * 6)
    values |= {'keep_per_cluster': 1, 'keep_uncertain': False}
    filled, _ = refill_from_parameters(own, labels, values)
    assert [name for name in filled.origin if name.startswith('own')] in (
        [f'own-{i:06d}' for i in (0, 1, 2)],
        [f'own-{i:06d}' for i in (0, 1, 3)],
    )


@pytest.mark.parametrize('cycle', [0, 1, 12, 123])
def test_no_pool_may_begin_with_what_a_cycle_puts_before_its_crystals(cycle):
    with pytest.raises(ValueError, match='`origin_prefix`'):
        check_prefix(origin_prefix(cycle))
    for allowed in ('', 'mine-', 'c1-', f'x{origin_prefix(cycle)}'):
        check_prefix(allowed)


@pytest.mark.parametrize('prefix', ['', 'mine-'])
def test_own_structures_that_collapsed_are_as_they_were_given(pool, prefix):
    given = pool.select([0, 1, 2, 1, 3])
    given = Frames(given.numbers, given.offsets, given.positions, given.cells)
    spec = {'composition': {'Si': 4}, 'n_structures': 3, 'seed': 5}
    begun, _ = generate_from_parameters({**spec, 'origin_prefix': prefix}, given)
    labels = np.array([-1, 0, -1, -1, -1, 1, 2])
    # The last of the own ones was not relaxed, because its job was lost: it goes on from where it is.
    status = ['unphysical', 'converged', 'unphysical', 'unfinished', 'unphysical', 'converged', 'converged']
    relaxed = begun.replace(
        positions=0.5 * begun.positions, cells=0.5 * begun.cells, status=status, energy=np.full(7, -1.0)
    )
    values = {**spec, 'cycle': 3, 'keep_share': 1.0, 'keep_per_cluster': 1, 'origin_prefix': prefix}
    filled, _ = refill_from_parameters(relaxed, labels, values, given)
    back, stays = [0, 2], [1, 3, 5, 6]
    assert filled.select(back).origin.tolist() == begun.select(back).origin.tolist()
    assert np.array_equal(filled.select(back).positions, begun.select(back).positions)
    assert np.array_equal(filled.select(back).cells, begun.select(back).cells)
    assert np.isnan(filled.select(back).energy).all()
    assert set(filled.select(back).status) == {''}
    assert filled.select(stays).equals(relaxed.select(stays))
    assert filled.origin[4].startswith('c03-')
    unknown, _ = refill_from_parameters(relaxed, labels, values)
    assert unknown.select(back).equals(relaxed.select(back))


def test_misuse_is_refused(pool):
    with pytest.raises(ValueError, match='another `origin_prefix`'):
        refill(pool, np.ones(10, dtype=bool), SPEC, np.random.default_rng(1))
    with pytest.raises(ValueError, match='mask'):
        refill(pool, np.ones(3, dtype=bool), SPEC, np.random.default_rng(1))
    with pytest.raises(ValueError, match='keep_per_cluster'):
        surplus(np.zeros(3, dtype=int), None, 0)
    with pytest.raises(ValueError, match='another pool'):
        surplus(np.zeros(3, dtype=int), np.zeros(2), 1)
    for share in (0.0, 1.5):
        with pytest.raises(ValueError, match='keep_share'):
            surplus(np.zeros(3, dtype=int), None, 1, share)


def test_with_a_limit_unusable_frames_go_first_and_then_the_highest_copies():
    labels = np.array([0, 1, 0, -1, 0, 1, -2, 0])
    energies = np.array([3.0, 5.0, 1.0, 0.0, np.nan, 4.0, 9.0, 2.0])
    every = surplus(labels, energies, 1)
    for limit, expected in ((0, []), (1, [3]), (2, [3, 4]), (3, [0, 3, 4]), (9, np.flatnonzero(every).tolist())):
        assert np.flatnonzero(surplus(labels, energies, 1, limit=limit)).tolist() == expected


def test_the_highest_clusters_make_room_after_unusable_frames_and_copies():
    labels = np.array([4, 0, 1, -1, 2, 0, -2, 3, 5, 0])
    energies = np.array([5.0, 1.0, 2.0, 0.0, 3.0, 1.1, 0.0, 4.0, 6.0, 1.2])
    assert np.flatnonzero(surplus(labels, energies, 2, 0.3)).tolist() == [0, 3, 7, 8, 9]
    assert np.flatnonzero(surplus(labels, energies, 2, 0.25)).tolist() == [0, 3, 7, 8, 9]
    for limit, expected in ((1, [3]), (2, [3, 9]), (3, [3, 8, 9]), (4, [0, 3, 8, 9])):
        assert np.flatnonzero(surplus(labels, energies, 2, 0.3, limit)).tolist() == expected


def test_what_is_new_in_a_cycle(pool):
    parameters = {
        'composition': {'Si': 4},
        'seed': 1,
        'keep_per_cluster': 1,
        'keep_share': 0.5,
        'n_structures': 10,
        'max_new': None,
    }
    filled, _ = refill_from_parameters(pool, np.arange(10), {**parameters, 'cycle': 3})
    assert np.flatnonzero(is_new(filled, 3)).tolist() == [5, 6, 7, 8, 9]
    assert not is_new(filled, 2).any()
    assert is_new(pool, 0).all()
