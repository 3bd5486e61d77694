"""Tests for why a candidate was labelled."""

from __future__ import annotations

import json

import numpy as np
import pytest
from aiida.orm import Dict

from aiida_prospect.calculations.functions.clean_labels import clean_labels
from aiida_prospect.cli.root import cmd_root
from aiida_prospect.data.dataset import DatasetData
from aiida_prospect.workflows.provenance.why import explain


def every_candidate(search):
    sets = [search.outputs[f'cycle_{cycle:02d}'].candidates.frames for cycle in (0, 1)]
    return [(cycle, frame, sets[cycle]) for cycle in (0, 1) for frame in range(len(sets[cycle]))]


def test_every_candidate_has_the_reason_and_the_label_that_are_stored(search):
    for index, (cycle, frame, candidates) in enumerate(every_candidate(search)):
        answer = explain(search, index)
        labels = search.outputs[f'cycle_{cycle:02d}'].labels.frames
        assert (answer['cycle'], answer['frame']) == (cycle, frame)
        assert answer['origin'] == candidates.origin[frame]
        assert answer['reason'] == candidates.reason[frame]
        assert answer['label']['status'] == labels.status[frame]
        assert answer['pool']['frame'] == candidates.source[frame]
        assert answer['pool']['strain'] == 0
        assert json.loads(json.dumps(answer))['index'] == index


def test_only_what_the_ensemble_saw_has_a_prediction(search):
    for index, (cycle, frame, candidates) in enumerate(every_candidate(search)):
        answer = explain(search, index)
        seen = cycle == 1 and answer['pool']['displacement'] == 0
        assert (answer['prediction'] is not None) == seen
        assert ('displaced' in candidates.reason[frame]) == (cycle == 1 and not seen)
        assert bool(answer['seen_by']) == (cycle == 1)
        if seen and answer['label']['energy_per_atom'] is not None:
            error = answer['prediction']['energy_per_atom'] - answer['label']['energy_per_atom']
            assert answer['label']['error_of_prediction'] == pytest.approx(error)


def test_candidates_were_seen_by_the_potentials_of_the_cycle_before(search):
    first_of_cycle_1 = explain(search, 0, cycle=1)
    trained = search.outputs.cycle_00.potentials
    assert {item['pk'] for item in first_of_cycle_1['seen_by']} == {trained[name].pk for name in trained}


def test_a_usable_label_is_trained_on_or_left_out_with_a_reason_in_each_cycle_since(search):
    for index, (cycle, _, _) in enumerate(every_candidate(search)):
        answer = explain(search, index)
        told = sorted([*answer['training']['used_in_cycles'], *answer['training']['left_out_in_cycles']])
        assert told == (list(range(cycle, 2)) if answer['label']['status'] == 'ok' else [])
        assert all(answer['training']['left_out_in_cycles'].values())


def test_a_cluster_is_that_of_the_pool_that_was_chosen_from(search):
    answer = explain(search, 0, cycle=1)
    labels = search.outputs.cycle_00.clusters.get_array('labels')
    number = int(labels[answer['pool']['frame']])
    assert (answer['cluster'] or {'number': -1})['number'] == max(number, -1)
    if answer['cluster']:
        assert answer['cluster']['size'] == np.sum(labels == number)


def test_numbers_go_on_over_a_restart(search, restarted_search):
    for index in (0, 5, 8):
        before, after = explain(search, index), explain(restarted_search, index)
        for key in ('cycle', 'frame', 'origin', 'reason', 'formula'):
            assert after[key] == before[key]


@pytest.fixture
def corrected_search(make_search, make_labels, outputs_of, take_up):
    """Return a search whose first cycles were trained on other labels than it has today, and its third one on those."""

    def train(labels):
        return clean_labels(parameters=Dict({}), **labels)

    outputs = outputs_of((0, 1), 9)
    outputs['cycle_00__labels'] = make_labels(1, 91, 'failed')
    names = ('cycle_00', 'cycle_01')
    outputs |= {'cycle_01__acceptance': train({name: outputs[f'{name}__labels'] for name in names})}
    first = make_search({}, outputs)
    frames = first.outputs.cycle_01.labels.frames
    moved = DatasetData(frames.replace(energy=frames.energy + np.array([0, 1])))
    today = {'cycle_00': make_labels(1, 91).store(), 'cycle_01': moved.store()}
    return first, take_up(first, 1, today, {**outputs_of((2,), 10), 'cycle_02__acceptance': train(today)})


def test_an_ensemble_saw_the_labels_of_its_time(corrected_search, capsys):
    first, second = corrected_search
    same, moved, repaired = (explain(second, *place)['training'] for place in ((0, 1), (1, 1), (0, 0)))
    before = first.outputs.cycle_01.labels.frames.energy_per_atom
    assert (same['used_in_cycles'], same['other_label_in_cycles']) == ([1, 2], {})
    assert (moved['used_in_cycles'], list(moved['other_label_in_cycles'])) == ([1, 2], [1])
    assert moved['other_label_in_cycles'][1]['energy_per_atom'] == before[1]
    assert repaired == {'used_in_cycles': [2], 'left_out_in_cycles': {}, 'other_label_in_cycles': {}}
    assert explain(first, 1, 1)['training']['other_label_in_cycles'] == {}
    cmd_root.main(['why', str(second.pk), '2'], prog_name='aiida-prospect', standalone_mode=False)
    sentence = f'In cycle 1 the training had another label, which was replaced since: {before[1]:.4f} eV/atom'
    assert sentence in capsys.readouterr().out


@pytest.mark.parametrize(
    ('arguments', 'sentence'),
    [((99,), 'the search has 9, counted from 0'), ((0, 7), 'no cycle 7; there are: 0, 1'), ((6, 0), 'cycle 0 has 6')],
)
def test_unknown_candidates_are_refused(search, arguments, sentence):
    with pytest.raises(ValueError, match=sentence):
        explain(search, *arguments)


def test_what_a_user_reads(search, capsys):
    cmd_root.main(['why', str(search.pk), '0', '--cycle', '1'], prog_name='aiida-prospect', standalone_mode=False)
    text = capsys.readouterr().out
    assert text.startswith(f'Candidate 6 of search {search.pk}: Si4, cycle 1')
    for words in ('Chosen by `prospect`', 'Seen by: potential_00', 'Label: ', 'Labelled by process'):
        assert words in text
