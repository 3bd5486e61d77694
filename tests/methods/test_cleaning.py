import numpy as np
import pytest
from ase import Atoms

from aiida_prospect.common.frames import Frames
from aiida_prospect.methods.cleaning import RULES, clean, clean_sets
from aiida_prospect.workflows.protocols import load_protocol

DEFAULTS = load_protocol('train_ensemble')['cleaning']


def crystals(n_frames, *, distance=2.0, symbol='Si'):
    structure = Atoms([symbol] * 2, positions=[(0, 0, 0), (0, 0, distance)], cell=np.diag([5.0, 5.0, 8.0]), pbc=True)
    return Frames.from_atoms([structure] * n_frames)


def gaussian_labels(n_frames, rng, *, mean=-4.0):
    frames = crystals(n_frames)
    stress = rng.normal(0, 0.02, (n_frames, 3, 3))
    return frames.replace(
        energy=2 * rng.normal(mean, 0.2, n_frames),
        forces=rng.normal(0, 1.0, (2 * n_frames, 3)),
        stress=stress + stress.transpose(0, 2, 1),
        status=['ok'] * n_frames,
    )


@pytest.mark.parametrize('n_frames', [1, 3, 50])
def test_identical_frames_are_all_kept(n_frames):
    frames = gaussian_labels(1, np.random.default_rng(0))
    same = Frames.concatenate([frames] * n_frames)
    strict = {
        'energy_outlier': {'factor': 0, 'at_least': 1e-9, 'factor_below': 0, 'at_least_below': 1e-9},
        'force_excess': {'sigmas': 0, 'at_least': 1e-9},
        'stress_excess': {'sigmas': 0, 'at_least': 1e-9},
    }
    assert clean(same, {**DEFAULTS, **strict}) == [''] * n_frames


@pytest.mark.parametrize('n_frames', [5, 30, 300])
def test_gaussian_labels_lose_next_to_nothing(n_frames):
    frames = gaussian_labels(n_frames, np.random.default_rng(n_frames))
    relative_only = {
        'energy_outlier': {'factor': 2, 'at_least': 0, 'factor_below': 10, 'at_least_below': 0},
        'force_outlier': {'factor': 10, 'at_least': 0},
        'force_excess': {'sigmas': 3, 'at_least': 0},
        'stress_excess': {'sigmas': 3, 'at_least': 0},
    }
    lost = [reason for reason in clean(frames, {**DEFAULTS, **relative_only}) if reason]
    assert len(lost) <= 0.05 * n_frames
    assert clean(frames, DEFAULTS) == [''] * n_frames


def test_the_ground_state_among_random_crystals_is_kept():
    frames = gaussian_labels(60, np.random.default_rng(1))
    energy = frames.energy.copy()
    energy[7] = 2 * -5.4
    assert clean(frames.replace(energy=energy), DEFAULTS)[7] == ''


def test_random_crystals_among_minima_are_kept():
    rng = np.random.default_rng(2)
    minima, random = gaussian_labels(90, rng, mean=-5.4), gaussian_labels(10, rng)
    minima = minima.replace(
        energy=minima.energy * 1e-3 - 10.8, forces=minima.forces * 0.01, stress=minima.stress * 0.01
    )
    random = random.replace(energy=2 * np.linspace(-4.9, -4.5, 10), forces=random.forces * 3)
    assert not any(clean(Frames.concatenate([minima, random]), DEFAULTS))


def spoiled(**changes):
    frames = gaussian_labels(40, np.random.default_rng(3))
    values = {name: getattr(frames, name).copy() for name in changes}
    for name, value in changes.items():
        values[name][5 if name == 'energy' or name == 'stress' else 10] = value
    return frames.replace(**values)


@pytest.mark.parametrize(
    ('rule', 'frames', 'words'),
    [
        ('energy_outlier', spoiled(energy=1e4), 'eV/atom, outside'),
        ('energy_outlier', spoiled(energy=-1e4), 'eV/atom, outside'),
        ('max_force', spoiled(forces=[600.0, 0, 0]), 'a force of 600.0'),
        ('force_outlier', spoiled(forces=[60.0, 0, 0]), 'a force component'),
        ('force_outlier', spoiled(forces=[0, -60.0, 0]), 'a force component'),
        ('force_excess', spoiled(forces=[60.0, 0, 0]), 'the largest force is 60'),
        ('stress_excess', spoiled(stress=np.eye(3)), 'the largest stress component'),
        ('stress_excess', spoiled(stress=-np.eye(3)), 'the largest stress component'),
    ],
)
def test_each_rule_finds_its_frame_alone_and_can_be_switched_off(rule, frames, words):
    reasons = clean(frames, {rule: DEFAULTS[rule]})
    assert words in reasons[5]
    assert [bool(reason) for reason in reasons].count(True) == 1
    assert not any(clean(frames, {rule: None}))
    assert not any(clean(frames, {}))


def test_colliding_atoms_are_rejected_also_across_the_boundary():
    close = Atoms('Si2', positions=[(0, 0, 0.1), (0, 0, 7.7)], cell=np.diag([5.0, 5.0, 8.0]), pbc=True)
    good = gaussian_labels(4, np.random.default_rng(0))
    bad = gaussian_labels(1, np.random.default_rng(0)).replace(positions=close.positions)
    reasons = clean(Frames.concatenate([good, bad]), {'min_distance': 0.6})
    assert reasons[:4] == [''] * 4
    assert reasons[4] == 'two atoms are 0.400 Å apart, less than 0.6 Å'


def test_what_is_no_label_is_always_rejected():
    frames = gaussian_labels(4, np.random.default_rng(0))
    energy, forces = frames.energy.copy(), frames.forces.copy()
    energy[1], forces[5, 1] = np.nan, np.inf
    frames = frames.replace(energy=energy, forces=forces, status=['ok', 'ok', 'ok', 'unconverged'])
    infinite = gaussian_labels(1, np.random.default_rng(1)).replace(stress=np.full((1, 3, 3), -np.inf))
    reasons = clean(Frames.concatenate([infinite, frames]), {})
    assert reasons == [
        'the stress is infinite',
        '',
        'the energy is not a finite number',
        'a force is not a finite number',
        'the label is `unconverged`',
    ]


def test_compositions_are_judged_by_themselves():
    silicon = gaussian_labels(20, np.random.default_rng(0))
    gold = gaussian_labels(20, np.random.default_rng(1), mean=-104.0)
    assert not any(clean(Frames.concatenate([silicon, gold.replace(numbers=np.full(40, 79))]), DEFAULTS))


def test_cells_of_one_composition_are_judged_together():
    """Three of each size are too few to tell what is odd; six are enough."""
    small, large = (gaussian_labels(3, np.random.default_rng(seed)) for seed in (0, 1))
    large = Frames.from_atoms([atoms.repeat((2, 1, 1)) for atoms in large.to_atoms()], energy=2 * large.energy)
    large = large.replace(forces=np.zeros((12, 3)), status=['ok'] * 3, energy=large.energy + np.array([0, 4e4, 0]))
    reasons = clean(Frames.concatenate([small, large]), {'energy_outlier': DEFAULTS['energy_outlier']})
    assert [index for index, reason in enumerate(reasons) if reason] == [4]
    assert reasons[4].endswith('(all of Si)')


def test_what_a_rule_has_rejected_the_next_ones_do_not_see():
    frames = gaussian_labels(40, np.random.default_rng(3))
    energy, forces = frames.energy.copy(), frames.forces.copy()
    energy[7], forces[0], forces[20] = 1e4, [1e6, 0, 0], [60, 0, 0]
    status = np.where(np.arange(40) == 3, 'failed', 'ok')
    reasons = clean(frames.replace(energy=energy, forces=forces, status=status), DEFAULTS)
    expected = {0: 'a force of 1000000.0', 3: 'the label is', 7: '5000.000 eV/atom', 10: 'a force component of'}
    assert [index for index, reason in enumerate(reasons) if reason] == list(expected)
    assert all(reasons[index].startswith(words) for index, words in expected.items())


def test_reasons_are_told_by_set_and_frame():
    sets = {
        'b': gaussian_labels(3, np.random.default_rng(0)).replace(status=['failed', 'ok', 'rejected']),
        'a': gaussian_labels(4, np.random.default_rng(1)).replace(status=['ok', 'unconverged', 'ok', 'ok']),
    }
    assert clean_sets(sets, DEFAULTS) == {
        'rejected': {
            'a': {'1': 'the label is `unconverged`'},
            'b': {'0': 'the label is `failed`', '2': 'the label is `rejected`'},
        },
        'n_frames': {'a': 4, 'b': 3},
        'n_accepted': 4,
    }


def test_misspelt_rules_are_refused():
    frames = gaussian_labels(4, np.random.default_rng(0))
    with pytest.raises(ValueError, match=f'maxforce; known: {", ".join(RULES)}'):
        clean(frames, {'maxforce': 3})
    with pytest.raises(ValueError, match='force_excess'):
        clean(frames, {'force_excess': {'sigma': 3}})


def test_no_frames():
    assert clean(Frames.empty(), DEFAULTS) == []
