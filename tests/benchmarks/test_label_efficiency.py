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
from aiida_prospect.methods.clustered_pool import ClusteredPool
from aiida_prospect.methods.pw_calculator import PwCalculator
from benchmarks.label_efficiency import cells, plan, random_search
from benchmarks.label_efficiency.clock import CLOCK
from benchmarks.label_efficiency.figures import lowest_so_far
from benchmarks.label_efficiency.loop import Cycle, Outcome
from benchmarks.label_efficiency.methods import PROPORTIONS, method_of
from benchmarks.label_efficiency.overview import is_held_out
from benchmarks.label_efficiency.quantum_espresso import PSEUDOPOTENTIAL, CheapSilicon, version_of_program
from benchmarks.label_efficiency.rates import hit_of, median_spent, median_whole, n_labels, n_whole, quartiles
from benchmarks.label_efficiency.record import count_low, summarise
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
    assert median_spent([search(first=9), search()]) == 9
    assert median_spent([search(first=9), search(first=11), search(), search()]) == 11
    assert median_spent([search(), search()]) == np.inf


def test_the_whole_search_counts_labels_and_final_evaluations_with_a_hit_or_without():
    assert n_whole(search(first=3, final=[0.1, 0.2])) == 16 + 20
    assert median_whole([search(final=[0.1]), search(first=3), search(final=[0.1, None])]) == 26


def test_what_was_rejected_is_no_label():
    labels = [[0.5, None, 0.4], [None, 0.001, 0.0]]
    result = {**search(first=5, final=[0.1]), 'labels': labels}
    assert n_labels(result) == 4
    assert hit_of(result).spent == 3
    assert n_whole(result) == 14
    assert lowest_so_far(result).tolist() == [0.5, 0.4, 0.001, 0.0]


def test_what_failed_is_a_label():
    labels = [[0.5, None, 0.4], [None, 0.001, 0.0]]
    result = {**search(first=5), 'labels': labels, 'rejected': [3]}
    assert n_labels(result) == 5
    assert hit_of(result).spent == 4
    assert lowest_so_far(result).tolist() == [0.5, 0.5, 0.4, 0.001, 0.0]


def test_a_result_says_what_was_rejected(silicon_frames):
    truth = Truth(SYSTEMS['si8'])
    frames = silicon_frames(3, noise=0.0, strain=0.0)
    energy = np.array([np.nan, np.nan, truth.energy * 8])
    labels = frames.replace(
        energy=energy, forces=np.zeros_like(frames.positions), status=['rejected', 'failed', 'ok'], steps=[0, 1, 1]
    )
    clustered = ClusteredPool.of(frames.replace(energy=np.zeros(3), status=['converged'] * 3), {})
    cycle = Cycle(labels, clustered, {}, {'rejected': 0}, 0)
    result = summarise(Outcome([cycle], {'reason': 'converged'}, labels.select([2])), truth)
    assert result['rejected'] == [0]
    assert n_labels(result) == 2
    assert hit_of(result).spent == 2
    assert result['low_minima'] == [[2, 1]]


def test_searches_without_a_hit_count_where_labels_are_compared_with_those_of_random_search():
    results = [search(first=first) for first in (2, None, 16, 4, None)]
    interval = random_search.Interval(128.0, 64.0, 192.0)
    found = random_search.RandomSearch(100, 9000, 3, interval, interval)
    assert cells.against_random(results, found) == ('128', '8.0 (4.0–12)')
    assert cells.against_random(results, None) == ('–', '–')
    assert cells.against_random([*results, search(), search()], found) == ('128', '–')


def test_the_reference_algorithm_is_compared_by_whole_searches():
    ours, published = [search(first=8, final=[0.1])], [search(final=[0.1] * 10)]
    assert cells.against_published(ours, published) == (f'{116 / 26:.1f}', '–')
    assert cells.against_published(ours, [search(final=[0.0] * 10)]) == (f'{116 / 26:.1f}', '14')


@pytest.mark.parametrize(('value', 'words'), [(3.44, '3.4'), (9.94, '9.9'), (9.96, '10'), (42.4, '42'), (np.inf, '–')])
def test_ratios_below_ten_have_a_digit(value, words):
    assert cells.ratio(value) == words


def test_labels_from_elsewhere_stand_before_a_plus_sign():
    assert cells.first_hit([{**search(first=1), 'n_labels_before': 190}]) == '190 + 1'
    assert cells.whole([{**search(final=[0.1]), 'n_labels_before': 190}]) == '190 + 26'
    assert cells.whole([search(final=[0.1])]) == '26'


def test_seeds_that_were_known_are_not_held_out():
    assert not is_held_out({'system': 'ga8as8', 'seed': 3})
    assert is_held_out({'system': 'ga8as8', 'seed': 4})
    assert is_held_out({'system': 'na4cl4', 'seed': 1})


def test_without_a_low_minimum_there_is_no_hit():
    assert hit_of(search(final=[0.1, None])) is None


def test_a_search_without_a_hit_is_longer_than_all_others():
    assert quartiles([10, 20, 30]) == '20 (15–25)'
    assert quartiles([10, 20], missing=1) == '20 (15–∞)'
    assert quartiles([10], missing=2) == '∞ (10–∞)'
    assert quartiles([501], missing=1) == '501 (501–∞)'


def test_the_rate_of_random_search_lies_within_its_error():
    rng = np.random.default_rng(0)
    result = {'evaluations': rng.integers(50, 150, 200).tolist(), 'hits': [[index, []] for index in range(0, 200, 20)]}
    found = random_search.summarise([result])
    assert found.per_hit.value == sum(result['evaluations']) / 10
    for interval in (found.per_hit, found.first_hit):
        assert interval.low < interval.value < interval.high
    assert random_search.summarise([result, result]).hits == 20
    nothing = random_search.summarise([{**result, 'hits': []}])
    assert nothing.per_hit.value == nothing.first_hit.value == np.inf


def test_evaluations_until_the_first_hit_are_those_of_a_geometric_distribution():
    spent, is_hit = np.full(50, 10), np.arange(50) < 5
    rng = np.random.default_rng(0)
    found = np.concatenate([random_search.first_hits(spent, is_hit, rng) for _ in range(20)])
    assert found.mean() == pytest.approx(100, rel=0.05)
    assert np.median(found) == 10 * np.ceil(np.log(0.5) / np.log(0.9))
    assert set(random_search.first_hits(spent, np.ones(50, bool), rng)) == {10}


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
            depth = settings.search['hole_depth']
            assert settings.relaxation(-1.0).sanity.lowest_energy == (None if depth is None else -1.0 - depth)


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
    assert version_of_program()[0].isdigit()

    (kept,) = tmp_path.glob('*.json')
    monkeypatch.setattr(PwCalculator, 'calculate', lambda *_: pytest.fail('pw.x was run again'))
    before = CLOCK.processor
    again = surface.ensemble().evaluate(Frames.from_atoms([atoms]))
    seconds = json.loads(kept.read_text())['seconds']
    assert seconds > 0
    assert CLOCK.processor - before >= seconds - 1e-6
    assert np.array_equal(again.forces, result.forces)
    assert np.array_equal(again.energy, result.energy)
    assert np.array_equal(again.stress, result.stress)


def test_results_are_json_with_a_line_for_each_key():
    assert dumps({'a': [1, None], 'b': 'é'}) == '{\n "a": [1, null],\n "b": "é"\n}\n'
