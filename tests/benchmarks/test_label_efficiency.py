"""Laws of the numbers in the tables of label efficiency."""

from __future__ import annotations

import json
import shutil
import sys
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from ase import Atoms

sys.path.insert(0, str(Path(__file__).parents[2]))

from aiida_prospect.common.frames import Frames
from aiida_prospect.methods.pw_calculator import PwCalculator
from benchmarks.label_efficiency import plan
from benchmarks.label_efficiency.clock import CLOCK
from benchmarks.label_efficiency.methods import PROPORTIONS, method_of
from benchmarks.label_efficiency.page import _times
from benchmarks.label_efficiency.quantum_espresso import PSEUDOPOTENTIAL, CheapSilicon
from benchmarks.label_efficiency.rates import hit_of, median_spent, quartiles, rate_of
from benchmarks.label_efficiency.record import count_low
from benchmarks.label_efficiency.store import dumps
from benchmarks.label_efficiency.systems import SYSTEMS
from benchmarks.label_efficiency.truth import Truth


def search(first=None, final=()):
    first_label = None if first is None else {'number': first, 'phases': ['diamond']}
    relaxed = [{'height': height, 'evaluations': 10, 'phases': []} for height in final]
    return {'labels': [[0.5] * 10, [0.4] * 6], 'first_label': first_label, 'final': relaxed}


def test_a_wider_window_is_that_of_the_result():
    assert hit_of(search(final=[0.02])) is None
    assert hit_of({**search(final=[0.02]), 'window': 0.03}).spent == 26


def test_a_hit_by_a_label_counts_labels_only():
    assert hit_of(search(first=12, final=[0.0])).spent == 12


def test_a_hit_by_the_final_relaxations_counts_all_of_their_evaluations():
    hit = hit_of(search(final=[0.1, 0.001, None]))
    assert hit.spent == 16 + 30
    assert not hit.by_label


def test_searches_without_a_hit_count_as_the_longest():
    assert median_spent([search(first=9), search(first=12), search()]) == 12
    assert median_spent([search(first=9), search(), search()]) == np.inf


def test_searches_without_a_hit_count_where_labels_are_compared_with_those_of_random_search():
    results = [search(first=first) for first in (20, None, 300, 40, None)]
    assert _times(results, 3000.0) == '10×'
    assert _times(results, None) == '–'
    assert _times([*results, search()], 3000.0) == '–'


def test_without_a_low_minimum_there_is_no_hit():
    assert hit_of(search(final=[0.1, None])) is None


def test_a_search_without_a_hit_is_longer_than_all_others():
    assert quartiles([10, 20, 30]) == '20 (15–25)'
    assert quartiles([10, 20], missing=1) == '20 (15–∞)'
    assert quartiles([10], missing=2).startswith('∞')


def test_the_rate_of_random_search_lies_within_its_error():
    rng = np.random.default_rng(0)
    result = {'evaluations': rng.integers(50, 150, 200).tolist(), 'hits': [[index, []] for index in range(0, 200, 20)]}
    rate = rate_of([result])
    assert rate.per_hit == sum(result['evaluations']) / 10
    assert rate.low < rate.per_hit < rate.high
    assert rate_of([result, result]).hits == 20
    assert rate_of([{**result, 'hits': []}]).per_hit == np.inf


def test_equal_minima_count_once(silicon_frames):
    truth = Truth(SYSTEMS['si8'])
    frames = silicon_frames(3, noise=0.0, strain=0.0)
    known = frames.replace(
        energy=np.full(3, truth.energy * 8), forces=np.zeros_like(frames.positions), status=['ok'] * 3
    )
    assert count_low(known, truth) == [[1, 1]]
    assert count_low(known, truth, np.array([7, 1, 1])) == [[7, 1]]
    assert count_low(known.replace(energy=known.energy + 8), truth) == []


def test_every_task_of_the_plan_can_be_made_and_is_stored_in_a_place_of_its_own():
    tasks = list(plan.tasks())
    assert len({task.path for task in tasks}) == len(tasks)
    for task in tasks:
        assert task.method in plan.method_names()
        assert task.pool in PROPORTIONS
        if task.method != 'baseline' and task.seed == 1:
            settings = method_of(task.method).settings(SYSTEMS[task.system], task.pool, task.seed)
            assert settings.relaxation(-1.0).sanity.lowest_energy == -1.0 - settings.search['hole_depth']


def test_unknown_method():
    with pytest.raises(ValueError, match='is no method; choose one of: baseline, prospect'):
        method_of('guess')


@pytest.mark.parametrize('name', SYSTEMS)
def test_the_target_is_a_phase_that_was_relaxed(name):
    truth = Truth(SYSTEMS[name])
    assert truth.phases[truth.target]['converged']


@pytest.mark.skipif(not (shutil.which('pw.x') and PSEUDOPOTENTIAL.is_file()), reason='pw.x is not installed')
def test_quantum_espresso_gives_the_energy_of_the_stored_target_and_is_not_run_again(tmp_path, monkeypatch):
    system = SYSTEMS['si8-pbe']
    stored = Truth(system).phases['diamond']
    atoms = Atoms(stored['numbers'], positions=stored['positions'], cell=stored['cell'], pbc=True)
    surface = replace(system.surface, make=partial(CheapSilicon, tmp_path))
    result = surface.ensemble().evaluate(Frames.from_atoms([atoms]))
    assert result.energy[0] / len(atoms) == pytest.approx(stored['energy_per_atom'], abs=1e-4)
    assert np.abs(result.forces).max() < system.surface.fmax

    (kept,) = tmp_path.glob('*.json')
    monkeypatch.setattr(PwCalculator, 'calculate', lambda *_: pytest.fail('pw.x was run again'))
    before = CLOCK.processor
    again = surface.ensemble().evaluate(Frames.from_atoms([atoms]))
    assert CLOCK.processor - before >= json.loads(kept.read_text())['seconds'] > 0
    assert np.array_equal(again.forces, result.forces)
    assert np.array_equal(again.energy, result.energy)
    assert np.array_equal(again.stress, result.stress)


def test_results_are_json_with_a_line_for_each_key():
    assert dumps({'a': [1, None], 'b': 'é'}) == '{\n "a": [1, null],\n "b": "é"\n}\n'
