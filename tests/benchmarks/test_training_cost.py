"""The benchmark of trainings: what is made of its results, without any training."""

import json

import numpy as np
import pytest

from aiida_prospect.methods.deepmd_input import build_input
from benchmarks.training_cost import data, ladder
from benchmarks.training_cost.comparable import Stored
from benchmarks.training_cost.jobs import Training
from benchmarks.training_cost.learning import equivalent, scratch_curve
from benchmarks.training_cost.models import has_seen, type_map_of
from benchmarks.training_cost.rows import MACE, POD, ROWS


def of(seconds, error):
    return {'process': {'cpu': seconds}, 'errors': {'validation': {'energy_shifted': error}}}


def test_seconds_to_an_error_lie_between_the_trainings_around_it():
    found = [of(10, 0.4), of(40, 0.1), of(160, 0.2)]
    assert ladder.seconds_to(found, 0.2) == pytest.approx(20)
    assert ladder.seconds_to(found, 0.4) == 10
    assert ladder.seconds_to(found, 0.05) is None


def test_an_error_is_worth_as_many_labels_as_the_power_law_says():
    curve = {30: 0.08, 60: 0.04, 120: 0.05}
    assert equivalent(curve, 0.08) == '≤ 30'
    assert equivalent(curve, 0.08 / 2**0.5) == '42'
    assert equivalent(curve, 0.03) == '> 120'
    assert equivalent({}, 0.03) == '–'


def test_the_best_training_from_scratch_counts():
    found = {
        name: {'labels': labels, 'judged': {'minima_rms': error}}
        for name, labels, error in (('salt_1_060', 60, 0.2), ('salt_2_060', 60, 0.1), ('finetuned_030', 30, 0.0))
    }
    assert scratch_curve(found, 'finetuned_') == {60: 0.1}
    assert scratch_curve(found, 'continued_') == {}


@pytest.mark.parametrize('name', [name for name, row in ROWS.items() if row.program not in (POD, MACE)])
def test_every_row_is_an_input_of_deepmd_kit(name):
    row = ROWS[name]
    settings = Training(parameters=row.parameters).settings()
    built = build_input(settings, type_map_of(row), seed=1, validation=True, warm=bool(row.start))
    assert f'{built["training"]["numb_steps"]:,} steps' in row.model
    assert not row.start or row.start in ROWS
    assert name.endswith(f'{row.labels:03d}') or row.study == 'start'
    assert set(row.target.type_map) <= set(type_map_of(row))


def store(folder, name, **content):
    path = folder / f'{name}.json'
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content))


def judged(minima, date, spread=None, **more):
    found = {'minima': minima} if spread is None else {'minima': minima, 'minima_spread': spread}
    return {'judged': found, 'conditions': {'date': date}, **more}


def hashes(value, validation='v'):
    return {'data': {'training': 't', 'validation': validation, 'judged': value}}


def test_rows_of_a_ladder_are_stored_where_it_looks_for_them(tmp_path):
    for row, chosen in ladder.LADDERS.items():
        for name in chosen.rows:
            assert ROWS[name].labels == ladder.LABELS, row
            store(tmp_path / 'models', name, **of(1, 1), **judged(30, '2026-11-23'))
    steps = [item['steps'] for item in ladder.load(Stored.read(tmp_path))['deepmd, cold']]
    assert steps == sorted(steps)
    assert len(steps) == len(ladder.LADDERS['deepmd, cold'].rows)


def test_rows_on_other_data_than_the_most_recent_one_are_left_out(tmp_path):
    models = tmp_path / 'models'
    store(models, 'pod_015', **judged(33, '2026-11-21', 0.0905))
    store(models, 'pod_030', **judged(33, '2026-11-21'))
    store(models, 'pod_060', **judged(30, '2026-11-22', 0.0924))
    store(models, 'pod_120', **judged(30, '2026-11-23', 0.0924, **hashes('b')))
    store(models, 'e2a_20000_060', **judged(30, '2026-11-22', 0.0924, **hashes('a')))
    store(models, 'salt_05000_020', **judged(10, '2026-11-20', 0.1))
    stored = Stored.read(tmp_path)
    assert set(stored.rows) == {'pod_060', 'pod_120', 'salt_05000_020'}
    assert set(stored.left_out) == {'pod_015', 'pod_030', 'e2a_20000_060'}


def test_trainings_of_ladders_on_other_frames_are_left_out(tmp_path):
    steps = 'ladder'
    store(tmp_path / steps, 'pod_stringent_00000', ladder='pod stringent', conditions={'date': '2026-11-21T22:26'})
    store(tmp_path / steps, 'deepmd_cold_00500', ladder='deepmd, cold', conditions={'date': '2026-11-22T10:15'})
    stored = Stored.read(tmp_path)
    assert (set(stored.ladders), stored.left_out) == ({'deepmd_cold_00500'}, ('pod_stringent_00000',))

    store(tmp_path / 'models', 'pod_060', **judged(30, '2026-11-24', **hashes('a', 'new')))
    for name, frames in (('deepmd_warm_00500', 'old'), ('deepmd_warm_02000', 'new')):
        store(tmp_path / steps, name, ladder='deepmd, warm', conditions={'date': '2026-11-23'}, **hashes('', frames))
    stored = Stored.read(tmp_path)
    assert set(stored.ladders) == {'deepmd_cold_00500', 'deepmd_warm_02000'}


def test_frames_are_told_apart_by_what_they_are_and_not_by_their_last_digits(silicon_frames):
    frames = silicon_frames(3, noise=0.1, strain=0.0)
    same = data.digest(frames)
    assert data.digest(frames.replace(positions=frames.positions + 1e-12)) == same
    assert data.digest(frames.replace(positions=frames.positions + 1e-2)) != same
    assert data.digest(frames.select([1, 0, 2])) != same
    assert data.digest(frames.replace(energy=np.arange(3.0))) != same


def test_a_training_on_other_frames_is_not_taken_up(tmp_path, silicon_frames):
    frames = silicon_frames(3, noise=0.1, strain=0.0)
    assert not has_seen(tmp_path, frames)
    frames.save(tmp_path / 'training.npz')
    assert has_seen(tmp_path, frames)
    assert not has_seen(tmp_path, frames.select([0, 1]))
