import numpy as np
import pytest

from aiida_prospect.methods.ensemble_judgement import judge_members
from aiida_prospect.methods.learning_curve import read_learning_curve, typical_force, unlearned_share

HEADER = '# step rmse_trn rmse_f_trn lr\n# If there is no available reference data, rmse will print nan\n'


def curve(forces):
    return read_learning_curve(HEADER + ''.join(f'{10 * i} 1.0 {force} 1e-3\n' for i, force in enumerate(forces)))


def test_columns_are_named_as_in_the_file():
    read = curve([3, 2, 1])
    assert list(read) == ['step', 'rmse_trn', 'rmse_f_trn', 'lr']
    assert read['rmse_f_trn'].tolist() == [3, 2, 1]


def test_rows_written_twice_by_a_continued_training_count_once():
    read = read_learning_curve(HEADER + '0 1 9 1\n10 1 8 1\n20 1 7 1\n10 1 6 1\n20 1 5 1\n')
    assert read['step'].tolist() == [0, 10, 20]
    assert read['rmse_f_trn'].tolist() == [9, 6, 5]


def test_broken_files_are_refused():
    with pytest.raises(ValueError, match='columns'):
        read_learning_curve(HEADER + '0 1')
    with pytest.raises(ValueError, match='header'):
        read_learning_curve('0 1 2 3')


def test_learning_nothing_leaves_everything_unlearned(generate_frames):
    frames = generate_frames('Si8', 10, labelled=True)
    force = typical_force(frames)
    assert unlearned_share(curve([force] * 8), force) == pytest.approx(1)
    assert unlearned_share(curve([force] * 6 + [force / 10] * 2), force) == pytest.approx(0.1)
    assert np.isnan(unlearned_share({}, force))


def test_a_broken_label_does_not_change_the_typical_force(generate_frames):
    frames = generate_frames('Si8', 11, labelled=True)
    forces = frames.forces.copy()
    forces[:8] *= 1000
    assert typical_force(frames.replace(forces=forces)) < 2 * typical_force(frames)


def test_equal_members_are_all_good():
    errors = {name: {'forces': 0.1, 'energy': 0.01} for name in 'abc'}
    assert judge_members(errors, {'forces': 1.0, 'energy': 1.0}) == {}


def test_a_member_worse_than_the_others_by_the_factor_is_refused():
    errors = {name: {'forces': 0.1} for name in 'abc'} | {'d': {'forces': 0.25}}
    assert list(judge_members(errors, {'forces': 2.0})) == ['d']
    assert 'more than 2.0 times the median 0.1' in judge_members(errors, {'forces': 2.0})['d']
    assert judge_members(errors, {'forces': 3.0}) == {}
    assert judge_members(errors, {}) == {}


def test_no_number_is_never_good():
    assert list(judge_members({'a': {'forces': np.nan}}, {'forces': 2.0})) == ['a']
    assert judge_members({'a': {'forces': 7.0}}, {'forces': 2.0}) == {}
    assert list(judge_members({'a': {'forces': 7.0}, 'b': {'forces': np.inf}}, {'forces': 2.0})) == ['b']
    with pytest.raises(ValueError, match='virial'):
        judge_members({'a': {'forces': 1.0}}, {'virial': 2.0})
