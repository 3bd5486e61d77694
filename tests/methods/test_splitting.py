import numpy as np
import pytest

from aiida_prospect.methods.splitting import split_by_origin
from aiida_prospect.methods.training_set import divide, gather, usable


def of_origins(generate_frames, names):
    return generate_frames('Si2', len(names)).replace(origin=names)


@pytest.mark.parametrize('seed', range(5))
def test_no_origin_is_on_both_sides(generate_frames, seed):
    rng = np.random.default_rng(seed)
    frames = of_origins(generate_frames, [f'p1-{i}' for i in rng.integers(0, 20, 60)])
    held_back = split_by_origin(frames, 0.2, seed)
    assert held_back.any()
    assert not set(frames.origin[held_back]) & set(frames.origin[~held_back])


def test_about_the_asked_for_share_is_held_back(generate_frames):
    frames = of_origins(generate_frames, [f'p1-{i}' for i in range(400)])
    assert 0.15 < split_by_origin(frames, 0.2, 0).mean() < 0.25


def test_origins_stay_on_their_side_when_others_are_added(generate_frames):
    frames = of_origins(generate_frames, [f'p1-{i}' for i in range(100)])
    before, after = split_by_origin(frames.select(range(50)), 0.2, 1), split_by_origin(frames, 0.2, 1)
    assert np.array_equal(before, after[:50])


@pytest.mark.parametrize(('n_origins', 'least'), [(1, 0), (4, 0), (5, 1), (9, 1)])
def test_few_origins(generate_frames, n_origins, least):
    frames = of_origins(generate_frames, [f'p1-{i}' for i in range(n_origins)])
    for seed in range(20):
        assert least <= split_by_origin(frames, 0.05, seed).sum() <= max(least, n_origins // 2)


def test_frames_without_origin_count_singly(generate_frames):
    frames = generate_frames('Si2', 40).without('origin')
    assert 0 < split_by_origin(frames, 0.2, 0).sum() < 20


def test_equal_seeds_split_equally(generate_frames):
    frames = of_origins(generate_frames, [f'p1-{i}' for i in range(60)])
    assert np.array_equal(split_by_origin(frames, 0.2, 3), split_by_origin(frames, 0.2, 3))
    assert not np.array_equal(split_by_origin(frames, 0.2, 3), split_by_origin(frames, 0.2, 4))
    with pytest.raises(ValueError, match='fraction'):
        split_by_origin(frames, 1.0, 0)


def test_gather_takes_only_usable_frames_that_are_not_rejected(generate_frames):
    frames = generate_frames('Si2', 6, labelled=True)
    energy = frames.energy.copy()
    energy[2] = np.nan
    frames = frames.replace(energy=energy, status=['ok', 'failed', 'ok', 'ok', 'ok', 'ok'])
    assert usable(frames).tolist() == [True, False, False, True, True, True]
    assert not usable(frames.without('forces')).any()
    kept = gather({'b': frames, 'a': frames.without('energy')}, {'b': [4]})
    assert kept.origin.tolist() == [frames.origin[i] for i in (0, 3, 5)]
    assert kept.status is None


def test_members_share_validation_frames_but_not_noise(generate_frames):
    frames = generate_frames('Si2', 40, labelled=True)
    parameters = {'validation': {'fraction': 0.2, 'seed': 0}, 'augmentation': {'share': 0.3, 'displacement': 0.03}}
    (first, held_first), (second, held_second) = divide(frames, parameters, 1), divide(frames, parameters, 2)
    assert held_first.equals(held_second)
    assert len(first) + len(held_first) == 40
    assert not np.array_equal(first.positions, second.positions)
    assert divide(frames, {}, 0)[1] is None
