"""The benchmark of trainings: what is made of its results, without any training."""

import json

import pytest

from aiida_prospect.methods.deepmd_input import build_input
from benchmarks.training_cost import ladder
from benchmarks.training_cost.jobs import Training
from benchmarks.training_cost.learning import equivalent, scratch_curve
from benchmarks.training_cost.models import type_map_of
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


def test_rows_of_a_ladder_are_stored_where_it_looks_for_them(tmp_path):
    (tmp_path / 'models').mkdir()
    for row, chosen in ladder.LADDERS.items():
        for name in chosen.rows:
            assert ROWS[name].labels == ladder.LABELS, row
            (tmp_path / 'models' / f'{name}.json').write_text(json.dumps(of(1, 1)))
    steps = [item['steps'] for item in ladder.load(tmp_path)['deepmd, cold']]
    assert steps == sorted(steps)
    assert len(steps) == len(ladder.LADDERS['deepmd, cold'].rows)
