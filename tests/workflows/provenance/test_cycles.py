"""Tests for the cycles of a search that takes up another one."""

from __future__ import annotations

import pytest
from aiida import orm

from aiida_prospect.workflows.provenance.cycles import lineage, load_cycles
from aiida_prospect.workflows.provenance.labels import list_labels
from aiida_prospect.workflows.provenance.why import explain
from aiida_prospect.workflows.search import SearchWorkChain


def labels_of(search):
    return {number: cycle.outputs['labels'].uuid for number, cycle in load_cycles(search).items()}


def given_by(search, numbers):
    return {f'cycle_{number:02d}': search.outputs[f'cycle_{number:02d}'].labels for number in numbers}


@pytest.fixture
def second_search(first_search, take_up, outputs_of):
    """Return a search that took up the other one after cycle 2 and stopped after cycle 4."""
    return take_up(first_search, 2, given_by(first_search, range(3)), outputs_of((3, 4), 2))


def test_labels_that_a_restart_dropped_stay_dropped(first_search, second_search):
    assert lineage(second_search) == [first_search, second_search]
    first = {int(name[6:]): node.uuid for name, node in given_by(first_search, range(3)).items()}
    second = {int(name[6:]): node.uuid for name, node in given_by(second_search, (3, 4)).items()}
    assert labels_of(second_search) == {**first, **second}
    assert len(list_labels(second_search)['labels']) == 1 + 2 + 3 + 4 + 5
    handed_on = SearchWorkChain.get_builder_restart(second_search).restart['labels']
    assert sorted(handed_on) == [f'cycle_{number:02d}' for number in range(5)]


def test_candidates_without_labels_yet_have_none_of_the_earlier_search(first_search, take_up, outputs_of):
    candidates = outputs_of((4,), 3)['cycle_04__candidates']
    search = take_up(first_search, 2, given_by(first_search, range(3)), {'cycle_03__candidates': candidates})
    rows = list_labels(search, sorted_by='index')['labels']
    assert [row['status'] for row in rows if row['cycle'] == 3] == ['waiting'] * 5
    assert explain(search, 0, cycle=3)['label']['status'] == 'waiting'


def test_labels_that_were_made_but_not_taken_over_are_kept_without_the_rest_of_their_cycle(first_search, take_up):
    search = take_up(first_search, 2, given_by(first_search, range(4)), {})
    cycles = load_cycles(search)
    assert list(cycles) == [0, 1, 2, 3]
    assert set(cycles[3].outputs) == {'candidates', 'labels'}


def test_labels_of_no_use_do_not_come_back(make_search, make_labels, outputs_of, take_up):
    useless = {'cycle_01__labels': make_labels(2, 7, 'failed'), 'cycle_02__labels': make_labels(3, 8, 'failed')}
    first = make_search({}, {**outputs_of((0, 1), 4), **useless})
    labels = SearchWorkChain.get_builder_restart(first).restart['labels']
    assert list(labels) == ['cycle_00']
    search = take_up(first, 1, labels, {})
    assert [row['cycle'] for row in list_labels(search)['labels']] == [0]
    assert 'pool' in load_cycles(search)[1].outputs


def test_corrected_labels_take_the_place_of_those_that_were_wrong(first_search, make_labels, take_up):
    corrected = make_labels(2, 77).store()
    labels = {**given_by(first_search, range(3)), 'cycle_01': corrected}
    search = take_up(first_search, 2, labels, {})
    assert labels_of(search)[1] == corrected.uuid
    energies = corrected.frames.energy_per_atom.tolist()
    assert [explain(search, frame, cycle=1)['label']['energy_per_atom'] for frame in (0, 1)] == energies
    assert SearchWorkChain.get_builder_restart(search).restart['labels']['cycle_01'].uuid == corrected.uuid
    assert labels_of(first_search)[1] == first_search.outputs.cycle_01.labels.uuid


def test_a_cycle_without_labels_goes_on_with_the_potentials_of_the_one_before(make_search, outputs_of):
    outputs = {**outputs_of((0,), 5), 'cycle_01__assessment': orm.Dict({}), **outputs_of((2,), 6)}
    search = make_search({}, outputs)
    seen_by = explain(search, 0, cycle=2)['seen_by']
    assert [item['pk'] for item in seen_by] == [search.outputs.cycle_00.potentials.potential_00.pk]
    assert explain(search, 0, cycle=0)['seen_by'] == []
