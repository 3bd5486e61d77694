import json

import numpy as np
import pytest

from aiida_prospect.common.frames import Frames
from aiida_prospect.methods.clusters import cluster
from aiida_prospect.methods.convergence import ConvergenceSettings, assess, falls_of_lowest
from aiida_prospect.methods.fingerprints import fingerprints

SETTINGS = ConvergenceSettings(n_clusters=3, max_fall=0.01, max_error=0.02)


@pytest.fixture
def found(silicon_phases):
    """Return a relaxed pool whose minima were there before: two copies of five phases, 0.05 eV/atom apart."""
    structures = [atoms for atoms in list(silicon_phases.values())[3:8] for _ in range(2)]
    energy = np.array([len(atoms) * (-5 + 0.05 * (i // 2) + 1e-4 * (i % 2)) for i, atoms in enumerate(structures)])
    n_atoms = np.array([len(atoms) for atoms in structures])
    return Frames.from_atoms(
        structures, energy=energy, energy_initial=energy + 0.001 * n_atoms, status=['converged'] * len(structures)
    )


def judge(pool, labels, previous=None, settings=SETTINGS, new=None):
    points = fingerprints(pool)
    spectra = {name: fingerprints(frames, pool.elements) for name, frames in labels.items()}
    assessment = assess(pool, cluster(pool, points), points, labels, spectra, settings, previous, new)
    json.dumps(assessment, allow_nan=False)
    return assessment


def labels_at(pool, indices, error=0.0, status='ok'):
    chosen = pool.select(indices).without('energy_initial')
    return chosen.replace(energy=chosen.energy + error * chosen.n_atoms, status=[status] * len(indices))


def test_stable_and_confirmed_is_converged(found):
    assessment = judge(found, {'cycle_00': labels_at(found, [0, 2]), 'cycle_01': labels_at(found, [4, 6])})
    assert assessment['converged']
    assert assessment['stability']['largest_fall'] == pytest.approx(0.001)
    assert assessment['confirmation']['n_confirmed'] == 3
    assert [item['label_set'] for item in assessment['confirmation']['minima']] == ['cycle_00', 'cycle_00', 'cycle_01']
    assert assessment['n_labels'] == 4
    assert assessment['n_clusters'] == 5
    assert assessment['pool'] == {'converged': 10}
    assert 'fell by at most 1.0 meV/atom' in assessment['reason']
    assert '3 of 3 are confirmed' in assessment['reason']


def test_missing_label_forbids_to_stop(found):
    assessment = judge(found, {'cycle_00': labels_at(found, [0, 4])})
    assert not assessment['converged']
    assert assessment['stability']['stable']
    assert assessment['confirmation']['n_without_label'] == 1
    assert '1 without a label' in assessment['reason']


def test_no_labels_at_all(found):
    assert not judge(found, {})['converged']


def test_failed_label_confirms_nothing(found):
    labels = Frames.concatenate([labels_at(found, [0, 2]), labels_at(found, [4], status='unconverged')])
    assert not judge(found, {'cycle_00': labels})['converged']


@pytest.mark.parametrize(('error', 'converged'), [(0.019, True), (-0.019, True), (0.021, False), (-0.021, False)])
def test_label_that_disagrees_forbids_to_stop(found, error, converged):
    assessment = judge(found, {'cycle_00': labels_at(found, [0, 2, 4], error)})
    assert assessment['converged'] is converged
    assert assessment['confirmation']['largest_error'] == pytest.approx(abs(error))


@pytest.mark.parametrize(('strain', 'converged'), [(0.008, True), (0.03, False)])
def test_label_of_a_minimum_that_moved(found, strain, converged):
    """From cycle to cycle a lattice constant changes a little; what has swollen by 9 % is another structure."""
    labels = labels_at(found, [0, 2, 4])
    labels = labels.replace(positions=labels.positions * (1 + strain), cells=labels.cells * (1 + strain))
    assert judge(found, {'cycle_00': labels})['converged'] is converged


def test_of_labels_at_the_same_place_the_later_counts(found):
    wrong, right = labels_at(found, [0, 2, 4], 0.05), labels_at(found, [0, 2, 4])
    assert judge(found, {'cycle_00': wrong, 'cycle_01': right})['converged']
    assert not judge(found, {'cycle_00': right, 'cycle_01': wrong})['converged']


def test_the_largest_error_is_told(found):
    labels = {
        f'cycle_{cycle:02d}': labels_at(found, [2 * cycle], error) for cycle, error in enumerate((0, -0.019, 0.01))
    }
    assessment = judge(found, labels)
    assert assessment['confirmation']['largest_error'] == pytest.approx(0.019)
    assert 'the largest error is 19.0 meV/atom' in assessment['reason']


def test_the_ensemble_is_calibrated_with_the_labels_that_it_had_not_seen(found):
    before = labels_at(found, range(10))
    predicted = {'energy_initial': before.energy, 'energy_spread': 0.1 * before.n_atoms}
    last = labels_at(found, range(6), 0.02).replace(**{name: value[:6] for name, value in predicted.items()})
    calibration = judge(found, {'cycle_00': before.replace(**predicted), 'cycle_01': last})['calibration']
    assert calibration['n_labels'] == 6
    assert calibration['error'] == pytest.approx(0.02)


def test_lower_cluster_that_appeared_forbids_to_stop(found):
    """The last phase becomes the lowest: it was at +0.2 eV/atom before this relaxation."""
    energy = found.energy.copy()
    energy[8:] -= 0.25 * found.n_atoms[8:]
    pool = found.replace(energy=energy)
    assessment = judge(pool, {'cycle_00': labels_at(pool, range(10))})
    assert assessment['confirmation']['confirmed']
    assert not assessment['converged']
    assert assessment['stability']['largest_fall'] == pytest.approx(0.051, abs=1e-3)


def test_basin_found_by_one_more_frame_is_no_fall(found):
    """A frame that came down from far into a minimum which was there already changes nothing."""
    initial = found.energy_initial.copy()
    initial[1] += 1.0 * found.n_atoms[1]
    pool = found.replace(energy_initial=initial)
    assert judge(pool, {'cycle_00': labels_at(pool, [0, 2, 4])})['converged']


def test_new_ensemble_alone_is_no_fall(found):
    """All energies shifted: before and after are evaluated with the same ensemble."""
    shift = -0.3 * found.n_atoms
    pool = found.replace(energy=found.energy + shift, energy_initial=found.energy_initial + shift)
    assert judge(pool, {'cycle_00': labels_at(pool, [0, 2, 4])})['stability']['stable']


def test_unknown_past_forbids_to_stop(found):
    assessment = judge(found.without('energy_initial'), {'cycle_00': labels_at(found, [0, 2, 4])})
    assert not assessment['converged']
    assert 'not known' in assessment['reason']


def test_patience(found):
    settings = ConvergenceSettings(n_clusters=3, patience=2)
    labels = {'cycle_00': labels_at(found, [0, 2, 4])}
    first = judge(found, labels, settings=settings)
    assert not first['converged']
    second = judge(found, labels, first, settings)
    assert second['converged']
    restless = judge(found.replace(energy_initial=found.energy_initial + 1), labels, first, settings)
    assert restless['stability']['quiet_cycles'] == 0


def test_new_crystals_must_have_been_relaxed_to_an_end(found):
    settings = ConvergenceSettings(n_clusters=3, n_explored=8)
    labels = {'cycle_00': labels_at(found, [0, 2, 4])}
    new = np.arange(10) >= 4
    pool = found.replace(status=np.where(np.arange(10) == 9, 'unphysical', 'converged'))
    first = judge(pool, labels, settings=settings, new=new)
    assert (first['converged'], first['needs_labels'], first['stability']['explored']) == (False, False, 5)
    assert 'relaxed in them: 5 (needed: 8)' in first['reason']
    second = judge(pool, labels, first, settings, new)
    assert (second['converged'], second['stability']['explored']) == (True, 10)
    fallen = judge(pool.replace(energy_initial=pool.energy_initial + 1), labels, first, settings, new)
    assert (fallen['converged'], fallen['needs_labels'], fallen['stability']['explored']) == (False, True, 0)


def test_no_end_while_a_part_of_the_pool_was_not_relaxed(found):
    labels = {'cycle_00': labels_at(found, [0, 2, 4])}
    assert judge(found, labels)['converged']
    lost = np.arange(10) == 9
    pool = found.replace(status=np.where(lost, 'unfinished', 'converged'), energy=np.where(lost, np.nan, found.energy))
    assessment = judge(pool, labels)
    assert (assessment['converged'], assessment['needs_labels']) == (False, False)
    assert '1 crystals were not relaxed' in assessment['reason']


def test_a_pool_that_takes_in_no_crystals_needs_none(found):
    settings = ConvergenceSettings(n_clusters=3, n_explored=100)
    labels = {'cycle_00': labels_at(found, [0, 2, 4])}
    assert judge(found, labels, settings=settings, new=np.zeros(10, dtype=bool))['converged']


def test_where_no_new_crystal_comes_to_an_end_the_ensemble_must_learn_more(found):
    settings = ConvergenceSettings(n_clusters=3, n_explored=100)
    new = np.arange(10) == 9
    pool = found.replace(status=np.where(new, 'unphysical', 'converged'))
    assessment = judge(pool, {'cycle_00': labels_at(found, [0, 2, 4])}, settings=settings, new=new)
    assert (assessment['converged'], assessment['needs_labels']) == (False, True)


def test_unconfirmed_minima_need_labels(found):
    settings = ConvergenceSettings(n_clusters=3, n_explored=100)
    assessment = judge(found, {'cycle_00': labels_at(found, [0, 2])}, settings=settings, new=np.ones(10, dtype=bool))
    assert assessment['needs_labels']


def test_fewer_clusters_than_asked_for(found):
    pool = found.select([0, 1])
    assert judge(pool, {'cycle_00': labels_at(pool, [0])})['converged']


def test_pool_without_minima(found):
    pool = found.replace(status=['unphysical'] * len(found))
    assessment = judge(pool, {'cycle_00': labels_at(found, [0])})
    assert not assessment['converged']
    assert 'there is no minimum' in assessment['reason']


def test_compositions_are_ranked_apart(salts, found):
    """A fall of NaCl is seen beside silicon that does not fall."""
    salt = Frames.from_atoms([salts['rock salt']], energy=[-4.0], energy_initial=[-3.9], status=['converged'])
    pool = Frames.concatenate([found.select([0, 2]), salt])
    points = fingerprints(pool)
    clusters = cluster(pool, points)
    falls = dict(zip(clusters.representatives.tolist(), falls_of_lowest(pool, clusters, 3), strict=True))
    assert falls == pytest.approx({0: 0.001, 1: 0.001, 2: 0.05})


def test_best_labels_and_rejected_ones(found):
    labels = labels_at(found, [0, 2]).replace(status=['ok', 'rejected'])
    assessment = judge(found, {'cycle_00': labels})
    formula = found.formulas[0]
    assert assessment['best_labels'] == {
        formula: {'energy': pytest.approx(-5), 'label_set': 'cycle_00', 'label_frame': 0}
    }
    assert assessment['n_labels'] == 1
    assert assessment['labels'] == {'ok': 1, 'rejected': 1}


def test_lowest_label_of_each_formula_is_the_best_of_all_cycles(found):
    """Frames 2 to 7 are phases of one atom per cell, 0.05 eV/atom apart, 0 and 1 one of four."""
    labels = {'cycle_00': labels_at(found, [6, 4]), 'cycle_01': labels_at(found, [0, 5, 2, 7])}
    best = judge(found, labels)['best_labels']
    assert best['Si'] == {'energy': pytest.approx(-4.95), 'label_set': 'cycle_01', 'label_frame': 2}
    assert best['Si4'] == {'energy': pytest.approx(-5), 'label_set': 'cycle_01', 'label_frame': 0}


def test_bad_settings():
    with pytest.raises(ValueError, match='at least 1'):
        ConvergenceSettings(n_clusters=0)
    with pytest.raises(ValueError, match='n_explored'):
        ConvergenceSettings(n_explored=-1)
